package sim

import (
	"errors"
	"strings"
	"testing"
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
	n, opt := uint64(4), Options{CrashEvery: 5, Singles: 10}
	if testing.Short() || underRace {
		n, opt = 1, Options{CrashEvery: 20, Singles: 2}
	}
	for seed := uint64(1); seed <= n; seed++ {
		res := mustRun(t, seed, opt)
		if res.Steps < 50 || res.CrashStates == 0 {
			t.Errorf("seed %d tests nothing: %+v", seed, res)
		}
	}
}

// The same seed gives the same history. A machine that takes the processor away for long
// can change the order of two goroutines, so a seed has a few tries.
func TestSameSeedSameHistory(t *testing.T) {
	if underRace {
		t.Skip("the race detector changes the order of goroutines")
	}
	opt := Options{CrashEvery: -1, Singles: -1}
	for seed := uint64(1); seed <= 3; seed++ {
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
