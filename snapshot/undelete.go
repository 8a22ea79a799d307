package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// Forgotten is a snapshot that was forgotten and can come back.
type Forgotten struct {
	*Snapshot
	Since time.Time // it was forgotten
}

// ListForgotten returns the snapshots that can come back, oldest first.
func ListForgotten(r *repo.Repository) (all []Forgotten, err error) {
	err = r.Forgotten(func(f *repo.Forgotten) error {
		s, err := fromVersion(&f.Version)
		if err == nil {
			all = append(all, Forgotten{s, time.Unix(0, f.Time)})
		}
		return err
	})
	slices.SortStableFunc(all, func(a, b Forgotten) int { return a.Time().Compare(b.Time()) })
	return all, err
}

// UndeleteResult tells what came back.
type UndeleteResult struct {
	Snapshots []string     `json:"snapshots"` // IDs
	Packs     repo.PackSum `json:"packs"`
	Lost      repo.PackSum `json:"lost"` // packs that cannot come back
}

// Undelete brings forgotten snapshots back, named by the first digits of their IDs, with
// all packs that can come back; without any, only those packs. Either all of the
// snapshots come back or none. Errors: repo.ErrNotFound, repo.ErrAmbiguous, and
// repo.ErrDamaged when what one needs is gone.
func Undelete(ctx context.Context, r *repo.Repository, specs []string) (*UndeleteResult, error) {
	all, err := ListForgotten(r)
	if err != nil {
		return nil, err
	}
	var versions []index.Version
	res := &UndeleteResult{Snapshots: []string{}}
	for _, spec := range specs {
		s, err := findForgotten(all, spec)
		if err != nil {
			return nil, err
		}
		if slices.Contains(res.Snapshots, s.ID()) {
			continue
		}
		versions = append(versions, *s.Version)
		res.Snapshots = append(res.Snapshots, s.ID())
	}
	for try := 1; ; try++ {
		err := undeleteOnce(ctx, r, versions, res)
		if err == nil {
			return res, nil
		}
		// A prune beside it may drop packs that were not dropped when it looked.
		if try == maxUndeletes || !errors.Is(err, repo.ErrDamaged) && !errors.Is(err, repo.ErrDropped) {
			return nil, err
		}
	}
}

// maxUndeletes bounds how often an undelete begins again.
const maxUndeletes = 4

// undeleteOnce is one try, in a session of its own.
func undeleteOnce(ctx context.Context, r *repo.Repository, versions []index.Version, res *UndeleteResult) error {
	sess, err := r.Begin(ctx)
	if err != nil {
		return err
	}
	if err := undelete(ctx, r, sess, versions, res); err != nil {
		if aerr := sess.Abandon(context.WithoutCancel(ctx)); aerr != nil && !errors.Is(err, aerr) {
			err = fmt.Errorf("%w (and the session could not be ended: %v)", err, aerr)
		}
		return err
	}
	return nil
}

func findForgotten(all []Forgotten, spec string) (found *Snapshot, err error) {
	if !idPrefix.MatchString(spec) {
		return nil, fmt.Errorf("snapshot %q: %w: want the first digits of an ID; firn undelete --list shows what can come back", spec, repo.ErrNotFound)
	}
	for _, f := range all {
		if !strings.HasPrefix(f.ID(), spec) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("snapshot %s: %w: several forgotten snapshots begin like this; give more digits", spec, repo.ErrAmbiguous)
		}
		found = f.Snapshot
	}
	if found == nil {
		return nil, fmt.Errorf("forgotten snapshot %s: %w; firn undelete --list shows what can come back", spec, repo.ErrNotFound)
	}
	return found, nil
}

// undelete brings the packs back first. The snapshots are committed only while all that
// they lead to is there.
func undelete(ctx context.Context, r *repo.Repository, sess *repo.Session, versions []index.Version, res *UndeleteResult) error {
	back, lost, err := sess.Undelete(ctx)
	res.Packs.Packs, res.Packs.Bytes, res.Lost = res.Packs.Packs+back.Packs, res.Packs.Bytes+back.Bytes, lost
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return sess.End(ctx, repo.Ops{})
	}
	marks := sess.Marks()
	for i := range versions {
		err := markVersion(ctx, r, marks, &versions[i])
		if err == nil {
			err = marks.Flush()
		}
		if err != nil {
			return fmt.Errorf("snapshot %s cannot come back whole: %w", versions[i].ID, err)
		}
	}
	return sess.Recall(ctx, versions)
}
