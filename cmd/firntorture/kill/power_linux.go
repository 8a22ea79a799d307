package kill

import (
	"context"
	"errors"
	"time"
)

// Power takes the power from the disk of the repository at random moments under firn backup,
// forget, prune and serve s3: ext4 loses everything that was not synced, and is mounted
// again from its journal. The index lies elsewhere and stays.
func Power(ctx context.Context, opt Options) (*Score, error) {
	return onDisk(ctx, opt, func(dir string, n int) (*disk, error) { return newDisk(dir, n%2 == 1) }, powerCycle)
}

func powerCycle(ctx context.Context, w *world, d *disk) error {
	var err error
	if w.rng.IntN(5) == 0 && len(w.saved) > 0 {
		err = w.powerServer(ctx, d)
	} else {
		err = w.powerCommand(d)
	}
	if err != nil {
		return err
	}
	return w.sound(ctx)
}

// powerCommand takes the power while a command writes, or when it has just ended.
func (w *world) powerCommand(d *disk) error {
	p, err := w.writer()
	if err != nil {
		return err
	}
	m := w.moment(p.verb)
	defer m.stop()
	if err := p.start(); err != nil {
		return err
	}
	done := make(chan struct{})
	var o outcome
	go func() {
		o, err = p.end()
		close(done)
	}()
	select {
	case <-done:
	case <-m.c:
	}
	w.score.blow(p.verb)
	if cerr := d.cut(); cerr != nil {
		return cerr
	}
	<-done
	if err != nil {
		return err
	}
	w.acknowledged(o)
	if w.took[p.verb] == 0 || o.code == 0 {
		w.took[p.verb] = (3*w.took[p.verb] + o.took) / 4
	}
	return w.powerOn(d)
}

// powerOn mounts the disk again, which replays its journal.
func (w *world) powerOn(d *disk) error {
	if err := d.detach(); err != nil {
		return err
	}
	return d.attach()
}

// powerServer takes the power while clients write to a server. It need not survive that, but
// what it acknowledged has to.
func (w *world) powerServer(ctx context.Context, d *disk) error {
	s, err := w.serve(ctx)
	if err != nil {
		return err
	}
	if err := s.compare(ctx, true); err != nil {
		return errors.Join(err, w.killServer(s))
	}
	s.mayFail = true
	written := s.stream(ctx)
	time.Sleep(time.Duration(w.rng.Float64() * float64(longestStream)))
	if err := d.cut(); err != nil {
		return errors.Join(err, w.killServer(s))
	}
	time.Sleep(10 * time.Millisecond) // so that requests meet a dead disk
	if err := errors.Join(w.killServer(s), <-written); err != nil {
		return err
	}
	return w.powerOn(d)
}
