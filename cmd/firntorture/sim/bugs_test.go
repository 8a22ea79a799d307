package sim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// bench is a repository on a simulated disk, for histories that a seed once found.
type bench struct {
	t  *testing.T
	d  *disk
	id *age.X25519Identity
}

func newBench(t *testing.T) *bench {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, d: newDisk(), id: id}
	if _, err := repo.Init(t.Context(), store{newPlain(b.d, false)}, id.Recipient(), b.options(t.TempDir()), repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) options(cache string) repo.Options {
	return repo.Options{CacheDir: cache, BootID: "boot", Now: func() time.Time { return time.Unix(1_800_000_000, 0) }}
}

// open opens the repository with an index in a directory; hook meets each call of the store.
func (b *bench) open(cache string, hook func(op op, name string, do func() error) error) (*repo.Repository, error) {
	m := newPlain(b.d, false)
	m.hook = hook
	return repo.Open(context.Background(), store{m}, []age.Identity{b.id}, b.options(cache))
}

// backup stores a stream and returns the ID of its snapshot.
func backupOf(r *repo.Repository, data string) (string, error) {
	res, err := snapshot.SaveStream(context.Background(), r, "s", strings.NewReader(data), snapshot.SaveOptions{Host: "h", Workers: 1}, nil)
	if err != nil {
		return "", err
	}
	return res.ID, nil
}

// lose is a power cut that takes all that is not durable.
func (b *bench) lose() {
	kept := b.d.pending
	for i := len(kept) - 1; i >= 0; i-- {
		if c := kept[i]; c.old == nil {
			delete(b.d.files, c.name)
		} else {
			b.d.files[c.name] = c.old
		}
	}
	b.d.pending = nil
}

// A commit can be seen, but syncing its folder failed: it is not acknowledged unless it is
// durable all the same.
func TestCommitWhoseFolderIsNotSynced(t *testing.T) {
	for n := 1; ; n++ {
		b := newBench(t)
		calls := 0
		r, err := b.open(t.TempDir(), func(op op, name string, do func() error) error {
			if op == opFolder && strings.HasPrefix(name, "log/") {
				if calls++; calls == n {
					return errMedium
				}
			}
			return do()
		})
		if err != nil {
			t.Fatal(err)
		}
		id, err := backupOf(r, "data")
		_ = r.Close()
		b.lose()
		r, oerr := b.open(t.TempDir(), nil)
		if oerr != nil {
			t.Fatal(oerr)
		}
		if err == nil {
			if _, err := snapshot.Find(r, id, snapshot.Filter{}); err != nil {
				t.Errorf("sync %d of the log failed: the snapshot was acknowledged: %v", n, err)
			}
		}
		_ = r.Close()
		if calls < n {
			return
		}
	}
}

// Another process sees a commit that is not durable yet, and then the power goes: the
// repository opens, with the index and the checkpoints that were made meanwhile.
func TestOthersSawCommitThatIsGone(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		b := newBench(t)
		mine, theirs := t.TempDir(), t.TempDir()
		dead := false
		r, err := b.open(mine, func(op op, name string, do func() error) error {
			if op == opFolder && strings.HasPrefix(name, "log/") && !dead {
				dead = true
				other, err := b.open(theirs, nil)
				if err != nil {
					t.Fatal(err)
				}
				if checkpoint {
					err = other.Checkpoint(context.Background(), true)
				}
				if err := errors.Join(err, other.Close()); err != nil {
					t.Fatal(err)
				}
			}
			if dead {
				return errKilled
			}
			return do()
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := backupOf(r, "data"); err == nil {
			t.Fatal("a process that was killed has succeeded")
		}
		_ = r.Close()
		b.lose()
		for _, cache := range []string{theirs, t.TempDir()} {
			r, err := b.open(cache, nil)
			if err != nil {
				t.Errorf("with a checkpoint: %t: %v", checkpoint, err)
				continue
			}
			if _, err := backupOf(r, "more"); err != nil {
				t.Errorf("with a checkpoint: %t: %v", checkpoint, err)
			}
			_ = r.Close()
		}
	}
}

// One process puts a commit behind another's that is not durable yet, and then the power
// goes and takes the first and leaves the second: the log has no gap.
func TestCommitBehindOneThatIsGone(t *testing.T) {
	b := newBench(t)
	mine, theirs := t.TempDir(), t.TempDir()
	// until makes a hook with which a process dies when its n-th commit can be seen.
	until := func(n int, then func()) func(op, string, func() error) error {
		dead := false
		last := ""
		return func(op op, name string, do func() error) error {
			if op == opLink && strings.HasPrefix(name, "log/") {
				last = name
				n--
			}
			if op == opFolder && name == last && n == 0 && !dead {
				dead = true
				then()
			}
			if dead {
				return errKilled
			}
			return do()
		}
	}
	second := func() {
		r, err := b.open(theirs, until(1, func() {}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := backupOf(r, "theirs"); err == nil {
			t.Error("the second process that was killed has succeeded")
		}
		_ = r.Close()
	}
	r, err := b.open(mine, until(1, second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backupOf(r, "mine"); err == nil {
		t.Error("the first process that was killed has succeeded")
	}
	_ = r.Close()
	if len(b.d.pending) == 0 {
		t.Fatal("no commit was under way")
	}
	gone := b.d.pending[0].name
	delete(b.d.files, gone)
	b.d.pending = nil
	if r, err = b.open(t.TempDir(), nil); err != nil {
		t.Fatalf("without %s: %v", gone, err)
	}
	if _, err := backupOf(r, "more"); err != nil {
		t.Error(err)
	}
	_ = r.Close()
}

// A prune drops what an undelete needs, after that has looked for what was dropped: it
// looks again, and the snapshot comes back.
func TestUndeleteBesidePrune(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1)
	data := make([]byte, 0, 200_000)
	rng := newLocked(1, 2, 3)
	for len(data) < 200_000 {
		piece := make([]byte, 1000)
		_, _ = rng.Read(piece)
		data = append(append(data, piece...), big...)
	}
	for n := 1; ; n++ {
		b := newBench(t)
		r, err := b.open(t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		id, err := backupOf(r, string(data))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := snapshot.Forget(t.Context(), r, snapshot.ForgetOptions{Snapshots: []string{id}}); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		calls := 0
		prune := func() {
			other, err := b.open(t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := snapshot.Prune(t.Context(), other, repo.PruneOptions{Grace: time.Hour, SealAfter: time.Hour}); err != nil {
				t.Fatal(err)
			}
			_ = other.Close()
		}
		m := newPlain(b.d, false)
		on := false
		m.hook = func(_ op, _ string, do func() error) error {
			if on {
				if calls++; calls == n {
					prune()
				}
			}
			return do()
		}
		if r, err = repo.Open(t.Context(), store{m}, []age.Identity{b.id}, b.options(t.TempDir())); err != nil {
			t.Fatal(err)
		}
		on = true
		if _, err := snapshot.Undelete(t.Context(), r, []string{id}); err != nil {
			t.Errorf("a prune before call %d: %v", n, err)
		}
		on = false
		_ = r.Close()
		if calls < n {
			return
		}
	}
}
