package kill

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	accessKey   = "FIRNTORTURE"
	secretKey   = "a-secret-that-protects-nothing"
	startLimit  = time.Minute
	putsPerTask = 400 // of a client, before it rests
)

// server is a firn serve s3 under way.
type server struct {
	*process
	w       *world
	first   firstLine
	base    string
	http    *http.Client
	mayFail bool // a request may be answered by an error, as on a full disk
}

// firstLine keeps what is written until the first line feed.
type firstLine struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	done chan struct{}
	seen bool
}

func (l *firstLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	if !l.seen && bytes.IndexByte(p, '\n') >= 0 {
		l.seen = true
		close(l.done)
	}
	return len(p), nil
}

// launch starts a server without waiting for it.
func (w *world) launch() (*server, error) {
	creds := filepath.Join(w.dir, "root.ini")
	text := "[default]\naws_access_key_id = " + accessKey + "\naws_secret_access_key = " + secretKey + "\n"
	if err := os.WriteFile(creds, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s := &server{w: w, process: w.command("serve", "s3", "--json", "--listen", "127.0.0.1:0", "--credentials-file", creds)}
	s.first.done = make(chan struct{})
	s.Stdout = &s.first
	s.http = &http.Client{Timeout: commandLimit, Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	return s, s.start()
}

// serve starts a server that takes requests and has the bucket.
func (w *world) serve(ctx context.Context) (*server, error) {
	s, err := w.launch()
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		_ = s.Process.Kill()
		_ = s.Wait()
		return nil, err
	}
	return s, nil
}

// ready waits until the server says where it listens, and makes the bucket.
func (s *server) ready(ctx context.Context) error {
	select {
	case <-s.first.done:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(startLimit):
		_ = s.Process.Kill()
		_ = s.Wait()
		return breaks(failed, "firn serve s3 did not start within %s: %s", startLimit, short(s.errs.Bytes()))
	}
	var o struct {
		Endpoints []string `json:"endpoints"`
	}
	s.first.mu.Lock()
	line, _, _ := bytes.Cut(s.first.buf.Bytes(), []byte("\n"))
	err := json.Unmarshal(line, &o)
	s.first.mu.Unlock()
	if err != nil || len(o.Endpoints) == 0 {
		return breaks(failed, "firn serve s3 printed %s", short(line))
	}
	s.base = o.Endpoints[0]
	status, answer, err := s.do(ctx, "PUT", "/"+bucket, nil)
	if err == nil && status != http.StatusOK && status != http.StatusConflict && !s.mayFail {
		err = breaks(failed, "make the bucket: status %d: %s", status, short(answer))
	}
	return err
}

// stop ends the server in peace.
func (s *server) stop() error {
	s.http.CloseIdleConnections()
	if err := s.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	o, err := s.end()
	if err == nil && o.code != 0 {
		err = breaks(failed, "firn serve s3 stopped with exit code %d: %s", o.code, short(o.errs))
	}
	return err
}

// compare reads every object; settled as in saw.
func (s *server) compare(ctx context.Context, settled bool) error {
	for _, keys := range s.w.objs.keys {
		for _, k := range keys {
			if err := s.get(ctx, k, settled); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *server) get(ctx context.Context, k *key, settled bool) error {
	status, body, err := s.do(ctx, "GET", "/"+bucket+"/"+k.name, nil)
	switch {
	case err != nil:
		return err
	case status == http.StatusNotFound:
		body = nil
	case status >= http.StatusInternalServerError && s.mayFail:
		return nil
	case status != http.StatusOK:
		return breaks(failed, "GET %s: status %d: %s", k.name, status, short(body))
	}
	s.w.score.count(&s.w.score.Objects, 1)
	return s.w.objs.saw(k, body, settled)
}

// stream lets clients put, delete and read objects until each has done its share, or the
// server is gone. It returns at once; what the server answered wrongly comes through the
// channel when all have ended.
func (s *server) stream(ctx context.Context) <-chan error {
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for c := range clients {
		rng := rand.New(rand.NewPCG(s.w.rng.Uint64(), uint64(c)))
		wg.Go(func() { errs[c] = s.client(ctx, s.w.objs.keys[c], rng) })
	}
	all := make(chan error, 1)
	go func() {
		wg.Wait()
		all <- errors.Join(errs...)
	}()
	return all
}

func (s *server) client(ctx context.Context, keys []*key, rng *rand.Rand) error {
	for range putsPerTask {
		k := keys[rng.IntN(len(keys))]
		var status int
		var answer []byte
		var err error
		next, want := k.last+1, http.StatusOK
		switch p := rng.IntN(10); {
		case p < 2:
			if err = s.get(ctx, k, false); isBroken(err) {
				return err
			}
			if err != nil {
				return nil
			}
			continue
		case p < 3:
			next, want = 0, http.StatusNoContent
			k.maybe = append(k.maybe, next)
			status, answer, err = s.do(ctx, "DELETE", "/"+bucket+"/"+k.name, nil)
		default:
			k.last = next
			k.maybe = append(k.maybe, next)
			status, answer, err = s.do(ctx, "PUT", "/"+bucket+"/"+k.name, s.w.objs.body(k, next))
		}
		if err != nil {
			return nil // the server is gone, or the time is up
		}
		switch {
		case status == want:
			k.is(next)
			s.w.score.count(&s.w.score.Writes, 1)
		case !s.mayFail:
			return breaks(failed, "write object %s: status %d: %s", k.name, status, short(answer))
		}
	}
	return nil
}

// do sends a signed request and returns the whole answer.
func (s *server) do(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	sign(req, time.Now().UTC())
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// sign adds a signature of version 4 to a request without a query; the body is not signed.
func sign(req *http.Request, now time.Time) {
	const names, payload = "host;x-amz-content-sha256;x-amz-date", "UNSIGNED-PAYLOAD"
	stamp := now.Format("20060102T150405Z")
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", payload)
	canonical := fmt.Sprintf("%s\n%s\n\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n%s\n%s",
		req.Method, req.URL.EscapedPath(), req.URL.Host, payload, stamp, names, payload)
	scope := stamp[:8] + "/firn-1/s3/aws4_request"
	digest := sha256.Sum256([]byte(canonical))
	mac := []byte("AWS4" + secretKey)
	for _, part := range []string{stamp[:8], "firn-1", "s3", "aws4_request",
		"AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(digest[:])} {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(part))
		mac = h.Sum(nil)
	}
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		accessKey, scope, names, mac))
}
