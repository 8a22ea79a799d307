package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// RepairOptions of Repository.Repair.
type RepairOptions struct {
	DryRun   bool
	Quick    bool // look at names and sizes of packs, do not read them
	Report   func(Mended)
	Progress *ScrubProgress
}

// RepairResult tells what a repair did, or would do.
type RepairResult struct {
	Commits    int64   `json:"commits_damaged"`  // that stay so
	Checkpoint bool    `json:"checkpoint"`       // one was written, since the index knows what damaged commits said
	Packs      PackSum `json:"packs"`            // looked at
	Healed     int64   `json:"healed"`           // files, by parity
	Returned   PackSum `json:"returned"`         // packs that had been declared lost, and are there again
	Unreadable PackSum `json:"unreadable"`       // the store failed to read them, or this key cannot; they stay
	Dropped    PackSum `json:"dropped"`          // damaged packs that were given up
	Saved      int64   `json:"chunks_saved"`     // chunks of those that could be read, and were written again
	Elsewhere  int64   `json:"chunks_elsewhere"` // that other packs hold
	Lost       int64   `json:"chunks_lost"`      // that are nowhere any more
	LostBytes  int64   `json:"bytes_lost"`
	Missing    int64   `json:"chunks_missing"` // with those of former repairs, until a backup brings them
	DryRun     bool    `json:"dry_run,omitempty"`
}

// repairer is one run of Repair.
type repairer struct {
	ctx     context.Context
	r       *Repository
	opt     *RepairOptions
	res     *RepairResult
	s       *Session // nil until it is needed, and in a dry run
	damaged []*index.Pack
	leaving map[index.PackNum]bool
	saved   map[chunk.ID]struct{}
	bad     map[index.PackNum][]chunk.ID // chunks that could not be read
	lengths map[chunk.ID]int64           // of those
}

