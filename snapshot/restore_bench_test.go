//go:build unix

package snapshot

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/firnstore/firn/tier"
)

// prose returns bytes that compress about as well as source text.
func prose(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := make([]string, 4000)
	w := rand.New(rand.NewPCG(1, 1))
	for i := range words {
		b := make([]byte, 2+w.IntN(9))
		for k := range b {
			b[k] = byte('a' + w.IntN(26))
		}
		words[i] = string(b) + " "
	}
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(b, words[int(r.ExpFloat64()*500)%len(words)]...)
		if r.IntN(12) == 0 {
			b = append(b, '\n')
		}
	}
	return b[:n]
}

// benchmarkRestore restores src from a directory store and reports megabytes and files
// per second of processor time, the kernel's share included.
func benchmarkRestore(b *testing.B, src string) {
	store, err := tier.CreateDir(filepath.Join(b.TempDir(), "repo"), tier.DirOptions{NoSync: true})
	must(b, err)
	r := restoreRepo(b, store)
	s := saved(b, r, src)
	var used float64
	var bytes, files int64
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		target := filepath.Join(b.TempDir(), "target")
		b.StartTimer()
		before := cpuSeconds(b)
		res := restoring(b, r, s, RestoreOptions{Target: target})
		used += cpuSeconds(b) - before
		bytes, files = bytes+res.Bytes, files+res.Files
		b.StopTimer()
		must(b, os.RemoveAll(target))
		b.StartTimer()
	}
	b.ReportMetric(float64(bytes)/1e6/used, "MB/cpu-s")
	b.ReportMetric(float64(files)/used, "files/cpu-s")
}

func cpuSeconds(b *testing.B) float64 {
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func BenchmarkRestoreSmallFiles(b *testing.B) {
	src := filepath.Join(b.TempDir(), "src")
	for i := range 20_000 {
		put(b, fmt.Sprintf("%s/%03d/%05d", src, i/40, i), prose(uint64(i), 200+i*7919%12_000))
	}
	benchmarkRestore(b, src)
}

func BenchmarkRestoreLargeFile(b *testing.B) {
	src := filepath.Join(b.TempDir(), "src")
	must(b, os.MkdirAll(src, 0o755))
	f, err := os.Create(src + "/large")
	must(b, err)
	for i := range 64 {
		_, err := f.Write(prose(uint64(i), 16<<20))
		must(b, err)
	}
	must(b, f.Close())
	benchmarkRestore(b, src)
}

func BenchmarkRestoreUnchanged(b *testing.B) {
	src := filepath.Join(b.TempDir(), "src")
	for i := range 20_000 {
		put(b, fmt.Sprintf("%s/%03d/%05d", src, i/40, i), prose(uint64(i), 100))
	}
	r := restoreRepo(b, tier.NewMemory())
	s := saved(b, r, src)
	before := cpuSeconds(b)
	b.ResetTimer()
	for range b.N {
		if res := restoring(b, r, s, RestoreOptions{Target: "/"}); res.Unchanged != 20_000 {
			b.Fatalf("%+v", res)
		}
	}
	b.ReportMetric(float64(20_000*b.N)/(cpuSeconds(b)-before), "files/cpu-s")
}
