//go:build unix

package kill

import (
	"os"
	"syscall"
	"time"
)

// askForStacks makes a Go program print what each goroutine does, and end.
func askForStacks(p *os.Process) {
	_ = p.Signal(syscall.SIGQUIT)
	time.AfterFunc(10*time.Second, func() { _ = p.Kill() })
}