// Repair brings back what can be of the packs, after Mend has done so for the log:
//
//  1. Packs that had been declared lost and whose files are whole again come back.
//  2. Damaged packs are healed by their parity.
//  3. What can be read of the others, or of packs that were dropped and are still there, is
//     written again. They are dropped, so that their chunks are found where else they lie,
//     and those that lie nowhere are stored again by the next backup that meets them.
//
// When commits are damaged for good but this machine knows what they said, it writes a
// checkpoint, so that others can open the repository. Nothing is removed: a file that was
// brought back from a copy is found by the next repair. A pack that the store fails to read
// is left alone, for its bytes may still be there.
func (r *Repository) Repair(ctx context.Context, opt RepairOptions) (res *RepairResult, err error) {
	if r.ring.role == index.Write {
		return nil, fmt.Errorf("repair with key slot %s of role %s: %w", r.ring.Name, r.ring.Role, ErrRole)
	}
	if opt.Progress == nil {
		opt.Progress = &ScrubProgress{}
	}
	rp := &repairer{ctx: ctx, r: r, opt: &opt, res: &RepairResult{DryRun: opt.DryRun}, leaving: map[index.PackNum]bool{},
		saved: map[chunk.ID]struct{}{}, bad: map[index.PackNum][]chunk.ID{}, lengths: map[chunk.ID]int64{}}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	for _, step := range []func() error{rp.log, rp.returned, rp.find, rp.save} {
		if err = step(); err != nil {
			break
		}
	}
	if rp.s != nil {
		if err == nil {
			err = rp.s.End(ctx, Ops{})
		}
		if err != nil {
			if aerr := rp.s.Abandon(context.WithoutCancel(ctx)); aerr != nil && !errors.Is(err, aerr) {
				err = fmt.Errorf("%w (and the session could not be ended: %v)", err, aerr)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	missing, err := r.missing()
	rp.res.Missing = int64(len(missing))
	return rp.res, err
}

func (rp *repairer) tell(file string, id pack.ID, err error, healed bool) {
	if rp.opt.Report != nil {
		rp.opt.Report(Mended{File: file, Pack: id, Err: err, Healed: healed})
	}
}

// session begins one when it is first needed.
func (rp *repairer) session() (s *Session, err error) {
	if rp.s == nil {
		rp.s, err = rp.r.Begin(rp.ctx)
	}
	return rp.s, err
}

// log writes a checkpoint if commits are damaged that the index knows.
func (rp *repairer) log() error {
	_, err := rp.r.VerifyLog(rp.ctx, func(file string, err error) {
		rp.res.Commits++
		rp.tell(file, pack.ID{}, err, false)
	})
	if err != nil || rp.res.Commits == 0 {
		return err
	}
	rp.res.Checkpoint = true
	if rp.opt.DryRun {
		return nil
	}
	if err := rp.r.Checkpoint(rp.ctx, true); err != nil {
		return fmt.Errorf("keep what damaged commits said: %w", err)
	}
	return nil
}

// returned brings packs back that were declared lost and are whole again, and forgets those
// of which every chunk was stored again.
func (rp *repairer) returned() error {
	var lost []*lostPack
	err := rp.r.lostPacks(func(l *lostPack) error {
		lost = append(lost, l)
		return nil
	})
	if err != nil {
		return err
	}
	buf := make([]byte, packRead)
	for _, l := range lost {
		missing, err := rp.r.nowhere(l.ids())
		if err != nil {
			return err
		}
		if len(missing) == 0 {
			if err := rp.forget(l); err != nil {
				return err
			}
			continue
		}
		p := &index.Pack{Record: l.Was.Pack, Seq: l.Was.Seq, Offset: l.Was.Offset}
		err = rp.r.readPackFile(rp.ctx, p, buf)
		if err != nil && rp.ctx.Err() == nil {
			err = healPack(rp.ctx, rp.r.store, p, rp.opt.DryRun)
		}
		if rp.ctx.Err() != nil {
			return context.Cause(rp.ctx)
		}
		if err != nil {
			continue // still lost
		}
		if err := rp.bringBack(l); err != nil {
			return err
		}
	}
	return nil
}

// forget removes the row of a lost pack that is not needed any more.
func (rp *repairer) forget(l *lostPack) error {
	if rp.opt.DryRun {
		return nil
	}
	s, err := rp.session()
	if err != nil {
		return err
	}
	return s.Commit(rp.ctx, Ops{Rows: []index.Row{{Table: tableJob, Key: lostKey(l.Was.Pack.ID)}}})
}

// bringBack commits a lost pack whose file is whole.
func (rp *repairer) bringBack(l *lostPack) error {
	if rp.opt.DryRun {
		rp.res.Returned.add(l.Was.Pack.Size)
		return nil
	}
	f, err := rp.r.exhume(rp.ctx, &l.Was)
	if err != nil {
		if rp.ctx.Err() != nil {
			return context.Cause(rp.ctx)
		}
		rp.r.opt.Warn(fmt.Sprintf("it does not come back: %v", err))
		return nil
	}
	s, err := rp.session()
	if err != nil {
		return err
	}
	err = s.Commit(rp.ctx, Ops{Prepare: func(ops *Ops) error {
		if lost, err := rp.r.isLost(l.Was.Pack.ID); err != nil || !lost {
			return errors.Join(err, errNothing)
		}
		ops.packs = []finished{f}
		ops.Rows = []index.Row{{Table: tableJob, Key: lostKey(l.Was.Pack.ID)}}
		return nil
	}})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err == nil {
		rp.res.Returned.add(l.Was.Pack.Size)
	}
	return err
}

// find looks for damaged packs, and heals those that parity can.
func (rp *repairer) find() error {
	var all []*index.Pack
	err := rp.r.index.Packs(func(p *index.Pack) error {
		all = append(all, p)
		rp.opt.Progress.Total.Add(p.Record.Size)
		return nil
	})
	if err != nil {
		return err
	}
	buf := make([]byte, packRead)
	for _, p := range all {
		rp.res.Packs.add(p.Record.Size)
		if rp.opt.Quick {
			err = rp.r.statPackFile(rp.ctx, p)
		} else {
			err = rp.r.readPackFile(rp.ctx, p, buf)
		}
		rp.opt.Progress.Bytes.Add(p.Record.Size)
		if rp.ctx.Err() != nil {
			return context.Cause(rp.ctx)
		}
		if err == nil {
			continue
		}
		gone, gerr := rp.r.packGone(rp.ctx, p)
		if gerr != nil {
			return gerr
		}
		if !gone {
			if err := rp.heal(p, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// heal tries parity on a damaged pack, or notes it as one to give up.
func (rp *repairer) heal(p *index.Pack, why error) error {
	name, _ := p.Name()
	herr := healPack(rp.ctx, rp.r.store, p, rp.opt.DryRun)
	if rp.ctx.Err() != nil {
		return context.Cause(rp.ctx)
	}
	_, kerr := rp.r.ring.identity(p.Record.Kind)
	switch {
	case herr == nil:
		rp.res.Healed++
		rp.tell(name, p.Record.ID, why, true)
	case errors.Is(why, errUnreadable):
		rp.res.Unreadable.add(p.Record.Size)
		rp.tell(name, p.Record.ID, fmt.Errorf("%w; %w; if the disk fails for good, copy the repository to another and repair the copy", why, herr), false)
	case kerr != nil:
		rp.res.Unreadable.add(p.Record.Size)
		rp.tell(name, p.Record.ID, fmt.Errorf("%w; %w; to save what can be read of it takes another key: %w", why, herr, kerr), false)
	default:
		rp.damaged = append(rp.damaged, p)
		rp.leaving[p.Num] = true
		rp.tell(name, p.Record.ID, fmt.Errorf("%w; %w", why, herr), false)
	}
	return nil
}

// save writes again what can be read of the damaged packs, and drops them.
func (rp *repairer) save() error {
	if len(rp.damaged) == 0 {
		return nil
	}
	slices.SortStableFunc(rp.damaged, func(a, b *index.Pack) int { return int(a.Record.Kind) - int(b.Record.Kind) })
	for _, p := range rp.damaged {
		if err := rp.salvage(p); err != nil {
			return err
		}
	}
	const batch = 1 << 20 // lost chunks that one commit names, 32 MiB
	for list := rp.damaged; len(list) > 0; {
		n, chunks := 0, 0
		for n < len(list) && n < dropBatch && (n == 0 || chunks+len(rp.bad[list[n].Num]) <= batch) {
			chunks += len(rp.bad[list[n].Num])
			n++
		}
		if err := rp.drop(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// part reads a chunk of a damaged frame that is stored raw; nil when it is damaged itself.
func (rp *repairer) part(p *index.Pack, f pack.Frame, e *pack.Entry) ([]byte, error) {
	if f.Codec != pack.Raw {
		return nil, nil
	}
	reader, err := rp.r.packs.get(p.Num)
	var data []byte
	if err == nil {
		data, err = reader.ReadPart(f, e.Offset, e.Length)
	}
	if errors.Is(err, pack.ErrCorrupt) || errors.Is(err, tier.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// homes says which chunks lie in a pack that stays.
func (rp *repairer) homes(ids []chunk.ID) ([]bool, error) {
	homes := make([]bool, len(ids))
	err := rp.r.index.LocateAll(ids, func(i int, loc *index.Location) {
		homes[i] = homes[i] || !rp.leaving[loc.Pack]
	})
	return homes, err
}

// drop commits what was saved, drops damaged packs, and remembers those of which chunks are
// lost. What is lost is decided with every earlier commit folded.
func (rp *repairer) drop(list []*index.Pack) error {
	var dropped PackSum
	var lost, bytes int64
	prepare := func(ops *Ops) error {
		ops.Dropped, ops.Rows, dropped, lost, bytes = nil, nil, PackSum{}, 0, 0
		for _, p := range list {
			now, err := rp.r.index.PackByID(p.Record.ID)
			if errors.Is(err, index.ErrNotFound) || err == nil && now.Num != p.Num {
				continue // dropped by another, and perhaps brought back
			}
			if err != nil {
				return err
			}
			gone, err := rp.lostOf(p)
			if err != nil {
				return err
			}
			if len(gone) > 0 {
				row, err := lostRow(p, gone, rp.r.opt.Now())
				if err != nil {
					return err
				}
				ops.Rows = append(ops.Rows, row)
			}
			for _, id := range gone {
				lost, bytes = lost+1, bytes+rp.lengths[id]
			}
			ops.Dropped = append(ops.Dropped, p.Record.ID)
			dropped.add(p.Record.Size)
		}
		if len(ops.Dropped) == 0 {
			return errNothing
		}
		return nil
	}
	var err error
	if rp.opt.DryRun {
		err = prepare(&Ops{})
	} else {
		err = rp.s.Commit(rp.ctx, Ops{Prepare: prepare})
	}
	if err != nil && !errors.Is(err, errNothing) {
		return fmt.Errorf("give up damaged packs: %w", err)
	}
	rp.res.Dropped.Packs, rp.res.Dropped.Bytes = rp.res.Dropped.Packs+dropped.Packs, rp.res.Dropped.Bytes+dropped.Bytes
	rp.res.Lost, rp.res.LostBytes, rp.res.Saved = rp.res.Lost+lost, rp.res.LostBytes+bytes, int64(len(rp.saved))
	return nil
}

// lostOf returns the chunks of a damaged pack that could not be read and have no other
// place.
func (rp *repairer) lostOf(p *index.Pack) (lost []chunk.ID, err error) {
	ids := rp.bad[p.Num]
	homes, err := rp.homes(ids)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if _, ok := rp.saved[id]; !ok && !homes[i] {
			lost = append(lost, id)
		}
	}
	return lost, nil
}
