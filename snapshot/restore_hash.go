package snapshot

import (
	"errors"
	"slices"
	"sync"

	"github.com/firnstore/firn/chunk"
)

// hashers name chunks of what lies on this machine. Repositories keep their chunk key to
// themselves; where one hands out hashers, what is in place already is found without
// fetching it, and else by comparing with what was fetched.
type hashers struct{ pool sync.Pool }

func hasherOf(r any) *hashers {
	h, ok := r.(interface{ Hasher() *chunk.Hasher })
	if !ok {
		return nil
	}
	return &hashers{pool: sync.Pool{New: func() any { return h.Hasher() }}}
}

func (h *hashers) id(data []byte) chunk.ID {
	hasher := h.pool.Get().(*chunk.Hasher)
	defer h.pool.Put(hasher)
	return hasher.ID(data)
}

// has reports whether a chunk need not be fetched: it is in place, or the file has
// failed.
func (f *outFile) has(s spot, id chunk.ID, buf *[]byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return true
	}
	if f.rs.hasher == nil || f.way != rewrite || f.fresh || s.off+s.n > f.size || s.n > chunk.MaxSize {
		return false
	}
	if f.keep(f.ready()); f.err != nil {
		return true
	}
	*buf = slices.Grow((*buf)[:0], int(s.n))[:s.n]
	n, err := f.h.readAt(*buf, s.off)
	f.keep(err)
	f.rest()
	return err == nil && int64(n) == s.n && f.rs.hasher.id(*buf) == id
}

func isUnsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
