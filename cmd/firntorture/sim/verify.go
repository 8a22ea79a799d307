package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/snapshot"
)

// Kinds of what may go wrong.
const (
	Lost    = "lost"    // an acknowledged version is gone or cannot be read
	Wrong   = "wrong"   // wrong bytes, or something that nobody asked for
	Damaged = "damaged" // the repository cannot be opened, check finds something, or an operation fails without a cause
	Panic   = "panic"
	Hang    = "hang"
)

// defect is something that must not be.
type defect struct {
	kind string
	err  error
}

func (d *defect) Error() string { return d.kind + ": " + d.err.Error() }

func bad(kind, format string, args ...any) error { return &defect{kind, fmt.Errorf(format, args...)} }

// verifier compares a repository with a model.
type verifier struct {
	m        *model
	r        *repo.Repository
	versions int64 // that were read
	current  map[string]any
	found    map[index.VersionID]bool
	contents map[repo.Content][]byte // that were read; many versions have the same
}

// open opens the repository on a machine of its own.
func open(s store, id age.Identity, opt repo.Options) (*repo.Repository, error) {
	r, err := repo.Open(context.Background(), s, []age.Identity{id}, opt)
	if err != nil {
		return nil, bad(Damaged, "open: %w", err)
	}
	return r, nil
}

// verify compares all that the repository holds with the model.
func (v *verifier) verify() error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	v.current, v.found, v.contents = map[string]any{}, map[index.VersionID]bool{}, map[repo.Content][]byte{}
	buckets, err := v.r.Index().Buckets()
	if err != nil {
		return bad(Damaged, "list buckets: %w", err)
	}
	for _, b := range buckets {
		if err := v.bucket(b); err != nil {
			return err
		}
	}
	for _, step := range []func() error{v.keys, v.kept, v.snapshots, v.parts, v.settings} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// bucket reads the versions of a bucket of objects.
func (v *verifier) bucket(bucket string) error {
	var list []*index.Version
	err := v.r.Index().Versions(bucket, nil, nil, func(x *index.Version) error {
		if x.Kind != index.TreePayload {
			list = append(list, x)
		}
		return nil
	})
	if err != nil {
		return bad(Damaged, "list %s: %w", bucket, err)
	}
	for _, x := range list {
		name := bucket + "\x00" + string(x.Key)
		_, older := v.current[name]
		v.found[x.ID] = true
		if x.Kind == index.DeleteMarker {
			if !older {
				v.current[name] = nil
			}
			continue
		}
		data, err := v.read(x.Content)
		if err != nil {
			return bad(Lost, "version %s of %s/%s: %w", x.ID, bucket, x.Key, err)
		}
		if !v.m.keys[name].tried(equals(data)) {
			return bad(Wrong, "version %s of %s/%s has %d bytes that nobody put there", x.ID, bucket, x.Key, len(data))
		}
		if older && bucket == plainBucket {
			return bad(Wrong, "%s/%s has two versions without versioning", bucket, x.Key)
		}
		if !older {
			v.current[name] = data
		}
	}
	return nil
}

func (v *verifier) read(handle []byte) ([]byte, error) {
	c, err := repo.ParseContent(handle)
	if err != nil {
		return nil, err
	}
	return v.content(c)
}

func (v *verifier) content(c repo.Content) ([]byte, error) {
	v.versions++
	if data, ok := v.contents[c]; ok {
		return data, nil
	}
	var b bytes.Buffer
	_, err := v.r.OpenContent(context.Background(), c).WriteTo(&b)
	if err == nil {
		v.contents[c] = b.Bytes()
	}
	return b.Bytes(), err
}

// keys compares what each key reads as.
func (v *verifier) keys() error {
	for name, reg := range v.m.keys {
		now := v.current[name]
		match := absent
		if now != nil {
			match = equals(now.([]byte))
		}
		if reg.allows(match) {
			continue
		}
		shown := strings.ReplaceAll(name, "\x00", "/")
		if now == nil {
			return bad(Lost, "%s is gone", shown)
		}
		return bad(Lost, "%s reads as %d bytes of an earlier or later state", shown, len(now.([]byte)))
	}
	return nil
}

// kept looks for the versions of the bucket that keeps them.
func (v *verifier) kept() error {
	for id, s := range v.m.versions {
		switch {
		case v.found[id] && !s.there.allows(present):
			return bad(Wrong, "version %s of %s/%s was removed, and is there", id, s.bucket, s.key)
		case !v.found[id] && !s.there.allows(absent):
			return bad(Lost, "version %s of %s/%s is gone", id, s.bucket, s.key)
		}
	}
	return nil
}

