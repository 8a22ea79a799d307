package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

func (w *pruneWorld) read(name string) []byte {
	w.t.Helper()
	b, err := tier.Read(context.Background(), w.store, name, 1<<30)
	noError(w.t, err)
	return b
}

// put gives a file other bytes, or with nil removes it.
func (w *pruneWorld) put(name string, b []byte) {
	w.t.Helper()
	if err := w.store.Delete(context.Background(), name); err != nil && !errors.Is(err, tier.ErrNotExist) {
		w.t.Fatal(err)
	}
	if b != nil {
		noError(w.t, tier.Put(context.Background(), w.store, name, b))
	}
}

func (w *pruneWorld) files(prefix string) (names []string) {
	w.t.Helper()
	noError(w.t, w.store.List(context.Background(), prefix, "", func(fi tier.Info) error {
		names = append(names, fi.Name)
		return nil
	}))
	return names
}

// largest returns the largest file with a prefix.
func (w *pruneWorld) largest(prefix string) string {
	w.t.Helper()
	name, size := "", int64(-1)
	noError(w.t, w.store.List(context.Background(), prefix, "", func(fi tier.Info) error {
		if fi.Size > size {
			name, size = fi.Name, fi.Size
		}
		return nil
	}))
	return name
}

// repair is Mend and Repair, and tells what they reported.
func (w *pruneWorld) repair(r *repo.Repository, opt repo.RepairOptions) (*repo.RepairResult, []string) {
	w.t.Helper()
	var told []string
	opt.Report = func(m repo.Mended) { told = append(told, fmt.Sprintf("%s healed=%v: %v", m.File, m.Healed, m.Err)) }
	noError(w.t, repo.Mend(w.t.Context(), w.store, opt.DryRun, opt.Report))
	res, err := r.Repair(w.t.Context(), opt)
	noError(w.t, err)
	return res, told
}

// findings returns what a check says.
func (w *pruneWorld) findings(r *repo.Repository) (found []Finding) {
	w.t.Helper()
	_, err := Check(w.t.Context(), r, CheckOptions{ReadData: true, Problem: func(f Finding) { found = append(found, f) }})
	noError(w.t, err)
	return found
}

func zeroed(b []byte, from, to int) []byte {
	b = slices.Clone(b)
	clear(b[from:min(to, len(b))])
	return b
}

// A pack without parity that is damaged: what can be read of it is saved, the rest is
// declared lost, the snapshots stay, prune goes on, and the next backup makes them whole.
func TestRepairThenBackupHeals(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{"zeros", "gone", "cut"} {
		w := newPruneWorld(t, tier.NewMemory(), 11)
		r := w.open(w.store)
		w.change(10, 100_000)
		write(t, filepath.Join(w.dir, "large"), randomBytes(2, 700_000))
		first := w.save(r)
		write(t, filepath.Join(w.dir, "new"), randomBytes(1, 30_000))
		w.save(r)
		name := w.largest("packs/")
		was := w.read(name)
		switch damage {
		case "zeros":
			w.put(name, zeroed(was, 100_000, 100_010))
		case "gone":
			w.put(name, nil)
		case "cut":
			w.put(name, was[:len(was)/2])
		}
		before := len(w.files(""))
		dry, _ := w.repair(r, repo.RepairOptions{DryRun: true})
		if len(w.files("")) != before {
			t.Fatalf("%s: a dry run changed something", damage)
		}
		res, told := w.repair(r, repo.RepairOptions{})
		if res.Dropped.Packs != 1 || res.Lost == 0 || res.Missing != res.Lost || len(told) != 1 || !strings.Contains(told[0], name) {
			t.Fatalf("%s: %+v %q", damage, res, told)
		}
		dry.DryRun, dry.Missing = false, res.Missing
		if *dry != *res {
			t.Errorf("%s: the dry run said %+v, done was %+v", damage, dry, res)
		}
		if damage == "zeros" && res.Saved == 0 {
			t.Errorf("nothing was saved: %+v", res)
		}
		found := w.findings(r)
		if len(found) == 0 || !slices.ContainsFunc(found, func(f Finding) bool { return slices.Contains(f.Snapshots, first) }) || len(found[0].Paths) == 0 {
			t.Errorf("%s: check says %d things", damage, len(found))
		}
		w.prune(r, repo.PruneOptions{Grace: 0})
		if n := len(w.snapshots(r)); n != 2 {
			t.Fatalf("%s: %d snapshots", damage, n)
		}
		w.save(r)
		w.verify(damage + ", backed up again")
		if res, told := w.repair(r, repo.RepairOptions{}); res.Missing+res.Lost+res.Dropped.Packs > 0 || len(told) > 0 {
			t.Errorf("%s: a second repair: %+v %q", damage, res, told)
		}
		w.prune(r, now)
		w.verify(damage + ", pruned")
		w.exact(damage)
		_ = r.Close()
	}
}

