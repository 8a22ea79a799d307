package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/tree"
)

// FreezeOptions say which bucket to make a snapshot of.
type FreezeOptions struct {
	Bucket  string
	Host    string
	User    string
	Tags    []string
	Lock    *index.Lock // of the snapshot; nil: none
	Full    bool        // look at every object, also when there is an earlier snapshot of the bucket
	Program string
}

// FreezeResult tells what became of it.
type FreezeResult struct {
	ID      string  `json:"snapshot"`
	Bucket  string  `json:"bucket"`
	Parent  string  `json:"parent,omitempty"`
	Objects int64   `json:"objects"`
	Bytes   int64   `json:"bytes"`
	Looked  int64   `json:"objects_looked_at"` // all of them without a parent, else those that changed
	Seconds float64 `json:"seconds"`
}

// maxFreezes bounds how often a freeze follows what was written meanwhile. What comes behind
// that may be in the snapshot or not.
const maxFreezes = 8

// Freeze makes a snapshot of the objects of a bucket, with their metadata and tags. It stands
// on the snapshot that was made of the bucket before: it reads the log from there on, and
// costs what changed. Objects are not copied: the snapshot shares their content, and keeps it
// when they go. It is of one moment, unless the bucket is written so fast that maxFreezes
// rounds do not catch up. object.ErrNoBucket.
func Freeze(ctx context.Context, r *repo.Repository, opt FreezeOptions) (*FreezeResult, error) {
	start := r.Now()
	sess, err := r.Begin(ctx) // with it, all that was committed is folded
	if err != nil {
		return nil, err
	}
	f := &freezer{r: r, opt: &opt, sess: sess, marks: sess.Marks()}
	res, err := f.run(ctx, start)
	if err == nil {
		return res, nil
	}
	if aerr := sess.Abandon(context.WithoutCancel(ctx)); aerr != nil && !errors.Is(err, aerr) {
		err = fmt.Errorf("%w (and the session could not be ended: %v)", err, aerr)
	}
	return nil, fmt.Errorf("snapshot of bucket %s: %w", opt.Bucket, err)
}

// freezer is one run of Freeze.
type freezer struct {
	r     *repo.Repository
	opt   *FreezeOptions
	sess  *repo.Session
	marks *repo.Marks // what the session relies on

	in     *repo.Ingest
	parent *Snapshot
	at     tree.Handle
	have   bool   // at is a state of the bucket
	since  uint64 // at has all commits up to here
	looked int64
}

func (f *freezer) run(ctx context.Context, start time.Time) (*FreezeResult, error) {
	if _, err := f.r.Index().Empty(f.opt.Bucket); errors.Is(err, index.ErrNotFound) {
		return nil, object.ErrNoBucket
	} else if err != nil {
		return nil, err
	}
	if err := f.findParent(); err != nil {
		return nil, err
	}
	var totals Totals
	for try := 1; ; try++ {
		if err := f.build(ctx); err != nil {
			return nil, err
		}
		var err error
		if totals, err = f.count(ctx); err != nil {
			return nil, err
		}
		v, err := f.version(start, totals)
		if err != nil {
			return nil, err
		}
		err = f.sess.End(ctx, repo.Ops{
			Versions: []index.Version{*v},
			Prepare:  func(ops *repo.Ops) error { return f.prepare(ctx, ops, try == maxFreezes) },
		})
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return nil, err
		}
		res := &FreezeResult{ID: v.ID.String(), Bucket: f.opt.Bucket, Objects: totals.Files, Bytes: totals.Bytes, Looked: f.looked,
			Seconds: f.r.Now().Sub(start).Seconds()}
		if f.parent != nil {
			res.Parent = f.parent.ID()
		}
		return res, nil
	}
}

// errMoved: the bucket has changed since its state was put together.
var errMoved = errors.New("the bucket has changed")

