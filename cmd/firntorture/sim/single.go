package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
)

// singleFaults are those that meet one call of an operation that runs alone.
var singleFaults = []fault{failBefore, failAfter, diskFull, twice, killBefore, killAfter, cutBefore, cutAfter}

// alone is a process that runs without others, on a disk of its own, and whose n-th call
// meets a fault.
type alone struct {
	l     *life
	m     *plain
	calls int
	at    int // the call that meets the fault, from 1; 0: none
	fault fault
	met   bool
	rng   *rand.Rand
}

// call counts, and injects the fault when its time has come.
func (a *alone) call(op op, name string, do func() error) error {
	if a.l.dead.Load() {
		return errKilled
	}
	if op == opTurn {
		return do()
	}
	a.calls++
	if a.calls != a.at || !a.fault.fits(op) {
		return do()
	}
	a.met = true
	w := a.l.p.w
	w.res.Faults[string(a.fault)]++
	w.trace(fmt.Sprintf("single fault at call %d, %s %s: %s", a.calls, op, name, a.fault))
	switch a.fault {
	case failBefore:
		return errMedium
	case diskFull:
		return errFull
	case failAfter:
		if err := do(); err != nil {
			return err
		}
		return errMedium
	case twice:
		err := do()
		if again := do(); err == nil {
			err = again
		}
		return err
	case killAfter, cutAfter:
		_ = do()
	}
	a.l.dead.Store(true)
	if a.fault == cutBefore || a.fault == cutAfter {
		a.m.d = a.m.d.crash(a.rng)
	}
	return errKilled
}

// task is an operation that runs alone.
type task struct {
	name string
	do   func(l *life, r *repo.Repository) error
}

// tasks are all operations that change something, those of clients in an engine of their own.
func tasks() (list []task) {
	for _, c := range commands {
		if c.name != "check" && c.name != "restore" {
			list = append(list, task{c.name, c.do})
		}
	}
	for _, q := range requests {
		if q.name == "get" || q.name == "refresh" {
			continue
		}
		list = append(list, task{q.name, func(l *life, r *repo.Repository) error {
			e, err := object.Open(context.Background(), r, object.Options{Refresh: -1, Uploads: 2})
			if err != nil {
				return err
			}
			c := &client{l: l, e: e, rng: newLocked(l.p.w.res.Seed, 3000, uint64(l.no))}
			return errors.Join(q.do(c), e.Close(context.Background()))
		}})
	}
	return list
}

// singles repeats an operation, each time from the state at the end of the history, with a
// fault in each of its calls in turn; then another one, until there were enough runs.
func (w *world) singles() error {
	w.calm, w.ended = false, true
	w.procs = nil
	p := &proc{w: w, no: 9, name: "solo", id: w.id, tree: tree{}}
	end, model := w.d, w.model
	list := tasks()
	for runs := 0; runs < w.opt.Singles; {
		t := list[w.rng.IntN(len(list))]
		seed, f := w.rng.Uint64(), singleFaults[w.rng.IntN(len(singleFaults))]
		for n := 1; runs < w.opt.Singles; n++ {
			met, err := w.single(p, t, end.clone(), model.clone(w.step.Load), &alone{at: n, fault: f, rng: w.crng}, seed)
			if err != nil {
				return err
			}
			if !met {
				break
			}
			runs++
			w.res.SingleRuns++
			n += w.rng.IntN(2)
			f = singleFaults[w.rng.IntN(len(singleFaults))]
		}
	}
	return nil
}

// single is one run of a task with a fault. It reports whether the task made so many calls.
func (w *world) single(p *proc, t task, d *disk, m *model, a *alone, seed uint64) (met bool, err error) {
	w.d, w.model = d, m
	w.step.Add(1)
	a.m = newPlain(d, w.far)
	a.m.hook = a.call
	cache, err := w.keep(w.rng.IntN(4) > 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(cache) }()
	p.lives++
	a.l = &life{p: p, no: p.lives, alone: a, rng: rand.New(rand.NewPCG(seed, 1)), opt: w.options(cache, uint64(p.lives))}
	a.l.opt.BootID = "boot"
	w.trace(fmt.Sprintf("%s alone", t.name))
	first := a.l.perform(t)
	if first != nil && !a.met && !expected(first) {
		return false, bad(Damaged, "%s without a fault: %w", t.name, first)
	}
	if err := w.failed(); err != nil {
		return false, err
	}
	w.d = a.m.d
	w.step.Add(1)
	if a.met && w.rng.IntN(4) == 0 {
		if err := w.again(p, t, cache); err != nil {
			return false, err
		}
	}
	if !w.far && w.rng.IntN(2) == 0 {
		w.trace("then the power goes")
		w.d = w.d.crash(w.crng)
	}
	return a.calls >= a.at, w.verify(w.d, m, w.rng.IntN(20) == 0, true)
}

// again does the task after the fault, without one, with the index that was left: it succeeds.
func (w *world) again(p *proc, t task, cache string) error {
	p.lives++
	a := &alone{m: newPlain(w.d, w.far)}
	a.m.hook = a.call
	a.l = &life{p: p, no: p.lives, alone: a, rng: rand.New(rand.NewPCG(w.rng.Uint64(), 1)), opt: w.options(cache, uint64(p.lives))}
	a.l.opt.BootID = "another boot"
	w.trace(fmt.Sprintf("%s again", t.name))
	if err := a.l.perform(t); err != nil && !expected(err) {
		return bad(Damaged, "%s after a fault: %w", t.name, err)
	}
	return w.failed()
}

// perform opens the repository, does the task, and closes it.
func (l *life) perform(t task) error {
	r, err := l.open()
	if err != nil {
		return err
	}
	err = t.do(l, r)
	l.judge(t.name, err)
	return errors.Join(err, r.Close())
}
