package index

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// damageTrial is an index file, closed, and what it must answer.
type damageTrial struct {
	file     []byte
	pageSize int64
	used     int64 // bytes of the file that bbolt uses
	log      []*Commit

	// Answers by the commit applied last: when the newer meta page is damaged, bbolt
	// takes the other one, and the index lags by a transaction.
	answers map[uint64]map[string][]string
}

// closedAt is the commit applied last when the file is closed.
const closedAt = 130

func newDamageTrial(t *testing.T, clean bool) *damageTrial {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	x, err := Open(path, Options{Repository: "test", BootID: "boot"})
	if err != nil {
		t.Fatal(err)
	}
	d := &damageTrial{log: worldLog(42, closedAt+10), answers: map[uint64]map[string][]string{}}
	d.pageSize = int64(x.db.Info().PageSize)
	for _, c := range d.log[:closedAt] {
		apply(t, x, c)
		if seq := c.Header.Seq; seq >= closedAt-1 {
			d.answers[seq] = answersOf(t, x)
		}
	}
	stop := x.Close
	if !clean {
		stop = x.db.Close
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if d.file, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	y := openTest(t)
	apply(t, y, d.log...)
	d.answers[closedAt+10] = answersOf(t, y)
	c := pageCheck{pageSize: int(d.pageSize)}
	if c.f, err = os.Open(path); err != nil {
		t.Fatal(err)
	}
	defer c.f.Close()
	if _, _, err := c.meta(); err != nil {
		t.Fatal(err)
	}
	d.used = int64(c.high) * d.pageSize
	return d
}

// outcome counts how trials ended.
type outcome struct{ refused, noticed, unharmed int }

// ask opens file and asks everything of it; what is answered must be right.
func (d *damageTrial) ask(t *testing.T, file []byte, out *outcome) {
	path := filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := Open(path, Options{Repository: "test", BootID: "boot"})
	if err != nil {
		out.refused++
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrStale) {
			t.Errorf("open: %v", err)
		}
		return
	}
	defer x.Close()
	seq, _, err := x.Applied()
	noticed := err != nil
	if noticed {
		seq = closedAt
	}
	noticed = d.compare(t, x, seq) || noticed
	for _, c := range d.log[seq:] {
		if err := x.Apply(c); err != nil {
			noticed = true
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("apply: %v", err)
			}
			break
		}
	}
	if !noticed {
		noticed = d.compare(t, x, closedAt+10)
	}
	if noticed {
		out.noticed++
	} else {
		out.unharmed++
	}
}

// compare reports whether x noticed damage. What it answers must be right after commit seq.
func (d *damageTrial) compare(t *testing.T, x *Index, seq uint64) (noticed bool) {
	answers := d.answers[seq]
	if answers == nil {
		t.Errorf("commit %d is applied", seq)
	}
	for _, q := range queries {
		got, err := q.ask(t, x)
		if err != nil {
			noticed = true
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", q.name, err)
			}
			continue
		}
		slices.Sort(got)
		if !slices.Equal(got, answers[q.name]) {
			compareDumps(t, q.name, got, answers[q.name])
		}
	}
	return noticed
}

// answersOf asks everything of an index that is whole.
func answersOf(t *testing.T, x *Index) map[string][]string {
	t.Helper()
	answers := map[string][]string{}
	for _, q := range queries {
		list, err := q.ask(t, x)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(list)
		answers[q.name] = list
	}
	return answers
}

// run is ask, but for a hang.
func (d *damageTrial) run(t *testing.T, what string, file []byte, out *outcome) {
	t.Helper()
	done := make(chan bool)
	go func() {
		defer close(done)
		d.ask(t, file, out)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%s: hangs", what)
	}
	if t.Failed() {
		t.Fatalf("%s: wrong", what)
	}
}

// TestDamageIsNoticed covers invariant 3.
func TestDamageIsNoticed(t *testing.T) {
	const trials = 20 // of each kind
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean=%t", clean), func(t *testing.T) {
			t.Parallel()
			d := newDamageTrial(t, clean)
			rng := rand.New(rand.NewPCG(6, 6))
			page := func() int64 { return rng.Int64N(d.used/d.pageSize) * d.pageSize }
			flip := func(file []byte, at int64) string {
				bit := rng.IntN(8)
				file[at] ^= 1 << bit
				return fmt.Sprintf("bit %d of byte %d", bit, at)
			}
			for _, kind := range []struct {
				name   string
				damage func(file []byte) (changed []byte, what string)
			}{
				{"a bit anywhere", func(file []byte) ([]byte, string) {
					return file, flip(file, rng.Int64N(d.used))
				}},
				{"a bit in the head of a page", func(file []byte) ([]byte, string) {
					return file, flip(file, page()+rng.Int64N(160))
				}},
				{"a bit in the first pages", func(file []byte) ([]byte, string) {
					return file, flip(file, rng.Int64N(16*d.pageSize))
				}},
				{"a page of zeros", func(file []byte) ([]byte, string) {
					at := page()
					clear(file[at : at+d.pageSize])
					return file, fmt.Sprintf("zeros at %d", at)
				}},
				{"a page of another place", func(file []byte) ([]byte, string) {
					to, from := page(), page()
					copy(file[to:], file[from:from+d.pageSize])
					return file, fmt.Sprintf("bytes of %d at %d", from, to)
				}},
				{"the end is missing", func(file []byte) ([]byte, string) {
					n := rng.Int64N(d.used)
					return file[:n], fmt.Sprintf("cut to %d", n)
				}},
			} {
				var out outcome
				for range trials {
					file, what := kind.damage(bytes.Clone(d.file))
					d.run(t, kind.name+": "+what, file, &out)
				}
				t.Logf("%s: %+v", kind.name, out)
				if out.refused+out.noticed == 0 {
					t.Errorf("%s: %+v tests too little", kind.name, out)
				}
			}
		})
	}
}
