package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func num[T int | int64](n T) *T { return &n }

func after(days int) *When { return &When{Days: &days} }

func move(days int, class string) Transition { return Transition{When{Days: &days}, class} }

func TestDue(t *testing.T) {
	for _, c := range []struct {
		from string
		days int
		day  time.Duration
		want string
	}{
		{"2026-01-15 10:30:00", 3, 0, "2026-01-19 00:00:00"},
		{"2026-01-15 00:00:00", 3, 0, "2026-01-19 00:00:00"},
		{"2026-01-15 23:59:59", 0, 0, "2026-01-16 00:00:00"},
		{"1969-12-31 10:00:00", 0, 0, "1970-01-01 00:00:00"},
		{"2026-01-15 10:30:04", 1, 10 * time.Second, "2026-01-15 10:30:20"},
		{"2026-01-15 10:30:04", 0, time.Second, "2026-01-15 10:30:05"},
	} {
		if got := (Calendar{c.day}).Due(at(c.from), c.days); !got.Equal(at(c.want)) {
			t.Errorf("%s and %d days of %s: %s, want %s", c.from, c.days, c.day, got, c.want)
		}
	}
	if got := (Calendar{}).Due(at("2026-01-15 10:30:00"), 1<<31-1); got.Year() < 5_000_000 {
		t.Errorf("many days: %s", got)
	}
}

func TestMayMove(t *testing.T) {
	all := []string{Standard, StandardIA, Intelligent, OneZoneIA, GlacierIR, Glacier, DeepArchive}
	want := map[string]string{
		Standard: "[STANDARD_IA INTELLIGENT_TIERING ONEZONE_IA GLACIER_IR GLACIER DEEP_ARCHIVE]", StandardIA: "[INTELLIGENT_TIERING ONEZONE_IA GLACIER_IR GLACIER DEEP_ARCHIVE]",
		Intelligent: "[ONEZONE_IA GLACIER_IR GLACIER DEEP_ARCHIVE]", OneZoneIA: "[GLACIER DEEP_ARCHIVE]", GlacierIR: "[GLACIER DEEP_ARCHIVE]",
		Glacier: "[DEEP_ARCHIVE]", DeepArchive: "[]", reducedClass: "[STANDARD_IA INTELLIGENT_TIERING ONEZONE_IA GLACIER_IR GLACIER DEEP_ARCHIVE]",
	}
	for from, w := range want {
		to := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return !MayMove(from, c) })
		if fmt.Sprint(to) != w {
			t.Errorf("from %s to %v, want %s", from, to, w)
		}
	}
}

const (
	born = "2026-01-15 10:30:00"
	due3 = "2026-01-19 00:00:00" // three days
	big  = 1 << 20
)

func current(change func(*Version)) *Version {
	v := &Version{Key: "p/k", Size: big, Class: Standard, Created: at(born), Current: true, Only: true}
	if change != nil {
		change(v)
	}
	return v
}

func replaced(rank int, change func(*Version)) *Version {
	v := &Version{Key: "p/k", Size: big, Class: Standard, Created: at("2025-06-01 00:00:00"), Replaced: at(born), Rank: rank}
	if change != nil {
		change(v)
	}
	return v
}

