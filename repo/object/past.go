package object

import (
	"fmt"
	"iter"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// Past names the objects of a bucket as they were at a time, as far as their versions are
// still there. Files of snapshots are not among them.
type Past struct {
	Bucket string
	Prefix string    // only keys that begin with it
	From   string    // only keys from this one on, in byte order; "": all
	At     time.Time // the last moment that counts; zero: now
}

// Objects gives the newest version of each key that is not after p.At, in the byte order of
// keys, but for those that are delete markers. It ends with the first error: ErrNoBucket,
// or repo.ErrRole for a key slot that may only write. No transaction is open while a version
// is being looked at; it is the caller's.
func (p Past) Objects(r *repo.Repository) iter.Seq2[*index.Version, error] {
	return func(yield func(*index.Version, error) bool) {
		if role, name := r.Role(); role == index.Write {
			yield(nil, fmt.Errorf("key slot %s has role %s and cannot read buckets: %w", name, role, repo.ErrRole))
			return
		}
		end := p.At.UnixNano()
		q := index.ListQuery{Prefix: p.Prefix, From: p.From, Versions: !p.At.IsZero(), Max: firstRows}
		decided, any := "", false // the key that needs no more versions
		for {
			page, err := r.Index().List(p.Bucket, q)
			if err != nil {
				yield(nil, bucketError(p.Bucket, err))
				return
			}
			for _, e := range page.Entries {
				v := e.Version
				if any && string(v.Key) == decided || q.Versions && v.Time > end {
					continue
				}
				decided, any = string(v.Key), true
				if v.Kind == index.ContentPayload && !yield(v, nil) {
					return
				}
			}
			if !page.Truncated {
				return
			}
			q.After, q.From, q.AfterVersion = page.NextAfter, "", nil
			if q.Versions && !(any && decided == page.NextAfter) {
				q.AfterVersion = &page.NextVersion.ID
			}
			q.Max = min(4*q.Max, mostRows)
		}
	}
}
