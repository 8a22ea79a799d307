package sim

import (
	"errors"
	"testing"
)

// Each rule that is broken on purpose is noticed by one of a few seeds.
func TestWeaknessesAreFound(t *testing.T) {
	if underRace {
		t.Skip("it takes minutes under the race detector, and is the same without")
	}
	if testing.Short() {
		t.Skip("takes a while")
	}
	for _, w := range []Weakness{NoFolderSync, NoFileSync, NotExclusive, BlindPrune, NaiveSweep} {
		found := false
		for seed := uint64(1); seed <= 60 && !found; seed++ {
			_, err := Run(seed, Options{Weaken: w, CrashEvery: 12, Singles: -1})
			var f *Failure
			if found = errors.As(err, &f); found {
				t.Logf("%s: %.200s", w, f.Error())
			}
		}
		if !found {
			t.Errorf("nobody notices that %s", w)
		}
	}
}
