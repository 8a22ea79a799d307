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

// The same seed gives the same history.
func TestSameSeedSameHistory(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		opt := Options{CrashEvery: -1}
		if a, b := mustRun(t, seed, opt), mustRun(t, seed, opt); a.Hash != b.Hash {
			t.Errorf("seed %d gives different histories of %d and %d steps", seed, a.Steps, b.Steps)
		}
	}
}
