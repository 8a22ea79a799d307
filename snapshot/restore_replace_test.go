//go:build unix

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/firnstore/firn/tier"
)

// failingStore is a store of which reads of packs fail from some call on.
type failingStore struct {
	tier.Store
	left atomic.Int64 // reads that still succeed
	fail func()       // called with the first that does not; may be nil
}

var errFault = errors.New("the medium failed")

func (s *failingStore) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if strings.HasPrefix(name, "packs/") {
		if n := s.left.Add(-1); n < 0 {
			if n == -1 && s.fail != nil {
				s.fail()
			}
			return 0, errFault
		}
	}
	return s.Store.ReadAt(ctx, name, p, off)
}

// inTheWayOf puts something in the place of each file: a link, a file with another name,
// and a FIFO.
func inTheWayOf(t testing.TB, dir string) {
	t.Helper()
	outside := filepath.Dir(dir) + "/outside"
	put(t, outside, []byte("old"))
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.Link(outside, dir+"/linked"))
	must(t, os.Symlink("../outside", dir+"/symlink"))
	must(t, unix.Mkfifo(dir+"/fifo", 0o600))
}

// What a file replaces stays until the file is complete, wherever the store fails; and
// nothing else stays.
func TestRestoreKeepsWhatItCannotReplaceYet(t *testing.T) {
	store := &failingStore{Store: tier.NewMemory()}
	store.left.Store(1 << 60)
	r := restoreRepo(t, store)
	src := filepath.Join(t.TempDir(), "src")
	for i, name := range []string{"fifo", "linked", "symlink"} {
		put(t, src+"/"+name, noise(byte(i), 3<<20))
	}
	s := saved(t, r, src)
	want := describe(t, src)
	for _, interrupt := range []bool{false, true} {
		failures := 0
		for reads := int64(0); ; reads++ {
			target := filepath.Join(t.TempDir(), "target")
			inTheWayOf(t, below(target, s))
			old := describe(t, below(target, s))
			ctx, cancel := context.WithCancel(t.Context())
			store.fail = nil
			if interrupt {
				store.fail = cancel
			}
			store.left.Store(reads)
			p := &problems{target: below(target, s)}
			_, err := Restore(ctx, r, s, RestoreOptions{Target: target, Workers: 1, Problem: p.add, limits: windowLimits{files: 1, stretches: 20}})
			cancel()
			if interrupt && err == nil && store.left.Load() < 0 || !interrupt && err != nil {
				t.Fatalf("after %d reads: %v", reads, err)
			}
			got := describe(t, below(target, s))
			for name := range want {
				failed := p.found[name] != nil || err != nil && got[name] != want[name]
				if name != "." && (failed && got[name] != old[name] || !failed && got[name] != want[name]) {
					t.Errorf("after %d reads, problem %v, error %v: %s is %.80s", reads, p.found[name], err, name, got[name])
				}
			}
			if names := entries(t, below(target, s)); !slices.Equal(names, []string{"fifo", "linked", "symlink"}) {
				t.Errorf("after %d reads there is %q", reads, names)
			}
			if outside, _ := os.ReadFile(filepath.Dir(below(target, s)) + "/outside"); string(outside) != "old" {
				t.Errorf("the file outside is %q", outside)
			}
			if store.left.Load() >= 0 {
				break
			}
			failures++
		}
		if failures < 3 {
			t.Errorf("the store failed in %d runs", failures)
		}
	}
}

func entries(t testing.TB, dir string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}

// Further names replace what is there by links.
func TestRestoreLinksOverWhatIsThere(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	src := filepath.Join(t.TempDir(), "src")
	put(t, src+"/a", noise(1, 5000))
	for _, name := range []string{"fifo", "linked", "symlink"} {
		must(t, os.Link(src+"/a", src+"/"+name))
	}
	s := saved(t, r, src)
	target := filepath.Join(t.TempDir(), "target")
	inTheWayOf(t, below(target, s))
	res := restoring(t, r, s, RestoreOptions{Target: target})
	same(t, describe(t, src), describe(t, below(target, s)))
	if res.HardLinks != 3 {
		t.Errorf("%+v", res)
	}
}

