//go:build unix

package s3

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock of an open file, which ends with the process at the latest. It
// reports false when another process has it.
func lockFile(f *os.File) bool { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil }
