package object

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/firnstore/firn/index"
)

// Versioning says what a put does with the version before.
type Versioning string

// The states of versioning. A bucket that had versions once cannot go back to the first.
const (
	Unversioned Versioning = ""
	Enabled     Versioning = "Enabled"
	Suspended   Versioning = "Suspended"
)

// Bucket is one state of the settings of a bucket. A *Bucket that the engine returns is
// shared, stays the same pointer as long as the settings do, and must not be changed.
type Bucket struct {
	Name       string            `cbor:"-"`
	Owner      string            `cbor:"0,keyasint"` // ID of a user; "" is whoever has the root key
	Created    time.Time         `cbor:"-"`          // UTC; 1970 when nobody noted it
	CreatedNs  int64             `cbor:"1,keyasint"` // Created in ns since 1970
	Region     string            `cbor:"2,keyasint,omitempty"`
	Versioning Versioning        `cbor:"3,keyasint,omitempty"`
	Lock       bool              `cbor:"4,keyasint,omitempty"` // object lock is on; it stays on
	Retention  *Retention        `cbor:"5,keyasint,omitempty"` // default of new versions
	Config     map[string]string `cbor:"6,keyasint,omitempty"` // subresource → stored configuration, as the face wrote it
	Backup     bool              `cbor:"-"`                    // made by firn backup; it has no settings yet
}

// Retention is the default retention of a bucket. One of Days and Years is not 0.
type Retention struct {
	Mode  uint8  `cbor:"0,keyasint"` // index.Lock: 1 governance, 2 compliance
	Days  uint32 `cbor:"1,keyasint,omitempty"`
	Years uint32 `cbor:"2,keyasint,omitempty"`
}

// until is when a retention that begins at t ends.
func (r *Retention) until(t time.Time) time.Time {
	return t.AddDate(int(r.Years), 0, int(r.Days))
}

const tableBucket = "bucket"

// bucketAt returns the settings of a bucket as the index has them now.
func (e *Engine) bucketAt(name string) (*Bucket, error) {
	row, err := e.r.Index().Row(tableBucket, []byte(name))
	if errors.Is(err, index.ErrNotFound) {
		if _, err := e.r.Index().Empty(name); err != nil {
			return nil, bucketError(name, err)
		}
		row, err = nil, nil // one of firn backup
	}
	if err != nil {
		return nil, err
	}
	e.cacheMu.Lock()
	defer e.cacheMu.Unlock()
	if c, ok := e.buckets[name]; ok && c.row == string(row) {
		return c.value, nil
	}
	b := &Bucket{Name: name, Backup: row == nil, Versioning: Enabled}
	if row != nil {
		b.Versioning = Unversioned
		if err := index.Unmarshal(row, b); err != nil {
			return nil, fmt.Errorf("settings of bucket %s: %w", name, err)
		}
	}
	b.Created = time.Unix(0, b.CreatedNs).UTC()
	if len(e.buckets) >= maxCached {
		clear(e.buckets)
	}
	e.buckets[name] = cached[Bucket]{string(row), b}
	return b, nil
}

// maxCached bounds the buckets, and the users, that are kept decoded.
const maxCached = 4096

func bucketError(name string, err error) error {
	if errors.Is(err, index.ErrNotFound) {
		return fmt.Errorf("bucket %s: %w", name, ErrNoBucket)
	}
	return err
}

// put sets the settings of a bucket.
func (b *Bucket) put(d *decision) error {
	value, err := index.Marshal(b)
	if err != nil {
		return fmt.Errorf("settings of bucket %s: %w", b.Name, err)
	}
	d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableBucket, Key: []byte(b.Name), Value: value})
	return nil
}

// clone returns a copy that may be changed.
func (b *Bucket) clone() *Bucket {
	c := *b
	c.Config = maps.Clone(b.Config)
	if c.Config == nil {
		c.Config = map[string]string{}
	}
	if b.Retention != nil {
		r := *b.Retention
		c.Retention = &r
	}
	return &c
}