// findParent takes the newest snapshot of the bucket to stand on.
func (f *freezer) findParent() error {
	if f.opt.Full || f.r.RequireData() != nil {
		return nil
	}
	err := f.r.Index().Versions(object.Frozen, []byte(f.opt.Bucket), nil, func(v *index.Version) error {
		if string(v.Key) != f.opt.Bucket {
			return errStop
		}
		bucket, commit := object.FrozenBucket(v)
		if v.Kind != index.TreePayload || bucket != f.opt.Bucket || commit == 0 {
			return nil
		}
		s, err := fromVersion(v)
		if err == nil {
			f.parent, f.at, f.since, f.have, err = s, tree.Handle(s.Root.Tree), commit, true, errStop
		}
		return err
	})
	if errors.Is(err, errStop) || errors.Is(err, index.ErrNotFound) {
		err = nil
	}
	return err
}

// changed returns the keys that commits touched behind f.since, in the order of their names
// in the tree, up to which commit that is, and whether the bucket was removed among them.
func (f *freezer) changed(ctx context.Context) (keys []string, upTo uint64, removed bool, err error) {
	touched := map[string]struct{}{}
	upTo = f.since
	err = f.r.Commits(ctx, f.since, func(c *index.Commit) error {
		upTo = c.Header.Seq
		removed = removed || slices.Contains(c.Body.BucketsRemoved, f.opt.Bucket)
		for i := range c.Body.Versions {
			if v := &c.Body.Versions[i]; v.Bucket == f.opt.Bucket {
				touched[string(v.Key)] = struct{}{}
			}
		}
		for i := range c.Body.Removals {
			if v := &c.Body.Removals[i]; v.Bucket == f.opt.Bucket {
				touched[string(v.Key)] = struct{}{}
			}
		}
		for i := range c.Body.Edits {
			if v := &c.Body.Edits[i]; v.Bucket == f.opt.Bucket {
				touched[string(v.Key)] = struct{}{}
			}
		}
		return nil
	})
	for key := range touched {
		keys = append(keys, key)
	}
	slices.Sort(keys) // which is the order of names
	return keys, upTo, removed, err
}

// build brings f.at up to what the bucket is now.
func (f *freezer) build(ctx context.Context) error {
	in, err := f.sess.Ingest(ctx, repo.IngestOptions{Stream: object.Frozen})
	if err != nil {
		return err
	}
	f.in = in
	err = f.follow(ctx)
	if cerr := in.Close(); cerr != nil {
		err = cerr
	}
	if err == nil {
		err = f.marks.Flush()
	}
	if err == nil {
		err = f.sess.Commit(ctx, repo.Ops{}) // so that the blocks can be read
	}
	return err
}

func (f *freezer) follow(ctx context.Context) error {
	if !f.have {
		return f.everything(ctx)
	}
	keys, upTo, removed, err := f.changed(ctx)
	if err != nil {
		return err
	}
	if removed {
		f.have, f.parent = false, nil
		return f.everything(ctx)
	}
	next := func() ([]byte, *Node, bool, error) {
		if len(keys) == 0 {
			return nil, nil, false, nil
		}
		key := keys[0]
		keys = keys[1:]
		v, _, err := f.r.Index().VersionOf(f.opt.Bucket, []byte(key), nil)
		if err != nil || v == nil || v.Kind != index.ContentPayload {
			return object.FrozenName(key), nil, true, err
		}
		n, err := f.node(ctx, v)
		return object.FrozenName(key), n, true, err
	}
	at, err := tree.Update(ctx, f.r, &f.at, f.put, next)
	if err == nil {
		f.at, f.since = at, upTo
	}
	return err
}

