package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// Handle is that of a directory: level and ID of its root block;
// docs/format.md, section 9.
type Handle [33]byte

const (
	blockHeader  = 4
	maxTreeLevel = 6

	// Blocks are cut behind a node whose name hashes to a multiple of cutEvery, once
	// they have minBlock bytes, and at the latest with maxBlock bytes: a change in a
	// large directory changes few blocks.
	minBlock = 16 << 10
	maxBlock = 128 << 10
	cutEvery = 128
)

// Parse checks the form of a handle. repo.ErrDamaged.
func Parse(b []byte) (t Handle, err error) {
	if len(b) != len(t) || b[0] > maxTreeLevel {
		return t, fmt.Errorf("tree handle %x", b)
	}
	copy(t[:], b)
	return t, nil
}

// Level of the root block, and its ID.
func (t Handle) Level() int   { return int(t[0]) }
func (t Handle) ID() chunk.ID { return chunk.ID(t[1:]) }

// BlockRef leads from an upper block to a lower one.
type BlockRef struct {
	Last  []byte   `cbor:"0,keyasint"`
	ID    chunk.ID `cbor:"1,keyasint"`
	Nodes uint64   `cbor:"2,keyasint"`
}

// Writer makes the blocks of one directory from its nodes in the order of names.
type Writer struct {
	Put    func(block []byte) (chunk.ID, error) // stores a block, which it must not keep
	levels []openBlock
	last   []byte
}

type openBlock struct {
	b     []byte
	nodes uint64
}

func (w *Writer) level(i int) *openBlock {
	if i == len(w.levels) {
		w.levels = append(w.levels, openBlock{b: []byte{'T', 1, byte(i), 0}})
	}
	return &w.levels[i]
}

// Add appends the encoding of a node. Names ascend from call to call.
func (w *Writer) Add(name, raw []byte) error {
	if w.last != nil && bytes.Compare(w.last, name) >= 0 {
		panic(fmt.Sprintf("tree: node %q is added behind %q", name, w.last))
	}
	w.last = append(w.last[:0], name...)
	return w.append(0, name, raw, 1)
}

func (w *Writer) append(level int, last, raw []byte, nodes uint64) error {
	o := w.level(level)
	o.b = append(o.b, raw...)
	o.nodes += nodes
	if n := len(o.b); n >= maxBlock || n >= minBlock && cutBehind(last) {
		return w.close(level, last)
	}
	return nil
}

func cutBehind(name []byte) bool {
	h := fnv.New32a()
	_, _ = h.Write(name)
	return h.Sum32()%cutEvery == 0
}

func (w *Writer) close(level int, last []byte) error {
	o := w.level(level)
	id, err := w.Put(o.b)
	if err != nil {
		return err
	}
	nodes := o.nodes
	o.b, o.nodes = o.b[:blockHeader], 0
	raw, err := index.Marshal(&BlockRef{Last: last, ID: id, Nodes: nodes})
	if err != nil {
		return err
	}
	return w.append(level+1, last, raw, nodes)
}

// Finish stores what is open and returns the handle. The writer may be used again for
// another directory.
func (w *Writer) Finish() (t Handle, err error) {
	w.level(0)
	last := append([]byte(nil), w.last...)
	w.last = nil
	defer func() {
		for i := range w.levels {
			w.levels[i] = openBlock{b: w.levels[i].b[:blockHeader]}
		}
	}()
	for i := 0; ; i++ {
		o := w.level(i)
		if !w.openAbove(i) {
			if i > 0 && w.single(i) {
				ref := BlockRef{}
				if err := index.Unmarshal(o.b[blockHeader:], &ref); err != nil {
					return t, err
				}
				t[0] = byte(i - 1)
				copy(t[1:], ref.ID[:])
				return t, nil
			}
			id, err := w.Put(o.b)
			t[0] = byte(i)
			copy(t[1:], id[:])
			return t, err
		}
		if len(o.b) > blockHeader {
			if err := w.close(i, last); err != nil {
				return t, err
			}
		}
	}
}

// openAbove reports whether a level above i has records.
func (w *Writer) openAbove(i int) bool {
	for _, o := range w.levels[i+1:] {
		if len(o.b) > blockHeader {
			return true
		}
	}
	return false
}

// single reports whether level i holds exactly one reference.
func (w *Writer) single(i int) bool {
	var ref BlockRef
	rest, err := index.UnmarshalFirst(w.levels[i].b[blockHeader:], &ref)
	return err == nil && len(rest) == 0
}

