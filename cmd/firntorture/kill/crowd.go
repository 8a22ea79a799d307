package kill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

const (
	crowdHosts = 2
	crowdGrace = "1m" // longer than any reader of these small worlds takes
)

// Crowd lets several processes work on one repository at the same time until the time is up:
// backups of two hosts, a server that takes small objects, prunes, checks and scrubs, each with
// an index of its own. Everything has to succeed, and the end is checked as a whole.
func Crowd(ctx context.Context, opt Options) (*Score, error) {
	score := &Score{}
	w, err := newWorld(ctx, &opt, score, 0, "")
	if w == nil {
		return score, err
	}
	var hosts []*world
	for i := 0; i < crowdHosts && err == nil; i++ {
		var h *world
		h, err = w.sibling(fmt.Sprintf("host%d", i))
		hosts = append(hosts, h)
	}
	if err == nil {
		err = w.crowd(ctx, hosts)
	}
	hosts = append(hosts, w)
	for i := 0; i < len(hosts) && err == nil && ctx.Err() == nil; i++ {
		err = hosts[i].wholly(ctx)
	}
	return score, w.finish(ctx, err)
}

// sibling is another machine that uses the repository of w: it has its own index, its own tree
// and its own snapshots.
func (w *world) sibling(name string) (*world, error) {
	h := &world{
		opt: w.opt, score: w.score, rng: rand.New(rand.NewPCG(w.rng.Uint64(), 0)), name: w.name + " " + name, host: name,
		dir: filepath.Join(w.dir, name), repo: w.repo, key: w.key, cache: filepath.Join(w.dir, name, "cache"), env: w.env,
		tried: map[string]manifest{}, saved: map[string]manifest{}, maybe: map[string]bool{},
	}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	h.tree, err = newTree(filepath.Join(h.dir, "tree"), h.rng)
	return h, err
}

// crowd runs everybody until the time is up, or the first promise is broken.
func (w *world) crowd(ctx context.Context, hosts []*world) error {
	s, err := w.serve(ctx)
	if err != nil {
		return err
	}
	busy, stop := context.WithDeadline(ctx, w.opt.Until)
	defer stop()
	actors := []func(context.Context) error{
		func(ctx context.Context) error { return <-s.stream(ctx) },
		w.machine("pruner").loop("prune", "--grace", crowdGrace, "--seal-after", "1h", "--max-unused", "0%"),
		w.machine("checker").loop("check", "--read-data"),
		w.machine("scrubber").loop("scrub"),
		w.machine("lister").loop("snapshots"),
	}
	for _, h := range hosts {
		actors = append(actors, h.days)
	}
	errs := make([]error, len(actors))
	var wg sync.WaitGroup
	for i, act := range actors {
		wg.Go(func() {
			for busy.Err() == nil && errs[i] == nil {
				errs[i] = act(busy)
			}
			if errors.Is(errs[i], context.DeadlineExceeded) || errors.Is(errs[i], context.Canceled) {
				errs[i] = nil
			}
			if errs[i] != nil {
				stop()
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, s.compare(ctx, false), s.stop())...)
}

// machine is one with an index of its own that only runs commands.
func (w *world) machine(name string) *world {
	return &world{opt: w.opt, score: w.score, name: w.name + " " + name, dir: w.dir, repo: w.repo, key: w.key,
		cache: filepath.Join(w.dir, "cache-"+name), env: w.env}
}

// loop runs one command, which has to work beside all others.
func (w *world) loop(args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := w.must(ctx, args...)
		if err == nil {
			w.score.blow(args[0])
		}
		return err
	}
}

// days are some backups of a host, a restore of one of them, and the end of some.
func (w *world) days(ctx context.Context) error {
	for range 1 + w.rng.IntN(4) {
		if err := w.tree.change(1 + w.rng.IntN(6)); err != nil {
			return err
		}
		p, err := w.backup()
		if err != nil {
			return err
		}
		o, err := w.must(ctx, p.Args[1:]...)
		if err != nil {
			return err
		}
		w.acknowledged(o)
		w.score.blow("backup")
	}
	if id, ok := w.anySnapshot(); ok {
		if err := w.restore(ctx, id, w.target()); err != nil {
			return err
		}
		w.score.blow("restore")
	}
	ids := w.old()
	if len(ids) == 0 {
		return nil
	}
	o, err := w.must(ctx, append([]string{"forget"}, ids...)...)
	if err != nil {
		return err
	}
	w.acknowledged(o)
	w.score.blow("forget")
	return nil
}
