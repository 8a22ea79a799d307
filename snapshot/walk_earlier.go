package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/firnstore/firn/repo/tree"
)

// earlier walks the entries that a directory had in the parent snapshot.
type earlier struct {
	s    *saver
	c    *tree.Cursor
	n    Node
	raw  []byte
	have bool
}

// openEarlier returns nil when there was no such directory, or it cannot be read: the
// parent only saves time.
func (s *saver) openEarlier(n *Node) *earlier {
	if n == nil || n.Type != Dir {
		return nil
	}
	c, err := tree.Open(s.ctx, s.r, tree.Handle(n.Tree), nil)
	if err != nil {
		s.parentProblem(err)
		return nil
	}
	return &earlier{c: c, s: s}
}

// parentProblem reports, once, that the parent snapshot is damaged. This backup reads
// what it cannot compare, so it is whole; the parent is not.
func (s *saver) parentProblem(err error) {
	if s.ctx.Err() == nil && s.res.parent.CompareAndSwap(false, true) {
		s.problem("the parent snapshot", err)
	}
}

// find returns the earlier node called name. Names must ascend from call to call.
func (e *earlier) find(ctx context.Context, name string) (n *Node, raw []byte) {
	for e != nil && e.c != nil {
		if !e.have {
			var err error
			if e.raw, err = e.c.Next(ctx, &e.n); err != nil {
				if !errors.Is(err, io.EOF) {
					e.s.parentProblem(err)
				}
				e.c = nil
				return nil, nil
			}
			e.have = true
		}
		switch bytes.Compare(e.n.Name, []byte(name)) {
		case 0:
			n := e.n
			return &n, e.raw
		case 1:
			return nil, nil
		}
		e.have = false
	}
	return nil, nil
}

// unchanged compares with the parent snapshot (invariant 6).
func (s *saver) unchanged(n, old *Node) bool {
	return old != nil && !s.opt.Force && !s.heal && old.Type == n.Type && n.Type != Socket &&
		old.Size == n.Size && old.ModTime == n.ModTime && old.ChangeTime != changedWhileRead &&
		(s.opt.IgnoreInode || old.Inode == n.Inode) &&
		(s.opt.IgnoreCtime && n.Type == File || old.ChangeTime == n.ChangeTime)
}

// changedWhileRead in the place of a change time: no later state is equal to this one.
const changedWhileRead = -1

// sameContent finishes a file whose change time is ignored: the content is that of the
// parent, and what else the inode says may be new.
func (s *saver) sameContent(b *batch, name string, n, old *Node) {
	s.fillOwner(n)
	at := *n
	at.Name = []byte(name)
	if err := b.dir.xattrsAt(&at); err != nil {
		s.problem(tree.Join(b.d.path, []byte(name)), err)
	}
	n.Xattrs, n.Content, n.Sparse = at.Xattrs, old.Content, old.Sparse
	s.count(n, &s.res.filesUnchanged)
	b.d.finish(b.d.add(n.Name), n)
}
