package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// pruneWorld is a repository that several processes use, and what its snapshots hold.
type pruneWorld struct {
	t     testing.TB
	store tier.Store
	id    *age.X25519Identity
	now   *atomic.Int64
	dir   string // the tree that is backed up
	rng   *rand.Rand

	want map[string]map[string]string // snapshot ID → path → content
}

func newPruneWorld(t testing.TB, store tier.Store, seed byte) *pruneWorld {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	noError(t, err)
	w := &pruneWorld{t: t, store: store, id: id, now: &atomic.Int64{}, dir: t.TempDir(),
		rng: rand.New(rand.NewChaCha8([32]byte{seed})), want: map[string]map[string]string{}}
	w.now.Store(1_800_000_000_000_000_000)
	_, err = repo.Init(t.Context(), store, id.Recipient(), w.options(t.TempDir()), repo.InitOptions{})
	noError(t, err)
	return w
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *pruneWorld) options(cache string) repo.Options {
	return repo.Options{CacheDir: cache, BootID: "boot", Now: func() time.Time { return time.Unix(0, w.now.Add(1000)) }}
}

// on copies the world into another store.
func (w *pruneWorld) on(t testing.TB, store tier.Store) *pruneWorld {
	t.Helper()
	other := *w
	other.t, other.store, other.now = t, store, &atomic.Int64{}
	other.now.Store(w.now.Load())
	noError(t, w.store.List(t.Context(), "", "", func(fi tier.Info) error {
		b, err := tier.Read(t.Context(), w.store, fi.Name, 1<<30)
		noError(t, err)
		return tier.Put(t.Context(), store, fi.Name, b)
	}))
	return &other
}

// open opens the repository as another machine would, through any store.
func (w *pruneWorld) open(store tier.Store) *repo.Repository {
	w.t.Helper()
	r, err := repo.Open(context.Background(), store, []age.Identity{w.id}, w.options(w.t.TempDir()))
	noError(w.t, err)
	w.t.Cleanup(func() { _ = r.Close() })
	return r
}

// change writes some files, changes some and removes some.
func (w *pruneWorld) change(files, size int) {
	w.t.Helper()
	for range files {
		n := w.rng.IntN(files * 3)
		name := filepath.Join(w.dir, fmt.Sprintf("d%d", n%5), fmt.Sprintf("f%d", n))
		if w.rng.IntN(4) == 0 {
			_ = os.Remove(name)
			continue
		}
		b := make([]byte, 1+w.rng.IntN(size))
		for i := range b {
			b[i] = byte(w.rng.Uint32())
		}
		write(w.t, name, b)
		w.now.Add(int64(time.Minute))
		noError(w.t, os.Chtimes(name, time.Time{}, time.Unix(0, w.now.Load())))
	}
}

func (w *pruneWorld) saveOptions() SaveOptions {
	return SaveOptions{Paths: []string{w.dir}, Host: "testhost", IgnoreCtime: true, Workers: 2}
}

// save backs up the tree and remembers what it held.
func (w *pruneWorld) save(r *repo.Repository) string {
	w.t.Helper()
	w.now.Add(int64(time.Hour))
	res, err := Save(w.t.Context(), r, w.saveOptions())
	noError(w.t, err)
	w.remember(res.ID)
	return res.ID
}

func (w *pruneWorld) remember(id string) {
	held := map[string]string{}
	err := filepath.WalkDir(w.dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		held[p] = string(b)
		return err
	})
	noError(w.t, err)
	w.want[id] = held
}

func (w *pruneWorld) forget(r *repo.Repository, ids ...string) {
	w.t.Helper()
	res, err := Forget(w.t.Context(), r, ForgetOptions{Snapshots: ids})
	noError(w.t, err)
	if res.Forgot != len(ids) {
		w.t.Fatalf("forgot %d of %d snapshots", res.Forgot, len(ids))
	}
}

func (w *pruneWorld) prune(r *repo.Repository, opt repo.PruneOptions) *repo.PruneResult {
	w.t.Helper()
	res, err := Prune(w.t.Context(), r, opt)
	noError(w.t, err)
	return res
}

