package repo

import (
	"bytes"
	"context"
	"testing"

	"filippo.io/age"

	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

// Memory and reads are bounded whatever the size: a content of 5 TB, joined from 10,000 parts, is made without
// reading these, and a range in its middle is read without the list of the whole.
func TestRangeOfFiveTerabytes(t *testing.T) {
	store, id, opt := tier.NewMemory(), testIdentity(t), testOptions(t)
	if _, err := Init(t.Context(), store, id.Recipient(), opt, InitOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	data := random(9, 8<<20)
	r := openRepo(t, store, id, opt)
	c := save(t, r, nil, data)[0]
	s, err := r.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.Ingest(ctx, IngestOptions{Stream: "test"})
	if err != nil {
		t.Fatal(err)
	}
	times := func(n int, c Content) Content {
		joined, err := in.Join(func(yield func(Content) error) error {
			for range n {
				if err := yield(c); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = in.Flush()
		}
		if err == nil {
			err = s.Commit(ctx, Ops{})
		}
		if err != nil {
			t.Fatal(err)
		}
		return joined
	}
	part := times(64, c)
	whole := times(10_000, part)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.End(ctx, Ops{}); err != nil {
		t.Fatal(err)
	}
	if want := int64(10_000) * 64 * int64(len(data)); whole.Size() != want || want < 5e12 {
		t.Fatalf("size %d, want %d", whole.Size(), want)
	}

	// Another machine, with nothing in memory.
	opt.CacheDir = t.TempDir()
	counting := &tiertest.Counting{Store: store}
	other, err := Open(ctx, counting, []age.Identity{id}, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	counting.Reset()
	at := whole.Size()/2 + 12_345
	got := make([]byte, 100_000)
	if _, err := other.OpenContent(ctx, whole).ReadAt(got, at); err != nil {
		t.Fatal(err)
	}
	from := int(at % int64(len(data)))
	if !bytes.Equal(got, data[from:from+len(got)]) {
		t.Error("the range has other bytes")
	}
	if n, calls := counting.Bytes(tiertest.OpRead), counting.Calls(); n == 0 || n > 4<<20 {
		t.Errorf("%d bytes were read for the range, in %v", n, calls)
	}
}
