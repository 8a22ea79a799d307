package tree

import (
	"bytes"
	"context"
	"errors"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/repo"
)

// Diff calls f for the entries in which two directories differ, in the order of names: was
// is nil for one that is only in the second, is for one that is only in the first. nil in the
// place of a handle is a directory without entries. Blocks that both have are not read, so
// that it costs what differs. f gets nodes of its own.
func Diff(ctx context.Context, r *repo.Repository, a, b *Handle, f func(was, is *Node) error) error {
	return diff(func(id chunk.ID, level int) ([]byte, error) { return ReadBlock(ctx, r, id, level) }, a, b, f)
}

func diff(read func(id chunk.ID, level int) ([]byte, error), a, b *Handle, f func(was, is *Node) error) error {
	x, y := &side{read: read}, &side{read: read}
	x.begin(a)
	y.begin(b)
	for {
		if err := errors.Join(x.look(), y.look()); err != nil {
			return err
		}
		switch {
		case x.end && y.end:
			return nil
		case x.isRef && y.isRef && x.ref == y.ref && x.level == y.level:
			x.drop()
			y.drop()
			continue
		case x.isRef && (!y.isRef || x.level >= y.level):
			if err := x.descend(); err != nil {
				return err
			}
			continue
		case y.isRef:
			if err := y.descend(); err != nil {
				return err
			}
			continue
		}
		var was, is *Node
		order := 0
		switch {
		case x.end:
			order = 1
		case y.end:
			order = -1
		default:
			order = bytes.Compare(x.node.Name, y.node.Name)
		}
		same := order == 0 && bytes.Equal(x.raw, y.raw)
		if order <= 0 {
			was = x.node
			x.drop()
		}
		if order >= 0 {
			is = y.node
			y.drop()
		}
		if !same {
			if err := f(was, is); err != nil {
				return err
			}
		}
	}
}

// side is a walk that can stop in front of a block as well as in front of a node.
type side struct {
	read  func(id chunk.ID, level int) ([]byte, error)
	stack []blockCursor

	// What comes next, once looked at.
	looked bool
	end    bool
	isRef  bool
	ref    chunk.ID
	whole  BlockRef // that ref is of; without Last, of the root
	level  int      // of the block of ref
	node   *Node
	raw    []byte
	rest   []byte // behind it
}

func (s *side) begin(h *Handle) {
	if h == nil {
		s.looked, s.end = true, true
		return
	}
	s.looked, s.isRef, s.ref, s.level = true, true, h.ID(), h.Level()
}

// look finds what comes next.
func (s *side) look() error {
	for !s.looked {
		if len(s.stack) == 0 {
			s.looked, s.end, s.isRef = true, true, false
			return nil
		}
		top := &s.stack[len(s.stack)-1]
		if len(top.b) == 0 {
			s.stack = s.stack[:len(s.stack)-1]
			continue
		}
		var err error
		s.looked, s.isRef = true, top.level > 0
		if s.isRef {
			var ref BlockRef
			s.rest, err = DecodeRef(top.b, &ref)
			s.ref, s.level, s.whole = ref.ID, top.level-1, ref
			return err
		}
		s.node = &Node{}
		s.raw, s.rest, err = Decode(top.b, s.node)
		return err
	}
	return nil
}

// drop passes over what comes next.
func (s *side) drop() {
	s.looked = false
	if len(s.stack) > 0 {
		s.stack[len(s.stack)-1].b = s.rest
	}
}

// descend goes into the block that comes next.
func (s *side) descend() error {
	b, err := s.read(s.ref, s.level)
	if err != nil {
		return err
	}
	s.drop()
	s.stack = append(s.stack, blockCursor{s.level, b})
	return nil
}
