package sim

import (
	"context"
	"errors"
	"os"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// final checks what is there when everybody is done, and again after a prune.
func (w *world) final() error {
	w.deliver()
	for _, l := range w.late {
		_ = l.do()
	}
	w.late = nil
	if err := w.verify(w.d, w.model, true, false); err != nil {
		return err
	}
	if err := w.bringBack(); err != nil {
		return err
	}
	return w.tidy()
}

// visit opens a copy of what there is, with no others around, and does something to it.
func (w *world) visit(do func(r *repo.Repository) error) (*disk, error) {
	cache, err := w.keep(true)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(cache) }()
	d := w.d.clone()
	r, err := open(store{newPlain(d, w.far)}, w.id, w.options(cache, uint64(w.dirs)))
	if err != nil {
		return nil, err
	}
	return d, errors.Join(do(r), r.Close())
}

// bringBack undeletes what was forgotten: when nobody was in haste, all of it comes back.
func (w *world) bringBack() error {
	if !w.calm {
		return nil
	}
	_, err := w.visit(func(r *repo.Repository) error {
		list, err := snapshot.ListForgotten(r)
		if err != nil {
			return bad(Damaged, "list what was forgotten: %w", err)
		}
		v := &verifier{m: w.model, r: r, contents: map[repo.Content][]byte{}}
		for _, f := range list {
			if _, err := snapshot.Undelete(context.Background(), r, []string{f.ID()}); err != nil {
				return bad(Lost, "undelete of snapshot %s: %w", f.Short(), err)
			}
			t, err := v.tree(f.Snapshot)
			if err != nil {
				return bad(Lost, "undeleted snapshot %s: %w", f.Short(), err)
			}
			if known := w.model.snaps[f.ID()]; known != nil && !known.tree.equal(t) {
				return bad(Wrong, "undeleted snapshot %s is %s instead of %s", f.Short(), t, known.tree)
			}
		}
		return nil
	})
	return err
}

// tidy prunes: what is needed stays, all else goes, and nothing is left to do.
func (w *world) tidy() error {
	d, err := w.visit(func(r *repo.Repository) error {
		if _, err := snapshot.Prune(context.Background(), r, repo.PruneOptions{}); err != nil {
			return bad(Damaged, "prune at the end: %w", err)
		}
		res, err := snapshot.Prune(context.Background(), r, repo.PruneOptions{DryRun: true})
		if err != nil {
			return bad(Damaged, "prune at the end: %w", err)
		}
		if res.Dropped.Packs+res.Repacked.Packs+res.Removed.Packs+res.Unknown.Packs+res.Held.Packs > 0 {
			return bad(Damaged, "after a prune there is more to prune: %+v", *res)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.verifyCopy(d)
}

// verifyCopy is verify for a disk from which the history does not go on.
func (w *world) verifyCopy(d *disk) error {
	was := w.ended
	w.ended = true
	defer func() { w.ended = was }()
	return w.verify(d, w.model, true, true)
}
