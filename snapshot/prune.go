package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/tree"
)

// Prune is repo.Prune with all that versions and unfinished uploads lead to as what is
// needed. Mark and MarkCommit of opt are not used. A dry run can be told of versions that
// are to be forgotten before the real one.
func Prune(ctx context.Context, r *repo.Repository, opt repo.PruneOptions, without ...index.VersionID) (*repo.PruneResult, error) {
	if len(without) > 0 && !opt.DryRun {
		panic("snapshot: a prune that is no dry run, without versions that are there")
	}
	if opt.Progress == nil {
		opt.Progress = &repo.PruneProgress{}
	}
	opt.Mark = func(ctx context.Context, m *repo.Marks) error { return markAll(ctx, r, m, opt.Progress, without) }
	opt.MarkCommit = func(ctx context.Context, m *repo.Marks, c *index.Commit) error { return markCommit(ctx, r, m, c) }
	return r.Prune(ctx, opt)
}

// markAll marks what the folded state needs. What cannot be read ends it: nobody knows
// then what is needed.
func markAll(ctx context.Context, r *repo.Repository, m *repo.Marks, p *repo.PruneProgress, without []index.VersionID) error {
	left := map[index.VersionID]bool{}
	for _, id := range without {
		left[id] = true
	}
	err := eachVersion(r, func(v *index.Version) error {
		p.Versions.Add(1)
		if left[v.ID] {
			return nil
		}
		return markVersion(ctx, r, m, v)
	})
	if err != nil {
		return err
	}
	var parts []repo.Content
	err = object.PartContents(r, func(c repo.Content) error {
		parts = append(parts, c)
		return nil
	})
	for _, c := range parts {
		if err == nil {
			err = m.Content(ctx, c)
		}
	}
	return err
}

// markCommit marks what a commit added and nobody has removed since.
func markCommit(ctx context.Context, r *repo.Repository, m *repo.Marks, c *index.Commit) error {
	for i := range c.Body.Versions {
		v := &c.Body.Versions[i]
		now, _, err := r.Index().VersionOf(v.Bucket, v.Key, func(o *index.Version) bool { return o.ID == v.ID })
		if errors.Is(err, index.ErrNotFound) || err == nil && now == nil {
			continue
		}
		if err == nil {
			err = markVersion(ctx, r, m, now)
		}
		if err != nil {
			return err
		}
	}
	return object.PartsIn(r, c, func(h repo.Content) error { return m.Content(ctx, h) })
}

func markVersion(ctx context.Context, r *repo.Repository, m *repo.Marks, v *index.Version) error {
	err := ctx.Err()
	if err != nil {
		return context.Cause(ctx)
	}
	switch v.Kind {
	case index.ContentPayload:
		var c repo.Content
		if c, err = repo.ParseContent(v.Content); err == nil {
			err = m.Content(ctx, c)
		}
	case index.TreePayload:
		var s *Snapshot
		if s, err = fromVersion(v); err == nil {
			t := tree.Handle(s.Root.Tree)
			err = markTree(ctx, r, m, t.ID(), t.Level())
		}
	}
	if err != nil {
		return fmt.Errorf("version %s in bucket %s: %w", v.ID, v.Bucket, err)
	}
	return nil
}

// markTree marks a block of a directory and what it leads to. Blocks that directories, or
// states of one, share are walked once.
func markTree(ctx context.Context, r *repo.Repository, m *repo.Marks, id chunk.ID, level int) error {
	first, err := m.Walk(id)
	if err != nil || !first {
		return err
	}
	b, err := tree.ReadBlock(ctx, r, id, level)
	for err == nil && len(b) > 0 {
		if level > 0 {
			var ref tree.BlockRef
			if b, err = tree.DecodeRef(b, &ref); err == nil {
				err = markTree(ctx, r, m, ref.ID, level-1)
			}
			continue
		}
		var n Node
		if _, b, err = tree.Decode(b, &n); err != nil {
			break
		}
		switch n.Type {
		case Dir:
			t := tree.Handle(n.Tree)
			err = markTree(ctx, r, m, t.ID(), t.Level())
		case File:
			err = m.Content(ctx, n.Data())
		}
	}
	return err
}

// versionPage is how many versions are collected at a time: what is done with one may be
// long, and a transaction of the index should be short.
const versionPage = 1000

var errPage = errors.New("page is full")

// eachVersion calls f for every version of every bucket, outside of transactions of the
// index.
func eachVersion(r *repo.Repository, f func(*index.Version) error) error {
	buckets, err := r.Index().Buckets()
	if err != nil {
		return err
	}
	for _, b := range buckets {
		if err := bucketVersions(r, b, f); err != nil {
			return err
		}
	}
	return nil
}

// bucketVersions walks the versions of a bucket page by page. A page ends between two keys.
func bucketVersions(r *repo.Repository, name string, f func(*index.Version) error) error {
	var from []byte
	for more := true; more; {
		more = false
		var page []*index.Version
		err := r.Index().Versions(name, nil, from, func(v *index.Version) error {
			if n := len(page); n >= versionPage && !bytes.Equal(v.Key, page[n-1].Key) {
				from, more = bytes.Clone(v.Key), true
				return errPage
			}
			page = append(page, v)
			return nil
		})
		if err != nil && !errors.Is(err, errPage) {
			return err
		}
		for _, v := range page {
			if err := f(v); err != nil {
				return err
			}
		}
	}
	return nil
}
