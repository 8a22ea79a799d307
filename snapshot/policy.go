package snapshot

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
)

// Policy says which snapshots of a group are kept; one that any rule keeps is kept. A
// count of -1 means all.
type Policy struct {
	Last int // the newest ones

	// The newest one of each of so many hours, days and so on that have one, the newest
	// first.
	Hourly, Daily, Weekly, Monthly, Yearly int

	// Counted back from the newest snapshot of the group: all since then, or the newest one
	// of each hour, day and so on since then.
	Within, WithinHourly, WithinDaily, WithinWeekly, WithinMonthly, WithinYearly Span

	Tags [][]string     // those with all tags of one of these lists
	IDs  []string       // those whose ID begins so
	Zone *time.Location // in which hours, days and so on are told; nil: UTC
}

// Empty reports whether no rule keeps anything.
func (p *Policy) Empty() bool {
	for _, r := range p.rules() {
		if r.count != 0 || r.within != (Span{}) {
			return false
		}
	}
	return len(p.Tags)+len(p.IDs) == 0
}

// Span is a stretch of the calendar.
type Span struct{ Years, Months, Days, Hours int }

// ParseSpan reads years, months, days and hours in this order, such as 1y6m, 14d or 36h.
func ParseSpan(s string) (span Span, err error) {
	rest := s
	for _, unit := range []struct {
		name string
		n    *int
	}{{"y", &span.Years}, {"m", &span.Months}, {"d", &span.Days}, {"h", &span.Hours}} {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if digits == 0 || !strings.HasPrefix(rest[digits:], unit.name) {
			continue
		}
		if *unit.n, err = strconv.Atoi(rest[:digits]); err != nil || *unit.n > 1_000_000 {
			return Span{}, fmt.Errorf("%q: the number is too large", s)
		}
		rest = rest[digits+1:]
	}
	if rest != "" || span == (Span{}) {
		return Span{}, fmt.Errorf("%q: want years, months, days and hours in this order, such as 1y6m, 14d or 36h", s)
	}
	return span, nil
}

// before returns the time that lies the span before t.
func (s Span) before(t time.Time) time.Time {
	return t.AddDate(-s.Years, -s.Months, -s.Days).Add(-time.Duration(s.Hours) * time.Hour)
}

// keepRule keeps the newest snapshot of each of count periods, or of those within a span.
type keepRule struct {
	name   string
	count  int
	within Span
	period func(t time.Time, id index.VersionID) string
}

func (p *Policy) rules() []keepRule {
	each := func(t time.Time, id index.VersionID) string { return string(id[:]) }
	hour := func(t time.Time, _ index.VersionID) string { return t.Format("2006-01-02 15 -0700") }
	day := func(t time.Time, _ index.VersionID) string { return t.Format("2006-01-02") }
	week := func(t time.Time, _ index.VersionID) string {
		y, w := t.ISOWeek()
		return fmt.Sprintf("%d-%d", y, w)
	}
	month := func(t time.Time, _ index.VersionID) string { return t.Format("2006-01") }
	year := func(t time.Time, _ index.VersionID) string { return t.Format("2006") }
	return []keepRule{
		{"last", p.Last, Span{}, each}, {"hourly", p.Hourly, Span{}, hour}, {"daily", p.Daily, Span{}, day},
		{"weekly", p.Weekly, Span{}, week}, {"monthly", p.Monthly, Span{}, month}, {"yearly", p.Yearly, Span{}, year},
		{"within", 0, p.Within, each}, {"within hourly", 0, p.WithinHourly, hour}, {"within daily", 0, p.WithinDaily, day},
		{"within weekly", 0, p.WithinWeekly, week}, {"within monthly", 0, p.WithinMonthly, month},
		{"within yearly", 0, p.WithinYearly, year},
	}
}

// Choice is what a policy says of a snapshot.
type Choice struct {
	*Snapshot
	Keep   []string // the rules that keep it; none: it can be forgotten
	Locked bool     // no rule keeps it, but a lock: Keep says which
}

