package remote_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/remote"
)

func TestParts(t *testing.T) {
	testCredentials(t)
	testParts(t, open(t, remote.Options{Endpoint: newFake(t).url}))
}

// A storage that lets a second file have a name is refused, whichever way it does.
func TestProbeRefuses(t *testing.T) {
	testCredentials(t)
	for name, spoil := range map[string]func(*fake){
		"put":   func(f *fake) { f.conditions, f.partConditions = false, false },
		"parts": func(f *fake) { f.partConditions = false },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			spoil(f)
			err := open(t, remote.Options{Endpoint: f.url}).Probe(t.Context())
			if !errors.Is(err, remote.ErrUnfit) || !strings.Contains(err.Error(), "; use ") {
				t.Errorf("Probe: %v, want ErrUnfit and what to do", err)
			}
			if len(f.objects) > 0 || len(f.pending()) > 0 {
				t.Error("Probe left something behind")
			}
		})
	}
	f := newFake(t)
	if err := open(t, remote.Options{Endpoint: f.url}).Probe(t.Context()); err != nil {
		t.Errorf("Probe: %v", err)
	}
	if len(f.objects) > 0 || len(f.pending()) > 0 {
		t.Error("Probe left something behind")
	}
}

// The parts of one file are under way at the same time: the first answer is held back until
// as many requests have come as may.
func TestPartsInParallel(t *testing.T) {
	const together = 3
	f := newFake(t)
	var mu sync.Mutex
	waiting, met := 0, make(chan struct{})
	s, _ := opened(t, f, &faults{before: func(_ int, req *http.Request) (*http.Response, error) {
		if !req.URL.Query().Has("partNumber") {
			return nil, nil
		}
		mu.Lock()
		if waiting++; waiting == together {
			close(met)
		}
		mu.Unlock()
		select {
		case <-met:
			return nil, nil
		case <-time.After(20 * time.Second):
			return nil, errors.New("no other part came")
		}
	}})
	if err := tier.Put(t.Context(), s, "packs/x", large); err != nil {
		t.Error(err)
	}
}

// An upload of a process that died is removed when it is old enough.
func TestAbortUploads(t *testing.T) {
	testCredentials(t)
	f := newFake(t)
	s := open(t, remote.Options{Endpoint: f.url, Prefix: "p"})
	f.uploads["dead"] = &fakeUpload{key: "p/packs/dead", time: time.Now().Add(-48 * time.Hour)}
	f.uploads["young"] = &fakeUpload{key: "p/packs/young", time: time.Now()}
	f.uploads["other"] = &fakeUpload{key: "q/packs/other", time: time.Now().Add(-48 * time.Hour)}
	if n, err := s.AbortUploads(t.Context(), 24*time.Hour); n != 1 || err != nil {
		t.Errorf("AbortUploads = %d, %v, want 1", n, err)
	}
	if f.uploads["dead"] != nil || f.uploads["young"] == nil || f.uploads["other"] == nil {
		t.Errorf("left %v", f.pending())
	}
}

func TestStorageClass(t *testing.T) {
	testCredentials(t)
	f := newFake(t)
	s := open(t, remote.Options{Endpoint: f.url, Class: func(name string) string {
		if strings.HasPrefix(name, "packs/") {
			return "STANDARD_IA"
		}
		return ""
	}})
	for name, data := range map[string][]byte{"packs/small": nil, "packs/large": large, "log/1": nil} {
		if err := tier.Put(t.Context(), s, name, data); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"packs/small": "STANDARD_IA", "packs/large": "STANDARD_IA", "log/1": ""} {
		if got := f.objects[name].class; got != want {
			t.Errorf("%s is in class %q, want %q", name, got, want)
		}
	}
}

