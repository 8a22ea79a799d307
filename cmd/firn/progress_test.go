package main

import (
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/snapshot"
)

func TestProgressLine(t *testing.T) {
	p := &snapshot.Progress{}
	p.Files.Store(1234)
	p.Bytes.Store(300 << 20)
	p.BytesRead.Store(200 << 20)
	p.BytesNew.Store(50 << 20)
	p.TotalFiles.Store(2468)
	p.TotalBytes.Store(600 << 20)
	path := "/home/ann/\x1b[31mred/a long name with many letters.txt"
	p.Current.Store(&path)
	for width, want := range map[int]string{
		200: `1,234 files  300 MiB  30.0 MiB/s  dedup 4.00  10 s left  /home/ann/\x1b[31mred/a long name with many letters.txt`,
		79:  "1,234 files  300 MiB  30.0 MiB/s  dedup 4.00  10 s left  /home/a…ny letters.txt",
		60:  "1,234 files  300 MiB  30.0 MiB/s  dedup 4.00  10 s left",
	} {
		if got := progressLine(p, 10*time.Second, width); got != want {
			t.Errorf("width %d:\n got %q\nwant %q", width, got, want)
		}
	}
	for width := range 100 {
		if got := progressLine(p, 10*time.Second, width); len([]rune(got)) > width {
			t.Errorf("%d wide: %q", width, got)
		}
	}
}

func TestProgressWithNothingKnown(t *testing.T) {
	got := progressLine(&snapshot.Progress{}, 0, 80)
	if got != "0 files  0 B" {
		t.Errorf("got %q", got)
	}
	p := &snapshot.Progress{}
	p.Files.Store(5)
	p.Problems.Store(1)
	if got := progressLine(p, time.Minute, 80); strings.Contains(got, "left") || !strings.Contains(got, "1 problem") {
		t.Errorf("got %q", got)
	}
}
