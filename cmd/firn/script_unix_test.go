//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// detach takes the terminal away from a command, which could ask a question there.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