// Each call takes the requests that it should, and no more.
func TestRequestsPerCall(t *testing.T) {
	f := newFake(t)
	s, _ := opened(t, f, &faults{})
	ctx := t.Context()
	tests := []struct {
		name string
		call func() error
		want map[remote.Kind]int64
	}{
		{"Put", func() error { return tier.Put(ctx, s, "a", []byte("data")) }, map[remote.Kind]int64{remote.KindPut: 1}},
		{"Put in parts", func() error { return tier.Put(ctx, s, "b", large) },
			map[remote.Kind]int64{remote.KindBegin: 1, remote.KindPart: 3, remote.KindComplete: 1}},
		{"Read", func() error { _, err := tier.Read(ctx, s, "a", 10); return err }, map[remote.Kind]int64{remote.KindGet: 1}},
		{"ReadAt", func() error { _, err := s.ReadAt(ctx, "b", make([]byte, 9), 7); return err }, map[remote.Kind]int64{remote.KindGet: 1}},
		{"Stat", func() error { _, err := s.Stat(ctx, "a"); return err }, map[remote.Kind]int64{remote.KindHead: 1}},
		{"List", func() error { return s.List(ctx, "", "", func(tier.Info) error { return nil }) }, map[remote.Kind]int64{remote.KindList: 1}},
		{"Delete", func() error { return s.Delete(ctx, "a") }, map[remote.Kind]int64{remote.KindHead: 1, remote.KindDelete: 1}},
	}
	for _, tt := range tests {
		before := s.Counts()
		if err := tt.call(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		after := s.Counts()
		if after.Total()-before.Total() != sum(tt.want) {
			t.Errorf("%s took %d requests, want %v", tt.name, after.Total()-before.Total(), tt.want)
		}
		for kind, n := range tt.want {
			if got := after.Requests[kind] - before.Requests[kind]; got != n {
				t.Errorf("%s took %d of %s, want %d", tt.name, got, kind, n)
			}
		}
	}
	if c := s.Counts(); c.Sent < int64(len(large)) || c.Received < 13 {
		t.Errorf("counted %+v", c)
	}
}

func sum(counts map[remote.Kind]int64) int64 { return remote.Counts{Requests: counts}.Total() }

// A limit of bandwidth holds for all requests together.
func TestBandwidth(t *testing.T) {
	testCredentials(t)
	f := newFake(t)
	clock := newInstant()
	s := open(t, remote.Options{Endpoint: f.url, UploadRate: 1 << 20, DownloadRate: 4 << 20, Now: clock.Now, Sleep: clock.Sleep})
	data := bytes.Repeat([]byte("x"), 5<<20)
	start := clock.Now()
	if err := tier.Put(t.Context(), s, "file", data); err != nil {
		t.Fatal(err)
	}
	if d := clock.Now().Sub(start); d < 4900*time.Millisecond || d > 5200*time.Millisecond {
		t.Errorf("5 MiB at 1 MiB/s took %s", d)
	}
	start = clock.Now()
	if _, err := tier.Read(t.Context(), s, "file", 1<<30); err != nil {
		t.Fatal(err)
	}
	if d := clock.Now().Sub(start); d < 1150*time.Millisecond || d > 1350*time.Millisecond {
		t.Errorf("5 MiB at 4 MiB/s took %s", d)
	}
}

func TestNoCredentials(t *testing.T) {
	testCredentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := remote.Open(t.Context(), remote.Options{Bucket: "bucket", Endpoint: "http://127.0.0.1:1"})
	if !errors.Is(err, remote.ErrDenied) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("Open: %v, want ErrDenied and what to set", err)
	}
}

func TestParseAddress(t *testing.T) {
	good := map[string][2]string{
		"s3://bucket":             {"bucket", ""},
		"s3://bucket/":            {"bucket", ""},
		"s3://bucket/a/b/":        {"bucket", "a/b"},
		"s3://my.bucket-1/Backup": {"my.bucket-1", "Backup"},
		"S3://bucket/ü":           {"bucket", "ü"},
	}
	for text, want := range good {
		if bucket, prefix, err := remote.ParseAddress(text); err != nil || bucket != want[0] || prefix != want[1] {
			t.Errorf("ParseAddress(%q) = %q, %q, %v", text, bucket, prefix, err)
		}
	}
	bad := map[string]string{
		"s3:bucket": "want s3://", "s3://": "no name of a bucket", "s3:///a": "no name of a bucket", "s3://ab": "no name of a bucket",
		"s3://bucket//a": "empty", "s3://bucket/a/../b": "empty, . or ..", "s3://bucket/a\n": "character",
		"s3://AKIA:secret@bucket/a": "keys do not belong", "s3://localhost:9000/bucket": "endpoint", "s3://bucket/" + strings.Repeat("x", 701): "more than 700",
	}
	for text, want := range bad {
		_, _, err := remote.ParseAddress(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAddress(%q): %v, want %q in it", text, err, want)
		} else if strings.Contains(err.Error(), "secret@") {
			t.Errorf("ParseAddress(%q) repeats a secret: %v", text, err)
		}
	}
}
