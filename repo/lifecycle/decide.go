package lifecycle

import (
	"slices"
	"strings"
	"time"
)

// Versioning of a bucket, as far as rules care.
type Versioning int

// The states of versioning.
const (
	Unversioned Versioning = iota
	Enabled
	Suspended
)

// Version is what decides about a version.
type Version struct {
	Key      string
	Tags     map[string]string
	Size     int64 // bytes
	Class    string
	Created  time.Time
	Marker   bool // it is a delete marker
	Snapshot bool // it is a backup: rules never touch the newest one, nor move any
	Locked   bool // it may not be removed now

	Current bool // it is the newest of its key
	Only    bool // and there is no other

	// Of a noncurrent version: when the next newer one was created, and which in the order
	// of noncurrent versions it is, from 1, the newest first.
	Replaced time.Time
	Rank     int
}

// Deed is what is done to a version.
type Deed int

// The deeds.
const (
	Nothing   Deed = iota
	Remove         // for good
	Transit        // to Decision.Class
	PutMarker      // on top of the current version; in place of the null version when versioning is suspended
)

// Decision is what is due for a version, and by which rule.
type Decision struct {
	Deed  Deed
	Class string
	Rule  string // ID
}

// smallest is the size in bytes below which objects are not moved, unless a rule says for
// which sizes it is.
const smallest = 128 << 10

// Decide returns what is due for a version: removal before transition before a delete
// marker.
func (rs *Rules) Decide(cal Calendar, versioning Versioning, v *Version, now time.Time) Decision {
	if v.Current {
		return rs.current(cal, versioning, v, now)
	}
	return rs.noncurrent(cal, v, now)
}

func (rs *Rules) current(cal Calendar, versioning Versioning, v *Version, now time.Time) Decision {
	switch {
	case v.Snapshot:
		return Decision{}
	case v.Marker:
		return rs.marker(cal, v, now)
	}
	at, rule := rs.Expiry(cal, v)
	expires := rule != nil && !now.Before(at)
	if expires && versioning == Unversioned && !v.Locked {
		return Decision{Deed: Remove, Rule: rule.ID}
	}
	move := rs.choose(v, func(r *Rule, f func(string)) {
		for i := range r.Transitions {
			if t := &r.Transitions[i]; !now.Before(t.at(cal, v.Created)) {
				f(t.Class)
			}
		}
	})
	if move.Deed == Nothing && expires && versioning != Unversioned {
		return Decision{Deed: PutMarker, Rule: rule.ID}
	}
	return move
}

// marker decides about a delete marker that is current.
func (rs *Rules) marker(cal Calendar, v *Version, now time.Time) Decision {
	if !v.Only || v.Locked {
		return Decision{}
	}
	for i := range rs.List {
		r := &rs.List[i]
		if !r.matches(v) {
			continue
		}
		if r.Markers || r.Expiration != nil && !now.Before(r.Expiration.at(cal, v.Created)) {
			return Decision{Deed: Remove, Rule: r.ID}
		}
	}
	return Decision{}
}

func (rs *Rules) noncurrent(cal Calendar, v *Version, now time.Time) Decision {
	due := func(n *Noncurrent) bool { return v.Rank > n.Keep && !now.Before(cal.Due(v.Replaced, n.Days)) }
	for i := range rs.List {
		r := &rs.List[i]
		if r.NoncurrentEx != nil && !v.Locked && r.matches(v) && due(r.NoncurrentEx) {
			return Decision{Deed: Remove, Rule: r.ID}
		}
	}
	if v.Marker || v.Snapshot {
		return Decision{}
	}
	return rs.choose(v, func(r *Rule, f func(string)) {
		for i := range r.Noncurrent {
			if due(&r.Noncurrent[i]) {
				f(r.Noncurrent[i].Class)
			}
		}
	})
}

// choose returns the transition to take of those that each calls f with.
func (rs *Rules) choose(v *Version, each func(r *Rule, f func(class string))) (d Decision) {
	best := len(preferred)
	for i := range rs.List {
		r := &rs.List[i]
		if !r.matches(v) {
			continue
		}
		each(r, func(class string) {
			if !MayMove(v.Class, class) || v.Size < smallest && !r.sized() && !(rs.Varies && Archived(class)) {
				return
			}
			if n := slices.Index(preferred, class); n >= 0 && n < best {
				best, d = n, Decision{Deed: Transit, Class: class, Rule: r.ID}
			}
		})
	}
	return d
}

// Expiry returns when a current version that is no delete marker expires, and the rule that
// is the first to say so; nil when none does.
func (rs *Rules) Expiry(cal Calendar, v *Version) (at time.Time, rule *Rule) {
	if rs == nil {
		return at, nil
	}
	for i := range rs.List {
		r := &rs.List[i]
		if r.Expiration == nil || !r.matches(v) {
			continue
		}
		if t := r.Expiration.at(cal, v.Created); rule == nil || t.Before(at) {
			at, rule = t, r
		}
	}
	return at, rule
}

// Abort returns when an upload to a key is aborted, and the rule that is the first to say
// so; nil when none does.
func (rs *Rules) Abort(cal Calendar, key string, initiated time.Time) (at time.Time, rule *Rule) {
	if rs == nil {
		return at, nil
	}
	for i := range rs.List {
		r := &rs.List[i]
		if r.AbortDays == nil || !r.plain() || !strings.HasPrefix(key, r.Prefix) {
			continue
		}
		if t := cal.Due(initiated, *r.AbortDays); rule == nil || t.Before(at) {
			at, rule = t, r
		}
	}
	return at, rule
}

// shortest drops from a list what begins with another of it, and sorts it.
func shortest(list []string) []string {
	slices.Sort(list)
	n := 0
	for _, p := range list {
		if n == 0 || !strings.HasPrefix(p, list[n-1]) {
			list[n] = p
			n++
		}
	}
	return list[:n]
}
