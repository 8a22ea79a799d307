package object

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
)

// generation is a session and what stores into it. After a failure to store, when a prune
// dropped what it relied on, and when it has become old, another takes its place: packs of
// a session that is open cannot be freed, and what it relies on grows.
type generation struct {
	session *repo.Session
	packer  *repo.Packer
	in      *repo.Ingest
	began   time.Time

	// Guarded by Engine.genMu.
	users  int  // who store into it, or have not yet committed what they stored
	former bool // another took its place
	failed bool
}

// generationAge is when a generation makes way for the next.
const generationAge = time.Hour

// current returns the generation that acquire would, if there is one.
func (e *Engine) current() *generation {
	e.genMu.Lock()
	defer e.genMu.Unlock()
	return e.gen
}

// failed reports whether what was stored in a generation can no longer be committed.
func (e *Engine) failed(g *generation) bool {
	e.genMu.Lock()
	defer e.genMu.Unlock()
	return g.failed
}

// acquire returns the present generation, beginning one if there is none, for a caller
// who will release it.
func (e *Engine) acquire() (*generation, error) {
	e.genMu.Lock()
	defer e.genMu.Unlock()
	if g := e.gen; g != nil {
		if cause := context.Cause(g.in.Context()); cause != nil {
			e.abort(g, cause)
		}
	}
	e.rotate()
	if e.gen == nil {
		g, err := e.newGeneration()
		if err != nil {
			return nil, err
		}
		e.gen = g
	}
	e.gen.users++
	return e.gen, nil
}

func (e *Engine) newGeneration() (*generation, error) {
	s, err := e.r.Begin(e.ctx)
	if err != nil {
		return nil, err
	}
	g := &generation{session: s, began: e.r.Now()}
	g.packer, err = s.Packer(e.ctx, "s3", pack.Fastest)
	if err == nil {
		g.in, err = s.Ingest(e.ctx, repo.IngestOptions{Stream: "s3", Streams: e.opt.Uploads, SlabSize: 1 << 20})
	}
	if err != nil {
		return nil, errors.Join(err, s.Abandon(e.ctx))
	}
	return g, nil
}

// rotate puts an old generation aside; the next change begins another. e.genMu is held.
func (e *Engine) rotate() {
	g := e.gen
	if g == nil {
		return
	}
	if age := e.r.Now().Sub(g.began); age >= 0 && age < generationAge { // a clock that was set back counts as old
		return
	}
	e.gen, g.former = nil, true
	e.settle(g)
}

// release lets go of a generation.
func (e *Engine) release(g *generation) {
	e.genMu.Lock()
	defer e.genMu.Unlock()
	g.users--
	e.settle(g)
}

// settle ends the session of a former generation that nobody uses any more. e.genMu is
// held.
func (e *Engine) settle(g *generation) {
	if !g.former || g.failed || g.users > 0 {
		return
	}
	e.ending.Go(func() {
		if err := g.close(e.ctx); err != nil {
			e.opt.Log(fmt.Sprintf("end of session %s: %v", g.session.ID(), err))
		}
	})
}

// close ends the session of a generation that nobody uses.
func (g *generation) close(ctx context.Context) error {
	g.packer.Close()
	err := g.in.Close()
	if err == nil {
		err = g.session.End(ctx, repo.Ops{})
	}
	if err != nil {
		err = errors.Join(err, g.session.Abandon(ctx))
	}
	return err
}

// retire gives up a generation after a failure.
func (e *Engine) retire(g *generation, cause error) {
	e.genMu.Lock()
	defer e.genMu.Unlock()
	e.abort(g, cause)
}

// abort is retire with e.genMu held.
func (e *Engine) abort(g *generation, cause error) {
	if e.gen == g {
		e.gen = nil
	}
	if g.failed {
		return
	}
	g.failed = true
	g.in.Abort(cause)
	g.packer.Close()
	e.opt.Log(fmt.Sprintf("session %s is given up: %v", g.session.ID(), cause))
	if err := g.session.Abandon(e.ctx); err != nil {
		e.opt.Log(fmt.Sprintf("session %s stays open in the log: %v", g.session.ID(), err))
	}
}

// store makes the contents of proposals ready for the next commit of the session. streamed:
// some of them went into packs as they came.
func (g *generation) store(batch []*proposal, streamed bool) error {
	for _, p := range batch {
		if p.small == nil {
			continue
		}
		if err := g.packer.Add(p.small); err != nil {
			return err
		}
	}
	if err := g.packer.Finish(); err != nil {
		return err
	}
	if !streamed {
		return nil
	}
	return g.in.Flush()
}
