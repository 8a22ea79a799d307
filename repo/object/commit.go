package object

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// proposal is a change that waits for its commit.
type proposal struct {
	scopes []scope
	small  *repo.Prepared // content that the commit brings along
	gen    *generation    // not nil: content was stored, or is relied on, in this generation
	decide func(*decision) error
	weight int64 // of its operations in bytes, when there are many
	done   chan error
	only   *Bucket // see In; nil: any bucket
}

// scope is something that a proposal decides about. Two proposals with a scope in common
// are not decided in one commit, unless both only share it: neither would see what the
// other does.
type scope struct {
	name   string
	shared bool
}

func bucketScope(name string) scope     { return scope{name: "b" + name} }
func keyScope(bucket, key string) scope { return scope{name: "k" + bucket + "\x00" + key} }
func uploadScope(id string) scope       { return scope{name: "u" + id} }

func (s scope) share() scope { s.shared = true; return s }

// decision is what a proposal sees and what it wants: the state with every earlier commit
// folded, the time, and the operations to add to.
type decision struct {
	e   *Engine
	ix  *index.Index
	now int64 // ns since 1970, later than that of every decision before
	ops *repo.Ops

	events *places // of the commit; nil while something is looked at before
	broken error   // of tell: nothing of the proposal may be
}

// Bounds of one commit.
const (
	batchProposals = 512
	batchBytes     = 8 << 20
)

// errNothing: every proposal of a batch was refused.
var errNothing = errors.New("nothing to commit")

// propose waits until the proposal is carried out or refused. The engine finishes it even
// if ctx ends meanwhile: nobody else knows whether it was made durable.
func (e *Engine) propose(ctx context.Context, p *proposal) error {
	p.done = make(chan error, 1)
	p.only, _ = ctx.Value(onlyIn{}).(*Bucket)
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return ErrClosed
	}
	e.queue = append(e.queue, p)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return <-p.done
}

// commitLoop carries out proposals until the engine is closed and none is left.
func (e *Engine) commitLoop() {
	defer close(e.finished)
	crowd := 0
	for {
		e.linger(crowd)
		batch := e.take()
		if len(batch) > 0 {
			e.commit(batch)
			e.mu.Lock()
			crowd = len(batch) + len(e.queue)
			e.mu.Unlock()
			continue
		}
		e.mu.Lock()
		over := e.closed && len(e.queue) == 0
		e.mu.Unlock()
		if over {
			return
		}
		<-e.wake
	}
}

// maxLinger bounds how long a commit waits for company.
const maxLinger = time.Millisecond

// linger waits a little for those of the crowd who were answered just now and are likely
// to come back: clients that put one object after the other otherwise fall into two
// halves, each of which waits for the commit of the other, and a commit costs the same
// for all of them. A client that is alone never waits.
func (e *Engine) linger(crowd int) {
	var timeout <-chan time.Time
	for {
		e.mu.Lock()
		waiting, over := len(e.queue), e.closed
		e.mu.Unlock()
		if over || waiting == 0 || waiting >= crowd*7/8 {
			return
		}
		if timeout == nil {
			timer := time.NewTimer(maxLinger)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-e.wake:
		case <-timeout:
			return
		}
	}
}

// take removes from the queue, in order, the proposals that can share a commit.
func (e *Engine) take() (batch []*proposal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := map[string]bool{} // scope → shared by all who took or want it
	size := int64(0)
	rest := e.queue[:0]
	for i, p := range e.queue {
		if len(batch) == batchProposals || size > batchBytes {
			rest = append(rest, e.queue[i:]...)
			break
		}
		if p.conflicts(taken) {
			rest = append(rest, p)
		} else {
			batch = append(batch, p)
			size += p.weight
			if p.small != nil {
				size += p.small.Content.Size()
			}
		}
		for _, s := range p.scopes { // those who come later wait for those who wait
			shared, ok := taken[s.name]
			taken[s.name] = s.shared && (shared || !ok)
		}
	}
	clear(e.queue[len(rest):])
	e.queue = rest
	return batch
}

func (p *proposal) conflicts(taken map[string]bool) bool {
	for _, s := range p.scopes {
		if shared, ok := taken[s.name]; ok && !(shared && s.shared) {
			return true
		}
	}
	return false
}

// commit carries out a batch and answers every proposal in it. What was stored in a
// generation is committed by its session, which keeps what it relies on in place.
func (e *Engine) commit(batch []*proposal) {
	var former []*proposal
	g := e.current()
	n := 0
	for _, p := range batch {
		if p.gen != nil && p.gen != g {
			former = append(former, p)
			continue
		}
		batch[n] = p
		n++
	}
	if n > 0 {
		e.carryOut(batch[:n])
	}
	for len(former) > 0 {
		var rest, same []*proposal
		for _, p := range former {
			if p.gen == former[0].gen {
				same = append(same, p)
			} else {
				rest = append(rest, p)
			}
		}
		e.carryOut(same)
		former = rest
	}
}

