package sim

import (
	"context"
	"errors"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/snapshot"
	"github.com/firnstore/firn/tier"
)

// Weakness is a rule that is broken on purpose. A simulation that does not notice proves
// nothing.
type Weakness string

// The weaknesses: three of the store, two of a prune.
const (
	NoFolderSync Weakness = "a folder is not synced before a file in it is acknowledged"
	NoFileSync   Weakness = "a file gets its name before its bytes are durable"
	NotExclusive Weakness = "a name can be written twice"
	BlindPrune   Weakness = "a prune does not look again at what came since it made its plan"
	NaiveSweep   Weakness = "files that no commit names are removed while their session is open"
)

// blindPrune is a prune that plans right and does not look again before it drops.
func blindPrune(ctx context.Context, r *repo.Repository, opt repo.PruneOptions) error {
	opt.Mark = func(ctx context.Context, m *repo.Marks) error { return markAll(ctx, r, m) }
	opt.MarkCommit = func(context.Context, *repo.Marks, *index.Commit) error { return nil }
	_, err := r.Prune(ctx, opt)
	return err
}

// markAll marks what versions and parts lead to, as package snapshot does, but only of
// directories that fit one block.
func markAll(ctx context.Context, r *repo.Repository, m *repo.Marks) error {
	var contents []repo.Content
	note := func(c repo.Content) error { contents = append(contents, c); return nil }
	for _, b := range []string{plainBucket, keptBucket} {
		err := r.Index().Versions(b, nil, nil, func(v *index.Version) error {
			if v.Kind == index.ContentPayload {
				return note(repo.Content(v.Content))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := object.PartContents(r, note); err != nil {
		return err
	}
	all, err := snapshot.List(r, snapshot.Filter{})
	if err != nil {
		return err
	}
	for _, s := range all {
		err := s.Root.Walk(ctx, r, "/", func(_ string, n *snapshot.Node) error {
			switch n.Type {
			case snapshot.Dir:
				_, err := m.Walk(chunk.ID(n.Tree[1:]))
				return err
			case snapshot.File:
				return note(repo.Content(n.Content))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, c := range contents {
		if err := m.Content(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// naiveSweep removes the files of packs that are not in the log.
func naiveSweep(ctx context.Context, r *repo.Repository) error {
	if err := r.Refresh(ctx); err != nil {
		return err
	}
	var gone []string
	err := r.Store().List(ctx, "packs/", "", func(fi tier.Info) error {
		id, err := pack.ParseID(fi.Name[len(fi.Name)-32:])
		if err != nil {
			return err
		}
		_, err = r.Index().PackByID(id)
		if errors.Is(err, index.ErrNotFound) {
			gone = append(gone, fi.Name)
			return nil
		}
		return err
	})
	for _, name := range gone {
		if err == nil {
			err = r.Store().Delete(ctx, name)
		}
	}
	return err
}
