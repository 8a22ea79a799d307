package object

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/lifecycle"
)

const day = 24 * time.Hour

func ptr[T any](v T) *T { return &v }

func days(n int) *lifecycle.When { return &lifecycle.When{Days: &n} }

// rulesOf makes the options of a run in which every bucket has the same rules.
func rulesOf(rules ...lifecycle.Rule) *Lifecycle {
	return &Lifecycle{
		Server: "one", Rules: func(*Bucket) (*lifecycle.Rules, error) { return &lifecycle.Rules{List: rules, Varies: true}, nil },
		Size:   func(v *index.Version) int64 { c, _ := repo.ParseContent(v.Content); return c.Size() },
		Marker: func(*Bucket) map[string]string { return map[string]string{"owner": "o"} },
	}
}

func (w *world) runRules(opt *Lifecycle) *LifecycleRun {
	w.t.Helper()
	run, err := w.RunLifecycle(w.t.Context(), opt)
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

// all lists the versions of a bucket, newest first: key, what it is, class.
func (w *world) all(bucket string) (list []string) {
	w.t.Helper()
	l, err := w.List(bucket, index.ListQuery{Versions: true, Snapshots: true, Max: 1 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range l.Entries {
		what := e.Version.Class
		if e.Version.Kind == index.DeleteMarker {
			what = "marker"
		}
		list = append(list, string(e.Version.Key)+" "+what)
	}
	return list
}

func (w *world) wantAll(bucket string, want ...string) {
	w.t.Helper()
	if got := w.all(bucket); !slices.Equal(got, want) {
		w.t.Fatalf("bucket %s has %q, want %q", bucket, got, want)
	}
}

func TestLifecycleLife(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Enabled)
	opt := rulesOf(lifecycle.Rule{ID: "r", Prefix: "log/", Transitions: []lifecycle.Transition{{When: *days(1), Class: lifecycle.Glacier}}, Expiration: days(3),
		NoncurrentEx: &lifecycle.Noncurrent{Days: 2}, Markers: true})
	v := w.put("b", "log/a", "x")
	w.put("b", "other", "x")
	var deeds []string
	opt.Done = func(d *LifecycleDeed) {
		deeds = append(deeds, fmt.Sprint(d.Deed, d.Class, string(d.Version.Key), d.Rule, d.Marker != nil))
	}
	for i, want := range [][]string{
		{"log/a STANDARD", "other STANDARD"}, {"log/a STANDARD", "other STANDARD"}, {"log/a GLACIER", "other STANDARD"}, {"log/a GLACIER", "other STANDARD"},
		{"log/a marker", "log/a GLACIER", "other STANDARD"}, {"log/a marker", "log/a GLACIER", "other STANDARD"}, {"log/a marker", "log/a GLACIER", "other STANDARD"},
		{"log/a marker", "other STANDARD"}, {"other STANDARD"},
	} {
		w.runRules(opt)
		w.wantAll("b", want...)
		if i == 2 {
			if now, _, err := w.Version("b", "log/a", Ref{}); err != nil || now.ID != v.ID || now.Time != v.Time {
				t.Fatalf("moved version is %+v, %v", now, err)
			}
		}
		if due, err := w.LifecycleDue(opt); err != nil || due {
			t.Fatalf("due again on the same day: %v, %v", due, err)
		}
		if _, err := w.RunLifecycle(t.Context(), opt); !errors.Is(err, ErrTaken) {
			t.Fatalf("second run of the day: %v", err)
		}
		w.pass(day)
	}
	if want := []string{"2GLACIERlog/arfalse", "3log/artrue", "1log/arfalse", "1log/arfalse"}; !slices.Equal(deeds, want) {
		t.Errorf("deeds %q, want %q", deeds, want)
	}
	w.reopen()
	run, err := w.LastLifecycle()
	if err != nil || run.Finished == 0 || run.Counts.Removed != 1 || run.Counts.Looked != 1 {
		t.Errorf("last run %+v, %v", run, err)
	}
}

func TestLifecycleLeavesLocks(t *testing.T) {
	w := newWorld(t)
	if err := w.CreateBucket(t.Context(), &Bucket{Name: "b", Versioning: Enabled, Lock: true}); err != nil {
		t.Fatal(err)
	}
	for i, l := range []*index.Lock{{Mode: Governance, Until: w.now.Load() + int64(20*day)}, {Hold: true}, {Mode: Compliance, Until: w.now.Load() + int64(2*day)}, nil} {
		key := fmt.Sprint(i)
		if _, err := w.Put(t.Context(), &PutRequest{Bucket: "b", Key: key, Version: index.Version{Lock: l}}, strings.NewReader("x"), nil); err != nil {
			t.Fatal(err)
		}
		w.put("b", key, "newer")
	}
	w.pass(10 * day)
	w.runRules(rulesOf(lifecycle.Rule{NoncurrentEx: &lifecycle.Noncurrent{Days: 1}, Noncurrent: []lifecycle.Noncurrent{{Days: 1, Class: lifecycle.Glacier}}}))
	w.wantAll("b", "0 STANDARD", "0 GLACIER", "1 STANDARD", "1 GLACIER", "2 STANDARD", "3 STANDARD")
}

func TestLifecycleSuspended(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Enabled)
	w.put("b", "k", "one")
	if err := w.EditBucket(t.Context(), "b", func(b *Bucket) error { b.Versioning = Suspended; return nil }); err != nil {
		t.Fatal(err)
	}
	w.put("b", "k", "null")
	if err := w.EditBucket(t.Context(), "b", func(b *Bucket) error { b.Versioning = Enabled; return nil }); err != nil {
		t.Fatal(err)
	}
	w.put("b", "k", "newest")
	if err := w.EditBucket(t.Context(), "b", func(b *Bucket) error { b.Versioning = Suspended; return nil }); err != nil {
		t.Fatal(err)
	}
	w.pass(5 * day)
	// The null version is due by itself, and is replaced by the marker at the same time.
	w.runRules(rulesOf(lifecycle.Rule{Expiration: days(1), NoncurrentEx: &lifecycle.Noncurrent{Days: 1, Keep: 0}}))
	w.wantAll("b", "k marker", "k STANDARD")
	if v, _, err := w.Version("b", "k", Ref{Null: true}); err != nil || v.Kind != index.DeleteMarker || v.System["owner"] != "o" {
		t.Errorf("null version %+v, %v", v, err)
	}
}

func TestLifecycleUploads(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	begin := func(key string) *Upload {
		u := &Upload{Version: index.Version{Bucket: "b", Key: []byte(key)}}
		if err := w.CreateUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if _, err := w.PutPart(t.Context(), u, 1, strings.NewReader("part"), nil); err != nil {
			t.Fatal(err)
		}
		return u
	}
	var old []*Upload
	for i := range lifecycleUploads + 3 {
		old = append(old, begin(fmt.Sprintf("tmp/%02d", i)))
	}
	other := begin("other")
	w.pass(3 * day)
	fresh := begin("tmp/fresh")
	opt := rulesOf(lifecycle.Rule{ID: "a", Prefix: "tmp/", AbortDays: ptr(1)})
	told := 0
	opt.Done = func(d *LifecycleDeed) {
		if d.Upload != "" && d.Rule == "a" {
			told++
		}
	}
	opt.DryRun = true
	if run := w.runRules(opt); int(run.Counts.Aborted) != len(old) || told != len(old) {
		t.Errorf("dry run: %+v, told of %d", run, told)
	}
	opt.DryRun = false
	if run := w.runRules(opt); int(run.Counts.Aborted) != len(old) {
		t.Errorf("%+v", run)
	}
	for _, u := range old {
		if _, err := w.Upload("b", string(u.Version.Key), u.ID); !errors.Is(err, ErrNoUpload) {
			t.Errorf("%s: %v", u.Version.Key, err)
		}
	}
	for _, u := range []*Upload{other, fresh} {
		if _, err := w.Upload("b", string(u.Version.Key), u.ID); err != nil {
			t.Error(err)
		}
	}
}

// TestLifecycleResumes cuts a run off in every commit and lets another server go on.
func TestLifecycleResumes(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	const n = 3*lifecyclePage + 17
	for part := range slices.Chunk(slices.Collect(func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}), 200) {
		done := make(chan error, len(part))
		for _, i := range part {
			go func() {
				_, err := w.Put(context.Background(), &PutRequest{Bucket: "b", Key: fmt.Sprintf("%05d", i)}, strings.NewReader("x"), nil)
				done <- err
			}()
		}
		for range part {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	w.pass(3 * day)
	opt := rulesOf(lifecycle.Rule{Expiration: days(1)})
	first := w.runRules(rulesOf()).Finished
	w.pass(day)
	ctx, cancel := context.WithCancel(t.Context())
	removed := 0
	opt.Done = func(*LifecycleDeed) {
		if removed++; removed == lifecyclePage+1 {
			cancel()
		}
		if removed%lifecycleBatch == 0 {
			w.pass(2 * lifecycleSign)
		}
	}
	if _, err := w.RunLifecycle(ctx, opt); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	two := *opt
	two.Server = "two"
	if due, err := w.LifecycleDue(&two); err != nil || due {
		t.Fatalf("taken from a server that lives: %v, %v", due, err)
	}
	w.pass(2 * lifecycleLease)
	if run, err := w.LastLifecycle(); err != nil || run.Finished != 0 || run.LastFinished() != first {
		t.Fatalf("run under way %+v, %v", run, err)
	}
	run := w.runRules(&two)
	if len(w.all("b")) > 0 || removed != n || run.Counts.Removed < n-lifecyclePage || run.Server != "two" {
		t.Errorf("%d are left, %d removed, %+v", len(w.all("b")), removed, run)
	}
	if _, err := w.RunLifecycle(t.Context(), opt); !errors.Is(err, ErrTaken) {
		t.Errorf("the day is over: %v", err)
	}
	force := *opt
	force.Force = true
	if run := w.runRules(&force); run.Counts.Removed != 0 {
		t.Errorf("forced: %+v", run)
	}
	w.pass(-40 * day) // the clock had been wrong
	if due, err := w.LifecycleDue(opt); err != nil || !due {
		t.Errorf("after a clock that was wrong: %v, %v", due, err)
	}
}

// TestLifecycleModel runs random rules for some weeks over a bucket that changes, and keeps
// a plain list of versions beside it for which it decides by itself.
func TestLifecycleModel(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { modelLifecycle(t, rand.New(rand.NewPCG(seed, 3))) })
	}
}