// carryOut carries out proposals that one session commits.
func (e *Engine) carryOut(batch []*proposal) {
	errs := make([]error, len(batch))
	err := e.tryCommit(batch, errs)
	if errors.Is(err, repo.ErrDropped) || errors.Is(err, repo.ErrSealed) {
		// What came along in memory can be stored again; the rest is for the client to repeat.
		err = e.tryCommit(batch, errs)
	}
	if errors.Is(err, index.ErrDamaged) {
		e.report(err)
	}
	for i, p := range batch {
		if err != nil && errs[i] == nil {
			errs[i] = err
		}
		p.done <- errs[i]
	}
}

// tryCommit stores what the proposals bring along and commits those that are not refused.
// errs receives the refusals; the error returned is of all others. A generation that
// failed is given up.
func (e *Engine) tryCommit(batch []*proposal, errs []error) error {
	var g *generation
	for i, p := range batch {
		switch {
		case p.gen == nil:
		case e.failed(p.gen):
			errs[i] = fmt.Errorf("what this relies on was stored in a session that has failed: %w", ErrBusy)
		default:
			g = p.gen
		}
	}
	stored := g != nil
	if g == nil {
		var err error
		if g, err = e.acquire(); err != nil {
			return err
		}
		defer e.release(g)
	}
	if err := g.store(batch, stored); err != nil {
		e.retire(g, err)
		return err
	}
	decided := make([]error, len(batch))
	err := g.session.Commit(e.ctx, repo.Ops{Prepare: func(ops *repo.Ops) error {
		return e.decide(batch, errs, decided, ops)
	}})
	for i := range decided {
		if errs[i] == nil {
			errs[i] = decided[i]
		}
	}
	switch {
	case errors.Is(err, errNothing):
		return nil
	case errors.Is(err, repo.ErrDropped), errors.Is(err, repo.ErrSealed):
		e.retire(g, err)
	}
	if err != nil {
		return err
	}
	e.committed()
	e.wakeDelivery()
	if err := e.r.Behind(); err != nil {
		// It is durable. But whoever is told so expects to find it, and would be shown
		// the state from before.
		return fmt.Errorf("the change is done, but cannot be seen yet: %w", err)
	}
	return nil
}

// decide asks every proposal that has not failed yet; each sees the same state. It may
// run again when another process came first.
func (e *Engine) decide(batch []*proposal, failed, decided []error, ops *repo.Ops) error {
	prepare := ops.Prepare
	*ops = repo.Ops{Prepare: prepare}
	wanted := false
	events := &places{}
	for i, p := range batch {
		if failed[i] != nil {
			continue
		}
		own := repo.Ops{}
		d := &decision{e: e, ix: e.r.Index(), now: e.tick(), ops: &own, events: events}
		if decided[i] = e.stillThere(p.only); decided[i] == nil {
			decided[i] = p.decide(d)
		}
		if decided[i] != nil {
			continue
		}
		ops.Buckets = append(ops.Buckets, own.Buckets...)
		ops.Versions = append(ops.Versions, own.Versions...)
		ops.Removals = append(ops.Removals, own.Removals...)
		ops.BucketsRemoved = append(ops.BucketsRemoved, own.BucketsRemoved...)
		ops.Rows = append(ops.Rows, own.Rows...)
		ops.Edits = append(ops.Edits, own.Edits...)
		wanted = wanted || len(own.Buckets)+len(own.Versions)+len(own.Removals)+
			len(own.BucketsRemoved)+len(own.Rows)+len(own.Edits) > 0
	}
	if !wanted {
		return errNothing
	}
	e.told.Store(events.told)
	return nil
}

// tick is the time of a decision: that of the clock, but later than the one before.
func (e *Engine) tick() int64 {
	now := e.r.Now().UnixNano()
	for {
		last := e.last.Load()
		t := max(now, last+1)
		if e.last.CompareAndSwap(last, t) {
			return t
		}
	}
}

// checkpointEvery is how many commits pass before the engine asks whether a checkpoint is
// due.
const checkpointEvery = 1000

// committed counts commits, and now and then has a checkpoint written beside the work.
func (e *Engine) committed() {
	if e.commits++; e.commits%checkpointEvery != 0 || !e.checkpointing.CompareAndSwap(false, true) {
		return
	}
	e.background.Go(func() {
		defer e.checkpointing.Store(false)
		if err := e.r.Checkpoint(e.ctx, false); err != nil && e.ctx.Err() == nil {
			e.opt.Log(fmt.Sprintf("no checkpoint was written: %v", err))
		}
	})
}