// verify opens the store on a fresh machine: every snapshot there is holds what it held,
// and check finds nothing wrong.
func (w *pruneWorld) verify(what string) {
	w.t.Helper()
	r := w.open(w.store)
	defer func() { _ = r.Close() }()
	all, err := List(r, Filter{})
	noError(w.t, err)
	for _, s := range all {
		want := w.want[s.ID()]
		if want == nil {
			w.t.Fatalf("%s: snapshot %s is there, nobody knows why", what, s.Short())
		}
		got := map[string]string{}
		err := s.Root.Walk(w.t.Context(), r, "/", func(p string, n *Node) error {
			if n.Type != File {
				return nil
			}
			rd, err := n.Open(w.t.Context(), r)
			if err != nil {
				return err
			}
			var b bytes.Buffer
			_, err = rd.WriteTo(&b)
			got[p] = b.String()
			return err
		})
		if err != nil {
			w.t.Fatalf("%s: snapshot %s: %v", what, s.Short(), err)
		}
		if len(got) != len(want) {
			w.t.Fatalf("%s: snapshot %s has %d files, want %d", what, s.Short(), len(got), len(want))
		}
		for p, b := range want {
			if got[p] != b {
				w.t.Fatalf("%s: snapshot %s: %s differs", what, s.Short(), p)
			}
		}
	}
	res, err := Check(w.t.Context(), r, CheckOptions{ReadData: true, Problem: func(f Finding) {
		w.t.Errorf("%s: check: %s %s: %s", what, f.Kind, f.File, f.Message)
	}})
	noError(w.t, err)
	if res.Findings > 0 || res.Notes > 0 {
		w.t.Fatalf("%s: check found %d problems and %d notes", what, res.Findings, res.Notes)
	}
}

// snapshots returns the IDs of those there are.
func (w *pruneWorld) snapshots(r *repo.Repository) (ids []string) {
	w.t.Helper()
	noError(w.t, r.Refresh(w.t.Context()))
	all, err := List(r, Filter{})
	noError(w.t, err)
	for _, s := range all {
		ids = append(ids, s.ID())
	}
	slices.Sort(ids)
	return ids
}

// exact makes sure that the store holds the packs of the index, that each has something
// that is needed, and nothing else.
func (w *pruneWorld) exact(what string) {
	w.t.Helper()
	r := w.open(w.store)
	defer func() { _ = r.Close() }()
	res := w.prune(r, repo.PruneOptions{MaxUnused: 0, DryRun: true})
	if res.Dropped.Packs+res.Repacked.Packs+res.Removed.Packs+res.Unknown.Packs+res.Held.Packs > 0 {
		w.t.Errorf("%s: there is more to prune: %+v", what, res)
	}
	files := 0
	noError(w.t, r.Store().List(w.t.Context(), "packs/", "", func(fi tier.Info) error {
		files++
		id, err := pack.ParseID(fi.Name[strings.LastIndex(fi.Name, "/")+1:])
		if err == nil {
			_, err = r.Index().PackByID(id)
		}
		if errors.Is(err, index.ErrNotFound) {
			w.t.Errorf("%s: %s is in no commit", what, fi.Name)
			err = nil
		}
		return err
	}))
	if files == 0 {
		w.t.Errorf("%s: the store holds no pack", what)
	}
}

// verifyRefs makes sure that check finds nothing wrong.
func (w *pruneWorld) verifyRefs(what string) {
	w.t.Helper()
	res, err := Check(w.t.Context(), w.open(w.store), CheckOptions{ReadData: true, Problem: func(f Finding) {
		w.t.Errorf("%s: check: %s %s: %s", what, f.Kind, f.File, f.Message)
	}})
	noError(w.t, err)
	if res.Findings > 0 {
		w.t.Errorf("%s: check found %d problems", what, res.Findings)
	}
}

func editLock(v *index.Version, l *index.Lock) repo.Ops {
	return repo.Ops{Edits: []index.Edit{{Bucket: v.Bucket, Key: v.Key, ID: v.ID, Class: v.Class, Lock: l}}}
}