// Choose applies the policy to the snapshots of one group and returns a choice for each,
// newest first; of the same time, those with the larger ID come first. It is a pure
// function. Where no rule keeps anything, the newest is kept: a group never becomes empty.
func (p *Policy) Choose(group []*Snapshot) []Choice {
	zone := cmp.Or(p.Zone, time.UTC)
	choices := make([]Choice, len(group))
	for i, s := range group {
		choices[i].Snapshot = s
	}
	slices.SortStableFunc(choices, func(a, b Choice) int {
		return cmp.Or(cmp.Compare(b.Version.Snapshot.Start, a.Version.Snapshot.Start), bytes.Compare(b.Version.ID[:], a.Version.ID[:]))
	})
	if len(choices) == 0 {
		return choices
	}
	newest := choices[0].Time().In(zone)
	for _, r := range p.rules() {
		left, last := r.count, ""
		since := r.within.before(newest)
		for i := range choices {
			c := &choices[i]
			t := c.Time().In(zone)
			period := r.period(t, c.Version.ID)
			in := r.within != (Span{}) && t.After(since)
			if left == 0 && !in || i > 0 && period == last {
				continue
			}
			last = period
			if left > 0 {
				left--
			}
			c.Keep = append(c.Keep, r.name)
		}
	}
	kept := false
	for i := range choices {
		p.named(&choices[i])
		kept = kept || len(choices[i].Keep) > 0
	}
	if !kept {
		choices[0].Keep = []string{"the only one left"}
	}
	return choices
}

// named applies the rules for single snapshots.
func (p *Policy) named(c *Choice) {
	for _, tags := range p.Tags {
		f := Filter{Tags: tags}
		if f.match(c.Snapshot) {
			c.Keep = append(c.Keep, "tag "+strings.Join(tags, ","))
		}
	}
	for _, id := range p.IDs {
		if strings.HasPrefix(c.ID(), id) {
			c.Keep = append(c.Keep, "id")
		}
	}
}

// GroupKeys are what snapshots can be grouped by.
var GroupKeys = []string{"host", "paths", "tags", "bucket", "key"}

// Group is a set of snapshots that a policy is applied to.
type Group struct {
	Name      string // "host web1, paths /etc /home"
	Snapshots []*Snapshot
}

// GroupBy divides snapshots by some of GroupKeys, in the order of the names of the groups.
func GroupBy(all []*Snapshot, keys []string) []Group {
	groups := map[string]*Group{}
	for _, s := range all {
		var name, id []string
		for _, k := range keys {
			v := s.groupKey(k)
			name = append(name, k+" "+strings.Join(v, " "))
			id = append(id, fmt.Sprintf("%s %q", k, v)) // a path may hold blanks
		}
		key := strings.Join(id, ", ")
		if groups[key] == nil {
			groups[key] = &Group{Name: strings.Join(name, ", ")}
		}
		groups[key].Snapshots = append(groups[key].Snapshots, s)
	}
	var order []string
	for key := range groups {
		order = append(order, key)
	}
	slices.SortFunc(order, func(a, b string) int {
		return cmp.Or(cmp.Compare(groups[a].Name, groups[b].Name), cmp.Compare(a, b))
	})
	list := make([]Group, len(order))
	for i, key := range order {
		list[i] = *groups[key]
	}
	return list
}

func (s *Snapshot) groupKey(key string) []string {
	sorted := func(list []string) []string {
		list = slices.Clone(list)
		slices.Sort(list)
		return list
	}
	switch key {
	case "host":
		return []string{s.Version.Snapshot.Host}
	case "paths":
		return sorted(s.Paths())
	case "tags":
		return sorted(s.Version.Snapshot.Tags)
	case "bucket":
		return []string{s.Version.Bucket}
	case "key":
		return []string{string(s.Version.Key)}
	}
	panic("snapshot: unknown group key " + key)
}
