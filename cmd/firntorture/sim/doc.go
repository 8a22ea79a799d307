// Package sim is a deterministic simulation of a repository: the real code of repo, index,
// snapshot and repo/object, over a simulated store, clock, randomness and order of events,
// all of which a seed decides. [Run] simulates one seed.
//
// # How one seed gives one history
//
// Several processes work on one store. Each call of the store waits until the scheduler
// grants it. The scheduler grants a call only when nothing runs: every goroutine of the
// program waits, which the metrics of the Go runtime tell exactly as long as the program
// has one processor. So what waits then does not depend on the machine, and the seed
// chooses among it. Goroutines that wait for a mutex count as waiting, so the real code
// needs no change. What the seed does not decide is which case a select takes of several
// that are ready, and which of two goroutines comes first when the machine took the
// processor away from one for long. So a seed that failed may take a few tries to fail again.
//
// # What happens in a history
//
// Processes back up trees and streams, put, delete and upload objects, change settings,
// forget, prune, undelete, write checkpoints, check and restore. Their clocks may be years
// apart and jump. Calls fail before or after they took effect, come twice, read short, run
// out of space, or are held back for long. Processes are killed and start again, with
// their index as it was, with an older copy of it, or without one. The power goes: then
// what was not synced survives or not, each piece for itself.
//
// # What is checked
//
// A model notes each operation with the time it was asked for and answered. At many
// moments the state that a power cut would leave is opened on another machine, and
// compared: each acknowledged version is there and equal until somebody asked to remove
// it, nothing else is there than what somebody asked to write, and check finds nothing.
// Afterwards one operation is repeated with a single fault in each of its calls in turn.
package sim
