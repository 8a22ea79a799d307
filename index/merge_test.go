package index

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/firnstore/firn/pack"
)

func runsOf(t *testing.T, x *Index) *runSet {
	t.Helper()
	var rs *runSet
	err := x.view(func(tx *bolt.Tx) (err error) {
		rs, err = x.runSet(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// rowsOf counts the rows of a table.
func rowsOf(t *testing.T, x *Index, name []byte) (n int) {
	t.Helper()
	err := x.view(func(tx *bolt.Tx) error {
		n = tx.Bucket(name).Stats().KeyN
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestChunksAreWrittenInSequence covers invariant 5.
func TestChunksAreWrittenInSequence(t *testing.T) {
	x := openTest(t)
	l, first := newBenchLog()
	apply(t, x, first)
	const commits, packs = 150, 2
	for range commits {
		apply(t, x, l.next(packs))
	}
	rs := runsOf(t, x)
	if rs.entries != commits*packs*benchPackChunks {
		t.Errorf("%d entries, want %d", rs.entries, commits*packs*benchPackChunks)
	}
	classes := map[int]int{}
	parts := 0
	for _, r := range rs.runs {
		classes[r.class()]++
		parts += r.parts()
	}
	for class, n := range classes {
		if n >= fanIn {
			t.Errorf("%d runs of class %d", n, class)
		}
	}
	if got := rowsOf(t, x, tableParts); got != parts {
		t.Errorf("%d rows of parts, want %d", got, parts)
	}
	if got := rowsOf(t, x, tableBlobs); got != commits*packs {
		t.Errorf("%d blobs for %d packs", got, commits*packs)
	}
}

// TestMergeForgetsDroppedPacks also shows that pack numbers are not used twice.
func TestMergeForgetsDroppedPacks(t *testing.T) {
	x := openTest(t)
	l, first := newBenchLog()
	apply(t, x, first)
	var dropped []pack.ID
	for n := range 3 {
		c := l.next(1)
		apply(t, x, c)
		if n < 2 {
			dropped = append(dropped, c.Header.Added...)
		}
	}
	c := l.next(0)
	c.Header.Dropped = dropped
	apply(t, x, c)
	if got := runsOf(t, x).entries; got != 3*benchPackChunks {
		t.Fatalf("%d entries before the merge", got)
	}
	for n := range uint64(3) {
		locs, err := x.Locations(benchID(n * benchPackChunks))
		if want := int(n / 2); len(locs) != want || err != nil {
			t.Errorf("chunk of pack %d has locations %v, %v, want %d", n, locs, err, want)
		}
	}
	apply(t, x, l.next(1)) // the fourth run: all four are merged
	rs := runsOf(t, x)
	if len(rs.runs) != 1 || rs.entries != 2*benchPackChunks {
		t.Errorf("%d runs with %d entries after the merge, want 1 with %d", len(rs.runs), rs.entries, 2*benchPackChunks)
	}
	back := l.next(0)
	p := benchPack(pack.Session{}, 0)
	back.Body.Packs, back.Header.Added = []PackRecord{p}, []pack.ID{p.ID}
	apply(t, x, back)
	got, err := x.PackByID(p.ID)
	if err != nil || got.Num != 5 {
		t.Errorf("the pack came back as %+v, %v, want number 5", got, err)
	}
	if locs, err := x.Locations(benchID(0)); len(locs) != 1 || err != nil {
		t.Errorf("its first chunk has locations %v, %v", locs, err)
	}
}

// TestInterruptedMergeIsSwept ends a merge before the transaction that makes its run known.
func TestInterruptedMergeIsSwept(t *testing.T) {
	x := openTest(t)
	l, first := newBenchLog()
	apply(t, x, first)
	for range 3 {
		apply(t, x, l.next(1))
	}
	interrupted := errors.New("interrupted")
	x.apply.Lock()
	rs := runsOf(t, x)
	w := newRunWriter(99, func(n int, parts [][]byte) error {
		err := x.update(func(tx *bolt.Tx) error { return putParts(tx, 99, n, parts) })
		return errors.Join(err, interrupted)
	})
	err := x.mergeInto(w, rs.runs, nil)
	x.apply.Unlock()
	if !errors.Is(err, interrupted) {
		t.Fatal(err)
	}
	known := rowsOf(t, x, tableParts)
	if err := killed(x); err != nil {
		t.Fatal(err)
	}
	y, err := Open(x.path, Options{Repository: "test", BootID: "boot"})
	if err != nil {
		t.Fatal(err)
	}
	*x = Index{} // so that the cleanup closes what is open
	t.Cleanup(func() { y.Close() })
	x.db = y.db
	if got := runsOf(t, y).entries; got != 3*benchPackChunks {
		t.Errorf("%d entries after the interruption", got)
	}
	apply(t, y, l.next(0))
	if got := rowsOf(t, y, tableParts); got >= known {
		t.Errorf("%d rows of parts, %d with those of the interrupted merge", got, known)
	}
	apply(t, y, l.next(1))
	if got := runsOf(t, y); len(got.runs) != 1 || got.entries != 4*benchPackChunks {
		t.Errorf("%d runs with %d entries at the end", len(got.runs), got.entries)
	}
}

func TestSearchFindsEveryPlaceOfAPrefix(t *testing.T) {
	x := openTest(t)
	// Many entries share a prefix, which no hash would do, and span blocks.
	var entries []runEntry
	counts := map[uint64]int{}
	for prefix := range uint64(60) {
		id := [32]byte{}
		binary.BigEndian.PutUint64(id[:], prefix*prefix<<24|prefix<<56)
		for n := range int(prefix * 37 % 900) {
			entries = append(entries, newRunEntry(id, PackNum(prefix+1), n))
			counts[prefixOf(id)]++
		}
	}
	slices.SortFunc(entries, runEntry.compare)
	if err := x.update(func(tx *bolt.Tx) error { return putRun(tx, 1, entries) }); err != nil {
		t.Fatal(err)
	}
	rs := runsOf(t, x)
	err := x.view(func(tx *bolt.Tx) error {
		s := search{tx: tx, runs: rs}
		for _, probe := range entries {
			for _, prefix := range []uint64{probe.prefix() - 1, probe.prefix(), probe.prefix() + 1} {
				i, b, err := s.find(rs.runs[0], prefix)
				if err != nil {
					return err
				}
				want, _ := slices.BinarySearchFunc(entries, prefix, func(e runEntry, p uint64) int {
					if e.prefix() < p {
						return -1
					}
					return 1
				})
				got := i * blockEntries
				if b != nil {
					got += min(len(entries)-got, blockEntries) - len(b)/runEntrySize
				}
				if min(got, len(entries)) != want {
					t.Fatalf("prefix %x found at %d, want %d", prefix, got, want)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