// Cursor walks the nodes of a directory in the order of names, one block per level in
// memory.
type Cursor struct {
	r     *repo.Repository
	stack []blockCursor
	last  []byte
}

type blockCursor struct {
	level int
	b     []byte // records left
}

// Open begins a walk. The first node is the first whose name is at least from.
func Open(ctx context.Context, r *repo.Repository, t Handle, from []byte) (*Cursor, error) {
	c := &Cursor{r: r}
	return c, c.descend(ctx, t.ID(), t.Level(), from)
}

func (c *Cursor) descend(ctx context.Context, id chunk.ID, level int, from []byte) error {
	for {
		b, err := ReadBlock(ctx, c.r, id, level)
		if err != nil {
			return err
		}
		if level == 0 {
			c.stack = append(c.stack, blockCursor{0, b})
			return c.skip(from)
		}
		var ref BlockRef
		for {
			if len(b) == 0 {
				c.stack = append(c.stack, blockCursor{level, nil}) // everything is below from
				return nil
			}
			if b, err = DecodeRef(b, &ref); err != nil {
				return err
			}
			if bytes.Compare(ref.Last, from) >= 0 {
				break
			}
		}
		c.stack = append(c.stack, blockCursor{level, b})
		id, level = ref.ID, level-1
	}
}

func (c *Cursor) skip(from []byte) error {
	top := &c.stack[len(c.stack)-1]
	for len(from) > 0 && len(top.b) > 0 {
		var n Node
		_, rest, err := Decode(top.b, &n)
		if err != nil {
			return err
		}
		if bytes.Compare(n.Name, from) >= 0 {
			return nil
		}
		top.b = rest
	}
	return nil
}

// DecodeRef decodes the first reference of a block above level 0.
func DecodeRef(b []byte, ref *BlockRef) (rest []byte, err error) {
	*ref = BlockRef{}
	if rest, err = index.UnmarshalFirst(b, ref); err != nil {
		return nil, fmt.Errorf("tree block: %w: %v", repo.ErrDamaged, err)
	}
	return rest, nil
}

// ReadBlock returns the records of a block.
func ReadBlock(ctx context.Context, r *repo.Repository, id chunk.ID, level int) ([]byte, error) {
	b, err := r.ReadMeta(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("tree block: %w", err)
	}
	if len(b) < blockHeader || b[0] != 'T' || b[3] != 0 || int(b[2]) != level {
		return nil, fmt.Errorf("tree block %s: %w: not a block of level %d", id, repo.ErrDamaged, level)
	}
	if b[1] != 1 {
		return nil, fmt.Errorf("tree block %s: %w", id, repo.ErrVersion)
	}
	return b[blockHeader:], nil
}

// Next decodes the next node into n, which it overwrites, and returns its encoding.
// The end is io.EOF. n and raw point into shared memory and must not be changed.
func (c *Cursor) Next(ctx context.Context, n *Node) (raw []byte, err error) {
	for len(c.stack) > 0 {
		top := &c.stack[len(c.stack)-1]
		if len(top.b) == 0 {
			c.stack = c.stack[:len(c.stack)-1]
			continue
		}
		if top.level > 0 {
			var ref BlockRef
			if top.b, err = DecodeRef(top.b, &ref); err != nil {
				return nil, err
			}
			if err := c.descend(ctx, ref.ID, top.level-1, nil); err != nil {
				return nil, err
			}
			continue
		}
		*n = Node{}
		raw, top.b, err = Decode(top.b, n)
		if err != nil {
			return nil, err
		}
		if c.last != nil && bytes.Compare(c.last, n.Name) >= 0 {
			return nil, fmt.Errorf("node %q: %w: names are out of order", n.Name, repo.ErrDamaged)
		}
		c.last = append(c.last[:0], n.Name...)
		return raw, nil
	}
	return nil, io.EOF
}

// Lookup finds a node by name in a directory, or repo.ErrNotFound.
func Lookup(ctx context.Context, r *repo.Repository, t Handle, name []byte) (*Node, error) {
	c, err := Open(ctx, r, t, name)
	if err != nil {
		return nil, err
	}
	n := &Node{}
	_, err = c.Next(ctx, n)
	if errors.Is(err, io.EOF) || err == nil && !bytes.Equal(n.Name, name) {
		return nil, fmt.Errorf("%q: %w", name, repo.ErrNotFound)
	}
	return n, err
}
