package index

import (
	"encoding/binary"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

const (
	fanIn = 4 // runs of one size class that are merged at a time

	// batchParts is how many parts one transaction of a merge writes. Each one copies
	// the leaf page that it appends to, so many at a time cost less.
	batchParts = 64
	partSize   = blocksPerPart * blockSize
)

// runWriter cuts a stream of sorted entries into blocks and parts.
type runWriter struct {
	id      uint32
	flush   func(first int, parts [][]byte) error
	commits bool     // flush has committed the parts when it returns, and does not keep them
	spare   [][]byte // parts to be used again
	parts   [][]byte // finished, to be flushed
	first   int      // number of the first of them
	buf     []byte   // the part being filled
	left    int      // entries until the block is full
	entries int
}

func newRunWriter(id uint32, flush func(first int, parts [][]byte) error) *runWriter {
	return &runWriter{id: id, flush: flush, left: blockEntries}
}

func (w *runWriter) add(e runEntry) error {
	if w.buf == nil {
		w.buf = w.newPart()
	}
	w.buf = binary.BigEndian.AppendUint64(w.buf, e.hi)
	w.buf = binary.BigEndian.AppendUint32(w.buf, e.lo)
	w.entries++
	if w.left--; w.left > 0 {
		return nil
	}
	return w.endBlock()
}

func (w *runWriter) newPart() []byte {
	if n := len(w.spare); n > 0 {
		b := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return b[:0]
	}
	return make([]byte, 0, partSize)
}

func (w *runWriter) endBlock() error {
	w.buf = append(w.buf, make([]byte, w.left*runEntrySize)...)
	w.left = blockEntries
	i := (w.entries - 1) / blockEntries
	from := i % blocksPerPart * blockSize
	w.buf = w.buf[:from+blockSize]
	b := w.buf[from:]
	binary.BigEndian.PutUint32(b[blockSize-4:], blockCRC(w.id, i, b))
	if len(w.buf) == partSize {
		return w.endPart()
	}
	return nil
}

func (w *runWriter) endPart() error {
	w.parts = append(w.parts, w.buf)
	w.buf = nil
	if len(w.parts) < batchParts {
		return nil
	}
	return w.flushParts()
}

func (w *runWriter) flushParts() error {
	if len(w.parts) == 0 {
		return nil
	}
	parts := w.parts
	w.parts, w.first = nil, w.first+len(parts)
	if err := w.flush(w.first-len(parts), parts); err != nil {
		return err
	}
	if w.commits {
		w.spare = parts
	}
	return nil
}

func (w *runWriter) close() error {
	if w.left < blockEntries {
		if err := w.endBlock(); err != nil {
			return err
		}
	}
	if len(w.buf) > 0 {
		if err := w.endPart(); err != nil {
			return err
		}
	}
	return w.flushParts()
}

func putParts(tx *bolt.Tx, run uint32, first int, parts [][]byte) error {
	b := tx.Bucket(tableParts)
	b.FillPercent = 1 // parts come in order
	for i, p := range parts {
		if err := b.Put(appendPartKey(nil, run, first+i), p); err != nil {
			return err
		}
	}
	return nil
}

// putRun writes sorted entries as a new run.
func putRun(tx *bolt.Tx, id uint32, entries []runEntry) error {
	w := newRunWriter(id, func(first int, parts [][]byte) error { return putParts(tx, id, first, parts) })
	for _, e := range entries {
		if err := w.add(e); err != nil {
			return err
		}
	}
	if err := w.close(); err != nil {
		return err
	}
	list, err := loadRuns(tx)
	if err != nil {
		return err
	}
	return storeRuns(tx, append(list, &run{id: id, entries: len(entries)}))
}

// runReader streams the entries of a run, a part at a time, each read in a transaction
// of its own: bbolt cannot grow its file while one goroutine both reads and writes.
type runReader struct {
	x    *Index
	r    *run
	next int    // block
	part []byte // copy of the part, from the next block on
	cur  []byte // entries left of the block
}

// peek returns the next entry, or false at the end.
func (rr *runReader) peek() (runEntry, bool, error) {
	for len(rr.cur) == 0 {
		if rr.next == rr.r.blocks() {
			return runEntry{}, false, nil
		}
		if len(rr.part) == 0 {
			err := rr.x.view(func(tx *bolt.Tx) error {
				b, err := rr.r.part(tx, rr.next/blocksPerPart)
				rr.part = append([]byte(nil), b...)
				return err
			})
			if err != nil {
				return runEntry{}, false, err
			}
		}
		b, err := rr.r.entriesOf(rr.part[:blockSize], rr.next)
		if err != nil {
			return runEntry{}, false, err
		}
		rr.cur, rr.part, rr.next = b, rr.part[blockSize:], rr.next+1
	}
	return decodeRunEntry(rr.cur), true, nil
}

// merge merges runs until fewer than fanIn are left in each size class. x.apply is held.
func (x *Index) merge() error {
	for {
		var set *runSet
		err := x.view(func(tx *bolt.Tx) (err error) {
			set, err = x.runSet(tx)
			return err
		})
		if err != nil {
			return err
		}
		victims := mergeable(set.runs)
		if victims == nil {
			return nil
		}
		if err := x.mergeRuns(victims); err != nil {
			return fmt.Errorf("merge runs of index %s: %w", x.path, err)
		}
	}
}

// mergeable returns the runs to merge next: when a class has fanIn of them, all of that
// class and below. The runs are sorted, largest first.
func mergeable(runs []*run) []*run {
	count := 0
	for i := len(runs) - 1; i >= 0; i-- {
		if i+1 < len(runs) && runs[i].class() != runs[i+1].class() {
			count = 0
		}
		if count++; count == fanIn {
			for i > 0 && runs[i-1].class() == runs[i].class() {
				i--
			}
			return runs[i:]
		}
	}
	return nil
}

// mergeRuns writes one run from several. If it is interrupted, parts without a run are
// left, which sweepParts removes.
func (x *Index) mergeRuns(runs []*run) error {
	var id uint32
	var alive packSet
	err := x.update(func(tx *bolt.Tx) error {
		c, err := loadCounters(tx)
		if err != nil {
			return err
		}
		id = c.Run
		c.Run++
		if c.Drops > 0 {
			if alive, err = alivePacks(tx, c); err != nil {
				return err
			}
		}
		return c.store(tx)
	})
	if err != nil {
		return err
	}
	w := newRunWriter(id, func(first int, parts [][]byte) error {
		return x.update(func(tx *bolt.Tx) error { return putParts(tx, id, first, parts) })
	})
	w.commits = true
	if err := x.mergeInto(w, runs, alive); err != nil {
		x.swept = false
		return err
	}
	return x.update(func(tx *bolt.Tx) error {
		list, err := loadRuns(tx)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if err := deleteParts(tx, r); err != nil {
				return err
			}
			list = slices.DeleteFunc(list, func(l *run) bool { return l.id == r.id })
		}
		return storeRuns(tx, append(list, &run{id: id, entries: w.entries}))
	})
}

