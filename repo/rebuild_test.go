package repo

import (
	"errors"
	"testing"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

// The index of a machine may be the only record of a commit: to make it anew does not
// throw that away.
func TestRebuildKeepsTheOnlyRecord(t *testing.T) {
	for name, which := range map[string]func(last uint64) uint64{
		"a gap":        func(uint64) uint64 { return 3 },
		"the last one": func(last uint64) uint64 { return last },
	} {
		t.Run(name, func(t *testing.T) {
			r, store, id, opt := newRepo(t)
			data := random(5, 300_000)
			c := save(t, r, nil, random(4, 200_000), data)[1]
			save(t, r, nil, random(6, 1000))
			last, _, err := r.Index().Applied()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r.index, err = index.Open(r.indexPath(9), index.Options{Repository: r.id, BootID: "boot"}) // for the end of the test
			if err != nil {
				t.Fatal(err)
			}
			file := index.CommitName(which(last))
			was, err := tier.Read(t.Context(), store, file, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Delete(t.Context(), file); err != nil {
				t.Fatal(err)
			}
			rebuild := opt
			rebuild.NoIndex = true
			_, err = Open(t.Context(), store, []age.Identity{id}, rebuild)
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrRolledBack) {
				t.Fatalf("rebuilt: %v", err)
			}
			put(t, store, file, was)
			again := openRepo(t, store, id, opt) // with the index of before
			if got := readAll(t, again, c); string(got) != string(data) {
				t.Error("the content changed")
			}
			if seq, _, err := again.Index().Applied(); err != nil || seq != last {
				t.Errorf("commit %d of %d, %v", seq, last, err)
			}
		})
	}
}
