package lifecycle

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Tiers are the speeds of a restore.
const (
	Expedited = "Expedited"
	Fast      = "Standard" // the default
	Bulk      = "Bulk"
)

// delays are how long restores take at most, as Amazon documents them. A speed that is
// missing is not to be had.
var delays = map[string]map[string]time.Duration{
	Glacier:     {Expedited: 5 * time.Minute, Fast: 5 * time.Hour, Bulk: 12 * time.Hour},
	DeepArchive: {Fast: 12 * time.Hour, Bulk: 48 * time.Hour},
}

// Restore is a copy of an archived version that can be read for a while, or is being made.
// Times are whole seconds.
type Restore struct {
	Tier  string // Expedited, Fast or Bulk
	Days  int
	Ready time.Time // from when on it can be read
	Until time.Time // until when: the beginning of a day
}

// Running reports whether the copy is still being made.
func (r *Restore) Running(now time.Time) bool { return r != nil && now.Before(r.Ready) }

// Readable reports whether the copy is there.
func (r *Restore) Readable(now time.Time) bool {
	return r != nil && !now.Before(r.Ready) && now.Before(r.Until)
}

// String is the form that is stored, which ParseRestore reads.
func (r *Restore) String() string {
	return fmt.Sprintf("%s %d %s %s", r.Tier, r.Days, r.Ready.UTC().Format(time.RFC3339), r.Until.UTC().Format(time.RFC3339))
}

// ParseRestore reads what String returned; nil for "".
func ParseRestore(s string) (*Restore, error) {
	if s == "" {
		return nil, nil
	}
	f := strings.Fields(s)
	if len(f) != 4 {
		return nil, fmt.Errorf("state of a restore %q: want four words", s)
	}
	days, err := strconv.Atoi(f[1])
	if err != nil {
		return nil, fmt.Errorf("state of a restore %q: %w", s, err)
	}
	r := &Restore{Tier: f[0], Days: days}
	if r.Ready, err = time.Parse(time.RFC3339, f[2]); err == nil {
		r.Until, err = time.Parse(time.RFC3339, f[3])
	}
	if err != nil {
		return nil, fmt.Errorf("state of a restore %q: %w", s, err)
	}
	return r, nil
}

// Why a restore is refused.
var (
	ErrNotArchived = errors.New("the class is no archive")
	ErrRunning     = errors.New("a restore is running")
	ErrTier        = errors.New("the class has no such speed")
)

// MaxDays bounds how long a copy is asked for, so that every expiry can be written.
const MaxDays = 100 * 365

// Ask decides about the wish for a copy of a version of a class for a number of days. old
// is the one before, nil if there was none. begun tells a job, new or faster, from another
// expiry of a copy that is there. A first copy expires days after it is ready, and then at
// midnight; one that is there, days after now. A running job can only become faster.
// ErrNotArchived, ErrTier, ErrRunning.
func Ask(cal Calendar, class string, old *Restore, tier string, days int, now time.Time) (r *Restore, begun bool, err error) {
	speeds, ok := delays[class]
	if !ok {
		return nil, false, fmt.Errorf("class %s: %w", class, ErrNotArchived)
	}
	delay, ok := speeds[tier]
	if !ok {
		return nil, false, fmt.Errorf("class %s, tier %s: %w", class, tier, ErrTier)
	}
	switch {
	case old.Running(now):
		if days != old.Days || delay >= speeds[old.Tier] {
			return nil, false, fmt.Errorf("until %s: %w", old.Ready.Format(time.RFC3339), ErrRunning)
		}
		r = &Restore{Tier: tier, Days: days, Ready: cal.after(now, delay)}
		if r.Ready.After(old.Ready) {
			r.Ready = old.Ready // it was nearly there
		}
	case old.Readable(now):
		r = &Restore{Tier: old.Tier, Days: days, Ready: old.Ready, Until: cal.Due(now, days)}
		return r, false, nil
	default:
		r = &Restore{Tier: tier, Days: days, Ready: cal.after(now, delay)}
	}
	r.Until = cal.Due(r.Ready, days)
	return r, true, nil
}

// after is the whole second that is d after t, or the last one before; d is of a day of 24
// hours, and shrinks with the days of the calendar.
func (c Calendar) after(t time.Time, d time.Duration) time.Time {
	seconds := int64(d/time.Second) * c.seconds() / Calendar{}.seconds()
	return t.Add(time.Duration(seconds) * time.Second).Truncate(time.Second).UTC()
}
