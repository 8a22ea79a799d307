//go:build unix

package snapshot

import (
	"bytes"
	"context"
	"errors"
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
			if n.Links > 1 {
				if inodes[n.Inode] == "" {
					inodes[n.Inode] = rel
				}
				line += " first name " + inodes[n.Inode]
			}
		case Symlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " to " + target
		default:
			line += fmt.Sprintf(" device %d", n.Rdev)
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

// Invariant 1.
func TestRestoreGivesBackWhatWasSaved(t *testing.T) {
	src := sampleTree(t)
	want := describe(t, src)
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	target := t.TempDir()
	writable(t, target)
	p := &Progress{}
	res := restoring(t, r, s, RestoreOptions{Target: target, Verify: true, Progress: p})
	same(t, want, describe(t, below(target, s)))
	if res.Files != 9 || res.HardLinks != 2 || res.Links != 2 || res.Other != 1 || res.Verified != 11 {
		t.Errorf("counts: %+v", res)
	}
	if p.Files.Load() != p.TotalFiles.Load() || p.Bytes.Load() != p.TotalBytes.Load() {
		t.Errorf("progress ends at %d of %d files, %d of %d bytes", p.Files.Load(), p.TotalFiles.Load(), p.Bytes.Load(), p.TotalBytes.Load())
	}
	// Again: everything is there.
	res = restoring(t, r, s, RestoreOptions{Target: target})
	if res.Unchanged != res.Files || res.BytesWritten != 0 {
		t.Errorf("the second restore: %+v", res)
	}
	same(t, want, describe(t, below(target, s)))
	// And with every content compared.
	res = restoring(t, r, s, RestoreOptions{Target: target, Overwrite: OverwriteAlways})
	if res.BytesWritten > 5000 { // the file with several names is written anew
		t.Errorf("the third restore wrote %d bytes", res.BytesWritten)
	}
	same(t, want, describe(t, below(target, s)))
}

func TestRestoreRunsWithOldAttributesInPlace(t *testing.T) {
	src := sampleTree(t)
	want := describe(t, src)
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	// In place: the target is the root itself.
	must(t, os.Chmod(src+"/large", 0o600))
	must(t, os.Remove(src+"/dangling"))
	must(t, os.Symlink("elsewhere", src+"/dangling"))
	must(t, os.Remove(src+"/chunk"))
	res := restoring(t, r, s, RestoreOptions{Target: "/"})
	same(t, want, describe(t, src))
	if res.BytesWritten != 5000 {
		t.Errorf("%d bytes were written for one file of 5000", res.BytesWritten)
	}
}

// Only the chunks that differ are written, and fewer bytes than one frame for one byte.
func TestRestoreInPlaceWritesOnlyWhatDiffers(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	data := noise(4, 8<<20)
	put(t, src+"/file", data)
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	target := t.TempDir()
	restoring(t, r, s, RestoreOptions{Target: target})
	file := filepath.Join(below(target, s), "file")
	tests := []struct {
		name   string
		change func(b []byte) []byte
		limit  int64
	}{
		{"one byte", func(b []byte) []byte { b[3<<20] ^= 1; return b }, 256 << 10},
		{"two bytes", func(b []byte) []byte { b[1] ^= 1; b[len(b)-1] ^= 1; return b }, 512 << 10},
		{"longer", func(b []byte) []byte { return append(b, noise(5, 1<<20)...) }, 0},
		{"shorter", func(b []byte) []byte { return b[:7<<20] }, 1<<20 + 256<<10},
		{"nothing but the time", func(b []byte) []byte { return b }, 0},
		{"everything", func(b []byte) []byte { return noise(6, len(b)) }, 8 << 20},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			inode := inodeOf(t, file)
			must(t, os.WriteFile(file, c.change(bytes.Clone(data)), 0o644))
			progress := &Progress{}
			res := restoring(t, r, s, RestoreOptions{Target: target, Progress: progress})
			if n := progress.BytesRead.Load(); hasherOf(r) != nil && n > c.limit {
				t.Errorf("%d bytes were fetched, want at most %d", n, c.limit)
			}
			got, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("content differs: %v", err)
			}
			if res.BytesWritten > c.limit || c.limit == 0 && res.BytesWritten != 0 {
				t.Errorf("%d bytes were written, want at most %d", res.BytesWritten, c.limit)
			}
			if inodeOf(t, file) != inode {
				t.Error("the file was replaced")
			}
		})
	}
}

