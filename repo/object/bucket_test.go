package object

import (
	"testing"
	"time"

	"github.com/firnstore/firn/repo"
)

// TestBucketOfBackup: a bucket that firn backup made has no settings, until somebody sets
// one. Its time is one that clients can show.
func TestBucketOfBackup(t *testing.T) {
	w := newWorld(t)
	s, err := w.Repository().Begin(t.Context())
	if err == nil {
		err = s.End(t.Context(), repo.Ops{Buckets: []string{"host"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Bucket("host")
	if err != nil {
		t.Fatal(err)
	}
	if !b.Backup || b.Owner != "" || b.Versioning != Enabled || !b.Created.Equal(time.Unix(0, 0)) {
		t.Errorf("it is %+v", b)
	}
	if w.put("host", "key", "first"); w.put("host", "key", "second").Null {
		t.Error("a put there made a null version")
	}
	if err := w.EditBucket(t.Context(), "host", func(b *Bucket) error { b.Config["x"] = "y"; return nil }); err != nil {
		t.Fatal(err)
	}
	b, err = w.Bucket("host")
	if err != nil || b.Backup || b.Versioning != Enabled || b.Created.Before(time.Unix(0, w.now.Load())) {
		t.Errorf("after a setting it is %+v, %v", b, err)
	}
}
