package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/lifecycle"
)

// noting returns a teller that notes a word with each key it is told of, and tells nobody.
func noting(list *[]string, word string) Teller {
	return func(_ *Bucket, _ Deed, v *index.Version) ([]Event, error) {
		*list = append(*list, word+" "+string(v.Key))
		return nil, nil
	}
}

func (w *world) pass(d time.Duration) { w.now.Add(int64(d)) }

func (w *world) putClass(bucket, key, class string) *index.Version {
	w.t.Helper()
	v, err := w.Put(w.t.Context(), &PutRequest{Bucket: bucket, Key: key, Version: index.Version{Class: class}}, strings.NewReader("cold"), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func TestRestoreLife(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Enabled)
	v := w.putClass("b", "k", lifecycle.Glacier)
	var told []string
	req := &RestoreRequest{Bucket: "b", Key: "k", Tier: lifecycle.Fast, Days: 2, Tell: noting(&told, "asked")}
	finish := func(ready, over uint64) {
		t.Helper()
		c, err := w.FinishRestores(t.Context(), noting(&told, "ready"), noting(&told, "over"))
		if err != nil || c.Ready != ready || c.Over != over {
			t.Fatalf("finished %+v, %v; want %d and %d", c, err, ready, over)
		}
	}
	look := func() (*index.Version, bool) {
		t.Helper()
		now, _, err := w.Version("b", "k", Ref{ID: v.ID})
		if err != nil {
			t.Fatal(err)
		}
		return now, Readable(now, w.Now())
	}
	if _, ok := look(); ok {
		t.Fatal("readable before it is restored")
	}
	if _, begun, err := w.Restore(t.Context(), req); err != nil || !begun {
		t.Fatal(begun, err)
	}
	if _, _, err := w.Restore(t.Context(), req); !errors.Is(err, lifecycle.ErrRunning) {
		t.Fatalf("again: %v", err)
	}
	finish(0, 0)
	w.pass(5*time.Hour + time.Second)
	if _, ok := look(); !ok {
		t.Fatal("not readable when the time has passed, before anybody noted it")
	}
	w.reopen() // all of it is in the log
	finish(1, 0)
	finish(0, 0)
	req.Days = 5
	if now, begun, err := w.Restore(t.Context(), req); err != nil || begun || RestoreOf(now).Days != 5 {
		t.Fatal(now, begun, err)
	}
	w.pass(4 * 24 * time.Hour)
	finish(0, 0)
	if _, ok := look(); !ok {
		t.Fatal("gone before its time")
	}
	w.pass(2 * 24 * time.Hour)
	if _, ok := look(); ok {
		t.Fatal("readable after its time, before anybody noted it")
	}
	finish(0, 1)
	finish(0, 0)
	now, _ := look()
	if now.System[metaRestore] != "" || now.Class != lifecycle.Glacier || now.Time != v.Time {
		t.Errorf("%+v", now)
	}
	if want := []string{"asked k", "ready k", "over k"}; !slices.Equal(slices.Compact(told), want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestRestoreOfWhatIsGone removes versions, keys and buckets below their copies.
func TestRestoreOfWhatIsGone(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	w.bucket("gone", Unversioned)
	for i, bucket := range []string{"b", "b", "gone"} {
		key := fmt.Sprint(i)
		w.putClass(bucket, key, lifecycle.DeepArchive)
		if _, _, err := w.Restore(t.Context(), &RestoreRequest{Bucket: bucket, Key: key, Tier: lifecycle.Bulk, Days: 1}); err != nil {
			t.Fatal(err)
		}
	}
	w.putClass("b", "0", lifecycle.DeepArchive) // replaces it, and is not restored
	for bucket, key := range map[string]string{"b": "1", "gone": "2"} {
		if _, err := w.Delete(t.Context(), bucket, []DeleteRequest{{Key: key}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.RemoveBucket(t.Context(), "gone", nil); err != nil {
		t.Fatal(err)
	}
	w.pass(10 * 24 * time.Hour)
	for range 2 {
		if c, err := w.FinishRestores(t.Context(), nil, nil); err != nil || c != (RestoreCounts{}) {
			t.Errorf("%+v, %v", c, err)
		}
	}
	n := 0
	if err := w.Repository().Index().Rows(tableJob, []byte(keyRestore), nil, func(_, _ []byte) error { n++; return nil }); err != nil || n > 0 {
		t.Errorf("%d rows are left, %v", n, err)
	}
}

// TestManyRestores finishes more copies than fit in a commit.
func TestManyRestores(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	n := lifecycleBatch + 10
	for i := range n {
		key := fmt.Sprint(i)
		w.putClass("b", key, lifecycle.Glacier)
		if _, _, err := w.Restore(t.Context(), &RestoreRequest{Bucket: "b", Key: key, Tier: lifecycle.Expedited, Days: 1}); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(3 * 24 * time.Hour) // all are ready, and over
	c, err := w.FinishRestores(t.Context(), nil, nil)
	if err != nil || c.Ready != uint64(n) || c.Over != uint64(n) {
		t.Errorf("%+v, %v", c, err)
	}
}
