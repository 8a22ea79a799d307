package notify

import (
	"context"
	"errors"
	"time"

	"github.com/firnstore/firn/repo/object"
)

// One of several servers delivers to a target. Who it is stands in the repository; clocks of
// different machines are not compared. Another server takes over when, by its own clock,
// nothing has happened for a while though events wait: the row is the same and so is the
// oldest event. While a target is down that would go to and fro, so the wait doubles
// with each change of hands until an event is confirmed. Two servers that deliver at the same
// time for a moment do no harm but for events that come twice.

// maxPatience bounds the wait.
const maxPatience = 15 * time.Minute

// watch is what a courier saw of another server's work, and since when.
type watch struct {
	delivery object.Delivery
	oldest   object.Place
	since    time.Time
}

// patience is how long another server may do nothing.
func patience(d object.Delivery, first time.Duration) time.Duration {
	for range max(d.Idle, 1) - 1 {
		if first *= 2; first >= maxPatience {
			return maxPatience
		}
	}
	return first
}

// see notes what is to be seen now and reports whether it has been the same for too long.
func (w *watch) see(d object.Delivery, oldest object.Place, now time.Time, first time.Duration) bool {
	if w.delivery != d || w.oldest != oldest || w.since.IsZero() {
		*w = watch{delivery: d, oldest: oldest, since: now}
	}
	return d.Server == "" || now.Sub(w.since) >= patience(d, first)
}

// mine reports whether this server delivers, after taking over if it is time. With no
// event to deliver it does not matter, and nobody writes anything.
func (c *courier) mine(ctx context.Context, now time.Time) (bool, error) {
	seen, err := c.d.e.Delivery(c.name)
	if err != nil {
		return false, err
	}
	if seen.Server == c.d.opt.Server {
		return true, nil
	}
	var oldest object.Place
	err = c.d.e.Events(c.name, object.Place{}, func(ev *object.Event) bool { oldest = ev.Place; return false })
	if err != nil || oldest == (object.Place{}) || !c.watch.see(seen, oldest, now, c.d.opt.Patience) {
		return false, err
	}
	err = c.d.e.TakeDelivery(ctx, c.name, c.d.opt.Server, seen)
	if errors.Is(err, object.ErrTaken) {
		return false, nil
	}
	return err == nil, err
}

// letGo lets another server take over at once.
func (c *courier) letGo(ctx context.Context) {
	seen, err := c.d.e.Delivery(c.name)
	if err == nil && seen.Server == c.d.opt.Server {
		err = c.d.e.TakeDelivery(ctx, c.name, "", seen)
	}
	if err != nil && !errors.Is(err, object.ErrTaken) {
		c.complain(err)
	}
}
