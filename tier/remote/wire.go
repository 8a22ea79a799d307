package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"
)

// Kind is a kind of request, by which storages have prices.
type Kind string

// The kinds of requests.
const (
	KindPut      Kind = "put"      // a whole file
	KindBegin    Kind = "begin"    // of a multipart upload
	KindPart     Kind = "part"     // of a multipart upload
	KindComplete Kind = "complete" // a multipart upload
	KindAbort    Kind = "abort"    // a multipart upload
	KindGet      Kind = "get"
	KindHead     Kind = "head"
	KindList     Kind = "list"
	KindDelete   Kind = "delete"
	KindOther    Kind = "other"
)

// Counts is what a store asked of its storage so far.
type Counts struct {
	Requests map[Kind]int64 // retries included
	Retries  int64
	Sent     int64 // bytes of bodies
	Received int64
}

// Total is the number of requests of all kinds.
func (c Counts) Total() (n int64) {
	for _, k := range c.Requests {
		n += k
	}
	return n
}

// kindOf tells the kind of a request from its form.
func kindOf(req *http.Request) Kind {
	q := req.URL.Query()
	switch {
	case req.Method == http.MethodPut && q.Has("partNumber"):
		return KindPart
	case req.Method == http.MethodPut:
		return KindPut
	case req.Method == http.MethodPost && q.Has("uploads"):
		return KindBegin
	case req.Method == http.MethodPost && q.Has("uploadId"):
		return KindComplete
	case req.Method == http.MethodDelete && q.Has("uploadId"):
		return KindAbort
	case req.Method == http.MethodDelete:
		return KindDelete
	case req.Method == http.MethodHead:
		return KindHead
	case req.Method == http.MethodGet && (q.Has("list-type") || q.Has("uploads")):
		return KindList
	case req.Method == http.MethodGet && len(q) <= 1: // x-id=GetObject
		return KindGet
	}
	return KindOther
}

// wire carries requests to the storage: it counts them, keeps to the bandwidth, and gives
// up those that no longer move.
type wire struct {
	next     http.RoundTripper
	up, down *limiter // nil: no limit
	stall    time.Duration

	mu     sync.Mutex
	counts Counts
}

// errStalled ends a request of which no byte moved for too long.
var errStalled = errors.New("nothing moved")

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	kind := kindOf(req)
	w.add(func(c *Counts) { c.Requests[kind]++ })
	ctx, cancel := context.WithCancelCause(req.Context())
	watch := time.AfterFunc(w.stall, func() { cancel(fmt.Errorf("%w for %s", errStalled, w.stall)) })
	progress := func() { watch.Reset(w.stall) }
	end := func() { watch.Stop(); cancel(nil) }

	req = req.Clone(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.GetBody = nil // nothing below may repeat a request behind our back
		req.Body = &metered{ctx: ctx, body: req.Body, limit: w.up, progress: progress,
			count: func(n int) { w.add(func(c *Counts) { c.Sent += int64(n) }) }}
	}
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		err = stallOr(ctx, err)
		end()
		return nil, err
	}
	progress()
	resp.Body = &stalling{&metered{ctx: ctx, body: resp.Body, limit: w.down, progress: progress, closed: end,
		count: func(n int) { w.add(func(c *Counts) { c.Received += int64(n) }) }}}
	return resp, nil
}

// stalling says why a body ended.
type stalling struct{ *metered }

func (s *stalling) Read(p []byte) (int, error) {
	n, err := s.metered.Read(p)
	return n, stallOr(s.ctx, err)
}

// stallOr returns errStalled when that is why a request ended.
func stallOr(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

func (w *wire) add(change func(*Counts)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts.Requests == nil {
		w.counts.Requests = map[Kind]int64{}
	}
	change(&w.counts)
}

func (w *wire) read() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.counts
	c.Requests = maps.Clone(c.Requests)
	return c
}
