package tier

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// fileMode leaves files writable, as a read-only file here could not be
// linked, renamed and removed everywhere.
const fileMode = 0o600

func openAnonymous(*os.File, string) (*os.File, error) { return nil, errors.ErrUnsupported }

func linkAnonymous(*os.File, *os.File, string) error { return errors.ErrUnsupported }

func startWriteback(*os.File, int64, int64) {}

// renameNew renames a file and fails if the new name exists.
func renameNew(from *os.File, oldBase string, to *os.File, newBase string) error {
	source, err := windows.UTF16PtrFromString(filepath.Join(from.Name(), oldBase))
	if err != nil {
		return err
	}
	target, err := windows.UTF16PtrFromString(filepath.Join(to.Name(), newBase))
	if err != nil {
		return err
	}
	return windows.MoveFileEx(source, target, windows.MOVEFILE_WRITE_THROUGH)
}

// tryLock locks one byte far behind the data, since locks are mandatory here.
func tryLock(f *os.File) lockState {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
	switch {
	case err == nil:
		return lockHeld
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return lockBusy
	}
	return lockUnknown
}

// unlinked reports whether an open file has lost its last name. It is not
// known here, so a file that another process deleted may stay readable.
func unlinked(*os.File) bool { return false }

// syncFolder does nothing: folders cannot be synced here, and the file system
// journals its names.
func syncFolder(*os.File) error { return nil }
