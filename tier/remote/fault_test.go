package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/remote"
)

// faults stands between a store and its server. n counts requests from 1.
type faults struct {
	before func(n int, req *http.Request) (*http.Response, error) // both nil: go on
	after  func(n int, req *http.Request, resp *http.Response) (*http.Response, error)

	mu sync.Mutex
	n  int
}

func (f *faults) RoundTrip(req *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.n++
	n := f.n
	f.mu.Unlock()
	if f.before != nil {
		if resp, err := f.before(n, req); resp != nil || err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return resp, err
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil && f.after != nil {
		got := resp
		if resp, err = f.after(n, req, resp); err != nil {
			got.Body.Close()
		}
	}
	return resp, err
}

// answering makes an answer as S3 would.
func answering(req *http.Request, status int, code string) *http.Response {
	body := fmt.Sprintf("<Error><Code>%s</Code><Message>made up</Message></Error>", code)
	if code == "" {
		body = ""
	}
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/xml"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req}
}

// broken is an error of a connection.
type broken struct{}

func (broken) Error() string   { return "connection reset by test" }
func (broken) Timeout() bool   { return false }
func (broken) Temporary() bool { return false }

// opened opens a store over a fake with faults and a clock that jumps.
func opened(t *testing.T, f *fake, through *faults) (*remote.Store, *instant) {
	testCredentials(t)
	clock := newInstant()
	return open(t, remote.Options{Prefix: "p", Endpoint: f.url, Transport: through, Now: clock.Now, Sleep: clock.Sleep,
		Jitter: func() float64 { return 0.5 }}), clock
}

// large is more than two parts.
var large = bytes.Repeat([]byte("0123456789abcdef"), (17<<20)/16)

// Each answer is lost once: of a PUT, and of each request of a multipart upload. The file is
// there, and its writer knows that it is his.
func TestLostAnswers(t *testing.T) {
	for name, data := range map[string][]byte{"put": []byte("small"), "parts": large} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			lost := map[string]bool{}
			var mu sync.Mutex
			s, _ := opened(t, f, &faults{after: func(_ int, req *http.Request, resp *http.Response) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				if key := req.Method + req.URL.RawQuery; req.Method != http.MethodHead && !lost[key] {
					lost[key] = true
					return nil, broken{}
				}
				return resp, nil
			}})
			if err := tier.Put(t.Context(), s, "packs/x", data); err != nil {
				t.Fatalf("Put: %v", err)
			}
			if got, err := tier.Read(t.Context(), s, "packs/x", int64(len(data))); err != nil || !bytes.Equal(got, data) {
				t.Errorf("Read = %d bytes, %v", len(got), err)
			}
			if err := tier.Put(t.Context(), s, "packs/x", data); !errors.Is(err, tier.ErrExist) {
				t.Errorf("Put of another writer: %v, want ErrExist", err)
			}
			if err := s.Delete(t.Context(), "packs/x"); err != nil {
				t.Errorf("Delete: %v", err)
			}
		})
	}
}

// The request of one writer is lost before it arrives, and another takes the name meanwhile.
func TestLostRaceIsNoLostAnswer(t *testing.T) {
	f := newFake(t)
	var other *remote.Store
	s, _ := opened(t, f, &faults{before: func(n int, req *http.Request) (*http.Response, error) {
		if n == 1 {
			if err := tier.Put(t.Context(), other, "log/1", []byte("theirs")); err != nil {
				t.Error(err)
			}
			return nil, broken{}
		}
		return nil, nil
	}})
	other = open(t, remote.Options{Prefix: "p", Endpoint: f.url})
	if err := tier.Put(t.Context(), s, "log/1", []byte("ours")); !errors.Is(err, tier.ErrExist) {
		t.Errorf("Put: %v, want ErrExist", err)
	}
	if got, err := tier.Read(t.Context(), s, "log/1", 10); string(got) != "theirs" {
		t.Errorf("Read = %q, %v", got, err)
	}
}

