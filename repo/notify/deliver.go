package notify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/firnstore/firn/repo/object"
)

// Options of Start. Of durations, zero is the default named.
type Options struct {
	Server  string             // ID of this server, of no other one that serves the repository
	Targets map[string]*Opened // by name
	Message func(*object.Event) []byte
	Log     func(string) // what an operator should know

	Poll        time.Duration // how often events of other servers are looked for; 1 s
	SettleAfter time.Duration // how long a confirmed event waits for its removal, to share a commit; 2 s
	Patience    time.Duration // how long another server may do nothing at first; 15 s
	CheckLimits time.Duration // how often; 1 min
	Sweep       time.Duration // how often events of unknown targets are looked at; 1 h
}

// Opened is a target with its limit.
type Opened struct {
	Target
	Kind  string
	Limit Limit
}

// Deliverer delivers the events of a repository until it is stopped.
type Deliverer struct {
	e        *object.Engine
	opt      Options
	couriers map[string]*courier
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex
	pending map[string]pendingCount // guarded by mu
}

type pendingCount struct {
	n  int
	at time.Time
}

// Start begins to deliver. Stop has to be called before the engine is closed; it closes the
// targets.
func Start(e *object.Engine, opt Options) *Deliverer {
	opt.Poll = cmp.Or(opt.Poll, time.Second)
	opt.SettleAfter = cmp.Or(opt.SettleAfter, 2*time.Second)
	opt.Patience = cmp.Or(opt.Patience, 15*time.Second)
	opt.CheckLimits = cmp.Or(opt.CheckLimits, time.Minute)
	opt.Sweep = cmp.Or(opt.Sweep, time.Hour)
	d := &Deliverer{e: e, opt: opt, couriers: map[string]*courier{}, pending: map[string]pendingCount{}}
	for name, t := range opt.Targets {
		d.couriers[name] = &courier{d: d, name: name, target: t.Target, limit: t.Limit, wake: make(chan struct{}, 1), retries: map[string]*retry{}}
	}
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	for _, c := range d.couriers {
		d.wg.Go(func() { c.run(ctx) })
	}
	d.wg.Go(func() { d.attend(ctx) })
	return d
}

// Stop ends delivery, removes what was confirmed, and lets other servers go on.
func (d *Deliverer) Stop() {
	d.cancel()
	d.wg.Wait()
	for _, t := range d.opt.Targets {
		t.Close()
	}
}

// now is the clock of the machine: its monotonic reading is what waits are measured by.
func (d *Deliverer) now() time.Time { return time.Now() }

// attend wakes the couriers when there are events, and looks after events of nobody.
func (d *Deliverer) attend(ctx context.Context) {
	tick := time.NewTicker(d.opt.Sweep)
	defer tick.Stop()
	d.trySweep(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.trySweep(ctx)
		case <-d.e.Told():
			for _, c := range d.couriers {
				select {
				case c.wake <- struct{}{}:
				default:
				}
			}
		}
	}
}

func (d *Deliverer) trySweep(ctx context.Context) {
	if err := d.sweep(ctx); err != nil && ctx.Err() == nil {
		d.opt.Log(fmt.Sprintf("look after events of unknown targets: %v", err))
	}
}

func (d *Deliverer) message(ev *object.Event) Message {
	return Message{ID: d.e.Repository().ID()[:16] + "-" + ev.Place.String(), Key: keyOf(ev), Name: ev.Name, Bucket: ev.Bucket,
		Time: time.Unix(0, ev.Time).UTC(), Body: d.opt.Message(ev)}
}

// Stats of a target since the start, and what waits for it now.
type Stats struct {
	Target    string
	Pending   int    // -1: not known
	Delivered uint64 // confirmed
	Failed    uint64 // attempts
	Dropped   uint64 // given up
}

// countEvery bounds how often pending events are counted, which costs a walk over them.
const countEvery = 10 * time.Second

// Stats returns those of all targets in the order of their names, and what waits for
// targets that this server does not know. Pending is up to ten seconds old.
func (d *Deliverer) Stats() (list []Stats) {
	names := slices.Collect(maps.Keys(d.couriers))
	if others, err := d.e.EventTargets(); err == nil { // an index that cannot be read is told of elsewhere
		names = append(names, others...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		s := Stats{Target: name, Pending: d.count(name)}
		if c := d.couriers[name]; c != nil {
			s.Delivered, s.Failed, s.Dropped = c.delivered.Load(), c.failed.Load(), c.dropped.Load()
		}
		list = append(list, s)
	}
	return list
}

func (d *Deliverer) count(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.pending[name]; ok && time.Since(p.at) < countEvery {
		return p.n
	}
	n, err := d.e.CountEvents(name, object.Place{})
	if err != nil {
		n = -1
	}
	d.pending[name] = pendingCount{n, time.Now()}
	return n
}
