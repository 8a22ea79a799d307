package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

// ledger is what clients were told: for each key the data of which they know, and those
// that may or may not have come to be.
type ledger struct {
	sure  map[string]string // "" is: deleted, or never there
	maybe map[string][]string
}

// work runs operations with the seed until one fails or n are done, and notes what was
// answered. A failed operation may have had its effect or not.
func (l *ledger) work(e *Engine, seed uint64, n int) error {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(seed, 3))
	if err := e.CreateBucket(ctx, &Bucket{Name: "b"}); err != nil {
		return err
	}
	for i := range n {
		key := fmt.Sprint("k", rnd.IntN(4))
		size := []int{10, 5000, 70 << 10, smallBody + 200<<10}[rnd.IntN(4)]
		data := string(randomBytes(seed*100+uint64(i), size))
		var err error
		switch rnd.IntN(5) {
		case 0:
			data = ""
			var res []DeleteResult
			if res, err = e.Delete(ctx, "b", []DeleteRequest{{Key: key}}); err == nil {
				err = res[0].Err
			}
		case 1:
			err = uploadInParts(ctx, e, key, data)
		default:
			_, err = e.Put(ctx, &PutRequest{Bucket: "b", Key: key}, bytes.NewReader([]byte(data)), nil)
		}
		if err != nil {
			l.maybe[key] = append(l.maybe[key], data)
			return err
		}
		l.sure[key], l.maybe[key] = data, nil
	}
	return nil
}

func uploadInParts(ctx context.Context, e *Engine, key, data string) error {
	u := &Upload{Version: index.Version{Bucket: "b", Key: []byte(key)}}
	if err := e.CreateUpload(ctx, u); err != nil {
		return err
	}
	req := &CompleteRequest{Bucket: "b", Key: key, ID: u.ID}
	for i, part := range []string{data[:len(data)/2], data[len(data)/2:]} {
		if _, err := e.PutPart(ctx, u, i+1, bytes.NewReader([]byte(part)), nil); err != nil {
			return err
		}
		req.Parts = append(req.Parts, CompletePart{Number: i + 1})
	}
	_, err := e.Complete(ctx, req)
	return err
}

// holds checks that every key reads as one of the states that its clients have to expect.
func (l *ledger) holds(t *testing.T, e *Engine) {
	t.Helper()
	keys := map[string]bool{}
	for k := range l.sure {
		keys[k] = true
	}
	for k := range l.maybe {
		keys[k] = true
	}
	for k := range keys {
		var got bytes.Buffer
		v, _, err := e.Version("b", k, Ref{})
		if err == nil {
			_, err = e.Copy(context.Background(), &got, repo.Content(v.Content), 0, repo.Content(v.Content).Size())
		}
		if err != nil && !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrNoBucket) {
			t.Fatalf("%s: %v", k, err)
		}
		fits := got.String() == l.sure[k]
		for _, m := range l.maybe[k] {
			fits = fits || got.String() == m
		}
		if !fits {
			t.Fatalf("%s reads as %d bytes; %d were acknowledged, %d attempts failed", k, got.Len(), len(l.sure[k]), len(l.maybe[k]))
		}
	}
}

// faultWorld is a repository whose store can be exchanged between two lives of an engine.
type faultWorld struct {
	id  *age.X25519Identity
	opt repo.Options
}

func newFaultWorld(t *testing.T, store tier.Store) *faultWorld {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	w := &faultWorld{id: id, opt: repo.Options{BootID: "boot", CacheDir: t.TempDir(), Now: func() time.Time { return time.Unix(1_800_000_000, 0) }}}
	if _, err := repo.Init(t.Context(), store, id.Recipient(), w.opt, repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *faultWorld) open(store tier.Store) (*Engine, func(), error) {
	ctx := context.Background()
	r, err := repo.Open(ctx, store, []age.Identity{w.id}, w.opt)
	if err != nil {
		return nil, nil, err
	}
	e, err := Open(ctx, r, Options{Refresh: -1, Uploads: 2})
	if err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	return e, func() { _ = e.Close(ctx); _ = r.Close() }, nil
}

// TestPowerLoss cuts the power before each call of the store in turn: what was
// acknowledged is there afterwards (invariant 1), from the log alone.
func TestPowerLoss(t *testing.T) {
	cuts := 0
	for k := int64(1); ; k++ {
		disk := tiertest.NewCrash()
		w := newFaultWorld(t, disk)
		nth := tiertest.FailNth(k, tiertest.ErrPower)
		var cut atomic.Bool
		store := &tiertest.Faulty{Store: disk, Before: func(op tiertest.Op, name string) error {
			if nth(op, name) != nil {
				cut.Store(true)
				disk.Cut()
			}
			return nil
		}}
		l := &ledger{sure: map[string]string{}, maybe: map[string][]string{}}
		e, end, err := w.open(store)
		if err == nil {
			err = l.work(e, uint64(k%7), 12)
			end()
		}
		if !cut.Load() {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		cuts++
		disk.Restart()
		w.opt.CacheDir = t.TempDir()
		e, end, err = w.open(disk)
		if err != nil {
			t.Fatalf("after power was cut at call %d: %v", k, err)
		}
		l.holds(t, e)
		if _, err := e.Put(t.Context(), &PutRequest{Bucket: "b", Key: "after"}, bytes.NewReader([]byte("x")), nil); err != nil && !errors.Is(err, ErrNoBucket) {
			t.Fatalf("put after power was cut at call %d: %v", k, err)
		}
		end()
	}
	if cuts < 50 {
		t.Errorf("only %d calls", cuts)
	}
}

// TestEveryCallMayFail lets one call of the store fail, or lose its answer, and goes on with
// the same engine: it recovers, and what was acknowledged stays.
func TestEveryCallMayFail(t *testing.T) {
	injected := errors.New("injected")
	for _, after := range []bool{false, true} {
		for k := int64(1); ; k++ {
			mem := tier.NewMemory()
			w := newFaultWorld(t, mem)
			var hit, on atomic.Bool
			nth := tiertest.FailNth(k, injected)
			fault := func(op tiertest.Op, name string) error {
				if !on.Load() {
					return nil
				}
				err := nth(op, name)
				if err != nil {
					hit.Store(true)
				}
				return err
			}
			store := &tiertest.Faulty{Store: mem}
			if after {
				store.After = fault
			} else {
				store.Before = fault
			}
			e, end, err := w.open(store)
			if err != nil {
				t.Fatal(err)
			}
			on.Store(true)
			l := &ledger{sure: map[string]string{}, maybe: map[string][]string{}}
			err = l.work(e, uint64(k%7), 12)
			on.Store(false)
			if !hit.Load() {
				end()
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			if err := e.CreateBucket(t.Context(), &Bucket{Name: "b"}); err != nil && !errors.As(err, new(*BucketExists)) {
				t.Fatalf("call %d failed, and then: %v", k, err)
			}
			l.holds(t, e)
			for i, size := range []int{100, smallBody + 1} {
				data := randomBytes(uint64(i), size)
				v, err := e.Put(t.Context(), &PutRequest{Bucket: "b", Key: "after"}, bytes.NewReader(data), nil)
				if err != nil {
					t.Fatalf("call %d failed, and then a put of %d bytes: %v", k, size, err)
				}
				var got bytes.Buffer
				if _, err := e.Copy(t.Context(), &got, repo.Content(v.Content), 0, int64(size)); err != nil || !bytes.Equal(got.Bytes(), data) {
					t.Fatalf("call %d failed, and then a get of %d bytes: %v", k, size, err)
				}
			}
			end()
		}
	}
}
