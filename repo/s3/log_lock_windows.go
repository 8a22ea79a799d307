package s3

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes the lock of an open file, which ends with the process at the latest. It
// reports false when another process has it.
func lockFile(f *os.File) bool {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{}) == nil
}
