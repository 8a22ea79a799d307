package kill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// worldBlows is after how many blows a world has grown old: what is checked after each of
// them grows with the log.
const worldBlows = 120

// Run kills firn backup, forget, prune, restore and serve s3 until the time is up, in one
// world after the other. The error is of the harness; what firn did wrong is in the Score.
func Run(ctx context.Context, opt Options) (*Score, error) {
	score := &Score{}
	for n := 0; !opt.over(ctx, score) && len(score.Failures) < maxFailures; n++ {
		w, err := newWorld(ctx, &opt, score, n, "")
		if w == nil {
			return score, err
		}
		begun := score.Total()
		for err == nil && !opt.over(ctx, score) && score.Total() < begun+worldBlows {
			err = w.cycle(ctx)
		}
		if err == nil && ctx.Err() == nil {
			err = w.wholly(ctx)
		}
		if err := w.finish(ctx, err); err != nil {
			return score, err
		}
	}
	return score, nil
}

// maxFailures ends a run: more of them tell nothing new.
const maxFailures = 5

// finish counts what broke a world and keeps it, and removes it otherwise.
func (w *world) finish(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil && !isBroken(err) {
		return os.RemoveAll(w.dir)
	}
	w.logf("%v; kept in %s", err, w.dir)
	return w.score.take(fmt.Sprintf("%s, kept in %s", w.name, w.dir), err)
}

// cycle is one command that is killed, and the proof that nothing came of it.
func (w *world) cycle(ctx context.Context) error {
	var err error
	switch p := w.rng.IntN(20); {
	case p < 13 || len(w.saved) < 2:
		err = w.strikeWriter()
	case p < 16:
		err = w.strikeRestore(ctx)
	default:
		err = w.strikeServer(ctx)
	}
	if err != nil {
		return err
	}
	return w.sound(ctx)
}

func (w *world) strikeWriter() error {
	p, err := w.writer()
	if err != nil {
		return err
	}
	o, err := w.strike(p)
	if err == nil {
		w.acknowledged(o)
	}
	return err
}

func (w *world) strikeRestore(ctx context.Context) error {
	id, ok := w.anySnapshot()
	if !ok {
		return nil
	}
	if _, err := w.strike(w.command("restore", "--json", id, "--target", w.target())); err != nil {
		return err
	}
	return w.restore(ctx, id, w.target()) // what is there already, is completed
}

// strikeServer starts a server, compares everything that was put before, lets clients write, and
// kills it; now and then while it starts.
func (w *world) strikeServer(ctx context.Context) error {
	if w.rng.IntN(6) == 0 {
		s, err := w.launch()
		if err != nil {
			return err
		}
		time.Sleep(time.Duration(w.rng.Float64() * float64(firstGuess)))
		return w.killServer(s)
	}
	s, err := w.serve(ctx)
	if err != nil {
		return err
	}
	if err := s.compare(ctx, true); err != nil {
		_ = w.killServer(s)
		return err
	}
	written := s.stream(ctx)
	late := time.NewTimer(time.Duration(w.rng.Float64() * float64(longestStream)))
	defer late.Stop()
	select {
	case err = <-written:
		return errors.Join(err, w.killServer(s))
	case <-late.C:
		return errors.Join(w.killServer(s), <-written)
	}
}

// killServer kills a server at once.
func (w *world) killServer(s *server) error {
	_ = s.Process.Kill()
	_, err := s.end()
	s.http.CloseIdleConnections()
	if err == nil {
		w.score.blow("serve")
	}
	return err
}

// longestStream bounds how long clients write before the server is killed.
const longestStream = 400 * time.Millisecond