// What was changed since is gone for good. It is named, the rest is restored, and when the
// snapshots that need it are forgotten, all is well.
func TestRepairOfWhatNobodyHasAnyMore(t *testing.T) {
	t.Parallel()
	w := newPruneWorld(t, tier.NewMemory(), 12)
	r := w.open(w.store)
	w.change(10, 200_000)
	first := w.save(r)
	for _, name := range w.files("packs/") {
		w.put(name, nil)
	}
	for _, d := range []string{"d0", "d1", "d2", "d3"} {
		noError(t, os.RemoveAll(filepath.Join(w.dir, d)))
	}
	w.repair(r, repo.RepairOptions{})
	w.save(r)
	found := w.findings(r)
	if len(found) == 0 {
		t.Fatal("nothing is lost: the test tests nothing")
	}
	for _, f := range found {
		if !slices.Equal(f.Snapshots, []string{first}) || len(f.Paths) != 1 {
			t.Errorf("%+v", f)
		}
	}
	if res := w.prune(r, now); res.Missing == 0 {
		t.Errorf("prune: %+v", res)
	}
	problems := 0
	s, err := Find(r, first, Filter{})
	noError(t, err)
	res, err := Restore(t.Context(), r, s, RestoreOptions{Target: t.TempDir(), Problem: func(string, error) { problems++ }})
	noError(t, err)
	if int(res.Problems) != problems || problems == 0 || int(res.Files)+problems != len(w.want[first]) {
		t.Errorf("restore: %d files, %d problems of %d", res.Files, problems, len(w.want[first]))
	}
	w.forget(r, first)
	w.prune(r, now)
	w.prune(r, now)
	if res, _ := w.repair(r, repo.RepairOptions{}); res.Missing > 0 {
		t.Errorf("what nothing needs is still missed: %+v", res)
	}
	w.verify("forgotten")
	w.exact("forgotten")
}

// The file of a lost pack that turns up again, at its old place, is taken back.
func TestLostPackReturns(t *testing.T) {
	t.Parallel()
	w := newPruneWorld(t, tier.NewMemory(), 13)
	r := w.open(w.store)
	w.change(10, 200_000)
	w.save(r)
	name := w.largest("packs/")
	was := w.read(name)
	w.put(name, nil)
	w.repair(r, repo.RepairOptions{})
	w.prune(r, now)
	w.put(name, zeroed(was, 1000, 2000)) // not yet
	if res, _ := w.repair(r, repo.RepairOptions{}); res.Returned.Packs != 0 || res.Missing == 0 {
		t.Errorf("a damaged pack came back: %+v", res)
	}
	w.prune(r, now) // which leaves it alone
	if len(w.read(name)) != len(was) {
		t.Error("prune removed it")
	}
	w.put(name, was)
	if res, _ := w.repair(r, repo.RepairOptions{}); res.Returned.Packs != 1 || res.Missing != 0 {
		t.Errorf("it did not come back: %+v", res)
	}
	w.verify("returned")
	w.exact("returned")
}

// A chunk that another pack holds too is found there.
func TestRepairFindsChunksElsewhere(t *testing.T) {
	t.Parallel()
	w := newPruneWorld(t, tier.NewMemory(), 14)
	r := w.open(w.store)
	w.change(10, 200_000)
	w.save(r)
	name := w.largest("packs/")
	was := w.read(name)
	w.put(name, nil)
	res, err := Save(t.Context(), r, w.saveOptions()) // distrusts the pack, and stores all of it again
	noError(t, err)
	w.remember(res.ID)
	w.put(name, zeroed(was, 0, len(was)))
	rep, _ := w.repair(r, repo.RepairOptions{})
	if rep.Dropped.Packs != 1 || rep.Lost != 0 || rep.Elsewhere == 0 {
		t.Errorf("%+v", rep)
	}
	w.verify("elsewhere")
	w.prune(r, now)
	w.exact("elsewhere")
}

// A commit that is damaged for good, where this machine knows what it said: a checkpoint
// keeps it for the others.
func TestRepairKeepsWhatADamagedCommitSaid(t *testing.T) {
	t.Parallel()
	w := newPruneWorld(t, tier.NewMemory(), 15)
	r := w.open(w.store)
	w.change(10, 200_000)
	w.save(r)
	names := w.files("log/")
	for _, name := range names[1 : len(names)-1] { // BEGIN, and nothing embedded
		if b := w.read(name); len(b) < 1000 {
			w.put(name, zeroed(b, 100, 300))
			break
		}
	}
	if _, err := repo.Open(t.Context(), w.store, nil, w.options(t.TempDir())); err == nil {
		t.Fatal("opened")
	}
	res, told := w.repair(r, repo.RepairOptions{})
	if res.Commits != 1 || !res.Checkpoint || len(told) != 2 { // once by Mend, once by Repair
		t.Fatalf("%+v %q", res, told)
	}
	other := w.open(w.store) // a machine without an index
	all, err := List(other, Filter{})
	noError(t, err)
	if len(all) != 1 {
		t.Errorf("%d snapshots", len(all))
	}
}

