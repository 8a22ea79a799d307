package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/windows"
)

// dirHandle is an open directory below the target. Links are refused by looking before
// each step; the root of the target cannot be left even when one appears in between.
type dirHandle struct{ root *os.Root }

// fileHandle is an open regular file below the target.
type fileHandle struct{ f *os.File }

// localName reports whether a name of a snapshot can be one here.
func localName(name string) error {
	if !filepath.IsLocal(name) || strings.ContainsAny(name, `\/:*?"<>|`) {
		return fmt.Errorf("name %q is not possible on Windows", name)
	}
	return nil
}

func privileged() bool { return false }

func openTarget(path string) (dirHandle, error) {
	r, err := os.OpenRoot(path)
	return dirHandle{r}, err
}

func (h dirHandle) mayWrite() error { return nil }

func (h dirHandle) close() { _ = h.root.Close() }

func (h dirHandle) dup() (dirHandle, error) {
	r, err := h.root.OpenRoot(".")
	return dirHandle{r}, err
}

func (h dirHandle) sub(name string) (dirHandle, error) {
	fi, err := h.root.Lstat(name)
	if err != nil {
		return dirHandle{}, err
	}
	if !fi.IsDir() {
		return dirHandle{}, &fs.PathError{Op: "open", Path: name, Err: errors.New("it is not a directory")}
	}
	r, err := h.root.OpenRoot(name)
	return dirHandle{r}, err
}

func (h dirHandle) mkdir(name string) error { return h.root.Mkdir(name, 0o700) }

func (h dirHandle) stat(name string, n *Node) error {
	fi, err := h.root.Lstat(name)
	if err != nil {
		return err
	}
	var blocks int64
	fillNode(n, name, fi, &blocks)
	return nil
}

func (h dirHandle) self(n *Node) error { return h.stat(".", n) }

func (h dirHandle) create(name string) (fileHandle, error) {
	f, err := h.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return fileHandle{f}, err
}

func (h dirHandle) open(name string, write bool) (fileHandle, error) {
	fi, err := h.root.Lstat(name)
	if err != nil {
		return fileHandle{}, err
	}
	if !fi.Mode().IsRegular() {
		return fileHandle{}, &fs.PathError{Op: "open", Path: name, Err: errors.New("it is not a file")}
	}
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	f, err := h.root.OpenFile(name, flags, 0)
	return fileHandle{f}, err
}

func (h dirHandle) readlink(name string) ([]byte, error) {
	t, err := h.root.Readlink(name)
	return []byte(t), err
}

func (h dirHandle) symlink(target, name string) error { return h.root.Symlink(target, name) }

func (h dirHandle) link(dirHandle, string, string) error { return errors.ErrUnsupported }

// rename gives old the name of something else that is no directory, which goes. A
// read-only file has to go first here.
func (h dirHandle) rename(old, name string) error {
	err := h.root.Rename(old, name)
	if errors.Is(err, fs.ErrPermission) && h.root.Remove(name) == nil {
		err = h.root.Rename(old, name)
	}
	return err
}

func (h dirHandle) remove(name string, _ bool) error { return h.root.Remove(name) }

func (h dirHandle) names() ([]string, error) {
	f, err := h.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (h dirHandle) setTime(name string, ns int64) error {
	fi, err := h.root.Lstat(name)
	if err != nil || fi.Mode()&fs.ModeSymlink != 0 {
		return err
	}
	t := time.Unix(0, ns)
	return h.root.Chtimes(name, t, t)
}

func (h dirHandle) mknod(n *Node) error {
	return &fs.PathError{Op: "make " + n.Type.String(), Path: string(n.Name), Err: errors.ErrUnsupported}
}

func (h dirHandle) sync() error { return nil }

func (f fileHandle) close() error { return f.f.Close() }

func (f fileHandle) stat(n *Node) error {
	fi, err := f.f.Stat()
	if err != nil {
		return err
	}
	var blocks int64
	fillNode(n, ".", fi, &blocks)
	return nil
}

func (f fileHandle) readAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f fileHandle) writeAt(p []byte, off int64) error {
	_, err := f.f.WriteAt(p, off)
	return err
}

func (f fileHandle) writeParts(parts [][]byte, off int64) error {
	for _, p := range parts {
		if err := f.writeAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

func (f fileHandle) truncate(size int64) error { return f.f.Truncate(size) }
func (f fileHandle) allocate(int64) error      { return errors.ErrUnsupported }
func (f fileHandle) punch(int64, int64) error  { return errors.ErrUnsupported }
func (f fileHandle) dropCache()                {}

// noInode has no attributes that firn records but its time.
type noInode struct{}

func (f fileHandle) inode() inode                  { return noInode{} }
func (h dirHandle) inode() inode                   { return noInode{} }
func (h dirHandle) inodeOf(string, NodeType) inode { return noInode{} }

func (noInode) chown(int, int) error          { return errors.ErrUnsupported }
func (noInode) chmod(uint32) error            { return nil }
func (noInode) xattrNames() ([]string, error) { return nil, nil }
func (noInode) xattr(string) ([]byte, error)  { return nil, errors.ErrUnsupported }
func (noInode) setXattr(string, []byte) error { return errors.ErrUnsupported }
func (noInode) removeXattr(string) error      { return errors.ErrUnsupported }

// hopeless reports whether an error is one that will meet everything that follows.
func hopeless(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_WRITE_PROTECT)
}

func inTheWay(err error) bool { return errors.Is(err, fs.ErrPermission) }

func refused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
}
