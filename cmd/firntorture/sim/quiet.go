package sim

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// quiet tells when no goroutine but the caller's can do anything. With one processor the
// counts are exact: while the caller runs, no other goroutine does, so all others are
// ready to run, in a system call, or waiting.
type quiet struct {
	samples []metrics.Sample
	outside uint64 // goroutines that are in system calls for the life of the program
}

// newQuiet takes those who are in a system call now for ones that stay there, such as the
// one that waits for signals.
func newQuiet() *quiet {
	q := &quiet{samples: []metrics.Sample{
		{Name: "/sched/goroutines/runnable:goroutines"},
		{Name: "/sched/goroutines/not-in-go:goroutines"},
	}}
	for i := range 20 {
		runtime.Gosched()
		time.Sleep(10 * time.Microsecond)
		metrics.Read(q.samples)
		if n := q.samples[1].Value.Uint64(); i == 0 || n < q.outside {
			q.outside = n
		}
	}
	return q
}

// now reports whether it is quiet.
func (q *quiet) now() bool {
	metrics.Read(q.samples)
	return q.samples[0].Value.Uint64() == 0 && q.samples[1].Value.Uint64() <= q.outside
}

// wait returns when it is quiet.
func (q *quiet) wait() {
	for i := 0; ; i++ {
		runtime.Gosched()
		if q.now() {
			return
		}
		if i > 50 { // somebody is in a long system call
			time.Sleep(5 * time.Microsecond)
		}
	}
}