// CreateBucket creates a bucket; the engine sets when, and keeps a copy of b. Names are
// checked by the face. *BucketExists if there is one.
func (e *Engine) CreateBucket(ctx context.Context, b *Bucket) error {
	b = b.clone()
	return e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(b.Name)},
		decide: func(d *decision) error {
			there, err := e.bucketAt(b.Name)
			if err == nil {
				return &BucketExists{there}
			}
			if !errors.Is(err, ErrNoBucket) {
				return err
			}
			b.CreatedNs = d.now
			d.ops.Buckets = []string{b.Name}
			return b.put(d)
		},
	})
}

// Bucket returns the settings of a bucket, or ErrNoBucket.
func (e *Engine) Bucket(name string) (*Bucket, error) { return e.bucketAt(name) }

type onlyIn struct{}

// In returns a context for changes that were allowed in view of b: with it, methods
// return ErrNoBucket when b was removed meanwhile, also if there is another bucket of
// that name.
func In(ctx context.Context, b *Bucket) context.Context { return context.WithValue(ctx, onlyIn{}, b) }

// stillThere returns ErrNoBucket when b is gone.
func (e *Engine) stillThere(b *Bucket) error {
	if b == nil {
		return nil
	}
	now, err := e.bucketAt(b.Name)
	if err == nil && (now.Owner != b.Owner || now.CreatedNs != b.CreatedNs && !b.Backup) {
		err = fmt.Errorf("bucket %s is not the one of before: %w", b.Name, ErrNoBucket)
	}
	return err
}

// Buckets returns all buckets in the order of their names.
func (e *Engine) Buckets() ([]*Bucket, error) {
	names, err := e.r.Index().Buckets()
	if err != nil {
		return nil, err
	}
	list := make([]*Bucket, 0, len(names))
	for _, name := range names {
		b, err := e.bucketAt(name)
		if errors.Is(err, ErrNoBucket) {
			continue // removed just now
		}
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

// EditBucket changes the settings of a bucket in one commit. change gets a copy, may be
// called more than once, and its error leaves everything as it was. ErrNoBucket; ErrLocked
// when object lock, or the versioning that it needs, would be turned off.
func (e *Engine) EditBucket(ctx context.Context, name string, change func(*Bucket) error) error {
	return e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(name)},
		decide: func(d *decision) error {
			old, err := e.bucketAt(name)
			if err != nil {
				return err
			}
			b := old.clone()
			if old.Backup {
				b.CreatedNs = d.now
			}
			if err := change(b); err != nil {
				return err
			}
			if old.Lock && (!b.Lock || b.Versioning != Enabled) || b.Lock && b.Versioning != Enabled {
				return fmt.Errorf("bucket %s: object lock needs versioning and stays on: %w", name, ErrLocked)
			}
			return b.put(d)
		},
	})
}

// RemoveBucket removes a bucket without versions, delete markers among them, and the
// uploads to it. check, if not nil, is called inside the commit, may be called more than
// once, and its error leaves everything as it was. ErrNotEmpty, ErrNoBucket.
func (e *Engine) RemoveBucket(ctx context.Context, name string, check func(*Bucket) error) error {
	return e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(name)},
		decide: func(d *decision) error {
			b, err := e.bucketAt(name)
			if err != nil {
				return err
			}
			if check != nil {
				if err := check(b); err != nil {
					return err
				}
			}
			empty, err := d.ix.Empty(name)
			if err != nil {
				return bucketError(name, err)
			}
			if !empty {
				return fmt.Errorf("bucket %s: %w", name, ErrNotEmpty)
			}
			d.ops.BucketsRemoved = []string{name}
			if !b.Backup {
				d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableBucket, Key: []byte(name)})
			}
			return e.dropUploads(d, name)
		},
	})
}

// dropUploads removes what is left of the uploads to a bucket.
func (e *Engine) dropUploads(d *decision, bucket string) error {
	var keys [][]byte
	prefix := append([]byte(bucket), 0)
	err := d.ix.Rows(tableUpload, prefix, nil, func(k, _ []byte) error {
		keys = append(keys, slices.Clone(k))
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := dropUpload(d, k); err != nil {
			return err
		}
	}
	return nil
}
