package object

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// Ref names a version of a key; the zero value is the newest one.
type Ref struct {
	ID   index.VersionID
	Null bool // the null version, whatever its ID
}

// Current reports whether the newest version is meant.
func (r Ref) Current() bool { return !r.Null && r.ID == index.VersionID{} }

func (r Ref) match() func(*index.Version) bool {
	switch {
	case r.Null:
		return func(v *index.Version) bool { return v.Null && v.Kind != index.TreePayload }
	case r.Current():
		return nil
	}
	return func(v *index.Version) bool { return v.ID == r.ID && !v.Null && v.Kind != index.TreePayload }
}

// Version returns a version, which may be a delete marker but is never a snapshot, and
// whether it is the newest of its key. The version is the caller's. ErrNoBucket, ErrNoKey (a
// key without any version), ErrNoVersion.
func (e *Engine) Version(bucket, key string, ref Ref) (v *index.Version, latest bool, err error) {
	v, latest, err = e.r.Index().VersionOf(bucket, []byte(key), ref.match())
	switch {
	case err != nil:
		return nil, false, bucketError(bucket, err)
	case v == nil && ref.Current():
		return nil, false, fmt.Errorf("%s in bucket %s: %w", key, bucket, ErrNoKey)
	case v == nil:
		return nil, false, fmt.Errorf("version of %s in bucket %s: %w", key, bucket, ErrNoVersion)
	}
	return v, latest, nil
}

// List returns a page of the keys or versions of objects in a bucket, in the order of the bytes of
// keys. It costs what is on the page. ErrNoBucket.
func (e *Engine) List(bucket string, q index.ListQuery) (*index.Listing, error) {
	l, err := e.r.Index().List(bucket, q)
	if err != nil {
		return nil, bucketError(bucket, err)
	}
	return l, nil
}

// PutRequest says what is to become the newest version of a key.
type PutRequest struct {
	Bucket, Key string

	// Version carries Class, User, System, Tags, Lock and Parts; the engine sets the rest.
	// Lock without a mode means the default retention of the bucket.
	Version index.Version

	// Check, if not nil, is called inside the commit with the newest version, nil when
	// there is none or it is a delete marker; and before the body is read, to refuse what
	// is in vain. It may be called more often, and must not change what it gets. Its error
	// refuses the put.
	Check func(b *Bucket, current *index.Version) error

	// Source, when not nil, is a version whose content the new one shares; it has to exist
	// still when the commit is made.
	Source *Source

	Tell Teller // of the version that was made
}

// Source names a version by its place.
type Source struct {
	Bucket, Key string
	ID          index.VersionID
}

// Put stores body to its end as the newest version of a key, and returns that version, which
// is the caller's. finish, if not nil, is called after body returned io.EOF and before the
// commit, with the version to be stored, to set what follows from the bytes. An error of
// body, finish or req.Check is returned as it is, and nothing is stored then.
//
// ErrNoBucket; ErrSnapshot; ErrLocked when it would replace a null version under a lock;
// ErrBusy when too many large bodies are being stored. The end of ctx does not stop a
// commit that waits: what is returned is what became of it.
func (e *Engine) Put(ctx context.Context, req *PutRequest, body io.Reader, finish func(*index.Version) error) (*index.Version, error) {
	if err := e.mayPut(req); err != nil {
		return nil, err
	}
	st, err := e.stage(ctx, body)
	if err != nil {
		return nil, err
	}
	defer st.release()
	v := req.Version
	if finish != nil {
		if err := finish(&v); err != nil {
			return nil, err
		}
	}
	return e.putVersion(ctx, req, &v, st)
}

// Link is Put with the content of another version, req.Source, which is not read but
// shared. ErrNoVersion when that is not there, or is gone before the commit.
func (e *Engine) Link(ctx context.Context, req *PutRequest) (*index.Version, error) {
	if err := e.mayPut(req); err != nil {
		return nil, err
	}
	v, err := e.source(ctx, req.Source)
	if err != nil {
		return nil, err
	}
	c, err := repo.ParseContent(v.Content)
	if err != nil {
		return nil, err
	}
	put := req.Version
	return e.putVersion(ctx, req, &put, &staged{content: c})
}

// source returns a version that is to be shared, which may be that of a file in a snapshot.
func (e *Engine) source(ctx context.Context, s *Source) (*index.Version, error) {
	v, _, err := e.r.Index().VersionOf(s.Bucket, []byte(s.Key), func(v *index.Version) bool {
		return v.ID == s.ID && v.Kind == index.ContentPayload
	})
	if err != nil {
		return nil, bucketError(s.Bucket, err)
	}
	if v == nil {
		v, _, err = e.findFile(ctx, s.Bucket, s.Key, Ref{ID: s.ID})
	}
	if err == nil && (v == nil || v.Kind != index.ContentPayload) {
		err = fmt.Errorf("source %s in bucket %s: %w", s.Key, s.Bucket, ErrNoVersion)
	}
	return v, err
}

