package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/firnstore/firn/index"
)

// rebuildIndex makes a new index from the log alone and puts it in the place of those that
// this machine has. These stay when that fails, and when one of them knows a commit that
// is gone: it may be the only record of it.
func (r *Repository) rebuildIndex(ctx context.Context) error {
	dir := filepath.Join(r.opt.CacheDir, "rebuild")
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	if err := r.checkHeads(ctx); err != nil {
		return fmt.Errorf("the index stays as it is: %w", err)
	}
	made, err := r.trial(ctx, dir, true)
	if errors.Is(err, ErrDamaged) {
		var werr error
		if made, werr = r.trial(ctx, dir, false); werr == nil {
			r.opt.Warn(fmt.Sprintf("made from a checkpoint, since the log alone does not do: %v", err))
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("the index stays as it is: %w", err)
	}
	if err := r.removeIndexes(); err != nil {
		return err
	}
	to := r.indexPath(0)
	if _, err := os.Stat(to); err == nil {
		return nil // another process has it; this one makes its own
	}
	if err := os.Rename(made, to); err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	return nil
}

// trial makes an index in another folder and returns its path.
func (r *Repository) trial(ctx context.Context, dir string, logAlone bool) (path string, err error) {
	t := &Repository{store: r.store, id: r.id, ring: r.ring, opt: r.opt}
	t.opt.CacheDir, t.opt.NoIndex = dir, false
	t.packs.r = t
	path = t.indexPath(0)
	if err := removeIndex(path); err != nil {
		return "", err
	}
	if t.index, err = index.Open(path, index.Options{Repository: r.id, BootID: r.opt.BootID, Partial: r.ring.metaID == nil}); err != nil {
		return "", err
	}
	if err = t.begin(ctx, logAlone); err == nil {
		err = t.Refresh(ctx)
	}
	return path, errors.Join(err, t.index.Close())
}

// checkHeads compares every index of this machine that can be read with the log.
func (r *Repository) checkHeads(ctx context.Context) error {
	for slot := range indexSlots {
		path := r.indexPath(slot)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		x, err := index.Open(path, index.Options{Repository: r.id, BootID: r.opt.BootID, Partial: r.ring.metaID == nil})
		if err != nil {
			continue // busy, or nothing that could be lost
		}
		old := &Repository{store: r.store, id: r.id, ring: r.ring, opt: r.opt, index: x}
		err = old.checkHead(ctx)
		if err = errors.Join(err, x.Close()); err != nil && !errors.Is(err, index.ErrDamaged) {
			return err
		}
	}
	return nil
}
