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

func TestSmallDamageIsHealed(t *testing.T) {
	s, err := Heal(t.Context(), Options{Dir: t.TempDir(), Seed: 1, Until: time.Now().Add(5 * time.Second), Log: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	for kind, n := range s.Faults {
		if s.Healed[kind] != n {
			t.Errorf("%d of %d %s were healed", s.Healed[kind], n, kind)
		}
	}
	t.Logf("%v healed of %v, %v stay", s.Healed, s.Faults, s.Files)
}
