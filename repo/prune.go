package repo

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// PruneOptions of Repository.Prune.
type PruneOptions struct {
	// Mark marks everything that the folded state needs, and MarkCommit what a commit,
	// folded since, added to that; only its header, versions and rows are given. They are
	// called by one goroutine, MarkCommit within a commit of the prune.
	Mark       func(context.Context, *Marks) error
	MarkCommit func(context.Context, *Marks, *index.Commit) error

	MaxUnused  float64       // share of the pack files that may be dead; more is written again
	MaxRewrite int64         // sealed bytes to be written again in this run; 0: no bound
	Grace      time.Duration // how long the files of dropped packs stay, for readers and for undelete
	SealAfter  time.Duration // sessions that a prune found open so long ago are sealed
	Level      pack.Level    // of compression of what is written again
	DryRun     bool          // only tell what would be done
	Progress   *PruneProgress
}

// PruneProgress counts while Prune works. Its fields may be read at any time.
type PruneProgress struct {
	Versions atomic.Int64 // marked; counted by the caller's Mark
	Chunks   atomic.Int64 // marked
	Bytes    atomic.Int64 // sealed bytes of packs that were written again,
	Total    atomic.Int64 // of so many
}

// PackSum counts packs.
type PackSum struct {
	Packs int64 `json:"packs"`
	Bytes int64 `json:"bytes"` // sealed
}

func (s *PackSum) add(n int64) { s.Packs++; s.Bytes += n }

// PruneResult tells what a prune did, or would do.
type PruneResult struct {
	Chunks   int64   `json:"chunks"`   // marked, however often
	Before   PackSum `json:"before"`   // packs in files
	Dropped  PackSum `json:"dropped"`  // nothing of them was needed
	Repacked PackSum `json:"repacked"` // what was needed of them was written again
	Written  PackSum `json:"written"`  // packs that were made from those
	Spared   PackSum `json:"spared"`   // needed again by what was written meanwhile

	Held   PackSum `json:"held"`     // kept: their session is under way
	Inside PackSum `json:"embedded"` // kept: partly dead, but in commits
	Fixed  PackSum `json:"fixed"`    // kept: they cannot be read
	Later  PackSum `json:"later"`    // kept: beyond what this run may write
	Unused int64   `json:"unused"`   // dead sealed bytes that stay, by estimate

	Removed PackSum `json:"removed"`        // files removed now
	Parity  int64   `json:"parity_removed"` // bytes of the parity of such files, removed now
	Waiting PackSum `json:"waiting"`        // files removed once the grace has passed
	Unknown PackSum `json:"unknown"`        // files of sessions that the log does not know; they stay
	Sealed  int64   `json:"sealed"`         // sessions
	Missing int64   `json:"missing"`        // chunks that are needed, and were declared lost by a repair
	DryRun  bool    `json:"dry_run,omitempty"`
}

// pruner is one run of Prune.
type pruner struct {
	ctx     context.Context
	r       *Repository
	opt     *PruneOptions
	s       *Session // nil in a dry run
	res     *PruneResult
	marks   *Marks
	broken  map[index.PackNum]struct{}
	dead    map[pack.Session]bool    // sessions that were, or in a dry run would be, sealed
	packs   []*index.Pack            // those there when the marking began
	moved   map[index.PackNum]bitmap // chunks that were written again
	pending []*index.Commit          // folded since, and not marked yet; guarded by r.logMu
}

