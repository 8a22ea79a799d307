package main

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// peakBytes returns the peak resident memory of a process that has ended, or of its
// largest child.
func peakBytes(state *os.ProcessState) int64 {
	if ru, ok := state.SysUsage().(*syscall.Rusage); ok {
		return ru.Maxrss << 10
	}
	return 0
}

// ownGroup gives a command a process group, so that its end by a context ends its
// children as well.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// diskBytes returns what a file takes on disk.
func diskBytes(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// syncDisks writes all dirty pages of the machine.
func syncDisks() { syscall.Sync() }

// fileSystems are the magic numbers of statfs(2) that a benchmark may meet.
var fileSystems = map[int64]string{
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs",
	0x2fc12fc1: "zfs", 0x794c7630: "overlayfs", 0xf2f52010: "f2fs",
}

// fileSystem returns the type of the file system of a path and its free bytes. Type is
// "unknown" for one that is not in the table.
func fileSystem(path string) (kind string, free int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return "", 0, err
	}
	kind, ok := fileSystems[int64(st.Type)]
	if !ok {
		kind = "unknown"
	}
	return kind, int64(st.Bavail) * int64(st.Bsize), nil
}
