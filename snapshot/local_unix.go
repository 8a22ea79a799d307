//go:build unix

package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/firnstore/firn/repo/tree"
)

// localDir is an open directory that is being read. Names in it are looked up without
// walking its path again.
type localDir struct {
	f    *os.File
	path string
}

// openDir opens a directory by its path, which may lead through links.
func openDir(path string) (*localDir, error) {
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &localDir{f: f, path: path}, nil
}

// sub opens a directory in d.
func (d *localDir) sub(name string) (*localDir, error) {
	path := tree.Join(d.path, []byte(name))
	fd, err := d.openat(name, path, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &localDir{f: os.NewFile(uintptr(fd), path), path: path}, nil
}

// open opens a file in d for reading. If it is a FIFO it does not wait for a writer.
func (d *localDir) open(name string) (*localFile, error) {
	path := tree.Join(d.path, []byte(name))
	fd, err := d.openat(name, path, unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &localFile{fd: fd, path: path}, nil
}

// openat opens name without following it, and without touching its access time where
// the system allows that.
func (d *localDir) openat(name, path string, flags int) (fd int, err error) {
	flags |= unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	err = retry(func() (err error) {
		if fd, err = unix.Openat(int(d.f.Fd()), name, flags|openNoAtime, 0); errors.Is(err, unix.EPERM) && openNoAtime != 0 {
			fd, err = unix.Openat(int(d.f.Fd()), name, flags, 0) // not the owner
		}
		return err
	})
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// localFile is a file that is being read. An os.File would cost three more system
// calls per file, for a poller that regular files do not need.
type localFile struct {
	fd   int
	path string
}

// Read implements io.Reader.
func (f *localFile) Read(p []byte) (n int, err error) {
	err = retry(func() (err error) {
		n, err = unix.Read(f.fd, p)
		return err
	})
	return f.result(n, err, len(p))
}

// ReadAt is that of io.ReaderAt, but may return less than asked for before the end.
func (f *localFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = retry(func() (err error) {
		n, err = unix.Pread(f.fd, p, off)
		return err
	})
	return f.result(n, err, len(p))
}

func (f *localFile) result(n int, err error, want int) (int, error) {
	switch {
	case err != nil:
		return 0, &fs.PathError{Op: "read", Path: f.path, Err: err}
	case n == 0 && want > 0:
		return 0, io.EOF
	}
	return n, nil
}

func (f *localFile) close() { _ = unix.Close(f.fd) }

func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (d *localDir) close() { _ = d.f.Close() }

// names returns the names in the directory in byte order.
func (d *localDir) names() ([]string, error) {
	names, err := d.f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// stat fills n from the inode of name, without following it. n.Name is set; what needs
// the file opened (links, attributes, content) is left out.
func (d *localDir) stat(name string, n *Node, blocks *int64) error {
	var st unix.Stat_t
	err := retry(func() error {
		return unix.Fstatat(int(d.f.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return &fs.PathError{Op: "lstat", Path: tree.Join(d.path, []byte(name)), Err: err}
	}
	return fillNode(n, name, &st, blocks)
}

// statPath is stat for a path; follow resolves a link.
func statPath(path, name string, follow bool, n *Node, blocks *int64) error {
	var st unix.Stat_t
	err := retry(func() error {
		if follow {
			return unix.Stat(path, &st)
		}
		return unix.Lstat(path, &st)
	})
	if err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return fillNode(n, name, &st, blocks)
}

// statFile is stat for an open file.
func statFile(f *localFile, name string, n *Node, blocks *int64) error {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(f.fd, &st) }); err != nil {
		return &fs.PathError{Op: "fstat", Path: f.path, Err: err}
	}
	return fillNode(n, name, &st, blocks)
}

func fillNode(n *Node, name string, st *unix.Stat_t, blocks *int64) error {
	*n = Node{
		Name: []byte(name), Mode: uint32(st.Mode) & 0o7777,
		UID: st.Uid, GID: st.Gid,
		ModTime: modTime(st), ChangeTime: changeTime(st),
		Inode: st.Ino, Device: uint64(st.Dev),
	}
	*blocks = int64(st.Blocks)
	if st.Nlink > 1 {
		n.Links = uint64(st.Nlink)
	}
	switch uint32(st.Mode) & unix.S_IFMT {
	case unix.S_IFREG:
		n.Type, n.Size = File, st.Size
	case unix.S_IFDIR:
		n.Type, n.Links = Dir, 0
	case unix.S_IFLNK:
		n.Type = Symlink
	case unix.S_IFIFO:
		n.Type = FIFO
	case unix.S_IFCHR:
		n.Type, n.Rdev = CharDevice, uint64(st.Rdev)
	case unix.S_IFBLK:
		n.Type, n.Rdev = BlockDevice, uint64(st.Rdev)
	case unix.S_IFSOCK:
		n.Type = Socket
	default:
		return fmt.Errorf("%s has an unknown file type %o", name, uint32(st.Mode)&unix.S_IFMT)
	}
	return nil
}

// readlink fills the target of a link.
func (d *localDir) readlink(n *Node) error {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		k, err := unix.Readlinkat(int(d.f.Fd()), string(n.Name), b)
		if err != nil {
			return &fs.PathError{Op: "readlink", Path: tree.Join(d.path, n.Name), Err: err}
		}
		if k < size {
			n.Target = b[:k]
			return nil
		}
	}
}

// xattrsAt reads the attributes of something that cannot be opened: a link, a device.
func (d *localDir) xattrsAt(n *Node) error {
	return linkXattrs("/proc/self/fd/"+strconv.Itoa(int(d.f.Fd()))+"/"+string(n.Name), tree.Join(d.path, n.Name), n)
}

// holeReader reads a file and passes over its holes; it is a repo.Skipper.
type holeReader struct {
	f     *localFile
	off   int64
	data  int64 // end of the data that begins at or before off; -1: not known
	plain bool  // the file has no holes, or its file system does not tell
}

func newHoleReader(f *localFile, sparse bool) *holeReader {
	return &holeReader{f: f, data: -1, plain: !sparse}
}

// Read implements io.Reader.
func (h *holeReader) Read(p []byte) (int, error) {
	if !h.plain && h.data >= 0 {
		if h.off >= h.data {
			h.data = -1
		} else if left := h.data - h.off; int64(len(p)) > left {
			p = p[:left]
		}
	}
	n, err := h.f.ReadAt(p, h.off)
	h.off += int64(n)
	return n, err
}

// Skip implements repo.Skipper.
func (h *holeReader) Skip() (int64, error) {
	if h.plain || h.data > h.off {
		return 0, nil
	}
	start, end, err := nextData(h.f, h.off)
	if errors.Is(err, io.EOF) { // a hole up to the end
		var st unix.Stat_t
		if err := unix.Fstat(h.f.fd, &st); err != nil {
			return 0, &fs.PathError{Op: "fstat", Path: h.f.path, Err: err}
		}
		n := max(0, st.Size-h.off)
		h.off += n
		return n, nil
	}
	if err != nil {
		h.plain = true
		return 0, nil
	}
	h.data = end
	n := start - h.off
	h.off = start
	return n, nil
}

// ownIDs are the owner of what this process makes.
func ownIDs() (uid, gid uint32) { return uint32(os.Geteuid()), uint32(os.Getegid()) }

// xattrs fills in the extended attributes of a directory.
func (d *localDir) xattrs(n *Node) error { return fdXattrs(int(d.f.Fd()), d.path, n) }

// xattrs fills in the extended attributes of a file.
func (f *localFile) xattrs(n *Node) error { return fdXattrs(f.fd, f.path, n) }

// nanoseconds since 1970, or the nearest that 64 bits hold.
func nanoseconds(t unix.Timespec) int64 {
	const last = math.MaxInt64/1_000_000_000 - 1
	switch sec := int64(t.Sec); {
	case sec > last:
		return math.MaxInt64
	case sec < -last:
		return math.MinInt64
	}
	return t.Nano()
}
