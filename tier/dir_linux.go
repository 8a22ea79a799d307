package tier

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openAnonymous creates a file without a name on the file system of folder.
// The path is for messages.
func openAnonymous(folder *os.File, path string) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(int(folder.Fd()), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, fileMode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// linkAnonymous names an anonymous file. The way over /proc needs no privilege,
// other than linking the descriptor itself.
func linkAnonymous(f, folder *os.File, base string) error {
	from := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	return retry(func() error {
		return unix.Linkat(unix.AT_FDCWD, from, int(folder.Fd()), base, unix.AT_SYMLINK_FOLLOW)
	})
}

// startWriteback asks the system to write out n bytes from off, without waiting.
// It is a hint: errors come up again at the sync.
func startWriteback(f *os.File, off, n int64) {
	unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// renameNew renames a file and fails if the new name exists.
func renameNew(from *os.File, oldBase string, to *os.File, newBase string) error {
	return retry(func() error {
		return unix.Renameat2(int(from.Fd()), oldBase, int(to.Fd()), newBase, unix.RENAME_NOREPLACE)
	})
}

// retry repeats a call that a signal interrupts, which file systems outside the
// kernel and on the network let happen.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
