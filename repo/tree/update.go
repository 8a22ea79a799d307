package tree

import (
	"bytes"
	"context"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// Update stores the state of a directory that follows from an earlier one. next gives what is
// to change in the order of names, a nil node for what is to go, and ok false at the end. was
// nil is a directory without entries. Blocks without a change are neither read nor written
// again: it costs the changes, and a reference for each block of the highest level that has
// some.
func Update(ctx context.Context, r *repo.Repository, was *Handle, put func([]byte) (chunk.ID, error), next func() (name []byte, n *Node, ok bool, err error)) (Handle, error) {
	u := &updater{next: next, w: Writer{Put: put}, s: side{read: func(id chunk.ID, level int) ([]byte, error) { return ReadBlock(ctx, r, id, level) }}}
	return u.run(was)
}

type updater struct {
	next func() (name []byte, n *Node, ok bool, err error)
	s    side
	w    Writer

	name []byte // of the next change
	node *Node
	more bool
}

func (u *updater) advance() (err error) {
	u.name, u.node, u.more, err = u.next()
	return err
}

// add stores the next change.
func (u *updater) add() error {
	if u.node != nil {
		raw, err := index.Marshal(u.node)
		if err == nil {
			err = u.w.Add(u.name, raw)
		}
		if err != nil {
			return err
		}
	}
	return u.advance()
}

func (u *updater) run(was *Handle) (h Handle, err error) {
	if err := u.advance(); err != nil {
		return h, err
	}
	if !u.more && was != nil {
		return *was, nil
	}
	u.s.begin(was)
	for {
		if err := u.s.look(); err != nil {
			return h, err
		}
		if u.s.end {
			break
		}
		if err := u.step(); err != nil {
			return h, err
		}
	}
	for u.more {
		if err := u.add(); err != nil {
			return h, err
		}
	}
	return u.w.Finish()
}

// step takes over a block or a node, with the changes before it.
func (u *updater) step() error {
	s := &u.s
	if s.isRef {
		untouched := s.whole.Last != nil && (!u.more || bytes.Compare(u.name, s.whole.Last) > 0)
		if !untouched || !u.w.between(s.level) {
			return s.descend()
		}
		ref := s.whole
		s.drop()
		return u.w.take(s.level+1, &ref)
	}
	for u.more && bytes.Compare(u.name, s.node.Name) < 0 {
		if err := u.add(); err != nil {
			return err
		}
	}
	n, raw := s.node, s.raw
	s.drop()
	if u.more && bytes.Equal(u.name, n.Name) {
		return u.add()
	}
	return u.w.Add(n.Name, raw)
}

// between reports whether no block is open up to a level, so that one of that level can be
// taken over whole.
func (w *Writer) between(level int) bool {
	for i := 0; i <= level && i < len(w.levels); i++ {
		if len(w.levels[i].b) > blockHeader {
			return false
		}
	}
	return true
}

// take appends a reference to a block that is stored.
func (w *Writer) take(level int, ref *BlockRef) error {
	w.last = append(w.last[:0], ref.Last...)
	raw, err := index.Marshal(ref)
	if err != nil {
		return err
	}
	for i := range level {
		w.level(i)
	}
	return w.append(level, ref.Last, raw, ref.Nodes)
}
