package snapshot

import (
	"context"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// Stats say how large a repository is, in the steps from what was stored to what lies
// on the disk. All sizes are bytes.
type Stats struct {
	Logical      int64         `json:"logical"`      // of all versions, as they would be restored
	Deduplicated int64         `json:"deduplicated"` // of all chunks, each once, before compression
	Compressed   int64         `json:"compressed"`   // of their frames
	OnDisk       int64         `json:"on_disk"`      // of all files of the repository
	Chunks       int64         `json:"chunks"`
	Packs        int64         `json:"packs"`
	MetaPacks    int64         `json:"metadata_packs"`
	MetaBytes    int64         `json:"metadata_bytes"` // sealed
	Commits      uint64        `json:"commits"`
	Snapshots    int64         `json:"snapshots"`
	Buckets      []BucketStats `json:"buckets"`
}

// BucketStats are those of one bucket. Chunks that buckets share count in none of
// them alone, so there are only logical sizes.
type BucketStats struct {
	Name      string `json:"name"`
	Keys      int64  `json:"keys"`
	Versions  int64  `json:"versions"`
	Snapshots int64  `json:"snapshots"`
	Files     int64  `json:"files"`
	Logical   int64  `json:"logical"`
}

// Statistics reads the index and lists the store; it reads no pack.
func Statistics(ctx context.Context, r *repo.Repository) (*Stats, error) {
	st := &Stats{Buckets: []BucketStats{}}
	var err error
	if st.Commits, _, err = r.Index().Applied(); err != nil {
		return nil, err
	}
	buckets, err := r.Index().Buckets()
	if err != nil {
		return nil, err
	}
	for _, name := range buckets {
		b, err := bucketStats(r, name)
		if err != nil {
			return nil, err
		}
		st.Buckets = append(st.Buckets, *b)
		st.Logical += b.Logical
		st.Snapshots += b.Snapshots
	}
	if err := st.addPacks(r); err != nil {
		return nil, err
	}
	err = r.Store().List(ctx, "", "", func(fi tier.Info) error {
		st.OnDisk += fi.Size
		return nil
	})
	return st, err
}

func bucketStats(r *repo.Repository, name string) (*BucketStats, error) {
	b := &BucketStats{Name: name}
	last := ""
	err := r.Index().Versions(name, nil, nil, func(v *index.Version) error {
		b.Versions++
		if string(v.Key) != last || b.Versions == 1 {
			b.Keys++
			last = string(v.Key)
		}
		switch v.Kind {
		case index.ContentPayload:
			c, err := repo.ParseContent(v.Content)
			if err != nil {
				return err
			}
			b.Files++
			b.Logical += c.Size()
		case index.TreePayload:
			s, err := fromVersion(v)
			if err != nil {
				return err
			}
			b.Snapshots++
			if s.Root.Below != nil {
				b.Files += s.Root.Below.Files
				b.Logical += s.Root.Below.Bytes
			}
		}
		return nil
	})
	return b, err
}

// BucketUsage is what a bucket holds and takes, in bytes.
type BucketUsage struct {
	BucketStats
	Deduplicated int64 `json:"deduplicated"` // of its chunks, each once, with the metadata; other buckets may need them, too
	Stored       int64 `json:"stored"`       // of these in packs, compressed
}

// CountBucket returns the numbers of a bucket. It reads the index.
func CountBucket(r *repo.Repository, name string) (*BucketStats, error) { return bucketStats(r, name) }

// UsageOf returns the numbers of a bucket with what it takes in packs. It reads the chunk
// lists and trees of all its versions, and holds a bit for each chunk of the packs they are in.
func UsageOf(ctx context.Context, r *repo.Repository, name string) (*BucketUsage, error) {
	b, err := bucketStats(r, name)
	if err != nil {
		return nil, err
	}
	m := r.Usage()
	err = bucketVersions(r, name, func(v *index.Version) error { return markVersion(ctx, r, m, v) })
	if err != nil {
		return nil, err
	}
	u := &BucketUsage{BucketStats: *b}
	u.Deduplicated, u.Stored, err = m.Stored()
	return u, err
}

// addPacks sums up the directories of all packs.
func (st *Stats) addPacks(r *repo.Repository) error {
	var nums []index.PackNum
	err := r.Index().Packs(func(p *index.Pack) error {
		st.Packs++
		if p.Record.Kind == pack.Meta {
			st.MetaPacks++
			st.MetaBytes += p.Record.Size
			return nil
		}
		nums = append(nums, p.Num)
		return nil
	})
	if err != nil {
		return err
	}
	for _, num := range nums {
		d, err := r.Index().Directory(num)
		if err != nil {
			return err
		}
		st.Chunks += int64(len(d.Entries))
		for _, f := range d.Frames {
			st.Deduplicated += int64(f.Plain)
			st.Compressed += int64(f.Stored)
		}
	}
	return nil
}
