package repo

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// dropBatch bounds the packs that one commit drops.
const dropBatch = 4096

// drop drops packs that nothing needs.
func (p *pruner) drop(list []packUse) error {
	for len(list) > 0 {
		n := min(len(list), dropBatch)
		if err := p.commitDrop(list[:n], &p.res.Dropped); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// commitDrop commits the finished packs of the session, and drops those of the list that
// nothing needs in them. Which these are is decided with every earlier commit folded: what
// others added since the plan is marked first.
func (p *pruner) commitDrop(list []packUse, sum *PackSum) error {
	var dropped, spared PackSum
	err := p.s.Commit(p.ctx, Ops{Prepare: func(ops *Ops) error {
		if err := p.catchUp(); err != nil {
			return err
		}
		packs, kept, err := p.droppable(list)
		if err != nil {
			return err
		}
		ops.Dropped, ops.Rows = nil, nil
		dropped, spared = PackSum{}, kept
		for _, k := range packs {
			row, err := tombstoneRow(k, p.r.opt.Now())
			if err != nil {
				return err
			}
			ops.Dropped = append(ops.Dropped, k.Record.ID)
			ops.Rows = append(ops.Rows, row)
			dropped.add(k.Record.Size)
		}
		if len(packs) == 0 {
			return errNothing // new packs that nobody needs yet wait for the next commit
		}
		return nil
	}})
	if err != nil && !errors.Is(err, errNothing) {
		return fmt.Errorf("drop packs: %w", err)
	}
	sum.Packs, sum.Bytes = sum.Packs+dropped.Packs, sum.Bytes+dropped.Bytes
	p.res.Spared.Packs, p.res.Spared.Bytes = p.res.Spared.Packs+spared.Packs, p.res.Spared.Bytes+spared.Bytes
	return nil
}

// catchUp marks what the commits folded since the last call need. r.logMu is held.
func (p *pruner) catchUp() error {
	for len(p.pending) > 0 {
		if err := p.opt.MarkCommit(p.ctx, p.marks, p.pending[0]); err != nil {
			return fmt.Errorf("find what commit %d needs: %w", p.pending[0].Header.Seq, err)
		}
		p.pending = p.pending[1:]
	}
	return p.marks.Flush()
}

// droppable returns the packs of the list that are still there and without which every
// needed chunk has a place: it was written again, or lies in a pack that stays.
func (p *pruner) droppable(list []packUse) (packs []*index.Pack, spared PackSum, err error) {
	leaving := map[index.PackNum]bool{}
	for i := range list {
		k, err := p.r.index.PackByID(list[i].ID)
		if errors.Is(err, index.ErrNotFound) {
			continue // by another prune
		}
		if err != nil {
			return nil, spared, err
		}
		if k.Num != list[i].Num {
			continue // and it came back
		}
		packs = append(packs, k)
		leaving[k.Num] = true
	}
	n := 0
	for _, k := range packs {
		ok, err := p.spareable(k.Num, leaving)
		if err != nil {
			return nil, spared, err
		}
		if !ok {
			spared.add(k.Record.Size)
			continue
		}
		packs[n] = k
		n++
	}
	return packs[:n], spared, nil
}

// spareable reports whether every needed chunk of a pack has a place beside those leaving.
func (p *pruner) spareable(num index.PackNum, leaving map[index.PackNum]bool) (bool, error) {
	marks, moved := p.marks.of(num), p.moved[num]
	if len(marks.live)+len(marks.spare) == 0 {
		return true, nil
	}
	d, err := p.r.index.Directory(num)
	if err != nil {
		return false, err
	}
	var ids []chunk.ID
	for i := range d.Entries {
		if (marks.live.has(i) || marks.spare.has(i)) && !moved.has(i) {
			ids = append(ids, d.Entries[i].ID)
		}
	}
	homes := make([]bool, len(ids))
	err = p.r.index.LocateAll(ids, func(i int, loc *index.Location) {
		_, broken := p.broken[loc.Pack]
		if !leaving[loc.Pack] && !broken || p.moved[loc.Pack].has(loc.Slot) {
			homes[i] = true
		}
	})
	for _, ok := range homes {
		if !ok {
			return false, err
		}
	}
	return err == nil, err
}

// rewriter writes chunks of one group of packs again.
type rewriter struct {
	in     *Ingest // never runs workers: it holds what a Worker needs
	w      *Worker
	hasher *chunk.Hasher
	frame  []byte
}

func newRewriter(ctx context.Context, s *Session, kind pack.Kind, stream string, days uint64, level pack.Level) (*rewriter, error) {
	in := &Ingest{
		s: s, opt: IngestOptions{Stream: stream, Days: days, Level: level, PackSize: defaultPackSize},
		slots: make(chan struct{}, packsInFlight),
	}
	in.ctx, in.cancel = context.WithCancelCause(ctx)
	w, err := in.newWorker(kind)
	if err != nil {
		return nil, err
	}
	return &rewriter{in: in, w: w, hasher: w.hasher}, nil
}

// finish makes what was written ready for the next commit.
func (rw *rewriter) finish() error {
	err := rw.w.closePack()
	rw.in.flight.Wait()
	if err == nil {
		err = context.Cause(rw.in.ctx)
	}
	return err
}

func (rw *rewriter) close() {
	rw.w.abort()
	rw.in.flight.Wait()
	rw.in.cancel(nil)
}

// repack writes again what is needed of packs, which come in groups that share new packs,
// and drops them. It commits now and then, so that an interrupted prune keeps what it has
// done.
func (p *pruner) repack(list []packUse) error {
	before, had := p.s.Added(), p.s.counter.Load()
	defer func() {
		p.res.Written = PackSum{int64(p.s.counter.Load() - had), p.s.Added() - before}
	}()
	var batch []packUse
	var size int64
	chunks := 0
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].Kind == list[0].Kind && list[n].Stream == list[0].Stream && list[n].Days == list[0].Days {
			n++
		}
		u := &list[0]
		rw, err := newRewriter(p.ctx, p.s, u.Kind, u.Stream, u.Days, p.opt.Level)
		if err != nil {
			return err
		}
		for i := range list[:n] {
			u := &list[i]
			ok, err := p.rewrite(rw, u)
			if err != nil {
				rw.close()
				return err
			}
			if ok {
				batch = append(batch, *u)
			}
			size, chunks = size+u.Size, chunks+u.Used
			p.opt.Progress.Bytes.Add(u.Size)
			if last := i == n-1; last || size >= commitEvery || chunks >= commitChunks {
				err = rw.finish()
			}
			if err == nil && (size >= commitEvery || chunks >= commitChunks) {
				err = p.commitDrop(batch, &p.res.Repacked)
				batch, size, chunks = nil, 0, 0
			}
			if err != nil {
				rw.close()
				return err
			}
		}
		rw.close()
		list = list[n:]
	}
	if len(batch) == 0 {
		return nil
	}
	return p.commitDrop(batch, &p.res.Repacked)
}

