package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

// packName is the name of a pack that the session did not write.
func packName(s *repo.Session) string { return pack.NewID(s.ID(), 1<<30).Name() }

// meanwhile returns a store that does something once, before the n-th call of op on a name
// with the given beginning.
func meanwhile(store tier.Store, op tiertest.Op, prefix string, n int64, do func()) *tiertest.Faulty {
	var calls atomic.Int64
	return &tiertest.Faulty{Store: store, Before: func(o tiertest.Op, name string) error {
		if o == op && strings.HasPrefix(name, prefix) && calls.Add(1) == n {
			do()
		}
		return nil
	}}
}

// deadData is a repository whose last snapshot but one holds data that nothing else does.
// It was forgotten, and its tree is there again.
func deadData(t *testing.T) (w *pruneWorld, big string) {
	t.Helper()
	w = newPruneWorld(t, tier.NewMemory(), 5)
	r := w.open(w.store)
	defer func() { _ = r.Close() }()
	w.change(6, 50_000)
	w.save(r)
	big = filepath.Join(w.dir, "big")
	data := randomBytes(77, 900_000)
	write(t, big, data)
	lost := w.save(r)
	noError(t, os.Remove(big))
	w.save(r)
	w.forget(r, lost)
	write(t, big, data)
	return w, big
}

// A backup finds chunks that nothing needs any more, and commits at any point of a prune.
// Whoever comes second gives way: the snapshot is whole.
func TestBackupDuringPrune(t *testing.T) {
	hits := 0
	for n := int64(1); n < 12; n++ {
		w, _ := deadData(t)
		ran := false
		id := ""
		store := meanwhile(w.store, tiertest.OpCreate, "log/", n, func() {
			ran = true
			id = w.save(w.open(w.store))
		})
		res, err := Prune(t.Context(), w.open(store), now)
		if !ran {
			noError(t, err)
			break
		}
		hits++
		noError(t, err)
		w.verify(fmt.Sprintf("backup before commit %d of the prune", n))
		if r := w.open(w.store); !slices.Contains(w.snapshots(r), id) {
			t.Errorf("commit %d: the snapshot is not there", n)
		}
		t.Logf("commit %d: %+v", n, res)
	}
	if hits < 3 {
		t.Errorf("a prune with %d commits tests nothing", hits)
	}
}

// A prune runs between any two commits of a backup, and drops what that has found.
func TestPruneDuringBackup(t *testing.T) {
	retried := 0
	for n := int64(1); n < 12; n++ {
		w, _ := deadData(t)
		ran := false
		store := meanwhile(w.store, tiertest.OpCreate, "log/", n, func() {
			ran = true
			w.prune(w.open(w.store), repo.PruneOptions{Grace: 0, SealAfter: time.Hour})
		})
		r := w.open(store)
		opt := w.saveOptions()
		opt.Retry = func(err error) {
			retried++
			if !errors.Is(err, repo.ErrDropped) {
				t.Errorf("retry for %v", err)
			}
		}
		res, err := Save(t.Context(), r, opt)
		noError(t, err)
		w.remember(res.ID)
		w.verify(fmt.Sprintf("prune before commit %d of the backup", n))
		if !ran {
			break
		}
	}
	if retried == 0 {
		t.Error("no backup had to begin again")
	}
}

// The parent of a backup, found or named, is forgotten and pruned before it commits.
func TestParentGoes(t *testing.T) {
	for _, named := range []bool{false, true} {
		w := newPruneWorld(t, tier.NewMemory(), 6)
		r := w.open(w.store)
		w.change(10, 100_000)
		parent := w.save(r)
		retried := 0
		opt := w.saveOptions()
		opt.Retry = func(error) { retried++ }
		if named {
			opt.Parent = parent
		}
		store := meanwhile(w.store, tiertest.OpCreate, "log/", 2, func() {
			other := w.open(w.store)
			w.forget(other, parent)
			w.prune(other, repo.PruneOptions{Grace: 0, SealAfter: time.Hour})
		})
		res, err := Save(t.Context(), w.open(store), opt)
		noError(t, err)
		w.remember(res.ID)
		w.verify("after the backup")
		if res.Parent != "" || retried != 1 {
			t.Errorf("the backup has parent %q and began again %d times", res.Parent, retried)
		}
	}
}

