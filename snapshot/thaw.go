package snapshot

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/tree"
)

// ThawOptions say where the objects of a frozen bucket go.
type ThawOptions struct {
	Bucket  string // into this one; "" is where they came from
	Delete  bool   // delete what the snapshot does not have
	DryRun  bool
	Problem func(key string, err error) // told of what could not be written; calls do not overlap

	// Refuse, if not nil, says of an object why it cannot be in that bucket.
	Refuse func(bucket string, v *index.Version) error
}

// ThawResult counts objects.
type ThawResult struct {
	Bucket    string `json:"bucket"`
	Objects   int64  `json:"objects"` // that the snapshot has
	Restored  int64  `json:"restored"`
	Unchanged int64  `json:"unchanged"`
	Deleted   int64  `json:"deleted"`
	Problems  int64  `json:"problems"`
	DryRun    bool   `json:"dry_run,omitempty"`
}

// thawers bounds the objects that are written at a time: they share commits.
const thawers = 64

// Thaw puts the objects of a frozen bucket back, with their metadata and tags, as new versions;
// no byte is copied. Those that are in the bucket as they were are left alone. Locks bind as
// they bind clients: what they forbid is a problem. object.ErrNoBucket.
func Thaw(ctx context.Context, e *object.Engine, s *Snapshot, opt ThawOptions) (*ThawResult, error) {
	from, _ := object.FrozenBucket(s.Version)
	if from == "" {
		return nil, fmt.Errorf("snapshot %s is not one of a bucket", s.Short())
	}
	if opt.Bucket == "" {
		opt.Bucket = from
	}
	if _, err := e.Bucket(opt.Bucket); err != nil {
		return nil, err
	}
	t := &thaw{e: e, s: s, opt: &opt, res: &ThawResult{Bucket: opt.Bucket, DryRun: opt.DryRun}, slots: make(chan struct{}, thawers)}
	err := t.run(ctx)
	t.work.Wait()
	t.res.Restored, t.res.Deleted, t.res.Problems = t.restored.Load(), t.deleted.Load(), t.problems.Load()
	return t.res, err
}

// thaw is one run of Thaw.
type thaw struct {
	e     *object.Engine
	s     *Snapshot
	opt   *ThawOptions
	res   *ThawResult
	slots chan struct{}
	work  sync.WaitGroup
	tell  sync.Mutex

	restored, deleted, problems atomic.Int64
}

// run goes over the snapshot and the bucket side by side: both are in the order of keys.
func (t *thaw) run(ctx context.Context) error {
	r := t.e.Repository()
	next, stop := iter.Pull2((object.Past{Bucket: t.opt.Bucket}).Objects(r))
	defer stop()
	now, err, have := next()
	if err != nil {
		return err
	}
	// pass takes what only the bucket has, up to a key or to the end.
	pass := func(key string, end bool) error {
		for have && (end || string(now.Key) < key) {
			if t.opt.Delete {
				t.delete(ctx, string(now.Key))
			}
			if now, err, have = next(); err != nil {
				return err
			}
		}
		return nil
	}
	h := tree.Handle(t.s.Root.Tree)
	err = tree.Diff(ctx, r, nil, &h, func(_, n *Node) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		v, err := object.Thaw(n)
		if err != nil {
			return err
		}
		t.res.Objects++
		if err := pass(string(v.Key), false); err != nil {
			return err
		}
		if have && string(now.Key) == string(v.Key) {
			same := sameObject(now, v)
			if now, err, have = next(); err != nil {
				return err
			}
			if same {
				t.res.Unchanged++
				return nil
			}
		}
		t.put(ctx, v)
		return nil
	})
	if err == nil {
		err = pass("", true)
	}
	return err
}

// sameObject reports whether two versions have the same content and metadata.
func sameObject(a, b *index.Version) bool {
	content := func(v *index.Version) string {
		if len(v.Content) == 0 {
			return string(make([]byte, len(repo.Content{})))
		}
		return string(v.Content)
	}
	return content(a) == content(b) && a.Class == b.Class && maps.Equal(a.User, b.User) && maps.Equal(a.System, b.System) &&
		maps.Equal(a.Tags, b.Tags) && slices.Equal(a.Parts, b.Parts)
}

// start runs f beside the walk, when there is a place for it.
func (t *thaw) start(key string, done *atomic.Int64, f func() error) {
	if t.opt.DryRun {
		done.Add(1)
		return
	}
	t.slots <- struct{}{}
	t.work.Go(func() {
		defer func() { <-t.slots }()
		err := f()
		if err == nil {
			done.Add(1)
			return
		}
		t.problems.Add(1)
		if t.opt.Problem != nil {
			t.tell.Lock()
			defer t.tell.Unlock()
			t.opt.Problem(key, err)
		}
	})
}

func (t *thaw) put(ctx context.Context, v *index.Version) {
	key := string(v.Key)
	t.start(key, &t.restored, func() error {
		if t.opt.Refuse != nil {
			if err := t.opt.Refuse(t.opt.Bucket, v); err != nil {
				return err
			}
		}
		_, err := t.e.Link(ctx, &object.PutRequest{
			Bucket: t.opt.Bucket, Key: key,
			Version: index.Version{Class: v.Class, User: v.User, System: v.System, Tags: v.Tags, Parts: v.Parts},
			Source:  &object.Source{Bucket: t.s.Version.Bucket, Key: string(t.s.Version.Key) + "/" + key, ID: t.s.Version.ID},
		})
		return err
	})
}

func (t *thaw) delete(ctx context.Context, key string) {
	t.start(key, &t.deleted, func() error {
		res, err := t.e.Delete(ctx, t.opt.Bucket, []object.DeleteRequest{{Key: key}})
		return errors.Join(err, firstOf(res))
	})
}

// firstOf is the error of the only result.
func firstOf(res []object.DeleteResult) error {
	if len(res) == 0 {
		return nil
	}
	return res[0].Err
}
