package index

import (
	"math/bits"
	"sync/atomic"
)

// filter is a blocked Bloom filter (Putze, Sanders and Singler, 2007) over the 40-bit
// prefixes of chunk IDs: one cache line per question. It says "certainly new" or
// "perhaps known". Between 9 and 15 bits are spent per key. One goroutine at a time may
// add while others ask.
type filter struct {
	lines [][8]uint64
	keys  int
	limit int // keys at which the filter is to be made anew
}

const (
	filterBitsNew = 15 // per key when made
	filterBitsMin = 9  // per key when it is due to be made anew
	filterProbes  = 6
)

func newFilter(keys int) *filter {
	keys = max(keys, 1<<12)
	lines := keys*filterBitsNew/512 + 1
	return &filter{lines: make([][8]uint64, lines), limit: lines * 512 / filterBitsMin}
}

// mix spreads a prefix over 64 bits (the finaliser of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func (f *filter) place(prefix uint64) (line *[8]uint64, h uint64) {
	h = mix(prefix)
	i, _ := bits.Mul64(h, uint64(len(f.lines)))
	return &f.lines[i], mix(h + 0x9e3779b97f4a7c15)
}

func (f *filter) add(prefix uint64) {
	line, h := f.place(prefix)
	for range filterProbes {
		word := &line[h>>6&7]
		atomic.StoreUint64(word, atomic.LoadUint64(word)|1<<(h&63))
		h >>= 9
	}
	f.keys++
}

func (f *filter) has(prefix uint64) bool {
	line, h := f.place(prefix)
	for range filterProbes {
		if atomic.LoadUint64(&line[h>>6&7])>>(h&63)&1 == 0 {
			return false
		}
		h >>= 9
	}
	return true
}
