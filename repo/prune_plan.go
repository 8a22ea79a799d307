package repo

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// packUse is a pack and what of it is needed: all that the plan of a prune knows.
type packUse struct {
	Num    index.PackNum
	ID     pack.ID
	Kind   pack.Kind
	Stream string
	Days   uint64

	Size   int64 // sealed bytes
	Bytes  int64 // of its chunks before compression,
	Live   int64 // and of those that are needed and have no better place
	Chunks int
	Used   int // chunks of Live

	Embedded bool // in a commit: dropping it frees nothing
	Held     bool // its session is under way
	Fixed    bool // it cannot be read: for want of a key, or it is damaged
}

// dead is an estimate of the sealed bytes that nobody needs.
func (u *packUse) dead() int64 {
	if u.Bytes == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(u.Size), uint64(u.Bytes-u.Live))
	q, _ := bits.Div64(hi, lo, uint64(u.Bytes))
	return int64(q)
}

// share is the dead share in millionths.
func (u *packUse) share() int64 {
	if u.Bytes == 0 {
		return 0
	}
	return (u.Bytes - u.Live) * 1_000_000 / u.Bytes
}

// planOptions bound a plan.
type planOptions struct {
	MaxUnused  float64 // share of the bytes of all pack files that may be dead
	MaxRewrite int64   // sealed bytes to be written again; 0: no bound
}

// prunePlan says what becomes of packs. Its lists are in the order of pack IDs, but
// Repack, which keeps those together that can share new packs.
type prunePlan struct {
	Drop   []packUse // nothing of them is needed
	Repack []packUse // what is needed of them is written again
	Held   []packUse // kept, and all the following too: their session is under way
	Inside []packUse // partly dead, in commits
	Fixed  []packUse // worth to be written again, but cannot be read
	Later  []packUse // worth to be written again, but not in this run
	Unused int64     // dead sealed bytes that stay, by estimate,
	Total  int64     // of so many in files of packs
}

// Small packs of the same stream and size are joined when there are joinMin of them: so
// each byte is written again about once for each class of size.
const (
	joinBelow = defaultPackSize / 4
	joinMin   = 8
)

// planPrune decides what becomes of packs. It is a pure function.
//
// Packs that nobody needs are dropped. Of the others, those with the largest dead share
// are written again until so little is dead as MaxUnused allows; a pack with a smaller
// share than that need never be. Then small packs are joined.
func planPrune(packs []packUse, opt planOptions) *prunePlan {
	packs = slices.Clone(packs)
	slices.SortFunc(packs, func(a, b packUse) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	p := &prunePlan{}
	var some []packUse // in files, partly needed
	for _, u := range packs {
		switch {
		case u.Held:
			p.Held = append(p.Held, u)
			p.count(&u)
		case u.Used == 0:
			p.Drop = append(p.Drop, u)
		case !u.Embedded:
			some = append(some, u)
			p.count(&u)
		case u.Live < u.Bytes:
			p.Inside = append(p.Inside, u)
		}
	}
	b := allowance{left: opt.MaxRewrite, bounded: opt.MaxRewrite > 0}
	rest := p.repack(some, opt, &b)
	p.join(rest, &b)
	slices.SortStableFunc(p.Repack, func(x, y packUse) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Stream, y.Stream), cmp.Compare(x.Days, y.Days), bytes.Compare(x.ID[:], y.ID[:]))
	})
	return p
}

func (p *prunePlan) count(u *packUse) {
	if !u.Embedded {
		p.Total += u.Size
		p.Unused += u.dead()
	}
}

// allowance bounds the bytes that are written again.
type allowance struct {
	left    int64
	bounded bool
}

func (b *allowance) take(u *packUse) bool {
	n := u.Size - u.dead()
	if b.bounded && n > b.left {
		return false
	}
	b.left -= n
	return true
}

// repack chooses packs for their dead share and returns the others.
func (p *prunePlan) repack(some []packUse, opt planOptions, b *allowance) (rest []packUse) {
	slices.SortStableFunc(some, func(x, y packUse) int { return cmp.Compare(y.share(), x.share()) })
	for _, u := range some {
		worth := u.Live < u.Bytes && float64(p.Unused) > opt.MaxUnused*float64(p.Total)
		switch {
		case worth && u.Fixed:
			p.Fixed = append(p.Fixed, u)
		case worth && !b.take(&u):
			p.Later = append(p.Later, u)
		case worth:
			p.Repack = append(p.Repack, u)
			p.Unused -= u.dead()
			p.Total -= u.dead()
		case !u.Fixed:
			rest = append(rest, u)
		}
	}
	return rest
}

// join chooses small packs that together make larger ones.
func (p *prunePlan) join(rest []packUse, b *allowance) {
	type class struct {
		kind   pack.Kind
		stream string
		days   uint64
		size   int
	}
	groups := map[class][]packUse{}
	for _, u := range rest {
		if u.Size < joinBelow {
			c := class{u.Kind, u.Stream, u.Days, bits.Len64(uint64(u.Size)) / 2}
			groups[c] = append(groups[c], u)
		}
	}
	var order []class
	for c, g := range groups {
		if len(g) >= joinMin {
			order = append(order, c)
		}
	}
	slices.SortFunc(order, func(x, y class) int {
		return cmp.Or(cmp.Compare(x.kind, y.kind), cmp.Compare(x.stream, y.stream), cmp.Compare(x.days, y.days), cmp.Compare(x.size, y.size))
	})
	for _, c := range order {
		g := groups[c]
		slices.SortFunc(g, func(x, y packUse) int { return bytes.Compare(x.ID[:], y.ID[:]) })
		try, n := *b, 0
		for n < len(g) && try.take(&g[n]) {
			n++
		}
		if n < joinMin {
			p.Later = append(p.Later, g...)
			continue
		}
		*b = try
		for i := range g[:n] {
			p.Repack = append(p.Repack, g[i])
			p.Unused -= g[i].dead()
			p.Total -= g[i].dead()
		}
		p.Later = append(p.Later, g[n:]...)
	}
}
