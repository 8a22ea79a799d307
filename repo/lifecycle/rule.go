package lifecycle

import (
	"strings"
	"time"
)

// Rules of a bucket, those that are enabled only. They are not changed.
type Rules struct {
	List []Rule

	// Varies lets small objects move to archives: the least size of a transition is for the
	// other classes only.
	Varies bool
}

// Rule says for which objects what is to be done. Counts of days are nil where there is none.
type Rule struct {
	ID     string
	Prefix string
	Tags   map[string]string // all of them
	Larger *int64            // bytes: larger than that,
	Under  *int64            // and smaller than that

	Transitions  []Transition // of the current version
	Expiration   *When        // of the current version
	Markers      bool         // delete markers that are all that is left of a key expire
	Noncurrent   []Noncurrent // transitions
	NoncurrentEx *Noncurrent  // expiration; its Class is ""
	AbortDays    *int         // after the initiation of an upload
}

// When is a number of days after a time, or a day.
type When struct {
	Days *int
	Date time.Time // midnight; counts when Days is nil
}

// Transition moves a version to a class.
type Transition struct {
	When
	Class string
}

// Noncurrent says when something happens to versions that a newer one has replaced.
type Noncurrent struct {
	Days  int // since they were replaced
	Keep  int // so many noncurrent versions, the newest, are left alone
	Class string
}

// at is when something is due that began at t.
func (w *When) at(cal Calendar, t time.Time) time.Time {
	if w.Days != nil {
		return cal.Due(t, *w.Days)
	}
	return w.Date
}

// sized reports whether a rule is for objects of certain sizes.
func (r *Rule) sized() bool { return r.Larger != nil || r.Under != nil }

// plain reports whether a rule asks for nothing that delete markers and uploads do not have.
func (r *Rule) plain() bool { return !r.sized() && len(r.Tags) == 0 }

// matches reports whether a rule is for a version.
func (r *Rule) matches(v *Version) bool {
	if !strings.HasPrefix(v.Key, r.Prefix) {
		return false
	}
	if v.Marker {
		return r.plain()
	}
	if r.Larger != nil && v.Size <= *r.Larger || r.Under != nil && v.Size >= *r.Under {
		return false
	}
	for name, value := range r.Tags {
		if got, ok := v.Tags[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// Prefixes are those of the keys that rules are for: none begins with another. Rules that
// only abort uploads do not count.
func (rs *Rules) Prefixes() (list []string) {
	for i := range rs.List {
		r := &rs.List[i]
		if len(r.Transitions) > 0 || r.Expiration != nil || r.Markers || len(r.Noncurrent) > 0 || r.NoncurrentEx != nil {
			list = append(list, r.Prefix)
		}
	}
	return shortest(list)
}

// UploadPrefixes are Prefixes for the rules that abort uploads.
func (rs *Rules) UploadPrefixes() (list []string) {
	for i := range rs.List {
		if rs.List[i].AbortDays != nil {
			list = append(list, rs.List[i].Prefix)
		}
	}
	return shortest(list)
}
