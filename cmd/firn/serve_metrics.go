package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime/debug"
	rt "runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firnstore/firn/repo/s3"
)

// serveMetrics counts what the server does. The names of operations and codes come from
// closed tables of package s3, so that no client can make the counters grow.
type serveMetrics struct {
	started  time.Time
	inFlight atomic.Int64
	panics   atomic.Int64
	more     func(*bytes.Buffer) // writes what others count, or nil; set before the first request

	mu        sync.Mutex
	requests  map[requestKind]uint64
	durations map[string]*durations // by operation
	codes     map[string]uint64
	in, out   int64
}

type requestKind struct {
	operation string
	status    int
}

// durationBounds are the upper bounds of the histogram in seconds.
var durationBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// durations is a histogram; the last count is of what is longer than all bounds.
type durations struct {
	counts [16]uint64
	sum    time.Duration
}

func newServeMetrics(now time.Time) *serveMetrics {
	return &serveMetrics{
		started: now, requests: map[requestKind]uint64{}, durations: map[string]*durations{}, codes: map[string]uint64{},
	}
}

func (m *serveMetrics) record(r *s3.Record) {
	op := firstOf(r.Operation, "unknown")
	slot, _ := slices.BinarySearch(durationBounds, r.Duration.Seconds()) // what equals a bound belongs to it
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[requestKind{op, r.Status}]++
	d := m.durations[op]
	if d == nil {
		d = &durations{}
		m.durations[op] = d
	}
	d.counts[slot]++
	d.sum += r.Duration
	if r.Code != "" {
		m.codes[r.Code]++
	}
	m.in += r.In
	m.out += r.Out
}

// gauge is a value read when metrics are asked for.
type gauge struct {
	name, kind, help string // kind: gauge or counter
	value            float64
}

// write writes the counters, and gauges behind them, in the text format of Prometheus.
func (m *serveMetrics) write(w io.Writer, gauges []gauge) error {
	var b bytes.Buffer
	m.mu.Lock()
	m.writeRequests(&b)
	in, out := m.in, m.out
	m.mu.Unlock()
	own := []gauge{
		{"firn_s3_received_bytes_total", "counter", "Bytes of the bodies of requests.", float64(in)},
		{"firn_s3_sent_bytes_total", "counter", "Bytes of the bodies of answers.", float64(out)},
		{"firn_s3_requests_in_flight", "gauge", "Requests that are being answered.", float64(m.inFlight.Load())},
		{"firn_s3_panics_total", "counter", "Requests that ended in a fault of the server.", float64(m.panics.Load())},
		{"process_start_time_seconds", "gauge", "When the server was started, in seconds since 1970.", float64(m.started.UnixNano()) / 1e9},
	}
	for _, g := range append(own, gauges...) {
		family(&b, g.name, g.kind, g.help)
		fmt.Fprintf(&b, "%s %s\n", g.name, number(g.value))
	}
	if m.more != nil {
		m.more(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (m *serveMetrics) writeRequests(b *bytes.Buffer) {
	family(b, "firn_build_info", "gauge", "The version of firn; the value is always 1.")
	fmt.Fprintf(b, "firn_build_info{version=%s} 1\n", label(versionText()))
	family(b, "firn_s3_requests_total", "counter", "Requests, by operation and status.")
	kinds := slices.SortedFunc(maps.Keys(m.requests), func(a, b requestKind) int {
		return cmp.Or(cmp.Compare(a.operation, b.operation), cmp.Compare(a.status, b.status))
	})
	for _, k := range kinds {
		fmt.Fprintf(b, "firn_s3_requests_total{operation=%s,status=\"%d\"} %d\n", label(k.operation), k.status, m.requests[k])
	}
	family(b, "firn_s3_errors_total", "counter", "Answers with an error, by its code.")
	for _, code := range slices.Sorted(maps.Keys(m.codes)) {
		fmt.Fprintf(b, "firn_s3_errors_total{code=%s} %d\n", label(code), m.codes[code])
	}
	family(b, "firn_s3_request_duration_seconds", "histogram", "Time from arrival to the last byte of the answer, by operation.")
	for _, op := range slices.Sorted(maps.Keys(m.durations)) {
		d, total := m.durations[op], uint64(0)
		for i, n := range d.counts {
			total += n
			bound := "+Inf"
			if i < len(durationBounds) {
				bound = number(durationBounds[i])
			}
			fmt.Fprintf(b, "firn_s3_request_duration_seconds_bucket{operation=%s,le=\"%s\"} %d\n", label(op), bound, total)
		}
		fmt.Fprintf(b, "firn_s3_request_duration_seconds_sum{operation=%s} %s\n", label(op), number(d.sum.Seconds()))
		fmt.Fprintf(b, "firn_s3_request_duration_seconds_count{operation=%s} %d\n", label(op), total)
	}
}

func family(b *bytes.Buffer, name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func label(s string) string { return `"` + labelEscapes.Replace(s) + `"` }

// runtimeGauges are those of the Go runtime and of the process. They are read without
// stopping the program.
func runtimeGauges() []gauge {
	samples := []rt.Sample{
		{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	rt.Read(samples)
	value := func(i int) float64 {
		if samples[i].Value.Kind() != rt.KindUint64 {
			return 0
		}
		return float64(samples[i].Value.Uint64())
	}
	list := []gauge{
		{"go_goroutines", "gauge", "Goroutines.", value(0)},
		{"go_memory_heap_objects_bytes", "gauge", "Memory of objects, those included that are not collected yet.", value(1)},
		{"go_memory_total_bytes", "gauge", "Memory that the Go runtime has from the system and has not given back.", value(2) - value(3)},
		{"go_memory_limit_bytes", "gauge", "Soft limit of that memory (GOMEMLIMIT).", float64(debug.SetMemoryLimit(-1))},
		{"go_gc_cycles_total", "counter", "Collections of garbage.", value(4)},
	}
	if rss, ok := residentBytes(); ok {
		list = append(list, gauge{"process_resident_memory_bytes", "gauge", "Resident memory of the process.", rss})
	}
	return list
}

// residentBytes is known on Linux only.
func residentBytes() (float64, bool) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()), err == nil
}

// handler answers /metrics and /healthz on the address of --metrics-listen.
func (m *serveMetrics) handler(gauges func() []gauge, health func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = m.write(w, append(gauges(), runtimeGauges()...)) // a client that went away
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, health()) })
	return mux
}

// answerHealth says whether requests can be answered. What is wrong goes to the log of the
// operator, not to everybody.
func answerHealth(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "unavailable\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