type modelVersion struct {
	lifecycle.Version
	null bool
	id   index.VersionID
}

func modelLifecycle(t *testing.T, rng *rand.Rand) {
	w := newWorld(t)
	versioning := []Versioning{Unversioned, Enabled, Enabled, Suspended}[rng.IntN(4)]
	w.bucket("b", versioning)
	classes := []string{lifecycle.StandardIA, lifecycle.Intelligent, lifecycle.Glacier, lifecycle.DeepArchive}
	var rules []lifecycle.Rule
	for i := range 1 + rng.IntN(3) {
		r := lifecycle.Rule{ID: fmt.Sprint(i), Prefix: []string{"", "a", "b/"}[rng.IntN(3)], Larger: ptr(int64(rng.IntN(3)))}
		if rng.IntN(2) == 0 {
			r.Larger, r.Expiration = nil, days(1+rng.IntN(6))
		}
		if rng.IntN(2) == 0 {
			r.NoncurrentEx = &lifecycle.Noncurrent{Days: 1 + rng.IntN(4), Keep: rng.IntN(3)}
		}
		if rng.IntN(2) == 0 {
			r.Transitions = []lifecycle.Transition{{When: *days(rng.IntN(4)), Class: classes[rng.IntN(4)]}}
			r.Noncurrent = []lifecycle.Noncurrent{{Days: rng.IntN(3), Keep: rng.IntN(2), Class: classes[rng.IntN(4)]}}
		}
		r.Markers = rng.IntN(3) == 0
		rules = append(rules, r)
	}
	opt := rulesOf(rules...)
	rs, _ := opt.Rules(nil)
	model := map[string][]modelVersion{} // newest first
	add := func(key string, v *index.Version) {
		list := model[key]
		if v.Null {
			list = slices.DeleteFunc(list, func(m modelVersion) bool { return m.null })
		}
		m := modelVersion{null: v.Null, id: v.ID}
		m.Key, m.Created, m.Class, m.Marker = key, time.Unix(0, v.Time), v.Class, v.Kind == index.DeleteMarker
		if !m.Marker {
			m.Size = opt.Size(v)
		}
		model[key] = append([]modelVersion{m}, list...)
	}
	keys := []string{"a", "a/1", "aa", "b", "b/x", "c"}
	for range 25 {
		for range rng.IntN(5) {
			key := keys[rng.IntN(len(keys))]
			w.pass(time.Duration(rng.IntN(4)) * time.Hour)
			if rng.IntN(4) > 0 {
				add(key, w.put("b", key, strings.Repeat("x", rng.IntN(4))))
				continue
			}
			res, err := w.Delete(t.Context(), "b", []DeleteRequest{{Key: key}})
			if err != nil {
				t.Fatal(err)
			}
			if res[0].Marker != nil {
				add(key, res[0].Marker)
			} else if res[0].Removed != nil {
				model[key] = nil
			}
		}
		w.pass(opt.Calendar.Due(w.Now(), 0).Sub(w.Now()) + time.Minute)
		var want []string
		for _, key := range keys {
			list := modelDay(rs, opt, versioning, model[key], w.Now())
			for _, m := range list {
				what := m.Class
				if m.Marker {
					what = "marker"
				}
				want = append(want, key+" "+what)
			}
			model[key] = list
		}
		w.runRules(opt)
		w.wantAll("b", want...)
		for _, key := range keys { // markers that the run put have an ID and a time
			for i := range model[key] {
				if m := &model[key][i]; m.id == (index.VersionID{}) {
					v, _, err := w.Version("b", key, Ref{})
					if err != nil {
						t.Fatal(err)
					}
					m.id, m.Created = v.ID, time.Unix(0, v.Time)
				}
			}
		}
	}
}

