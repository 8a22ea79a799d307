package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
)

// ForgetOptions of Forget.
type ForgetOptions struct {
	Snapshots []string // these are forgotten, named by the first digits of their IDs; then no policy counts
	Filter    Filter   // only snapshots that it chooses are looked at
	GroupBy   []string // some of GroupKeys
	Policy    Policy   // applied to each group
	DryRun    bool
}

// ForgetResult is what was, or would be, forgotten.
type ForgetResult struct {
	Groups []ForgetGroup
	Forgot int  // snapshots
	Kept   int  // of those looked at,
	Locked int  // so many of them only because a lock forbids to remove them
	DryRun bool // nothing was forgotten
}

// ForgetGroup is a group and what becomes of its snapshots, newest first.
type ForgetGroup struct {
	Name    string
	Choices []Choice
}

// Forget removes snapshots: those named, or those that a policy does not keep. Until the
// grace of a prune has passed, they can be brought back. What is under a lock stays.
func Forget(ctx context.Context, r *repo.Repository, opt ForgetOptions) (*ForgetResult, error) {
	if role, name := r.Role(); role == index.Write {
		return nil, fmt.Errorf("key slot %s has role %s and cannot forget: %w", name, role, repo.ErrRole)
	}
	res := &ForgetResult{DryRun: opt.DryRun}
	if err := res.choose(r, &opt); err != nil {
		return nil, err
	}
	res.lock(r.Now())
	if opt.DryRun || res.Forgot == 0 {
		return res, nil
	}
	sess, err := r.Begin(ctx)
	if err != nil {
		return nil, err
	}
	err = sess.End(ctx, repo.Ops{Prepare: func(ops *repo.Ops) error { return res.prepare(r, ops) }})
	if err != nil {
		if aerr := sess.Abandon(context.WithoutCancel(ctx)); aerr != nil && !errors.Is(err, aerr) {
			err = fmt.Errorf("%w (and the session could not be ended: %v)", err, aerr)
		}
		return nil, err
	}
	return res, nil
}

// choose decides without regard to locks.
func (res *ForgetResult) choose(r *repo.Repository, opt *ForgetOptions) error {
	if len(opt.Snapshots) > 0 {
		g := ForgetGroup{}
		seen := map[index.VersionID]bool{}
		for _, spec := range opt.Snapshots {
			s, err := Find(r, spec, opt.Filter)
			if err != nil {
				return err
			}
			if !seen[s.Version.ID] {
				g.Choices = append(g.Choices, Choice{Snapshot: s})
			}
			seen[s.Version.ID] = true
		}
		res.Groups = []ForgetGroup{g}
		return nil
	}
	all, err := List(r, opt.Filter)
	if err != nil {
		return err
	}
	for _, g := range GroupBy(all, opt.GroupBy) {
		res.Groups = append(res.Groups, ForgetGroup{g.Name, opt.Policy.Choose(g.Snapshots)})
	}
	return nil
}

// Forgotten returns the snapshots that were, or would be, forgotten.
func (res *ForgetResult) Forgotten() (ids []index.VersionID) {
	_ = res.each(func(c *Choice) error {
		if len(c.Keep) == 0 {
			ids = append(ids, c.Version.ID)
		}
		return nil
	})
	return ids
}

// each calls f for every snapshot that was looked at.
func (res *ForgetResult) each(f func(c *Choice) error) error {
	for i := range res.Groups {
		for j := range res.Groups[i].Choices {
			if err := f(&res.Groups[i].Choices[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// lock keeps what must not be removed, and counts. It may be called again.
func (res *ForgetResult) lock(now time.Time) {
	res.Forgot, res.Kept, res.Locked = 0, 0, 0
	_ = res.each(func(c *Choice) error {
		if c.Locked {
			c.Keep, c.Locked = nil, false
		}
		if err := object.Removable(c.Version.Lock, now, false); err != nil && len(c.Keep) == 0 {
			c.Keep, c.Locked = []string{err.Error()}, true
			res.Locked++
		}
		if len(c.Keep) > 0 {
			res.Kept++
		} else {
			res.Forgot++
		}
		return nil
	})
}

// prepare makes the removals of the folded state: others may have removed or locked some
// of the snapshots meanwhile.
func (res *ForgetResult) prepare(r *repo.Repository, ops *repo.Ops) error {
	ops.Removals, ops.Rows = nil, nil
	now := r.Now()
	err := res.each(func(c *Choice) error {
		if len(c.Keep) > 0 {
			return nil
		}
		v, _, err := r.Index().VersionOf(c.Version.Bucket, c.Version.Key, func(v *index.Version) bool { return v.ID == c.Version.ID })
		if errors.Is(err, index.ErrNotFound) || err == nil && v == nil {
			return nil // it is gone, as was wanted
		}
		if err != nil {
			return err
		}
		c.Version.Lock = v.Lock
		if object.Removable(v.Lock, now, false) != nil {
			return nil
		}
		f := repo.Forgotten{Time: now.UnixNano(), Version: *v}
		row, err := f.Row()
		if err != nil {
			return err
		}
		ops.Removals = append(ops.Removals, index.Removal{Bucket: v.Bucket, Key: v.Key, ID: v.ID})
		ops.Rows = append(ops.Rows, row)
		return nil
	})
	if err == nil {
		res.lock(now)
	}
	return err
}
