package repo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

// A checkpoint is written when the log behind the last one is as long as that one, so
// that making the index anew reads at most twice what it must, and all checkpoints
// together cost no more than the log; but not for less than these.
const (
	checkpointBytes   = 8 << 20
	checkpointCommits = 1000
	keepCheckpoints   = 2 // the newest, and one in case it is damaged
)

// checkpoints lists them, oldest first.
func (r *Repository) checkpoints(ctx context.Context) (list []tier.Info, err error) {
	err = r.store.List(ctx, "checkpoints/", "", func(fi tier.Info) error {
		if _, _, ok := index.ParseCheckpointName(fi.Name); ok {
			list = append(list, fi)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	return list, nil
}

// fileAt is a file of a store as an io.ReaderAt.
type fileAt struct {
	ctx   context.Context
	store tier.Store
	name  string
}

func (f fileAt) ReadAt(p []byte, off int64) (int, error) {
	return f.store.ReadAt(f.ctx, f.name, p, off)
}

// loadCheckpoint fills an empty index from the newest checkpoint that can be believed.
// One that cannot is passed over with a warning: the log has everything.
func (r *Repository) loadCheckpoint(ctx context.Context) error {
	if r.ring.metaID == nil {
		return nil
	}
	list, err := r.checkpoints(ctx)
	if err != nil {
		return err
	}
	for i := len(list) - 1; i >= 0; i-- {
		fi := list[i]
		err := r.index.LoadCheckpoint(fileAt{ctx, r.store, fi.Name}, fi.Size, index.WriterKey(r.ring.Founder), r.ring.metaID)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, index.ErrDamaged) {
			return err
		}
		r.opt.Warn(fmt.Sprintf("%s in %s cannot be used, the log is read instead: %v", fi.Name, r.store, err))
	}
	return nil
}

// Checkpoint writes a checkpoint if the log has grown enough since the last, or always
// when forced, and removes those that are no longer needed.
func (r *Repository) Checkpoint(ctx context.Context, force bool) error {
	if r.ring.role == index.Write {
		return nil
	}
	list, err := r.checkpoints(ctx)
	if err != nil {
		return err
	}
	due, err := r.checkpointDue(ctx, list)
	if err != nil || !due && !force {
		return err
	}
	if err := r.writeCheckpoint(ctx); err != nil {
		return err
	}
	for i := 0; i+keepCheckpoints <= len(list); i++ {
		if err := r.store.Delete(ctx, list[i].Name); err != nil && !errors.Is(err, tier.ErrNotExist) {
			return fmt.Errorf("remove old checkpoint: %w", err)
		}
	}
	return nil
}

// renewCheckpoints replaces all checkpoints by one of our own: they are believed on the
// word of their signer, and one of those was revoked.
func (r *Repository) renewCheckpoints(ctx context.Context) error {
	list, err := r.checkpoints(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	if err := r.writeCheckpoint(ctx); err != nil {
		return err
	}
	for _, fi := range list {
		if err := r.store.Delete(ctx, fi.Name); err != nil && !errors.Is(err, tier.ErrNotExist) {
			return fmt.Errorf("remove old checkpoint: %w", err)
		}
	}
	return nil
}

func (r *Repository) checkpointDue(ctx context.Context, list []tier.Info) (bool, error) {
	last, size := uint64(0), int64(checkpointBytes)
	if len(list) > 0 {
		fi := list[len(list)-1]
		last, _, _ = index.ParseCheckpointName(fi.Name)
		size = max(size, fi.Size)
	}
	var commits, bytes int64
	err := r.store.List(ctx, "log/", index.CommitName(last), func(fi tier.Info) error {
		commits++
		bytes += fi.Size
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("list log: %w", err)
	}
	return commits >= checkpointCommits || bytes >= size, nil
}

// writeCheckpoint spools the body beside the index: its digest comes before it.
func (r *Repository) writeCheckpoint(ctx context.Context) error {
	spool, err := os.CreateTemp(r.opt.CacheDir, "checkpoint-*")
	if err != nil {
		return fmt.Errorf("spool checkpoint: %w", err)
	}
	defer func() {
		_ = spool.Close()
		_ = os.Remove(spool.Name())
	}()
	seq, head, err := r.index.WriteCheckpoint(spool, r.ring.signer, r.ring.metaRcpt)
	if err != nil {
		return err
	}
	r.logMu.Lock()
	err = r.settle(ctx) // at least as far as the checkpoint goes
	r.logMu.Unlock()
	if err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("spool checkpoint: %w", err)
	}
	var random [8]byte
	if _, err := io.ReadFull(r.opt.Rand, random[:]); err != nil {
		return fmt.Errorf("read randomness: %w", err)
	}
	name := index.CheckpointName(seq, binary.BigEndian.Uint64(random[:]))
	w, err := r.store.Create(ctx, name)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err = w.Write(head); err == nil {
		_, err = io.Copy(w, spool)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), w.Abort())
	}
	if err := w.Commit(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
