//go:build unix && !linux

package snapshot

import (
	"errors"

	"golang.org/x/sys/unix"
)

func accessTime(ns int64) unix.Timespec { return unix.NsecToTimespec(ns) }

// writeParts writes the parts one behind the other from off on.
func (f fileHandle) writeParts(parts [][]byte, off int64) error {
	for _, p := range parts {
		if err := f.writeAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

// What only Linux has is left out.
func (f fileHandle) allocate(int64) error     { return errors.ErrUnsupported }
func (f fileHandle) punch(int64, int64) error { return errors.ErrUnsupported }
func (f fileHandle) dropCache()               {}
func (h dirHandle) mknod(n *Node) error {
	return opError("make "+n.Type.String(), "", errors.ErrUnsupported)
}

func (h dirHandle) sync() error { return opError("sync", "", unix.Fsync(h.fd)) }

func (i nameInode) chmod(mode uint32) error {
	if i.kind == Symlink {
		return nil
	}
	return retry(func() error { return unix.Fchmodat(i.dir.fd, i.name, mode, unix.AT_SYMLINK_NOFOLLOW) })
}

// Extended attributes are left out on this system, as they are when saving.
func (fdInode) xattrNames() ([]string, error)   { return nil, nil }
func (fdInode) xattr(string) ([]byte, error)    { return nil, errors.ErrUnsupported }
func (fdInode) setXattr(string, []byte) error   { return errors.ErrUnsupported }
func (fdInode) removeXattr(string) error        { return errors.ErrUnsupported }
func (nameInode) xattrNames() ([]string, error) { return nil, nil }
func (nameInode) xattr(string) ([]byte, error)  { return nil, errors.ErrUnsupported }
func (nameInode) setXattr(string, []byte) error { return errors.ErrUnsupported }
func (nameInode) removeXattr(string) error      { return errors.ErrUnsupported }