func TestDecideCurrent(t *testing.T) {
	rule := func(change func(*Rule)) *Rules {
		r := Rule{ID: "r"}
		change(&r)
		return &Rules{List: []Rule{r}}
	}
	expire := rule(func(r *Rule) { r.Expiration = after(3) })
	toIA := rule(func(r *Rule) { r.Transitions = []Transition{move(3, StandardIA)} })
	cold := rule(func(r *Rule) { r.Transitions = []Transition{move(3, Glacier)} })
	both := rule(func(r *Rule) { r.Transitions = []Transition{move(2, Glacier)}; r.Expiration = after(3) })
	tagged := rule(func(r *Rule) { r.Tags = map[string]string{"a": "b", "c": "d"}; r.Expiration = after(3) })
	dated := rule(func(r *Rule) { r.Expiration = &When{Date: at("2026-02-01 00:00:00")} })
	markers := rule(func(r *Rule) { r.Markers = true })
	small := func(v *Version) { v.Size = smallest - 1 }
	marker := func(v *Version) { v.Marker, v.Size = true, 0 }
	vary := func(rs *Rules) *Rules { c := *rs; c.Varies = true; return &c }
	remove, mark := Decision{Remove, "", "r"}, Decision{PutMarker, "", "r"}
	cases := []struct {
		name       string
		rules      *Rules
		versioning Versioning
		v          *Version
		now        string
		want       Decision
	}{
		{"not yet", expire, Unversioned, current(nil), "2026-01-18 23:59:59", Decision{}},
		{"expires", expire, Unversioned, current(nil), due3, remove},
		{"expires behind a marker", expire, Enabled, current(nil), due3, mark},
		{"expires while suspended", expire, Suspended, current(nil), due3, mark},
		{"a lock lets a marker be put", expire, Enabled, current(func(v *Version) { v.Locked = true }), due3, mark},
		{"a lock forbids removal", expire, Unversioned, current(func(v *Version) { v.Locked = true }), due3, Decision{}},
		{"other prefix", rule(func(r *Rule) { r.Prefix = "q/"; r.Expiration = after(1) }), Unversioned, current(nil), due3, Decision{}},
		{"tags", tagged, Unversioned, current(func(v *Version) { v.Tags = map[string]string{"a": "b", "c": "d", "e": "f"} }), due3, remove},
		{"one tag is missing", tagged, Unversioned, current(func(v *Version) { v.Tags = map[string]string{"a": "b"} }), due3, Decision{}},
		{"one tag is another", tagged, Unversioned, current(func(v *Version) { v.Tags = map[string]string{"a": "b", "c": "x"} }), due3, Decision{}},
		{"larger", rule(func(r *Rule) { r.Larger = num(int64(big)); r.Expiration = after(1) }), Unversioned, current(nil), due3, Decision{}},
		{"larger by one", rule(func(r *Rule) { r.Larger = num(int64(big - 1)); r.Expiration = after(1) }), Unversioned, current(nil), due3, remove},
		{"under", rule(func(r *Rule) { r.Under = num(int64(big)); r.Expiration = after(1) }), Unversioned, current(nil), due3, Decision{}},
		{"under by one", rule(func(r *Rule) { r.Under = num(int64(big + 1)); r.Expiration = after(1) }), Unversioned, current(nil), due3, remove},
		{"the day before the date", dated, Unversioned, current(nil), "2026-01-31 23:59:59", Decision{}},
		{"the date", dated, Unversioned, current(nil), "2026-02-01 00:00:00", remove},
		{"every day after the date", dated, Unversioned, current(func(v *Version) { v.Created = at("2026-03-01 10:00:00") }), "2026-03-01 11:00:00", remove},
		{"moves", toIA, Unversioned, current(nil), due3, Decision{Transit, StandardIA, "r"}},
		{"has moved", toIA, Unversioned, current(func(v *Version) { v.Class = StandardIA }), due3, Decision{}},
		{"never upwards", toIA, Unversioned, current(func(v *Version) { v.Class = Glacier }), due3, Decision{}},
		{"too small to move", toIA, Unversioned, current(small), due3, Decision{}},
		{"too small to move, varies", vary(toIA), Unversioned, current(small), due3, Decision{}},
		{"too small for an archive", cold, Unversioned, current(small), due3, Decision{}},
		{"an archive takes all, varies", vary(cold), Unversioned, current(small), due3, Decision{Transit, Glacier, "r"}},
		{"large enough", toIA, Unversioned, current(func(v *Version) { v.Size = smallest }), due3, Decision{Transit, StandardIA, "r"}},
		{"a size of one's own", rule(func(r *Rule) { r.Larger = num(int64(0)); r.Transitions = []Transition{move(3, StandardIA)} }), Unversioned, current(small), due3, Decision{Transit, StandardIA, "r"}},
		{"removal before transition", both, Unversioned, current(nil), due3, remove},
		{"transition before a marker", both, Enabled, current(nil), due3, Decision{Transit, Glacier, "r"}},
		{"then the marker", both, Enabled, current(func(v *Version) { v.Class = Glacier }), due3, mark},
		{"cheapest", rule(func(r *Rule) {
			r.Transitions = []Transition{move(1, StandardIA), move(2, DeepArchive), move(1, Glacier)}
		}), Enabled, current(nil), due3, Decision{Transit, DeepArchive, "r"}},
		{"intelligent before instant", rule(func(r *Rule) {
			r.Transitions = []Transition{move(1, GlacierIR), move(2, Intelligent), move(1, StandardIA)}
		}), Enabled, current(nil), due3, Decision{Transit, Intelligent, "r"}},
		{"an archive before intelligent", rule(func(r *Rule) { r.Transitions = []Transition{move(1, Glacier), move(2, Intelligent)} }), Enabled, current(nil), due3, Decision{Transit, Glacier, "r"}},
		{"marker with versions", expire, Enabled, current(func(v *Version) { marker(v); v.Only = false }), due3, Decision{}},
		{"last marker is too young", expire, Enabled, current(marker), "2026-01-18 23:59:59", Decision{}},
		{"last marker is old", expire, Enabled, current(marker), due3, remove},
		{"last marker", markers, Enabled, current(marker), born, remove},
		{"not the last", markers, Enabled, current(func(v *Version) { marker(v); v.Only = false }), due3, Decision{}},
		{"marker rules leave objects", markers, Enabled, current(nil), due3, Decision{}},
		{"markers have no tags", tagged, Enabled, current(marker), due3, Decision{}},
		{"markers have no size", rule(func(r *Rule) { r.Under = num(int64(9)); r.Expiration = after(1) }), Enabled, current(marker), due3, Decision{}},
		{"the newest backup stays", both, Enabled, current(func(v *Version) { v.Snapshot = true }), due3, Decision{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.rules.Decide(Calendar{}, c.versioning, c.v, at(c.now)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestDecideNoncurrent(t *testing.T) {
	gone := &Rules{List: []Rule{{ID: "r", NoncurrentEx: &Noncurrent{Days: 3}}}}
	keep := &Rules{List: []Rule{{ID: "r", NoncurrentEx: &Noncurrent{Days: 3, Keep: 2}}}}
	down := &Rules{List: []Rule{{ID: "r", Noncurrent: []Noncurrent{{Days: 3, Keep: 1, Class: Glacier}}}}}
	both := &Rules{List: []Rule{down.List[0], {ID: "s", NoncurrentEx: &Noncurrent{Days: 3}}}}
	expire := &Rules{List: []Rule{{ID: "r", Expiration: after(1), Transitions: []Transition{move(1, Glacier)}, Markers: true}}}
	remove := Decision{Remove, "", "r"}
	cases := []struct {
		name  string
		rules *Rules
		v     *Version
		now   string
		want  Decision
	}{
		{"since it was replaced", gone, replaced(1, nil), "2026-01-18 23:59:59", Decision{}},
		{"expires", gone, replaced(1, nil), due3, remove},
		{"locked", gone, replaced(1, func(v *Version) { v.Locked = true }), due3, Decision{}},
		{"delete markers, too", gone, replaced(1, func(v *Version) { v.Marker = true }), due3, remove},
		{"kept", keep, replaced(2, nil), due3, Decision{}},
		{"beyond those kept", keep, replaced(3, nil), due3, remove},
		{"beyond those kept, too early", keep, replaced(3, nil), "2026-01-18 23:59:59", Decision{}},
		{"moves", down, replaced(2, nil), due3, Decision{Transit, Glacier, "r"}},
		{"stays", down, replaced(1, nil), due3, Decision{}},
		{"locked, moves", both, replaced(2, func(v *Version) { v.Locked = true }), due3, Decision{Transit, Glacier, "r"}},
		{"removal first", both, replaced(2, nil), due3, Decision{Remove, "", "s"}},
		{"markers do not move", down, replaced(2, func(v *Version) { v.Marker = true }), due3, Decision{}},
		{"rules for current versions", expire, replaced(1, nil), due3, Decision{}},
		{"old backup", gone, replaced(1, func(v *Version) { v.Snapshot = true }), due3, remove},
		{"backups do not move", down, replaced(2, func(v *Version) { v.Snapshot = true }), due3, Decision{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.rules.Decide(Calendar{}, Enabled, c.v, at(c.now)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAbort(t *testing.T) {
	rs := &Rules{List: []Rule{{ID: "slow", AbortDays: num(7)}, {ID: "logs", Prefix: "logs/", AbortDays: num(1)}, {ID: "no", Expiration: after(1)}}}
	for key, want := range map[string]string{"k": "slow 2026-01-23 00:00:00", "logs/k": "logs 2026-01-17 00:00:00"} {
		due, r := rs.Abort(Calendar{}, key, at(born))
		if got := r.ID + " " + due.Format(time.DateTime); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
	if got := fmt.Sprint((&Rules{List: append(rs.List, Rule{Prefix: "a", Expiration: after(1)})}).Prefixes(), rs.UploadPrefixes()); got != "[] []" {
		t.Errorf("prefixes %s", got) // the empty prefix is of all keys
	}
	rs = &Rules{List: []Rule{{Prefix: "b/", Markers: true}, {Prefix: "a", Markers: true}, {Prefix: "b/c", Markers: true}, {Prefix: "aa", AbortDays: num(1)}}}
	if got := fmt.Sprint(rs.Prefixes(), rs.UploadPrefixes()); got != "[a b/] [aa]" {
		t.Errorf("prefixes %s", got)
	}
}

// TestDecideIsStable carries random decisions out on one version until nothing is left to do:
// classes only go down, so that this ends, and then nothing is due at that time any more.
func TestDecideIsStable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	classes := slices.DeleteFunc(slices.Clone(Classes), func(c string) bool { return Depth(c) < 0 })
	for range 20_000 {
		rs := &Rules{Varies: rng.IntN(2) == 0}
		for i := range 1 + rng.IntN(4) {
			r := Rule{ID: fmt.Sprint(i)}
			for range rng.IntN(3) {
				r.Transitions = append(r.Transitions, move(rng.IntN(9), classes[rng.IntN(len(classes))]))
			}
			if rng.IntN(3) == 0 {
				r.Expiration = after(rng.IntN(9))
			}
			if rng.IntN(4) == 0 {
				r.Larger = num(int64(rng.IntN(2 * smallest)))
			}
			rs.List = append(rs.List, r)
		}
		v := current(func(v *Version) { v.Size, v.Class = int64(rng.IntN(3*smallest)), Classes[rng.IntN(len(Classes))] })
		now := at(born).Add(time.Duration(rng.IntN(12*24)) * time.Hour)
		for step := 0; ; step++ {
			d := rs.Decide(Calendar{}, Enabled, v, now)
			if d.Deed != Transit {
				break
			}
			if step > len(Classes) || Depth(d.Class) <= Depth(v.Class) {
				t.Fatalf("rules %+v move %+v to %s", rs, v, d.Class)
			}
			if v.Size < smallest && !rs.Varies && rs.List[d.Rule[0]-'0'].Larger == nil {
				t.Fatalf("rules %+v move %+v, which is too small, to %s", rs, v, d.Class)
			}
			v.Class = d.Class
		}
	}
}
