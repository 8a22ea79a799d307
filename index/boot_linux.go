package index

import (
	"os"
	"strings"
)

// BootID names the present run of this machine's kernel; see Options.BootID.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
