package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// world is an engine over a store that outlives it.
type world struct {
	*Engine
	t     testing.TB
	store tier.Store
	id    *age.X25519Identity
	opt   repo.Options
	now   atomic.Int64
}

func newWorld(t testing.TB) *world { return newWorldOn(t, tier.NewMemory()) }

func newWorldOn(t testing.TB, store tier.Store) *world {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, id: id}
	w.now.Store(1_800_000_000_000_000_000)
	w.opt = repo.Options{CacheDir: t.TempDir(), BootID: "boot", Now: func() time.Time { return time.Unix(0, w.now.Load()) }}
	if _, err := repo.Init(t.Context(), w.store, id.Recipient(), w.opt, repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	r, err := repo.Open(context.Background(), w.store, []age.Identity{w.id}, w.opt)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := Open(context.Background(), r, Options{Refresh: -1, Log: func(s string) { w.t.Log(s) }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Engine = e
	w.t.Cleanup(func() {
		if w.Engine != e {
			return
		}
		if err := e.Close(context.Background()); err != nil {
			w.t.Errorf("close engine: %v", err)
		}
		if notes, err := r.Index().Notes(); err != nil || len(notes) > 0 {
			w.t.Errorf("operations without effect: %q, %v", notes, err)
		}
		if err := r.Close(); err != nil {
			w.t.Errorf("close repository: %v", err)
		}
	})
}

// reopen closes everything and begins again without the index.
func (w *world) reopen() {
	w.t.Helper()
	if err := w.Engine.Close(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Repository().Close(); err != nil {
		w.t.Fatal(err)
	}
	w.Engine = nil
	w.opt.CacheDir = w.t.TempDir()
	w.open()
}

func (w *world) bucket(name string, v Versioning) {
	w.t.Helper()
	if err := w.CreateBucket(w.t.Context(), &Bucket{Name: name, Versioning: v}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(bucket, key, data string) *index.Version {
	w.t.Helper()
	v, err := w.Put(w.t.Context(), &PutRequest{Bucket: bucket, Key: key}, strings.NewReader(data), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) read(v *index.Version) string {
	w.t.Helper()
	c, err := repo.ParseContent(v.Content)
	if err != nil {
		w.t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := w.Copy(w.t.Context(), &b, c, 0, c.Size()); err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

func (w *world) get(bucket, key string) string {
	w.t.Helper()
	v, _, err := w.Version(bucket, key, Ref{})
	if errors.Is(err, ErrNoKey) {
		return "(no key)"
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if v.Kind == index.DeleteMarker {
		return "(marker)"
	}
	return w.read(v)
}

func randomBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 7}).Read(b)
	return b
}

// TestRoundTrip puts contents of every size class and reads them back, also after the
// index was lost.
func TestRoundTrip(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	var want []string
	for i, n := range []int{0, 1, 4096, 65535, 65536, 65537, smallBody - 1, smallBody, smallBody + 1, 3 << 20} {
		data := string(randomBytes(uint64(i), n))
		want = append(want, data)
		w.put("b", fmt.Sprint(i), data)
	}
	for range 2 {
		for i := range want {
			if got := w.get("b", fmt.Sprint(i)); got != want[i] {
				t.Fatalf("content %d of %d bytes comes back with %d others", i, len(want[i]), len(got))
			}
		}
		w.reopen()
	}
	v, _, err := w.Version("b", "9", Ref{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int64{{0, 1}, {1<<20 - 1, 2}, {12345, 2 << 20}, {3<<20 - 1, 1}} {
		var b bytes.Buffer
		if _, err := w.Copy(t.Context(), &b, repo.Content(v.Content), r[0], r[1]); err != nil {
			t.Fatal(err)
		}
		if b.String() != want[9][r[0]:r[0]+r[1]] {
			t.Errorf("range of %d from %d differs", r[1], r[0])
		}
	}
}

// TestVersioning walks a key through the three states of its bucket.
func TestVersioning(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	versions := func() (list []string) {
		l, err := w.List("b", index.ListQuery{Versions: true, Max: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range l.Entries {
			s := "(marker)"
			if e.Version.Kind == index.ContentPayload {
				s = w.read(e.Version)
			}
			if e.Version.Null {
				s += " null"
			}
			list = append(list, s)
		}
		return list
	}
	state := func(v Versioning) {
		if err := w.EditBucket(t.Context(), "b", func(b *Bucket) error { b.Versioning = v; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(ref Ref) DeleteResult {
		res, err := w.Delete(t.Context(), "b", []DeleteRequest{{Key: "k", Ref: ref}})
		if err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
		return res[0]
	}
	expect := func(want ...string) {
		t.Helper()
		if got := versions(); strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Fatalf("versions %q, want %q", got, want)
		}
	}
	w.put("b", "k", "1")
	w.put("b", "k", "2")
	expect("2 null")
	if res := remove(Ref{}); res.Marker != nil || res.Removed == nil {
		t.Errorf("delete without versions: %+v", res)
	}
	expect()
	w.put("b", "k", "3")
	state(Enabled)
	four := w.put("b", "k", "4")
	expect("4", "3 null")
	marker := remove(Ref{}).Marker
	expect("(marker)", "4", "3 null")
	if w.get("b", "k") != "(marker)" {
		t.Error("a deleted key is there")
	}
	remove(Ref{ID: marker.ID})
	if w.get("b", "k") != "4" {
		t.Error("the version before the marker did not come back")
	}
	state(Suspended)
	w.put("b", "k", "5")
	expect("5 null", "4")
	remove(Ref{})
	expect("(marker) null", "4")
	remove(Ref{Null: true})
	remove(Ref{ID: four.ID})
	expect()
	if err := w.RemoveBucket(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Bucket("b"); !errors.Is(err, ErrNoBucket) {
		t.Errorf("removed bucket: %v", err)
	}
}

// TestOneWinner lets many writers create a key: exactly one does (invariant 2).
func TestOneWinner(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Enabled)
	taken := errors.New("taken")
	for round := range 20 {
		key := fmt.Sprint(round)
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				_, err := w.Put(t.Context(), &PutRequest{Bucket: "b", Key: key, Check: func(_ *Bucket, now *index.Version) error {
					if now != nil {
						return taken
					}
					return nil
				}}, strings.NewReader(fmt.Sprint(i)), nil)
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, taken):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d writers created %s", won.Load(), key)
		}
	}
}

// TestBodyFails stores nothing of a body that does not come to its end (invariant 1 from
// the other side).
func TestBodyFails(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	broken := errors.New("broken")
	for _, n := range []int{0, 100, smallBody + 1, 3 << 20} {
		body := io.MultiReader(bytes.NewReader(randomBytes(1, n)), iotestErr{broken})
		_, err := w.Put(t.Context(), &PutRequest{Bucket: "b", Key: "k"}, body, nil)
		if !errors.Is(err, broken) {
			t.Errorf("body of %d bytes: %v", n, err)
		}
		_, err = w.Put(t.Context(), &PutRequest{Bucket: "b", Key: "k"}, bytes.NewReader(randomBytes(1, n)),
			func(*index.Version) error { return broken })
		if !errors.Is(err, broken) {
			t.Errorf("finish after %d bytes: %v", n, err)
		}
	}
	if got := w.get("b", "k"); got != "(no key)" {
		t.Errorf("something was stored: %d bytes", len(got))
	}
	w.put("b", "k", "fine")
}

type iotestErr struct{ err error }

func (r iotestErr) Read([]byte) (int, error) { return 0, r.err }

// TestMultipart joins parts of every form: chunks, lists, lists of lists, holes.
func TestMultipart(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	u := &Upload{Version: index.Version{Bucket: "b", Key: []byte("k\x00x")}}
	if err := w.CreateUpload(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	var want []byte
	req := &CompleteRequest{Bucket: "b", Key: "k\x00x", ID: u.ID}
	for i, n := range []int{6 << 20, 10, 1 << 20, 70 << 10, 0, 12 << 20, 300 << 10, 1} {
		data := randomBytes(uint64(i), n)
		if i == 2 {
			clear(data)
		}
		number := 3*i + 1
		if _, err := w.PutPart(t.Context(), u, number, bytes.NewReader(randomBytes(99, 77)), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := w.PutPart(t.Context(), u, number, bytes.NewReader(data), nil); err != nil {
			t.Fatal(err)
		}
		req.Parts = append(req.Parts, CompletePart{Number: number})
		want = append(want, data...)
	}
	v, err := w.Complete(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Complete(t.Context(), req)
	if err != nil || again.ID != v.ID {
		t.Errorf("completing again: %v %v", again, err)
	}
	w.reopen()
	got := w.get("b", "k\x00x")
	if got != string(want) {
		t.Fatalf("%d bytes come back from %d", len(got), len(want))
	}
	if len(v.Parts) != 8 || v.Parts[0] != 6<<20 {
		t.Errorf("parts %v", v.Parts)
	}
	req.Parts = req.Parts[1:]
	if _, err := w.Complete(t.Context(), req); !errors.Is(err, ErrNoUpload) {
		t.Errorf("completing with other parts: %v", err)
	}
	if err := w.Abort(t.Context(), "b", "k\x00x", u.ID); !errors.Is(err, ErrNoUpload) {
		t.Errorf("abort after completing: %v", err)
	}
}

// TestLocks is the table of what a lock forbids (invariant 3).
func TestLocks(t *testing.T) {
	w := newWorld(t)
	if err := w.CreateBucket(t.Context(), &Bucket{Name: "b", Versioning: Enabled, Lock: true}); err != nil {
		t.Fatal(err)
	}
	later, latest := w.now.Load()+int64(time.Hour), w.now.Load()+int64(2*time.Hour)
	gov, comp := &index.Lock{Mode: Governance, Until: later}, &index.Lock{Mode: Compliance, Until: later}
	for _, c := range []struct {
		name     string
		from, to *index.Lock // to nil: remove
		bypass   bool
		want     error
	}{
		{"remove governance", gov, nil, false, ErrLocked},
		{"remove governance, bypass", gov, nil, true, nil},
		{"remove compliance, bypass", comp, nil, true, ErrLocked},
		{"remove hold, bypass", &index.Lock{Hold: true}, nil, true, ErrLocked},
		{"remove released", &index.Lock{Mode: Compliance, Until: w.now.Load()}, nil, false, nil},
		{"extend governance", gov, &index.Lock{Mode: Governance, Until: latest}, false, nil},
		{"shorten governance", gov, &index.Lock{Mode: Governance, Until: later - 1}, false, ErrLocked},
		{"shorten governance, bypass", gov, &index.Lock{Mode: Governance, Until: later - 1}, true, nil},
		{"governance to compliance", gov, &index.Lock{Mode: Compliance, Until: latest}, false, ErrLocked},
		{"extend compliance", comp, &index.Lock{Mode: Compliance, Until: latest}, false, nil},
		{"shorten compliance, bypass", comp, &index.Lock{Mode: Compliance, Until: later - 1}, true, ErrLocked},
		{"weaken compliance, bypass", comp, &index.Lock{Mode: Governance, Until: latest}, true, ErrLocked},
		{"lift compliance, bypass", comp, &index.Lock{}, true, ErrLocked},
		{"lift hold", &index.Lock{Hold: true}, &index.Lock{}, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := w.Put(t.Context(), &PutRequest{Bucket: "b", Key: c.name, Version: index.Version{Lock: c.from}}, strings.NewReader("x"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.to == nil {
				res, err := w.Delete(t.Context(), "b", []DeleteRequest{{Key: c.name, Ref: Ref{ID: v.ID}, Bypass: c.bypass}})
				if err != nil || !errors.Is(res[0].Err, c.want) {
					t.Errorf("got %v %v, want %v", err, res[0].Err, c.want)
				}
				return
			}
			_, err = w.Edit(t.Context(), &EditRequest{Bucket: "b", Key: c.name, Bypass: c.bypass, Change: func(_ *Bucket, v *index.Version) error {
				v.Lock = c.to
				return nil
			}})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestUsers follows the names of a user through its life.
func TestUsers(t *testing.T) {
	w := newWorld(t)
	add := func(name, id, key, email string) error {
		return w.EditUser(t.Context(), name, func(u *User) error {
			u.ID, u.Email, u.Keys = id, email, []AccessKey{{ID: key, Secret: "s"}}
			return nil
		})
	}
	if err := errors.Join(add("a", "ida", "ka", "a@x"), add("b", "idb", "kb", "")); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{add("c", "ida", "kc", ""), add("c", "idc", "kb", ""), add("c", "idc", "kc", "A@X")} {
		if !errors.Is(err, ErrUserExists) {
			t.Errorf("a name taken twice: %v", err)
		}
	}
	if err := add("a", "ida", "ka2", ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.UserByKey("ka"); !errors.Is(err, ErrNoUser) {
		t.Errorf("a key that was taken away: %v", err)
	}
	w.reopen()
	u, k, err := w.UserByKey("ka2")
	if err != nil || u.Name != "a" || k.Secret != "s" {
		t.Errorf("%+v %+v %v", u, k, err)
	}
	if err := w.RemoveUser(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	list, err := w.Users()
	if err != nil || len(list) != 1 || list[0].Name != "b" {
		t.Errorf("%v %v", list, err)
	}
}