// A name that is refused, and under which nothing is found, is tried again.
func TestTakenAndGone(t *testing.T) {
	for name, data := range map[string][]byte{"put": []byte("small"), "parts": large} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			refused := 0
			s, _ := opened(t, newFake(t), &faults{before: func(_ int, req *http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				if req.Header.Get("If-None-Match") == "*" && refused < 2 {
					refused++
					return answering(req, http.StatusPreconditionFailed, "PreconditionFailed"), nil
				}
				return nil, nil
			}})
			if err := tier.Put(t.Context(), s, "packs/x", data); err != nil || refused != 2 {
				t.Errorf("Put: %v after %d refusals", err, refused)
			}
		})
	}
}

// A storage in trouble is asked again after pauses that grow, and work goes on when it
// recovers.
func TestStormPasses(t *testing.T) {
	f := newFake(t)
	s, clock := opened(t, f, &faults{before: func(n int, req *http.Request) (*http.Response, error) {
		switch {
		case n > 7:
			return nil, nil
		case n%3 == 0:
			return answering(req, http.StatusTooManyRequests, ""), nil
		}
		return answering(req, http.StatusServiceUnavailable, "SlowDown"), nil
	}})
	if err := tier.Put(t.Context(), s, "file", []byte("data")); err != nil {
		t.Fatalf("Put: %v", err)
	}
	if len(clock.slept) != 7 || clock.slept[6] < 30*clock.slept[0] {
		t.Errorf("pauses %v", clock.slept)
	}
	if c := s.Counts(); c.Retries != 7 || c.Requests[remote.KindPut] != 8 {
		t.Errorf("counted %+v", c)
	}
}

// A storm that does not end is given up within the patience, and leaves no file.
func TestStormEnds(t *testing.T) {
	f := newFake(t)
	s, clock := opened(t, f, &faults{before: func(_ int, req *http.Request) (*http.Response, error) {
		return answering(req, http.StatusServiceUnavailable, "SlowDown"), nil
	}})
	start := clock.Now()
	err := tier.Put(t.Context(), s, "file", []byte("data"))
	if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "; ") {
		t.Errorf("Put: %v, want ErrUnreachable and what to do", err)
	}
	if d := clock.Now().Sub(start); d < time.Minute || d > 3*time.Minute {
		t.Errorf("gave up after %s", d)
	}
	// The budget of all requests together ends before the patience of each does.
	for range 100 {
		_ = tier.Put(t.Context(), s, "file", []byte("data"))
	}
	if c := s.Counts(); c.Retries > 200 {
		t.Errorf("%d retries without one success", c.Retries)
	}
	if len(f.objects) != 0 {
		t.Error("there is a file")
	}
}

// Without any answer, as with a mistyped endpoint, it ends soon.
func TestNobodyAnswers(t *testing.T) {
	f := newFake(t)
	s, clock := opened(t, f, &faults{before: func(int, *http.Request) (*http.Response, error) { return nil, broken{} }})
	start := clock.Now()
	_, err := s.Stat(t.Context(), "file")
	if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), f.url) {
		t.Errorf("Stat: %v, want ErrUnreachable and the endpoint", err)
	}
	if d := clock.Now().Sub(start); d > 10*time.Second {
		t.Errorf("gave up after %s", d)
	}
}

// cut ends a body early.
type cut struct {
	io.Reader
	io.Closer
}

// A read that breaks off goes on where it ended.
func TestTruncatedReads(t *testing.T) {
	f := newFake(t)
	data := bytes.Repeat([]byte("abcdefghij"), 1000)
	var ranges []string
	s, _ := opened(t, f, &faults{after: func(n int, req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.Method == http.MethodGet {
			ranges = append(ranges, req.Header.Get("Range"))
			if len(ranges)%4 != 0 {
				resp.Body = cut{io.LimitReader(resp.Body, 100), resp.Body}
			}
		}
		return resp, nil
	}})
	if err := tier.Put(t.Context(), s, "file", data); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 5000)
	if n, err := s.ReadAt(t.Context(), "file", p, 1000); n != len(p) || err != nil || !bytes.Equal(p, data[1000:6000]) {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	want := "bytes=1000-5999 bytes=1100-5999 bytes=1200-5999 bytes=1300-5999"
	if got := strings.Join(ranges, " "); got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	if got, err := tier.Read(t.Context(), s, "file", 1e6); err != nil || !bytes.Equal(got, data) {
		t.Errorf("Read = %d bytes, %v", len(got), err)
	}
}

