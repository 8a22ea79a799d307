package repo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/firnstore/firn/chunk"
)

// Content is a handle of a stream of any length; docs/format.md, section 8. Its zero
// value is the empty stream.
type Content [41]byte

const (
	formInline = 0
	formChunk  = 1
	formList   = 2 // + level

	inlineMax    = 32
	maxListLevel = 6
	listHeader   = 4
	listEntry    = 40
	maxEntries   = 4096
	minEntries   = 128
	entriesMask  = 0x1ff // of the ID, decides where a list is cut: 640 entries on average
)

// ParseContent checks the form of a handle.
func ParseContent(b []byte) (c Content, err error) {
	if len(b) != len(c) {
		return c, fmt.Errorf("content handle of %d bytes: %w", len(b), ErrDamaged)
	}
	copy(c[:], b)
	size := binary.BigEndian.Uint64(c[1:])
	switch {
	case size > 1<<63-1, c[0] > formList+maxListLevel:
	case c[0] == formInline && (size > inlineMax || !chunk.IsZero(c[9+size:])):
	case c[0] == formChunk && (size == 0 || size > chunk.MaxSize):
	default:
		return c, nil
	}
	return c, fmt.Errorf("content handle %x: %w", b, ErrDamaged)
}

func newContent(form byte, size int64, body []byte) (c Content) {
	c[0] = form
	binary.BigEndian.PutUint64(c[1:], uint64(size))
	copy(c[9:], body)
	return c
}

// Size of the stream in bytes.
func (c Content) Size() int64 { return int64(binary.BigEndian.Uint64(c[1:])) }

func (c Content) id() chunk.ID { return chunk.ID(c[9:]) }

// Inline returns the bytes of a content that needs no chunk.
func (c Content) Inline() (data []byte, ok bool) {
	if c[0] != formInline {
		return nil, false
	}
	return c[9 : 9+c.Size()], true
}

// Extent is a chunk or a hole of a content.
type Extent struct {
	Off, Len int64
	ID       chunk.ID // zero for a hole
}

// Hole reports whether the extent is a run of zeros without a chunk.
func (e Extent) Hole() bool { return e.ID.IsZero() }

// Extents walks the chunks and holes of a content in order. It reads lists as it
// goes and holds one per level.
type Extents struct {
	r     *Repository
	c     Content
	stack []listCursor
	off   int64
	done  bool
}

// listCursor is a list and the entry that comes next in it.
type listCursor struct {
	entries []byte
	off     int64 // in the stream, of the next entry
}

// Extents begins a walk at the extent that holds off. It is not for inline contents.
func (r *Repository) Extents(ctx context.Context, c Content, off int64) (*Extents, error) {
	x := &Extents{r: r, c: c, off: off}
	if c[0] < formList {
		return x, nil
	}
	return x, x.descend(ctx, c.id(), int(c[0]-formList), 0, c.Size())
}

// descend opens list id, which covers span bytes from start on, and below it the list
// that holds x.off.
func (x *Extents) descend(ctx context.Context, id chunk.ID, level int, start, span int64) error {
	for {
		entries, err := x.r.readList(ctx, id, level, span)
		if err != nil {
			return err
		}
		cur := listCursor{entries: entries, off: start}
		for len(cur.entries) > listEntry && cur.off+entrySpan(cur.entries) <= x.off {
			cur.off += entrySpan(cur.entries)
			cur.entries = cur.entries[listEntry:]
		}
		if level == 0 {
			x.stack = append(x.stack, cur)
			return nil
		}
		id, start, span = entryID(cur.entries), cur.off, entrySpan(cur.entries)
		cur.off += span
		cur.entries = cur.entries[listEntry:]
		x.stack = append(x.stack, cur)
		level--
	}
}

func entrySpan(b []byte) int64  { return int64(binary.BigEndian.Uint64(b)) }
func entryID(b []byte) chunk.ID { return chunk.ID(b[8:listEntry]) }

