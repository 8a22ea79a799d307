package damage

import (
	"testing"
	"time"
)

func TestEachFaultIsDetected(t *testing.T) {
	s, err := Run(t.Context(), Options{Dir: t.TempDir(), Seed: 1, Until: time.Now().Add(8 * time.Second), Log: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Fine() {
		t.Errorf("missed %d, unnamed %d, wrong %d, panics %d, hangs %d", s.Missed, s.Unnamed, s.Wrong, s.Panics, s.Hangs)
	}
	t.Logf("%v: %d trials, %d restores, %d detected, hidden %v, %v of %v", s.Faults, s.Trials, s.Restores, s.Detected, s.Hidden, s.Covered, s.All)
}
