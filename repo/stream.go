package repo

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/firnstore/firn/chunk"
)

// Source is a stream to be stored. Read is that of io.Reader.
type Source interface {
	io.Reader
}

// Skipper is a Source that knows its holes. Skip returns the length of the hole at the
// present position and goes behind it; 0 when there is data, or the end. A hole has
// to read as zeros.
type Skipper interface {
	Source
	Skip() (int64, error)
}

// Stream stores a stream of any length. base, when it has the handle of an earlier
// state of the same stream, makes unchanged stretches go at the speed of hashing: the
// cut behind a boundary depends only on the bytes that follow, so a chunk of the
// known length with the known ID is the chunk that cutting would give. progress, if
// not nil, is called with bytes that are done. A failure to read src is a SourceError
// and leaves the Ingest usable.
func (in *Ingest) Stream(src Source, base *Content, progress func(n int64)) (Content, error) {
	select {
	case in.streams <- struct{}{}:
		defer func() { <-in.streams }()
	case <-in.ctx.Done():
		return Content{}, context.Cause(in.ctx)
	}
	ring := in.s.r.ring
	st := &stream{
		in: in, src: src, progress: progress,
		split:    splitter{cutter: ring.cutter},
		list:     listBuilder{put: in.Meta},
		slabSize: in.opt.SlabSize,
	}
	if base != nil && base.Size() > inlineMax && ring.metaID != nil {
		st.known = newKnown(in.ctx, in.s.r, *base)
		st.hasher = chunk.NewHasher(ring.dataKey)
	}
	err := st.run()
	for len(st.queue) > 0 { // on failure, wait for the workers all the same
		if rerr := st.reap(); err == nil {
			err = rerr
		}
	}
	if st.slab != nil {
		in.slabs <- st.slab
	}
	if err != nil {
		return Content{}, err
	}
	return st.list.finish()
}

// SourceError is a failure to read what was to be stored.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "read: " + e.Err.Error() }

// Unwrap returns the error of the source.
func (e *SourceError) Unwrap() error { return e.Err }

// stream is one run of Ingest.Stream.
type stream struct {
	in       *Ingest
	src      Source
	split    splitter
	list     listBuilder
	known    *known
	hasher   *chunk.Hasher
	progress func(int64)
	slabSize int

	slab  []byte
	have  int   // bytes in slab, from split.base on
	zeros int64 // of a hole of the source, behind them
	eof   bool  // nothing comes behind those
	queue []*batch
}

// batch is a piece of a stream on its way through a worker.
type batch struct {
	spans  []span
	chunks []span     // the spans that are not holes
	ids    []chunk.ID // of chunks; found by the worker, or before it when known
	done   chan error // nil when no worker is needed
}

// maxBatches bounds the pieces of one stream that are in flight, beside the slabs.
const maxBatches = 8

func (st *stream) run() error {
	if err := st.renew(0); err != nil {
		return err
	}
	for {
		if err := st.fill(); err != nil {
			return err
		}
		final := st.eof && st.zeros == 0
		if final && st.split.base == 0 && st.have == 0 {
			return nil
		}
		b := &batch{}
		used := st.cut(b, final)
		if used == 0 && st.have == len(st.slab) {
			panic("repo: a full slab holds no chunk")
		}
		if err := st.dispatch(b, used); err != nil {
			return err
		}
		if final && st.have == 0 {
			return nil
		}
	}
}

// fill reads until the slab is full or the source ends.
func (st *stream) fill() error {
	skipper, _ := st.src.(Skipper)
	for st.have < len(st.slab) && (!st.eof || st.zeros > 0) {
		if st.zeros > 0 {
			if st.split.inHole && st.have == 0 && st.zeros >= holeBlock {
				st.bulkHole()
				continue
			}
			n := int(min(st.zeros, int64(len(st.slab)-st.have)))
			clear(st.slab[st.have : st.have+n])
			st.have, st.zeros = st.have+n, st.zeros-int64(n)
			continue
		}
		if skipper != nil {
			n, err := skipper.Skip()
			if err != nil {
				return &SourceError{err}
			}
			if n > 0 {
				st.zeros = n
				continue
			}
		}
		n, err := st.src.Read(st.slab[st.have:min(st.have+1<<20, len(st.slab))])
		st.have += n
		if errors.Is(err, io.EOF) {
			st.eof = true
		} else if err != nil {
			return &SourceError{err}
		}
	}
	return nil
}

