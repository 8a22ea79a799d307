package sim

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// mustRun simulates a seed, and shows the end of its trace when that fails.
func mustRun(t *testing.T, seed uint64, opt Options) *Result {
	t.Helper()
	res, err := Run(seed, opt)
	var f *Failure
	if errors.As(err, &f) {
		t.Fatalf("%v\n%s", err, strings.Join(f.Trace[max(0, len(f.Trace)-40):], "\n"))
	}
	return res
}

// A few histories of all sorts.
func TestSeeds(t *testing.T) {
	n := uint64(12)
	if testing.Short() {
		n = 3
	}
	for seed := uint64(1); seed <= n; seed++ {
		res := mustRun(t, seed, Options{})
		if res.Steps < 50 || res.CrashStates == 0 {
			t.Errorf("seed %d tests nothing: %+v", seed, res)
		}
	}
}

// The same seed gives the same history. A machine that takes the processor away for long
// can change the order of two goroutines, so a seed has a few tries.
func TestSameSeedSameHistory(t *testing.T) {
	opt := Options{CrashEvery: -1, Singles: -1}
	for seed := uint64(1); seed <= 5; seed++ {
		seen := map[uint64]int{}
		same := false
		for try := 0; try < 5 && !same; try++ {
			res := mustRun(t, seed, opt)
			seen[res.Hash]++
			same = seen[res.Hash] == 2
		}
		if !same {
			t.Errorf("seed %d gives different histories: %v", seed, seen)
		}
	}
}

// workerEnv makes the test program a worker.
const workerEnv = "FIRN_SIM_WORKER"

func TestMain(m *testing.M) {
	switch os.Getenv(workerEnv) {
	case "work":
		if err := Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "panic":
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		panic("sim: a worker that panics")
	case "hang":
		select {}
	}
	os.Exit(m.Run())
}

// A sweep sums up its seeds, and counts workers that end or do not answer.
func TestSweep(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	opt := SweepOptions{Worker: []string{self}, Procs: 2, First: 50, Seeds: 4, Until: time.Now().Add(time.Hour), Run: Options{Ops: 8, Singles: 4}}
	t.Setenv(workerEnv, "work")
	s, err := Sweep(t.Context(), opt)
	if err != nil || s.Seeds != 4 || s.CrashStates == 0 || s.SingleRuns != 16 || len(s.Failures) > 0 {
		t.Errorf("score %+v, %v", s, err)
	}
	t.Setenv(workerEnv, "panic")
	if s, err = Sweep(t.Context(), opt); err != nil || s.Panics != 4 || !strings.Contains(s.Failures[0].Text, "a worker that panics") {
		t.Errorf("workers that panic: %+v, %v", s, err)
	}
	t.Setenv(workerEnv, "hang")
	opt.Limit, opt.Seeds = 10*time.Millisecond, 1
	if s, err = Sweep(t.Context(), opt); err != nil || s.Hangs != 1 {
		t.Errorf("a worker that hangs: %+v, %v", s, err)
	}
}
