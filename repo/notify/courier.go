package notify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/firnstore/firn/repo/object"
)

// Bounds of what a courier does at a time.
const (
	maxHeld    = 1024             // events in memory
	maxWave    = 128              // messages of one Send
	sendWait   = 30 * time.Second // for one Send
	settleSize = 512              // confirmed events that are removed at the latest then
)

// courier delivers the events of one target. Its methods are called by one goroutine.
type courier struct {
	d      *Deliverer
	name   string
	target Target
	limit  Limit
	wake   chan struct{}

	cursor    object.Place // events up to here were read
	held      []*object.Event
	retries   map[string]*retry // by key; of those that were refused while others were taken
	confirmed []object.Place    // not removed yet
	since     time.Time         // of the first of them
	failures  int               // rounds in a row in which nothing was taken
	next      time.Time         // not before
	lastErr   string            // told to the log
	watch     watch
	checked   time.Time // of limits

	delivered, failed, dropped atomic.Uint64
}

// retry is when the oldest event of a key may be sent again.
type retry struct {
	attempts int
	next     time.Time
}

// backoff is how long to wait after n failures in a row: from 200 ms, doubled each time, to
// 30 s, of which a random half is left out so that servers do not come back together. r is
// in [0, 1).
func backoff(n int, r float64) time.Duration {
	const first, most = 200 * time.Millisecond, 30 * time.Second
	d := most
	if n < 9 {
		d = min(first<<max(n-1, 0), most)
	}
	return time.Duration(float64(d) * (0.5 + r/2))
}

// run delivers until ctx ends, and then settles what was confirmed.
func (c *courier) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := c.step(ctx)
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendWait)
	defer cancel()
	c.settle(last)
	c.letGo(last)
}

// step does one round and returns how long there is nothing to do, unless somebody wakes
// the courier.
func (c *courier) step(ctx context.Context) time.Duration {
	now := c.d.now()
	if now.Sub(c.since) >= c.d.opt.SettleAfter || len(c.confirmed) >= settleSize {
		c.settle(ctx)
	}
	mine, err := c.mine(ctx, now)
	if err != nil {
		c.complain(fmt.Errorf("who delivers to target %s: %w", c.name, err))
		return c.d.opt.Poll
	}
	if !mine {
		c.forget()
		return c.idle()
	}
	if now.Sub(c.checked) >= c.d.opt.CheckLimits {
		c.checked = now
		c.enforce(ctx)
	}
	if err := c.read(); err != nil {
		c.complain(fmt.Errorf("read events of target %s: %w", c.name, err))
		return c.d.opt.Poll
	}
	if wait := c.next.Sub(now); wait > 0 {
		return min(wait, c.idle())
	}
	wave, soonest := due(c.held, c.retries, now)
	if len(wave) == 0 {
		if soonest.IsZero() {
			return c.idle()
		}
		return min(soonest.Sub(now), c.idle())
	}
	c.send(ctx, wave)
	return 0
}

// idle is how long a courier with nothing to send sleeps: until confirmed events are due to be
// removed, or until it looks for events of other servers.
func (c *courier) idle() time.Duration {
	if len(c.confirmed) == 0 {
		return c.d.opt.Poll
	}
	return max(min(c.d.opt.Poll, c.since.Add(c.d.opt.SettleAfter).Sub(c.d.now())), time.Millisecond)
}

// read takes up events that lie behind those it has.
func (c *courier) read() error {
	room := maxHeld - len(c.held)
	if room == 0 {
		return nil
	}
	return c.d.e.Events(c.name, c.cursor, func(ev *object.Event) bool {
		c.held = append(c.held, ev)
		c.cursor = ev.Place
		room--
		return room > 0
	})
}