// What a person did wrong is told at once, as that, with what to do about it.
func TestRefusalsAreExplained(t *testing.T) {
	tests := []struct {
		status int
		code   string
		want   error
		says   string
	}{
		{403, "InvalidAccessKeyId", remote.ErrDenied, "AWS_ACCESS_KEY_ID"},
		{403, "SignatureDoesNotMatch", remote.ErrDenied, "AWS_SECRET_ACCESS_KEY"},
		{403, "AccessDenied", remote.ErrDenied, "account 123456789012"},
		{403, "RequestTimeTooSkewed", remote.ErrDenied, "set the clock"},
		{404, "NoSuchBucket", remote.ErrNoBucket, "check the spelling"},
		{301, "PermanentRedirect", remote.ErrNoBucket, "--s3-region"},
		{400, "AuthorizationHeaderMalformed", remote.ErrNoBucket, "--s3-region"},
		{501, "NotImplemented", remote.ErrUnfit, "does not implement"},
		{403, "InvalidObjectState", remote.ErrArchived, "restore it"},
	}
	testCredentials(t)
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			clock := newInstant()
			s := open(t, remote.Options{Endpoint: "http://127.0.0.1:1", Owner: "123456789012", Now: clock.Now, Sleep: clock.Sleep,
				Transport: &faults{before: func(_ int, req *http.Request) (*http.Response, error) {
					if req.Header.Get("X-Amz-Expected-Bucket-Owner") != "123456789012" {
						t.Error("the owner was not asked for")
					}
					return answering(req, tt.status, tt.code), nil
				}}})
			_, err := tier.Read(t.Context(), s, "config", 100)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "s3://bucket/config") {
				t.Errorf("Read: %v, want %q in it", err, tt.says)
			}
			if len(clock.slept) > 2 {
				t.Errorf("waited %v for what does not change", clock.slept)
			}
		})
	}
}

// A connection on which nothing moves is given up and made again.
func TestStalledRequests(t *testing.T) {
	f := newFake(t)
	testCredentials(t)
	clock := newInstant()
	s := open(t, remote.Options{Endpoint: f.url, Stall: 30 * time.Millisecond, Now: clock.Now, Sleep: clock.Sleep,
		Transport: &faults{before: func(n int, req *http.Request) (*http.Response, error) {
			if n > 1 {
				return nil, nil
			}
			<-req.Context().Done()
			return nil, req.Context().Err()
		}}})
	if err := tier.Put(t.Context(), s, "file", []byte("data")); err != nil {
		t.Errorf("Put: %v", err)
	}
	if s.Counts().Retries != 1 {
		t.Errorf("counted %+v", s.Counts())
	}
}

// Cancelled work ends, and takes its upload with it.
func TestCancelledUpload(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("told to stop")
	s, _ := opened(t, f, &faults{before: func(n int, req *http.Request) (*http.Response, error) {
		if req.URL.Query().Has("partNumber") {
			cancel(why)
			return nil, req.Context().Err()
		}
		return nil, nil
	}})
	w, err := s.Create(ctx, "packs/x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(large)
	if err == nil {
		err = w.Commit()
	}
	if !errors.Is(err, why) {
		t.Errorf("Write and Commit: %v, want the cause", err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("Abort: %v", err)
	}
	if left := f.pending(); len(left) > 0 || len(f.objects) > 0 {
		t.Errorf("left %v and %d objects", left, len(f.objects))
	}
}