func inodeOf(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Ino
}

// A restore that was interrupted goes on where it stopped.
func TestRestoreContinues(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	for i := range 200 {
		put(t, fmt.Sprintf("%s/d%02d/f%03d", src, i/10, i), noise(byte(i), 20_000))
	}
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	want := describe(t, src)
	target := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	opt := RestoreOptions{Target: target, Workers: 1, limits: windowLimits{files: 10, stretches: 20}}
	opt.step = func(p string) {
		if strings.HasSuffix(p, "/d12") {
			cancel()
		}
	}
	first, err := Restore(ctx, r, s, opt)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the first run ends with %v", err)
	}
	if first.BytesWritten == 0 || first.Files == 0 || first.Files >= 130 {
		t.Fatalf("the first run was not interrupted in the middle: %+v", first)
	}
	opt.step = nil
	second := restoring(t, r, s, opt)
	same(t, want, describe(t, below(target, s)))
	if second.Unchanged < first.Files || second.BytesWritten > 200*20_000-first.Files*20_000 {
		t.Errorf("first %+v\nsecond %+v", first, second)
	}
}

func TestRestoreOfLargeFileAcrossWindows(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	data := noise(7, 12<<20)
	clear(data[5<<20 : 6<<20])
	put(t, src+"/a", []byte("small"))
	put(t, src+"/large", data)
	put(t, src+"/z", noise(8, 100))
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	want := describe(t, src)
	for _, sparse := range []SparseMode{SparseAuto, SparseAlways, SparseNever} {
		target := t.TempDir()
		opt := RestoreOptions{Target: target, Sparse: sparse, Verify: true, limits: windowLimits{files: 2, stretches: 7}}
		restoring(t, r, s, opt)
		same(t, want, describe(t, below(target, s)))
		// In place, over something else.
		put(t, below(target, s)+"/large", noise(9, 13<<20))
		restoring(t, r, s, opt)
		same(t, want, describe(t, below(target, s)))
	}
}

func TestRestoreOfManyFilesInOneDirectory(t *testing.T) {
	src := filepath.Join(memory(t), "src")
	for i := range 10_000 {
		put(t, fmt.Sprintf("%s/%05d", src, i), fmt.Appendf(nil, "this is file number %d, long enough for a chunk", i))
	}
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	target := memory(t)
	res := restoring(t, r, s, RestoreOptions{Target: target})
	if res.Files != 10_000 {
		t.Errorf("%d files", res.Files)
	}
	same(t, describe(t, src), describe(t, below(target, s)))
}

func TestRestoreDryRunTouchesNothing(t *testing.T) {
	src := sampleTree(t)
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	target := filepath.Join(t.TempDir(), "target")
	writable(t, target)
	dry := restoring(t, r, s, RestoreOptions{Target: target, DryRun: true})
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the target was made: %v", err)
	}
	real := restoring(t, r, s, RestoreOptions{Target: target})
	if dry.Files != real.Files || dry.HardLinks != real.HardLinks || dry.Links != real.Links || dry.Other != real.Other ||
		dry.Bytes != real.Bytes || dry.BytesWritten < real.BytesWritten {
		t.Errorf("a dry run says\n%+v, a real one\n%+v", dry, real)
	}
	put(t, below(target, s)+"/sub/extra", nil)
	put(t, below(target, s)+"/large", []byte("changed"))
	must(t, os.Remove(below(target, s)+"/dangling"))
	put(t, below(target, s)+"/dangling/is/a/directory", nil)
	before := describe(t, target)
	dry = restoring(t, r, s, RestoreOptions{Target: target, DryRun: true, Delete: true})
	same(t, before, describe(t, target))
	if dry.Deleted != 1 || dry.Unchanged != dry.Files-1 {
		t.Errorf("a dry run over changes says %+v", dry)
	}
}

