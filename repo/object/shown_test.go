package object

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// grove stores snapshots.
type grove struct {
	w  *world
	in *repo.Ingest
}

// dir stores a directory whose files are given by path; a path that ends with @ is a
// symbolic link.
func (g *grove) dir(files map[string]string) (tree.Handle, *tree.Totals) {
	t := g.w.t
	below := map[string]map[string]string{}
	nodes := map[string]*tree.Node{}
	for p, data := range files {
		name, rest, isDir := strings.Cut(p, "/")
		switch {
		case isDir && below[name] == nil:
			below[name] = map[string]string{rest: data}
		case isDir:
			below[name][rest] = data
		case strings.HasSuffix(name, "@"):
			nodes[name] = &tree.Node{Name: []byte(name), Type: tree.Symlink, Target: []byte("x")}
		default:
			c, err := g.in.Stream(strings.NewReader(data), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			nodes[name] = &tree.Node{Name: []byte(name), Mode: 0o644, UID: 7, GID: 8, Size: c.Size(), Content: bytes.Clone(c[:]), ModTime: 1_700_000_000_500_000_000}
		}
	}
	for name, files := range below {
		h, totals := g.dir(files)
		nodes[name] = &tree.Node{Name: []byte(name), Type: tree.Dir, Mode: 0o755, Tree: h[:], Below: totals}
	}
	names := make([]string, 0, len(nodes))
	for name := range nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	totals := &tree.Totals{}
	tw := tree.Writer{Put: func(b []byte) (chunk.ID, error) { return g.in.Meta(b) }}
	for _, name := range names {
		totals.Add(nodes[name])
		raw, err := index.Marshal(nodes[name])
		if err == nil {
			err = tw.Add([]byte(name), raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h, err := tw.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return h, totals
}

// snapshot stores the files, given by path in the tree, as a snapshot of the paths.
func (w *world) snapshot(bucket, key string, files map[string]string, paths ...string) index.VersionID {
	w.t.Helper()
	ctx := w.t.Context()
	s, err := w.Repository().Begin(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	in, err := s.Ingest(ctx, repo.IngestOptions{Stream: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	g := &grove{w, in}
	h, totals := g.dir(files)
	if err := in.Close(); err != nil {
		w.t.Fatal(err)
	}
	raw, err := index.Marshal(&tree.Node{Name: []byte("/"), Type: tree.Dir, Mode: 0o755, Tree: h[:], Below: totals})
	if err != nil {
		w.t.Fatal(err)
	}
	now := w.now.Add(int64(time.Hour))
	v := index.Version{Bucket: bucket, Key: []byte(key), Time: now, Kind: index.TreePayload, Root: raw, Class: "STANDARD",
		Snapshot: &index.Snapshot{Start: now, End: now}}
	for _, p := range paths {
		v.Snapshot.Paths = append(v.Snapshot.Paths, []byte(p))
	}
	_, _ = w.Repository().Rand().Read(v.ID[:])
	ops := repo.Ops{Versions: []index.Version{v}}
	if have, _ := w.Repository().Index().Buckets(); !slices.Contains(have, bucket) {
		ops.Buckets = []string{bucket}
	}
	if err := s.End(ctx, ops); err != nil {
		w.t.Fatal(err)
	}
	return v.ID
}

// What lies in a snapshot can be read and shared, and not be written.
func TestFilesOfSnapshots(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.bucket("b", Unversioned)
	old := w.snapshot("host", "home/u", map[string]string{"home/u/f": "one", "home/u/gone": "x"}, "/home/u")
	w.snapshot("host", "home/u", map[string]string{"home/u/f": "two"}, "/home/u")

	v, latest, err := w.Find(ctx, "host", "home/u/f", Ref{})
	if err != nil || !latest || w.read(v) != "two" || !InSnapshot(v) {
		t.Fatalf("%+v %v %v", v, latest, err)
	}
	if v.User["mode"] != "33188" || v.User["uid"] != "7" || v.User["mtime"] != "1700000000.500000000" {
		t.Errorf("attributes: %v", v.User)
	}
	if v, latest, err = w.Find(ctx, "host", "home/u/f", Ref{ID: old}); err != nil || latest || w.read(v) != "one" {
		t.Errorf("%+v %v %v", v, latest, err)
	}
	for _, key := range []string{"home/u", "home/u/", "home/u/f/x", "home/u/gone", "home", "home/u//f"} {
		if v, _, err := w.Find(ctx, "host", key, Ref{}); !errors.Is(err, ErrNoKey) {
			t.Errorf("find %s: %+v, %v", key, v, err)
		}
	}
	for _, key := range []string{"home/u", "home/u/f", "home/u/new"} {
		if _, err := w.Put(ctx, &PutRequest{Bucket: "host", Key: key}, strings.NewReader("x"), nil); !errors.Is(err, ErrSnapshot) {
			t.Errorf("put %s: %v", key, err)
		}
		res, err := w.Delete(ctx, "host", []DeleteRequest{{Key: key}, {Key: key, Ref: Ref{ID: old}}})
		if err != nil || !errors.Is(res[0].Err, ErrSnapshot) || !errors.Is(res[1].Err, ErrSnapshot) {
			t.Errorf("delete %s: %+v %v", key, res, err)
		}
		if _, err := w.Edit(ctx, &EditRequest{Bucket: "host", Key: key}); !errors.Is(err, ErrSnapshot) {
			t.Errorf("edit %s: %v", key, err)
		}
	}
	w.put("host", "home/other", "fine")

	src := &Source{Bucket: "host", Key: "home/u/gone", ID: old}
	put, err := w.Link(ctx, &PutRequest{Bucket: "b", Key: "back", Source: src})
	if err != nil || w.read(put) != "x" {
		t.Errorf("share a file: %v", err)
	}
}

// A backup of several paths shows each with its whole path, one of "." its entries, and
// what was put before is an object until it is deleted.
func TestPlacesOfSnapshots(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.bucket("host", Enabled)
	w.put("host", "work/a", "object")
	w.snapshot("host", "etc,home", map[string]string{"etc/f": "1", "home/f": "2"}, "/etc", "/home")
	w.snapshot("host", "work", map[string]string{"a": "file", "b/c": "file"}, "/far/work")
	w.snapshot("host", "src/x", map[string]string{"x/f": "3"}, "/src/x")
	w.snapshot("host", "lost", map[string]string{"lost+/f": "4"}, "/lost+/gone")
	got := w.pages("host", index.ListQuery{Max: 100})
	var keys []string
	for _, line := range got {
		keys = append(keys, strings.Fields(line)[0])
	}
	want := []string{`"etc,home/etc/f"`, `"etc,home/home/f"`, `"src/x/f"`, `"work/a"`, `"work/b/c"`}
	if !slices.Equal(keys, want) {
		t.Errorf("got %q", keys)
	}
	read := func() string {
		v, _, err := w.Find(ctx, "host", "work/a", Ref{})
		if err != nil {
			t.Fatal(err)
		}
		return w.read(v)
	}
	if got := read(); got != "object" {
		t.Errorf("the object is hidden: %q", got)
	}
	if res, err := w.Delete(ctx, "host", []DeleteRequest{{Key: "work/a"}}); err != nil || res[0].Err != nil {
		t.Fatalf("delete: %+v %v", res, err)
	}
	if got := read(); got != "file" {
		t.Errorf("after the delete: %q", got)
	}
}
