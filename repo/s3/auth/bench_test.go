package auth

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func BenchmarkVerify(b *testing.B) {
	v := newVerifier(testTime)
	body := bytes.Repeat([]byte("x"), 4096)
	s := newSigner("PUT", "/bucket/some/key", "", body)
	s.headers["content-type"], s.headers["x-amz-meta-mtime"] = "application/octet-stream", "1700000000.1"
	r, _ := s.header()
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("header and body", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Body = io.NopCloser(bytes.NewReader(body))
			res, err := v.Verify(r)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				b.Fatal(err)
			}
		}
	})
	p := s.presigned("60")
	b.Run("presigned", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkChunked(b *testing.B) {
	chunk := strings.Repeat("x", 64<<10)
	for _, sum := range []string{signedChunks, plainTrailer} {
		chunks := make([]string, 256)
		for i := range chunks {
			chunks[i] = chunk
		}
		f := newFramer(sum, chunks...)
		r, seed := f.header()
		wire := f.frame(seed)
		v, buf := newVerifier(testTime), make([]byte, 128<<10)
		b.Run(sum, func(b *testing.B) {
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(bytes.NewReader(wire))
				res, err := v.Verify(r)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = res.Body.Read(buf)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("SHA-256 alone", func(b *testing.B) {
		b.SetBytes(int64(len(chunk)))
		for b.Loop() {
			sumHex([]byte(chunk))
		}
	})
}
