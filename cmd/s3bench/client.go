package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// client signs requests to one server.
type client struct {
	base           string
	access, secret string
	http           *http.Client
}

func newClient(base string, conns int) *client {
	return &client{base: base, access: os.Getenv("AWS_ACCESS_KEY_ID"), secret: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns, DisableCompression: true}}}
}

// do sends a request and hands the answer's body to read, which may be nil. path begins with / and
// needs no escaping.
func (c *client) do(ctx context.Context, method, path string, query url.Values, body io.Reader, size int64, sum string, read func(io.Reader) error) error {
	u := c.base + path
	if len(query) > 0 {
		u += "?" + canonicalQuery(query)
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	c.sign(req, query, sum)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	if read != nil {
		return read(res.Body)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func canonicalQuery(q url.Values) string {
	return strings.ReplaceAll(q.Encode(), "+", "%20")
}

// sign adds a Signature Version 4 over the payload digest sum.
func (c *client) sign(req *http.Request, query url.Values, sum string) {
	now := time.Now().UTC()
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	req.Header.Set("x-amz-date", stamp)
	req.Header.Set("x-amz-content-sha256", sum)
	canonical := req.Method + "\n" + req.URL.EscapedPath() + "\n" + canonicalQuery(query) + "\nhost:" + req.URL.Host +
		"\nx-amz-content-sha256:" + sum + "\nx-amz-date:" + stamp + "\n\nhost;x-amz-content-sha256;x-amz-date\n" + sum
	scope := day + "/us-east-1/s3/aws4_request"
	key := []byte("AWS4" + c.secret)
	for _, part := range []string{day, "us-east-1", "s3", "aws4_request"} {
		key = mac(key, part)
	}
	digest := sha256.Sum256([]byte(canonical))
	sig := mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(digest[:]))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.access+"/"+scope+
		",SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature="+hex.EncodeToString(sig))
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

var emptySum = hexSum(nil)

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (c *client) makeBucket(ctx context.Context, name string) error {
	err := c.do(ctx, "PUT", "/"+name, nil, nil, 0, emptySum, nil)
	if err != nil && strings.Contains(err.Error(), "409") {
		err = nil
	}
	return err
}

// each runs op n times by the clients of o, and returns rate and latencies.
func each(o *options, n int, op func(i int) error) (figure, error) {
	took := make([]time.Duration, n)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range o.clients {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				t := time.Now()
				if err := op(i); err != nil {
					failed.Store(&err)
					return
				}
				took[i] = time.Since(t)
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return figure{}, *e
	}
	whole := time.Since(start)
	slices.Sort(took)
	return figure{float64(n) / whole.Seconds(), took[n/2], took[n*99/100]}, nil
}

func key(i int) string { return fmt.Sprintf("dir%02d/object-%07d", i%100, i) }

func body(seed uint64, i, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	_, _ = r.Read(b)
	return b
}

func putSmall(ctx context.Context, c *client, o *options, seed uint64) (figure, error) {
	return each(o, o.objects, func(i int) error {
		b := body(seed, i, o.size)
		return c.do(ctx, "PUT", "/"+o.bucket+"/"+key(i), nil, bytes.NewReader(b), int64(len(b)), hexSum(b), nil)
	})
}

func getSmall(ctx context.Context, c *client, o *options, seed uint64) (figure, error) {
	return each(o, o.objects, func(i int) error {
		i = int(uint64(i) * 7919 % uint64(o.objects))
		var n int64
		err := c.do(ctx, "GET", "/"+o.bucket+"/"+key(i), nil, nil, 0, emptySum, func(r io.Reader) (err error) {
			n, err = io.Copy(io.Discard, r)
			return err
		})
		if err == nil && n != int64(o.size) {
			err = fmt.Errorf("got %d bytes of %d", n, o.size)
		}
		return err
	})
}

func headSmall(ctx context.Context, c *client, o *options, _ uint64) (figure, error) {
	return each(o, o.objects, func(i int) error {
		return c.do(ctx, "HEAD", "/"+o.bucket+"/"+key(i), nil, nil, 0, emptySum, nil)
	})
}

func deleteSmall(ctx context.Context, c *client, o *options, _ uint64) (figure, error) {
	return each(o, o.objects, func(i int) error {
		return c.do(ctx, "DELETE", "/"+o.bucket+"/"+key(i), nil, nil, 0, emptySum, nil)
	})
}

var tokenPattern = regexp.MustCompile(`<NextContinuationToken>([^<]*)<`)

// list pages through everything. Its latencies are those of pages.
func list(ctx context.Context, c *client, o *options, _ uint64) (figure, error) {
	var took []time.Duration
	keys := 0
	start := time.Now()
	for token := ""; ; {
		q := url.Values{"list-type": {"2"}, "max-keys": {"1000"}}
		if token != "" {
			q.Set("continuation-token", token)
		}
		t := time.Now()
		var page []byte
		err := c.do(ctx, "GET", "/"+o.bucket, q, nil, 0, emptySum, func(r io.Reader) (err error) {
			page, err = io.ReadAll(r)
			return err
		})
		if err != nil {
			return figure{}, err
		}
		took = append(took, time.Since(t))
		keys += bytes.Count(page, []byte("<Key>"))
		m := tokenPattern.FindSubmatch(page)
		if m == nil {
			break
		}
		token = string(m[1])
	}
	whole := time.Since(start)
	if keys < o.objects {
		return figure{}, fmt.Errorf("listed %d keys of %d", keys, o.objects)
	}
	slices.Sort(took)
	return figure{float64(keys) / whole.Seconds(), took[len(took)/2], took[len(took)*99/100]}, nil
}

func putLarge(ctx context.Context, c *client, o *options, seed uint64) (figure, error) {
	src := rand.NewChaCha8([32]byte{1, byte(seed), byte(seed >> 8), byte(seed >> 16)})
	start := time.Now()
	err := c.do(ctx, "PUT", "/"+o.bucket+"/large", nil, io.LimitReader(src, o.large), o.large, "UNSIGNED-PAYLOAD", nil)
	whole := time.Since(start)
	return figure{float64(o.large) / 1e6 / whole.Seconds(), whole, whole}, err
}

func getLarge(ctx context.Context, c *client, o *options, _ uint64) (figure, error) {
	start := time.Now()
	err := c.do(ctx, "GET", "/"+o.bucket+"/large", nil, nil, 0, emptySum, nil)
	whole := time.Since(start)
	return figure{float64(o.large) / 1e6 / whole.Seconds(), whole, whole}, err
}
