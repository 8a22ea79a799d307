package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/snapshot"
)

// topDir is on the way to every file that is backed up.
const topDir = "/top/"

// run works until the process is killed or has nothing left to do.
func (l *life) run() {
	defer l.over.Store(true)
	defer func() {
		if p := recover(); p != nil {
			l.p.w.stop(bad(Panic, "%v\n%s", p, debug.Stack()))
		}
	}()
	for l.p.budget.Load() > 0 && !l.dead.Load() {
		var err error
		if l.p.serves {
			err = l.serve()
		} else {
			err = l.command()
		}
		l.judge("process", err)
	}
}

// turn is the moment before an operation: others may go first.
func (l *life) turn(name string) bool {
	if l.p.budget.Add(-1) < 0 {
		return false
	}
	err := l.call(opTurn, name, func() error {
		w := l.p.w
		w.res.Ops[name]++
		w.now.Add(w.rng.Int64N(int64(time.Hour)))
		return nil
	})
	return err == nil
}

// judge looks at how an operation ended.
func (l *life) judge(what string, err error) {
	w := l.p.w
	if err == nil || l.dead.Load() {
		return
	}
	w.mu.Lock()
	for _, e := range refusals {
		if errors.Is(err, e) {
			w.res.Refused[e.Error()]++
		}
	}
	w.mu.Unlock()
	var d *defect
	switch {
	case errors.As(err, &d):
		w.stop(err)
	case errors.Is(err, repo.ErrRolledBack):
		w.stop(bad(Damaged, "%s of %s: %w", what, l.p.name, err))
	case w.calm && !expected(err):
		w.stop(bad(Damaged, "%s of %s fails without a cause: %w", what, l.p.name, err))
	}
}

// refusals are the errors that an operation may have when nothing goes wrong, since others
// came first.
var refusals = []error{repo.ErrDropped, repo.ErrSealed, repo.ErrNotFound, object.ErrBusy, object.ErrNoKey,
	object.ErrNoVersion, object.ErrNoUpload, object.ErrNotEmpty, object.ErrNoBucket, index.ErrNotFound}

func expected(err error) bool {
	return slices.ContainsFunc(refusals, func(e error) bool { return errors.Is(err, e) })
}

// outcome of an operation of the process.
func (l *life) outcome(err error) outcome {
	if err == nil && !l.dead.Load() {
		return acked
	}
	return unknown
}

// open opens the repository.
func (l *life) open() (*repo.Repository, error) {
	return repo.Open(context.Background(), store{l}, []age.Identity{l.p.id}, l.opt)
}

// close closes it, and keeps its index for one that comes back from a copy.
func (l *life) close(r *repo.Repository) error {
	if err := r.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	w := l.p.w
	if l.dead.Load() || len(l.p.clean) > 3 || l.rng.IntN(4) > 0 {
		return nil
	}
	old := fmt.Sprintf("%s-old%d", l.opt.CacheDir, len(l.p.clean))
	if err := os.CopyFS(old, os.DirFS(l.opt.CacheDir)); err != nil {
		w.stop(fmt.Errorf("copy an index: %w", err))
		return nil
	}
	l.p.clean = append(l.p.clean, old)
	return nil
}

// command opens the repository and does some operations, as the command line does.
func (l *life) command() error {
	r, err := l.open()
	if err != nil {
		l.p.budget.Add(-1)
		return err
	}
	for range 1 + l.rng.IntN(2) {
		c := commands[pick(l.rng.IntN(100), l.p.shares)]
		if !l.turn(c.name) {
			break
		}
		l.judge(c.name, c.do(l, r))
	}
	return l.close(r)
}

// commands that a process without an engine runs.
var commands = []struct {
	name string
	do   func(*life, *repo.Repository) error
}{
	{"backup", (*life).backup}, {"stream", (*life).stream}, {"forget", (*life).forget}, {"prune", (*life).prune},
	{"undelete", (*life).undelete}, {"checkpoint", (*life).checkpoint}, {"check", (*life).check}, {"restore", (*life).restore},
}