// Names of one file are linked again; where that is not possible it is written again.
func TestRestoreCopiesWhatCannotBeLinked(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	var names []forged
	for _, name := range []string{"a", "b", "c"} {
		n := fileNode(name, strings.Repeat("content", 100))
		n.Links, n.Inode, n.Device = 4, 9, 9
		names = append(names, n)
	}
	other := fileNode("d", "of the same inode, but another content than the others")
	other.Links, other.Inode, other.Device = 4, 9, 9
	s := forge(t, r, append(names, other)...)
	target := t.TempDir()
	res := restoring(t, r, s, RestoreOptions{Target: target})
	if res.HardLinks != 2 || res.Files != 2 || inodeOf(t, target+"/a") != inodeOf(t, target+"/c") {
		t.Errorf("%+v", res)
	}
	// A first name that is gone again when the others come stands for every reason
	// why linking fails.
	target = t.TempDir()
	rs := newRestorer(r, s, &RestoreOptions{Target: target})
	must(t, rs.opt.check())
	rs.Progress, rs.ctx = rs.opt.Progress, t.Context()
	rs.cancel = func(err error) { t.Error(err) }
	must(t, rs.openTarget())
	defer rs.tree.close()
	rs.tree.root.node = s.Root
	a, err := s.Lookup(t.Context(), r, "a")
	must(t, err)
	put(t, target+"/a", []byte("old"))
	must(t, os.Link(target+"/a", target+"/other"))
	state := &linkState{first: "gone/a"}
	rs.link(state, linkName{rs.tree.root.hold(), a})
	copies := rs.links.takeCopies()
	if len(copies) != 1 || string(copies[0].node.Name) != "a" {
		t.Errorf("to be written again: %v", copies)
	}
	// What has the name stays until the copy is complete.
	if got, err := os.ReadFile(target + "/a"); err != nil || string(got) != "old" {
		t.Errorf("before the copy there is %q, %v", got, err)
	}
	rs.links.copies = copies
	rs.finishFiles()
	if got, err := os.ReadFile(target + "/a"); err != nil || string(got) != strings.Repeat("content", 100) {
		t.Errorf("the copy is %q, %v", got, err)
	}
	if got, err := os.ReadFile(target + "/other"); err != nil || string(got) != "old" {
		t.Errorf("the other name of what was there has %q, %v", got, err)
	}
}

// A program that runs cannot be written to; it is replaced, and runs on.
func TestRestoreReplacesARunningProgram(t *testing.T) {
	program, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	code, err := os.ReadFile(program)
	must(t, err)
	store := &failingStore{Store: tier.NewMemory()}
	store.left.Store(1 << 60)
	r := restoreRepo(t, store)
	src := filepath.Join(t.TempDir(), "src")
	put(t, src+"/program", noise(1, 100_000))
	s := saved(t, r, src)
	target := t.TempDir()
	file := below(target, s) + "/program"
	put(t, file, code)
	must(t, os.Chmod(file, 0o755))
	cmd := exec.Command(file, "60")
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if f, err := os.OpenFile(file, os.O_RDWR, 0); !errors.Is(err, unix.ETXTBSY) {
		_ = f.Close()
		t.Skip("this system lets programs be written to while they run")
	}
	store.left.Store(0)
	p := &problems{target: below(target, s)}
	_, err = Restore(t.Context(), r, s, RestoreOptions{Target: target, Problem: p.add})
	must(t, err)
	if got, err := os.ReadFile(file); p.found["program"] == nil || err != nil || !bytes.Equal(got, code) {
		t.Errorf("the store failed (%v), and the program is not as it was: %v", p.found, err)
	}
	store.left.Store(1 << 60)
	restoring(t, r, s, RestoreOptions{Target: target})
	same(t, describe(t, src), describe(t, below(target, s)))
	if err := cmd.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("the program does not run any more: %v", err)
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
