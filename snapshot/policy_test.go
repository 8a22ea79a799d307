package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/index"
)

// snap makes a snapshot; its ID begins with the digits given.
func snap(t testing.TB, id, when string, tags ...string) *Snapshot {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", when)
	if err != nil {
		t.Fatal(err)
	}
	v := &index.Version{Bucket: "b", Key: []byte("k"), Time: at.UnixNano(),
		Snapshot: &index.Snapshot{Host: "h", Paths: [][]byte{[]byte("/p")}, Tags: tags, Start: at.UnixNano()}}
	if _, err := fmt.Sscanf(id, "%02x", &v.ID[0]); err != nil {
		t.Fatal(err)
	}
	return &Snapshot{Version: v}
}

func TestPolicy(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	days := func(n int) (list []*Snapshot) { // at noon, back from New Year's Day
		for i := range n {
			list = append(list, snap(t, fmt.Sprintf("%02x", i), time.Date(2026, 1, 1-i, 12, 0, 0, 0, time.UTC).Format("2006-01-02 15:04:05")))
		}
		return list
	}
	span := func(s string) Span {
		p, err := ParseSpan(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	tie := []*Snapshot{snap(t, "01", "2026-01-01 12:00:00"), snap(t, "03", "2026-01-01 12:00:00"), snap(t, "02", "2026-01-01 12:00:00")}
	night := []*Snapshot{snap(t, "01", "2026-01-01 22:30:00"), snap(t, "02", "2026-01-01 23:30:00")} // New Year's Day, and the next in Berlin
	autumn := []*Snapshot{snap(t, "01", "2026-10-25 00:30:00"), snap(t, "02", "2026-10-25 01:30:00")}
	tagged := []*Snapshot{snap(t, "01", "2026-01-01 01:00:00", "a", "b"), snap(t, "02", "2026-01-02 01:00:00", "a"), snap(t, "03", "2026-01-03 01:00:00")}
	for _, c := range []struct {
		name   string
		snaps  []*Snapshot
		policy Policy
		want   string // IDs and rules of those kept, newest first
	}{
		{"last", days(5), Policy{Last: 2}, "00 last; 01 last"},
		{"all", days(3), Policy{Last: -1}, "00 last; 01 last; 02 last"},
		{"more than there are", days(2), Policy{Daily: 9}, "00 daily; 01 daily"},
		{"daily and monthly", days(40), Policy{Daily: 2, Monthly: 2}, "00 daily, monthly; 01 daily, monthly"},
		{"monthly", days(40), Policy{Monthly: 3}, "00 monthly; 01 monthly; 20 monthly"},
		{"yearly", days(40), Policy{Yearly: 5}, "00 yearly; 01 yearly"},
		{"weeks begin on Monday", days(10), Policy{Weekly: 2}, "00 weekly; 04 weekly"},
		{"a tie goes to the larger ID", tie, Policy{Last: 1, Hourly: 5}, "03 last, hourly"},
		{"a tie in last", tie, Policy{Last: 2}, "03 last; 02 last"},
		{"days are those of the zone", night, Policy{Daily: 2, Zone: berlin}, "02 daily; 01 daily"},
		{"days are those of UTC", night, Policy{Daily: 2}, "02 daily"},
		{"an hour that comes twice is two", autumn, Policy{Hourly: 2, Zone: berlin}, "02 hourly; 01 hourly"},
		{"within counts from the newest", days(40), Policy{Within: span("2d")}, "00 within; 01 within"},
		{"within months", days(80), Policy{WithinMonthly: span("2m")}, "00 within monthly; 01 within monthly; 20 within monthly"},
		{"within hours", days(3), Policy{WithinHourly: span("25h")}, "00 within hourly; 01 within hourly"},
		{"one of several tags", tagged, Policy{Tags: [][]string{{"a"}}}, "02 tag a; 01 tag a"},
		{"all of several tags", tagged, Policy{Tags: [][]string{{"a", "b"}}}, "01 tag a,b"},
		{"id", tagged, Policy{IDs: []string{"02"}}, "02 id"},
		{"never nothing", tagged, Policy{Tags: [][]string{{"c"}}}, "03 the only one left"},
		{"rules add up", tagged, Policy{Last: 1, IDs: []string{"01"}, Tags: [][]string{{"a"}}}, "03 last; 02 tag a; 01 tag a, id"},
		{"no snapshots", nil, Policy{Last: 1}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // in any order of the input
				var kept []string
				choices := c.policy.Choose(c.snaps)
				if len(choices) != len(c.snaps) {
					t.Fatalf("%d choices for %d snapshots", len(choices), len(c.snaps))
				}
				for _, choice := range choices {
					if len(choice.Keep) > 0 {
						kept = append(kept, choice.ID()[:2]+" "+strings.Join(choice.Keep, ", "))
					}
				}
				if got := strings.Join(kept, "; "); got != c.want {
					t.Errorf("kept %s\nwant %s", got, c.want)
				}
				slices.Reverse(c.snaps)
			}
		})
	}
}

