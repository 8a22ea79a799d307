package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
)

// The buckets for objects: one without versioning, one that keeps all versions.
const (
	plainBucket = "plain"
	keptBucket  = "kept"
)

// maxClients of one engine. With more of them the engine waits for company by a clock of
// its own, which the simulation does not turn.
const maxClients = 2

// serve opens an engine and lets clients use it.
func (l *life) serve() error {
	r, err := l.open()
	if err != nil {
		l.p.budget.Add(-1)
		return err
	}
	e, err := object.Open(context.Background(), r, object.Options{Refresh: -1, Uploads: 2})
	if err != nil {
		return errors.Join(err, l.close(r))
	}
	var wg sync.WaitGroup
	n := 3 + l.rng.IntN(6)
	for i := range 1 + l.rng.IntN(maxClients) {
		c := &client{l: l, e: e, rng: newLocked(l.p.w.res.Seed, uint64(2000+i), uint64(l.p.no*1000+l.p.lives*100+n))}
		wg.Go(func() { c.run(n) })
	}
	wg.Wait()
	l.judge("close the engine", e.Close(context.Background()))
	return l.close(r)
}

// client is one that puts and gets objects, one after the other.
type client struct {
	l   *life
	e   *object.Engine
	rng *locked
}

func (c *client) intn(n int) int { return int(c.rng.src.Uint64() % uint64(n)) }

func (c *client) run(n int) {
	defer func() {
		if p := recover(); p != nil {
			c.l.p.w.stop(bad(Panic, "%v\n%s", p, stacks()))
		}
	}()
	for range n {
		a := requests[pick(c.intn(100), requestShares)]
		if !c.l.turn(a.name) || c.l.dead.Load() {
			return
		}
		c.l.judge(a.name, a.do(c))
	}
}

// requests of clients.
var requests = []struct {
	name string
	do   func(*client) error
}{
	{"put", (*client).put}, {"delete", (*client).remove}, {"delete version", (*client).removeVersion},
	{"upload", (*client).upload}, {"setting", (*client).setting}, {"get", (*client).get}, {"refresh", (*client).refresh},
}

// requestShares of hundred.
var requestShares = []int{38, 16, 7, 13, 7, 12, 7}

func (c *client) place() (bucket, key string) {
	return []string{plainBucket, keptBucket}[c.intn(2)], fmt.Sprint("k", c.intn(3))
}

// body is mostly small; some are so large that they are stored as they come.
func (c *client) body(bucket string) []byte {
	make := c.l.p.w.content
	if bucket == keptBucket {
		make = c.l.p.w.lasting // else nothing that is shared would ever die
	}
	data := make(c.intn(100), c.rng.src.Uint64())
	if c.intn(25) == 0 {
		data = bytes.Repeat(append(data, 'x'), 1+600_000/(len(data)+1))[:600_000]
	}
	return data
}

func (c *client) put() error {
	w := c.l.p.w
	bucket, key := c.place()
	data := c.body(bucket)
	write := w.model.begin(w.model.key(bucket, key), data)
	v, err := c.e.Put(context.Background(), &object.PutRequest{Bucket: bucket, Key: key}, bytes.NewReader(data), nil)
	c.wrote(write, bucket, v, data, err)
	return err
}

// wrote notes how a put ended.
func (c *client) wrote(write *write, bucket string, v *index.Version, data []byte, err error) {
	w := c.l.p.w
	o := c.l.outcome(err)
	w.model.end(write, o)
	if o == acked && bucket == keptBucket {
		w.model.kept(v, data, write.start)
	}
}

func (c *client) remove() error {
	w := c.l.p.w
	bucket, key := c.place()
	write := w.model.begin(w.model.key(bucket, key), nil)
	res, err := c.e.Delete(context.Background(), bucket, []object.DeleteRequest{{Key: key}})
	if err == nil {
		err = res[0].Err
	}
	w.model.end(write, c.l.outcome(err))
	return err
}

// removeVersion removes one of the versions that are kept. What its key reads as then is
// left open.
func (c *client) removeVersion() error {
	w := c.l.p.w
	m := w.model
	m.mu.Lock()
	var ids []index.VersionID
	for id := range m.versions {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b index.VersionID) int { return bytes.Compare(a[:], b[:]) })
	if len(ids) == 0 {
		m.mu.Unlock()
		return nil
	}
	id := ids[c.intn(len(ids))]
	s := m.versions[id]
	m.mu.Unlock()
	key, there := m.begin(m.key(s.bucket, s.key), anything{}), m.begin(&s.there, nil)
	res, err := c.e.Delete(context.Background(), s.bucket, []object.DeleteRequest{{Key: s.key, Ref: object.Ref{ID: id}}})
	if err == nil {
		err = res[0].Err
	}
	m.end(key, c.l.outcome(err))
	m.end(there, c.l.outcome(err))
	return err
}

// upload puts an object in two parts. Now and then it is left as it is.
func (c *client) upload() error {
	w := c.l.p.w
	ctx := context.Background()
	bucket, key := c.place()
	u := &object.Upload{Version: index.Version{Bucket: bucket, Key: []byte(key)}}
	if err := c.e.CreateUpload(ctx, u); err != nil {
		return err
	}
	req := &object.CompleteRequest{Bucket: bucket, Key: key, ID: u.ID}
	var parts []*part
	var whole []byte
	for i := range 2 {
		data := append([]byte(u.ID), w.content(c.intn(70), c.rng.src.Uint64())...)
		p, write := w.model.beginPart(data)
		_, err := c.e.PutPart(ctx, u, i+1, bytes.NewReader(data), nil)
		w.model.end(write, c.l.outcome(err))
		if err != nil {
			return err
		}
		parts, whole = append(parts, p), append(whole, data...)
		req.Parts = append(req.Parts, object.CompletePart{Number: i + 1})
	}
	if c.intn(6) == 0 {
		return nil
	}
	var gone []*write
	for _, p := range parts {
		gone = append(gone, w.model.begin(&p.there, nil))
	}
	var err error
	if c.intn(6) == 0 {
		err = c.e.Abort(ctx, bucket, key, u.ID)
	} else {
		var v *index.Version
		write := w.model.begin(w.model.key(bucket, key), whole)
		v, err = c.e.Complete(ctx, req)
		c.wrote(write, bucket, v, whole, err)
	}
	for _, g := range gone {
		w.model.end(g, c.l.outcome(err))
	}
	return err
}

func (c *client) setting() error {
	w := c.l.p.w
	bucket, _ := c.place()
	value := fmt.Sprint(c.rng.src.Uint64())
	write := w.model.begin(w.model.setting(bucket), value)
	err := c.e.EditBucket(context.Background(), bucket, func(b *object.Bucket) error {
		b.Config["simulated"] = value
		return nil
	})
	w.model.end(write, c.l.outcome(err))
	return err
}

// get reads what an engine that lags behind may still give: never what nobody put.
func (c *client) get() error {
	w := c.l.p.w
	bucket, key := c.place()
	v, _, err := c.e.Version(bucket, key, object.Ref{})
	if err != nil || v.Kind == index.DeleteMarker {
		return err
	}
	content := repo.Content(v.Content)
	var b bytes.Buffer
	if _, err := c.e.Copy(context.Background(), &b, content, 0, content.Size()); err != nil {
		return err
	}
	reg := w.model.key(bucket, key)
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	if !reg.tried(equals(b.Bytes())) {
		return bad(Wrong, "get of %s/%s gives %d bytes that nobody put there", bucket, key, b.Len())
	}
	return nil
}

func (c *client) refresh() error { return c.e.Repository().Refresh(context.Background()) }