// A session that a prune sealed comes back: its commit is refused, its files are gone, and
// a backup begins again.
func TestSealedSessionComesBack(t *testing.T) {
	w, _ := deadData(t)
	write(t, filepath.Join(w.dir, "new"), randomBytes(78, 900_000))
	sealed := 0
	store := meanwhile(w.store, tiertest.OpCreate, "log/", 2, func() {
		res := w.prune(w.open(w.store), now)
		sealed += int(res.Sealed)
		if res.Removed.Packs == 0 {
			t.Errorf("the files of the sealed session stay: %+v", res)
		}
	})
	r := w.open(store)
	opt := w.saveOptions()
	retried := 0
	opt.Retry = func(err error) {
		if retried++; !errors.Is(err, repo.ErrSealed) {
			t.Errorf("retry for %v", err)
		}
	}
	res, err := Save(t.Context(), r, opt)
	noError(t, err)
	w.remember(res.ID)
	if sealed != 1 || retried != 1 {
		t.Errorf("%d sessions sealed, begun again %d times", sealed, retried)
	}
	w.verify("after the backup")
	w.prune(w.open(w.store), now)
	w.exact("after another prune")
}

// A session is sealed only when a former prune saw it open long enough ago.
func TestSealingTakesTime(t *testing.T) {
	w, _ := deadData(t)
	zombie, err := w.open(w.store).Begin(t.Context())
	noError(t, err)
	opt := repo.PruneOptions{SealAfter: 24 * time.Hour}
	r := w.open(w.store)
	for i, wait := range []time.Duration{0, 23 * time.Hour, 2 * time.Hour} {
		w.now.Add(int64(wait))
		if got := w.prune(r, opt).Sealed; got != int64(i/2) {
			t.Errorf("prune %d sealed %d sessions", i, got)
		}
	}
	if err := zombie.End(t.Context(), repo.Ops{}); !errors.Is(err, repo.ErrSealed) {
		t.Errorf("commit of a sealed session: %v", err)
	}
	w.verify("after sealing")
}

// Two prunes at once, with every interleaving of their commits.
func TestTwoPrunes(t *testing.T) {
	for n := int64(1); n < 12; n++ {
		w := aged(t, tier.NewMemory())
		ran := false
		store := meanwhile(w.store, tiertest.OpCreate, "log/", n, func() {
			ran = true
			w.prune(w.open(w.store), repo.PruneOptions{Grace: 0, SealAfter: time.Hour})
		})
		_, err := Prune(t.Context(), w.open(store), repo.PruneOptions{Grace: 0, SealAfter: time.Hour})
		noError(t, err)
		w.verify(fmt.Sprintf("second prune before commit %d of the first", n))
		w.prune(w.open(w.store), now)
		w.verify("after a third prune")
		w.exact(fmt.Sprintf("second prune before commit %d of the first", n))
		if !ran {
			break
		}
	}
}

// An undelete at any point of a prune that removes files: what came back is whole.
func TestUndeleteDuringPrune(t *testing.T) {
	came := 0
	for _, at := range []struct {
		op     tiertest.Op
		prefix string
	}{{tiertest.OpCreate, "log/"}, {tiertest.OpDelete, "packs/"}} {
		for n := int64(1); n < 12; n++ {
			w, _ := deadData(t)
			r := w.open(w.store)
			w.prune(r, repo.PruneOptions{Grace: time.Hour, SealAfter: time.Hour})
			list, err := ListForgotten(r)
			noError(t, err)
			w.now.Add(int64(2 * time.Hour))
			ran := false
			store := meanwhile(w.store, at.op, at.prefix, n, func() {
				ran = true
				if _, err := Undelete(t.Context(), w.open(w.store), []string{list[0].ID()}); err == nil {
					came++
				} else if !errors.Is(err, repo.ErrDamaged) && !errors.Is(err, repo.ErrNotFound) {
					t.Errorf("undelete: %v", err)
				}
			})
			_, err = Prune(t.Context(), w.open(store), repo.PruneOptions{Grace: time.Hour, SealAfter: time.Hour})
			noError(t, err)
			w.verify(fmt.Sprintf("undelete before %s %d of the prune", at.op, n))
			if !ran {
				break
			}
		}
	}
	if came == 0 {
		t.Error("nothing came back")
	}
}

