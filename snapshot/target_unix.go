//go:build unix

package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// dirHandle is an open directory below the target. No method follows a link.
type dirHandle struct{ fd int }

// fileHandle is an open regular file below the target.
type fileHandle struct{ fd int }

const (
	dirFlags  = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	fileFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
)

// localName reports whether a name of a snapshot can be one here.
func localName(string) error { return nil }

// privileged reports whether owners can be given away.
func privileged() bool { return os.Geteuid() == 0 }

// opError adds what was being done; nil stays nil.
func opError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func openTarget(path string) (h dirHandle, err error) {
	err = retry(func() (err error) {
		h.fd, err = unix.Open(path, dirFlags, 0)
		return err
	})
	return h, opError("open", path, err)
}

// mayWrite tells early that nothing can be written here.
func (h dirHandle) mayWrite() error {
	return retry(func() error { return unix.Faccessat(h.fd, ".", unix.W_OK|unix.X_OK, 0) })
}

func (h dirHandle) close() { _ = unix.Close(h.fd) }

func (h dirHandle) dup() (dirHandle, error) { return h.openAt(".") }

// sub opens a directory in h.
func (h dirHandle) sub(name string) (dirHandle, error) { return h.openAt(name) }

func (h dirHandle) openAt(name string) (d dirHandle, err error) {
	err = retry(func() (err error) {
		d.fd, err = unix.Openat(h.fd, name, dirFlags|unix.O_NOFOLLOW, 0)
		return err
	})
	return d, opError("open", name, err)
}

// mkdir makes a directory that only its owner can use.
func (h dirHandle) mkdir(name string) error {
	return opError("mkdir", name, retry(func() error { return unix.Mkdirat(h.fd, name, 0o700) }))
}

// stat fills n from the inode of name.
func (h dirHandle) stat(name string, n *Node) error {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(h.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return opError("lstat", name, err)
	}
	var blocks int64
	return fillNode(n, name, &st, &blocks)
}

// self fills n from the inode of the directory.
func (h dirHandle) self(n *Node) error { return fileHandle(h).stat(n) }

// create makes a file that was not there, for its owner only.
func (h dirHandle) create(name string) (f fileHandle, err error) {
	err = retry(func() (err error) {
		f.fd, err = unix.Openat(h.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|fileFlags, 0o600)
		return err
	})
	return f, opError("create", name, err)
}

// open opens what must be a regular file.
func (h dirHandle) open(name string, write bool) (f fileHandle, err error) {
	flags := unix.O_RDONLY
	if write {
		flags = unix.O_RDWR
	}
	err = retry(func() (err error) {
		f.fd, err = unix.Openat(h.fd, name, flags|fileFlags, 0)
		return err
	})
	if err != nil {
		return f, opError("open", name, err)
	}
	var n Node
	if err = f.stat(&n); err == nil && n.Type != File {
		err = opError("open", name, errors.New("it is a "+n.Type.String()+", not a file"))
	}
	if err != nil {
		_ = f.close()
	}
	return f, err
}

func (h dirHandle) readlink(name string) ([]byte, error) {
	for size := 256; ; size *= 2 {
		b, n := make([]byte, size), 0
		err := retry(func() (err error) {
			n, err = unix.Readlinkat(h.fd, name, b)
			return err
		})
		if err != nil {
			return nil, opError("readlink", name, err)
		}
		if n < size {
			return b[:n], nil
		}
	}
}

func (h dirHandle) symlink(target, name string) error {
	return opError("symlink", name, retry(func() error { return unix.Symlinkat(target, h.fd, name) }))
}

// link gives the file old in from another name in h.
func (h dirHandle) link(from dirHandle, old, name string) error {
	return opError("link", name, retry(func() error { return unix.Linkat(from.fd, old, h.fd, name, 0) }))
}

// rename gives old the name of something else that is no directory, which goes.
func (h dirHandle) rename(old, name string) error {
	return opError("rename", old, retry(func() error { return unix.Renameat(h.fd, old, h.fd, name) }))
}

func (h dirHandle) remove(name string, dir bool) error {
	flags := 0
	if dir {
		flags = unix.AT_REMOVEDIR
	}
	return opError("remove", name, retry(func() error { return unix.Unlinkat(h.fd, name, flags) }))
}

// names returns what the directory holds, in byte order.
func (h dirHandle) names() ([]string, error) {
	d, err := h.dup()
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(d.fd), "directory")
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// setTime sets the modification time of name.
func (h dirHandle) setTime(name string, ns int64) error {
	ts := []unix.Timespec{accessTime(ns), unix.NsecToTimespec(ns)}
	return opError("set time", name, retry(func() error {
		return unix.UtimesNanoAt(h.fd, name, ts, unix.AT_SYMLINK_NOFOLLOW)
	}))
}

func (f fileHandle) close() error { return opError("close", "", unix.Close(f.fd)) }

func (f fileHandle) stat(n *Node) error {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(f.fd, &st) }); err != nil {
		return opError("stat", "", err)
	}
	var blocks int64
	return fillNode(n, ".", &st, &blocks)
}

// readAt fills p, or as much of it as the file has.
func (f fileHandle) readAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		var k int
		err := retry(func() (err error) {
			k, err = unix.Pread(f.fd, p[n:], off+int64(n))
			return err
		})
		if err != nil {
			return n, opError("read", "", err)
		}
		if k == 0 {
			break
		}
		n += k
	}
	return n, nil
}

// writeAt writes all of p.
func (f fileHandle) writeAt(p []byte, off int64) error {
	for len(p) > 0 {
		var k int
		err := retry(func() (err error) {
			k, err = unix.Pwrite(f.fd, p, off)
			return err
		})
		if err == nil && k <= 0 {
			err = errors.New("nothing was written")
		}
		if err != nil {
			return opError("write", "", err)
		}
		p, off = p[k:], off+int64(k)
	}
	return nil
}

func (f fileHandle) truncate(size int64) error {
	return opError("truncate", "", retry(func() error { return unix.Ftruncate(f.fd, size) }))
}

// fdInode is an open file or directory whose attributes are set.
type fdInode struct{ fd int }

func (f fileHandle) inode() inode { return fdInode(f) }
func (h dirHandle) inode() inode  { return fdInode(h) }

func (i fdInode) chown(uid, gid int) error {
	return retry(func() error { return unix.Fchown(i.fd, uid, gid) })
}

func (i fdInode) chmod(mode uint32) error {
	return retry(func() error { return unix.Fchmod(i.fd, mode) })
}

// nameInode is something that cannot be opened, by its name in a directory.
type nameInode struct {
	dir  dirHandle
	name string
	kind NodeType
}

func (h dirHandle) inodeOf(name string, kind NodeType) inode { return nameInode{h, name, kind} }

func (i nameInode) chown(uid, gid int) error {
	return retry(func() error { return unix.Fchownat(i.dir.fd, i.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW) })
}

// hopeless reports whether an error is one that will meet everything that follows.
func hopeless(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS)
}

// inTheWay reports whether an error to open a file for writing goes away when the file
// is replaced.
func inTheWay(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ETXTBSY)
}

// refused reports whether an error of setting an owner or attribute comes from a lack of
// privileges or abilities of the system.
func refused(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTSUP) ||
		errors.Is(err, unix.ENOSYS) || errors.Is(err, errors.ErrUnsupported)
}