// Prune drops the packs that nothing needs, writes again what is needed of those that are
// mostly dead, and removes files that had their time. It can run beside writers: what they
// commit meanwhile is kept. It can be interrupted at any time, and keeps what it has done.
//
// The order is: remember and seal dead sessions; mark; plan; remove files of former
// prunes; drop; write again and drop; remove files.
func (r *Repository) Prune(ctx context.Context, opt PruneOptions) (res *PruneResult, err error) {
	if r.ring.role == index.Write {
		return nil, fmt.Errorf("prune with key slot %s of role %s: %w", r.ring.Name, r.ring.Role, ErrRole)
	}
	if opt.Progress == nil {
		opt.Progress = &PruneProgress{}
	}
	p := &pruner{ctx: ctx, r: r, opt: &opt, res: &PruneResult{DryRun: opt.DryRun},
		broken: map[index.PackNum]struct{}{}, moved: map[index.PackNum]bitmap{}}
	if !opt.DryRun {
		if p.s, err = r.Begin(ctx); err != nil {
			return nil, err
		}
	}
	defer p.unhook()
	if err = p.run(); err == nil && p.s != nil {
		err = p.s.End(ctx, Ops{})
	}
	if err != nil && p.s != nil {
		if aerr := p.s.Abandon(context.WithoutCancel(ctx)); aerr != nil && !errors.Is(err, aerr) {
			err = fmt.Errorf("%w (and the session could not be ended: %v)", err, aerr)
		}
	}
	if err != nil {
		return nil, err
	}
	return p.res, nil
}

func (p *pruner) run() error {
	sealed, err := p.sealSessions()
	if err != nil {
		return err
	}
	if err := p.mark(); err != nil {
		return err
	}
	p.dead = sealed
	uses, err := p.uses()
	if err != nil {
		return err
	}
	plan := planPrune(uses, planOptions{MaxUnused: p.opt.MaxUnused, MaxRewrite: p.opt.MaxRewrite})
	p.report(plan)
	for _, step := range []func() error{
		p.sweep,
		func() error { return p.drop(plan.Drop) },
		func() error { return p.repack(plan.Repack) },
		p.sweep,
	} {
		if p.opt.DryRun {
			return p.foresee(plan)
		}
		if err := step(); err != nil {
			return err
		}
	}
	return p.waiting()
}

// sealSessions seals what has been open for long. Who was sealed commits no more, so its
// packs are judged like all others. It returns the sessions sealed.
func (p *pruner) sealSessions() (map[pack.Session]bool, error) {
	var seals []pack.Session
	if p.s == nil {
		if err := p.r.Refresh(p.ctx); err != nil {
			return nil, err
		}
		var err error
		if seals, _, err = p.r.dueSessions(pack.Session{}, p.opt.SealAfter); err != nil {
			return nil, err
		}
	} else {
		err := p.s.Commit(p.ctx, Ops{Prepare: func(ops *Ops) (err error) {
			ops.Seals, ops.Rows, err = p.r.dueSessions(p.s.id, p.opt.SealAfter)
			if seals = ops.Seals; err == nil && len(ops.Seals)+len(ops.Rows) == 0 {
				err = errNothing
			}
			return err
		}})
		if err != nil && !errors.Is(err, errNothing) {
			return nil, fmt.Errorf("seal sessions: %w", err)
		}
	}
	set := map[pack.Session]bool{}
	for _, s := range seals {
		set[s] = true
	}
	p.res.Sealed = int64(len(set))
	return set, nil
}

// errNothing: there is nothing to commit.
var errNothing = errors.New("nothing to commit")

// mark finds what is needed. From the moment at which it knows the packs, it is told of
// every commit, so that nothing that is added meanwhile is missed.
func (p *pruner) mark() error {
	if err := p.begin(); err != nil {
		return err
	}
	var packs, dropped, orphans int64
	err := p.r.VerifyPacks(p.ctx, &packs, &dropped, &orphans, func(file string, id pack.ID, err error) {
		if k, kerr := p.r.index.PackByID(id); kerr == nil {
			p.broken[k.Num] = struct{}{}
			p.r.opt.Warn(fmt.Sprintf("%s: %v", file, err))
		}
	})
	if err != nil {
		return err
	}
	p.marks = newMarks(p.r, p.broken)
	if p.marks.lost, err = p.r.missing(); err != nil {
		return err
	}
	if err := p.opt.Mark(p.ctx, p.marks); err != nil {
		return fmt.Errorf("find what is needed: %w", err)
	}
	if err := p.marks.Flush(); err != nil {
		return fmt.Errorf("find what is needed: %w", err)
	}
	p.res.Chunks = p.marks.chunks
	p.res.Missing = int64(len(p.marks.missed))
	return nil
}

