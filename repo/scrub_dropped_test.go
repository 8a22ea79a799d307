package repo

import (
	"testing"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// A pack that was dropped and can come back is read and healed like any other.
func TestScrubHealsDroppedPacks(t *testing.T) {
	mem, id, opt := tier.NewMemory(), testIdentity(t), testOptions(t)
	if _, err := Init(t.Context(), mem, id.Recipient(), opt, InitOptions{Parity: 10}); err != nil {
		t.Fatal(err)
	}
	r := openRepo(t, mem, id, opt)
	if _, err := backup(t.Context(), r, random(31, 400_000)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Scrub(t.Context(), ScrubOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ops Ops
	err = r.index.Packs(func(p *index.Pack) error {
		if p.Record.Kind == pack.Data && p.Seq == 0 {
			row, err := tombstoneRow(p, time.Now())
			ops.Dropped, ops.Rows = append(ops.Dropped, p.Record.ID), append(ops.Rows, row)
			return err
		}
		return nil
	})
	if err != nil || len(ops.Dropped) == 0 {
		t.Fatalf("%d packs, %v", len(ops.Dropped), err)
	}
	if err := s.End(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	name := ops.Dropped[0].Name()
	want, err := tier.Read(t.Context(), mem, name, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	hurt := append([]byte{}, want...)
	hurt[len(hurt)/2] ^= 1
	replace(t, mem, name, hurt)
	res, err := r.Scrub(t.Context(), ScrubOptions{})
	if err != nil || res.Healed != 1 || res.Damaged != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	if got, err := tier.Read(t.Context(), mem, name, 1<<30); err != nil || string(got) != string(want) {
		t.Errorf("it has other bytes: %v", err)
	}
}
