package repo

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// undeleteBytes bounds the embedded packs that one commit brings back.
const undeleteBytes = 64 << 20

// Undelete brings back every pack that was dropped and whose file is still there, in
// commits of the session. What nothing needs by the next prune is dropped again. lost are
// the packs whose files are gone or damaged.
func (s *Session) Undelete(ctx context.Context) (back, lost PackSum, err error) {
	var stones []*tombstone
	err = s.r.tombstones(func(t *tombstone) error {
		stones = append(stones, t)
		return nil
	})
	if err != nil {
		return back, lost, err
	}
	var batch []finished
	chunks, blobs := 0, 0
	for _, t := range stones {
		f, err := s.r.exhume(ctx, t)
		switch {
		case errors.Is(err, ErrDamaged), errors.Is(err, tier.ErrNotExist):
			s.r.opt.Warn(fmt.Sprintf("it does not come back: %v", err))
			lost.add(t.Pack.Size)
			continue
		case err != nil:
			return back, lost, err
		}
		batch = append(batch, f)
		chunks, blobs = chunks+len(f.record.Directory)/36, blobs+len(f.blob)
		if chunks >= commitChunks || blobs >= undeleteBytes || len(batch) >= dropBatch {
			if err := s.bringBack(ctx, batch, &back); err != nil {
				return back, lost, err
			}
			batch, chunks, blobs = nil, 0, 0
		}
	}
	return back, lost, s.bringBack(ctx, batch, &back)
}

// exhume makes the record of a dropped pack whole again.
func (r *Repository) exhume(ctx context.Context, t *tombstone) (f finished, err error) {
	k := &index.Pack{Record: t.Pack, Seq: t.Seq, Offset: t.Offset}
	name, base := k.Name()
	f.record = t.Pack
	if t.Seq != 0 {
		f.blob = make([]byte, t.Pack.Size)
		if n, err := r.store.ReadAt(ctx, name, f.blob, base); err != nil && !(errors.Is(err, io.EOF) && n == len(f.blob)) {
			return f, fmt.Errorf("pack %s in %s: %w: %w", t.Pack.ID, name, ErrDamaged, err)
		}
	} else if fi, err := r.store.Stat(ctx, name); err != nil {
		return f, fmt.Errorf("pack %s: %w", t.Pack.ID, err)
	} else if fi.Size != t.Pack.Size {
		return f, fmt.Errorf("%s: %w: it has %d bytes instead of %d", name, ErrDamaged, fi.Size, t.Pack.Size)
	}
	_, d, err := r.openTombstone(t)
	if err != nil {
		return f, err
	}
	f.record.Directory = d.Append(nil)
	return f, nil
}

// openTombstone opens a pack that was dropped. tier.ErrNotExist when its file is gone.
func (r *Repository) openTombstone(t *tombstone) (*pack.Reader, *pack.Directory, error) {
	k := &index.Pack{Record: t.Pack, Seq: t.Seq, Offset: t.Offset}
	name, base := k.Name()
	id, err := r.ring.identity(t.Pack.Kind)
	if err != nil {
		return nil, nil, err
	}
	key, err := pack.OpenKey(t.Pack.AgeHeader, id)
	if err != nil {
		return nil, nil, r.packError(k, err)
	}
	reader, err := pack.NewReaderWithKey(source{r, name, base}, t.Pack.Size, int64(len(t.Pack.AgeHeader)), key)
	if err != nil {
		return nil, nil, r.packError(k, err)
	}
	d, err := reader.Directory()
	if err != nil {
		return nil, nil, r.packError(k, err)
	}
	if reader.ID() != t.Pack.ID || reader.Kind() != t.Pack.Kind {
		return nil, nil, r.packError(k, fmt.Errorf("it is %s pack %s: %w", reader.Kind(), reader.ID(), pack.ErrCorrupt))
	}
	return reader, d, nil
}

// bringBack commits packs whose rows are still there: once a row is gone, so may be the
// file.
func (s *Session) bringBack(ctx context.Context, batch []finished, sum *PackSum) error {
	var back PackSum
	err := s.Commit(ctx, Ops{Prepare: func(ops *Ops) error {
		ops.packs, ops.Rows, back = nil, nil, PackSum{}
		for i := range batch {
			rec := &batch[i].record
			_, err := s.r.index.Row(tableJob, droppedKey(rec.ID))
			if errors.Is(err, index.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			ops.packs = append(ops.packs, batch[i])
			ops.Rows = append(ops.Rows, index.Row{Table: tableJob, Key: droppedKey(rec.ID)})
			back.add(rec.Size)
		}
		if len(ops.packs) == 0 {
			return errNothing
		}
		return nil
	}})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bring packs back: %w", err)
	}
	sum.Packs, sum.Bytes = sum.Packs+back.Packs, sum.Bytes+back.Bytes
	return nil
}

// Recall commits versions that were forgotten and takes them off the list of those,
// ending the session. What they lead to was marked by Marks of the session before.
// ErrNotFound when one has come back, or had its time, meanwhile.
func (s *Session) Recall(ctx context.Context, versions []index.Version) error {
	return s.End(ctx, Ops{Versions: versions, Prepare: func(ops *Ops) error {
		ops.Buckets, ops.Rows = nil, nil
		have, err := s.r.index.Buckets()
		if err != nil {
			return err
		}
		there := map[string]bool{}
		for _, b := range have {
			there[b] = true
		}
		for i := range versions {
			v := &versions[i]
			if _, err := s.r.index.Row(tableJob, forgottenKey(v.ID)); err != nil {
				return fmt.Errorf("version %s is not among the forgotten any more: %w", v.ID, err)
			}
			ops.Rows = append(ops.Rows, index.Row{Table: tableJob, Key: forgottenKey(v.ID)})
			if !there[v.Bucket] {
				ops.Buckets = append(ops.Buckets, v.Bucket)
				there[v.Bucket] = true
			}
		}
		return nil
	}})
}