// Next returns the next extent, or io.EOF.
func (x *Extents) Next(ctx context.Context) (Extent, error) {
	if x.c[0] == formChunk {
		if x.done {
			return Extent{}, io.EOF
		}
		x.done = true
		return Extent{Off: 0, Len: x.c.Size(), ID: x.c.id()}, nil
	}
	for len(x.stack) > 0 {
		cur := &x.stack[len(x.stack)-1]
		if len(cur.entries) == 0 {
			x.stack = x.stack[:len(x.stack)-1]
			continue
		}
		e := Extent{Off: cur.off, Len: entrySpan(cur.entries), ID: entryID(cur.entries)}
		cur.entries = cur.entries[listEntry:]
		cur.off += e.Len
		level := int(x.c[0]-formList) + 1 - len(x.stack)
		if level == 0 {
			return e, nil
		}
		x.off = e.Off
		if err := x.descend(ctx, e.ID, level-1, e.Off, e.Len); err != nil {
			return Extent{}, err
		}
	}
	return Extent{}, io.EOF
}

// readList returns the entries of a list after checking that they add up to span.
func (r *Repository) readList(ctx context.Context, id chunk.ID, level int, span int64) ([]byte, error) {
	b, err := r.ReadMeta(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("chunk list: %w", err)
	}
	return parseList(id, b, level, span)
}

func parseList(id chunk.ID, b []byte, level int, span int64) ([]byte, error) {
	bad := func(what string) error {
		return fmt.Errorf("chunk list %s: %w: %s", id, ErrDamaged, what)
	}
	if len(b) < listHeader || b[0] != 'L' || b[3] != 0 {
		return nil, bad("not a list")
	}
	if b[1] != 1 {
		return nil, fmt.Errorf("chunk list %s: %w", id, ErrVersion)
	}
	entries := b[listHeader:]
	n := len(entries) / listEntry
	if int(b[2]) != level || n == 0 || n > maxEntries || n*listEntry != len(entries) {
		return nil, bad("level or length is wrong")
	}
	var sum int64
	for e := entries; len(e) > 0; e = e[listEntry:] {
		s := entrySpan(e)
		if s <= 0 || s > span-sum || level > 0 && entryID(e).IsZero() {
			return nil, bad("spans do not add up")
		}
		sum += s
	}
	if sum != span {
		return nil, bad("spans do not add up")
	}
	return entries, nil
}

// Reader reads a content at any offset. ReadAt is safe for concurrent use.
type Reader struct {
	ctx context.Context
	r   *Repository
	c   Content
}

// OpenContent returns a reader of a content; ctx holds for its whole life. Random
// access reads one list per level. Wrap it in io.NewSectionReader to Read and Seek.
func (r *Repository) OpenContent(ctx context.Context, c Content) *Reader {
	return &Reader{ctx: ctx, r: r, c: c}
}

// Size of the stream in bytes.
func (rd *Reader) Size() int64 { return rd.c.Size() }

