package index

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/pack"
)

const (
	benchPackChunks  = 700 // about 45 MB in chunks of 64 KiB
	benchFrameChunks = 16
)

// benchID is the ID of chunk n; IDs of large n serve as those of unknown chunks.
func benchID(n uint64) chunk.ID {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return blake3.Sum256(b[:])
}

func benchPack(session pack.Session, n uint64) PackRecord {
	d := pack.Directory{}
	for i := range benchPackChunks {
		if i%benchFrameChunks == 0 {
			d.Frames = append(d.Frames, pack.Frame{Codec: pack.Zstd, Stored: 500_000})
		}
		f := &d.Frames[len(d.Frames)-1]
		f.Chunks++
		f.Plain += 65536
		d.Entries = append(d.Entries, pack.Entry{ID: benchID(n*benchPackChunks + uint64(i)), Length: 65536})
	}
	return PackRecord{ID: pack.NewID(session, uint32(n)), Stream: "host", Size: 32 << 20,
		AgeHeader: make([]byte, 200), Directory: d.Append(nil)}
}

// benchLog makes commits of an endless backup without sealing them.
type benchLog struct {
	rng   *rand.Rand
	key   WriterKey
	last  Commit
	packs uint64
}

func newBenchLog() (*benchLog, *Commit) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	l := &benchLog{rng: rand.New(rand.NewPCG(1, 2)), key: WriterKey(key.Public().(ed25519.PublicKey))}
	c := l.next(0)
	c.Header.Step = Begin
	c.Header.Admitted = []Certificate{NewCertificate(l.key, Full, key)}
	return l, c
}

func (l *benchLog) next(packs int) *Commit {
	c := &Commit{Header: Header{Seq: l.last.Header.Seq + 1, Prev: l.last.Hash, Writer: l.key}}
	binary.BigEndian.PutUint64(c.Hash[:], c.Header.Seq)
	for range packs {
		p := benchPack(c.Header.Session, l.packs)
		c.Body.Packs, c.Header.Added = append(c.Body.Packs, p), append(c.Header.Added, p.ID)
		l.packs++
	}
	l.last = *c
	return c
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func benchChunks() int {
	if testing.Short() {
		return 1_000_000
	}
	return 10_000_000
}

// benchDir is removed by TestMain.
var benchDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if benchDir != "" {
		os.RemoveAll(benchDir)
	}
	os.Exit(code)
}

// benchFilled is the index that the benchmarks of lookups share, with its log.
var benchFilled = struct {
	sync.Mutex
	path    string
	x       *Index
	n       int
	metrics map[string]float64
}{}

// fillBench fills an index through Apply and measures that.
func fillBench(b *testing.B) (*Index, int, map[string]float64) {
	b.Helper()
	s := &benchFilled
	s.Lock()
	defer s.Unlock()
	if s.x != nil {
		return s.x, s.n, s.metrics
	}
	dir, err := os.MkdirTemp("", "firn-bench")
	if err != nil {
		b.Fatal(err)
	}
	benchDir = dir
	before := heapInUse()
	x, err := Open(filepath.Join(dir, "index"), Options{Repository: "bench", BootID: "boot"})
	if err != nil {
		b.Fatal(err)
	}
	l, c := newBenchLog()
	var cpu, wall, slowest time.Duration
	for n := 0; ; {
		began, used := time.Now(), cpuTime()
		if err := x.Apply(c); err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime() - used
		d := time.Since(began)
		wall, slowest = wall+d, max(slowest, d)
		if n >= benchChunks() {
			s.n = n
			break
		}
		packs := 1 + l.rng.IntN(8)
		c = l.next(packs)
		n += packs * benchPackChunks
	}
	c = nil
	n := float64(s.n)
	s.path, s.x = x.path, x
	s.metrics = map[string]float64{
		"cpu-ns/chunk":  float64(cpu) / n,
		"wall-ns/chunk": float64(wall) / n,
		"slowest-ms":    float64(slowest.Milliseconds()),
		"file-B/chunk":  float64(x.Size()) / n,
		"heap-B/chunk":  (float64(heapInUse()) - float64(before)) / n,
	}
	return s.x, s.n, s.metrics
}

// BenchmarkApply inserts the packs of a long backup. Its figures are those of one fill.
func BenchmarkApply(b *testing.B) {
	_, n, m := fillBench(b)
	for b.Loop() {
	}
	for unit, v := range m {
		b.ReportMetric(v, unit)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n), "chunks")
}

func BenchmarkLocate(b *testing.B) {
	x, n, _ := fillBench(b)
	for _, batch := range []int{1, 64} {
		for _, known := range []bool{true, false} {
			b.Run(fmt.Sprintf("known=%t/batch=%d", known, batch), func(b *testing.B) {
				benchLocate(b, x, n, batch, known)
			})
		}
	}
}

func benchLocate(b *testing.B, x *Index, n, batch int, known bool) {
	rng := rand.New(rand.NewPCG(3, 4))
	ids := make([]chunk.ID, 1<<16)
	for i := range ids {
		if ids[i] = benchID(uint64(rng.IntN(n))); !known {
			ids[i] = benchID(1<<60 + rng.Uint64N(1<<60))
		}
	}
	out := make([]Location, batch)
	if !known {
		benchFilter(b, x, ids)
	}
	done, used := 0, cpuTime()
	for b.Loop() {
		at := done % (len(ids) - batch + 1)
		if err := x.Locate(ids[at:at+batch], out); err != nil {
			b.Fatal(err)
		}
		if (out[0].Pack != 0) != known {
			b.Fatalf("chunk %s known %t, want %t", ids[at], !known, known)
		}
		done += batch
	}
	b.ReportMetric(float64(b.Elapsed())/float64(done), "ns/chunk")
	b.ReportMetric(float64(cpuTime()-used)/float64(done), "cpu-ns/chunk")
}

// benchFilter asks for unknown chunks until the filter is made.
func benchFilter(b *testing.B, x *Index, unknown []chunk.ID) {
	b.Helper()
	x.forgetFilter()
	before, began, used, asked := heapInUse(), time.Now(), cpuTime(), 0
	out := make([]Location, 64)
	for x.chunks.filter.Load() == nil {
		at := asked % (len(unknown) - 64)
		if err := x.Locate(unknown[at:at+64], out); err != nil {
			b.Fatal(err)
		}
		asked += 64
	}
	b.Logf("filter made after %d misses in %v, CPU %v, heap %d bytes", asked,
		time.Since(began), cpuTime()-used, int64(heapInUse())-int64(before))
}

func BenchmarkOpen(b *testing.B) {
	x, _, _ := fillBench(b)
	opt := Options{Repository: "bench", BootID: "boot"}
	for _, name := range []string{"unclean", "clean"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				stop := x.Close
				if name == "unclean" {
					stop = x.db.Close // as when the process is killed
				}
				err := stop()
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if x, err = Open(x.path, opt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	benchFilled.x = x
}
