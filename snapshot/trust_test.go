package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
)

// What a backup passed over is not taken for something that is to be deleted.
func TestDeleteSparesWhatWasNotBackedUp(t *testing.T) {
	r, dir := newTestRepo(t), t.TempDir()
	write(t, filepath.Join(dir, "kept"), []byte("kept"))
	write(t, filepath.Join(dir, "note.tmp"), []byte("excluded"))
	write(t, filepath.Join(dir, "whole/file"), []byte("file"))
	m, err := NewMatcher([]string{"*.tmp"})
	if err != nil {
		t.Fatal(err)
	}
	_, s := saveTree(t, r, SaveOptions{Paths: []string{dir}, Exclude: m})
	write(t, filepath.Join(dir, "new"), []byte("came later"))
	write(t, filepath.Join(dir, "whole/new"), []byte("came later"))
	if _, err := Restore(t.Context(), r, s, RestoreOptions{Target: "/", Path: dir, Delete: true}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"kept": true, "note.tmp": true, "new": true, "whole/file": true, "whole/new": false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
}

// Names of one file agree in everything but their name.
func TestNamesOfOneFileAgree(t *testing.T) {
	r, dir := newTestRepo(t), t.TempDir()
	write(t, filepath.Join(dir, "a"), randomBytes(1, 5000))
	for _, name := range []string{"b", "sub/c"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, s := saveTree(t, r, SaveOptions{Paths: []string{dir}})
	var first []byte
	for _, name := range []string{"a", "b", "sub/c"} {
		n, err := s.Lookup(t.Context(), r, filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		n.Name = []byte("x")
		raw, err := index.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = raw
		}
		if string(raw) != string(first) || n.Links != 3 {
			t.Errorf("%s differs from a: %+v", name, n)
		}
	}
}

// Ignoring the change time spares reading the content; a new mode is seen all the same.
func TestIgnoreCtimeKeepsMetadata(t *testing.T) {
	r, dir := newTestRepo(t), t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, randomBytes(1, 5000))
	saveTree(t, r, SaveOptions{Paths: []string{dir}})
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	res, s := saveTree(t, r, SaveOptions{Paths: []string{dir}, IgnoreCtime: true})
	n, err := s.Lookup(t.Context(), r, path)
	if err != nil {
		t.Fatal(err)
	}
	if n.Mode != 0o600 || res.BytesRead != 0 || res.FilesUnchanged != 1 {
		t.Errorf("mode %o, %+v", n.Mode, res)
	}
}

// A snapshot of nothing would hide the last good one.
func TestSaveOfNothingFails(t *testing.T) {
	r := newTestRepo(t)
	_, err := Save(t.Context(), r, SaveOptions{Host: "h", Paths: []string{filepath.Join(t.TempDir(), "typo")}})
	if !errors.Is(err, errNoTarget) {
		t.Errorf("got %v", err)
	}
	if all, _ := List(r, Filter{}); len(all) != 0 {
		t.Errorf("%d snapshots", len(all))
	}
}

// A backup does not rely on packs that are gone: it reports them, and stores again what
// they held.
func TestSaveHealsMissingPacks(t *testing.T) {
	for _, kind := range []pack.Kind{pack.Data, pack.Meta} {
		r, dir := newTestRepo(t), t.TempDir()
		want := string(randomBytes(5, 400_000))
		write(t, filepath.Join(dir, "f"), []byte(want))
		for i := range 3000 { // so that the tree needs a metadata pack of its own
			write(t, filepath.Join(dir, "many", string(randomName(i))), []byte{byte(i)})
		}
		saveTree(t, r, SaveOptions{Paths: []string{dir}})
		deleted := 0
		var names []string
		err := r.Index().Packs(func(p *index.Pack) error {
			if p.Record.Kind == kind && p.Seq == 0 {
				names = append(names, p.Record.ID.Name())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := r.Store().Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			deleted++
		}
		if deleted == 0 {
			t.Fatalf("there is no %s pack to lose", kind)
		}
		var told []error
		res, s := saveTree(t, r, SaveOptions{Paths: []string{dir}, Problem: func(_ string, err error) { told = append(told, err) }})
		if res.Problems == 0 || !errors.Is(told[0], repo.ErrDamaged) {
			t.Errorf("%s pack gone: problems %v", kind, told)
		}
		if got := contents(t, r, s.Root)[filepath.Join(dir, "f")]; got != want {
			t.Errorf("%s pack gone: the new snapshot is not whole", kind)
		}
	}
}

func randomName(i int) []byte {
	const digits = "0123456789abcdef"
	var name []byte
	for _, b := range randomBytes(byte(i), 16+i/256) {
		name = append(name, digits[b>>4], digits[b&15])
	}
	return name
}
