package snapshot

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxIovec is how many pieces one pwritev takes (UIO_MAXIOV).
const maxIovec = 1024

// accessTime leaves the access time as it is.
func accessTime(int64) unix.Timespec { return unix.Timespec{Nsec: unix.UTIME_OMIT} }

// writeParts writes the parts one behind the other from off on.
func (f fileHandle) writeParts(parts [][]byte, off int64) error {
	for len(parts) > 0 {
		if len(parts) == 1 {
			return f.writeAt(parts[0], off)
		}
		var n int
		err := retry(func() (err error) {
			n, err = unix.Pwritev(f.fd, parts[:min(len(parts), maxIovec)], off)
			return err
		})
		if err == nil && n <= 0 {
			err = errors.New("nothing was written")
		}
		if err != nil {
			return opError("write", "", err)
		}
		off += int64(n)
		for n > 0 && n >= len(parts[0]) {
			n -= len(parts[0])
			parts = parts[1:]
		}
		if n > 0 { // in the middle of a part
			if err := f.writeAt(parts[0][n:], off); err != nil {
				return err
			}
			off += int64(len(parts[0]) - n)
			parts = parts[1:]
		}
	}
	return nil
}

// allocate reserves the space of a file. It reports errors.ErrUnsupported where the
// file system cannot.
func (f fileHandle) allocate(size int64) error {
	return f.fallocate("allocate", unix.FALLOC_FL_KEEP_SIZE, 0, size)
}

// punch makes a stretch a hole.
func (f fileHandle) punch(off, n int64) error {
	return f.fallocate("make a hole", unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, off, n)
}

func (f fileHandle) fallocate(op string, mode uint32, off, n int64) error {
	err := retry(func() error { return unix.Fallocate(f.fd, mode, off, n) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return opError(op, "", err)
}

// dropCache makes what is read next come from the medium, if it is there.
func (f fileHandle) dropCache() { _ = unix.Fadvise(f.fd, 0, 0, unix.FADV_DONTNEED) }

// sync makes everything on the file system of h durable.
func (h dirHandle) sync() error { return opError("sync", "", unix.Syncfs(h.fd)) }

// mknod makes a FIFO or device with only the permissions of its owner.
func (h dirHandle) mknod(n *Node) error {
	mode := n.Mode & 0o700
	switch n.Type {
	case FIFO:
		mode |= unix.S_IFIFO
	case CharDevice:
		mode |= unix.S_IFCHR
	case BlockDevice:
		mode |= unix.S_IFBLK
	}
	name := string(n.Name)
	return opError("mknod", name, retry(func() error { return unix.Mknodat(h.fd, name, mode, int(uint32(n.Rdev))) }))
}

func (i fdInode) xattrNames() ([]string, error) {
	b, err := grow(func(b []byte) (int, error) { return unix.Flistxattr(i.fd, b) })
	return splitNames(b), err
}

func (i fdInode) xattr(name string) ([]byte, error) {
	return grow(func(b []byte) (int, error) { return unix.Fgetxattr(i.fd, name, b) })
}

func (i fdInode) setXattr(name string, value []byte) error {
	return retry(func() error { return unix.Fsetxattr(i.fd, name, value, 0) })
}

func (i fdInode) removeXattr(name string) error {
	return retry(func() error { return unix.Fremovexattr(i.fd, name) })
}

// at is a path of the inode for calls that know no directory handles.
func (i nameInode) at() string { return "/proc/self/fd/" + strconv.Itoa(i.dir.fd) + "/" + i.name }

// chmod does nothing for a symbolic link, which has no mode here.
func (i nameInode) chmod(mode uint32) error {
	if i.kind == Symlink {
		return nil
	}
	err := retry(func() error { return unix.Fchmodat(i.dir.fd, i.name, mode, unix.AT_SYMLINK_NOFOLLOW) })
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	fd, err := unix.Openat(i.dir.fd, i.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

func (i nameInode) xattrNames() ([]string, error) {
	b, err := grow(func(b []byte) (int, error) { return unix.Llistxattr(i.at(), b) })
	if errors.Is(err, unix.ENOENT) { // /proc is not mounted
		err = errors.ErrUnsupported
	}
	return splitNames(b), err
}

func (i nameInode) xattr(name string) ([]byte, error) {
	return grow(func(b []byte) (int, error) { return unix.Lgetxattr(i.at(), name, b) })
}

func (i nameInode) setXattr(name string, value []byte) error {
	return retry(func() error { return unix.Lsetxattr(i.at(), name, value, 0) })
}

func (i nameInode) removeXattr(name string) error {
	return retry(func() error { return unix.Lremovexattr(i.at(), name) })
}

func splitNames(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}