// mayPut asks before the body is read what the commit will ask again.
func (e *Engine) mayPut(req *PutRequest) error {
	d := &decision{e: e, ix: e.r.Index(), now: e.r.Now().UnixNano(), ops: &repo.Ops{}}
	_, err := d.admitPut(req)
	return err
}

// putVersion proposes the version with a staged content.
func (e *Engine) putVersion(ctx context.Context, req *PutRequest, v *index.Version, st *staged) (*index.Version, error) {
	v.Bucket, v.Key, v.Kind = req.Bucket, []byte(req.Key), index.ContentPayload
	v.Content = st.content[:]
	if v.Class == "" {
		v.Class = "STANDARD"
	}
	var put *index.Version
	err := e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(req.Bucket).share(), keyScope(req.Bucket, req.Key)},
		small:  st.small, gen: st.gen,
		decide: func(d *decision) (err error) {
			put, err = d.put(req, v)
			return err
		},
	})
	return put, err
}

// admitPut decides whether the put may be.
func (d *decision) admitPut(req *PutRequest) (*Bucket, error) {
	b, err := d.e.bucketAt(req.Bucket)
	if err != nil {
		return nil, err
	}
	current, _, err := d.ix.VersionOf(req.Bucket, []byte(req.Key), nil)
	if err != nil {
		return nil, bucketError(req.Bucket, err)
	}
	if err := d.e.mayWrite(req.Bucket, req.Key); err != nil {
		return nil, err
	}
	if current != nil && current.Kind == index.DeleteMarker {
		current = nil
	}
	if req.Check != nil {
		if err := req.Check(b, current); err != nil {
			return nil, err
		}
	}
	if s := req.Source; s != nil {
		if _, err := d.e.source(d.e.ctx, s); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// put decides about one put and returns the version that it makes.
func (d *decision) put(req *PutRequest, v *index.Version) (*index.Version, error) {
	b, err := d.admitPut(req)
	if err != nil {
		return nil, err
	}
	put := *v
	put.Null = b.Versioning != Enabled
	if put.Null {
		if err := d.replaceNull(b, req.Key); err != nil {
			return nil, err
		}
	}
	if b.Lock && b.Retention != nil && (put.Lock == nil || put.Lock.Mode == 0) {
		l := index.Lock{}
		if put.Lock != nil {
			l = *put.Lock
		}
		l.Mode, l.Until = b.Retention.Mode, b.Retention.until(time.Unix(0, d.now)).UnixNano()
		put.Lock = &l
	}
	if err := d.stamp(&put); err != nil {
		return nil, err
	}
	d.ops.Versions = append(d.ops.Versions, put)
	return &put, d.tell(req.Tell, b, Made, &put)
}

// stamp gives a version its time and ID. The ID begins with the time, which lets listings
// go on behind a version that is gone.
func (d *decision) stamp(v *index.Version) error {
	v.Time = d.now
	binary.BigEndian.PutUint64(v.ID[:], uint64(d.now))
	if _, err := io.ReadFull(d.e.r.Rand(), v.ID[8:]); err != nil {
		return fmt.Errorf("read randomness: %w", err)
	}
	return nil
}

// replaceNull removes the null version of a key, in whose place a new one comes.
func (d *decision) replaceNull(b *Bucket, key string) error {
	old, _, err := d.ix.VersionOf(b.Name, []byte(key), Ref{Null: true}.match())
	if err != nil || old == nil {
		return err
	}
	return d.remove(old, false)
}

// remove removes a version for good, if its lock allows.
func (d *decision) remove(v *index.Version, bypass bool) error {
	if err := Removable(v.Lock, time.Unix(0, d.now), bypass); err != nil {
		return fmt.Errorf("version %s of %s in bucket %s: %w", v.ID, v.Key, v.Bucket, err)
	}
	d.ops.Removals = append(d.ops.Removals, index.Removal{Bucket: v.Bucket, Key: v.Key, ID: v.ID})
	return nil
}

// EditRequest changes what may change of a version: Class, User, System, Tags, Lock.
type EditRequest struct {
	Bucket, Key string
	Ref         Ref
	Bypass      bool // of governance retention

	// Change gets a copy, may be called more than once, and its error leaves everything as
	// it was.
	Change func(b *Bucket, v *index.Version) error

	Tell Teller // of the version as it is now
}

// Edit changes a version in place: it keeps ID, time and content. ErrLocked when a
// retention would become weaker; ErrSnapshot; ErrNoBucket, ErrNoKey, ErrNoVersion.
func (e *Engine) Edit(ctx context.Context, req *EditRequest) (*index.Version, error) {
	var edited *index.Version
	err := e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(req.Bucket).share(), keyScope(req.Bucket, req.Key)},
		decide: func(d *decision) error {
			b, err := e.bucketAt(req.Bucket)
			if err != nil {
				return err
			}
			old, _, err := e.Version(req.Bucket, req.Key, req.Ref)
			if err != nil {
				return cmp.Or(e.mayWrite(req.Bucket, req.Key), err)
			}
			v := *old
			v.User, v.System, v.Tags = cloned(old.User), cloned(old.System), cloned(old.Tags)
			if old.Lock != nil {
				l := *old.Lock
				v.Lock = &l
			}
			if err := req.Change(b, &v); err != nil {
				return err
			}
			if err := relockable(old.Lock, v.Lock, time.Unix(0, d.now), req.Bypass); err != nil {
				return fmt.Errorf("version %s of %s in bucket %s: %w", v.ID, v.Key, v.Bucket, err)
			}
			d.edit(&v)
			edited = &v
			return d.tell(req.Tell, b, Edited, &v)
		},
	})
	return edited, err
}