// snapshots compares those there are, file by file.
func (v *verifier) snapshots() error {
	all, err := snapshot.List(v.r, snapshot.Filter{})
	if err != nil {
		return bad(Damaged, "list snapshots: %w", err)
	}
	there := map[string]bool{}
	for _, s := range all {
		there[s.ID()] = true
		t, err := v.tree(s)
		if err != nil {
			return bad(Lost, "snapshot %s: %w", s.Short(), err)
		}
		if err := v.snapshot(s.ID(), t); err != nil {
			return err
		}
	}
	for id, s := range v.m.snaps {
		if !there[id] && !s.there.allows(absent) {
			return bad(Lost, "snapshot %.8s is gone", id)
		}
	}
	return nil
}

func (v *verifier) snapshot(id string, t tree) error {
	known := v.m.snaps[id]
	switch {
	case known == nil:
		if slices.ContainsFunc(v.m.saves, func(s *save) bool { return !s.w.void && s.tree.equal(t) }) {
			return nil
		}
		return bad(Wrong, "snapshot %.8s holds what nobody backed up: %s", id, t)
	case !known.tree.equal(t):
		return bad(Wrong, "snapshot %.8s differs: it is %s instead of %s", id, t, known.tree)
	case !known.there.allows(present):
		return bad(Wrong, "snapshot %.8s was forgotten, and is there", id)
	}
	return nil
}

// String names the files of a tree and their sizes.
func (t tree) String() string {
	var names []string
	for n, b := range t {
		names = append(names, fmt.Sprintf("%s:%d", n, len(b)))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// tree reads the files of a snapshot, with their names below the top of the tree.
func (v *verifier) tree(s *snapshot.Snapshot) (tree, error) {
	t := tree{}
	err := s.Root.Walk(context.Background(), v.r, "/", func(p string, n *snapshot.Node) error {
		if n.Type != snapshot.File {
			return nil
		}
		data, err := v.read(n.Content)
		t[belowTop(p)] = data
		return err
	})
	return t, err
}

// belowTop is the name of a file below the top of a tree.
func belowTop(p string) string {
	if _, below, ok := strings.Cut(p, topDir); ok {
		return below
	}
	return p
}

// parts looks for those of uploads under way.
func (v *verifier) parts() error {
	var all [][]byte
	var handles []repo.Content
	err := object.PartContents(v.r, func(c repo.Content) error { handles = append(handles, c); return nil })
	if err != nil {
		return bad(Damaged, "list parts: %w", err)
	}
	for _, c := range handles {
		data, err := v.content(c)
		if err != nil {
			return bad(Lost, "part of an upload: %w", err)
		}
		all = append(all, data)
	}
	for _, p := range v.m.parts {
		has := slices.ContainsFunc(all, func(b []byte) bool { return bytes.Equal(b, p.data) })
		if !has && !p.there.allows(absent) {
			return bad(Lost, "a part of %d bytes of an upload is gone", len(p.data))
		}
	}
	return nil
}

// settings compares those of buckets.
func (v *verifier) settings() error {
	for name, reg := range v.m.settings {
		value, err := settingOf(v.r, name)
		if err != nil && !errors.Is(err, index.ErrNotFound) {
			return bad(Damaged, "settings of bucket %s: %w", name, err)
		}
		if !reg.allows(func(x any) bool { s, _ := x.(string); return s == value }) {
			return bad(Lost, "bucket %s has setting %q", name, value)
		}
	}
	return nil
}

// settingOf reads the setting that the simulation changes.
func settingOf(r *repo.Repository, bucket string) (string, error) {
	row, err := r.Index().Row("bucket", []byte(bucket))
	if err != nil {
		return "", err
	}
	b := &object.Bucket{}
	if err := index.Unmarshal(row, b); err != nil {
		return "", err
	}
	return b.Config["simulated"], nil
}

// check runs the check of the product itself: nothing may be found.
func check(r *repo.Repository) error {
	var first string
	res, err := snapshot.Check(context.Background(), r, snapshot.CheckOptions{ReadData: true, Workers: 1, Problem: func(f snapshot.Finding) {
		if first == "" {
			first = fmt.Sprintf("%s %s: %s", f.Kind, f.File, f.Message)
		}
	}})
	if err != nil {
		return bad(Damaged, "check: %w", err)
	}
	if res.Findings+res.Notes > 0 {
		return bad(Damaged, "check found %d problems and %d notes: %s", res.Findings, res.Notes, first)
	}
	return nil
}
