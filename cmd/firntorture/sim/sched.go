package sim

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"
	"time"
)

// call is a step of a call of a store, waiting to be granted.
type call struct {
	l    *life
	op   op
	name string
	do   func() error
	err  error
	done chan struct{}
}

// call implements medium: it waits until the scheduler has carried the step out.
func (l *life) call(op op, name string, do func() error) error {
	if l.alone != nil {
		return l.alone.m.call(op, name, do)
	}
	if l.dead.Load() {
		return errKilled
	}
	c := &call{l: l, op: op, name: name, do: do, done: make(chan struct{})}
	w := l.p.w
	w.mu.Lock()
	w.ready = append(w.ready, c)
	w.mu.Unlock()
	<-c.done
	return c.err
}

func (l *life) remote() bool { return l.p.w.far }

func (l *life) disk() *disk {
	if l.alone != nil {
		return l.alone.m.d
	}
	return l.p.w.d
}

// answer lets the caller go on.
func (c *call) answer(err error) {
	c.err = err
	close(c.done)
}

// maxStall is how long the simulation waits, in real time, for a world in which nothing
// moves. Code that waits for a timer of its own moves after some milliseconds.
const maxStall = 20 * time.Second

// schedule grants calls until every process has done its work.
func (w *world) schedule() error {
	var stalled time.Time
	for {
		w.q.wait()
		if err := w.failed(); err != nil {
			return err
		}
		if w.reap() {
			continue // somebody was started
		}
		if w.over() {
			return nil
		}
		c := w.choose()
		if c == nil {
			if stalled.IsZero() {
				stalled = time.Now()
			} else if time.Since(stalled) > maxStall {
				return bad(Hang, "nothing moves any more\n%s", stacks())
			}
			time.Sleep(200 * time.Microsecond)
			continue
		}
		stalled = time.Time{}
		w.step.Add(1)
		if w.step.Load() > w.opt.MaxSteps {
			return bad(Hang, "the work is not done after %d steps", w.opt.MaxSteps)
		}
		w.now.Add(w.rng.Int64N(int64(20 * time.Millisecond)))
		w.deliver()
		w.grant(c)
		if err := w.draw(); err != nil {
			return err
		}
	}
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

// choose takes one of the calls that wait. It stays with a process for a while, or not at
// all, as the seed has it; a process that is held back waits until no other can go on.
func (w *world) choose() *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 0; i < len(w.ready); i++ {
		if c := w.ready[i]; c.l.dead.Load() {
			w.ready = slices.Delete(w.ready, i, i+1)
			i--
			c.answer(errKilled)
		}
	}
	if len(w.ready) == 0 {
		return nil
	}
	slices.SortStableFunc(w.ready, func(a, b *call) int {
		return cmp.Or(cmp.Compare(a.l.p.no, b.l.p.no), cmp.Compare(a.name, b.name), cmp.Compare(a.op, b.op))
	})
	var free []int
	for i, c := range w.ready {
		if c.l.held <= w.step.Load() {
			free = append(free, i)
		}
	}
	if len(free) == 0 {
		for i := range w.ready {
			free = append(free, i)
		}
	}
	if w.rng.Float64() < w.stick {
		same := slices.DeleteFunc(slices.Clone(free), func(i int) bool { return w.ready[i].l.p != w.last })
		if len(same) > 0 {
			free = same
		}
	}
	i := free[w.rng.IntN(len(free))]
	c := w.ready[i]
	w.ready = slices.Delete(w.ready, i, i+1)
	w.last = c.l.p
	return c
}

// grant carries a call out, or what goes wrong instead.
func (w *world) grant(c *call) {
	f := w.fault(c)
	w.note(c, f)
	switch f {
	case noFault:
		c.answer(c.do())
	case failBefore:
		c.answer(errMedium)
	case diskFull:
		c.answer(errFull)
	case failAfter:
		err := c.do()
		if err == nil {
			err = errMedium
		}
		c.answer(err)
	case twice:
		err := c.do()
		if again := c.do(); err == nil {
			err = again
		}
		c.answer(err)
	case killBefore, killAfter:
		if f == killAfter {
			_ = c.do()
		}
		w.kill(c.l)
		c.answer(errKilled)
	case cutBefore, cutAfter:
		if f == cutAfter {
			_ = c.do()
		}
		w.cut()
		c.answer(errKilled)
	case hold:
		c.l.held = w.step.Load() + 1 + int64(w.frng.IntN([]int{20, 60, 400}[w.frng.IntN(3)]))
		w.mu.Lock()
		w.ready = append(w.ready, c)
		w.mu.Unlock()
	case jump:
		c.l.p.jump(w.frng)
		c.answer(c.do())
	}
}

// note adds a line to the trace.
func (w *world) note(c *call, f fault) {
	line := fmt.Sprintf("%d %s.%d %s %s", w.step.Load(), c.l.p.name, c.l.no, c.op, c.name)
	if f != noFault {
		line += " ! " + string(f)
	}
	w.trace(line)
}

// trace adds a line. It is called while nothing else runs.
func (w *world) trace(line string) {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", w.res.Hash, line)
	w.res.Hash = h.Sum64()
	w.lines = append(w.lines, line)
	if n := w.opt.TraceLines; n > 0 && len(w.lines) > 2*n {
		w.lines = slices.Delete(w.lines, 0, len(w.lines)-n)
	}
}
