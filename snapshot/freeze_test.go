package snapshot

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/tier"
)

// freezeWorld is an engine with a bucket.
type freezeWorld struct {
	*testing.T
	e     *object.Engine
	r     *repo.Repository
	clock time.Time
}

func newFreezeWorld(t *testing.T, versioning object.Versioning) *freezeWorld {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	must(t, err)
	w := &freezeWorld{T: t, clock: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	store, opt := tier.NewMemory(), repo.Options{CacheDir: t.TempDir(), Now: func() time.Time { return w.clock }}
	_, err = repo.Init(t.Context(), store, id.Recipient(), opt, repo.InitOptions{})
	must(t, err)
	w.r, err = repo.Open(t.Context(), store, []age.Identity{id}, opt)
	must(t, err)
	w.e, err = object.Open(t.Context(), w.r, object.Options{Refresh: -1, Log: func(s string) { t.Log(s) }})
	must(t, err)
	t.Cleanup(func() {
		if err := errors.Join(w.e.Close(t.Context()), w.r.Close()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	must(t, w.e.CreateBucket(t.Context(), &object.Bucket{Name: "photos", Versioning: versioning}))
	return w
}

func (w *freezeWorld) put(key, data string) {
	w.Helper()
	_, err := w.e.Put(w.Context(), &object.PutRequest{Bucket: "photos", Key: key, Version: index.Version{
		User: map[string]string{"of": key}, System: map[string]string{"etag": data}, Tags: map[string]string{"a": "b"}}}, strings.NewReader(data), nil)
	must(w.T, err)
}

func (w *freezeWorld) remove(key string) {
	w.Helper()
	res, err := w.e.Delete(w.Context(), "photos", []object.DeleteRequest{{Key: key}})
	must(w.T, err)
	must(w.T, res[0].Err)
}

// state is what a bucket holds, content and metadata, by key.
func (w *freezeWorld) state(bucket string) map[string]string {
	w.Helper()
	all := map[string]string{}
	for v, err := range (object.Past{Bucket: bucket}).Objects(w.r) {
		must(w.T, err)
		all[string(v.Key)] = w.text(v)
	}
	return all
}

func (w *freezeWorld) text(v *index.Version) string {
	w.Helper()
	c, err := repo.ParseContent(v.Content)
	must(w.T, err)
	var b strings.Builder
	_, err = w.r.OpenContent(w.Context(), c).WriteTo(&b)
	must(w.T, err)
	return fmt.Sprint(b.String(), v.Class, v.User, v.System, v.Tags)
}

// frozen is what a snapshot of a bucket holds.
func (w *freezeWorld) frozen(s *Snapshot) map[string]string {
	w.Helper()
	all := map[string]string{}
	must(w.T, s.Root.Dir(w.Context(), w.r, func(n *Node) error {
		v, err := object.Thaw(n)
		if err == nil {
			all[string(v.Key)] = w.text(v)
		}
		return err
	}))
	return all
}

func (w *freezeWorld) freeze() (*Snapshot, *FreezeResult) {
	w.Helper()
	w.clock = w.clock.Add(time.Minute)
	res, err := Freeze(w.Context(), w.r, FreezeOptions{Bucket: "photos", Tags: []string{"t"}})
	must(w.T, err)
	s, err := Find(w.r, res.ID, Filter{})
	must(w.T, err)
	return s, res
}

// A bucket is changed at random and frozen again and again; each snapshot is what the bucket
// was, costs what changed, survives a prune, and brings the bucket back.
func TestFreeze(t *testing.T) {
	for _, versioning := range []object.Versioning{object.Unversioned, object.Enabled} {
		t.Run("versioning "+string(versioning), func(t *testing.T) {
			w := newFreezeWorld(t, versioning)
			rnd := rand.New(rand.NewPCG(9, 10))
			big := strings.Repeat("content that is no part of its handle ", 10)
			for i := range 400 {
				w.put(fmt.Sprintf("%d/%d", i%7, i), fmt.Sprint(big, i))
			}
			for _, key := range []string{".", "..", "a//b", "/", "a", "a/", "a/b", "a.b"} {
				w.put(key, "odd "+key)
			}
			var snaps []*Snapshot
			var states []map[string]string
			for round := range 5 {
				changes := 0
				for range round * 3 {
					changes++
					key := fmt.Sprintf("%d/%d", rnd.IntN(7), rnd.IntN(400))
					if rnd.IntN(2) == 0 {
						w.put(key, fmt.Sprint(big, rnd.IntN(1000), round))
					} else {
						w.remove(key)
					}
				}
				s, res := w.freeze()
				if want := w.state("photos"); !maps.Equal(w.frozen(s), want) || res.Objects != int64(len(want)) {
					t.Fatalf("round %d: %d objects, want %d", round, res.Objects, len(want))
				}
				if round > 0 && res.Looked > int64(changes) {
					t.Errorf("round %d: %d objects were looked at for %d changes", round, res.Looked, changes)
				}
				snaps, states = append(snaps, s), append(states, w.state("photos"))
			}
			if res, err := Freeze(t.Context(), w.r, FreezeOptions{Bucket: "photos", Full: true}); err != nil || res.Objects != int64(len(states[4])) {
				t.Errorf("full: %+v, %v", res, err)
			}

			for key := range w.state("photos") { // wrecked
				w.remove(key)
			}
			w.put("later", "x")
			w.clock = w.clock.Add(30 * 24 * time.Hour)
			_, err := Prune(t.Context(), w.r, repo.PruneOptions{})
			must(t, err)
			for _, round := range []int{1, 4} {
				res, err := Thaw(t.Context(), w.e, snaps[round], ThawOptions{Delete: true, Problem: func(key string, err error) { t.Error(key, err) }})
				must(t, err)
				if got := w.state("photos"); !maps.Equal(got, states[round]) {
					t.Fatalf("back to round %d: %d objects, want %d: %+v", round, len(got), len(states[round]), res)
				}
				if round == 4 && res.Unchanged == 0 {
					t.Error("nothing was left alone")
				}
			}
			must(t, w.e.CreateBucket(t.Context(), &object.Bucket{Name: "other"}))
			_, err = Thaw(t.Context(), w.e, snaps[0], ThawOptions{Bucket: "other"})
			must(t, err)
			if got := w.state("other"); !maps.Equal(got, states[0]) {
				t.Errorf("in another bucket: %d objects, want %d", len(got), len(states[0]))
			}
			w.shows(snaps, states)
		})
	}
}

// shows reads the snapshots as S3 clients do.
func (w *freezeWorld) shows(snaps []*Snapshot, states []map[string]string) {
	w.Helper()
	last := states[len(states)-1]
	q := index.ListQuery{Prefix: "photos/", Max: 17}
	n := 0
	for {
		page, err := w.e.Page(w.Context(), object.Frozen, q)
		must(w.T, err)
		for _, entry := range page.Entries {
			n++
			if key := strings.TrimPrefix(string(entry.Version.Key), "photos/"); last[key] != w.text(entry.Version) {
				w.Errorf("%q is shown as %q", key, w.text(entry.Version))
			}
		}
		if !page.Truncated {
			break
		}
		q.After = page.NextAfter
	}
	if n != len(last) {
		w.Errorf("%d objects are shown, want %d", n, len(last))
	}
	page, err := w.e.Page(w.Context(), object.Frozen, index.ListQuery{Prefix: "photos/", Delimiter: "/", Max: 100})
	must(w.T, err)
	if got := strings.Join(page.Prefixes, " "); got != "photos// photos/0/ photos/1/ photos/2/ photos/3/ photos/4/ photos/5/ photos/6/ photos/a/" {
		w.Errorf("prefixes: %s", got)
	}
	for key, text := range states[0] {
		v, _, err := w.e.Find(w.Context(), object.Frozen, "photos/"+key, object.Ref{ID: snaps[0].Version.ID})
		must(w.T, err)
		if w.text(v) != text {
			w.Errorf("%q in the first snapshot is %q", key, w.text(v))
		}
	}
}

func TestFreezeRefuses(t *testing.T) {
	w := newFreezeWorld(t, object.Unversioned)
	if _, err := Freeze(t.Context(), w.r, FreezeOptions{Bucket: "nothing"}); !errors.Is(err, object.ErrNoBucket) {
		t.Error(err)
	}
	s, res := w.freeze()
	if res.Objects != 0 || len(w.frozen(s)) != 0 {
		t.Errorf("an empty bucket: %+v", res)
	}
	if _, err := Find(w.r, "latest", Filter{}); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("the snapshot of a bucket is the latest one of directories: %v", err)
	}
	if _, err := Find(w.r, "latest", Filter{Bucket: object.Frozen}); err != nil {
		t.Error(err)
	}
}
