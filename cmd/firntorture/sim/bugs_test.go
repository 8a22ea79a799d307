package sim

import (
	"context"
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
