//go:build unix && !linux

package snapshot

import (
	"errors"

	"golang.org/x/sys/unix"
)

const openNoAtime = 0

func modTime(st *unix.Stat_t) int64    { return nanoseconds(st.Mtim) }
func changeTime(st *unix.Stat_t) int64 { return nanoseconds(st.Ctim) }

// nextData: holes are read as zeros here.
func nextData(*localFile, int64) (start, end int64, err error) {
	return 0, 0, errors.New("holes are not supported on this system")
}

func readAhead(*localFile) {}

// Extended attributes are left out on this system.
func fdXattrs(int, string, *Node) error      { return nil }
func linkXattrs(string, string, *Node) error { return nil }
