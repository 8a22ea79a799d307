package kill

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

const noSpace = "no space left on device"

// Fill lets the disk of the repository run full under firn backup, forget, prune and serve
// s3: each either works or says so, nothing is lost, and with space everything goes on.
func Fill(ctx context.Context, opt Options) (*Score, error) {
	return onDisk(ctx, opt, func(dir string, _ int) (*disk, error) {
		d, err := newDisk(dir, false)
		if errors.Is(err, errNoDisk) {
			return newMemoryDisk(dir)
		}
		return d, err
	}, fullCycle)
}

// enoughSpace is more than any command of these worlds needs.
const enoughSpace = 8 << 20

func fullCycle(ctx context.Context, w *world, d *disk) error {
	own := w.cache
	if w.rng.IntN(3) == 0 { // the index lies on the full disk, too
		w.cache = filepath.Join(d.path, "cache")
	}
	var err error
	if w.rng.IntN(4) == 0 && len(w.saved) > 0 {
		err = w.fullServer(ctx, d)
	} else {
		err = w.fullCommand(ctx, d, w.cache == own)
	}
	if err := errors.Join(err, d.drain()); err != nil {
		return err
	}
	if err := w.compareList(ctx); err != nil { // with the index that was left
		return err
	}
	if w.cache != own {
		if err := os.RemoveAll(w.cache); err != nil {
			return err
		}
		w.cache = own
	}
	if err := w.sound(ctx); err != nil {
		return err
	}
	free, err := d.free()
	if err != nil {
		return err
	}
	if w.worn = free < enoughSpace; w.worn {
		return nil
	}
	p, err := w.backup()
	if err != nil {
		return err
	}
	o, err := w.must(ctx, p.Args[1:]...)
	if err == nil {
		w.acknowledged(o)
	}
	return err
}

// fullCommand runs a command that writes, with little space.
func (w *world) fullCommand(ctx context.Context, d *disk, indexElsewhere bool) error {
	p, err := w.writer()
	if err != nil {
		return err
	}
	if err := d.fill(w.roomToLeave()); err != nil {
		return err
	}
	if err := p.start(); err != nil {
		return err
	}
	o, err := p.end()
	if err != nil {
		return err
	}
	w.acknowledged(o)
	if o.code == 0 {
		return nil // there was enough
	}
	w.score.blow(p.verb)
	if o.code != 1 || !bytes.Contains(o.errs, []byte(noSpace)) {
		return breaks(failed, "firn %s on a full disk: exit code %d: %s", p.verb, o.code, short(o.errs))
	}
	if !indexElsewhere {
		return nil // nothing can be folded there
	}
	return w.check(ctx) // reading needs no space where the repository lies
}

// fullServer lets clients write to a server while the disk runs full. With space again, the
// same server goes on.
func (w *world) fullServer(ctx context.Context, d *disk) error {
	s, err := w.serve(ctx)
	if err != nil {
		return err
	}
	work := func() error {
		s.mayFail = true
		if err := d.fill(w.roomToLeave()); err != nil {
			return err
		}
		w.score.blow("serve")
		enough, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		if err := <-s.stream(enough); err != nil {
			return err
		}
		if err := d.drain(); err != nil {
			return err
		}
		s.mayFail = false
		if err := s.compare(ctx, false); err != nil {
			return err
		}
		more, stop := context.WithTimeout(ctx, 200*time.Millisecond)
		defer stop()
		return <-s.stream(more)
	}
	return errors.Join(work(), s.stop())
}
