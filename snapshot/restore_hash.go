package snapshot

import (
	"errors"
	"slices"
	"sync"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/repo"
)

// hashers name chunks of what lies on this machine, so that what is in place already need
// not be fetched.
type hashers struct{ pool sync.Pool }

func hasherOf(r *repo.Repository) *hashers {
	return &hashers{pool: sync.Pool{New: func() any { return r.Hasher() }}}
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
	if f.way != rewrite || f.fresh || s.off+s.n > f.size || s.n > chunk.MaxSize {
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
