//go:build unix

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

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
			if n := progress.BytesRead.Load(); n > c.limit {
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
	done := restoring(t, r, s, RestoreOptions{Target: target})
	if dry.Files != done.Files || dry.HardLinks != done.HardLinks || dry.Links != done.Links || dry.Other != done.Other ||
		dry.Bytes != done.Bytes || dry.BytesWritten < done.BytesWritten {
		t.Errorf("a dry run says\n%+v, a real one\n%+v", dry, done)
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
	const shared = 500_000 - 256<<10 // the chunk before the seam is another one, and may be as large
	if !bytes.Equal(got[:shared], first[:shared]) {
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
