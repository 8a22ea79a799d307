package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

// tellAll tells target t of everything.
func tellAll(_ *Bucket, deed Deed, v *index.Version) ([]Event, error) {
	return []Event{{Target: "t", Name: fmt.Sprint(deed), Bucket: v.Bucket, Key: v.Key, Version: v.ID.String()}}, nil
}

func eventsOf(t testing.TB, e *Engine, target string) (list []*Event) {
	t.Helper()
	if err := e.Events(target, Place{}, func(ev *Event) bool { list = append(list, ev); return true }); err != nil {
		t.Fatal(err)
	}
	return list
}

func describe(list []*Event) (lines []string) {
	for _, ev := range list {
		lines = append(lines, fmt.Sprintf("%s %s %s", ev.Name, ev.Key, ev.Version))
	}
	return lines
}

func TestEventsTellOfEveryDeed(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Enabled)
	ctx := t.Context()
	put, err := w.Put(ctx, &PutRequest{Bucket: "b", Key: "k", Tell: tellAll}, strings.NewReader("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	edited, err := w.Edit(ctx, &EditRequest{Bucket: "b", Key: "k", Tell: tellAll, Change: func(_ *Bucket, v *index.Version) error {
		v.Tags = map[string]string{"a": "b"}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.Delete(ctx, "b", []DeleteRequest{{Key: "k", Tell: tellAll}, {Key: "k", Ref: Ref{ID: put.ID}, Tell: tellAll}, {Key: "gone", Ref: Ref{ID: put.ID}, Tell: tellAll}})
	if err != nil {
		t.Fatal(err)
	}
	u := &Upload{Version: index.Version{Bucket: "b", Key: []byte("up")}}
	if err := w.CreateUpload(ctx, u); err != nil {
		t.Fatal(err)
	}
	if _, err := w.PutPart(ctx, u, 1, strings.NewReader("part"), nil); err != nil {
		t.Fatal(err)
	}
	complete := &CompleteRequest{Bucket: "b", Key: "up", ID: u.ID, Parts: []CompletePart{{Number: 1}}, Tell: tellAll}
	whole, err := w.Complete(ctx, complete)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Complete(ctx, complete); err != nil { // the same answer, and no second event
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("%d k %s", Made, put.ID), fmt.Sprintf("%d k %s", Edited, edited.ID), fmt.Sprintf("%d k %s", Marked, res[0].Marker.ID),
		fmt.Sprintf("%d k %s", Removed, put.ID), fmt.Sprintf("%d up %s", Made, whole.ID),
	}
	w.reopen()
	got := eventsOf(t, w.Engine, "t")
	if !slices.Equal(describe(got), want) {
		t.Errorf("got  %q\nwant %q", describe(got), want)
	}
	if !slices.IsSortedFunc(got, func(a, b *Event) int { return a.Place.Compare(b.Place) }) {
		t.Errorf("places are not in order")
	}
}

func TestRefusedChangeHasNoEvent(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Enabled)
	w.put("b", "there", "x")
	refusal := errors.New("refused")
	ctx := t.Context()
	_, err := w.Put(ctx, &PutRequest{Bucket: "b", Key: "k", Tell: tellAll, Check: func(*Bucket, *index.Version) error { return refusal }}, strings.NewReader("x"), nil)
	if !errors.Is(err, refusal) {
		t.Errorf("put: %v", err)
	}
	fail := func(*Bucket, Deed, *index.Version) ([]Event, error) { return nil, refusal }
	if _, err = w.Put(ctx, &PutRequest{Bucket: "b", Key: "k", Tell: fail}, strings.NewReader("x"), nil); !errors.Is(err, refusal) {
		t.Errorf("put whose event cannot be made: %v", err)
	}
	if _, err := w.Delete(ctx, "b", []DeleteRequest{{Key: "other", Tell: tellAll}, {Key: "there", Tell: fail}}); !errors.Is(err, refusal) {
		t.Errorf("delete whose event cannot be made: %v", err)
	}
	if _, _, err := w.Version("b", "k", Ref{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("the refused put: %v", err)
	}
	if v, _, err := w.Version("b", "there", Ref{}); err != nil || v.Kind != index.ContentPayload {
		t.Errorf("the key of the refused delete: %v, %v", v, err)
	}
	if got := eventsOf(t, w.Engine, "t"); len(got) > 0 {
		t.Errorf("events: %q", describe(got))
	}
}

func TestSettledEventsAreGone(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	several := func(_ *Bucket, _ Deed, v *index.Version) ([]Event, error) {
		return []Event{{Target: "a", Key: v.Key}, {Target: "ab", Key: v.Key}, {Target: "a", Key: v.Key}}, nil
	}
	for _, key := range []string{"1", "2", "3"} {
		if _, err := w.Put(t.Context(), &PutRequest{Bucket: "b", Key: key, Tell: several}, strings.NewReader(key), nil); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := w.EventTargets(); err != nil || !slices.Equal(names, []string{"a", "ab"}) {
		t.Errorf("targets: %q, %v", names, err)
	}
	list := eventsOf(t, w.Engine, "a")
	if len(list) != 6 {
		t.Fatalf("%d events", len(list))
	}
	if n, err := w.CountEvents("a", list[1].Place); n != 4 || err != nil {
		t.Errorf("%d events behind the second, %v", n, err)
	}
	done := []Place{list[0].Place, list[3].Place, {Commit: 1}}
	for range 2 { // settling is repeatable
		if err := w.Settle(t.Context(), "a", done); err != nil {
			t.Fatal(err)
		}
	}
	w.reopen()
	if got := eventsOf(t, w.Engine, "a"); len(got) != 4 || got[0].Place != list[1].Place || got[2].Place != list[4].Place {
		t.Errorf("left: %q", describe(got))
	}
	if n, err := w.CountEvents("ab", Place{}); n != 3 || err != nil {
		t.Errorf("%d events of the other target, %v", n, err)
	}
}

// Of two servers that want to deliver one does; the other sees that it was late.
func TestOneServerTakesDelivery(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	if err := w.TakeDelivery(t.Context(), "t", "one", Delivery{}); err != nil {
		t.Fatal(err)
	}
	if err := w.TakeDelivery(t.Context(), "t", "two", Delivery{}); !errors.Is(err, ErrTaken) {
		t.Errorf("the second: %v", err)
	}
	seen, err := w.Delivery("t")
	if err != nil || seen != (Delivery{Server: "one", Turns: 1, Idle: 1}) {
		t.Fatalf("%+v, %v", seen, err)
	}
	if _, err := w.Put(t.Context(), &PutRequest{Bucket: "b", Key: "k", Tell: tellAll}, strings.NewReader("x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Settle(t.Context(), "t", []Place{eventsOf(t, w.Engine, "t")[0].Place}); err != nil {
		t.Fatal(err)
	}
	if seen, err = w.Delivery("t"); err != nil || seen != (Delivery{Server: "one", Turns: 1}) {
		t.Errorf("after an event was settled: %+v, %v", seen, err)
	}
	if err := w.TakeDelivery(t.Context(), "t", "", seen); err != nil {
		t.Errorf("let go: %v", err)
	}
}

// eventWork puts and deletes in a bucket that keeps every version, telling of each.
func eventWork(e *Engine, n int) error {
	ctx := context.Background()
	if err := e.CreateBucket(ctx, &Bucket{Name: "b", Versioning: Enabled}); err != nil && !errors.As(err, new(*BucketExists)) {
		return err
	}
	for i := range n {
		key := fmt.Sprint("k", i%3)
		if i%4 == 3 {
			res, err := e.Delete(ctx, "b", []DeleteRequest{{Key: key, Tell: tellAll}, {Key: key + "x", Tell: tellAll}})
			if err == nil {
				err = errors.Join(res[0].Err, res[1].Err)
			}
			if err != nil {
				return err
			}
			continue
		}
		size := []int{10, 70 << 10, smallBody + 10<<10}[i%3]
		if _, err := e.Put(ctx, &PutRequest{Bucket: "b", Key: key, Tell: tellAll}, bytes.NewReader(randomBytes(uint64(i), size)), nil); err != nil {
			return err
		}
	}
	return nil
}

// eventsFit checks that there is one event for each version, and none without one.
func eventsFit(t *testing.T, e *Engine, when string) {
	t.Helper()
	versions := map[string]bool{}
	err := e.r.Index().Versions("b", nil, nil, func(v *index.Version) error {
		versions[v.ID.String()] = true
		return nil
	})
	if err != nil && !errors.Is(err, index.ErrNotFound) {
		t.Fatal(err)
	}
	list := eventsOf(t, e, "t")
	for _, ev := range list {
		if !versions[ev.Version] {
			t.Fatalf("%s: an event of %s, which has no such version or two events", when, ev.Key)
		}
		delete(versions, ev.Version)
	}
	if len(versions) > 0 {
		t.Fatalf("%s: %d versions without an event beside %d with one", when, len(versions), len(list))
	}
}

// An event is there exactly if its change is, whichever call of the store the power fails
// before, and whichever call fails or loses its answer.
func TestEventExistsIfTheChangeDoes(t *testing.T) {
	const ops = 7
	for k := int64(1); ; k++ {
		disk := tiertest.NewCrash()
		w := newFaultWorld(t, disk)
		nth := tiertest.FailNth(k, tiertest.ErrPower)
		var cut atomic.Bool
		store := &tiertest.Faulty{Store: disk, Before: func(op tiertest.Op, name string) error {
			if nth(op, name) != nil {
				cut.Store(true)
				disk.Cut()
			}
			return nil
		}}
		if e, end, err := w.open(store); err == nil {
			_ = eventWork(e, ops)
			end()
		}
		disk.Restart()
		w.opt.CacheDir = t.TempDir()
		e, end, err := w.open(disk)
		if err != nil {
			t.Fatal(err)
		}
		eventsFit(t, e, fmt.Sprintf("power was cut at call %d", k))
		end()
		if !cut.Load() {
			break
		}
	}
	for k := int64(1); ; k++ {
		mem := tier.NewMemory()
		w := newFaultWorld(t, mem)
		nth := tiertest.FailNth(k, errors.New("injected"))
		var hit atomic.Bool
		store := &tiertest.Faulty{Store: mem, After: func(op tiertest.Op, name string) error {
			err := nth(op, name)
			if err != nil {
				hit.Store(true)
			}
			return err
		}}
		e, end, err := w.open(store)
		if err == nil {
			for range 2 { // the second time goes on after the failure
				_ = eventWork(e, ops)
			}
			end()
		}
		w.opt.CacheDir = t.TempDir()
		if e, end, err = w.open(mem); err != nil {
			t.Fatal(err)
		}
		eventsFit(t, e, fmt.Sprintf("the answer of call %d was lost", k))
		end()
		if !hit.Load() {
			break
		}
	}
}
