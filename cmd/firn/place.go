package main

import (
	"context"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/snapshot"
)

// place is what a command reads: a snapshot, or the objects of a bucket.
type place struct {
	snapshot, path string // "latest" or digits of an ID; the path behind the colon

	bucket, prefix string // or these

	at time.Time // zero: now
}

// placeHelp ends the help of commands that take one.
const placeHelp = `

s3:BUCKET or s3:BUCKET/PREFIX in the place of SNAPSHOT means the objects of a bucket of this
repository, without -r of the one that firn serve s3 uses then. --at TIME goes back to how the
bucket was at that time, as far as versions of its objects are kept, or to the newest snapshot
that had begun by then. TIME is 2026-11-20, 2026-11-20T10:00 or 2026-11-20T10:00:30, here or,
with Z or +02:00 behind it, elsewhere.`

var (
	placeTime = `\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)?`
	s3Place   = regexp.MustCompile(`^s3:(?://)?([a-z0-9][a-z0-9.-]*)(?:@(` + placeTime + `))?(?:/(.*))?$`)
	treePlace = regexp.MustCompile(`^([^:@]*)(?:@(` + placeTime + `))?(?::(.*))?$`)
)

// parsePlace reads SNAPSHOT[@TIME][:PATH] or s3:BUCKET[@TIME][/PREFIX]; at is the value of --at.
func parsePlace(text, at string) (*place, error) {
	p := &place{}
	var when string
	if strings.HasPrefix(text, "s3:") {
		m := s3Place.FindStringSubmatch(text)
		if m == nil {
			return nil, usageError("%q: want s3:BUCKET or s3:BUCKET/PREFIX", text)
		}
		p.bucket, when, p.prefix = m[1], m[2], m[3]
	} else {
		m := treePlace.FindStringSubmatch(text)
		if m == nil {
			return nil, usageError("%q: want a snapshot, or s3:BUCKET", text)
		}
		p.snapshot, when, p.path = m[1], m[2], m[3]
	}
	if when != "" && at != "" {
		return nil, usageError("%q: give the time there or with --at, not both", text)
	}
	if when = when + at; when == "" {
		return p, nil
	}
	var err error
	if p.at, err = parseMoment(when); err != nil {
		return nil, err
	}
	if p.bucket == "" && p.snapshot != "latest" {
		return nil, usageError("snapshot %s is one for all times; --at chooses among those that latest means", p.snapshot)
	}
	return p, nil
}

// parseMoment reads a time, which is a local one when it does not say otherwise.
func parseMoment(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError("time %q: want 2026-11-20, 2026-11-20T10:00 or 2026-11-20T10:00:30, and perhaps Z or +02:00 behind it", s)
}

// addAt adds the flag.
func addAt(cmd *cobra.Command, at *string) {
	cmd.Flags().StringVar(at, "at", "", "as it was at this `TIME`: 2026-11-20T10:00 (a bucket, or the latest snapshot by then)")
}

// find returns the snapshot that the place names.
func (p *place) find(r *repo.Repository, f snapshot.Filter) (*snapshot.Snapshot, error) {
	f.Until = p.at
	return snapshot.Find(r, p.snapshot, f)
}

// node returns the snapshot and the node at its path.
func (p *place) node(ctx context.Context, r *repo.Repository, f snapshot.Filter) (*snapshot.Snapshot, *snapshot.Node, error) {
	s, err := p.find(r, f)
	if err != nil {
		return nil, nil, err
	}
	n, err := s.Lookup(ctx, r, p.path)
	return s, n, err
}

// objects are those of the bucket that the place names.
func (p *place) objects() object.Past {
	return object.Past{Bucket: p.bucket, Prefix: p.prefix, At: p.at}
}

// withPlace opens the repository in which a place is: of buckets that may be the default one.
func (a *app) withPlace(ctx context.Context, bucket bool, use func(*repo.Repository) error) error {
	if bucket {
		if _, _, err := a.useDefault(); err != nil {
			return err
		}
	}
	return a.withRepository(ctx, func(_ *profile, r *repo.Repository) error { return use(r) })
}

// cleanPath is a path of a snapshot from its root.
func cleanPath(p string) string { return path.Clean("/" + p) }
