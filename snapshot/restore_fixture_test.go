//go:build unix

package snapshot

import (
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// restoreRepo makes a repository in a store that the test may tamper with.
func restoreRepo(t testing.TB, store tier.Store) *repo.Repository {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	opt := repo.Options{CacheDir: t.TempDir(), BootID: "boot"}
	if _, err := repo.Init(t.Context(), store, id.Recipient(), opt, repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(t.Context(), store, []age.Identity{id}, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// saved backs up a directory and returns the snapshot and the path of that directory in
// it.
func saved(t testing.TB, r *repo.Repository, dir string) *Snapshot {
	t.Helper()
	res, err := Save(t.Context(), r, SaveOptions{Paths: []string{dir}, Host: "testhost",
		Problem: func(p string, err error) { t.Errorf("save %s: %v", p, err) }})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Find(r, res.ID, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// restoring runs a restore in which nothing may go wrong.
func restoring(t testing.TB, r *repo.Repository, s *Snapshot, opt RestoreOptions) *RestoreResult {
	t.Helper()
	opt.Problem = func(p string, err error) { t.Errorf("problem with %s: %v", p, err) }
	res, err := Restore(t.Context(), r, s, opt)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// problems collects what Restore reports, by path below the target.
type problems struct {
	mu     sync.Mutex
	target string
	found  map[string]error
}

func (p *problems) add(path string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		p.found = map[string]error{}
	}
	rel, rerr := filepath.Rel(p.target, path)
	if rerr != nil {
		rel = path
	}
	p.found[rel] = err
}

func (p *problems) paths() []string {
	var paths []string
	for path := range p.found {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// describe tells everything about what lies below dir, one line a name.
func describe(t testing.TB, dir string) map[string]string {
	t.Helper()
	lines, inodes := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		up, err := openDir(filepath.Dir(p))
		if err != nil {
			return err
		}
		defer up.close()
		n, blocks := &Node{}, int64(0)
		if err := up.stat(filepath.Base(p), n, &blocks); err != nil {
			return err
		}
		if err := up.xattrsAt(n); err != nil {
			return err
		}
		line := fmt.Sprintf("%s %o %d:%d %d", n.Type, n.Mode, n.UID, n.GID, n.ModTime)
		for _, x := range n.Xattrs {
			line += fmt.Sprintf(" %s=%x", x.Name, x.Value)
		}
		switch n.Type {
		case File:
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d bytes %x", len(data), data[:min(len(data), 64)])
			line += fmt.Sprintf(" sum %x", checksum(data))
		case Symlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " to " + target
		default:
			line += fmt.Sprintf(" device %d", n.Rdev)
		}
		if n.Links > 1 {
			if inodes[n.Inode] == "" {
				inodes[n.Inode] = rel
			}
			line += " first name " + inodes[n.Inode]
		}
		lines[rel] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func checksum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// same compares two descriptions.
func same(t testing.TB, want, got map[string]string) {
	t.Helper()
	for p, line := range want {
		if got[p] != line {
			t.Errorf("%q\n is %s\nnot %s", p, got[p], line)
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			t.Errorf("%q should not be there", p)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, path string, data []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, data, 0o644))
}

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	x := uint64(seed)*2654435761 + 88172645463325252
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 24)
	}
	return b
}

func setTime(t testing.TB, path string, ns int64) {
	t.Helper()
	ts := []unix.Timespec{unix.NsecToTimespec(ns), unix.NsecToTimespec(ns)}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW))
}

// sampleTree makes files of every type with odd attributes. It returns the directory.
func sampleTree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	put(t, dir+"/empty", nil)
	put(t, dir+"/inline", []byte("short"))
	put(t, dir+"/chunk", noise(1, 5000))
	put(t, dir+"/large", noise(2, 3<<20))
	put(t, dir+"/zeros", make([]byte, 300<<10))
	put(t, dir+"/sub/sub/file", noise(3, 40<<10))
	put(t, dir+"/names/not\xff\xfeutf8", []byte{1})
	put(t, dir+"/names/new\nline and spaces ", []byte{2})
	put(t, dir+"/readonly/file", []byte("read only"))
	must(t, os.MkdirAll(dir+"/emptydir", 0o755))
	must(t, os.Symlink("nowhere/at all", dir+"/dangling"))
	must(t, os.Symlink("../"+strings.Repeat("x", 300), dir+"/sub/long"))
	must(t, os.Link(dir+"/chunk", dir+"/names/other name"))
	must(t, os.Link(dir+"/chunk", dir+"/sub/third"))
	must(t, unix.Mkfifo(dir+"/fifo", 0o640))
	must(t, os.Chmod(dir+"/large", 0o4755&0o777|fs.ModeSetuid))
	must(t, os.Chmod(dir+"/inline", 0o666|fs.ModeSticky))
	must(t, os.Chmod(dir+"/emptydir", 0o777|fs.ModeSticky|fs.ModeSetgid))
	if os.Geteuid() == 0 { // nobody else could save it
		must(t, os.Chmod(dir+"/empty", 0))
	}
	must(t, os.Chmod(dir+"/readonly/file", 0o444))
	for i, p := range []string{"empty", "inline", "chunk", "fifo", "dangling", "large", "sub/sub/file", "emptydir", "names", "sub/sub", "sub", "."} {
		setTime(t, filepath.Join(dir, p), 1_500_000_000_123_456_789+int64(i)*1_000_000_007)
	}
	setTime(t, dir+"/zeros", -1_000_000_001) // before 1970
	must(t, os.Chmod(dir+"/readonly", 0o555))
	t.Cleanup(func() { _ = os.Chmod(dir+"/readonly", 0o755) })
	return dir
}

// memory is a directory in memory where there is one: for tests that make many files.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "firn-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func below(target string, s *Snapshot) string { return filepath.Join(target, s.Paths()[0]) }

func writable(t testing.TB, dir string) {
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				return os.Chmod(p, 0o755)
			}
			return nil
		})
	})
}
