package lifecycle

import (
	"errors"
	"testing"
	"time"
)

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestAsk(t *testing.T) {
	const asked = "2026-01-15 10:30:00"
	running := &Restore{Tier: Bulk, Days: 3, Ready: at("2026-01-15 20:00:00"), Until: at("2026-01-19 00:00:00")}
	soon := &Restore{Tier: Bulk, Days: 3, Ready: at("2026-01-15 10:31:00"), Until: at("2026-01-19 00:00:00")}
	there := &Restore{Tier: Fast, Days: 30, Ready: at("2026-01-10 00:00:00"), Until: at("2026-02-10 00:00:00")}
	gone := &Restore{Tier: Bulk, Days: 1, Ready: at("2026-01-10 00:00:00"), Until: at("2026-01-15 10:30:00")}
	cases := []struct {
		name, class string
		old         *Restore
		tier        string
		days        int
		day         time.Duration
		want        string // of the restore that follows
		begun       bool
		err         error
	}{
		{"standard", Glacier, nil, Fast, 3, 0, "Standard 3 2026-01-15T15:30:00Z 2026-01-19T00:00:00Z", true, nil},
		{"completion decides about the expiry", Glacier, nil, Bulk, 1, 0, "Bulk 1 2026-01-15T22:30:00Z 2026-01-17T00:00:00Z", true, nil},
		{"ready behind midnight", DeepArchive, nil, Bulk, 1, 0, "Bulk 1 2026-01-17T10:30:00Z 2026-01-19T00:00:00Z", true, nil},
		{"expedited", Glacier, nil, Expedited, 1, 0, "Expedited 1 2026-01-15T10:35:00Z 2026-01-17T00:00:00Z", true, nil},
		{"deep", DeepArchive, nil, Fast, 1, 0, "Standard 1 2026-01-15T22:30:00Z 2026-01-17T00:00:00Z", true, nil},
		{"no such speed", DeepArchive, nil, Expedited, 1, 0, "", false, ErrTier},
		{"unknown speed", Glacier, nil, "Fast", 1, 0, "", false, ErrTier},
		{"no archive", StandardIA, nil, Fast, 1, 0, "", false, ErrNotArchived},
		{"instant", GlacierIR, nil, Fast, 1, 0, "", false, ErrNotArchived},
		{"running, same speed", Glacier, running, Bulk, 3, 0, "", false, ErrRunning},
		{"running, faster", Glacier, running, Fast, 3, 0, "Standard 3 2026-01-15T15:30:00Z 2026-01-19T00:00:00Z", true, nil},
		{"running, faster, other days", Glacier, running, Fast, 4, 0, "", false, ErrRunning},
		{"running, slower", Glacier, &Restore{Tier: Fast, Days: 3, Ready: running.Ready}, Bulk, 3, 0, "", false, ErrRunning},
		{"running, faster is never later", Glacier, soon, Fast, 3, 0, "Standard 3 2026-01-15T10:31:00Z 2026-01-19T00:00:00Z", true, nil},
		{"there, shorter, from now", Glacier, there, Bulk, 2, 0, "Standard 2 2026-01-10T00:00:00Z 2026-01-18T00:00:00Z", false, nil},
		{"gone", Glacier, gone, Expedited, 2, 0, "Expedited 2 2026-01-15T10:35:00Z 2026-01-18T00:00:00Z", true, nil},
		{"short days", Glacier, nil, Fast, 2, 10 * time.Second, "Standard 2 2026-01-15T10:30:02Z 2026-01-15T10:30:30Z", true, nil},
		{"very long", Glacier, nil, Expedited, MaxDays, 0, "Expedited 36500 2026-01-15T10:35:00Z 2125-12-23T00:00:00Z", true, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, begun, err := Ask(Calendar{c.day}, c.class, c.old, c.tier, c.days, at(asked))
			if !errors.Is(err, c.err) || begun != c.begun {
				t.Fatalf("begun %v, %v; want %v, %v", begun, err, c.begun, c.err)
			}
			if err != nil {
				return
			}
			if r.String() != c.want {
				t.Errorf("\n got %s\nwant %s", r, c.want)
			}
			again, err := ParseRestore(r.String())
			if err != nil || *again != *r {
				t.Errorf("%s is read as %v, %v", r, again, err)
			}
		})
	}
}

func TestRestoreState(t *testing.T) {
	r := &Restore{Ready: at("2026-01-15 15:30:00"), Until: at("2026-01-19 00:00:00")}
	for _, c := range []struct {
		now               string
		running, readable bool
	}{
		{"2026-01-15 15:29:59", true, false}, {"2026-01-15 15:30:00", false, true},
		{"2026-01-18 23:59:59", false, true}, {"2026-01-19 00:00:00", false, false},
	} {
		if a, b := r.Running(at(c.now)), r.Readable(at(c.now)); a != c.running || b != c.readable {
			t.Errorf("at %s: running %v, readable %v", c.now, a, b)
		}
	}
	var none *Restore
	if none.Running(at("2026-01-15 00:00:00")) || none.Readable(at("2026-01-15 00:00:00")) {
		t.Error("none is running or readable")
	}
	for _, bad := range []string{"x", "Bulk x 2026-01-15T15:30:00Z 2026-01-19T00:00:00Z", "Bulk 1 today 2026-01-19T00:00:00Z", "Bulk 1 2026-01-19T00:00:00Z never"} {
		if r, err := ParseRestore(bad); err == nil {
			t.Errorf("%q is read as %v", bad, r)
		}
	}
}
