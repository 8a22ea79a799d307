package index

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"github.com/firnstore/firn/chunk"
)

// A run is a sorted array of entries (ID prefix 40 bits, pack u32, slot u24) in blocks
// of 4 KiB, each with a CRC-32C that is seeded with its place. Table parts holds 16
// blocks at a time: run u32, part u32 -> blocks. Row runs of table state lists the runs.
const (
	runEntrySize  = 12
	blockEntries  = 341
	blockSize     = blockEntries*runEntrySize + 4 // 4096
	blocksPerPart = 16
	prefixBits    = 40
)

// runEntry holds an entry so that integer order is its order.
type runEntry struct {
	hi uint64 // prefix, and the upper 24 bits of the pack
	lo uint32 // the lower 8 bits of the pack, and the slot
}

func prefixOf(id chunk.ID) uint64 { return binary.BigEndian.Uint64(id[:]) >> (64 - prefixBits) }

func newRunEntry(id chunk.ID, num PackNum, slot int) runEntry {
	return runEntry{hi: prefixOf(id)<<24 | uint64(num)>>8, lo: uint32(num)<<24 | uint32(slot)}
}

func (e runEntry) prefix() uint64 { return e.hi >> 24 }
func (e runEntry) pack() PackNum  { return PackNum(e.hi<<8&0xffffff00) | PackNum(e.lo>>24) }
func (e runEntry) slot() int      { return int(e.lo & 0xffffff) }
func (e runEntry) compare(o runEntry) int {
	if e.hi != o.hi {
		return cmp.Compare(e.hi, o.hi)
	}
	return cmp.Compare(e.lo, o.lo)
}

func decodeRunEntry(b []byte) runEntry {
	return runEntry{hi: binary.BigEndian.Uint64(b), lo: binary.BigEndian.Uint32(b[8:])}
}

// run describes one run.
type run struct {
	id      uint32
	entries int

	// Of each block whose CRC was seen to be right, the upper 31 bits of the first
	// prefix, and a one. So a search seldom touches a block but the right one.
	fences []atomic.Uint32
}

func (r *run) blocks() int { return (r.entries + blockEntries - 1) / blockEntries }
func (r *run) parts() int  { return (r.blocks() + blocksPerPart - 1) / blocksPerPart }

// class is the size of a run as a power of four.
func (r *run) class() int { return bits.Len(uint(r.entries>>8)) / 2 }

// runSet is the runs as of one transaction, largest first.
type runSet struct {
	tx      int
	mapping uintptr // where bbolt mapped the file
	runs    []*run
	entries int
	values  valueCache
}

// runSet returns the runs that tx sees, from memory when nothing changed.
func (x *Index) runSet(tx *bolt.Tx) (*runSet, error) {
	old, mapping := x.chunks.runs.Load(), x.db.Info().Data
	if old != nil && old.tx == tx.ID() && old.mapping == mapping {
		return old, nil
	}
	rs := &runSet{tx: tx.ID(), mapping: mapping}
	list, err := loadRuns(tx)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if old != nil {
			if i := slices.IndexFunc(old.runs, func(o *run) bool { return o.id == r.id }); i >= 0 {
				r = old.runs[i]
			}
		}
		if r.fences == nil {
			r.fences = make([]atomic.Uint32, r.blocks())
		}
		rs.runs = append(rs.runs, r)
		rs.entries += r.entries
	}
	slices.SortFunc(rs.runs, func(a, b *run) int {
		return cmp.Or(cmp.Compare(b.entries, a.entries), cmp.Compare(b.id, a.id))
	})
	x.chunks.runs.Store(rs)
	return rs, nil
}

func loadRuns(tx *bolt.Tx) (list []*run, err error) {
	v, err := in(tx, tableState).get(keyRuns)
	if err != nil {
		return nil, err
	}
	for ; len(v) >= 12; v = v[12:] {
		list = append(list, &run{id: binary.BigEndian.Uint32(v), entries: int(binary.BigEndian.Uint64(v[4:]))})
	}
	if len(v) != 0 {
		return nil, fmt.Errorf("%w: list of runs", ErrDamaged)
	}
	return list, nil
}

func storeRuns(tx *bolt.Tx, list []*run) error {
	var v []byte
	for _, r := range list {
		v = binary.BigEndian.AppendUint32(v, r.id)
		v = binary.BigEndian.AppendUint64(v, uint64(r.entries))
	}
	return in(tx, tableState).put(keyRuns, v)
}

func partKey(run uint32, part int) uint64 { return uint64(run)<<32 | uint64(part) }

func appendPartKey(b []byte, run uint32, part int) []byte {
	return binary.BigEndian.AppendUint64(b, partKey(run, part))
}

// checkPart returns b, the row of a part, if it has the right size.
func (r *run) checkPart(b []byte, part int) ([]byte, error) {
	if want := min(r.blocks()-part*blocksPerPart, blocksPerPart) * blockSize; len(b) != want {
		return nil, fmt.Errorf("%w: part %d of run %d has %d bytes, not %d", ErrDamaged, part, r.id, len(b), want)
	}
	return b, nil
}

func (r *run) part(tx *bolt.Tx, part int) ([]byte, error) {
	return r.checkPart(tx.Bucket(tableParts).Get(appendPartKey(nil, r.id, part)), part)
}

func blockCRC(run uint32, i int, b []byte) uint32 {
	return crc32.Update(run*0x9e3779b1+uint32(i), castagnoli, b[:blockSize-4])
}

// entriesOf checks block i, which is b, and returns its entries.
func (r *run) entriesOf(b []byte, i int) ([]byte, error) {
	if r.fences[i].Load() == 0 {
		if blockCRC(r.id, i, b) != binary.BigEndian.Uint32(b[blockSize-4:]) {
			return nil, fmt.Errorf("%w: block %d of run %d fails its check", ErrDamaged, i, r.id)
		}
		r.fences[i].Store(binary.BigEndian.Uint32(b) | 1)
	}
	return b[:min(r.entries-i*blockEntries, blockEntries)*runEntrySize], nil
}

// scan calls f for the entries of all runs, run by run.
func (rs *runSet) scan(tx *bolt.Tx, f func(runEntry)) error {
	for _, r := range rs.runs {
		for i := 0; i < r.blocks(); {
			part, err := r.part(tx, i/blocksPerPart)
			if err != nil {
				return err
			}
			for ; len(part) > 0; i++ {
				b, err := r.entriesOf(part[:blockSize], i)
				if err != nil {
					return err
				}
				for ; len(b) > 0; b = b[runEntrySize:] {
					f(decodeRunEntry(b))
				}
				part = part[blockSize:]
			}
		}
	}
	return nil
}
