package sim

import (
	"math/rand/v2"
	"strings"
)

// fault is something that goes wrong with a call, or beside it.
type fault string

// The faults.
const (
	noFault    fault = ""
	failBefore fault = "I/O error"
	failAfter  fault = "answer lost" // of a read: it is short
	diskFull   fault = "no space"
	twice      fault = "delivered twice"
	killBefore fault = "killed before"
	killAfter  fault = "killed after"
	cutBefore  fault = "power cut before"
	cutAfter   fault = "power cut after"
	hold       fault = "held back"
	jump       fault = "clock jumps"
)

// rates are how often, in a million calls, each fault comes.
type rates map[fault]int

// order in which faults are drawn.
var allFaults = []fault{failBefore, failAfter, diskFull, twice, killBefore, killAfter, cutBefore, cutAfter, hold, jump}

// drawRates chooses what may go wrong in a history: nothing, one sort of thing, or all.
func drawRates(rng *rand.Rand) rates {
	r := rates{}
	errs := func(n int) { r[failBefore], r[failAfter], r[diskFull], r[twice] = n, n, n, n }
	kills := func(n int) { r[killBefore], r[killAfter] = n, n }
	cuts := func(n int) { r[cutBefore], r[cutAfter] = n, n }
	odd := func(n int) { r[hold], r[jump] = n, n/4 }
	switch rng.IntN(8) {
	case 0: // nothing
	case 1:
		odd(30_000)
	case 2:
		errs(3000)
	case 3:
		kills(3000)
	case 4:
		cuts(2000)
		odd(2000)
	case 5:
		kills(2000)
		odd(10_000)
	default:
		errs(1000)
		kills(1000)
		cuts(600)
		odd(4000)
	}
	return r
}

// fault draws what goes wrong with a call.
func (w *world) fault(c *call) fault {
	n := w.frng.IntN(1_000_000)
	for _, f := range allFaults {
		rate := w.rates[f]
		if f == hold && c.decides() {
			rate *= 10
		}
		if n -= rate; n >= 0 {
			continue
		}
		if !f.fits(c.op) || w.faultsLeft == 0 && f != hold && f != jump {
			return noFault
		}
		if f != hold && f != jump {
			w.faultsLeft-- // else nothing would ever be done
		}
		w.res.Faults[string(f)]++
		return f
	}
	return noFault
}

// fits reports whether the fault can meet the step.
func (f fault) fits(o op) bool {
	switch f {
	case diskFull:
		return o == opCreate || o == opWrite || o == opSync || o == opLink || o == opPut
	case twice: // a client of the store repeats a request whose answer was lost
		return o == opLink || o == opPut || o == opUnlink || o == opRemove
	case failBefore, failAfter:
		return o != opTurn
	}
	return true
}

// decides reports whether the caller has just looked at what there is and is about to act
// on it. Whoever is held back there acts on what is past.
func (c *call) decides() bool {
	return c.op == opCreate && strings.HasPrefix(c.name, "log/") || c.op == opListed && c.name == "packs/"
}
