package index

import (
	"bytes"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"github.com/firnstore/firn/chunk"
)

// valueCache remembers where rows of the tables parts and blobs lie in the mapped file,
// since bbolt takes longer to find one than to search it. It belongs to one
// transaction and mapping, and is made when that has been asked often enough.
type valueCache struct {
	asked atomic.Int32
	slots atomic.Pointer[[cacheSlots]atomic.Pointer[cachedValue]]
}

type cachedValue struct {
	key  uint64 // of a part; of a blob, the number of the pack
	part []byte
	blob blob
}

const (
	cacheSlots = 1 << 14
	cacheAfter = 64 // questions
)

func (c *valueCache) slot(key uint64) *atomic.Pointer[cachedValue] {
	s := c.slots.Load()
	if s == nil {
		if c.asked.Add(1) < cacheAfter {
			return nil
		}
		c.slots.CompareAndSwap(nil, new([cacheSlots]atomic.Pointer[cachedValue]))
		s = c.slots.Load()
	}
	return &s[mix(key)%cacheSlots]
}

// search looks chunks up within one transaction.
type search struct {
	tx   *bolt.Tx
	runs *runSet
}

func (s *search) block(r *run, i int) ([]byte, error) {
	key := partKey(r.id, i/blocksPerPart)
	slot := s.runs.values.slot(key)
	var part []byte
	if slot != nil {
		if v := slot.Load(); v != nil && v.key == key {
			part = v.part
		}
	}
	if part == nil {
		var err error
		if part, err = r.part(s.tx, i/blocksPerPart); err != nil {
			return nil, err
		}
		if slot != nil {
			slot.Store(&cachedValue{key: key, part: part})
		}
	}
	off := i % blocksPerPart * blockSize
	return r.entriesOf(part[off:off+blockSize], i)
}

// blob returns the blob of a pack. Runs count from 1, so that no part has its key.
func (s *search) blob(num PackNum) (*blob, error) {
	slot := s.runs.values.slot(uint64(num))
	if slot != nil {
		if v := slot.Load(); v != nil && v.key == uint64(num) {
			return &v.blob, nil
		}
	}
	b, err := openBlob(s.tx, num)
	if err != nil {
		return nil, err
	}
	v := &cachedValue{key: uint64(num), blob: b}
	if slot != nil {
		slot.Store(v)
	}
	return &v.blob, nil
}

// each calls visit for the locations of id until it returns false.
func (s *search) each(id chunk.ID, visit func(*Location) bool) error {
	prefix := prefixOf(id)
	for _, r := range s.runs.runs {
		more, err := s.eachIn(r, id, prefix, visit)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (s *search) eachIn(r *run, id chunk.ID, prefix uint64, visit func(*Location) bool) (bool, error) {
	i, b, err := s.find(r, prefix)
	for err == nil && i < r.blocks() {
		if b == nil {
			if b, err = s.block(r, i); err != nil {
				break
			}
		}
		for ; len(b) > 0; b = b[runEntrySize:] {
			e := decodeRunEntry(b)
			if e.prefix() != prefix {
				return true, nil
			}
			more, err := s.visit(e, id, visit)
			if err != nil || !more {
				return false, err
			}
		}
		i, b = i+1, nil
	}
	return true, err
}

// find returns the block that holds the first entry with a prefix of at least prefix, and
// the entries from that one on; nil stands for the whole block.
func (s *search) find(r *run, prefix uint64) (int, []byte, error) {
	// Blocks up to lo end below prefix, blocks from hi on begin at it or above.
	lo, hi := -1, r.blocks()
	n := uint64(hi)
	guess := int(prefix * n >> prefixBits)
	for probes := 0; hi-lo > 1; probes++ {
		if probes > 3 { // not as uniform as IDs are: halve
			guess = lo + (hi-lo)/2
		}
		i := r.refine(min(max(guess, lo+1), hi-1), lo, hi, prefix)
		b, err := s.block(r, i)
		if err != nil {
			return 0, nil, err
		}
		if at := r.between(b, i, prefix); at > 0 {
			return i, b[at:], nil
		}
		first, last := decodeRunEntry(b).prefix(), decodeRunEntry(b[len(b)-runEntrySize:]).prefix()
		switch {
		case first >= prefix:
			hi = i
			guess = i - 1 - int((first-prefix)*n>>prefixBits)
		case last < prefix:
			lo = i
			guess = i + 1 + int((prefix-last)*n>>prefixBits)
		default:
			return i, b[lowerBound(b, prefix, first, last):], nil
		}
	}
	return hi, nil, nil
}

// refine corrects the guess i by the fences that are known. It stays between lo and hi.
func (r *run) refine(i, lo, hi int, prefix uint64) int {
	n := int64(r.blocks())
	for range 3 {
		fence := r.fences[i].Load()
		if fence == 0 {
			break
		}
		step := (int64(prefix) - int64(fence&^1)<<(prefixBits-32)) * n >> prefixBits
		if step == 0 {
			break
		}
		i = min(max(i+int(step), lo+1), hi-1)
	}
	return i
}

// between returns the offset in b, block i, of the first entry with a prefix of at least
// prefix, if it is not the first of the block and the fences tell about where it is;
// else 0. It touches one or two cache lines of the block, where lowerBound takes four.
func (r *run) between(b []byte, i int, prefix uint64) int {
	if i+1 >= len(r.fences) {
		return 0
	}
	first, next := r.fences[i].Load()&^1, r.fences[i+1].Load()&^1
	upper := uint32(prefix >> (prefixBits - 32))
	if upper <= first || upper >= next {
		return 0
	}
	at := int(uint64(upper-first)*blockEntries/uint64(next-first)) * runEntrySize
	for at > 0 && decodeRunEntry(b[at-runEntrySize:]).prefix() >= prefix {
		at -= runEntrySize
	}
	for at < len(b) && decodeRunEntry(b[at:]).prefix() < prefix {
		at += runEntrySize
	}
	if at == len(b) {
		return 0
	}
	return at
}

// lowerBound returns the offset of the first entry with a prefix of at least prefix,
// which lies above first, the first of b, and not above last, its last.
func lowerBound(b []byte, prefix, first, last uint64) int {
	n := uint64(len(b)/runEntrySize) - 1
	at := int((prefix-first)*n/(last-first)) * runEntrySize
	for at > 0 && decodeRunEntry(b[at:]).prefix() >= prefix {
		at -= runEntrySize
	}
	for decodeRunEntry(b[at:]).prefix() < prefix {
		at += runEntrySize
	}
	return at
}

// visit compares the whole ID in the pack's blob. A pack that was dropped has no chunks.
func (s *search) visit(e runEntry, id chunk.ID, visit func(*Location) bool) (bool, error) {
	b, err := s.blob(e.pack())
	if err != nil || b.dropped() {
		return true, err
	}
	loc, got, err := b.locate(e.slot())
	if err != nil {
		return false, err
	}
	if !bytes.Equal(got, id[:]) {
		return true, nil
	}
	if err := b.fillFrame(&loc); err != nil {
		return false, err
	}
	return visit(&loc), nil
}
