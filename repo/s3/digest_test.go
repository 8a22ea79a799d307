package s3

import (
	"bytes"
	"crypto/md5"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

func TestDigester(t *testing.T) {
	for _, size := range []int{0, 1, digestInline - 1, digestInline, digestInline + 1, 1 << 20, 3<<20 + 17} {
		data := randomBytes(size)
		want := md5.Sum(data)
		for name, read := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r },
			"half":  iotest.HalfReader,
			"eof":   iotest.DataErrReader,
		} {
			h := md5.New()
			d := newDigester(read(bytes.NewReader(data)), h)
			got, err := io.ReadAll(d)
			d.finish()
			d.stop()
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes, %s: read %d, %v", size, name, len(got), err)
			}
			if !bytes.Equal(h.Sum(nil), want[:]) || d.n != int64(size) {
				t.Errorf("%d bytes, %s: wrong digest or size %d", size, name, d.n)
			}
		}
	}
}

// A bubble does not end before its goroutines do, and fails when one never would.
func TestDigesterStopsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		src := io.MultiReader(bytes.NewReader(make([]byte, 2<<20)), iotest.ErrReader(broken))
		d := newDigester(src, md5.New())
		if _, err := io.Copy(io.Discard, d); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		d.stop()
	})
}

func BenchmarkBody(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		key  []byte
	}{{"4KiB", 4 << 10, nil}, {"16MiB", 16 << 20, nil}, {"16MiB sealed", 16 << 20, make([]byte, keySize)}} {
		b.Run(c.name, func(b *testing.B) {
			data := randomBytes(c.size)
			buf := make([]byte, 1<<20)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				r, err := newBody(c.key, "", false, bytes.NewReader(data))
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = r.Read(buf)
				}
				if _, err := r.finish(); err != nil {
					b.Fatal(err)
				}
				r.stop()
			}
		})
	}
}
