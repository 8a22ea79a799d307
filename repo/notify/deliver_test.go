package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/tier"
)

// world is a repository in memory that several engines can serve.
type world struct {
	t     *testing.T
	store tier.Store
	id    *age.X25519Identity
	now   atomic.Int64 // of the repository
}

func newWorld(t *testing.T) *world {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: tier.NewMemory(), id: id}
	w.now.Store(1_800_000_000_000_000_000)
	if _, err := repo.Init(t.Context(), w.store, id.Recipient(), w.options(), repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) options() repo.Options {
	return repo.Options{CacheDir: w.t.TempDir(), BootID: "boot", Now: func() time.Time { return time.Unix(0, w.now.Load()) }}
}

// engine opens the repository; the test's end closes it.
func (w *world) engine() *object.Engine {
	w.t.Helper()
	r, err := repo.Open(context.Background(), w.store, []age.Identity{w.id}, w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := object.Open(context.Background(), r, object.Options{Refresh: 5 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		err := e.Close(context.Background())
		notes, err2 := r.Index().Notes()
		if err = errors.Join(err, err2, r.Close()); err != nil || len(notes) > 0 {
			w.t.Errorf("operations without effect %q, %v", notes, err)
		}
	})
	return e
}

// put puts n versions of each key, one after the other, and tells target t of them.
func put(t *testing.T, e *object.Engine, n int, keys ...string) {
	t.Helper()
	err := e.CreateBucket(t.Context(), &object.Bucket{Name: "b"})
	if err != nil && !errors.As(err, new(*object.BucketExists)) {
		t.Fatal(err)
	}
	tell := func(_ *object.Bucket, _ object.Deed, v *index.Version) ([]object.Event, error) {
		return []object.Event{{Target: "t", Name: "ObjectCreated:Put", Bucket: "b", Key: v.Key}}, nil
	}
	for range n {
		for _, key := range keys {
			if _, err := e.Put(t.Context(), &object.PutRequest{Bucket: "b", Key: key, Tell: tell}, strings.NewReader("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// inbox is a target that notes what it gets, and does not take what refuse refuses.
type inbox struct {
	mu     sync.Mutex
	got    []Message
	tries  int
	refuse func(m *Message, try int) error
	change chan struct{}
}

func newInbox() *inbox { return &inbox{change: make(chan struct{}, 1)} }

func (b *inbox) Send(_ context.Context, list []Message) []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	errs := make([]error, len(list))
	keys := map[string]bool{}
	for i := range list {
		b.tries++
		if keys[list[i].Key] {
			panic("two messages of a key at once")
		}
		keys[list[i].Key] = true
		if b.refuse != nil {
			errs[i] = b.refuse(&list[i], b.tries)
		}
		if errs[i] == nil {
			b.got = append(b.got, list[i])
		}
	}
	select {
	case b.change <- struct{}{}:
	default:
	}
	return errs
}

func (b *inbox) Close() {}

func (b *inbox) messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

// await waits until the inbox has what is asked for.
func (b *inbox) await(t *testing.T, what string, enough func([]Message) bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for !enough(b.messages()) {
		select {
		case <-b.change:
		case <-limit:
			t.Fatalf("%s: got %d messages", what, len(b.messages()))
		}
	}
}

func distinct(list []Message) int {
	ids := map[string]bool{}
	for _, m := range list {
		ids[m.ID] = true
	}
	return len(ids)
}

// inOrder checks that the first time each message came is in the order of IDs for each key.
func inOrder(t *testing.T, list []Message) {
	t.Helper()
	last, seen := map[string]string{}, map[string]bool{}
	for _, m := range list {
		if seen[m.ID] {
			continue
		}
		seen[m.ID] = true
		if m.ID <= last[m.Key] {
			t.Errorf("%s came after %s", m.ID, last[m.Key])
		}
		last[m.Key] = m.ID
	}
}

// start starts a server that takes over from another one after patience.
func start(e *object.Engine, server string, b *inbox, patience time.Duration) *Deliverer {
	return Start(e, Options{Server: server, Targets: map[string]*Opened{"t": {Target: b, Limit: DefaultLimit}},
		Message: func(ev *object.Event) []byte { return ev.Key }, Log: func(string) {}, Poll: 5 * time.Millisecond, SettleAfter: 20 * time.Millisecond, Patience: patience})
}

func noneLeft(t *testing.T, e *object.Engine) {
	t.Helper()
	if n, err := e.CountEvents("t", object.Place{}); n != 0 || err != nil {
		t.Errorf("%d events are left, %v", n, err)
	}
}

// All come in order although every third attempt fails, and none is left.
func TestDeliversInOrderDespiteFailures(t *testing.T) {
	e := newWorld(t).engine()
	b := newInbox()
	b.refuse = func(_ *Message, try int) error {
		if try%3 == 0 {
			return errors.New("hiccup")
		}
		return nil
	}
	put(t, e, 5, "a", "b", "c")
	d := start(e, "one", b, time.Hour)
	put(t, e, 5, "a", "b", "c")
	b.await(t, "all", func(list []Message) bool { return len(list) >= 30 })
	d.Stop()
	list := b.messages()
	if len(list) != 30 || distinct(list) != 30 {
		t.Errorf("%d messages, %d distinct", len(list), distinct(list))
	}
	inOrder(t, list)
	noneLeft(t, e)
	if s := d.Stats()[0]; s.Delivered != 30 || s.Failed == 0 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	if seen, err := e.Delivery("t"); err != nil || seen.Server != "" {
		t.Errorf("it did not let go: %+v, %v", seen, err)
	}
}

// What one key's event does not get through does not hold up other keys, and the events of
// that key wait for it.
func TestRefusedEventHoldsUpItsKeyOnly(t *testing.T) {
	e := newWorld(t).engine()
	b := newInbox()
	var open atomic.Bool
	b.refuse = func(m *Message, _ int) error {
		if m.Key == "b/bad" && !open.Load() {
			return errors.New("no")
		}
		return nil
	}
	put(t, e, 3, "bad", "good")
	d := start(e, "one", b, time.Hour)
	b.await(t, "the others", func(list []Message) bool { return len(list) == 3 })
	open.Store(true)
	put(t, e, 1, "good")
	b.await(t, "all", func(list []Message) bool { return len(list) == 7 })
	d.Stop()
	inOrder(t, b.messages())
	noneLeft(t, e)
}

// A server that goes without having removed anything leaves nothing undone: what it
// delivered may come again.
func TestNextServerGoesOn(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	put(t, e, 10, "a", "b")
	b := newInbox()
	b.refuse = func(_ *Message, try int) error {
		if try > 7 {
			return errors.New("down")
		}
		return nil
	}
	// Delivers some and is stopped dead: nothing is settled, nor let go.
	dead := &courier{d: &Deliverer{e: e, opt: Options{Server: "dead", Message: func(*object.Event) []byte { return nil }, Log: func(string) {},
		Poll: time.Hour, SettleAfter: time.Hour, CheckLimits: time.Hour}}, name: "t", target: b, limit: DefaultLimit, retries: map[string]*retry{}}
	for range 6 {
		dead.step(t.Context())
	}
	before := len(b.messages())
	if before == 0 || before == 20 {
		t.Fatalf("%d messages", before)
	}
	b.mu.Lock()
	b.refuse = nil
	b.mu.Unlock()
	e2 := w.engine()
	d := start(e2, "next", b, 100*time.Millisecond)
	b.await(t, "all", func(list []Message) bool { return distinct(list) == 20 })
	d.Stop()
	inOrder(t, b.messages())
	noneLeft(t, e2)
}

// Two servers do not deliver everything twice, and when the one that delivers goes, the
// other goes on.
func TestOneOfTwoServersDelivers(t *testing.T) {
	w := newWorld(t)
	e1, e2 := w.engine(), w.engine()
	one, two := newInbox(), newInbox()
	d1 := start(e1, "one", one, time.Hour)
	put(t, e1, 1, "first")
	one.await(t, "the first", func(list []Message) bool { return len(list) == 1 })
	d2 := start(e2, "two", two, time.Hour)
	put(t, e2, 20, "a", "b")
	one.await(t, "those of the other server", func(list []Message) bool { return len(list) == 41 })
	if n := len(two.messages()); n > 0 {
		t.Errorf("the other server delivered %d, too", n)
	}
	d1.Stop()
	put(t, e2, 5, "a", "b")
	two.await(t, "the rest", func(list []Message) bool { return len(list) == 10 })
	d2.Stop()
	all := append(one.messages(), two.messages()...)
	if len(all) != 51 || distinct(all) != 51 {
		t.Errorf("%d messages, %d distinct", len(all), distinct(all))
	}
	inOrder(t, all)
	noneLeft(t, e2)
}

func TestOldAndManyEventsAreGivenUp(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	put(t, e, 3, "old")
	w.now.Add(int64(2 * time.Hour))
	put(t, e, 1, "k1", "k2", "k3", "k4")
	n, err := drop(t.Context(), e, "t", Limit{Age: time.Hour, Count: 100}, e.Now())
	if n != 3 || err != nil {
		t.Errorf("%d old ones, %v", n, err)
	}
	b := newInbox()
	b.refuse = func(*Message, int) error { return errors.New("down for a day") }
	var mu sync.Mutex
	var said []string
	d := Start(e, Options{Server: "one", Targets: map[string]*Opened{"t": {Target: b, Limit: Limit{Age: time.Hour, Count: 3}}},
		Message: func(ev *object.Event) []byte { return ev.Key }, Poll: 5 * time.Millisecond, CheckLimits: 5 * time.Millisecond,
		Log: func(s string) { mu.Lock(); said = append(said, s); mu.Unlock() }})
	b.await(t, "a try", func([]Message) bool { return d.couriers["t"].dropped.Load() == 1 })
	d.Stop()
	var left []string
	if err := e.Events("t", object.Place{}, func(ev *object.Event) bool { left = append(left, string(ev.Key)); return true }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(left, []string{"k2", "k3", "k4"}) {
		t.Errorf("left: %q", left)
	}
	mu.Lock()
	defer mu.Unlock()
	if text := strings.Join(said, "\n"); !strings.Contains(text, "1 events for target t are given up") || !strings.Contains(text, "does not take events, which wait: down for a day") {
		t.Errorf("said %q", said)
	}
}

func TestEventsOfUnknownTargetAreReported(t *testing.T) {
	e := newWorld(t).engine()
	put(t, e, 2, "k")
	var said []string
	d := &Deliverer{e: e, opt: Options{Log: func(s string) { said = append(said, s) }}}
	if err := d.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"2 events wait for target t, which this server does not know"}; !slices.Equal(said, want) {
		t.Errorf("said %q", said)
	}
	d.pending = map[string]pendingCount{}
	if got := d.Stats(); !slices.Equal(got, []Stats{{Target: "t", Pending: 2}}) {
		t.Errorf("%+v", got)
	}
}

func TestDue(t *testing.T) {
	now := time.Unix(1000, 0)
	held := []*object.Event{}
	for _, key := range strings.Fields("a b a c b d") {
		held = append(held, &object.Event{Bucket: "x", Key: []byte(key)})
	}
	retries := map[string]*retry{"x/b": {next: now.Add(time.Second)}, "x/c": {next: now.Add(-time.Second)}, "x/d": {next: now.Add(time.Minute)}}
	wave, soonest := due(held, retries, now)
	if !slices.Equal(wave, []int{0, 3}) || !soonest.Equal(now.Add(time.Second)) {
		t.Errorf("%v, %v", wave, soonest)
	}
	held = held[:0]
	for i := range maxWave + 10 {
		held = append(held, &object.Event{Key: fmt.Append(nil, i)})
	}
	if wave, _ := due(held, nil, now); len(wave) != maxWave {
		t.Errorf("a wave of %d", len(wave))
	}
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		n    int
		r    float64
		want time.Duration
	}{{1, 0, 100 * time.Millisecond}, {1, 0.5, 150 * time.Millisecond}, {2, 0, 200 * time.Millisecond}, {8, 0, 12800 * time.Millisecond}, {9, 0, 15 * time.Second}, {1000, 0.999, 30 * time.Second}} {
		if got := backoff(c.n, c.r); got > c.want || got < c.want-50*time.Millisecond {
			t.Errorf("%d, %v: got %v, want %v", c.n, c.r, got, c.want)
		}
	}
}

// Who watches another server takes over when nothing has happened for long enough, and not
// while something does.
func TestWatch(t *testing.T) {
	now := time.Unix(1000, 0)
	const first = time.Second
	busy := object.Delivery{Server: "other", Turns: 1}
	var w watch
	for i := range uint64(10) { // events go
		if w.see(busy, object.Place{Commit: i + 1}, now, first) {
			t.Fatalf("taken over at step %d", i)
		}
		now = now.Add(900 * time.Millisecond)
	}
	if !w.see(busy, object.Place{Commit: 10}, now.Add(200*time.Millisecond), first) {
		t.Error("a dead server was left in charge")
	}
	idle := object.Delivery{Server: "other", Turns: 9, Idle: 4}
	w.see(idle, object.Place{Commit: 10}, now, first)
	if w.see(idle, object.Place{Commit: 10}, now.Add(7*time.Second), first) || !w.see(idle, object.Place{Commit: 10}, now.Add(8*time.Second), first) {
		t.Errorf("the wait after the fourth change of hands is not 8 s")
	}
	if got := patience(object.Delivery{Idle: 100}, first); got != maxPatience {
		t.Errorf("patience %v", got)
	}
	if w = (watch{}); !w.see(object.Delivery{Turns: 3}, object.Place{Commit: 1}, now, first) {
		t.Error("nobody delivers, and it waits")
	}
}
