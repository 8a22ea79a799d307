//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// diskSpace returns the size of the file system that has a path, and what is free on it for
// ordinary users, in bytes.
func diskSpace(path string) (total, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, err
	}
	block := int64(st.Bsize)
	return int64(st.Blocks) * block, int64(st.Bavail) * block, nil
}
