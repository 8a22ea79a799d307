//go:build unix

package tier

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// fileMode protects files against accidents: they never change.
const fileMode = 0o400

// tryLock takes the lock of an open file, which ends with its last descriptor,
// hence with the process at the latest.
func tryLock(f *os.File) lockState {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return lockHeld
		case unix.EWOULDBLOCK:
			return lockBusy
		case unix.EINTR:
			continue
		}
		return lockUnknown
	}
}

// unlinked reports whether an open file has lost its last name.
func unlinked(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink == 0
}

// syncFolder makes the entries of a folder durable. File systems that cannot
// do so say EINVAL or ENOTSUP; there is nothing more to do on them.
func syncFolder(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
