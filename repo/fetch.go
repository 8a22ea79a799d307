package repo

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// Piece is the answer to one chunk asked of Fetch.
type Piece struct {
	Want int    // index in the list of what was asked
	Data []byte // valid until the callback returns; must not be changed
	Err  error  // why the chunk cannot be had; then Data is nil
}

// Fetch reads data chunks in the order in which they lie in packs, each frame once,
// and decodes frames in several goroutines. deliver is called, from several goroutines
// at once, with the pieces of one frame in the order in which they lie; each wanted
// chunk is delivered exactly once, unless an error of deliver ends the whole. IDs were
// checked. wants should be many, since one call sorts only what it is given; memory is
// bounded by the number of workers and of wants.
func (r *Repository) Fetch(ctx context.Context, wants []chunk.ID, workers int, deliver func([]Piece) error) error {
	locs := make([]index.Location, len(wants))
	if err := r.index.Locate(wants, locs); err != nil {
		return err
	}
	order := make([]int, len(wants))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		la, lb := &locs[a], &locs[b]
		return cmp.Or(cmp.Compare(la.Pack, lb.Pack), cmp.Compare(la.FrameNo, lb.FrameNo), cmp.Compare(la.Offset, lb.Offset))
	})
	f := &fetch{r: r, wants: wants, locs: locs, groups: groupByFrame(order, locs), deliver: deliver}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range max(1, workers) {
		wg.Go(func() {
			if err := f.work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

type fetch struct {
	r       *Repository
	wants   []chunk.ID
	locs    []index.Location
	groups  [][]int // indexes of wants, one frame each
	next    atomic.Int64
	deliver func([]Piece) error
}

func groupByFrame(order []int, locs []index.Location) (groups [][]int) {
	for from := 0; from < len(order); {
		to := from + 1
		first := &locs[order[from]]
		for to < len(order) && locs[order[to]].Pack == first.Pack && locs[order[to]].FrameNo == first.FrameNo {
			to++
		}
		groups = append(groups, order[from:to])
		from = to
	}
	return groups
}

func (f *fetch) work(ctx context.Context) error {
	h := chunk.NewHasher(f.r.ring.dataKey)
	dec := decompressors.Get().(*pack.Decompressor)
	defer decompressors.Put(dec)
	var frame []byte
	var pieces []Piece
	for {
		i := int(f.next.Add(1)) - 1
		if i >= len(f.groups) || ctx.Err() != nil {
			return nil
		}
		group, err := f.groups[i], error(nil)
		pieces = pieces[:0]
		loc := f.locs[group[0]]
		if loc.Pack != 0 {
			frame, err = f.r.decode(frame, loc, dec)
		}
		for _, w := range group {
			pieces = append(pieces, f.piece(ctx, w, frame, err, h))
		}
		if err := f.deliver(pieces); err != nil {
			return err
		}
	}
}

// piece cuts one chunk out of a frame, or looks for it elsewhere when that fails.
func (f *fetch) piece(ctx context.Context, w int, frame []byte, err error, h *chunk.Hasher) Piece {
	id, loc := f.wants[w], f.locs[w]
	var data []byte
	switch {
	case loc.Pack == 0:
		err = nowhereError(id)
	case err == nil:
		data, err = f.r.cutChunk(frame, id, loc, h)
	}
	if err != nil {
		if other, oerr := f.r.readChunk(ctx, id, f.r.ring.dataKey); oerr == nil {
			data, err = other, nil
		}
	}
	if err != nil {
		return Piece{Want: w, Err: err}
	}
	return Piece{Want: w, Data: data}
}

// decode reads a frame into buf, which grows as needed.
func (r *Repository) decode(buf []byte, loc index.Location, dec *pack.Decompressor) ([]byte, error) {
	reader, err := r.packs.get(loc.Pack)
	if err != nil {
		return buf, err
	}
	out, err := reader.ReadFrame(buf[:0], loc.Frame, dec)
	if err != nil {
		p, perr := r.index.Pack(loc.Pack)
		if perr != nil {
			return buf, perr
		}
		return buf, r.packError(p, err)
	}
	return out, nil
}