func (p *pruner) begin() error {
	r := p.r
	r.logMu.Lock()
	defer r.logMu.Unlock()
	r.folded = p.note
	if _, _, err := r.follow(p.ctx); err != nil {
		return err
	}
	p.pending = nil
	return r.index.Packs(func(k *index.Pack) error {
		k.Record.AgeHeader = nil
		p.packs = append(p.packs, k)
		return nil
	})
}

// note keeps of a commit what may need something.
func (p *pruner) note(c *index.Commit) {
	if len(c.Body.Versions)+len(c.Body.Rows) == 0 || p.s != nil && c.Header.Session == p.s.id {
		return
	}
	p.pending = append(p.pending, &index.Commit{Header: c.Header, Body: index.Body{Versions: c.Body.Versions, Rows: c.Body.Rows}})
}

func (p *pruner) unhook() {
	p.r.logMu.Lock()
	defer p.r.logMu.Unlock()
	p.r.folded = nil
}

// uses says what of each pack is needed.
func (p *pruner) uses() ([]packUse, error) {
	states := map[pack.Session]index.SessionState{}
	err := p.r.index.Sessions(func(s pack.Session, state index.SessionState, _ index.WriterKey) error {
		states[s] = state
		return nil
	})
	if err != nil {
		return nil, err
	}
	uses := make([]packUse, 0, len(p.packs))
	for _, k := range p.packs {
		d, err := p.r.index.Directory(k.Num)
		if errors.Is(err, index.ErrNotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		rec := &k.Record
		u := packUse{Num: k.Num, ID: rec.ID, Kind: rec.Kind, Stream: rec.Stream, Days: rec.Days,
			Size: rec.Size, Chunks: len(d.Entries), Embedded: k.Seq != 0}
		marks := p.marks.of(k.Num)
		for i := range d.Entries {
			u.Bytes += int64(d.Entries[i].Length)
			if marks.live.has(i) {
				u.Live += int64(d.Entries[i].Length)
				u.Used++
			}
		}
		s := rec.ID.Session()
		u.Held = states[s] == index.SessionOpen && !p.dead[s]
		_, broken := p.broken[k.Num]
		_, kerr := p.r.ring.identity(rec.Kind)
		u.Fixed = broken || kerr != nil
		uses = append(uses, u)
		if !u.Embedded {
			p.res.Before.add(u.Size)
		}
	}
	return uses, nil
}

// report fills in what the plan alone tells.
func (p *pruner) report(plan *prunePlan) {
	for _, of := range []struct {
		list []packUse
		sum  *PackSum
	}{{plan.Held, &p.res.Held}, {plan.Inside, &p.res.Inside}, {plan.Fixed, &p.res.Fixed}, {plan.Later, &p.res.Later}} {
		for i := range of.list {
			of.sum.add(of.list[i].Size)
		}
	}
	p.res.Unused = plan.Unused
	for i := range plan.Repack {
		p.opt.Progress.Total.Add(plan.Repack[i].Size)
	}
}

// foresee fills in what a dry run does not do.
func (p *pruner) foresee(plan *prunePlan) error {
	files, err := p.listFiles()
	if err != nil {
		return err
	}
	sw := sweeper{p: p, files: files}
	p.r.logMu.Lock()
	err = sw.judge()
	p.r.logMu.Unlock()
	if err != nil {
		return err
	}
	for _, f := range sw.gone {
		p.removed(f)
	}
	p.res.Unknown = sw.unknown
	if err := p.waiting(); err != nil {
		return err
	}
	later := &p.res.Waiting
	if p.opt.Grace <= 0 {
		later = &p.res.Removed
	}
	for i := range plan.Drop {
		u := &plan.Drop[i]
		p.res.Dropped.add(u.Size)
		if !u.Embedded {
			later.add(u.Size)
		}
	}
	for i := range plan.Repack {
		u := &plan.Repack[i]
		p.res.Repacked.add(u.Size)
		p.res.Written.Bytes += u.Size - u.dead()
		later.add(u.Size)
	}
	if p.res.Written.Bytes > 0 {
		p.res.Written.Packs = (p.res.Written.Bytes + defaultPackSize - 1) / defaultPackSize
	}
	return nil
}
