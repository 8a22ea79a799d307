package tier_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

func newDir(t *testing.T, opt tier.DirOptions) *tier.Dir {
	t.Helper()
	d, err := tier.CreateDir(filepath.Join(t.TempDir(), "store"), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// grownStore says that files are longer than they are.
type grownStore struct{ tier.Store }

func (s *grownStore) Stat(ctx context.Context, name string) (tier.Info, error) {
	info, err := s.Store.Stat(ctx, name)
	info.Size++
	return info, err
}

// wantNoTemps checks that nothing is left after a store was opened once more:
// a writer that outlived its store cannot remove its temporary itself.
func wantNoTemps(t *testing.T, path string) {
	t.Helper()
	d, err := tier.OpenDir(path, tier.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	wantTemps(t, d, 0)
}

// wantTemps checks how many temporaries lie in a store.
func wantTemps(t *testing.T, d *tier.Dir, want int) {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(d.String(), tier.TempFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(found) != want {
		t.Errorf("temporaries: %v, %v; want %d", found, err, want)
	}
}

// forced is a way to publish files.
type forced struct {
	name  string
	value tier.Method
}

// methods are those that this system should have.
func methods(t *testing.T) []forced {
	t.Helper()
	all := []forced{{"linked", tier.Linked}}
	switch runtime.GOOS {
	case "linux":
		all = append(all, forced{"anonymous", tier.Anonymous}, forced{"renamed", tier.Renamed})
	case "darwin", "windows":
		all = append(all, forced{"renamed", tier.Renamed})
	}
	return all
}

func newForced(t *testing.T, m forced) *tier.Dir {
	t.Helper()
	d := newDir(t, tier.DirOptions{})
	if _, err := d.Force(m.value); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDirContract(t *testing.T) {
	for _, m := range methods(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			tiertest.Run(t, func(t *testing.T) tier.Store {
				d := newForced(t, m)
				t.Cleanup(func() { wantNoTemps(t, d.String()) })
				return d
			})
		})
	}
}

func TestDirContractWithoutSync(t *testing.T) {
	t.Parallel()
	tiertest.Run(t, func(t *testing.T) tier.Store { return newDir(t, tier.DirOptions{NoSync: true, OpenFiles: 1}) })
}

// A folder that is larger than a batch is listed in several parts.
func TestDirContractWithSmallBatches(t *testing.T) {
	t.Parallel()
	for _, batch := range []int{1, 2, 3} {
		tiertest.Run(t, func(t *testing.T) tier.Store {
			d := newDir(t, tier.DirOptions{NoSync: true})
			d.SetListBatch(batch)
			return d
		})
	}
}

// All methods and several openings of one directory agree on invariant 1.
func TestDirOneWinnerAcrossMethods(t *testing.T) {
	first := newDir(t, tier.DirOptions{})
	chosen, err := first.Force(tier.Linked)
	if err != nil {
		t.Fatal(err)
	}
	stores := []*tier.Dir{first}
	for range 2 {
		d, err := tier.OpenDir(first.String(), tier.DirOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		stores = append(stores, d)
	}
	if _, err := stores[1].Force(chosen); err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		name := fmt.Sprintf("d%d/file", round)
		results := make(chan error)
		for _, d := range stores {
			go func() { results <- tier.Put(t.Context(), d, name, []byte("data")) }()
		}
		won := 0
		for range stores {
			if err := <-results; err == nil {
				won++
			} else if !errors.Is(err, tier.ErrExist) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Fatalf("%d winners", won)
		}
	}
	wantTemps(t, first, 0)
}

// Invariant 3 rests on the order of the steps.
func TestDirOrderOfSteps(t *testing.T) {
	for _, method := range methods(t) {
		d := newForced(t, method)
		var steps []string
		d.SetTrace(func(step string) { steps = append(steps, step) })
		want := func(what string, want ...string) {
			t.Helper()
			if !slices.Equal(steps, want) {
				t.Errorf("%s, %s:\n got %q\nwant %q", method.name, what, steps, want)
			}
			steps = nil
		}
		put := func(name string, wantErr error) {
			t.Helper()
			if err := tier.Put(t.Context(), d, name, []byte("data")); !errors.Is(err, wantErr) {
				t.Fatalf("Put: %v, want %v", err, wantErr)
			}
		}
		put("a/b/file", nil)
		want("new folders", "make folder a", "sync folder .", "make folder a/b", "sync folder a",
			"create", "sync file", "name", "sync folder a/b")
		put("a/b/other", nil)
		want("known folders", "create", "sync file", "name", "sync folder a/b")
		put("a/b/file", tier.ErrExist)
		want("name taken", "create", "sync file", "sync folder a/b")
		if err := d.Delete(t.Context(), "a/b/file"); err != nil {
			t.Fatal(err)
		}
		want("delete", "remove a/b/file", "sync folder a/b")
		os.RemoveAll(filepath.Join(d.String(), "a"))
		put("a/file", nil)
		want("folders removed by others", "make folder a", "sync folder .", "create", "sync file", "name", "sync folder a")
	}
}

// An existing folder may not be durable yet, because another process made it.
func TestDirSyncsFoldersOfOthers(t *testing.T) {
	first := newDir(t, tier.DirOptions{NoSync: true})
	if err := tier.Put(t.Context(), first, "a/b/file", nil); err != nil {
		t.Fatal(err)
	}
	d, err := tier.OpenDir(first.String(), tier.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var steps []string
	d.SetTrace(func(step string) { steps = append(steps, step) })
	if err := tier.Put(t.Context(), d, "a/b/other", nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"sync folder .", "sync folder a", "create", "sync file", "name", "sync folder a/b"}
	if !slices.Equal(steps, want) {
		t.Errorf("steps\n got %q\nwant %q", steps, want)
	}
}

func TestDirListsOnlyItsFiles(t *testing.T) {
	d := newDir(t, tier.DirOptions{})
	if err := tier.Put(t.Context(), d, "a/file", nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lost+found", ".firn-tmp/x", ".hidden", "Upper", "a/.hidden", "a/b c"} {
		if err := os.WriteFile(filepath.Join(d.String(), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(d.String(), ".git/objects"), 0o700); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := d.List(t.Context(), "", "", func(info tier.Info) error { got = append(got, info.Name); return nil })
	if err != nil || !slices.Equal(got, []string{"a/file"}) {
		t.Errorf("List = %q, %v", got, err)
	}
}

// Invariant 8: List keeps a bounded part of a folder, however large that is.
func TestDirListIsBounded(t *testing.T) {
	d := newDir(t, tier.DirOptions{NoSync: true})
	const files, batch = 3000, 100
	for i := range files {
		if err := os.WriteFile(filepath.Join(d.String(), fmt.Sprint("file", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.SetListBatch(batch)
	n, room, more, err := d.ReadBatch(t.Context())
	if n != batch || room > files/2 || !more || err != nil {
		t.Errorf("part of %d files: %d with room for %d, more: %t, %v; want %d", files, n, room, more, err, batch)
	}
	d.SetListBatch(700)
	n, last := 0, ""
	err = d.List(t.Context(), "", "", func(info tier.Info) error {
		if info.Name <= last {
			return fmt.Errorf("%s after %s", info.Name, last)
		}
		n, last = n+1, info.Name
		return nil
	})
	if n != files || err != nil {
		t.Errorf("List gave %d files, %v; want %d", n, err, files)
	}
}

// A temporary goes when its writer is dead, not before (invariant 4).
func TestOpenDirRemovesDeadTemporaries(t *testing.T) {
	d := newDir(t, tier.DirOptions{})
	if _, err := d.Force(tier.Linked); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(d.String(), tier.TempFolder, "0123456789abcdef")
	if err := os.WriteFile(dead, []byte("dead"), 0o400); err != nil {
		t.Fatal(err)
	}
	w, err := d.Create(t.Context(), "file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("alive")); err != nil {
		t.Fatal(err)
	}
	wantTemps(t, d, 2)
	other, err := tier.OpenDir(d.String(), tier.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	wantTemps(t, d, 1)
	if err := w.Commit(); err != nil {
		t.Fatalf("Commit after another process had cleaned up: %v", err)
	}
	wantTemps(t, d, 0)
	if got, err := tier.Read(t.Context(), other, "file", 10); string(got) != "alive" {
		t.Errorf("Read = %q, %v", got, err)
	}
}

// Openers that clean up must not disturb writers that begin.
func TestDirCreateDuringCleaning(t *testing.T) {
	d := newDir(t, tier.DirOptions{NoSync: true})
	if _, err := d.Force(tier.Linked); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for i := range 300 {
			if err := tier.Put(t.Context(), d, fmt.Sprint("file", i), nil); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			wantTemps(t, d, 0)
			return
		default:
		}
		other, err := tier.OpenDir(d.String(), tier.DirOptions{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := tier.Put(t.Context(), other, "first", nil); err != nil && !errors.Is(err, tier.ErrExist) {
			t.Fatalf("first Create of an opener, with its probe: %v", err)
		}
		other.Close()
	}
}

// The cache of open files is bounded (invariant 8) and does not keep files that
// others deleted.
func TestDirOpenFiles(t *testing.T) {
	d := newDir(t, tier.DirOptions{NoSync: true, OpenFiles: 3})
	other, err := tier.OpenDir(d.String(), tier.DirOptions{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := range 10 {
		name := fmt.Sprint("file", i)
		if err := tier.Put(t.Context(), d, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
		if got, err := tier.Read(t.Context(), d, name, 10); string(got) != name {
			t.Errorf("Read(%s) = %q, %v", name, got, err)
		}
		if n := d.OpenFiles(); n != min(i+1, 3) {
			t.Errorf("%d open files after reading %d, want %d", n, i+1, min(i+1, 3))
		}
	}
	if err := d.Delete(t.Context(), "file9"); err != nil {
		t.Fatal(err)
	}
	if n := d.OpenFiles(); n != 2 {
		t.Errorf("%d open files after Delete, want 2", n)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := other.Delete(t.Context(), "file8"); err != nil {
		t.Fatal(err)
	}
	if n, err := d.ReadAt(t.Context(), "file8", make([]byte, 1), 0); !errors.Is(err, tier.ErrNotExist) {
		t.Errorf("ReadAt of a file that another opening deleted = %d, %v", n, err)
	}
}

func TestDirModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	for _, method := range methods(t) {
		d := newForced(t, method)
		if err := tier.Put(t.Context(), d, "folder/file", nil); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]fs.FileMode{
			".": fs.ModeDir | 0o700, "folder": fs.ModeDir | 0o700, "folder/file": 0o400, tier.TempFolder: fs.ModeDir | 0o700,
		} {
			info, err := os.Stat(filepath.Join(d.String(), name))
			if err != nil || info.Mode() != want {
				t.Errorf("%s: mode of %s is %v, %v; want %v", method.name, name, info.Mode(), err, want)
			}
		}
	}
}

// Invariant 6: links lead nowhere, but the store itself may be behind one.
func TestDirSymbolicLinks(t *testing.T) {
	d := newDir(t, tier.DirOptions{})
	if err := tier.Put(t.Context(), d, "file", []byte("ours")); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"to-file": secret, "to-folder": outside, "relative": "../..", "inside": "file", "broken": "nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(d.String(), link)); err != nil {
			t.Skip(err)
		}
	}
	for _, name := range []string{"to-file", "to-folder", "to-folder/secret", "relative/x", "inside", "broken"} {
		if n, err := d.ReadAt(t.Context(), name, make([]byte, 9), 0); n != 0 || err == nil {
			t.Errorf("ReadAt(%s) = %d, %v", name, n, err)
		}
		if info, err := d.Stat(t.Context(), name); err == nil {
			t.Errorf("Stat(%s) = %+v", name, info)
		}
		if err := tier.Put(t.Context(), d, name, nil); err == nil {
			t.Errorf("Put(%s) succeeded", name)
		}
		if err := d.Delete(t.Context(), name); err == nil {
			t.Errorf("Delete(%s) succeeded", name)
		}
	}
	if err := tier.Put(t.Context(), d, "to-folder/new", nil); !errors.Is(err, tier.ErrName) {
		t.Errorf("Put behind a link: %v, want ErrName", err)
	}
	if found, err := os.ReadDir(outside); err != nil || len(found) != 1 {
		t.Errorf("outside: %v, %v", found, err)
	}

	link := filepath.Join(outside, "link")
	if err := os.Symlink(d.String(), link); err != nil {
		t.Fatal(err)
	}
	linked, err := tier.OpenDir(link, tier.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer linked.Close()
	if got, err := tier.Read(t.Context(), linked, "file", 9); string(got) != "ours" {
		t.Errorf("Read in a store behind a link = %q, %v", got, err)
	}
}

func TestOpenDirErrors(t *testing.T) {
	parent := t.TempDir()
	missing := filepath.Join(parent, "missing")
	_, err := tier.OpenDir(missing, tier.DirOptions{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("OpenDir of nothing: %v", err)
	}
	file := filepath.Join(parent, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := tier.OpenDir(file, tier.DirOptions{}); err == nil {
		t.Errorf("OpenDir of a file = %v", d)
	}
	if d, err := tier.CreateDir(filepath.Join(file, "below"), tier.DirOptions{}); err == nil {
		t.Errorf("CreateDir below a file = %v", d)
	}
	deep := filepath.Join(parent, "a/b/c")
	for range 2 {
		d, err := tier.CreateDir(deep, tier.DirOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if d.String() != deep {
			t.Errorf("String = %q, want %q", d, deep)
		}
		d.Close()
	}
}

// A file that lost its bytes on the medium is an error, never zeros.
func TestDirTruncatedFile(t *testing.T) {
	d := newDir(t, tier.DirOptions{})
	if err := tier.Put(t.Context(), d, "file", bytes.Repeat([]byte("x"), 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := tier.Read(t.Context(), &grownStore{d}, "file", 2000); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("Read = %v, want unexpected EOF", err)
	}
}
