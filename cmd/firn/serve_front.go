package main

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3"
)

// handle answers one request, and makes sure that a fault of ours ends only that one.
func (s *s3Server) handle(w http.ResponseWriter, r *http.Request) {
	if asksHealth(r, s.f.domains) {
		answerHealth(w, s.health())
		return
	}
	s.answer(s.s3, w, r)
}

// handleSite is handle for websites.
func (s *s3Server) handleSite(w http.ResponseWriter, r *http.Request) { s.answer(s.sites, w, r) }

func (s *s3Server) answer(h http.Handler, w http.ResponseWriter, r *http.Request) {
	s.metrics.inFlight.Add(1)
	defer s.metrics.inFlight.Add(-1)
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if fault != http.ErrAbortHandler {
			s.metrics.panics.Add(1)
			_, _ = s.faults.Write(fmt.Appendf(nil, "fault while answering %s: %v\n%s", r.Method, fault, debug.Stack()))
		}
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}()
	h.ServeHTTP(w, r)
}

// asksHealth reports whether a request is for /healthz of the server, and not for a bucket
// of that name: a request for the bucket is signed, or has a query, or is about a key.
func asksHealth(r *http.Request, domains []string) bool {
	if r.URL.Path != "/healthz" || r.URL.RawQuery != "" || r.Method != http.MethodGet && r.Method != http.MethodHead ||
		len(r.Header["Authorization"]) > 0 {
		return false
	}
	host, _, _ := strings.Cut(strings.ToLower(r.Host), ":")
	for _, d := range domains {
		if strings.HasSuffix(host, "."+strings.ToLower(d)) {
			return false // it is the key healthz of a bucket
		}
	}
	return true
}

// health asks the engine a question whose answer is at hand when all is well.
func (s *s3Server) health() error {
	if s.stopping.Load() {
		return object.ErrClosed
	}
	if _, err := s.e.Bucket("healthz"); err != nil && !errors.Is(err, object.ErrNoBucket) {
		_, _ = s.faults.Write([]byte("not healthy: " + err.Error()))
		return err
	}
	return nil
}

// record is called with each request that was answered.
func (s *s3Server) record(r *s3.Record) {
	s.metrics.record(r)
	if s.log != nil {
		s.log.record(r)
	}
	if r.Err != nil && r.Status == http.StatusInternalServerError {
		_, _ = s.faults.Write([]byte(fmt.Sprintf("request %s, %s: %v", r.ID, firstOf(r.Operation, r.Method), r.Err)))
	}
}

// gauges are what the server and the store are like at the moment, as far as it is cheap.
func (s *s3Server) gauges() []gauge {
	open, idle := s.gate.count()
	list := []gauge{
		{"firn_s3_connections", "gauge", "Open connections.", float64(open)},
		{"firn_s3_connections_idle", "gauge", "Connections that wait for their next request.", float64(idle)},
		{"firn_s3_connections_accepted_total", "counter", "Connections that were let in.", float64(s.gate.accepted.Load())},
		{"firn_s3_connections_evicted_total", "counter", "Idle connections that made room for others.", float64(s.gate.evicted.Load())},
		{"firn_index_bytes", "gauge", "Size of the local index.", float64(s.e.Repository().Index().Size())},
	}
	if seq, _, err := s.e.Repository().Index().Applied(); err == nil {
		list = append(list, gauge{"firn_commits", "gauge", "Commits in the log of the repository.", float64(seq)})
	}
	if buckets, err := s.e.Buckets(); err == nil {
		list = append(list, gauge{"firn_buckets", "gauge", "Buckets, those of backups included.", float64(len(buckets))})
	}
	return append(list, s.lifeGauges()...)
}

// rarely lets one message through in a while and counts the others, so that a client who
// causes many cannot fill the log of the operator.
type rarely struct {
	every time.Duration
	now   func() time.Time
	say   func(string)

	mu      sync.Mutex
	last    time.Time
	skipped int64
}

// Write implements io.Writer with one message per call.
func (r *rarely) Write(p []byte) (int, error) {
	text := strings.TrimRight(string(p), "\n")
	if strings.HasPrefix(text, "http: TLS handshake error") || strings.HasPrefix(text, "http2: ") {
		return len(p), nil // what strangers do to a port is no news
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if !r.last.IsZero() && now.Sub(r.last) < r.every {
		r.skipped++
		return len(p), nil
	}
	if r.skipped > 0 {
		text = fmt.Sprintf("%s (and %s before)", text, counted(r.skipped, "other message", "other messages"))
	}
	r.last, r.skipped = now, 0
	r.say(text)
	return len(p), nil
}
