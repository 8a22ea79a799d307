package remote_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/remote"
)

// Reads that follow one another, also of several goroutines, take few requests; those far
// apart take one each and no more bytes than they ask for.
func TestReadsThatFollow(t *testing.T) {
	f := newFake(t)
	s, _ := opened(t, f, &faults{})
	data := make([]byte, 20<<20+123)
	rand.NewChaCha8([32]byte{7}).Read(data)
	if err := tier.Put(t.Context(), s, "packs/x", data); err != nil {
		t.Fatal(err)
	}
	pass := func() {
		var group sync.WaitGroup
		for half := range 2 {
			group.Go(func() {
				const step = 300_000
				p := make([]byte, step)
				for off := half * step; off < len(data); off += 2 * step {
					n, err := s.ReadAt(t.Context(), "packs/x", p, int64(off))
					if want := data[off:min(off+step, len(data))]; !bytes.Equal(p[:n], want) || (err == io.EOF) != (n < step) {
						t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
					}
				}
			})
		}
		group.Wait()
	}
	pass()
	pass()
	if c := s.Counts(); c.Requests[remote.KindGet] > 10 || c.Received > int64(len(data))*11/10 {
		t.Errorf("two passes took %+v", c)
	}

	s, _ = opened(t, f, &faults{})
	p := make([]byte, 1000)
	for _, off := range []int64{0, 15 << 20, 5 << 20, 10 << 20} {
		if n, err := s.ReadAt(t.Context(), "packs/x", p, off); err != nil || !bytes.Equal(p[:n], data[off:off+1000]) {
			t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
		}
	}
	if c := s.Counts(); c.Requests[remote.KindGet] != 4 || c.Received != 4000 {
		t.Errorf("four reads took %+v", c)
	}
}

// What was read ahead is not what a healed file has.
func TestReadsAfterReplace(t *testing.T) {
	s, _ := opened(t, newFake(t), &faults{})
	read := func() string {
		p := make([]byte, 3)
		for range 3 {
			if _, err := s.ReadAt(t.Context(), "file", p, 1); err != nil {
				t.Fatal(err)
			}
		}
		return string(p)
	}
	if err := tier.Put(t.Context(), s, "file", []byte("damaged")); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != "ama" {
		t.Errorf("read %q", got)
	}
	w, err := s.Replace(t.Context(), "file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("healed!")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != "eal" {
		t.Errorf("read %q after it was healed", got)
	}
}
