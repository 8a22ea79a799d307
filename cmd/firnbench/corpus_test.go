package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A change of these bytes makes the figures of different versions incomparable.
func TestDumpBytesAreFixed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		second bool
		want   string
	}{
		{false, "634f7289f13ed292"},
		{true, "77a50889d598ac65"},
	} {
		path := filepath.Join(t.TempDir(), "dump.sql")
		n, _, err := writeDump(context.Background(), path, dumpDay{seed: 1, size: 1e6, second: tc.second})
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(data)) != n {
			t.Errorf("dump has %d bytes, writeDump said %d", len(data), n)
		}
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:8]); got != tc.want {
			t.Errorf("digest of the dump, second day %v, is %s, want %s", tc.second, got, tc.want)
		}
	}
}

func TestDumpHasTheSizeAndTheChanges(t *testing.T) {
	t.Parallel()
	const size = 50e6
	c, err := dumpCorpus(context.Background(), t.TempDir(), size, 1)
	if err != nil {
		t.Fatal(err)
	}
	if share := float64(c.Bytes) / size; share < 0.97 || share > 1.03 {
		t.Errorf("dump has %d bytes, want about %.0f", c.Bytes, size)
	}
	first := rowsOf(t, c.source)
	if err := c.advance(); err != nil {
		t.Fatal(err)
	}
	second := rowsOf(t, c.source)
	changed := 0
	for row := range second {
		if !first[row] {
			changed++
		}
	}
	if share := 100 * float64(changed) / float64(len(first)); share < 1 || share > 2 {
		t.Errorf("%.2f %% of the rows are updated or inserted, want 1 to 2", share)
	}
}

// rowsOf returns the lines of a dump.
func rowsOf(t *testing.T, path string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		rows[line] = true
	}
	return rows
}

func TestDumpRowsHaveTheColumns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dump.sql")
	if _, _, err := writeDump(context.Background(), path, dumpDay{seed: 1, size: 2e5}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, rows := 0, 0
	for line := range strings.Lines(string(data)) {
		_, columns, copies := strings.Cut(line, "(")
		switch {
		case copies && strings.HasPrefix(line, "COPY "):
			want = strings.Count(columns, ",") + 1
		case line == "\\.\n":
			want = 0
		case want > 0:
			rows++
			if got := strings.Count(line, "\t") + 1; got != want {
				t.Fatalf("row %q has %d columns, want %d", line, got, want)
			}
		}
	}
	if rows < 500 {
		t.Errorf("dump has %d rows, want at least 500", rows)
	}
}

// someFiles makes a directory with n files and a link, as a source of a tree.
func someFiles(t *testing.T, n int) map[string]string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("dir%d", i%7), fmt.Sprintf("file%d.txt", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mtime := time.Unix(1700000000+int64(i), 123456789)
		if err := writeFile(path, []byte(strings.Repeat(fmt.Sprintln("line", i), i%50)), 0o640, mtime); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../dir1/file1.txt", filepath.Join(dir, "dir2", "link")); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"some": dir}
}

// listing returns names, modes, times and contents below a directory.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.Readlink(path)
		if d.Type().IsRegular() {
			var data []byte
			data, err = os.ReadFile(path)
			text = info.ModTime().UTC().String() + string(data)
		}
		rel, relErr := filepath.Rel(dir, path)
		list[rel] = info.Mode().String() + text
		return firstNonNil(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func firstNonNil(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// differences counts the names that are only in a, only in b, and in both but different.
func differences(a, b map[string]string) (onlyA, onlyB, differ int) {
	for name, text := range a {
		other, both := b[name]
		switch {
		case !both:
			onlyA++
		case other != text:
			differ++
		}
	}
	for name := range b {
		if _, both := a[name]; !both {
			onlyB++
		}
	}
	return onlyA, onlyB, differ
}

func TestTreeIsTheSameFromTheSameSeed(t *testing.T) {
	t.Parallel()
	roots := someFiles(t, 300)
	size := treeSize{minFiles: 200, maxFiles: 230, maxBytes: 1 << 30}
	trees := make([]map[string]string, 3)
	for i, seed := range []uint64{1, 1, 2} {
		dir := t.TempDir()
		c, err := treeCorpus(context.Background(), dir, roots, size, seed)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.advance(); err != nil {
			t.Fatal(err)
		}
		trees[i] = listing(t, c.source)
	}
	if a, b, c := differences(trees[0], trees[1]); a+b+c != 0 {
		t.Errorf("two trees of one seed: %d files only in the first, %d only in the second, %d different", a, b, c)
	}
	if a, b, c := differences(trees[0], trees[2]); a+b+c == 0 {
		t.Error("trees of different seeds are the same")
	}
}

func TestTreeIsFilledWithEditedCopies(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tree")
	names, _, err := makeTree(context.Background(), dir, someFiles(t, 50), treeSize{minFiles: 120, maxFiles: 150, maxBytes: 1 << 30}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 120 {
		t.Errorf("tree has %d files, want 120", len(names))
	}
	texts := map[string]string{}
	for name, text := range listing(t, dir) {
		if other, twice := texts[text]; twice && strings.Contains(text, "line") {
			t.Errorf("%s and %s are equal", name, other)
		}
		texts[text] = name
	}
}

func TestTreeStopsAtItsLimits(t *testing.T) {
	t.Parallel()
	roots := someFiles(t, 300)
	for _, size := range []treeSize{{maxFiles: 50, maxBytes: 1 << 30}, {maxFiles: 1 << 30, maxBytes: 5000}} {
		names, total, err := makeTree(context.Background(), filepath.Join(t.TempDir(), "tree"), roots, size, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) > size.maxFiles || total > size.maxBytes || len(names) < 20 {
			t.Errorf("tree within %+v has %d files, %d bytes", size, len(names), total)
		}
	}
}

func TestTreeGoesToItsNextDayAndBack(t *testing.T) {
	t.Parallel()
	c, err := treeCorpus(context.Background(), t.TempDir(), someFiles(t, 800), treeSize{maxFiles: 5000, maxBytes: 1 << 30}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c.Files != 800 {
		t.Fatalf("tree has %d files, want 800", c.Files)
	}
	first := listing(t, c.source)
	for range 2 {
		if err := c.advance(); err != nil {
			t.Fatal(err)
		}
		gone, added, changed := differences(first, listing(t, c.source))
		// 8 removed and 2 renamed are gone, 8 new and 2 renamed are added.
		if gone != 10 || added != 10 || changed != 8 {
			t.Errorf("next day: %d files gone, %d added, %d changed, want 10, 10, 8", gone, added, changed)
		}
		if err := c.rewind(); err != nil {
			t.Fatal(err)
		}
		if a, b, d := differences(first, listing(t, c.source)); a+b+d != 0 {
			t.Errorf("back on the first day: %d files gone, %d added, %d changed", a, b, d)
		}
	}
}

func TestMutateChanges(t *testing.T) {
	t.Parallel()
	r := rng(5)
	for size := range 200 {
		data := []byte(strings.Repeat("x", size))
		edited := mutate(data, &r)
		if string(edited) == string(data) {
			t.Errorf("mutate left %d bytes as they were", size)
		}
		if strings.Trim(string(data), "x") != "" {
			t.Errorf("mutate changed its argument of %d bytes", size)
		}
	}
}
