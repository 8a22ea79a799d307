package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

// nothing is what a prune finds needed when every version was removed.
func nothing(grace time.Duration) PruneOptions {
	return PruneOptions{
		Mark:       func(context.Context, *Marks) error { return nil },
		MarkCommit: func(context.Context, *Marks, *index.Commit) error { return nil },
		Grace:      grace, SealAfter: 24 * time.Hour,
	}
}

// Who began to read before a prune reads to the end while the grace lasts, in the process
// of the prune and in another one.
func TestReadOfWhatWasDropped(t *testing.T) {
	r, store, id, opt := newRepo(t)
	large, small := random(1, 5<<20), random(2, 40_000) // in files of packs, and inside of a commit
	first, second := save(t, r, nil, large)[0], save(t, r, nil, small)[0]
	opt.CacheDir = t.TempDir()
	other := openRepo(t, store, id, opt)
	begun := other.OpenContent(t.Context(), first)
	head := make([]byte, 1000)
	if _, err := begun.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	res, err := r.Prune(t.Context(), nothing(time.Hour))
	if err != nil || res.Dropped.Packs == 0 || res.Removed.Packs > 0 {
		t.Fatalf("prune: %+v, %v", res, err)
	}
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(begun, 0, int64(len(large))))
	if err != nil || !bytes.Equal(got, large) {
		t.Errorf("read that had begun: %d bytes, %v", len(got), err)
	}
	for name, reader := range map[string]*Repository{"process of the prune": r, "other process": other} {
		if got := readAll(t, reader, first); !bytes.Equal(got, large) {
			t.Errorf("%s: %d bytes that differ", name, len(got))
		}
		if got := readAll(t, reader, second); !bytes.Equal(got, small) {
			t.Errorf("%s: %d small bytes that differ", name, len(got))
		}
	}

	// What was dropped is checked like all else: damage is an error, never other bytes.
	damaged := tier.NewMemory()
	err = store.List(t.Context(), "", "", func(fi tier.Info) error {
		b, err := tier.Read(t.Context(), store, fi.Name, 1<<30)
		if err == nil {
			if strings.HasPrefix(fi.Name, "packs/") {
				b[len(b)/2] ^= 1
			}
			err = tier.Put(t.Context(), damaged, fi.Name, b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	opt.CacheDir = t.TempDir()
	if _, err := openRepo(t, damaged, id, opt).OpenContent(t.Context(), first).WriteTo(io.Discard); !errors.Is(err, ErrDamaged) {
		t.Errorf("read of damaged packs that were dropped: %v", err)
	}

	if _, err := r.Prune(t.Context(), nothing(0)); err != nil {
		t.Fatal(err)
	}
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	opt.CacheDir = t.TempDir()
	for name, reader := range map[string]*Repository{"process of the prune": r, "other process": other, "later process": openRepo(t, store, id, opt)} {
		if _, err := reader.OpenContent(t.Context(), first).WriteTo(io.Discard); err == nil {
			t.Errorf("%s: read after the grace", name)
		}
	}
}