// commandShares of hundred: of all things, or mostly of what takes away and needs again.
var commandShares = [][]int{{31, 6, 17, 26, 7, 4, 3, 6}, {35, 2, 25, 30, 4, 2, 1, 1}}

// writerShares are those of a process that can only write.
var writerShares = []int{75, 25}

// pick returns in which share n lies.
func pick(n int, shares []int) int {
	for i, s := range shares {
		if n -= s; n < 0 {
			return i
		}
	}
	return len(shares) - 1
}

// treeDir is the directory that the process backs up.
func (p *proc) treeDir() string { return filepath.Join(p.w.dir, p.name) }

// change writes and removes files of the tree.
func (l *life) change() error {
	p := l.p
	top := filepath.Join(p.treeDir(), strings.Trim(topDir, "/"))
	n := 1 + l.rng.IntN(4)
	if len(p.tree) == 0 {
		n = 6 // so that packs hold several files, of which some die
	}
	for range n {
		name := fmt.Sprintf("d%d/f%d", l.rng.IntN(2), l.rng.IntN(3))
		file := filepath.Join(top, name)
		if l.rng.IntN(4) == 0 {
			if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			delete(p.tree, name)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		data := p.w.content(l.rng.IntN(100), l.rng.Uint64())
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return err
		}
		p.files++
		when := time.Unix(1_700_000_000+p.files, 0) // never the same: a backup compares times
		if err := os.Chtimes(file, when, when); err != nil {
			return err
		}
		p.tree[name] = data
	}
	return os.MkdirAll(top, 0o700)
}

// content makes bytes of some size. Many are the same, so that writers find what others
// wrote, and what nobody needs any more.
func (w *world) content(kind int, n uint64) []byte { return content(w.pool[1:], kind, n) }

// lasting is content that is not shared with what comes and goes.
func (w *world) lasting(kind int, n uint64) []byte { return content(w.pool[:1], kind, n) }

func content(pool [][]byte, kind int, n uint64) []byte {
	shared := pool[n%uint64(len(pool))]
	switch {
	case kind < 50:
		return shared
	case kind < 60:
		return slices.Concat(shared, pool[n/7%uint64(len(pool))])
	case kind < 70:
		return append([]byte(fmt.Sprint(n)), shared...)
	case kind < 75:
		return nil
	default:
		return bytes.Repeat([]byte(fmt.Sprint(n, " ")), int(n%50)+1)
	}
}

func (l *life) backup(r *repo.Repository) error {
	if err := l.change(); err != nil {
		return l.broken(err)
	}
	w := l.p.w
	s := w.model.beginSave(maps.Clone(l.p.tree))
	opt := snapshot.SaveOptions{Paths: []string{l.p.treeDir()}, Host: l.p.name, Workers: 1 + l.rng.IntN(2)}
	if l.rng.IntN(5) == 0 {
		opt.Parent = "none"
	}
	opt.Retry = func(why error) { l.judge("backup", why) }
	res, err := snapshot.Save(context.Background(), r, opt)
	if l.outcome(err) != acked {
		return err
	}
	w.model.endSave(s, res.ID)
	return nil
}

// broken says that the simulation itself cannot go on.
func (l *life) broken(err error) error {
	l.p.w.stop(fmt.Errorf("the simulation: %w", err))
	return nil
}

func (l *life) stream(r *repo.Repository) error {
	w := l.p.w
	name := "stream-" + l.p.name
	data := w.content(l.rng.IntN(75), l.rng.Uint64())
	s := w.model.beginSave(tree{"/" + name: data})
	res, err := snapshot.SaveStream(context.Background(), r, name, bytes.NewReader(data), snapshot.SaveOptions{Host: l.p.name, Workers: 1}, nil)
	if l.outcome(err) != acked {
		return err
	}
	w.model.endSave(s, res.ID)
	return nil
}

