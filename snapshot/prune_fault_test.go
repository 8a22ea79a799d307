package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

var errInjected = errors.New("injected")

// aged makes a repository with something of everything to prune: dead and half dead packs
// in files and in commits, an orphan, and a tombstone that has had its time.
func aged(t *testing.T, store tier.Store) *pruneWorld {
	t.Helper()
	w := newPruneWorld(t, store, 3)
	r := w.open(store)
	defer func() { _ = r.Close() }()
	var ids []string
	for range 5 {
		w.change(8, 120_000)
		ids = append(ids, w.save(r))
	}
	w.forget(r, ids[0])
	w.prune(r, repo.PruneOptions{MaxUnused: 0, Grace: 1 << 40, SealAfter: 1 << 40})
	w.forget(r, ids[1], ids[3])
	s, err := r.Begin(t.Context())
	noError(t, err)
	in, err := s.Ingest(t.Context(), repo.IngestOptions{Stream: "orphan"})
	noError(t, err)
	noError(t, in.Close())
	noError(t, s.Abandon(t.Context()))
	noError(t, tier.Put(t.Context(), store, packName(s), randomBytes(9, 1000)))
	w.now.Add(1 << 41)
	return w
}

// After each call that a prune makes: the power goes, or the call fails, or its answer is
// lost. Nothing is lost by that, and the next prune makes up for it.
func TestPruneSurvivesEveryCall(t *testing.T) {
	for _, kind := range []string{"power", "before", "after"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			world := aged(t, tier.NewMemory())
			cut := 0
			for n := int64(1); ; n++ {
				if testing.Short() && n > 1 {
					n += 6
				}
				what := fmt.Sprintf("%s %d", kind, n)
				crash := tiertest.NewCrash()
				w := world.on(t, crash)
				var calls atomic.Int64
				f := &tiertest.Faulty{Store: crash}
				r := w.open(f)
				hook := func(tiertest.Op, string) error {
					if calls.Add(1) != n {
						return nil
					}
					if kind == "power" {
						crash.Cut()
						return nil
					}
					return errInjected
				}
				if kind == "after" {
					f.After = hook
				} else {
					f.Before = hook
				}
				before := len(w.want)
				_, err := Prune(context.Background(), r, now)
				f.Before, f.After = nil, nil
				_ = r.Close()
				crash.Restart()
				if err != nil {
					cut++
				}
				w.verify(what)
				r = w.open(w.store)
				if got := w.snapshots(r); len(got) != before-3 {
					t.Fatalf("%s: %d snapshots of %d", what, len(got), before)
				}
				w.prune(r, now)
				_ = r.Close()
				w.verify(what + ", pruned again")
				w.exact(what + ", pruned again")
				if calls.Load() < n {
					t.Logf("%d calls, %d prunes failed", n-1, cut)
					return
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// The same for undelete and forget: all or nothing.
func TestForgetSurvivesEveryCall(t *testing.T) {
	t.Parallel()
	world := newPruneWorld(t, tier.NewMemory(), 4)
	r := world.open(world.store)
	var ids []string
	for range 3 {
		world.change(6, 90_000)
		ids = append(ids, world.save(r))
	}
	_ = r.Close()
	for n := int64(1); ; n++ {
		what := fmt.Sprintf("power lost at call %d", n)
		crash := tiertest.NewCrash()
		w := world.on(t, crash)
		var calls atomic.Int64
		f := &tiertest.Faulty{Store: crash}
		r = w.open(f)
		f.Before = func(tiertest.Op, string) error {
			if calls.Add(1) == n {
				crash.Cut()
			}
			return nil
		}
		_, err := Forget(context.Background(), r, ForgetOptions{Snapshots: ids[:2]})
		forgot := err == nil
		if err == nil {
			_, err = Prune(context.Background(), r, repo.PruneOptions{Grace: 1 << 50, SealAfter: 0})
		}
		if err == nil {
			_, err = Undelete(context.Background(), r, ids[:1])
		}
		f.Before = nil
		_ = r.Close()
		crash.Restart()
		w.verify(what)
		r = w.open(crash)
		got := w.snapshots(r)
		switch {
		case err == nil && !slices.Equal(got, sorted(ids[0], ids[2])):
			t.Fatalf("%s: after all was done there are %v", what, got)
		case forgot && slices.Contains(got, ids[1]):
			t.Fatalf("%s: what was forgotten is there", what)
		case !slices.Contains(got, ids[2]):
			t.Fatalf("%s: a snapshot is lost", what)
		}
		if list, lerr := ListForgotten(r); lerr != nil || len(list)+len(got) != 3 {
			t.Fatalf("%s: %d snapshots are there and %d can come back, %v", what, len(got), len(list), lerr)
		}
		_, uerr := Undelete(context.Background(), r, nil)
		noError(t, uerr)
		list, _ := ListForgotten(r)
		for _, s := range list {
			if _, err := Undelete(context.Background(), r, []string{s.ID()}); err != nil {
				t.Fatalf("%s: undelete afterwards: %v", what, err)
			}
		}
		_ = r.Close()
		w.verify(what + ", all brought back")
		if calls.Load() < n {
			return
		}
	}
}
