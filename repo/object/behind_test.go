package object

import (
	"testing"
)

// A change that the index of this process could not take in is not acknowledged: a read
// after it would show the state from before.
func TestChangeThatCannotBeSeenIsNotAcknowledged(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	e := w.Engine
	err := e.propose(t.Context(), &proposal{decide: func(d *decision) error {
		d.ops.Buckets = append(d.ops.Buckets, "c")
		return d.ix.Close()
	}})
	if err == nil {
		t.Error("acknowledged")
	}
	w.Engine = nil // it cannot be closed in peace
	_ = e.Close(t.Context())
}
