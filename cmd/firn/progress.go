package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/firnstore/firn/snapshot"
)

const (
	drawEvery   = 200 * time.Millisecond
	reportEvery = time.Second
)

// watch shows the counters of p until the returned function is called: as a line on a
// terminal, or as JSON when status is set. Otherwise it does nothing.
func (a *app) watch(p *snapshot.Progress, status bool) (stop func()) {
	start := time.Now()
	return a.draw(status, func(width int) string { return progressLine(p, time.Since(start), width) },
		func() { a.status(p, time.Since(start)) })
}

// draw shows line on a terminal, or calls report when status is set, now and then until
// the returned function is called.
func (a *app) draw(status bool, line func(width int) string, report func()) (stop func()) {
	every, draw := drawEvery, func() { a.console.show(line) }
	if a.flags.json {
		every, draw = reportEvery, report
	}
	if a.flags.json && !status || !a.flags.json && (a.flags.quiet || !a.console.tty) {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				a.console.clear()
				return
			case <-tick.C:
				draw()
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// progressLine is what a terminal of this width shows.
func progressLine(p *snapshot.Progress, elapsed time.Duration, width int) string {
	files, bytes, read, fresh := p.Files.Load(), p.Bytes.Load(), p.BytesRead.Load(), p.BytesNew.Load()
	line := fmt.Sprintf("%s  %s", counted(files, "file", "files"), humanSize(bytes))
	if s := elapsed.Seconds(); s > 0 {
		line += fmt.Sprintf("  %s/s", humanSize(int64(float64(bytes)/s)))
	}
	if fresh > 0 && read >= fresh {
		line += fmt.Sprintf("  dedup %s", ratio(read, fresh))
	}
	if left, ok := remaining(p, elapsed); ok {
		line += "  " + humanDuration(left) + " left"
	}
	if n := p.Problems.Load(); n > 0 {
		line += "  " + counted(n, "problem", "problems")
	}
	if path := p.Current.Load(); path != nil && width > len(line)+12 {
		line += "  " + cut(visible(*path), width-len(line)-2)
	}
	return cut(line, width)
}

// remaining estimates the time left from what is expected, by bytes and files alike:
// trees of small files are bound by their number.
func remaining(p *snapshot.Progress, elapsed time.Duration) (time.Duration, bool) {
	share := 0.0
	parts := 0
	for _, c := range [][2]int64{{p.Files.Load(), p.TotalFiles.Load()}, {p.Bytes.Load(), p.TotalBytes.Load()}} {
		if c[1] > 0 {
			share += min(1, float64(c[0])/float64(c[1]))
			parts++
		}
	}
	if parts == 0 || elapsed < time.Second || share < 0.01 {
		return 0, false
	}
	share /= float64(parts)
	return time.Duration(float64(elapsed) * (1 - share) / share), true
}

// statusObject is a line of JSON that tells how far a command is.
type statusObject struct {
	Type       string  `json:"type"` // "status"
	Files      int64   `json:"files"`
	Dirs       int64   `json:"dirs"`
	Bytes      int64   `json:"bytes"`
	BytesRead  int64   `json:"bytes_read"`
	BytesNew   int64   `json:"bytes_new"`
	TotalFiles int64   `json:"total_files,omitempty"`
	TotalBytes int64   `json:"total_bytes,omitempty"`
	Problems   int64   `json:"problems"`
	Current    string  `json:"current,omitempty"`
	Seconds    float64 `json:"seconds"`
	Left       float64 `json:"seconds_left,omitempty"`
}

func (a *app) status(p *snapshot.Progress, elapsed time.Duration) {
	o := statusObject{
		Type: "status", Files: p.Files.Load(), Dirs: p.Dirs.Load(), Bytes: p.Bytes.Load(),
		BytesRead: p.BytesRead.Load(), BytesNew: p.BytesNew.Load(),
		TotalFiles: p.TotalFiles.Load(), TotalBytes: p.TotalBytes.Load(),
		Problems: p.Problems.Load(), Seconds: elapsed.Seconds(),
	}
	if path := p.Current.Load(); path != nil {
		o.Current = *path
	}
	if left, ok := remaining(p, elapsed); ok {
		o.Left = left.Seconds()
	}
	a.event(o)
}

// problemObject is a line of JSON that names a file that could not be read, restored or
// believed.
type problemObject struct {
	Type  string `json:"type"` // "problem"
	Path  string `json:"path"`
	Error string `json:"error"`
}

// problems returns a function that reports files one by one: verb is what could not be
// done with them.
func (a *app) problems(verb string) func(path string, err error) {
	return func(path string, err error) {
		a.console.message(fmt.Sprintf("cannot %s %s: %v", verb, path, err))
		if a.flags.json {
			a.event(problemObject{Type: "problem", Path: path, Error: err.Error()})
		}
	}
}