// bulkHole passes over the whole blocks of a hole without looking at them.
func (st *stream) bulkHole() {
	n := st.zeros &^ (holeBlock - 1)
	for left := n; left > 0; {
		k := min(left, 1<<30)
		st.queue = append(st.queue, &batch{spans: []span{{n: int(k), hole: true}}})
		left -= k
	}
	st.zeros -= n
	st.split.base += n
}

// cut finds the chunks of the slab and returns how much of it they cover.
func (st *stream) cut(b *batch, final bool) (used int) {
	if st.known == nil {
		b.spans, used = st.split.split(nil, st.slab[:st.have], final, 0)
		for _, s := range b.spans {
			if !s.hole {
				b.chunks = append(b.chunks, s)
			}
		}
		return used
	}
	for used < st.have {
		if e, ok := st.known.at(st.split.base); ok {
			if used+int(e.Len) > st.have && !final {
				break
			}
			if used+int(e.Len) <= st.have && st.hasher.ID(st.slab[used:used+int(e.Len)]) == e.ID {
				s := span{off: used, n: int(e.Len)}
				b.spans, b.chunks, b.ids = append(b.spans, s), append(b.chunks, s), append(b.ids, e.ID)
				used += s.n
				st.split.base += e.Len
				st.split.inHole = false
				continue
			}
		}
		n := st.cutOne(b, used, final)
		if n == 0 {
			break
		}
		used += n
	}
	return used
}

// cutOne cuts up to one chunk at slab offset from, and looks whether the earlier state
// knows it.
func (st *stream) cutOne(b *batch, from int, final bool) (used int) {
	off := st.split.base
	spans, used := st.split.split(nil, st.slab[from:st.have], final, 1)
	for _, s := range spans {
		start := off + int64(s.off)
		s.off += from
		b.spans = append(b.spans, s)
		if s.hole {
			continue
		}
		id := st.hasher.ID(st.slab[s.off : s.off+s.n])
		b.chunks, b.ids = append(b.chunks, s), append(b.ids, id)
		st.known.found(id, start)
	}
	return used
}

// renew takes a fresh slab and moves what is left of the old one, from used on, to it.
// The old one belongs to a worker from then on.
func (st *stream) renew(used int) error {
	select {
	case slab := <-st.in.slabs:
		if slab == nil {
			slab = make([]byte, st.slabSize)
		}
		st.have = copy(slab, st.slab[used:max(used, st.have)])
		st.slab = slab
		return nil
	case <-st.in.ctx.Done():
		return context.Cause(st.in.ctx)
	}
}

// dispatch hands the piece to a worker.
func (st *stream) dispatch(b *batch, used int) error {
	if len(b.spans) == 0 {
		return nil
	}
	if len(b.chunks) == 0 {
		st.queue = append(st.queue, b)
		st.have = copy(st.slab, st.slab[used:st.have])
		return st.reapTo(maxBatches)
	}
	slab := st.slab
	if err := st.renew(used); err != nil {
		return err
	}
	b.done = make(chan error, 1)
	st.queue = append(st.queue, b)
	job := func(w *Worker) error {
		err := w.add(slab, b.chunks, b.ids)
		b.ids = append(b.ids[:0], w.ids...)
		w.in.slabs <- slab
		b.done <- err
		return err
	}
	if err := st.in.Do(job); err != nil {
		st.in.slabs <- slab
		b.done <- err
		return err
	}
	return st.reapTo(maxBatches)
}

func (st *stream) reapTo(n int) error {
	for len(st.queue) > n {
		if err := st.reap(); err != nil {
			return err
		}
	}
	return nil
}

// reap waits for the oldest piece and adds it to the list.
func (st *stream) reap() error {
	b := st.queue[0]
	st.queue = st.queue[1:]
	if b.done != nil {
		if err := <-b.done; err != nil {
			return err
		}
	}
	next, total := 0, int64(0)
	for _, s := range b.spans {
		var id chunk.ID
		if !s.hole {
			id = b.ids[next]
			next++
		}
		if err := st.list.add(0, int64(s.n), id); err != nil {
			return fmt.Errorf("store chunk list: %w", err)
		}
		total += int64(s.n)
	}
	if st.progress != nil {
		st.progress(total)
	}
	return nil
}
