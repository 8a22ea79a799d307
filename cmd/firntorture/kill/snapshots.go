package kill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// backup prepares a backup of the tree as it is now, under a tag of its own.
func (w *world) backup() (*process, error) {
	state, err := scan(w.tree.root)
	if err != nil {
		return nil, err
	}
	w.tags++
	tag := fmt.Sprintf("t%d", w.tags)
	w.tried[tag] = state
	return w.command("backup", "--json", "--tag", tag, "--host", w.host, w.tree.root), nil
}

// acknowledged notes what a backup or a forget printed, if it came so far.
func (w *world) acknowledged(o outcome) {
	var s struct {
		Snapshot string `json:"snapshot"`
	}
	if lastLine(o.out, "summary", &s) && s.Snapshot != "" {
		w.saved[s.Snapshot] = w.tried[fmt.Sprintf("t%d", w.tags)]
	}
	if o.code == 0 {
		for id := range w.maybe {
			delete(w.saved, id)
		}
	}
}

// writer prepares a command that writes.
func (w *world) writer() (*process, error) {
	if w.parity && w.rng.IntN(6) == 0 {
		return w.command("scrub", "--json"), nil
	}
	if len(w.saved) > 1 && w.rng.IntN(3) == 0 {
		return w.forget(), nil
	}
	if err := w.tree.change(1 + w.rng.IntN(8)); err != nil {
		return nil, err
	}
	return w.backup()
}

// forget prepares the removal of some snapshots, and a prune behind it.
func (w *world) forget() *process {
	args := []string{"prune"}
	if ids := w.old(); len(ids) > 0 {
		args = append([]string{"forget", "--prune"}, ids...)
	}
	return w.command(w.pruneArgs(args...)...)
}

// old picks snapshots to be forgotten; they may be gone from now on. At least one stays.
func (w *world) old() []string {
	ids := slices.Sorted(maps.Keys(w.saved))
	w.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	n := max(0, min(len(ids)-1, 1+w.rng.IntN(3)))
	if len(ids) > 12 {
		n = len(ids) - 6
	}
	for _, id := range ids[:n] {
		w.maybe[id] = true
	}
	return ids[:n]
}

// pruneArgs adds how thorough a prune is. Nobody else is at work, so nothing needs a grace;
// one now and then makes the next prune finish what this one left.
func (w *world) pruneArgs(args ...string) []string {
	args = append(args, "--json", "--max-unused", fmt.Sprintf("%d%%", w.rng.IntN(3)*10))
	if w.rng.IntN(3) == 0 {
		return append(args, "--grace", "1h", "--seal-after", "1h")
	}
	return append(args, "--grace", "0", "--seal-after", "0")
}

// listed is a snapshot as firn snapshots prints it.
type listed struct {
	ID   string   `json:"id"`
	Tags []string `json:"tags"`
}

// compareList holds what firn lists against what is remembered. A snapshot that was not
// acknowledged may be there; from now on it has to be.
func (w *world) compareList(ctx context.Context) error {
	o, err := w.must(ctx, "snapshots", "--json", "--host", w.host)
	if err != nil {
		return err
	}
	var list []listed
	if err := json.Unmarshal(o.out, &list); err != nil {
		return breaks(failed, "firn snapshots printed %s: %v", short(o.out), err)
	}
	there := map[string]bool{}
	for _, s := range list {
		there[s.ID] = true
		if _, ok := w.saved[s.ID]; ok {
			continue
		}
		if len(s.Tags) != 1 || w.tried[s.Tags[0]] == nil {
			return breaks(wrong, "snapshot %s with tags %q was never made", s.ID, s.Tags)
		}
		w.saved[s.ID] = w.tried[s.Tags[0]]
	}
	for id := range w.saved {
		if !there[id] && !w.maybe[id] {
			return breaks(lost, "snapshot %s was acknowledged and is gone", id)
		}
		if !there[id] {
			delete(w.saved, id)
		}
	}
	clear(w.maybe)
	clear(w.tried)
	return nil
}

// check runs firn check, which must find nothing.
func (w *world) check(ctx context.Context, args ...string) error {
	o, err := w.must(ctx, append([]string{"check", "--json"}, args...)...)
	if err != nil {
		return err
	}
	var sum struct {
		Findings int64 `json:"findings"`
	}
	if !lastLine(o.out, "summary", &sum) || sum.Findings != 0 {
		return breaks(failed, "firn check printed %s", short(o.out))
	}
	w.score.count(&w.score.Checks, 1)
	return nil
}

// scrub reads everything there is, and must find nothing.
func (w *world) scrub(ctx context.Context) error {
	if !w.parity {
		return nil
	}
	_, err := w.must(ctx, "scrub", "--json")
	return err
}

// restore restores a snapshot into target, which may hold a part of it, and compares.
func (w *world) restore(ctx context.Context, id, target string) error {
	if _, err := w.must(ctx, "restore", id, "--target", target); err != nil {
		return err
	}
	got, err := scan(filepath.Join(target, w.tree.root))
	if err != nil {
		return breaks(wrong, "restored snapshot %s: %v", id, err)
	}
	if diff := w.saved[id].differences(got); diff != "" {
		return breaks(wrong, "restored snapshot %s: %s", id, diff)
	}
	w.score.count(&w.score.Restores, 1)
	return os.RemoveAll(target)
}

func (w *world) target() string { return filepath.Join(w.dir, "target") }

// anySnapshot picks one.
func (w *world) anySnapshot() (string, bool) {
	if len(w.saved) == 0 {
		return "", false
	}
	ids := slices.Sorted(maps.Keys(w.saved))
	return ids[w.rng.IntN(len(ids))], true
}

// sound proves that the repository is as it should be: the next command works, check is
// clean, and one snapshot comes back.
func (w *world) sound(ctx context.Context) error {
	if w.rng.IntN(8) == 0 { // the index is a cache
		if err := os.RemoveAll(w.cache); err != nil {
			return err
		}
	}
	if err := w.compareList(ctx); err != nil {
		return err
	}
	var args []string
	if w.rng.IntN(2) == 0 {
		args = []string{"--read-data"}
	}
	if err := w.check(ctx, args...); err != nil {
		return err
	}
	if id, ok := w.anySnapshot(); ok {
		return w.restore(ctx, id, w.target())
	}
	return nil
}

// wholly is sound for everything there is, without the index.
func (w *world) wholly(ctx context.Context) error {
	if err := os.RemoveAll(w.cache); err != nil {
		return err
	}
	if err := w.compareList(ctx); err != nil {
		return err
	}
	if err := w.check(ctx, "--read-data"); err != nil {
		return err
	}
	if err := w.scrub(ctx); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(w.saved)) {
		if err := w.restore(ctx, id, w.target()); err != nil {
			return err
		}
	}
	if w.objs == nil {
		return nil
	}
	s, err := w.serve(ctx)
	if err != nil {
		return err
	}
	return errors.Join(s.compare(ctx, true), s.stop())
}
