package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// host describes the machine.
type host struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Memory     int64  `json:"memory_bytes"` // 0 if unknown
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"`
	Load       string `json:"load"` // over the minute before the run
}

// describeHost describes the machine and the file system of a directory. What it cannot
// find out is "unknown".
func describeHost(dir string) (host, error) {
	h := host{Cores: runtime.NumCPU()}
	var err error
	h.FileSystem, _, err = fileSystem(dir)
	h.CPU = orUnknown(field(readText("/proc/cpuinfo"), "model name"))
	h.Memory = parseKiB(field(readText("/proc/meminfo"), "MemTotal"))
	h.Kernel = runtime.GOOS + " " + orUnknown(kernelNumber(readText("/proc/sys/kernel/osrelease")))
	load, _, _ := strings.Cut(readText("/proc/loadavg"), " ")
	h.Load = orUnknown(load)
	return h, err
}

func (h host) String() string {
	return fmt.Sprintf("%s, %d cores, %.0f GiB of memory, %s, %s", h.CPU, h.Cores, float64(h.Memory)/(1<<30), h.Kernel, h.FileSystem)
}

// readText returns the text of a file, or "".
func readText(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data)
}

// field returns the value of the first line "name: value" of a text, or "".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// parseKiB returns the bytes of a value such as "24567 kB", or 0.
func parseKiB(value string) int64 {
	number, ok := strings.CutSuffix(value, " kB")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 0 {
		return 0
	}
	return n << 10
}

var numbers = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*`)

// kernelNumber returns the numbers a kernel release starts with; the rest says who
// built it.
func kernelNumber(release string) string { return numbers.FindString(release) }

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
