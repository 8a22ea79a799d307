package main

import (
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// stallGuard cuts clients that keep a request open without sending or taking anything. A
// limit on the whole would forbid large objects, so the limit is on progress: every
// stallBytesIn have to come, and every stallBytesOut be taken, within the limit. Time that
// the server itself needs does not count: a deadline stands only while a read or write
// waits, since HTTP/2 resets a stream whose deadline passes, whether or not anybody waits.
type stallGuard struct {
	next  http.Handler
	limit time.Duration
	now   func() time.Time
}

const (
	stallBytesIn  = 4 << 10
	stallBytesOut = 64 << 10
)

func (g *stallGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	gw := &guardedWriter{ResponseWriter: w, g: g, control: http.NewResponseController(w)}
	if r.Body != nil && r.Body != http.NoBody {
		gw.body = &guardedBody{ReadCloser: r.Body, w: gw, first: r.ProtoMajor == 1}
		r = r.WithContext(r.Context()) // a copy: net/http looks at the body in its own to end a connection well
		r.Body = gw.body
	}
	defer gw.begin() // net/http flushes the answer behind the handler
	g.next.ServeHTTP(gw, r)
}

// guardedWriter gives each piece of an answer its own deadline.
type guardedWriter struct {
	http.ResponseWriter
	g       *stallGuard
	control *http.ResponseController
	body    *guardedBody // nil when there is none
}

// begin gives the client the whole limit for what is written next. Before the first byte
// of an answer net/http reads what is left of a body, if it is not much; so there is a
// deadline for that as well, which has passed if the client stalled before. A connection
// that knows no deadlines has none.
func (w *guardedWriter) begin() {
	end := w.g.now().Add(w.g.limit)
	_ = w.control.SetWriteDeadline(end)
	if b := w.body; b != nil && b.state.Load() != bodyDone {
		if b.state.Load() == bodyFailed {
			end = w.g.now()
		}
		if !b.until.IsZero() && b.until.Before(end) {
			end = b.until
		}
		_ = w.control.SetReadDeadline(end)
	}
}

func (w *guardedWriter) end() {
	_ = w.control.SetWriteDeadline(time.Time{})
	if b := w.body; b != nil && b.state.Load() == bodyOpen {
		_ = w.control.SetReadDeadline(time.Time{})
	}
}

func (w *guardedWriter) Write(p []byte) (n int, err error) {
	defer w.end()
	for {
		piece := p[n:min(len(p), n+stallBytesOut)]
		w.begin()
		m, err := w.ResponseWriter.Write(piece)
		n += m
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// Hurry bounds the time that is left for the whole of the body: the request is refused, and
// the rest is read only so that the client sees the answer.
func (w *guardedWriter) Hurry(limit time.Duration) {
	if w.body != nil {
		w.body.until = w.g.now().Add(limit)
	}
}

// FlushError is for http.ResponseController.
func (w *guardedWriter) FlushError() error {
	w.begin()
	defer w.end()
	return w.control.Flush()
}

// Unwrap is for http.ResponseController.
func (w *guardedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// guardedBody reads a body with deadlines.
type guardedBody struct {
	io.ReadCloser
	w      *guardedWriter
	first  bool          // the next read may send 100 Continue
	waited time.Duration // in reads, since got was 0
	got    int           // bytes, up to stallBytesIn
	err    error         // of the last read; it stays
	until  time.Time     // see Hurry; zero: no bound

	// state is for the writer, which another goroutine may use.
	state atomic.Int32
}

const (
	bodyOpen   = iota // there is more
	bodyDone          // read to its end
	bodyFailed        // the client stalled or left
)

// Read implements io.Reader. Behind the end it must not set a deadline: net/http watches
// the connection then, and would take the passing of it for a client that left.
func (b *guardedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	g := b.w.g
	start := g.now()
	left := g.limit - b.waited
	if !b.until.IsZero() {
		left = min(left, b.until.Sub(start))
	}
	if left <= 0 {
		return 0, b.fail(os.ErrDeadlineExceeded)
	}
	if b.first {
		_ = b.w.control.SetWriteDeadline(start.Add(g.limit))
	}
	_ = b.w.control.SetReadDeadline(start.Add(left))
	n, err := b.ReadCloser.Read(p)
	_ = b.w.control.SetReadDeadline(time.Time{})
	if b.first {
		_ = b.w.control.SetWriteDeadline(time.Time{})
		b.first = false
	}
	b.waited += g.now().Sub(start)
	if b.got += n; b.got >= stallBytesIn {
		b.got, b.waited = 0, 0
	}
	if err != nil {
		err = b.fail(err)
	}
	return n, err
}

func (b *guardedBody) fail(err error) error {
	b.err = err
	if err == io.EOF {
		b.state.Store(bodyDone)
	} else {
		b.state.Store(bodyFailed)
	}
	return err
}
