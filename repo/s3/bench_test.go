package s3

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/firnstore/firn/tier"
)

// benchServer serves a repository in a directory.
func benchServer(b *testing.B) (*server, *http.Client) {
	store, err := tier.CreateDir(b.TempDir()+"/repo", tier.DirOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s := newServerOn(b, Options{}, store)
	s.must(200, mainUser, "PUT", "/bucket", "")
	return s, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
}

func (s *server) send(b *testing.B, c *http.Client, method, path string, body []byte, digest string) {
	req, err := http.NewRequest(method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("x-amz-content-sha256", digest)
	s.sign(req, mainUser, nil)
	res, err := c.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if res.StatusCode != 200 {
		b.Fatal(method, path, res.Status)
	}
}

func noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 9}).Read(p)
	return p
}

// BenchmarkHTTPPutSmall has 16 clients put objects of 4 KiB, client and server in one
// process.
func BenchmarkHTTPPutSmall(b *testing.B) {
	s, c := benchServer(b)
	var n atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := n.Add(1)
			data := noise(uint64(i), 4096)
			sum := sha256.Sum256(data)
			s.send(b, c, "PUT", fmt.Sprint("/bucket/key-", i), data, hex.EncodeToString(sum[:]))
		}
	})
}

// BenchmarkHTTPGetSmall gets one of 1000 objects of 4 KiB.
func BenchmarkHTTPGetSmall(b *testing.B) {
	s, c := benchServer(b)
	for i := range 1000 {
		s.send(b, c, "PUT", fmt.Sprint("/bucket/key-", i), noise(uint64(i), 4096), "UNSIGNED-PAYLOAD")
	}
	var n atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			s.send(b, c, "GET", fmt.Sprint("/bucket/key-", n.Add(7)%1000), nil, "UNSIGNED-PAYLOAD")
		}
	})
}

// BenchmarkHTTPPutLarge puts 64 MiB of new random data.
func BenchmarkHTTPPutLarge(b *testing.B) {
	s, c := benchServer(b)
	b.SetBytes(64 << 20)
	for i := range b.N {
		b.StopTimer()
		data := noise(uint64(i), 64<<20)
		b.StartTimer()
		s.send(b, c, "PUT", "/bucket/large", data, "UNSIGNED-PAYLOAD")
	}
}

// BenchmarkHTTPGetLarge gets 256 MiB.
func BenchmarkHTTPGetLarge(b *testing.B) {
	s, c := benchServer(b)
	s.send(b, c, "PUT", "/bucket/large", noise(1, 256<<20), "UNSIGNED-PAYLOAD")
	b.SetBytes(256 << 20)
	for b.Loop() {
		s.send(b, c, "GET", "/bucket/large", nil, "UNSIGNED-PAYLOAD")
	}
}
