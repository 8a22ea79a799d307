package object

import (
	"fmt"
	"time"

	"github.com/firnstore/firn/index"
)

// Modes of index.Lock.
const (
	Governance uint8 = 1
	Compliance uint8 = 2
)

// Removable returns ErrLocked when a version with this lock may not be removed at a time.
// bypass lifts governance retention, and nothing else. Everything that removes versions
// asks here: deletes, overwrites, lifecycle, forget and prune.
func Removable(l *index.Lock, now time.Time, bypass bool) error {
	switch {
	case l == nil:
		return nil
	case l.Hold:
		return fmt.Errorf("a legal hold is on: %w", ErrLocked)
	case l.EventHold:
		return fmt.Errorf("an event hold is on: %w", ErrLocked)
	case !retained(l, now), l.Mode == Governance && bypass:
		return nil
	}
	return fmt.Errorf("retained until %s: %w", time.Unix(0, l.Until).UTC().Format(time.RFC3339), ErrLocked)
}

func retained(l *index.Lock, now time.Time) bool {
	return l != nil && l.Mode != 0 && l.Until > now.UnixNano()
}

// relockable returns ErrLocked when a lock may not be replaced by another. Legal holds
// come and go freely: who may change them is decided by policies.
func relockable(from, to *index.Lock, now time.Time, bypass bool) error {
	if !retained(from, now) || from.Mode == Governance && bypass {
		return nil
	}
	if to != nil && to.Mode == from.Mode && to.Until >= from.Until {
		return nil
	}
	return fmt.Errorf("retained until %s, which can only be extended: %w",
		time.Unix(0, from.Until).UTC().Format(time.RFC3339), ErrLocked)
}