// modelDay carries out what is due for the versions of a key.
func modelDay(rs *lifecycle.Rules, opt *Lifecycle, versioning Versioning, list []modelVersion, now time.Time) (after []modelVersion) {
	marked := false
	for i, m := range list {
		m.Current, m.Only, m.Rank, m.Replaced = i == 0, len(list) == 1, i, time.Time{}
		if i > 0 {
			m.Replaced = list[i-1].Created
		}
		switch d := rs.Decide(opt.Calendar, versioning.forRules(), &m.Version, now); d.Deed {
		case lifecycle.Remove:
			continue
		case lifecycle.Transit:
			m.Class = d.Class
		case lifecycle.PutMarker:
			marked = true
		}
		after = append(after, m)
	}
	if marked {
		if versioning == Suspended {
			after = slices.DeleteFunc(after, func(m modelVersion) bool { return m.null })
		}
		marker := modelVersion{null: versioning == Suspended}
		marker.Key, marker.Marker, marker.Class, marker.Created = list[0].Key, true, "STANDARD", now
		after = append([]modelVersion{marker}, after...)
	}
	return after
}

func BenchmarkLifecycle(b *testing.B) {
	w := newWorld(b)
	w.bucket("b", Unversioned)
	const n = 20_000
	for range b.N {
		b.StopTimer()
		done := make(chan error, n)
		gate := make(chan struct{}, 500)
		for i := range n {
			gate <- struct{}{}
			go func() {
				_, err := w.Put(context.Background(), &PutRequest{Bucket: "b", Key: fmt.Sprintf("%06d", i)}, strings.NewReader("x"), nil)
				<-gate
				done <- err
			}()
		}
		for range n {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		none := rulesOf(lifecycle.Rule{Expiration: days(1)})
		none.Force = true
		start := time.Now()
		w.runRules(none)
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/n, "ns/looked")
		w.pass(3 * day)
		w.runRules(none)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/key")
}

// TestLifecycleForgets lets rules for noncurrent versions forget snapshots, in a way that
// they can come back from, and never the newest one. An object under the same key counts
// by itself.
func TestLifecycleForgets(t *testing.T) {
	w := newWorld(t)
	w.bucket("host", Enabled)
	w.put("host", "home", "object")
	before := w.now.Load()
	var ids []index.VersionID
	for range 6 {
		w.pass(day)
		ids = append(ids, w.snapshot("host", "home", map[string]string{"f": "x"}, "/home"))
	}
	w.snapshot("host", "etc", map[string]string{"f": "x"}, "/etc")
	w.pass(40 * day)
	w.runRules(rulesOf(lifecycle.Rule{Expiration: days(1), Transitions: []lifecycle.Transition{{When: *days(1), Class: lifecycle.Glacier}},
		NoncurrentEx: &lifecycle.Noncurrent{Days: 1, Keep: 2}}))
	// The newest backup and two more are left; the object has become cold, and gets its marker next.
	w.wantAll("host", "etc STANDARD", "home STANDARD", "home STANDARD", "home STANDARD", "home GLACIER")
	w.now.Store(before)
	w.snapshot("host", "home", map[string]string{"f": "x"}, "/home") // as one that came back: on top, and old
	w.pass(60 * day)
	w.runRules(rulesOf(lifecycle.Rule{NoncurrentEx: &lifecycle.Noncurrent{Days: 1}}))
	w.wantAll("host", "etc STANDARD", "home STANDARD", "home STANDARD", "home GLACIER")
	if v, _, err := w.Repository().Index().VersionOf("host", []byte("home"), func(v *index.Version) bool { return v.ID == ids[5] }); err != nil || v == nil {
		t.Errorf("the newest backup is gone: %v", err)
	}
	var back []index.VersionID
	if err := w.Repository().Forgotten(func(f *repo.Forgotten) error { back = append(back, f.Version.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[:5] {
		if !slices.Contains(back, id) {
			t.Errorf("snapshot %s cannot come back", id)
		}
	}
	if len(back) != 5 {
		t.Errorf("%d snapshots can come back", len(back))
	}
}
