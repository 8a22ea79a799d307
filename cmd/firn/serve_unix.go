//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// inJournal reports whether a stream goes to the journal of systemd. The variable alone
// does not say so: a shell below a service has it, too.
func inJournal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
