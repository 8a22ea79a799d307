package kill

import (
	"time"
)

const (
	eventShare = 2  // every second blow comes at an event in the repository, where that can be seen
	maxEvents  = 24 // the last of them at which one comes
	overshoot  = 1.25
)

// moment is when a process is killed: when c can be received from.
type moment struct {
	c    <-chan time.Time
	stop func()
}

// moment picks one: at the n-th change of a directory of the repository, when what was
// just written is what matters, or at any time while such a command usually runs.
func (w *world) moment(verb string) moment {
	if w.rng.IntN(eventShare) == 0 {
		if m, ok := atEvent(w.repo, 1+w.rng.IntN(maxEvents)); ok {
			return m
		}
	}
	usual := w.took[verb]
	if usual == 0 {
		usual = firstGuess
	}
	t := time.NewTimer(time.Duration(w.rng.Float64() * overshoot * float64(usual)))
	return moment{t.C, func() { t.Stop() }}
}

// strike starts a command and kills it at a moment. Its exit code is
// -1 when it was not done by then.
func (w *world) strike(p *process) (o outcome, err error) {
	m := w.moment(p.verb)
	defer m.stop()
	if err := p.start(); err != nil {
		return o, err
	}
	type result struct {
		outcome
		err error
	}
	done := make(chan result, 1)
	go func() {
		o, err := p.end()
		done <- result{o, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-m.c:
		_ = p.Process.Kill()
		r = <-done
	}
	if r.err != nil {
		return r.outcome, r.err
	}
	if r.code == -1 {
		w.score.blow(p.verb)
		return r.outcome, nil
	}
	if r.code != 0 {
		return r.outcome, breaks(failed, "firn %s: exit code %d: %s%s", p.verb, r.code, short(r.out), short(r.errs))
	}
	w.score.count(&w.score.Runs, 1)
	if w.took[p.verb] == 0 {
		w.took[p.verb] = r.took
	}
	w.took[p.verb] = (3*w.took[p.verb] + r.took) / 4
	return r.outcome, nil
}
