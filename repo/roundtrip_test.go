package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

// testIdentity is made once: a fixed identity makes failures repeatable to the key.
func testIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.ParseX25519Identity("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX")
	if err != nil {
		id, err = age.GenerateX25519Identity()
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testOptions(t testing.TB) Options {
	return Options{
		CacheDir: t.TempDir(),
		BootID:   "boot",
		Now:      func() time.Time { return time.Unix(1_800_000_000, 0) },
		Warn:     func(s string) { t.Log("warning:", s) },
	}
}

// newRepo makes a repository in memory and opens it.
func newRepo(t testing.TB) (*Repository, tier.Store, *age.X25519Identity, Options) {
	t.Helper()
	store, id, opt := tier.NewMemory(), testIdentity(t), testOptions(t)
	if _, err := Init(t.Context(), store, id.Recipient(), opt, InitOptions{}); err != nil {
		t.Fatal(err)
	}
	return openRepo(t, store, id, opt), store, id, opt
}

func openRepo(t testing.TB, store tier.Store, id age.Identity, opt Options) *Repository {
	t.Helper()
	r, err := Open(t.Context(), store, []age.Identity{id}, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// random returns n bytes that depend on seed alone.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	_, _ = r.Read(b)
	return b
}

// save stores streams in one session and returns their handles.
func save(t testing.TB, r *Repository, base *Content, data ...[]byte) []Content {
	t.Helper()
	ctx := context.Background()
	s, err := r.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.Ingest(ctx, IngestOptions{Stream: "test"})
	if err != nil {
		t.Fatal(err)
	}
	handles := make([]Content, len(data))
	for i, d := range data {
		if handles[i], err = in.Stream(bytes.NewReader(d), base, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.End(ctx, Ops{}); err != nil {
		t.Fatal(err)
	}
	return handles
}

func readAll(t testing.TB, r *Repository, c Content) []byte {
	t.Helper()
	var buf bytes.Buffer
	if _, err := r.OpenContent(context.Background(), c).WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func testStreams() map[string][]byte {
	zeros := make([]byte, 300<<10)
	return map[string][]byte{
		"empty":              nil,
		"one byte":           {7},
		"inline":             random(1, 32),
		"one chunk":          random(2, 33),
		"several chunks":     random(3, 1<<20),
		"several slabs":      random(4, 13<<20),
		"zeros":              zeros,
		"hole in the middle": append(append(random(5, 100_000), zeros...), random(6, 100_000)...),
		"hole at the end":    append(random(7, 8192), zeros...),
		"short zeros":        append(append(random(8, 4096), make([]byte, 60<<10)...), 1),
	}
}

// Invariants 1 and 3.
func TestRoundTrip(t *testing.T) {
	r, store, id, opt := newRepo(t)
	handles := map[string]Content{}
	for name, data := range testStreams() {
		handles[name] = save(t, r, nil, data)[0]
		if got := readAll(t, r, handles[name]); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes came back for %d", name, len(got), len(data))
		}
		if got := handles[name].Size(); got != int64(len(data)) {
			t.Errorf("%s: size %d, want %d", name, got, len(data))
		}
	}
	// Another machine, without an index.
	opt.CacheDir = t.TempDir()
	r2 := openRepo(t, store, id, opt)
	for name, data := range testStreams() {
		rd := r2.OpenContent(t.Context(), handles[name])
		got, err := io.ReadAll(io.NewSectionReader(rd, 0, rd.Size()))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: on another machine: %v", name, err)
		}
	}
}

// The same bytes give the same handle, whichever way they come in.
func TestHandleDependsOnBytesAlone(t *testing.T) {
	r, _, _, _ := newRepo(t)
	for name, data := range testStreams() {
		want := save(t, r, nil, data)[0]
		if got := save(t, r, nil, data)[0]; got != want {
			t.Errorf("%s: stored twice, the handles differ", name)
		}
		edited := append([]byte(nil), data...)
		if len(edited) > 5000 {
			edited = append(edited[:4000], edited[3000:]...) // something inserted
		}
		base := save(t, r, nil, edited)[0]
		if got := save(t, r, &base, data)[0]; got != want {
			t.Errorf("%s: with an earlier state at hand, the handle differs", name)
		}
	}
}

// Invariant 2.
func TestIndexIsMadeAnew(t *testing.T) {
	r, store, id, opt := newRepo(t)
	data := random(9, 3<<20)
	h := save(t, r, nil, data)[0]
	opt.CacheDir = t.TempDir()
	if got := readAll(t, openRepo(t, store, id, opt), h); !bytes.Equal(got, data) {
		t.Error("content differs without an index")
	}
}

func TestWrongKeyAndNoRepository(t *testing.T) {
	_, store, _, opt := newRepo(t)
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), store, []age.Identity{other}, opt); !errors.Is(err, ErrWrongKey) {
		t.Errorf("open with a stranger's identity: %v", err)
	}
	if _, err := Open(t.Context(), tier.NewMemory(), []age.Identity{other}, opt); !errors.Is(err, ErrNoRepository) {
		t.Errorf("open of an empty store: %v", err)
	}
	if _, err := Init(t.Context(), store, other.Recipient(), opt, InitOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("init on a repository: %v", err)
	}
}

// Invariant 4: two processes with indexes of their own write at once.
func TestTwoWriters(t *testing.T) {
	r1, store, id, opt := newRepo(t)
	opt.CacheDir = t.TempDir()
	r2 := openRepo(t, store, id, opt)
	a, b := random(10, 2<<20), random(11, 2<<20)
	ha := save(t, r1, nil, a)[0]
	hb := save(t, r2, nil, b)[0]
	hc := save(t, r1, nil, b)[0]
	if hb != hc {
		t.Error("handles differ between writers")
	}
	for _, r := range []*Repository{r1, r2} {
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readAll(t, r, ha), a) || !bytes.Equal(readAll(t, r, hb), b) {
			t.Error("a writer does not see both contents")
		}
	}
	n := 0
	if err := r2.index.Packs(func(p *index.Pack) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n > 4 {
		t.Errorf("%d packs: the second writer stored again what the first had", n)
	}
}

// Invariant 2, through a checkpoint, and when the newest is damaged.
func TestCheckpointStandsInForTheLog(t *testing.T) {
	r, store, id, opt := newRepo(t)
	a, b := random(20, 300_000), random(21, 300_000)
	ha := save(t, r, nil, a)[0]
	if err := r.Checkpoint(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	hb := save(t, r, nil, b)[0]
	if err := r.Checkpoint(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	list, err := r.checkpoints(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%d checkpoints, %v", len(list), err)
	}
	warnings := 0
	opt.Warn = func(string) { warnings++ }
	check := func(what string) {
		t.Helper()
		opt.CacheDir = t.TempDir()
		r := openRepo(t, store, id, opt)
		if !bytes.Equal(readAll(t, r, ha), a) || !bytes.Equal(readAll(t, r, hb), b) {
			t.Errorf("%s: contents differ", what)
		}
	}
	check("newest checkpoint")
	if warnings != 0 {
		t.Errorf("%d warnings with a good checkpoint", warnings)
	}
	name := list[1].Name
	data, err := tier.Read(t.Context(), store, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := store.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := tier.Put(t.Context(), store, name, data); err != nil {
		t.Fatal(err)
	}
	check("damaged checkpoint")
	if warnings != 1 {
		t.Errorf("%d warnings with a damaged checkpoint, want 1", warnings)
	}
}