func TestRestoreSelects(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	for _, p := range []string{"a/x.o", "a/x.c", "a/deep/y.c", "b/x.c", "b/keep/z.o", "c"} {
		put(t, src+"/"+p, []byte(p))
	}
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	tests := []struct {
		name             string
		path             string
		include, exclude []string
		want             []string
	}{
		{"path of a directory", src + "/a/deep", nil, nil, []string{"a/deep/y.c"}},
		{"path of a file", src + "/c", nil, nil, []string{"c"}},
		{"include", "", []string{"*.c"}, nil, []string{"a/deep/y.c", "a/x.c", "b/x.c"}},
		{"exclude", "", nil, []string{"*.c", "keep/"}, []string{"a/x.o", "c"}},
		{"both", "", []string{src + "/a"}, []string{"*.o"}, []string{"a/deep/y.c", "a/x.c"}},
		{"path and include", src + "/b", []string{"*.o"}, nil, []string{"b/keep/z.o"}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			target := t.TempDir()
			restoring(t, r, s, RestoreOptions{Target: target, Path: c.path, Include: matcher(t, c.include), Exclude: matcher(t, c.exclude)})
			var got []string
			for p, line := range describe(t, target) {
				if strings.HasPrefix(line, "file") {
					rel, _ := filepath.Rel(src[1:], p)
					got = append(got, rel)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if _, err := Restore(t.Context(), r, s, RestoreOptions{Target: t.TempDir() + "/x", Path: "/not/there"}); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("a path that is not in the snapshot: %v", err)
	}
}

func matcher(t testing.TB, patterns []string) *Matcher {
	t.Helper()
	if patterns == nil {
		return nil
	}
	m, err := NewMatcher(patterns)
	must(t, err)
	return m
}

func TestRestoreOverwriteNever(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	put(t, src+"/a", []byte("old"))
	put(t, src+"/b", []byte("old"))
	must(t, os.Symlink("old", src+"/l"))
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	target := t.TempDir()
	put(t, below(target, s)+"/a", []byte("mine"))
	must(t, os.Symlink("mine", below(target, s)+"/l"))
	res := restoring(t, r, s, RestoreOptions{Target: target, Overwrite: OverwriteNever})
	a, _ := os.ReadFile(below(target, s) + "/a")
	b, _ := os.ReadFile(below(target, s) + "/b")
	l, _ := os.Readlink(below(target, s) + "/l")
	if string(a) != "mine" || string(b) != "old" || l != "mine" || res.Kept != 2 {
		t.Errorf("a=%s b=%s l=%s, %+v", a, b, l, res)
	}
}

func TestRestoreRefusesOptions(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	src := t.TempDir()
	s := saved(t, r, src)
	for _, opt := range []RestoreOptions{{}, {Target: src, Overwrite: "maybe"}, {Target: src, Sparse: "maybe"}} {
		if _, err := Restore(t.Context(), r, s, opt); err == nil || !strings.HasPrefix(err.Error(), "restore:") {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}

// Verify finds a byte that changed on the medium behind an unchanged size and time.
func TestRestoreVerify(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	put(t, src+"/good", noise(1, 1<<20))
	put(t, src+"/bad", noise(2, 1<<20))
	put(t, src+"/small", []byte("inline"))
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	target := t.TempDir()
	restoring(t, r, s, RestoreOptions{Target: target, Verify: true})
	for _, name := range []string{"bad", "small"} {
		file := below(target, s) + "/" + name
		fi, err := os.Stat(file)
		must(t, err)
		data, err := os.ReadFile(file)
		must(t, err)
		data[len(data)/2] ^= 4
		must(t, os.WriteFile(file, data, 0o644))
		setTime(t, file, fi.ModTime().UnixNano())
	}
	p := &problems{target: below(target, s)}
	res, err := Restore(t.Context(), r, s, RestoreOptions{Target: target, Verify: true, Problem: p.add})
	must(t, err)
	if got := p.paths(); !slices.Equal(got, []string{"bad", "small"}) || !errors.Is(p.found["bad"], errDiffers) || res.Problems != 2 || res.Verified != 1 {
		t.Errorf("problems %v, %+v", p.found, res)
	}
	restoring(t, r, s, RestoreOptions{Target: target, Verify: true, Overwrite: OverwriteAlways})
}

// What a missing pack held is reported, file by file, and everything else is restored.
func TestRestoreWithMissingPack(t *testing.T) {
	store := tier.NewMemory()
	r := restoreRepo(t, store)
	src := filepath.Join(t.TempDir(), "src")
	for i := range 20 {
		put(t, fmt.Sprintf("%s/first%02d", src, i), noise(byte(i), 50_000))
	}
	saved(t, r, src)
	packs := listPacks(t, store)
	for i := range 20 {
		put(t, fmt.Sprintf("%s/second%02d", src, i), noise(byte(100+i), 50_000))
	}
	must(t, os.Link(src+"/second07", src+"/zlink"))
	s := saved(t, r, src)
	for _, name := range listPacks(t, store) {
		if !slices.Contains(packs, name) {
			fi, err := store.Stat(t.Context(), name)
			must(t, err)
			if fi.Size > 200_000 { // the data, not the trees
				must(t, store.Delete(t.Context(), name))
			}
		}
	}
	target := t.TempDir()
	p := &problems{target: below(target, s)}
	res, err := Restore(t.Context(), r, s, RestoreOptions{Target: target, Problem: p.add, Verify: true})
	must(t, err)
	for i := range 20 {
		name := fmt.Sprintf("second%02d", i)
		if !errors.Is(p.found[name], repo.ErrDamaged) {
			t.Errorf("%s: %v", name, p.found[name])
		}
		got, err := os.ReadFile(fmt.Sprintf("%s/first%02d", below(target, s), i))
		if err != nil || !bytes.Equal(got, noise(byte(i), 50_000)) {
			t.Errorf("first%02d: %v", i, err)
		}
	}
	if err := p.found["zlink"]; err == nil || !strings.Contains(err.Error(), "second07") {
		t.Errorf("the other name of a file that was not restored: %v", err)
	}
	if len(p.found) != 21 || res.Problems != 21 || res.Files != 20 {
		t.Errorf("%d problems, %+v", len(p.found), res)
	}
}

func listPacks(t testing.TB, store tier.Store) (names []string) {
	t.Helper()
	must(t, store.List(t.Context(), "", "", func(i tier.Info) error {
		if strings.Contains(i.Name, "pack") || strings.Contains(i.Name, "data/") {
			names = append(names, i.Name)
		}
		return nil
	}))
	return names
}

// A file of which a part is missing gets the rest, does not look complete, and shows
// nobody what its mode in the snapshot would hide.
func TestRestoreOfIncompleteFile(t *testing.T) {
	store := tier.NewMemory()
	r := restoreRepo(t, store)
	src := filepath.Join(t.TempDir(), "src")
	first, second := noise(1, 500_000), noise(2, 500_000)
	put(t, src+"/first", first)
	saved(t, r, src)
	packs := listPacks(t, store)
	must(t, os.Remove(src+"/first"))
	put(t, src+"/mixed", append(bytes.Clone(first), second...))
	must(t, os.Chmod(src+"/mixed", 0o600))
	s := saved(t, r, src)
	for _, name := range listPacks(t, store) {
		fi, err := store.Stat(t.Context(), name)
		must(t, err)
		if !slices.Contains(packs, name) && fi.Size > 200_000 {
			must(t, store.Delete(t.Context(), name))
		}
	}
	target := t.TempDir()
	file := below(target, s) + "/mixed"
	put(t, file, noise(3, 1_000_000))
	p := &problems{target: below(target, s)}
	res, err := Restore(t.Context(), r, s, RestoreOptions{Target: target, Problem: p.add})
	must(t, err)
	if !errors.Is(p.found["mixed"], repo.ErrDamaged) || !strings.Contains(p.found["mixed"].Error(), "at offset") || res.Files != 0 {
		t.Errorf("problems %v, %+v", p.found, res)
	}
	got, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got[:300_000], first[:300_000]) {
		t.Error("what there was of the file was not restored")
	}
	fi, err := os.Stat(file)
	must(t, err)
	want, err := os.Stat(src + "/mixed")
	must(t, err)
	if fi.ModTime().Equal(want.ModTime()) || fi.Mode() != 0o600 {
		t.Errorf("time %v, mode %v", fi.ModTime(), fi.Mode())
	}
}
