package snapshot_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func randomData(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func putFile(t *testing.T, path string, data []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1_600_000_000+int64(len(data)), 123_456_789)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

// oddName is not UTF-8. Some systems refuse such names; there it is another odd one.
func oddName() string {
	if runtime.GOOS == "linux" {
		return "caf\xe9 \xff\n"
	}
	return "café\n"
}

// makeTree fills dir with what the format treats differently.
func makeTree(t *testing.T, dir string) {
	t.Helper()
	hole := make([]byte, 3<<20)
	large := slices.Concat(randomData(1, 2<<20), hole, randomData(2, 1<<20+17), hole[:1<<20])
	putFile(t, filepath.Join(dir, "large"), large, 0o640)
	putFile(t, filepath.Join(dir, "text"), bytes.Repeat([]byte("firn is old snow\n"), 60_000), 0o444)
	putFile(t, filepath.Join(dir, "empty"), nil, 0o600)
	putFile(t, filepath.Join(dir, "inline"), []byte("at most 32 bytes"), 0o600)
	putFile(t, filepath.Join(dir, oddName()), []byte("a name that is not UTF-8, and contents of one chunk"), 0o755)
	for i := range 1500 {
		name := fmt.Sprintf("many/a name that makes the node longer and the block fuller, number %04d", i)
		putFile(t, filepath.Join(dir, name), randomData(byte(i), i%200), 0o644)
	}
	putFile(t, filepath.Join(dir, "deep/er/est"), randomData(3, 5000), 0o400)
	if err := os.Link(filepath.Join(dir, "inline"), filepath.Join(dir, "deep/link")); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"dangling": "/nowhere/at all", "up": "../" + oddName()} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "hollow"), 0o700); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1_500_000_000, 7)
	for _, name := range []string{"hollow", "deep/er", "deep", "many"} {
		if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "deep/er"), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unlock(dir) })
}

// unlock lets the test remove directories that cannot be written to.
func unlock(dir string) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
}

// describe returns a line for each entry below dir: type, mode, time, target and size.
func describe(t *testing.T, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v", strconv.Quote(rel), info.Mode())
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(p)
			lines = append(lines, line+" -> "+strconv.Quote(target))
			return err
		}
		line += fmt.Sprintf(" %d", info.ModTime().UnixNano())
		if info.Mode().IsRegular() {
			line += fmt.Sprintf(" %d bytes", info.Size())
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// sameTree compares two directories in everything that the script restores.
func sameTree(t *testing.T, got, want string) {
	t.Helper()
	g, w := describe(t, got), describe(t, want)
	if !slices.Equal(g, w) {
		t.Errorf("restored:\n%s\nwant:\n%s", differing(g, w), differing(w, g))
		return
	}
	err := filepath.WalkDir(want, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(want, p)
		if err != nil {
			return err
		}
		if !bytes.Equal(readFile(t, filepath.Join(got, rel)), readFile(t, p)) {
			t.Errorf("%q: contents differ", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// differing returns the lines of a that b has not.
func differing(a, b []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) }), "\n")
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
