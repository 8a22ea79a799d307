//go:build race

package sim

// underRace: the race detector makes simulations many times slower, and takes the processor
// away in the middle of steps.
const underRace = true
