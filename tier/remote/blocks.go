package remote

import (
	"container/list"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
)

// blockSize is what is fetched at once where reads follow one another. Frames of a pack
// are half a megabyte and less: one request each would wait more than it receives.
const blockSize = 4 << 20

// blocks keeps what was fetched ahead of its readers, least recently used last. A file never
// changes, so that a block is right for as long as it is kept; only healing puts another
// file in the place of a damaged one.
type blocks struct {
	limit int64 // bytes

	mu    sync.Mutex
	size  int64
	known map[blockKey]*list.Element
	order list.List
	ends  map[string]int64 // where the last read of a file ended
}

type blockKey struct {
	name string
	no   int64
}

type block struct {
	key   blockKey
	ready chan struct{} // closed when data and err are there
	data  []byte        // shorter than blockSize only at the end of the file
	err   error
}

// maxEnds bounds the files whose reads are followed.
const maxEnds = 1024

func newBlocks() *blocks {
	return &blocks{
		// Enough for a pack for each worker of a check, which reads every pack twice.
		limit: min(512, max(64, 40*int64(runtime.GOMAXPROCS(0)))) << 20,
		known: map[blockKey]*list.Element{}, ends: map[string]int64{},
	}
}

// follows notes a read, and reports whether it is near the one before, so that the next
// will be near, too.
func (b *blocks) follows(name string, off int64, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, seen := b.ends[name]
	if !seen && len(b.ends) >= maxEnds {
		clear(b.ends)
	}
	b.ends[name] = off + int64(n)
	return seen && off > last-blockSize && off < last+blockSize
}

// find returns a block that is there or on its way, or nil. With begin it returns a new one
// instead of nil, which the caller has to fetch and finish.
func (b *blocks) find(key blockKey, begin bool) (found *block, mine bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.known[key]; ok {
		b.order.MoveToFront(e)
		return e.Value.(*block), false
	}
	if !begin {
		return nil, false
	}
	x := &block{key: key, ready: make(chan struct{})}
	b.known[key] = b.order.PushFront(x)
	for b.size += blockSize; b.size > b.limit && b.order.Len() > 1; {
		b.drop(b.order.Back())
	}
	return x, true
}

// finish hands a block to those who wait for it. One that failed is forgotten.
func (b *blocks) finish(x *block, data []byte, err error) {
	b.mu.Lock()
	x.data, x.err = data, err
	if e, ok := b.known[x.key]; ok && e.Value == any(x) && err != nil {
		b.drop(e)
	}
	b.mu.Unlock()
	close(x.ready)
}

// drop forgets a block. b.mu is held.
func (b *blocks) drop(e *list.Element) {
	delete(b.known, b.order.Remove(e).(*block).key)
	b.size -= blockSize
}

// forget drops the blocks of a file that was replaced or deleted.
func (b *blocks) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ends, name)
	for e := b.order.Front(); e != nil; {
		next := e.Next()
		if e.Value.(*block).key.name == name {
			b.drop(e)
		}
		e = next
	}
}

// readNear fills p from blocks, fetching those that are missing when fetch is set. It
// reports false when p is to be read by itself.
func (s *Store) readNear(ctx context.Context, name string, p []byte, off int64, fetch bool) (n int, ok bool, err error) {
	for n < len(p) {
		at := off + int64(n)
		key := blockKey{name, at / blockSize}
		x, mine := s.blocks.find(key, fetch)
		switch {
		case x == nil:
			return 0, false, nil
		case mine:
			data := make([]byte, blockSize)
			got, err := s.readAt(ctx, name, data, key.no*blockSize)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			s.blocks.finish(x, data[:got:got], err)
		default:
			select {
			case <-x.ready:
			case <-ctx.Done():
				return n, true, s.fail("read", name, context.Cause(ctx))
			}
		}
		if x.err != nil && !mine {
			return 0, false, nil // it failed for someone else, whose context may have ended
		}
		if x.err != nil {
			return n, true, x.err
		}
		from := at - key.no*blockSize
		if from < int64(len(x.data)) {
			n += copy(p[n:], x.data[from:])
		}
		if len(x.data) < blockSize && n < len(p) {
			return n, true, io.EOF
		}
	}
	return n, true, nil
}
