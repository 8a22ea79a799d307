package pack

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const benchChunk = 64 << 10

// benchChunks returns 32 MiB of chunks of 64 KiB.
func benchChunks(source func(n int, seed uint64) []byte) []testChunk {
	chunks := []testChunk{}
	for i := range 512 {
		chunks = append(chunks, chunkNo(i, source(benchChunk, uint64(i))))
	}
	return chunks
}

// BenchmarkWriter makes packs of 32 MiB; for comparison, zstd alone on frames of
// the same size.
func BenchmarkWriter(b *testing.B) {
	opt := Options{Recipient: newIdentity(b).Recipient()}
	for name, source := range map[string]func(int, uint64) []byte{"prose": prose, "noise": noise} {
		chunks := benchChunks(source)
		var err error
		if opt.Compressor, err = NewCompressor(Fastest); err != nil {
			b.Fatal(err)
		}
		run := func(dst func() io.Writer) func(b *testing.B) {
			return func(b *testing.B) {
				b.SetBytes(int64(len(chunks)) * benchChunk)
				b.ReportAllocs()
				for b.Loop() {
					sealPack(b, dst(), opt, chunks)
				}
			}
		}
		b.Run(name+"/discard", run(func() io.Writer { return io.Discard }))
		file, err := os.Create(filepath.Join(b.TempDir(), "pack"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/file", run(func() io.Writer {
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				b.Fatal(err)
			}
			return file
		}))
		b.Run(name+"/zstd-alone", func(b *testing.B) {
			var frame, out []byte
			for _, c := range chunks[:16] {
				frame = append(frame, c.data...)
			}
			e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				out = e.EncodeAll(frame, out[:0])
			}
		})
	}
}

// BenchmarkReadFrame reads the frames of a pack of 32 MiB in order, in jumps, and
// four at a time; for comparison, zstd alone on one of them.
func BenchmarkReadFrame(b *testing.B) {
	id := newIdentity(b)
	for name, source := range map[string]func(int, uint64) []byte{"prose": prose, "noise": noise} {
		var out bytes.Buffer
		sealed := sealPack(b, &out, Options{Recipient: id.Recipient()}, benchChunks(source))
		dir, r, dec := parsed(b, sealed), openPack(b, out.Bytes(), id), newDecompressor(b)
		run := func(step, count int) func(b *testing.B) {
			return func(b *testing.B) {
				var bufs [][]byte
				var err error
				b.SetBytes(int64(count) << 20)
				b.ReportAllocs()
				for at := 0; b.Loop(); at = (at + step) % (len(dir.Frames) - count + 1) {
					if bufs, err = r.ReadFrames(bufs, dir.Frames[at:at+count], dec); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		b.Run(name+"/sequential", run(1, 1))
		b.Run(name+"/random", run(13, 1))
		b.Run(name+"/runs-of-4", run(4, 4))
		if f := dir.Frames[0]; f.Codec == Zstd {
			b.Run(name+"/zstd-alone", func(b *testing.B) {
				stored := stockDecrypt(b, out.Bytes(), id)[f.Offset:][:f.Stored]
				var buf []byte
				var err error
				b.SetBytes(int64(f.Plain))
				for b.Loop() {
					if buf, err = dec.decode(buf, stored, f.Plain); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	id := newIdentity(b)
	var out bytes.Buffer
	sealed := sealPack(b, &out, Options{Recipient: id.Recipient()}, benchChunks(prose))
	key, err := OpenKey(sealed.AgeHeader, id)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("identity", func(b *testing.B) {
		for b.Loop() {
			openPack(b, out.Bytes(), id)
		}
	})
	b.Run("key", func(b *testing.B) {
		for b.Loop() {
			if _, err := NewReaderWithKey(bytes.NewReader(out.Bytes()), sealed.Size, int64(len(sealed.AgeHeader)), key); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("directory", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseDirectory(sealed.Directory); err != nil {
				b.Fatal(err)
			}
		}
	})
}
