package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
)

func check(t *testing.T, r *repo.Repository, opt CheckOptions) (*CheckResult, []Finding) {
	t.Helper()
	var found []Finding
	opt.Problem = func(f Finding) { found = append(found, f) }
	res, err := Check(t.Context(), r, opt)
	if err != nil {
		t.Fatal(err)
	}
	return res, found
}

func TestCheckOfAWholeRepository(t *testing.T) {
	r, dir := newTestRepo(t), t.TempDir()
	write(t, filepath.Join(dir, "a"), randomBytes(1, 300_000))
	write(t, filepath.Join(dir, "sub/b"), randomBytes(2, 100))
	saveTree(t, r, SaveOptions{Paths: []string{dir}})
	saveTree(t, r, SaveOptions{Paths: []string{dir}})
	for _, opt := range []CheckOptions{{}, {ReadData: true}, {Percent: 50}} {
		res, found := check(t, r, opt)
		if len(found) != 0 || res.Findings != 0 || res.Snapshots != 2 || res.Packs == 0 || res.Commits < 5 {
			t.Errorf("%+v: %+v, findings %v", opt, res, found)
		}
		if opt.ReadData && res.PacksRead != res.Packs {
			t.Errorf("%d of %d packs were read", res.PacksRead, res.Packs)
		}
	}
}

// A pack that is gone or damaged is named, with the snapshots and files it is needed for.
func TestCheckNamesWhatIsAffected(t *testing.T) {
	r, dir := newTestRepo(t), t.TempDir()
	write(t, filepath.Join(dir, "intact"), nil)
	write(t, filepath.Join(dir, "lost"), randomBytes(3, 200_000))
	_, s := saveTree(t, r, SaveOptions{Paths: []string{dir}})
	var name string
	err := r.Index().Packs(func(p *index.Pack) error {
		if p.Record.Kind == pack.Data && p.Seq == 0 {
			name = p.Record.ID.Name()
		}
		return nil
	})
	if err != nil || name == "" {
		t.Fatalf("no data pack: %v", err)
	}
	if err := r.Store().Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	res, found := check(t, r, CheckOptions{})
	if res.Findings != 1 || len(found) != 1 {
		t.Fatalf("findings %+v", found)
	}
	f := found[0]
	if f.File != name || len(f.Snapshots) != 1 || f.Snapshots[0] != s.ID() {
		t.Errorf("finding %+v, want file %s and snapshot %s", f, name, s.ID())
	}
	if len(f.Paths) != 1 || !strings.HasSuffix(f.Paths[0], "/lost") {
		t.Errorf("paths %v, want the one that is lost", f.Paths)
	}
}

// Invariant 3: a file that is written to all the while is reported and read again by
// the next run.
func TestSaveReportsAFileThatChanges(t *testing.T) {
	r, dir := newTestRepo(t), t.TempDir()
	path := filepath.Join(dir, "busy")
	write(t, path, randomBytes(4, 64<<20))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := int64(0); !stop.Load(); i++ {
			_, _ = f.WriteAt([]byte{byte(i)}, i%(64<<20))
		}
	})
	var problems []string
	opt := SaveOptions{Paths: []string{dir}, Problem: func(p string, err error) { problems = append(problems, fmt.Sprint(p, ": ", err)) }}
	res, _ := saveTree(t, r, opt)
	stop.Store(true)
	wg.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if res.Problems != 1 || len(problems) != 1 || !strings.Contains(problems[0], path) {
		t.Errorf("problems %v", problems)
	}
	again, s := saveTree(t, r, SaveOptions{Paths: []string{dir}})
	if again.FilesChanged != 1 || again.Problems != 0 {
		t.Errorf("next run: %+v", again)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, r, s.Root)[path]; got != string(data) {
		t.Error("the next run stored something else than the file")
	}
}

func TestMatcher(t *testing.T) {
	cases := []struct {
		patterns   string
		path       string
		dir        bool
		match, may bool
	}{
		{"*.o", "/a/b.o", false, true, true},
		{"*.o", "/a/b.c", false, false, false},
		{"/home/*/.cache", "/home/u/.cache", true, true, true},
		{"/home/*/.cache", "/home/u/.cache/x/y", false, true, true},
		{"/home/*/.cache", "/srv/home/u/.cache", true, false, false},
		{"/home/*/.cache", "/home", true, false, true},
		{"/home/*/.cache", "/home/u", true, false, true},
		{"/home/*/.cache", "/etc", true, false, false},
		{"build/*.o", "/x/build/a.o", false, true, true},
		{"build/*.o", "/x/build/sub/a.o", false, false, false},
		{"a/**/z", "/q/a/b/c/z", false, true, true},
		{"a/**/z", "/a/z", false, true, true},
		{"tmp/", "/x/tmp", true, true, true},
		{"tmp/", "/x/tmp", false, false, false},
		{"tmp/", "/x/tmp/f", false, true, true},
		{"*.log !keep.log", "/keep.log", false, false, false},
		{"*.log !keep.log", "/other.log", false, true, true},
		{"node_modules", "/a/node_modules/b", false, true, true},
		{"# comment", "/x", false, false, false},
	}
	for _, c := range cases {
		patterns := strings.Fields(c.patterns)
		if strings.HasPrefix(c.patterns, "#") {
			patterns = []string{c.patterns}
		}
		m, err := NewMatcher(patterns)
		if err != nil {
			t.Fatal(err)
		}
		if match, may := m.Match(c.path, c.dir); match != c.match || may != c.may {
			t.Errorf("%q on %s (dir %v): got %v, %v, want %v, %v", c.patterns, c.path, c.dir, match, may, c.match, c.may)
		}
	}
	for _, bad := range []string{"[", "../x", "/", "!"} {
		if _, err := NewMatcher([]string{bad}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("pattern %q: %v", bad, err)
		}
	}
}

func TestBucketNames(t *testing.T) {
	for _, host := range []string{"server", "My Laptop.local", "x", "", "a_b", strings.Repeat("h", 80), "ünï", "...", "-a-"} {
		got := bucketOf(host)
		if len(got) < 3 || len(got) > 63 || strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" ||
			got != strings.Trim(got, "-.") {
			t.Errorf("host %q: bucket %q is not valid", host, got)
		}
	}
	if got := bucketOf("My Laptop.local"); got != "my-laptop.local" {
		t.Errorf("bucket of My Laptop.local is %s", got)
	}
}

func TestTargets(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/x"), []byte("x"))
	write(t, filepath.Join(dir, "b"), []byte("b"))
	t.Chdir(dir)
	r := newTestRepo(t)
	for _, c := range []struct {
		paths []string
		want  []string
	}{
		{[]string{"a"}, []string{"/", "/a", "/a/x"}},
		{[]string{"."}, []string{"/", "/a", "/a/x", "/b"}},
		{[]string{"a/x", "b"}, []string{"/", "/a", "/a/x", "/b"}},
		{[]string{"a", "a/x"}, []string{"/", "/a", "/a/x"}},
		{[]string{"./a/../b"}, []string{"/", "/b"}},
	} {
		_, s := saveTree(t, r, SaveOptions{Paths: c.paths})
		got := contents(t, r, s.Root)
		if len(got) != len(c.want) {
			t.Errorf("%v: stored %d, want %v", c.paths, len(got), c.want)
		}
		for _, p := range c.want {
			if _, ok := got[p]; !ok {
				t.Errorf("%v: %s is missing", c.paths, p)
			}
		}
	}
}
