package damage

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
)

// kinds of faults, as they are counted.
const (
	flip     = "bits flipped"
	truncate = "files cut off"
	remove   = "files removed"
	swap     = "pairs of files exchanged"
	appended = "files with bytes behind their end"
	rollback = "older or other valid files in their place"
	smear    = "stretches of bytes overwritten"
)

// smearSize is how many bytes a smear overwrites: less than a block of parity.
const smearSize = 200

// fault is one piece of damage.
type fault struct {
	kind  string
	file  string
	other string // exchanged with, or a word about where the bytes come from
	at    int    // bit, or length
	with  files  // the files to put in place: of a rollback
}

func (f *fault) String() string {
	s := fmt.Sprintf("%s: %s", f.kind, f.file)
	switch f.kind {
	case flip:
		s += fmt.Sprintf(", bit %d of byte %d", f.at%8, f.at/8)
	case smear:
		s += fmt.Sprintf(", from byte %d", f.at)
	case truncate, appended:
		s += fmt.Sprintf(", %d bytes", f.at)
	}
	if f.other != "" {
		s += ", " + f.other
	}
	return s
}

// apply returns what is left of whole; it is not changed.
func (f *fault) apply(whole files) files {
	damaged := maps.Clone(whole)
	b := whole[f.file]
	switch f.kind {
	case flip:
		b = bytes.Clone(b)
		b[f.at/8] ^= 1 << (f.at % 8)
		damaged[f.file] = b
	case truncate:
		damaged[f.file] = b[:f.at:f.at]
	case remove:
		delete(damaged, f.file)
	case swap:
		damaged[f.file], damaged[f.other] = whole[f.other], whole[f.file]
	case smear:
		b = bytes.Clone(b)
		for i := f.at; i < min(f.at+smearSize, len(b)); i++ {
			b[i] ^= 0x5a
		}
		damaged[f.file] = b
	case appended:
		damaged[f.file] = append(b[:len(b):len(b)], bytes.Repeat(b[:1], f.at)...)
	case rollback:
		for name, b := range f.with {
			if damaged[name] = b; b == nil {
				delete(damaged, name)
			}
		}
	}
	return damaged
}

func isPack(name string) bool { return strings.HasPrefix(name, "packs/") }

// place is a position in a file.
type place struct {
	file string
	at   int
}

// plan deals out the faults of a fixture: each of those of which there are few, and flips and
// cuts between and after them. Of all files but packs it deals every bit and every length once,
// in an order that the seed decides; of packs as many, at random.
type plan struct {
	rng     *rand.Rand
	whole   files
	packs   []string
	few     []fault
	flips   []place // that are left
	cuts    []place
	dealt   int
	covered [2]int // bits and lengths dealt of files that are no packs,
	all     [2]int // of so many
}

func newPlan(f *fixture, seed uint64) *plan {
	p := &plan{rng: rand.New(rand.NewPCG(seed, 1)), whole: f.files}
	names := f.files.names()
	for i, name := range names {
		p.few = append(p.few, fault{kind: remove, file: name})
		for _, n := range []int{1, 16, len(f.files[name])} {
			p.few = append(p.few, fault{kind: appended, file: name, at: n})
		}
		for _, other := range names[i+1:] {
			p.few = append(p.few, fault{kind: swap, file: name, other: other})
		}
		if isPack(name) {
			p.packs = append(p.packs, name)
			continue
		}
		for at := range len(f.files[name]) {
			p.cuts = append(p.cuts, place{name, at})
			for bit := range 8 {
				p.flips = append(p.flips, place{name, at*8 + bit})
			}
		}
	}
	for i, old := range f.older {
		p.rollbacks(i, old)
	}
	p.all = [2]int{len(p.flips), len(p.cuts)}
	p.rng.Shuffle(len(p.few), func(i, j int) { p.few[i], p.few[j] = p.few[j], p.few[i] })
	p.rng.Shuffle(len(p.flips), func(i, j int) { p.flips[i], p.flips[j] = p.flips[j], p.flips[i] })
	p.rng.Shuffle(len(p.cuts), func(i, j int) { p.cuts[i], p.cuts[j] = p.cuts[j], p.cuts[i] })
	return p
}

// rollbacks are each single file of another state, and all of that state.
func (p *plan) rollbacks(n int, old files) {
	all := files{}
	for name, b := range p.whole {
		all[name] = old[name]
		if there, ok := old[name]; ok && !bytes.Equal(there, b) {
			p.few = append(p.few, fault{kind: rollback, file: name, other: fmt.Sprintf("of state %d", n), with: files{name: there}})
		}
	}
	for name, b := range old {
		all[name] = b
	}
	p.few = append(p.few, fault{kind: rollback, file: everything, other: fmt.Sprintf("of state %d", n), with: all})
}

// everything is the file of a fault that replaces them all.
const everything = "the whole repository"

// next deals a fault. There is always another.
func (p *plan) next() fault {
	p.dealt++
	if p.dealt%2 == 0 && len(p.few) > 0 {
		f := p.few[0]
		p.few = p.few[1:]
		return f
	}
	if turn := p.dealt / 2 % 8; turn < 5 && len(p.flips) > 0 {
		at := p.flips[0]
		p.flips, p.covered[0] = p.flips[1:], p.covered[0]+1
		return fault{kind: flip, file: at.file, at: at.at}
	} else if turn == 5 && len(p.cuts) > 0 {
		at := p.cuts[0]
		p.cuts, p.covered[1] = p.cuts[1:], p.covered[1]+1
		return fault{kind: truncate, file: at.file, at: at.at}
	}
	name := p.packs[p.rng.IntN(len(p.packs))]
	if p.rng.IntN(4) == 0 {
		return fault{kind: truncate, file: name, at: p.rng.IntN(len(p.whole[name]))}
	}
	return fault{kind: flip, file: name, at: p.rng.IntN(8 * len(p.whole[name]))}
}
