package snapshot

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// BenchmarkFreeze freezes a bucket of 300 000 objects of which ten changed since the
// snapshot before.
func BenchmarkFreeze(b *testing.B) {
	n := 300_000
	if testing.Short() {
		n = 10_000
	}
	id, err := age.GenerateX25519Identity()
	must(b, err)
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	store, opt := tier.NewMemory(), repo.Options{CacheDir: b.TempDir(), Now: func() time.Time { now = now.Add(time.Millisecond); return now }}
	_, err = repo.Init(b.Context(), store, id.Recipient(), opt, repo.InitOptions{})
	must(b, err)
	r, err := repo.Open(b.Context(), store, []age.Identity{id}, opt)
	must(b, err)
	defer func() { must(b, r.Close()) }()
	serial := uint64(0)
	put := func(from, to int) {
		sess, err := r.Begin(b.Context())
		must(b, err)
		ops := repo.Ops{}
		if serial == 0 {
			ops.Buckets = []string{"photos"}
		}
		for i := from; i < to; i++ {
			serial++
			v := index.Version{Bucket: "photos", Key: fmt.Appendf(nil, "%03d/object-%07d", i/1000, i), Time: now.UnixNano() + int64(serial),
				Content: make([]byte, len(repo.Content{})), Class: "STANDARD", System: map[string]string{"etag": fmt.Sprint(serial), "content-type": "text/plain"}}
			binary.BigEndian.PutUint64(v.ID[:], serial)
			ops.Versions = append(ops.Versions, v)
		}
		must(b, sess.End(b.Context(), ops))
	}
	for i := 0; i < n; i += 10_000 {
		put(i, i+10_000)
	}
	start := time.Now()
	_, err = Freeze(b.Context(), r, FreezeOptions{Bucket: "photos"})
	must(b, err)
	b.Logf("the first one: %v", time.Since(start))
	for b.Loop() {
		put(n/2, n/2+10)
		res, err := Freeze(b.Context(), r, FreezeOptions{Bucket: "photos"})
		must(b, err)
		if res.Looked != 10 || res.Objects != int64(n) {
			b.Fatalf("%+v", res)
		}
	}
}
