package snapshot

import (
	"slices"
	"testing"
	"time"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// now is a prune that waits for nobody.
var now = repo.PruneOptions{MaxUnused: 0, Grace: 0, SealAfter: 0}

// Backups of a changing tree, some of which are forgotten: what remains is whole, and
// nothing else remains.
func TestForgetAndPrune(t *testing.T) {
	w := newPruneWorld(t, tier.NewMemory(), 1)
	r := w.open(w.store)
	var ids []string
	for range 8 {
		w.change(20, 200_000)
		ids = append(ids, w.save(r))
	}
	w.forget(r, ids[0], ids[1], ids[3], ids[5])
	dry := now
	dry.DryRun = true
	foreseen := w.prune(r, dry)
	res := w.prune(r, now)
	if res.Dropped != foreseen.Dropped || res.Repacked != foreseen.Repacked || res.Removed != foreseen.Removed {
		t.Errorf("dry run says %+v\nreal run says %+v", foreseen, res)
	}
	if res.Repacked.Packs == 0 || res.Removed.Bytes == 0 || res.Waiting.Packs != 0 {
		t.Errorf("pruned %+v", res)
	}
	w.verify("after prune")
	w.exact("after prune")
	if got := w.snapshots(r); !slices.Equal(got, sorted(ids[2], ids[4], ids[6], ids[7])) {
		t.Errorf("snapshots %v", got)
	}
	w.forget(r, ids[2], ids[4], ids[6])
	w.prune(r, now)
	w.verify("after the second prune")
	w.exact("after the second prune")
	w.change(10, 100_000)
	w.save(r)
	w.verify("after another backup")
}

func sorted(ids ...string) []string { slices.Sort(ids); return ids }

// The files of dropped packs stay until the grace has passed, and so long everything can
// come back.
func TestUndelete(t *testing.T) {
	w := newPruneWorld(t, tier.NewMemory(), 2)
	r := w.open(w.store)
	var ids []string
	for range 4 {
		w.change(12, 150_000)
		ids = append(ids, w.save(r))
	}
	opt := repo.PruneOptions{Grace: 7 * 24 * time.Hour, SealAfter: time.Hour}
	w.forget(r, ids[0], ids[1], ids[2])
	res := w.prune(r, opt)
	if res.Removed.Packs > 0 || res.Waiting.Packs == 0 {
		t.Fatalf("with a grace: %+v", res)
	}
	w.verify("after prune")
	if _, err := Undelete(t.Context(), r, []string{ids[3][:8]}); err == nil {
		t.Error("a snapshot that is there came back")
	}
	un, err := Undelete(t.Context(), r, []string{ids[1][:8]})
	if err != nil || un.Packs.Packs == 0 || un.Lost.Packs != 0 {
		t.Fatalf("undelete: %+v, %v", un, err)
	}
	if got := w.snapshots(r); !slices.Equal(got, sorted(ids[1], ids[3])) {
		t.Errorf("snapshots after undelete: %v", got)
	}
	w.verify("after undelete")

	// Another prune, on another machine; the packs that nothing needs go again.
	r2 := w.open(w.store)
	w.prune(r2, opt)
	w.verify("after undelete and prune")
	w.now.Add(int64(8 * 24 * time.Hour))
	res = w.prune(r2, opt)
	if res.Removed.Packs == 0 || res.Waiting.Packs != 0 {
		t.Errorf("after the grace: %+v", res)
	}
	w.verify("after the grace")
	if list, err := ListForgotten(r2); err != nil || len(list) != 0 {
		t.Errorf("after the grace %d snapshots can come back, %v", len(list), err)
	}
	if _, err := Undelete(t.Context(), r2, []string{ids[0]}); err == nil {
		t.Error("a snapshot came back after the grace")
	}
	w.exact("after the grace")
}
