package snapshot

import (
	"bytes"
	"context"
	"slices"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// ChangeKind says how an entry differs.
type ChangeKind string

// The kinds of changes.
const (
	Added    ChangeKind = "added"
	Removed  ChangeKind = "removed"
	Changed  ChangeKind = "changed"  // content, type, target or device
	Metadata ChangeKind = "metadata" // mode, owner, time of a file, extended attributes
)

// Change is an entry in which two trees differ.
type Change struct {
	Path string
	Kind ChangeKind
	Was  *Node // nil: added
	Is   *Node // nil: removed
}

// Diff calls f for what differs between two nodes that stand at the same path, and below
// them, in the order of names. Blocks of directories that are equal are not read: it costs
// what differs. What a file system changes by itself, such as inodes, change times and the
// times of directories, is no difference.
func Diff(ctx context.Context, r *repo.Repository, at string, was, is *Node, f func(Change) error) error {
	switch kind := compareNodes(was, is); {
	case kind == "":
	case at == "/" && directoryOf(was) != nil && directoryOf(is) != nil: // what was compared has no name
	default:
		if err := f(Change{at, kind, was, is}); err != nil {
			return err
		}
	}
	a, b := directoryOf(was), directoryOf(is)
	if a == nil && b == nil {
		return nil
	}
	return tree.Diff(ctx, r, a, b, func(was, is *Node) error {
		name := was
		if name == nil {
			name = is
		}
		return Diff(ctx, r, tree.Join(at, name.Name), was, is, f)
	})
}

func directoryOf(n *Node) *tree.Handle {
	if n == nil || n.Type != Dir {
		return nil
	}
	h := tree.Handle(n.Tree)
	return &h
}

// compareNodes says how two nodes differ, but for what is below them; "" when they do not.
func compareNodes(was, is *Node) ChangeKind {
	switch {
	case was == nil && is == nil:
		return ""
	case was == nil:
		return Added
	case is == nil:
		return Removed
	case was.Type != is.Type || !bytes.Equal(was.Content, is.Content) || !bytes.Equal(was.Target, is.Target) || was.Rdev != is.Rdev:
		return Changed
	case was.Mode != is.Mode || was.UID != is.UID || was.GID != is.GID || was.User != is.User || was.Group != is.Group,
		was.Type != Dir && was.ModTime != is.ModTime,
		!slices.EqualFunc(was.Xattrs, is.Xattrs, func(a, b Xattr) bool {
			return bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value)
		}):
		return Metadata
	}
	return ""
}