// ReadAt implements io.ReaderAt.
func (rd *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("read content: negative offset")
	}
	size := rd.c.Size()
	if off >= size {
		return 0, io.EOF
	}
	if data, ok := rd.c.Inline(); ok {
		n = copy(p, data[off:])
	} else {
		want := p[:min(int64(len(p)), size-off)]
		if err := rd.fill(want, off); err != nil {
			return 0, err
		}
		n = len(want)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteTo writes the whole stream to w.
func (rd *Reader) WriteTo(w io.Writer) (n int64, err error) {
	if data, ok := rd.c.Inline(); ok {
		k, err := w.Write(data)
		return int64(k), err
	}
	x, err := rd.r.Extents(rd.ctx, rd.c, 0)
	if err != nil {
		return 0, err
	}
	for {
		e, err := x.Next(rd.ctx)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		k, err := rd.writeExtent(w, e)
		n += k
		if err != nil {
			return n, err
		}
	}
}

var zeros [64 << 10]byte

func (rd *Reader) writeExtent(w io.Writer, e Extent) (n int64, err error) {
	if e.Hole() {
		for n < e.Len && err == nil {
			var k int
			k, err = w.Write(zeros[:min(int64(len(zeros)), e.Len-n)])
			n += int64(k)
		}
		return n, err
	}
	data, err := rd.r.readData(rd.ctx, e)
	if err != nil {
		return 0, err
	}
	k, err := w.Write(data)
	return int64(k), err
}

func (rd *Reader) fill(p []byte, off int64) error {
	x, err := rd.r.Extents(rd.ctx, rd.c, off)
	if err != nil {
		return err
	}
	for len(p) > 0 {
		e, err := x.Next(rd.ctx)
		if err != nil {
			return err
		}
		skip := off - e.Off
		n := int(min(e.Len-skip, int64(len(p))))
		if e.Hole() {
			clear(p[:n])
		} else {
			data, err := rd.r.readData(rd.ctx, e)
			if err != nil {
				return err
			}
			copy(p[:n], data[skip:])
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// readData returns the chunk of an extent.
func (r *Repository) readData(ctx context.Context, e Extent) ([]byte, error) {
	data, err := r.readChunk(ctx, e.ID, r.ring.dataKey)
	if err == nil && int64(len(data)) != e.Len {
		err = fmt.Errorf("chunk %s: %w: it has %d bytes, its list says %d", e.ID, ErrDamaged, len(data), e.Len)
	}
	return data, err
}

// listBuilder makes the tree of chunk lists of one content, with one open list per
// level. Lists are cut by the IDs in them, so that those before and behind a change
// stay the same.
type listBuilder struct {
	put    func(list []byte) (chunk.ID, error)
	levels []openList
	size   int64
}

type openList struct {
	b    []byte
	span int64
}

func (l *listBuilder) add(level int, span int64, id chunk.ID) error {
	if level == len(l.levels) {
		l.levels = append(l.levels, openList{b: []byte{'L', 1, byte(level), 0}})
	}
	o := &l.levels[level]
	if level == 0 {
		l.size += span
		if n := len(o.b); id.IsZero() && n > listHeader && chunk.IsZero(o.b[n-32:]) {
			last := o.b[n-listEntry:]
			binary.BigEndian.PutUint64(last, uint64(entrySpan(last)+span))
			o.span += span
			return nil
		}
	}
	o.b = append(binary.BigEndian.AppendUint64(o.b, uint64(span)), id[:]...)
	o.span += span
	n := (len(o.b) - listHeader) / listEntry
	if n == maxEntries || n >= minEntries && binary.BigEndian.Uint16(id[:])&entriesMask == entriesMask {
		return l.close(level)
	}
	return nil
}

func (l *listBuilder) close(level int) error {
	o := &l.levels[level]
	id, err := l.put(o.b)
	if err != nil {
		return err
	}
	span := o.span
	o.b, o.span = o.b[:listHeader], 0
	return l.add(level+1, span, id)
}

// join adds a whole content behind what is there, without reading it: its chunk, or the
// root of its lists.
func (l *listBuilder) join(c Content) error {
	switch {
	case c.Size() == 0:
		return nil
	case c[0] == formInline:
		return fmt.Errorf("join an inline content of %d bytes: %w", c.Size(), ErrDamaged)
	case c[0] == formChunk:
		return l.add(0, c.Size(), c.id())
	}
	level := int(c[0] - formList)
	for n := 0; n <= level; n++ { // what is open below comes before it
		if n < len(l.levels) && len(l.levels[n].b) > listHeader {
			if err := l.close(n); err != nil {
				return err
			}
		}
	}
	for len(l.levels) <= level+1 {
		l.levels = append(l.levels, openList{b: []byte{'L', 1, byte(len(l.levels)), 0}})
	}
	l.size += c.Size()
	return l.add(level+1, c.Size(), c.id())
}

// finish returns the handle. The builder cannot be used after it.
func (l *listBuilder) finish() (Content, error) {
	for level := 0; level < len(l.levels); level++ {
		o := &l.levels[level]
		entries := (len(o.b) - listHeader) / listEntry
		top := level == len(l.levels)-1
		if top && entries == 1 && level > 0 {
			return newContent(formList+byte(level-1), l.size, o.b[listHeader+8:]), nil
		}
		if top && entries == 1 && !entryID(o.b[listHeader:]).IsZero() {
			return newContent(formChunk, l.size, o.b[listHeader+8:]), nil
		}
		if entries > 0 {
			if err := l.close(level); err != nil {
				return Content{}, err
			}
		}
	}
	return Content{}, nil
}