// due chooses what to send now of events in their order: of each key the oldest, unless it has
// to wait. It returns their indexes, and when the first of those that wait may be sent.
func due(held []*object.Event, retries map[string]*retry, now time.Time) (wave []int, soonest time.Time) {
	seen := map[string]bool{}
	for i, ev := range held {
		key := keyOf(ev)
		if seen[key] {
			continue
		}
		seen[key] = true
		if r := retries[key]; r != nil && r.next.After(now) {
			if soonest.IsZero() || r.next.Before(soonest) {
				soonest = r.next
			}
			continue
		}
		if wave = append(wave, i); len(wave) == maxWave {
			break
		}
	}
	return wave, soonest
}

func keyOf(ev *object.Event) string { return ev.Bucket + "/" + string(ev.Key) }

// send sends the events of a wave and takes note of what became of them.
func (c *courier) send(ctx context.Context, wave []int) {
	list := make([]Message, len(wave))
	for i, at := range wave {
		list[i] = c.d.message(c.held[at])
	}
	ctx, cancel := context.WithTimeout(ctx, sendWait)
	errs := c.target.Send(ctx, list)
	cancel()
	now := c.d.now()
	var failed error
	taken := 0
	gone := map[int]bool{}
	for i, at := range wave {
		if errs[i] != nil {
			failed = errs[i]
			continue
		}
		taken++
		gone[at] = true
		if len(c.confirmed) == 0 {
			c.since = now
		}
		c.confirmed = append(c.confirmed, c.held[at].Place)
		delete(c.retries, list[i].Key)
	}
	c.delivered.Add(uint64(taken))
	c.failed.Add(uint64(len(wave) - taken))
	if taken == 0 {
		c.failures++
		c.next = now.Add(backoff(c.failures, rand.Float64()))
	} else {
		c.failures, c.next = 0, time.Time{}
		c.postpone(wave, list, errs, now)
	}
	c.hold(gone)
	c.report(failed, taken)
}

// postpone lets what was refused wait while other events go on.
func (c *courier) postpone(wave []int, list []Message, errs []error, now time.Time) {
	for i := range wave {
		if errs[i] == nil {
			continue
		}
		r := c.retries[list[i].Key]
		if r == nil {
			r = &retry{}
			c.retries[list[i].Key] = r
		}
		r.attempts++
		r.next = now.Add(backoff(r.attempts, rand.Float64()))
	}
}

// hold keeps what is not gone.
func (c *courier) hold(gone map[int]bool) {
	rest := c.held[:0]
	for i, ev := range c.held {
		if !gone[i] {
			rest = append(rest, ev)
		}
	}
	clear(c.held[len(rest):])
	c.held = rest
}

// report tells the log when a target begins to fail, and when it recovers.
func (c *courier) report(failed error, taken int) {
	switch {
	case failed != nil && taken == 0:
		c.complain(fmt.Errorf("target %s does not take events, which wait: %w", c.name, failed))
	case failed != nil:
		c.complain(fmt.Errorf("target %s refuses some events, which wait: %w", c.name, failed))
	case c.lastErr != "":
		c.lastErr = ""
		c.d.opt.Log(fmt.Sprintf("target %s takes events again", c.name))
	}
}

// complain tells the log once of each error in a row.
func (c *courier) complain(err error) {
	if text := strings.Join(strings.Fields(err.Error()), " "); text != c.lastErr { // some take several lines
		c.lastErr = text
		c.d.opt.Log(text)
	}
}

// settle removes what was confirmed. What cannot be removed now is tried again later.
func (c *courier) settle(ctx context.Context) {
	if len(c.confirmed) == 0 {
		return
	}
	if err := c.d.e.Settle(ctx, c.name, c.confirmed); err != nil {
		c.since = c.d.now()
		c.complain(fmt.Errorf("remove events that target %s has confirmed: %w", c.name, err))
		return
	}
	c.confirmed = c.confirmed[:0]
}

// forget drops what was read but not sent: somebody else delivers it.
func (c *courier) forget() {
	c.held, c.cursor, c.retries = nil, object.Place{}, map[string]*retry{}
	c.failures, c.next = 0, time.Time{}
}
