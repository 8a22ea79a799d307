// Package repo is a repository: a store, its keys, its log and the index of it. It
// turns streams into contents that are durable and back, and states of keys into
// versions.
//
// [Init] makes a repository and [Open] opens one. Reading needs nothing more. Whoever
// writes begins a [Session], feeds an [Ingest] with streams, and commits. Prune of a
// [Repository] frees what nothing needs. Directories, files and their attributes are the
// business of package snapshot, objects that of repo/object.
//
// Invariants, which tests name by number:
//
//  1. Nothing durable refers to what is not yet durable: a commit is created after
//     every pack that it names, and success is reported after the commit is durable.
//  2. The log is the truth. The index is folded from it; without an index, or with a
//     damaged or foreign one, Open makes it anew.
//  3. Every byte handed out belongs to a chunk whose ID was checked.
//  4. A commit is created only by one who has folded every commit before it. Of two
//     that want the same place one loses, folds the other's, and tries the next.
//  5. A session relies only on chunks that are there when it commits: if a pack of them
//     was dropped meanwhile, and they are in no other, its commit is refused.
//  6. An answer that was lost is not a failure: a commit that exists with our nonce
//     is ours.
//  7. A log that is shorter than, or differs from, what this machine has seen is
//     refused.
//  8. Memory is bounded by the options, not by the length of a stream.
package repo
