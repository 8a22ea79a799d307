package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/firnstore/firn/repo/object"
)

// Limit says when events of a target are given up, oldest first.
type Limit struct {
	Age   time.Duration // of an event
	Count int           // that wait
}

// Limits of what may be chosen, which hold for events of targets that no server knows.
const (
	MaxAge   = 30 * 24 * time.Hour
	MaxCount = 10_000_000
)

// DefaultLimit is that of a target that has none.
var DefaultLimit = Limit{Age: 7 * 24 * time.Hour, Count: 1_000_000}

// dropBatch bounds the events that are given up by one commit.
const dropBatch = 4096

// drop gives up what is beyond the limit of a target, oldest first, and returns how many
// events that were.
func drop(ctx context.Context, e *object.Engine, target string, l Limit, now time.Time) (n int, err error) {
	count, err := e.CountEvents(target, object.Place{})
	if err != nil || count == 0 {
		return 0, err
	}
	over, before := count-l.Count, now.Add(-l.Age).UnixNano()
	for {
		var list []object.Place
		err := e.Events(target, object.Place{}, func(ev *object.Event) bool {
			if n+len(list) >= over && ev.Time >= before || len(list) == dropBatch {
				return false
			}
			list = append(list, ev.Place)
			return true
		})
		if err != nil || len(list) == 0 {
			return n, err
		}
		if err := e.Settle(ctx, target, list); err != nil {
			return n, err
		}
		n += len(list)
	}
}

// enforce gives up what is beyond the limit of the target.
func (c *courier) enforce(ctx context.Context) {
	c.settle(ctx)
	n, err := drop(ctx, c.d.e, c.name, c.limit, c.d.e.Now())
	if n > 0 {
		c.dropped.Add(uint64(n))
		c.forget() // what was read may be gone
		c.d.opt.Log(fmt.Sprintf("%d events for target %s are given up: older than %s, or more than %d", n, c.name, c.limit.Age, c.limit.Count))
	}
	if err != nil {
		c.complain(fmt.Errorf("limits of target %s: %w", c.name, err))
	}
}

// sweep looks after events of targets that this server does not know: it says that they
// wait, and bounds them.
func (d *Deliverer) sweep(ctx context.Context) error {
	names, err := d.e.EventTargets()
	if err != nil {
		return err
	}
	for _, name := range names {
		if d.couriers[name] != nil {
			continue
		}
		dropped, err := drop(ctx, d.e, name, Limit{Age: MaxAge, Count: MaxCount}, d.e.Now())
		if err != nil {
			return err
		}
		n, err := d.e.CountEvents(name, object.Place{})
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%d events wait for target %s, which this server does not know", n, name)
		if dropped > 0 {
			text += fmt.Sprintf("; %d older ones are given up", dropped)
		}
		if n+dropped > 0 {
			d.opt.Log(text)
		}
	}
	return nil
}