// mergeInto leaves out entries of packs that are not alive; nil stands for all.
func (x *Index) mergeInto(w *runWriter, runs []*run, alive packSet) error {
	readers := make([]*runReader, 0, len(runs))
	heads := make([]runEntry, 0, len(runs))
	for _, r := range runs {
		rr := &runReader{x: x, r: r}
		e, ok, err := rr.peek()
		if err != nil {
			return err
		}
		if ok {
			readers, heads = append(readers, rr), append(heads, e)
		}
	}
	for len(readers) > 0 {
		least := 0
		for i := 1; i < len(heads); i++ {
			if heads[i].hi < heads[least].hi || heads[i].hi == heads[least].hi && heads[i].lo < heads[least].lo {
				least = i
			}
		}
		if e := heads[least]; alive == nil || alive.has(e.pack()) {
			if err := w.add(e); err != nil {
				return err
			}
		}
		rr := readers[least]
		rr.cur = rr.cur[runEntrySize:]
		e, ok, err := rr.peek()
		if err != nil {
			return err
		}
		if ok {
			heads[least] = e
		} else {
			readers, heads = slices.Delete(readers, least, least+1), slices.Delete(heads, least, least+1)
		}
	}
	return w.close()
}

func deleteParts(tx *bolt.Tx, r *run) error {
	b := tx.Bucket(tableParts)
	for i := range r.parts() {
		if err := b.Delete(appendPartKey(nil, r.id, i)); err != nil {
			return err
		}
	}
	return nil
}

// sweepParts removes what an interrupted merge left.
func sweepParts(tx *bolt.Tx) error {
	list, err := loadRuns(tx)
	if err != nil {
		return err
	}
	b := tx.Bucket(tableParts)
	var dead [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if len(k) != 8 {
			return fmt.Errorf("%w: row %x of table parts", ErrDamaged, k)
		}
		id := binary.BigEndian.Uint32(k)
		if !slices.ContainsFunc(list, func(r *run) bool { return r.id == id }) {
			dead = append(dead, append([]byte(nil), k...))
		}
	}
	for _, k := range dead {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// packSet is a bitmap of pack numbers.
type packSet []uint64

func (s packSet) has(num PackNum) bool {
	return int(num/64) < len(s) && s[num/64]>>(num%64)&1 != 0
}

func alivePacks(tx *bolt.Tx, c *counters) (packSet, error) {
	s := make(packSet, c.Pack/64+1)
	return s, in(tx, tablePacks).scan(nil, nil, func(k, _ []byte) error {
		num := binary.BigEndian.Uint32(k)
		s[num/64] |= 1 << (num % 64)
		return nil
	})
}