func cloned(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}

// DeleteRequest deletes a key, which in a versioned bucket means to put a delete marker,
// or removes one version for good.
type DeleteRequest struct {
	Key    string
	Ref    Ref
	Bypass bool // of governance retention

	// Check, if not nil, is called inside the commit with the version that Ref names, nil
	// if there is none; a delete marker is given as it is.
	Check func(b *Bucket, v *index.Version) error

	System map[string]string // of the delete marker, its owner for one

	Tell Teller // of what was done, if anything
}

// DeleteResult is what became of a DeleteRequest. To delete what is not there is no error
// and leaves Removed nil.
type DeleteResult struct {
	Marker  *index.Version // the delete marker that was put
	Removed *index.Version // the version that was removed for good
	Err     error          // ErrLocked, or that of Check
}

// Delete carries out requests in one commit and returns a result for each, in their order.
// The error is of the whole, ErrNoBucket for one; those of single requests lie in the
// results. Of several requests for one key, each sees what those before it do: the further
// ones go into commits of their own.
func (e *Engine) Delete(ctx context.Context, bucket string, reqs []DeleteRequest) ([]DeleteResult, error) {
	results := make([]DeleteResult, len(reqs))
	for _, round := range rounds(reqs) {
		scopes := []scope{bucketScope(bucket).share()}
		for _, i := range round {
			scopes = append(scopes, keyScope(bucket, reqs[i].Key))
		}
		err := e.propose(ctx, &proposal{scopes: scopes, weight: deleteWeight * int64(len(round)), decide: func(d *decision) error {
			b, err := e.bucketAt(bucket)
			if err != nil {
				return err
			}
			for _, i := range round {
				results[i] = d.delete(b, &reqs[i])
			}
			return d.broken
		}})
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// deleteWeight is about what one delete adds to a commit in bytes, an event included.
const deleteWeight = 1 << 10

// rounds splits requests so that none has a key twice; nearly always there is one round.
func rounds(reqs []DeleteRequest) (list [][]int) {
	times := map[string]int{}
	for i := range reqs {
		n := times[reqs[i].Key]
		times[reqs[i].Key]++
		if n == len(list) {
			list = append(list, nil)
		}
		list[n] = append(list[n], i)
	}
	return list
}

// delete decides about one request.
func (d *decision) delete(b *Bucket, req *DeleteRequest) (res DeleteResult) {
	v, _, err := d.ix.VersionOf(b.Name, []byte(req.Key), req.Ref.match())
	if err != nil {
		return DeleteResult{Err: bucketError(b.Name, err)}
	}
	if req.Check != nil {
		if err := req.Check(b, v); err != nil {
			return DeleteResult{Err: err}
		}
	}
	if v == nil || v.Kind == index.DeleteMarker && req.Ref.Current() { // then a file of a snapshot may be meant
		if err := d.e.mayWrite(b.Name, req.Key); err != nil {
			return DeleteResult{Err: err}
		}
	}
	if req.Ref.Current() && b.Versioning != Unversioned {
		return d.mark(b, req)
	}
	if v == nil {
		return DeleteResult{}
	}
	if err := d.remove(v, req.Bypass); err != nil {
		return DeleteResult{Err: err}
	}
	_ = d.tell(req.Tell, b, Removed, v) // kept in d.broken
	return DeleteResult{Removed: v}
}

// mark puts a delete marker.
func (d *decision) mark(b *Bucket, req *DeleteRequest) DeleteResult {
	m := index.Version{Bucket: b.Name, Key: []byte(req.Key), Kind: index.DeleteMarker, Class: "STANDARD",
		System: req.System, Null: b.Versioning == Suspended}
	if m.Null {
		if err := d.replaceNull(b, req.Key); err != nil {
			return DeleteResult{Err: err}
		}
	}
	if err := d.stamp(&m); err != nil {
		return DeleteResult{Err: err}
	}
	d.ops.Versions = append(d.ops.Versions, m)
	_ = d.tell(req.Tell, b, Marked, &m)
	return DeleteResult{Marker: &m}
}
