package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// locate returns where in target a tool has restored source: some tools repeat the
// whole path of the source there, some its last name, some nothing of it.
func locate(target, source string) string {
	for _, path := range []string{filepath.Join(target, source), filepath.Join(target, filepath.Base(source))} {
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return target
}

// compare returns an error that names the first difference between a source and its
// copy: files there, types, contents, targets of links, permissions, and the times of
// regular files.
func compare(source, restored string) error {
	c := &comparer{a: make([]byte, 1<<20), b: make([]byte, 1<<20)}
	count := 0
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		count++
		rel, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		return c.entry(path, filepath.Join(restored, rel))
	})
	if err != nil {
		return err
	}
	found := 0
	err = filepath.WalkDir(restored, func(_ string, _ fs.DirEntry, err error) error {
		found++
		return err
	})
	if err == nil && found != count {
		return fmt.Errorf("%d files and directories, want %d", found, count)
	}
	return err
}

// comparer holds the buffers of compare.
type comparer struct{ a, b []byte }

// entry compares two files, links or directories; of the latter not what is in them.
func (c *comparer) entry(want, got string) error {
	wantInfo, err := os.Lstat(want)
	if err != nil {
		return err
	}
	gotInfo, err := os.Lstat(got)
	if err != nil {
		return err
	}
	if wantInfo.Mode() != gotInfo.Mode() {
		return fmt.Errorf("%s has mode %v, want %v", got, gotInfo.Mode(), wantInfo.Mode())
	}
	if wantInfo.Mode().Type() == fs.ModeSymlink {
		return c.link(want, got)
	}
	if !wantInfo.Mode().IsRegular() {
		return nil
	}
	if !wantInfo.ModTime().Equal(gotInfo.ModTime()) {
		return fmt.Errorf("%s is of %v, want %v", got, gotInfo.ModTime(), wantInfo.ModTime())
	}
	if wantInfo.Size() != gotInfo.Size() {
		return fmt.Errorf("%s has %d bytes, want %d", got, gotInfo.Size(), wantInfo.Size())
	}
	return c.content(want, got)
}

func (c *comparer) link(want, got string) error {
	wantTo, err := os.Readlink(want)
	if err != nil {
		return err
	}
	gotTo, err := os.Readlink(got)
	if err == nil && wantTo != gotTo {
		return fmt.Errorf("%s links to %q, want %q", got, gotTo, wantTo)
	}
	return err
}

func (c *comparer) content(want, got string) error {
	f, err := os.Open(want)
	if err != nil {
		return err
	}
	defer f.Close()
	g, err := os.Open(got)
	if err != nil {
		return err
	}
	defer g.Close()
	for off := int64(0); ; {
		n, err := io.ReadFull(f, c.a)
		m, err2 := io.ReadFull(g, c.b)
		if !bytes.Equal(c.a[:n], c.b[:m]) {
			return fmt.Errorf("%s differs from its source within %d bytes of byte %d", got, len(c.a), off)
		}
		if err != nil || err2 != nil {
			return errors.Join(readError(err), readError(err2))
		}
		off += int64(n)
	}
}

// readError returns an error of io.ReadFull that is not just the end of the file.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// warm reads everything below path, so that it lies in the page cache.
func warm(path string) error {
	buf := make([]byte, 1<<20)
	return filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
		return err
	})
}

// diskUsage returns what everything below a directory takes on disk, in bytes. A
// directory that does not exist takes nothing.
func diskUsage(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += diskBytes(info)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return total, err
}

// removeAll removes a directory, also one with directories that lack the permission to
// do so.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// emptyDirectory makes a directory, or takes one that is there and empty, and returns
// its absolute path.
func emptyDirectory(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty", dir)
	}
	return filepath.Abs(dir)
}
