// Package damage damages a small repository, one fault at a time, and holds firn to two
// promises: check detects every fault, and nothing ever gives wrong bytes.
//
// A fault is a flipped bit, a file cut off at some length, a file that is gone, two files
// whose contents are exchanged, a file with bytes behind its end, or a file in the place
// of which an older or another valid one of the same repository lies. Each is put before firn
// twice: with an index that knows the repository from before, and without one.
//
// What no reader can detect is listed in class.go, with the reason, and counted apart.
package damage