// rewrite writes the needed chunks of a pack again. It reports false when the pack is
// gone or damaged: then it stays as it is.
func (p *pruner) rewrite(rw *rewriter, u *packUse) (bool, error) {
	d, err := p.r.index.Directory(u.Num)
	if errors.Is(err, index.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	live := p.marks.of(u.Num).live
	dec := decompressors.Get().(*pack.Decompressor)
	defer decompressors.Put(dec)
	for no, f := range d.Frames {
		needed := false
		for slot := f.First; slot < f.First+f.Chunks; slot++ {
			needed = needed || live.has(slot)
		}
		if !needed {
			continue
		}
		if err := p.ctx.Err(); err != nil {
			return false, context.Cause(p.ctx)
		}
		rw.frame, err = p.r.decode(rw.frame, index.Location{Pack: u.Num, FrameNo: no, Frame: f}, dec)
		for slot := f.First; slot < f.First+f.Chunks && err == nil; slot++ {
			e := &d.Entries[slot]
			if !live.has(slot) {
				continue
			}
			data := rw.frame[e.Offset : e.Offset+e.Length]
			if rw.hasher.ID(data) != e.ID {
				err = fmt.Errorf("%s: %w: chunk %s hashes to something else", u.ID.Name(), ErrDamaged, e.ID)
				break
			}
			if err := rw.w.put(e.ID, data); err != nil {
				return false, err
			}
			p.moved[u.Num] = p.moved[u.Num].set(slot)
		}
		switch {
		case errors.Is(err, ErrDamaged):
			p.r.opt.Warn(fmt.Sprintf("it is kept as it is: %v", err))
			return false, nil
		case err != nil:
			return false, err
		}
	}
	return true, nil
}
