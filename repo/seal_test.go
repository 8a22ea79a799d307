package repo

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// Invariant 5: a pack that a session relies on is dropped before it commits.
func TestSessionRefusesDroppedPack(t *testing.T) {
	r, store, id, opt := newRepo(t)
	data := random(33, 500_000)
	save(t, r, nil, data)
	s, err := r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.Ingest(t.Context(), IngestOptions{Stream: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Stream(bytes.NewReader(data), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	// Another process drops the pack with the data.
	opt.CacheDir = t.TempDir()
	other := openRepo(t, store, id, opt)
	dropDataPacks(t, other)
	if err := s.End(t.Context(), Ops{}); !errors.Is(err, ErrDropped) {
		t.Errorf("commit that relies on a dropped pack: %v", err)
	}
}

func dropDataPacks(t *testing.T, r *Repository) {
	t.Helper()
	var ids []pack.ID
	err := r.Index().Packs(func(p *index.Pack) error {
		if p.Record.Kind == pack.Data {
			ids = append(ids, p.Record.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	commitRaw(t, r, func(h *index.Header) { h.Dropped = ids })
}

// commitRaw appends a commit that a later version of the program might write.
func commitRaw(t *testing.T, r *Repository, edit func(*index.Header)) {
	t.Helper()
	seq, head, err := r.Index().Applied()
	if err != nil {
		t.Fatal(err)
	}
	c := &index.Commit{Header: index.Header{Seq: seq + 1, Prev: head, Step: index.Begin | index.End, Nonce: [16]byte{9}}}
	copy(c.Header.Session[:], fmt.Sprintf("raw%09d", seq))
	edit(&c.Header)
	b, err := c.Seal(r.ring.signer, r.ring.metaRcpt)
	if err != nil {
		t.Fatal(err)
	}
	if err := tier.Put(t.Context(), r.store, index.CommitName(c.Header.Seq), b); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A sealed session commits nothing more.
func TestSealedSession(t *testing.T) {
	r, store, id, opt := newRepo(t)
	s, err := r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	opt.CacheDir = t.TempDir()
	other := openRepo(t, store, id, opt)
	commitRaw(t, other, func(h *index.Header) { h.Seals = []pack.Session{s.ID()} })
	if err := s.End(t.Context(), Ops{}); !errors.Is(err, ErrSealed) {
		t.Errorf("commit of a sealed session: %v", err)
	}
}