func TestParseSpan(t *testing.T) {
	for s, want := range map[string]Span{"1y6m": {Years: 1, Months: 6}, "14d": {Days: 14}, "36h": {Hours: 36}, "1y2m3d4h": {1, 2, 3, 4}} {
		if got, err := ParseSpan(s); got != want || err != nil {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0d", "d", "3", "3x", "1h2d", "-1d", "1d ", "99999999d", "1d1d"} {
		if got, err := ParseSpan(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestGroupBy(t *testing.T) {
	a, b, c := snap(t, "01", "2026-01-01 01:00:00", "x", "y"), snap(t, "02", "2026-01-02 01:00:00", "y", "x"), snap(t, "03", "2026-01-03 01:00:00")
	b.Version.Snapshot.Host = "other"
	c.Version.Snapshot.Paths = [][]byte{[]byte("/q"), []byte("/p")}
	for keys, want := range map[string]string{
		"host,paths": "host h, paths /p: 01 | host h, paths /p /q: 03 | host other, paths /p: 02",
		"host":       "host h: 01 03 | host other: 02",
		"tags":       "tags : 03 | tags x y: 01 02",
		"bucket,key": "bucket b, key k: 01 02 03",
		"":           ": 01 02 03",
	} {
		var by []string
		if keys != "" {
			by = strings.Split(keys, ",")
		}
		var got []string
		for _, g := range GroupBy([]*Snapshot{a, b, c}, by) {
			line := g.Name + ":"
			for _, s := range g.Snapshots {
				line += " " + s.ID()[:2]
			}
			got = append(got, line)
		}
		if text := strings.Join(got, " | "); text != want {
			t.Errorf("by %s: %s\nwant %s", keys, text, want)
		}
	}
}

// What is under a lock is not forgotten, and the result says so.
func TestForgetLocked(t *testing.T) {
	r := newTestRepo(t)
	dir := t.TempDir()
	write(t, dir+"/f", []byte("data"))
	var ids []string
	for range 3 {
		res, _ := saveTree(t, r, SaveOptions{Paths: []string{dir}})
		ids = append(ids, res.ID)
	}
	s, err := Find(r, ids[0], Filter{})
	noError(t, err)
	sess, err := r.Begin(t.Context())
	noError(t, err)
	noError(t, sess.End(t.Context(), editLock(s.Version, &index.Lock{Hold: true})))
	opt := ForgetOptions{GroupBy: []string{"host"}, Policy: Policy{Last: 1}}
	dry := opt
	dry.DryRun = true
	for i, o := range []ForgetOptions{dry, opt, {Snapshots: ids[:1]}} {
		res, err := Forget(t.Context(), r, o)
		noError(t, err)
		want := [3]int{1, 2, 1}
		if i == 2 {
			want = [3]int{0, 1, 1}
		}
		if got := [3]int{res.Forgot, res.Kept, res.Locked}; got != want {
			t.Errorf("run %d: forgot, kept, locked %v, want %v", i, got, want)
		}
	}
	all, err := List(r, Filter{})
	noError(t, err)
	if len(all) != 2 || all[0].ID() != ids[0] || all[1].ID() != ids[2] {
		t.Errorf("%d snapshots are left", len(all))
	}
}
