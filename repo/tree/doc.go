// Package tree reads and writes directories as a repository keeps them: nodes in blocks,
// docs/format.md, section 9. What is a snapshot, and how directories of a machine become
// one, is the business of package snapshot; package object shows the files of snapshots
// beside objects.
package tree
