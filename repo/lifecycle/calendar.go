package lifecycle

import "time"

// Calendar says how long a day is. The zero value has the days of UTC. Shorter days are for
// trials; they begin at multiples of their length since 1970.
type Calendar struct{ Day time.Duration } // whole seconds; 0 is 24 hours

// seconds of a day.
func (c Calendar) seconds() int64 {
	if c.Day <= 0 {
		return 24 * 60 * 60
	}
	return max(1, int64(c.Day/time.Second))
}

// Length of a day.
func (c Calendar) Length() time.Duration { return time.Duration(c.seconds()) * time.Second }

// Start is when the day of t began, in UTC.
func (c Calendar) Start(t time.Time) time.Time {
	day, unix := c.seconds(), t.Unix()
	into := unix % day
	if into < 0 {
		into += day
	}
	return time.Unix(unix-into, 0).UTC()
}

// Due is when something is to happen days after t: at the beginning of the day that follows.
func (c Calendar) Due(t time.Time, days int) time.Time {
	return time.Unix(c.Start(t).Unix()+(int64(days)+1)*c.seconds(), 0).UTC()
}