// Objects that are put find chunks that a prune drops before their commit, and parts of
// uploads are needed like versions.
func TestObjectsDuringPrune(t *testing.T) {
	w, big := deadData(t)
	data, err := os.ReadFile(big)
	noError(t, err)
	r := w.open(w.store)
	e, err := object.Open(context.Background(), r, object.Options{Refresh: -1, Log: func(s string) { t.Log(s) }})
	noError(t, err)
	noError(t, e.CreateBucket(t.Context(), &object.Bucket{Name: "b", Versioning: object.Enabled}))
	up := &object.Upload{Version: index.Version{Bucket: "b", Key: []byte("joined")}}
	noError(t, e.CreateUpload(t.Context(), up))
	half := len(data) / 2
	_, err = e.PutPart(t.Context(), up, 1, bytes.NewReader(data[:half]), nil)
	noError(t, err)
	patient := repo.PruneOptions{MaxUnused: 0, Grace: 0, SealAfter: time.Hour}
	w.prune(w.open(w.store), patient)
	_, err = e.PutPart(t.Context(), up, 2, bytes.NewReader(data[half:]), nil)
	noError(t, err)
	w.prune(w.open(w.store), patient)
	v, err := e.Complete(t.Context(), &object.CompleteRequest{Bucket: "b", Key: "joined", ID: up.ID,
		Parts: []object.CompletePart{{Number: 1}, {Number: 2}}})
	noError(t, err)
	whole := func(v *index.Version, want []byte) {
		t.Helper()
		var got bytes.Buffer
		_, err := w.open(w.store).OpenContent(t.Context(), repo.Content(v.Content)).WriteTo(&got)
		if err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("object differs: %v", err)
		}
	}
	w.prune(w.open(w.store), patient)
	whole(v, data)

	// Small ones, in memory, while the bytes that they share die again and again.
	small := randomBytes(80, 100_000)
	for i := range 6 {
		key := fmt.Sprintf("k%d", i)
		v, err := e.Put(t.Context(), &object.PutRequest{Bucket: "b", Key: key}, bytes.NewReader(small), nil)
		noError(t, err)
		whole(v, small)
		_, err = e.Delete(t.Context(), "b", []object.DeleteRequest{{Key: key, Ref: object.Ref{ID: v.ID}}})
		noError(t, err)
		opt := patient
		if i == 3 {
			opt.SealAfter = 0 // and once the engine itself is taken for dead
		}
		w.prune(w.open(w.store), opt)
	}
	v, err = e.Put(t.Context(), &object.PutRequest{Bucket: "b", Key: "last"}, bytes.NewReader(small), nil)
	noError(t, err)
	whole(v, small)
	noError(t, e.Close(t.Context()))
	w.prune(w.open(w.store), now)
	whole(v, small)
	w.exact("after all")
}

// Writers, objects and prunes from several machines at once.
func TestEverythingAtOnce(t *testing.T) {
	w := newPruneWorld(t, tier.NewMemory(), 7)
	w.change(10, 60_000)
	first := w.open(w.store)
	w.save(first)
	var mu sync.Mutex
	var wg sync.WaitGroup
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	wg.Go(func() { // backups, each of which is forgotten again
		r := w.open(w.store)
		for range rounds {
			mu.Lock()
			w.change(5, 60_000)
			mu.Unlock()
			res, err := Save(t.Context(), r, w.saveOptions())
			if err != nil {
				t.Errorf("save: %v", err)
				return
			}
			mu.Lock()
			w.remember(res.ID)
			mu.Unlock()
			opt := ForgetOptions{GroupBy: []string{"host"}, Policy: Policy{Last: 2}}
			if _, err := Forget(t.Context(), r, opt); err != nil {
				t.Errorf("forget: %v", err)
				return
			}
		}
	})
	wg.Go(func() {
		r := w.open(w.store)
		e, err := object.Open(context.Background(), r, object.Options{Refresh: time.Millisecond})
		if err != nil {
			t.Errorf("engine: %v", err)
			return
		}
		if err := e.CreateBucket(t.Context(), &object.Bucket{Name: "b"}); err != nil {
			t.Errorf("bucket: %v", err)
		}
		for i := range rounds * 8 {
			req := &object.PutRequest{Bucket: "b", Key: fmt.Sprintf("k%d", i%3)}
			if _, err := e.Put(t.Context(), req, bytes.NewReader(randomBytes(byte(i%4), 70_000)), nil); err != nil {
				t.Errorf("put: %v", err)
			}
		}
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	for range 2 {
		wg.Go(func() {
			r := w.open(w.store)
			for range rounds {
				if _, err := Prune(t.Context(), r, repo.PruneOptions{Grace: 0, SealAfter: time.Hour}); err != nil {
					t.Errorf("prune: %v", err)
				}
			}
		})
	}
	wg.Wait()
	w.verifyRefs("after all")
	w.prune(w.open(w.store), now)
	w.verifyRefs("after a last prune")
	w.exact("after a last prune")
}
