package object

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// openSessions of the log as the engine sees it.
func (w *world) openSessions() (open []pack.Session) {
	w.t.Helper()
	err := w.Repository().Index().Sessions(func(s pack.Session, state index.SessionState, _ index.WriterKey) error {
		if state == index.SessionOpen {
			open = append(open, s)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return open
}

// TestSessionsMakeWay: a session is not kept for as long as the server runs, and a body
// that is on its way when it makes way is stored all the same.
func TestSessionsMakeWay(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Enabled)
	w.put("b", "before", "before")
	first := w.openSessions()
	if len(first) != 1 {
		t.Fatalf("%d sessions are open", len(first))
	}

	large := randomBytes(1, 3<<20)
	body, feed := io.Pipe()
	stored := make(chan *index.Version)
	go func() {
		v, err := w.Put(context.Background(), &PutRequest{Bucket: "b", Key: "large"}, body, nil)
		if err != nil {
			t.Error(err)
		}
		stored <- v
	}()
	if _, err := feed.Write(large[:2<<20]); err != nil { // more than waits in memory
		t.Fatal(err)
	}
	w.now.Add(int64(2 * time.Hour))
	small := w.put("b", "small", "small")
	if got := w.openSessions(); len(got) != 2 || !slices.Contains(got, first[0]) {
		t.Fatalf("open after two hours: %v, first %v", got, first)
	}
	if _, err := feed.Write(large[2<<20:]); err != nil {
		t.Fatal(err)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	v := <-stored
	if t.Failed() {
		return
	}
	w.ending.Wait()
	if got := w.openSessions(); len(got) != 1 || got[0] == first[0] {
		t.Errorf("open when nobody uses the first any more: %v, first %v", got, first)
	}
	if got := w.read(v); !bytes.Equal([]byte(got), large) {
		t.Error("the large object changed")
	}
	if w.read(small) != "small" {
		t.Error("the small object changed")
	}

	w.now.Add(int64(2 * time.Hour))
	w.genMu.Lock()
	w.rotate()
	w.genMu.Unlock()
	w.ending.Wait()
	if got := w.openSessions(); len(got) != 0 {
		t.Errorf("open though nothing is done: %v", got)
	}
	w.put("b", "again", "again")
}

// TestOldSessionFails: what was stored in a session that was sealed while a body came is
// refused, so that the client repeats it; what is small is stored in the next session.
func TestOldSessionFails(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Enabled)
	body, feed := io.Pipe()
	failed := make(chan error)
	go func() {
		_, err := w.Put(context.Background(), &PutRequest{Bucket: "b", Key: "large"}, body, nil)
		failed <- err
	}()
	large := randomBytes(2, 3<<20)
	if _, err := feed.Write(large[:2<<20]); err != nil {
		t.Fatal(err)
	}
	w.now.Add(int64(2 * time.Hour))
	old := w.current()
	w.put("b", "small", "small")
	w.retire(old, ErrBusy)
	go func() {
		_, _ = feed.Write(large[2<<20:])
		_ = feed.Close()
	}()
	if err := <-failed; err == nil {
		t.Error("a body was stored in a session that had failed")
	}
	_ = body.Close()
	w.put("b", "more", "more")
}