func (l *life) forget(r *repo.Repository) error {
	opt := snapshot.ForgetOptions{GroupBy: []string{"host"}, Policy: snapshot.Policy{Last: 1 + l.rng.IntN(2)}}
	var ids []string
	if l.rng.IntN(2) == 0 {
		all, err := snapshot.List(r, snapshot.Filter{})
		if err != nil || len(all) == 0 {
			return err
		}
		ids = []string{all[l.rng.IntN(len(all))].ID()}
		opt.Snapshots = ids
	}
	w := l.p.w
	f, writes := w.model.beginForget(ids), w.model.beginEach(ids, nil)
	res, err := snapshot.Forget(context.Background(), r, opt)
	var done []string
	if err == nil {
		for _, id := range res.Forgotten() {
			done = append(done, id.String())
		}
	}
	w.model.end(f.w, l.outcome(err))
	w.model.endEach(writes, done, l.outcome(err))
	return err
}

// pause is how long files or sessions are left alone: not at all, or long.
func (l *life) pause() time.Duration {
	if l.p.w.calm {
		return 1000 * 24 * time.Hour
	}
	return []time.Duration{0, time.Hour, 1000 * 24 * time.Hour}[l.rng.IntN(3)]
}

func (l *life) prune(r *repo.Repository) error {
	ctx := context.Background()
	opt := repo.PruneOptions{MaxUnused: []float64{0, 0, 0.1, 1}[l.rng.IntN(4)], Grace: l.pause(), SealAfter: l.pause()}
	switch l.p.w.opt.Weaken {
	case BlindPrune:
		return blindPrune(ctx, r, opt)
	case NaiveSweep:
		return naiveSweep(ctx, r)
	}
	_, err := snapshot.Prune(ctx, r, opt)
	return err
}

func (l *life) undelete(r *repo.Repository) error {
	list, err := snapshot.ListForgotten(r)
	if err != nil {
		return err
	}
	ids := []string{}
	if len(list) > 0 && l.rng.IntN(6) > 0 {
		ids = append(ids, list[l.rng.IntN(len(list))].ID())
	}
	w := l.p.w
	writes := w.model.beginEach(ids, true)
	_, err = snapshot.Undelete(context.Background(), r, ids)
	w.model.endEach(writes, ids, l.outcome(err))
	if w.haste && errors.Is(err, repo.ErrDamaged) { // a prune, or a clock, did not wait
		err = fmt.Errorf("%w: %w", repo.ErrNotFound, err)
	}
	return err
}

func (l *life) checkpoint(r *repo.Repository) error {
	if err := r.Refresh(context.Background()); err != nil {
		return err
	}
	return r.Checkpoint(context.Background(), l.rng.IntN(5) > 0)
}

func (l *life) check(r *repo.Repository) error {
	var found error
	_, err := snapshot.Check(context.Background(), r, snapshot.CheckOptions{ReadData: l.rng.IntN(2) == 0, Workers: 1,
		Problem: func(f snapshot.Finding) { found = fmt.Errorf("check: %s %s: %w", f.Kind, f.File, f.Err) }})
	return errors.Join(err, found)
}

// restore writes a snapshot to a directory: if that succeeds, the files are as they were.
func (l *life) restore(r *repo.Repository) error {
	all, err := snapshot.List(r, snapshot.Filter{})
	if err != nil || len(all) == 0 {
		return err
	}
	s := all[l.rng.IntN(len(all))]
	w := l.p.w
	w.model.mu.Lock()
	known := w.model.snaps[s.ID()]
	w.model.mu.Unlock()
	if known == nil {
		return nil
	}
	target, err := os.MkdirTemp(w.dir, "restore")
	if err != nil {
		return l.broken(err)
	}
	defer func() { _ = os.RemoveAll(target) }()
	var problem error
	_, err = snapshot.Restore(context.Background(), r, s, snapshot.RestoreOptions{Target: target, Workers: 1, NoOwner: true,
		Problem: func(p string, e error) { problem = fmt.Errorf("restore %s: %w", p, e) }})
	if err = errors.Join(err, problem); err != nil {
		return err
	}
	got := tree{}
	err = filepath.WalkDir(target, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		got[belowTop(strings.TrimPrefix(p, target))], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		return l.broken(err)
	}
	if !got.equal(known.tree) {
		return bad(Wrong, "restore of snapshot %s gives %s instead of %s", s.Short(), got, known.tree)
	}
	return nil
}
