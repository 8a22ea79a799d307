package repo

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// salvage writes the chunks of a pack again that can be read, here or in a dropped pack,
// and lie in no pack that stays.
func (rp *repairer) salvage(p *index.Pack) error {
	d, err := rp.r.index.Directory(p.Num)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	ids := make([]chunk.ID, len(d.Entries))
	for i := range d.Entries {
		ids[i] = d.Entries[i].ID
	}
	homes, err := rp.homes(ids)
	if err != nil {
		return err
	}
	hasher := chunk.NewHasher(rp.key(p))
	var rw *rewriter
	if !rp.opt.DryRun {
		s, err := rp.session()
		if err == nil {
			rw, err = newRewriter(rp.ctx, s, p.Record.Kind, p.Record.Stream, p.Record.Days, pack.Fastest)
		}
		if err != nil {
			return err
		}
		defer rw.close()
	}
	dec := decompressors.Get().(*pack.Decompressor)
	defer decompressors.Put(dec)
	var frame []byte
	for no, f := range d.Frames {
		if err := rp.ctx.Err(); err != nil {
			return context.Cause(rp.ctx)
		}
		frame, err = rp.r.decode(frame, index.Location{Pack: p.Num, FrameNo: no, Frame: f}, dec)
		if err != nil && !errors.Is(err, pack.ErrCorrupt) && !errors.Is(err, tier.ErrNotExist) {
			return fmt.Errorf("save what is left of pack %s: %w", p.Record.ID, err)
		}
		whole := frame
		if err != nil {
			whole = nil
		}
		if err := rp.salvageFrame(p, d, f, whole, homes, hasher, rw); err != nil {
			return err
		}
	}
	if rw != nil {
		return rw.finish()
	}
	return nil
}

// salvageFrame is salvage for one frame; whole is its content, nil when it cannot be read.
// homes says which chunks lie elsewhere. rw is nil in a dry run.
func (rp *repairer) salvageFrame(p *index.Pack, d *pack.Directory, f pack.Frame, whole []byte, homes []bool, hasher *chunk.Hasher, rw *rewriter) error {
	for slot := f.First; slot < f.First+f.Chunks; slot++ {
		e := &d.Entries[slot]
		if homes[slot] {
			rp.res.Elsewhere++
			continue
		}
		if _, ok := rp.saved[e.ID]; ok {
			continue
		}
		var data []byte
		var err error
		if whole != nil {
			data = whole[e.Offset : e.Offset+e.Length]
		} else if data, err = rp.part(p, f, e); err != nil {
			return err
		}
		if data == nil || hasher.ID(data) != e.ID {
			if data, _ = rp.r.readDropped(e.ID, rp.key(p)); data == nil {
				rp.bad[p.Num] = append(rp.bad[p.Num], e.ID)
				rp.lengths[e.ID] = int64(e.Length)
				continue
			}
		}
		if rw != nil {
			if err := rw.w.put(e.ID, data); err != nil {
				return err
			}
		}
		rp.saved[e.ID] = struct{}{}
	}
	return nil
}

// key names the chunks of a pack.
func (rp *repairer) key(p *index.Pack) chunk.Key {
	if p.Record.Kind == pack.Meta {
		return rp.r.ring.metaKey
	}
	return rp.r.ring.dataKey
}