// shabby is a repository with parity, damaged in all ways that heal, and in one that does
// not.
func shabby(t *testing.T) (w *pruneWorld, whole map[string]string) {
	t.Helper()
	w = newPruneWorld(t, tier.NewMemory(), 16)
	r := w.open(w.store)
	noError(t, r.SetParity(t.Context(), 10))
	for range 2 {
		w.change(6, 150_000)
		w.save(r)
	}
	noError(t, r.Close())
	whole = map[string]string{}
	for _, name := range w.files("") {
		whole[name] = string(w.read(name))
	}
	for i, name := range slices.Concat(w.files("packs/"), w.files("log/")[2:4], []string{"keys/full/default.age", w.largest("parity/packs/")}) {
		b := w.read(name)
		w.put(name, zeroed(b, len(b)/3+i, len(b)/3+i+40))
	}
	return w, whole
}

// After each call that a repair or a scrub makes: the power goes, the call fails, or its
// answer is lost. What could heal before heals after.
func TestHealingSurvivesEveryCall(t *testing.T) {
	for _, how := range []string{"power", "before", "after"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			world, whole := shabby(t)
			// There are many calls, mostly reads; an odd step meets those of all kinds.
			step := int64(61)
			if testing.Short() {
				step = 151
			}
			for n := int64(len(how)); ; n += step {
				what := fmt.Sprintf("%s %d", how, n)
				crash := tiertest.NewCrash()
				w := world.on(t, crash)
				f := &tiertest.Faulty{Store: crash}
				var calls atomic.Int64
				hook := func(tiertest.Op, string) error {
					if calls.Add(1) != n {
						return nil
					}
					if how == "power" {
						crash.Cut()
						return nil
					}
					return errInjected
				}
				if how == "after" {
					f.After = hook
				} else {
					f.Before = hook
				}
				err := healAll(w, f)
				f.Before, f.After = nil, nil
				crash.Restart()
				reached := calls.Load() >= n
				if err == nil || !reached {
					w.verify(what)
				}
				noError(t, healAll(w, crash))
				w.verify(what + ", healed again")
				for name, b := range whole {
					if !strings.HasPrefix(name, "parity/log/") && !strings.HasPrefix(name, "checkpoints/") && string(w.read(name)) != b {
						t.Fatalf("%s: %s is not as it was", what, name)
					}
				}
				if !reached || t.Failed() {
					t.Logf("%d calls", calls.Load())
					return
				}
			}
		})
	}
}

// healAll mends, repairs and scrubs through a store.
func healAll(w *pruneWorld, store tier.Store) error {
	ctx := context.Background()
	if err := repo.Mend(ctx, store, false, func(repo.Mended) {}); err != nil {
		return err
	}
	r, err := repo.Open(ctx, store, ids(w), w.options(w.t.TempDir()))
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Scrub(ctx, repo.ScrubOptions{}); err != nil {
		return err
	}
	res, err := r.Repair(ctx, repo.RepairOptions{})
	if err == nil && res.Dropped.Packs > 0 {
		err = fmt.Errorf("a pack that could heal was given up: %+v", res)
	}
	return err
}

func ids(w *pruneWorld) []age.Identity { return []age.Identity{w.id} }

// The same when the commit held packs: what was in them is lost, trees included. The next
// backup stores again what has not changed, but directories do; then the snapshot is to be
// forgotten before prune goes on.
func TestRepairOfADamagedCommitWithPacks(t *testing.T) {
	t.Parallel()
	w := newPruneWorld(t, tier.NewMemory(), 17)
	r := w.open(w.store)
	w.change(10, 200_000)
	first := w.save(r)
	name := w.largest("log/")
	b := w.read(name)
	w.put(name, zeroed(b, len(b)-300, len(b)-100))
	if len(w.findings(r)) < 2 {
		t.Fatal("nothing is lost: the test tests nothing")
	}
	res, told := w.repair(r, repo.RepairOptions{})
	if res.Commits != 1 || !res.Checkpoint || res.Dropped.Packs == 0 || res.Lost == 0 {
		t.Fatalf("%+v %q", res, told)
	}
	if _, err := Prune(t.Context(), r, now); !errors.Is(err, repo.ErrDamaged) {
		t.Errorf("prune beside lost trees: %v", err)
	}
	w.save(r)
	for _, f := range w.findings(w.open(w.store)) {
		if f.Kind != "log" && !slices.Equal(f.Snapshots, []string{first}) {
			t.Errorf("%s %s %v: %s", f.Kind, f.File, f.Snapshots, f.Message)
		}
	}
	w.forget(r, first)
	w.prune(r, now)
	for _, f := range w.findings(w.open(w.store)) {
		if f.Kind != "log" {
			t.Errorf("%s %s: %s", f.Kind, f.File, f.Message)
		}
	}
	if res, _ := w.repair(r, repo.RepairOptions{}); res.Missing > 0 {
		t.Errorf("%+v", res)
	}
}
