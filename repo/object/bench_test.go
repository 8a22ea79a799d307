package object

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

func benchWorld(b *testing.B) *world {
	dir := b.TempDir()
	store, err := tier.CreateDir(dir+"/repo", tier.DirOptions{})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorldOn(b, store)
	w.opt.Now = nil
	w.bucket("b", Unversioned)
	return w
}

// BenchmarkPutSmall puts objects of 4 KiB from 16 clients into a directory.
func BenchmarkPutSmall(b *testing.B) {
	w := benchWorld(b)
	var n atomic.Int64
	b.SetParallelism(8)
	b.SetBytes(4096)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := n.Add(1)
			_, err := w.Put(b.Context(), &PutRequest{Bucket: "b", Key: fmt.Sprint("key/", i)}, bytes.NewReader(randomBytes(uint64(i), 4096)), nil)
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkGetSmall gets random objects of 4 KiB.
func BenchmarkGetSmall(b *testing.B) {
	w := benchWorld(b)
	const objects = 5000
	var reqs []func()
	for i := range objects {
		reqs = append(reqs, func() { w.put("b", fmt.Sprint(i), string(randomBytes(uint64(i), 4096))) })
	}
	var next atomic.Int64
	done := make(chan struct{})
	for range 16 {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= objects {
					done <- struct{}{}
					return
				}
				reqs[i]()
			}
		}()
	}
	for range 16 {
		<-done
	}
	b.SetBytes(4096)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		i := 0
		for p.Next() {
			i = (i*7919 + 13) % objects
			v, _, err := w.Version("b", fmt.Sprint(i), Ref{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := w.Copy(b.Context(), io.Discard, repo.Content(v.Content), 0, 4096); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPutLarge puts objects of 64 MiB of random data, which is the bound of the
// pipeline without compression.
func BenchmarkPutLarge(b *testing.B) {
	w := benchWorld(b)
	data := randomBytes(1, 64<<20)
	b.SetBytes(64 << 20)
	b.ResetTimer()
	for i := range b.N {
		data[i%len(data)]++
		copy(data[1<<20:], fmt.Sprint(i))
		for j := 0; j < len(data); j += 64 << 10 {
			data[j] += byte(i + 1) // every chunk is new
		}
		if _, err := w.Put(b.Context(), &PutRequest{Bucket: "b", Key: "k"}, bytes.NewReader(data), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGetLarge gets an object of 256 MiB.
func BenchmarkGetLarge(b *testing.B) {
	w := benchWorld(b)
	v, err := w.Put(b.Context(), &PutRequest{Bucket: "b", Key: "k"}, bytes.NewReader(randomBytes(1, 256<<20)), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(256 << 20)
	b.ResetTimer()
	for b.Loop() {
		if _, err := w.Copy(b.Context(), io.Discard, repo.Content(v.Content), 0, 256<<20); err != nil {
			b.Fatal(err)
		}
	}
}
