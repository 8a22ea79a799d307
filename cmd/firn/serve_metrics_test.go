package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/repo/s3"
)

func TestMetricsText(t *testing.T) {
	m := newServeMetrics(time.Unix(1700000000, 5e8))
	for _, r := range []s3.Record{
		{Operation: "PutObject", Status: 200, Duration: 2500 * time.Microsecond, In: 10},
		{Operation: "PutObject", Status: 200, Duration: 2600 * time.Microsecond, In: 20},
		{Operation: "PutObject", Status: 503, Code: "SlowDown", Duration: 2 * time.Minute, Out: 300},
		{Status: 403, Code: "AccessDenied"},
	} {
		m.record(&r)
	}
	m.inFlight.Add(3)
	var got strings.Builder
	if err := m.write(&got, []gauge{{"firn_buckets", "gauge", "Buckets.", 7}}); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/metrics.golden")
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Replace(got.String(), label(versionText()), `"v"`, 1); text != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", text, want)
	}
}

func TestMetricsAndHealthAside(t *testing.T) {
	var sick error
	h := newServeMetrics(time.Now()).handler(func() []gauge { return nil }, func() error { return sick })
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := get("/metrics"); code != 200 || !strings.Contains(body, "\ngo_goroutines ") {
		t.Errorf("metrics: %d %s", code, body)
	}
	if code, body := get("/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("health: %d %s", code, body)
	}
	sick = errors.New("the disk is on fire")
	if code, body := get("/healthz"); code != 503 || body != "unavailable\n" {
		t.Errorf("health: %d %s", code, body)
	}
	if code, _ := get("/"); code != http.StatusNotFound {
		t.Errorf("anything else: %d", code)
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	if got := label("a\"b\\c\nd"); got != `"a\"b\\c\nd"` {
		t.Error(got)
	}
}

func TestAccessLine(t *testing.T) {
	r := &s3.Record{
		Time: time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC), Duration: 12345678 * time.Nanosecond, ID: "A1", Remote: "192.0.2.1:77",
		Requester: "alice", Operation: "GetObject", Method: "GET", URI: "/b/k?X-Amz-Signature=abc&versionId=1", Host: "s3.example.org",
		Bucket: "b", Key: "k\x1b[31m\u202e<&>", VersionID: "1", Status: 500, Code: "InternalError", Err: errors.New("no room"),
		In: 1, Out: 2, UserAgent: "curl", Referer: "https://x/?Signature=abc", Scheme: "SigV4", AuthType: "QueryString", TLS: "TLSv1.3",
	}
	want := `{"type":"request","time":"2026-02-03T04:05:06.789Z","id":"A1","remote":"192.0.2.1:77","requester":"alice","operation":"GetObject",` +
		`"method":"GET","uri":"/b/k?X-Amz-Signature=-&versionId=1","host":"s3.example.org","bucket":"b","key":"k\u001b[31m\u202e<&>","version_id":"1",` +
		`"status":500,"code":"InternalError","error":"no room","bytes_in":1,"bytes_out":2,"seconds":0.012346,"user_agent":"curl",` +
		`"referer":"https://x/?Signature=-","signature":"SigV4","auth":"QueryString","tls":"TLSv1.3"}` + "\n"
	if got := string(accessLineOf(r)); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestSignaturesStayOutOfTheLog(t *testing.T) {
	for in, want := range map[string]string{
		"/b/k":                 "/b/k",
		"/b/k?acl":             "/b/k?acl",
		"/b/k?a=1&Signature=x": "/b/k?a=1&Signature=-",
		"/b?x%2damz-Signatur%65=x&X-Amz-Security-Token=t&b=2": "/b?x%2damz-Signatur%65=-&X-Amz-Security-Token=-&b=2",
	} {
		if got := s3.WithoutSignature(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestAccessLogGoesOnInANewFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "access.log")
	l, err := openAccessLog(name, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.record(&s3.Record{ID: "one"})
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	l.record(&s3.Record{ID: "two"})
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	l.record(&s3.Record{ID: "three"})
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{name + ".1": {"one", "two"}, name: {"three"}} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n != len(want) {
			t.Errorf("%s has %d lines", file, n)
		}
		for _, id := range want {
			if !strings.Contains(string(text), `"id":"`+id+`"`) {
				t.Errorf("%s lacks %s", file, id)
			}
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestFullDiskIsToldOnce(t *testing.T) {
	var said []string
	l, err := openAccessLog("-", failing{}, func(s string) { said = append(said, s) })
	if err != nil {
		t.Fatal(err)
	}
	l.record(&s3.Record{})
	l.record(&s3.Record{})
	if len(said) != 1 || !strings.Contains(said[0], "no space left") {
		t.Errorf("said %q", said)
	}
}
