package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const openNoAtime = unix.O_NOATIME

func modTime(st *unix.Stat_t) int64    { return nanoseconds(st.Mtim) }
func changeTime(st *unix.Stat_t) int64 { return nanoseconds(st.Ctim) }

// nextData returns the next stretch of data at or behind off; io.EOF when only a hole
// is left.
func nextData(f *localFile, off int64) (start, end int64, err error) {
	start, err = unix.Seek(f.fd, off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return 0, 0, io.EOF
	}
	if err != nil {
		return 0, 0, err
	}
	end, err = unix.Seek(f.fd, start, unix.SEEK_HOLE)
	return start, end, err
}

// readAhead tells the system that the file is read from front to back.
func readAhead(f *localFile) { _ = unix.Fadvise(f.fd, 0, 0, unix.FADV_SEQUENTIAL) }

// fdXattrs fills in the extended attributes of an open file or directory, POSIX ACLs
// among them.
func fdXattrs(fd int, path string, n *Node) error {
	return xattrs(path, n,
		func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
		func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
}

// linkXattrs does the same by path, without following it.
func linkXattrs(at, shown string, n *Node) error {
	return xattrs(shown, n,
		func(b []byte) (int, error) { return unix.Llistxattr(at, b) },
		func(name string, b []byte) (int, error) { return unix.Lgetxattr(at, name, b) })
}

func xattrs(path string, n *Node, list func([]byte) (int, error), get func(string, []byte) (int, error)) error {
	names, err := grow(list)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "list attributes", Path: path, Err: err}
	}
	for name := range strings.SplitSeq(string(names), "\x00") {
		if name == "" {
			continue
		}
		value, err := grow(func(b []byte) (int, error) { return get(name, b) })
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
			continue // gone, or not to be had from here
		}
		if err != nil {
			return &fs.PathError{Op: "read attribute " + name, Path: path, Err: err}
		}
		n.Xattrs = append(n.Xattrs, Xattr{Name: []byte(name), Value: value})
	}
	slices.SortFunc(n.Xattrs, func(a, b Xattr) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return nil
}

// grow calls f with buffers of growing size until the answer fits. Most files have no
// attributes: that costs one call and no memory.
func grow(f func([]byte) (int, error)) ([]byte, error) {
	var small [256]byte
	n, err := f(small[:])
	if err == nil {
		return append([]byte(nil), small[:n]...), nil
	}
	for size := 4096; errors.Is(err, unix.ERANGE) && size <= 1<<20; size *= 4 {
		b := make([]byte, size)
		if n, err = f(b); err == nil {
			return b[:n], nil
		}
	}
	return nil, err
}
