package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"
)

// deadlines is an answer that notes the deadlines set, in seconds of a clock that begins
// at 1000; "-" is none.
type deadlines struct {
	http.ResponseWriter
	read, write []string
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { return note(&d.read, t) }
func (d *deadlines) SetWriteDeadline(t time.Time) error { return note(&d.write, t) }

// Unwrap is for http.ResponseController.
func (d *deadlines) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func note(list *[]string, t time.Time) error {
	text := "-"
	if !t.IsZero() {
		text = fmt.Sprint(t.Unix() - 1000)
	}
	*list = append(*list, text)
	return nil
}

// slowBody takes seconds on the clock for each read.
type slowBody struct {
	clock *time.Time
	reads []slowRead
}

type slowRead struct{ seconds, bytes int }

func (b *slowBody) Read(p []byte) (int, error) {
	if len(b.reads) == 0 {
		return 0, io.EOF
	}
	r := b.reads[0]
	b.reads = b.reads[1:]
	*b.clock = b.clock.Add(time.Duration(r.seconds) * time.Second)
	return r.bytes, nil
}

func (b *slowBody) Close() error { return nil }

func TestBodyHasToMakeProgress(t *testing.T) {
	for _, c := range []struct {
		name  string
		reads []slowRead
		work  int // seconds that the server needs after each read
		want  error
		read  []string
	}{
		{"fast", []slowRead{{1, 5000}, {1, 5000}}, 0, io.EOF, []string{"60", "-", "61", "-", "62", "-"}},
		{"a trickle", []slowRead{{25, 1}, {25, 1}, {25, 1}, {1, 1}}, 0, os.ErrDeadlineExceeded, []string{"60", "-", "60", "-", "60", "-", "60"}},
		{"slow, but enough", []slowRead{{50, 4096}, {50, 4096}, {50, 4096}}, 0, io.EOF, []string{"60", "-", "110", "-", "160", "-", "210", "-"}},
		{"the server is slow", []slowRead{{1, 1}, {1, 1}}, 1000, io.EOF, []string{"60", "-", "1060", "-", "2060", "-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := time.Unix(1000, 0)
			w := &deadlines{ResponseWriter: httptest.NewRecorder()}
			var got error
			g := &stallGuard{limit: time.Minute, now: func() time.Time { return clock }, next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				buf := make([]byte, 8192)
				for got == nil {
					_, got = r.Body.Read(buf)
					clock = clock.Add(time.Duration(c.work) * time.Second)
				}
				if _, again := r.Body.Read(buf); !errors.Is(again, got) {
					t.Errorf("the error does not stay: %v", again)
				}
			})}
			r := httptest.NewRequest("PUT", "/b/k", nil)
			r.Body = &slowBody{clock: &clock, reads: c.reads}
			g.ServeHTTP(w, r)
			if !errors.Is(got, c.want) {
				t.Errorf("error %v, want %v", got, c.want)
			}
			if !slices.Equal(w.read, c.read) && c.want == io.EOF {
				t.Errorf("deadlines %v, want %v", w.read, c.read)
			}
		})
	}
}

func TestAnswerHasToMakeProgress(t *testing.T) {
	clock := time.Unix(1000, 0)
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	g := &stallGuard{limit: time.Minute, now: func() time.Time { return clock }, next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		clock = clock.Add(time.Hour) // of work
		if n, err := w.Write(make([]byte, 2*stallBytesOut+1)); n != 2*stallBytesOut+1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})}
	g.ServeHTTP(w, httptest.NewRequest("GET", "/b/k", nil))
	if want := []string{"3660", "3660", "3660", "-", "3660", "-", "3660"}; !slices.Equal(w.write, want) {
		t.Errorf("deadlines %v, want %v", w.write, want)
	}
	if len(w.read) != 0 {
		t.Errorf("deadlines %v for a body that is not there", w.read)
	}
}

// A client that stops sending, and one that stops taking, lose their connection.
func TestStalledClientsAreCut(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	srv := httptest.NewServer(&stallGuard{limit: 100 * time.Millisecond, now: time.Now, next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		for piece := make([]byte, 1<<20); err == nil && r.Method == "GET"; {
			_, err = w.Write(piece)
		}
		ended <- err
	})})
	defer srv.Close()
	for _, c := range []struct{ name, request string }{
		{"body", "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome"},
		{"answer", "GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the request ended with %v", err)
			}
		})
	}
}

// TestGuardLeavesTheRequestAlone is for net/http, which ends a connection by what it finds
// in the request that it made.
func TestGuardLeavesTheRequestAlone(t *testing.T) {
	r := httptest.NewRequest("PUT", "/b/k", io.LimitReader(nil, 0))
	own, guarded := r.Body, false
	g := &stallGuard{limit: time.Minute, now: time.Now, next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, guarded = r.Body.(*guardedBody)
	})}
	g.ServeHTTP(httptest.NewRecorder(), r)
	if r.Body != own || !guarded {
		t.Errorf("the body of the request is %T, guarded within: %t", r.Body, guarded)
	}
}

// TestRefusedBodiesAreNotWaitedFor: who is refused gets the answer soon, even if the body
// never comes.
func TestRefusedBodiesAreNotWaitedFor(t *testing.T) {
	guard := &stallGuard{limit: time.Hour, now: time.Now, next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(interface{ Hurry(time.Duration) }).Hurry(10 * time.Millisecond)
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("a body came")
		}
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusForbidden)
	})}
	s := httptest.NewServer(guard)
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", res.StatusCode)
	}
}
