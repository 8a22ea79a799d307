package repo

import (
	"context"

	"github.com/firnstore/firn/chunk"
)

// known walks the chunks of an earlier state of a stream beside the present one.
type known struct {
	ctx    context.Context
	r      *Repository
	x      *Extents
	window []Extent // of the earlier state, around the present offset
	shift  int64    // present offset less earlier offset
	ended  bool
}

// windowLen is how many extents of the earlier state are kept: an insertion up to about
// half of them long is seen through.
const windowLen = 512

// newKnown returns nil when the lists of base cannot be read: they only save time.
func newKnown(ctx context.Context, r *Repository, base Content) *known {
	x, err := r.Extents(ctx, base, 0)
	if err != nil {
		return nil
	}
	return &known{ctx: ctx, r: r, x: x}
}

func (k *known) read() bool {
	if k.ended {
		return false
	}
	e, err := k.x.Next(k.ctx)
	if err != nil {
		k.ended = true // the end, or lists that cannot be read
		return false
	}
	k.window = append(k.window, e)
	return true
}

// at returns the chunk that is at off if nothing changed. It is not given when the
// earlier chunk ended for another reason than its bytes: a hole or the end behind it.
func (k *known) at(off int64) (Extent, bool) {
	i := 0
	for {
		for i < len(k.window) && k.window[i].Off+k.shift < off {
			i++
		}
		if i+1 < len(k.window) || !k.read() {
			break
		}
	}
	if drop := i - windowLen/2; drop > 0 {
		k.window = append(k.window[:0], k.window[drop:]...)
		i -= drop
	}
	if i+1 >= len(k.window) {
		return Extent{}, false
	}
	e := k.window[i]
	return e, e.Off+k.shift == off && !e.Hole() && !k.window[i+1].Hole()
}

// found tells that chunk id was found at off by cutting. When the earlier state has it
// near, both are aligned there.
func (k *known) found(id chunk.ID, off int64) {
	for len(k.window) < windowLen && k.read() {
	}
	for _, e := range k.window {
		if e.ID == id {
			k.shift = off - e.Off
			return
		}
	}
}
