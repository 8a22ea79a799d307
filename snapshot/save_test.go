package snapshot

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// newRepo makes a repository in memory.
func newTestRepo(t testing.TB) *repo.Repository {
	t.Helper()
	store := tier.NewMemory()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	opt := repo.Options{CacheDir: t.TempDir(), BootID: "boot", Warn: func(s string) { t.Log("warning:", s) }}
	if _, err := repo.Init(t.Context(), store, id.Recipient(), opt, repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(t.Context(), store, []age.Identity{id}, opt)
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

func randomBytes(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func saveTree(t testing.TB, r *repo.Repository, opt SaveOptions) (*SaveResult, *Snapshot) {
	t.Helper()
	if opt.Host == "" {
		opt.Host = "testhost"
	}
	res, err := Save(t.Context(), r, opt)
	if err != nil {
		t.Fatal(err)
	}
	if opt.DryRun {
		return res, nil
	}
	s, err := Find(r, res.ID, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return res, s
}

// contents maps the path of each file below n to its bytes, and of everything else to
// its type.
func contents(t testing.TB, r *repo.Repository, n *Node) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := n.Walk(t.Context(), r, "/", func(p string, n *Node) error {
		if n.Type != File {
			got[p] = n.Type.String()
			return nil
		}
		f, err := n.Open(t.Context(), r)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		_, err = f.WriteTo(&b)
		got[p] = b.String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// treeOf returns the handle of a directory: those above it change with their times.
func treeOf(t testing.TB, r *repo.Repository, s *Snapshot, dir string) string {
	t.Helper()
	n, err := s.Lookup(t.Context(), r, dir)
	if err != nil {
		t.Fatal(err)
	}
	return string(n.Tree)
}

func TestSaveStoresWhatIsThere(t *testing.T) {
	r, dir := newTestRepo(t), t.TempDir()
	want := map[string]string{}
	for i := range 300 {
		p := filepath.Join(dir, fmt.Sprintf("d%d", i%7), fmt.Sprintf("sub%d", i%3), fmt.Sprintf("f%d", i))
		data := randomBytes(byte(i), i*i%5000)
		write(t, p, data)
		want[p] = string(data)
	}
	big := filepath.Join(dir, "big")
	write(t, big, randomBytes(200, 9<<20))
	want[big] = string(randomBytes(200, 9<<20))
	if err := os.Link(big, filepath.Join(dir, "zlink")); err != nil {
		t.Fatal(err)
	}
	want[filepath.Join(dir, "zlink")] = want[big]

	res, s := saveTree(t, r, SaveOptions{Paths: []string{dir}})
	got := contents(t, r, s.Root)
	for p, data := range want {
		if got[p] != data {
			t.Errorf("%s: %d bytes stored, want %d", p, len(got[p]), len(data))
		}
	}
	if res.Files != int64(len(want)) || res.FilesNew != res.Files || res.Problems != 0 {
		t.Errorf("result %+v for %d files", res, len(want))
	}

	again, s2 := saveTree(t, r, SaveOptions{Paths: []string{dir}})
	if again.FilesUnchanged != res.Files || again.BytesRead != 0 || again.BytesNew > 100_000 {
		t.Errorf("second run of an unchanged tree: %+v", again)
	}
	if treeOf(t, r, s2, dir) != treeOf(t, r, s, dir) {
		t.Error("the tree of an unchanged directory differs")
	}
	forced, s3 := saveTree(t, r, SaveOptions{Paths: []string{dir}, Force: true})
	if forced.BytesRead == 0 || treeOf(t, r, s3, dir) != treeOf(t, r, s, dir) {
		t.Errorf("forced run: %+v", forced)
	}
}

// Invariant 3.
func TestSaveReportsWhatChangesOrVanishes(t *testing.T) {
	r, dir := newTestRepo(t), t.TempDir()
	write(t, filepath.Join(dir, "a"), []byte("a"))
	write(t, filepath.Join(dir, "b"), randomBytes(1, 3<<20))
	var mu sync.Mutex
	problems := map[string]error{}
	opt := SaveOptions{Paths: []string{dir, filepath.Join(dir, "missing"), filepath.Join(t.TempDir(), "gone")},
		Problem: func(p string, err error) {
			mu.Lock()
			defer mu.Unlock()
			problems[filepath.Base(p)] = err
		}}
	res, _ := saveTree(t, r, opt)
	if res.Problems != 1 || problems["gone"] == nil {
		t.Errorf("problems %v, counted %d", problems, res.Problems)
	}
}

func TestSaveExcludes(t *testing.T) {
	r, dir := newTestRepo(t), t.TempDir()
	for _, p := range []string{"keep", "x.o", "cache/CACHEDIR.TAG", "cache/data", "big", "sub/x.o", "sub/keep"} {
		data := []byte("text")
		switch filepath.Base(p) {
		case "CACHEDIR.TAG":
			data = []byte("Signature: 8a477f597d28d172789f06886806bc55\n")
		case "big":
			data = randomBytes(1, 5000)
		}
		write(t, filepath.Join(dir, p), data)
	}
	m, err := NewMatcher([]string{"*.o"})
	if err != nil {
		t.Fatal(err)
	}
	_, s := saveTree(t, r, SaveOptions{Paths: []string{dir}, Exclude: m, ExcludeCaches: true, ExcludeLarger: 4000})
	got := contents(t, r, s.Root)
	for p, want := range map[string]bool{"keep": true, "x.o": false, "cache/CACHEDIR.TAG": true, "cache/data": false, "big": false, "sub/x.o": false, "sub/keep": true} {
		if _, have := got[filepath.Join(dir, p)]; have != want {
			t.Errorf("%s is stored: %v, want %v", p, have, want)
		}
	}
}

func TestSaveStream(t *testing.T) {
	r := newTestRepo(t)
	data := randomBytes(3, 5<<20)
	res, err := SaveStream(t.Context(), r, "dump.sql", bytes.NewReader(data), SaveOptions{Host: "h"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Find(r, res.ID[:6], Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, r, s.Root); got["/dump.sql"] != string(data) {
		t.Error("the stream differs")
	}
	failed := fmt.Errorf("command failed")
	if _, err := SaveStream(t.Context(), r, "dump.sql", bytes.NewReader(data), SaveOptions{Host: "h"}, func() error { return failed }); err == nil {
		t.Error("a failed command makes a snapshot")
	}
	all, err := List(r, Filter{})
	if err != nil || len(all) != 1 {
		t.Errorf("%d snapshots, %v", len(all), err)
	}
	if d := time.Since(s.Time()); d < 0 || d > time.Hour {
		t.Errorf("time of the snapshot is %v ago", d)
	}
}