// everything reads the whole bucket.
func (f *freezer) everything(ctx context.Context) error {
	upTo, _, err := f.r.Index().Applied()
	if err != nil {
		return err
	}
	w := tree.Writer{Put: f.put}
	for v, err := range (object.Past{Bucket: f.opt.Bucket}).Objects(f.r) {
		if err != nil {
			return err
		}
		n, err := f.node(ctx, v)
		if err != nil {
			return err
		}
		raw, err := index.Marshal(n)
		if err == nil {
			err = w.Add(n.Name, raw)
		}
		if err != nil {
			return err
		}
	}
	at, err := w.Finish()
	if err == nil {
		f.at, f.since, f.have = at, upTo, true
	}
	return err
}

// put stores a block of the tree. Blocks of an earlier round are relied on, too.
func (f *freezer) put(b []byte) (chunk.ID, error) { return f.in.Meta(b) }

// node makes the node of an object, and relies on its content.
func (f *freezer) node(ctx context.Context, v *index.Version) (*Node, error) {
	f.looked++
	n, err := object.Freeze(v)
	if err == nil {
		err = f.marks.Content(ctx, n.Data())
	}
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", v.Key, err)
	}
	return n, nil
}

// count adds up the objects: those of the parent, and what differs.
func (f *freezer) count(ctx context.Context) (t Totals, err error) {
	var was *tree.Handle
	if f.parent != nil && f.parent.Root.Below != nil {
		h := tree.Handle(f.parent.Root.Tree)
		was, t = &h, *f.parent.Root.Below
	}
	err = tree.Diff(ctx, f.r, was, &f.at, func(was, is *Node) error {
		if was != nil {
			t.Files--
			t.Bytes -= was.Size
		}
		if is != nil {
			t.Files++
			t.Bytes += is.Size
		}
		return nil
	})
	return t, err
}

// prepare makes sure, in the commit, that the state is that of the bucket, that the parent is
// still there, whose contents it relies on, and that there is a bucket for it.
func (f *freezer) prepare(ctx context.Context, ops *repo.Ops, last bool) error {
	ops.Buckets = nil
	have, err := f.r.Index().Buckets()
	if err != nil {
		return err
	}
	if !contains(have, object.Frozen) {
		ops.Buckets = []string{object.Frozen}
	}
	if !contains(have, f.opt.Bucket) {
		return object.ErrNoBucket
	}
	if f.parent != nil {
		all, err := withPrefix(f.r, f.parent.ID(), Filter{})
		if err == nil && len(all) == 0 {
			err = fmt.Errorf("the snapshot before, %s, was removed meanwhile: %w", f.parent.Short(), repo.ErrDropped)
		}
		if err != nil {
			return err
		}
	}
	keys, _, removed, err := f.changed(ctx)
	if err == nil && !last && (len(keys) > 0 || removed) {
		err = errMoved
	}
	return err
}

func (f *freezer) version(start time.Time, t Totals) (*index.Version, error) {
	root, err := index.Marshal(&Node{Name: []byte("/"), Type: Dir, Mode: 0o755, Tree: f.at[:], ModTime: start.UnixNano(), Below: &t})
	if err != nil {
		return nil, err
	}
	v := &index.Version{
		Bucket: object.Frozen, Key: []byte(f.opt.Bucket), Time: start.UnixNano(), Kind: index.TreePayload, Root: root, Class: "STANDARD", Lock: f.opt.Lock,
		Snapshot: &index.Snapshot{
			Host: f.opt.Host, User: f.opt.User, Tags: f.opt.Tags, Paths: [][]byte{[]byte("s3:" + f.opt.Bucket)},
			Start: start.UnixNano(), End: f.r.Now().UnixNano(), Files: uint64(t.Files), Bytes: uint64(t.Bytes),
			BytesAdded: uint64(f.sess.Added()), Program: f.opt.Program,
		},
	}
	object.MarkFrozen(v, f.opt.Bucket, f.since)
	if f.parent != nil {
		v.Snapshot.Parent = &f.parent.Version.ID
	}
	if _, err := io.ReadFull(f.r.Rand(), v.ID[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return v, nil
}
