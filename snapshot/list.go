package snapshot

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/tree"
)

// Snapshot is a version whose payload is a tree.
type Snapshot struct {
	Version *index.Version
	Root    *Node
}

// ID in hexadecimal, whole and as people write it.
func (s *Snapshot) ID() string    { return s.Version.ID.String() }
func (s *Snapshot) Short() string { return s.ID()[:8] }

// Time at which the backup began.
func (s *Snapshot) Time() time.Time { return time.Unix(0, s.Version.Snapshot.Start) }

// Paths that were backed up.
func (s *Snapshot) Paths() []string {
	paths := make([]string, len(s.Version.Snapshot.Paths))
	for i, p := range s.Version.Snapshot.Paths {
		paths[i] = string(p)
	}
	return paths
}

func fromVersion(v *index.Version) (*Snapshot, error) {
	fail := func(err error) (*Snapshot, error) { return nil, fmt.Errorf("snapshot %s: %w", v.ID, err) }
	if v.Snapshot == nil {
		v.Snapshot = &index.Snapshot{Start: v.Time, End: v.Time}
	}
	n := &Node{}
	if err := index.Unmarshal(v.Root, n); err != nil {
		return fail(err)
	}
	if string(n.Name) != "/" || n.Type != Dir {
		return fail(fmt.Errorf("%w: its root is %q, a %s", repo.ErrDamaged, n.Name, n.Type))
	}
	if _, err := tree.Parse(n.Tree); err != nil {
		return fail(fmt.Errorf("%w: %v", repo.ErrDamaged, err))
	}
	return &Snapshot{Version: v, Root: n}, nil
}

// Filter chooses snapshots; empty fields choose all.
type Filter struct {
	Host string
	Tags []string // all of them
	Path string   // one of the paths backed up

	Bucket string // that they lie in

	Until time.Time // begun at this time or before; zero: whenever
}

func (f *Filter) match(s *Snapshot) bool {
	v := s.Version.Snapshot
	if f.Bucket != "" && f.Bucket != s.Version.Bucket {
		return false
	}
	if !f.Until.IsZero() && s.Time().After(f.Until) {
		return false
	}
	if f.Host != "" && f.Host != v.Host {
		return false
	}
	for _, t := range f.Tags {
		if !slices.Contains(v.Tags, t) {
			return false
		}
	}
	return f.Path == "" || slices.Contains(s.Paths(), f.Path)
}

// List returns the snapshots that f chooses, oldest first.
func List(r *repo.Repository, f Filter) ([]*Snapshot, error) { return withPrefix(r, "", f) }

func withPrefix(r *repo.Repository, prefix string, f Filter) (all []*Snapshot, err error) {
	if role, name := r.Role(); role == index.Write {
		return nil, fmt.Errorf("key slot %s has role %s and cannot read snapshots: %w", name, role, repo.ErrRole)
	}
	err = r.Index().Snapshots(prefix, func(v *index.Version) error {
		s, err := fromVersion(v)
		if err == nil && f.match(s) {
			all = append(all, s)
		}
		return err
	})
	slices.SortStableFunc(all, func(a, b *Snapshot) int {
		return cmp.Compare(a.Version.Snapshot.Start, b.Version.Snapshot.Start)
	})
	return all, err
}

var idPrefix = regexp.MustCompile(`^[0-9a-f]{1,32}$`)

// Find returns the snapshot that spec names: "latest" among those f chooses, without those of
// buckets unless f wants these, or the beginning of an ID. Errors: repo.ErrNotFound, repo.ErrAmbiguous.
func Find(r *repo.Repository, spec string, f Filter) (*Snapshot, error) {
	if spec == "latest" {
		all, err := List(r, f)
		if err != nil {
			return nil, err
		}
		if f.Bucket != object.Frozen {
			all = slices.DeleteFunc(all, func(s *Snapshot) bool { return s.Version.Bucket == object.Frozen })
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("snapshot latest: %w: there are no snapshots that fit", repo.ErrNotFound)
		}
		return all[len(all)-1], nil
	}
	if !idPrefix.MatchString(spec) {
		return nil, fmt.Errorf("snapshot %q: %w: want latest or the first digits of an ID; firn snapshots lists them", spec, repo.ErrNotFound)
	}
	all, err := withPrefix(r, spec, Filter{})
	if err != nil {
		return nil, err
	}
	switch len(all) {
	case 0:
		return nil, fmt.Errorf("snapshot %s: %w; firn snapshots lists what there is", spec, repo.ErrNotFound)
	case 1:
		return all[0], nil
	}
	return nil, fmt.Errorf("snapshot %s: %w: %d snapshots begin like this; give more digits", spec, repo.ErrAmbiguous, len(all))
}

// Lookup returns the node at a path of the snapshot: slash-separated, relative to its
// root; "" or "/" is the root. repo.ErrNotFound when there is none.
func (s *Snapshot) Lookup(ctx context.Context, r *repo.Repository, name string) (*Node, error) {
	n := s.Root
	for _, part := range strings.Split(path.Clean("/" + name)[1:], "/") {
		if part == "" {
			continue
		}
		if n.Type != Dir {
			return nil, fmt.Errorf("%s: %w: %q is a %s, not a directory", name, repo.ErrNotFound, n.Name, n.Type)
		}
		var err error
		if n, err = tree.Lookup(ctx, r, tree.Handle(n.Tree), []byte(part)); err != nil {
			return nil, fmt.Errorf("%s in snapshot %s: %w", name, s.Short(), err)
		}
	}
	return n, nil
}
