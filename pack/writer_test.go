package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"filippo.io/age"
	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/chunk"
)

// Invariants 1, 2 and 7, over sizes that make frames of every sort.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	dec := newDecompressor(t)
	for _, kind := range []Kind{Data, Meta} {
		for level := Fastest; level <= Best; level++ {
			t.Run(fmt.Sprintf("%v/%v", kind, level), func(t *testing.T) {
				c, err := NewCompressor(level)
				if err != nil {
					t.Fatal(err)
				}
				r := rand.New(random(uint64(level)))
				var chunks []testChunk
				for i := range 60 {
					n := 1 + r.IntN(1<<uint(r.IntN(18)))
					if i%2 == 0 {
						chunks = append(chunks, chunkNo(i, prose(n, uint64(i))))
					} else {
						chunks = append(chunks, chunkNo(i, noise(n, uint64(i))))
					}
				}
				opt := Options{ID: NewID(testSession, 7), Kind: kind, Recipient: id.Recipient(), Compressor: c, FrameSize: 100_000}
				var out bytes.Buffer
				sealed := sealPack(t, &out, opt, chunks)
				checkSealed(t, sealed, out.Bytes(), opt, chunks)

				pack := openPack(t, out.Bytes(), id)
				if pack.ID() != opt.ID || pack.Kind() != kind {
					t.Errorf("pack is %v, %v", pack.ID(), pack.Kind())
				}
				got, err := unpack(pack, dec)
				if err != nil {
					t.Fatal(err)
				}
				if err := sameChunks(got, chunks); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// checkSealed compares what a Writer says of a pack with its bytes.
func checkSealed(t *testing.T, s Sealed, file []byte, opt Options, chunks []testChunk) {
	t.Helper()
	if s.ID != opt.ID || s.Kind != opt.Kind {
		t.Errorf("sealed %v, %v", s.ID, s.Kind)
	}
	if s.Size != int64(len(file)) || s.Digest != blake3.Sum256(file) {
		t.Errorf("size %d and digest %x are not those of the file", s.Size, s.Digest)
	}
	header, err := age.ExtractHeader(bytes.NewReader(file))
	if err != nil || !bytes.Equal(s.AgeHeader, header) {
		t.Errorf("age header is %q, want %q (%v)", s.AgeHeader, header, err)
	}
	dir, err := ParseDirectory(s.Directory)
	if err != nil {
		t.Fatal(err)
	}
	if got := int64(len(file)) - dir.PayloadSize(); got != int64(len(header)) {
		t.Errorf("payload begins at %d, want %d", got, len(header))
	}
	var plain, stored, sum int64
	for _, f := range dir.Frames {
		plain, stored = plain+int64(f.Plain), stored+int64(f.Stored)
	}
	for _, c := range chunks {
		sum += int64(len(c.data))
	}
	if s.Plain != sum || plain != sum || s.Stored != stored {
		t.Errorf("plain %d, stored %d, want %d, %d", s.Plain, s.Stored, sum, stored)
	}
}

// frames returns sizes and codecs of the frames of a pack, and their chunks.
func frames(t *testing.T, s Sealed) (sizes, chunks []int, codecs []Codec) {
	t.Helper()
	dir, err := ParseDirectory(s.Directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range dir.Frames {
		sizes, chunks, codecs = append(sizes, f.Plain), append(chunks, f.Chunks), append(codecs, f.Codec)
	}
	return sizes, chunks, codecs
}

func TestChunksShareFramesUpToFrameSize(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	tests := []struct {
		name   string
		size   int   // of a frame
		chunks []int // sizes, in
		frames []int // sizes, out
	}{
		{"fits exactly", 100, []int{40, 40, 20, 1}, []int{100, 1}},
		{"one byte over", 100, []int{40, 40, 21}, []int{80, 21}},
		{"half is alone", 100, []int{10, 50, 10, 49, 49}, []int{10, 50, 59, 49}},
		{"odd half is alone", 101, []int{50, 50, 51}, []int{100, 51}},
		{"above frame size", 100, []int{1, 5000, 1}, []int{1, 5000, 1}},
		{"frame size 1", 1, []int{1, 2, 1}, []int{1, 2, 1}},
		{"default size", 0, []int{1<<19 - 1, 1<<19 - 1, 3, 1 << 19}, []int{1<<20 - 2, 3, 1 << 19}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var chunks []testChunk
			for i, n := range tt.chunks {
				chunks = append(chunks, chunkNo(i, noise(n, uint64(i))))
			}
			s := sealPack(t, io.Discard, Options{Recipient: id.Recipient(), FrameSize: tt.size}, chunks)
			if sizes, _, _ := frames(t, s); !slices.Equal(sizes, tt.frames) {
				t.Errorf("chunks of %v became frames of %v, want %v", tt.chunks, sizes, tt.frames)
			}
		})
	}
}

func TestFlushEndsFrame(t *testing.T) {
	t.Parallel()
	w, err := NewWriter(io.Discard, Options{Recipient: newIdentity(t).Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := errors.Join(w.Flush(), w.Add(chunk.ID{}, []byte("ice"))); err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			err = errors.Join(w.Flush(), w.Flush())
		}
	}
	s, closeErr := w.Close()
	if err := errors.Join(err, closeErr); err != nil {
		t.Fatal(err)
	}
	if _, chunks, _ := frames(t, s); !slices.Equal(chunks, []int{1, 1, 1, 1, 1}) {
		t.Errorf("frames have %v chunks, want one each", chunks)
	}
}

// Frames that zstd does not shrink below 98 % are raw, at every level.
func TestFramesAreRawUnlessTheyShrink(t *testing.T) {
	t.Parallel()
	recipient := newIdentity(t).Recipient()
	blocks := func(random int) []byte { // so many random blocks of zstd, and one that vanishes
		return append(noise(random<<17, 1), bytes.Repeat([]byte("x"), 1<<17)...)
	}
	tests := []struct {
		name string
		data []byte
		want Codec
	}{
		{"noise", noise(100_000, 2), Raw},
		{"saves 1.6 %", blocks(60), Raw},
		{"saves 2.4 %", blocks(40), Zstd},
		{"text", prose(100_000, 3), Zstd},
		{"one byte", []byte("x"), Raw},
	}
	for level := Fastest; level <= Best; level++ {
		c, err := NewCompressor(level)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range tests {
			s := sealPack(t, io.Discard, Options{Recipient: recipient, Compressor: c}, []testChunk{chunkNo(0, tt.data)})
			if _, _, codecs := frames(t, s); codecs[0] != tt.want {
				t.Errorf("%v: %s was stored %v, want %v", level, tt.name, codecs[0], tt.want)
			}
		}
	}
}

// One Compressor may serve several open packs.
func TestCompressorServesInterleavedPacks(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	c, err := NewCompressor(Fastest)
	if err != nil {
		t.Fatal(err)
	}
	text := prose(1<<20, 1)
	var outs [3]bytes.Buffer
	var writers [3]*Writer
	var chunks [3][]testChunk
	for round := range 2 {
		for i := range writers {
			outs[i].Reset()
			chunks[i] = nil
			if writers[i], err = NewWriter(&outs[i], Options{Recipient: id.Recipient(), Compressor: c}); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 30 {
			for i, w := range writers {
				from := 10_000 * (3*n + i + round)
				p := chunkNo(n, text[from:from+100_000+n])
				chunks[i] = append(chunks[i], p)
				if err := w.Add(p.id, p.data); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, w := range writers {
			if _, err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := unpack(openPack(t, outs[i].Bytes(), id), newDecompressor(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := sameChunks(got, chunks[i]); err != nil {
				t.Errorf("round %d, pack %d: %v", round, i, err)
			}
		}
	}
	if len(c.free) != len(writers) {
		t.Errorf("compressor has %d buffers for %d packs", len(c.free), len(writers))
	}
}

func TestSizeAndChunksCount(t *testing.T) {
	t.Parallel()
	w, err := NewWriter(io.Discard, Options{Recipient: newIdentity(t).Recipient(), FrameSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{62, 92, 122, 152} { // raw, so pending and written count the same
		if err := w.Add(chunk.ID{}, noise(30, uint64(i))); err != nil {
			t.Fatal(err)
		}
		if w.Size() != want || w.Chunks() != i+1 {
			t.Errorf("after chunk %d: size %d, %d chunks, want size %d", i, w.Size(), w.Chunks(), want)
		}
	}
}

// A failingWriter fails after n bytes.
type failingWriter struct{ n int }

var errDisk = errors.New("disk on fire")

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

// Invariant 10, for a failure at any place.
func TestWriterStaysFailed(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	opt := Options{Recipient: id.Recipient(), FrameSize: 50_000}
	chunks := []testChunk{chunkNo(0, noise(150_000, 1)), chunkNo(1, noise(10, 2)), chunkNo(2, noise(150_000, 3))}
	size := int(sealPack(t, io.Discard, opt, chunks).Size)
	for n := 0; n < size; n += 7000 {
		w, err := NewWriter(&failingWriter{n}, opt)
		if err != nil {
			if n > 300 || !errors.Is(err, errDisk) {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			continue
		}
		var first error
		for _, c := range chunks {
			if err := w.Add(c.id, c.data); first == nil {
				first = err
			} else if err != first {
				t.Fatalf("after %d bytes: error changed from %v to %v", n, first, err)
			}
		}
		for range 2 {
			if _, err = w.Close(); !errors.Is(err, errDisk) || first != nil && err != first {
				t.Fatalf("after %d bytes: Close returned %v after %v", n, err, first)
			}
		}
	}
}

// Invariant 10, for what the caller does wrong.
func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	recipient := newIdentity(t).Recipient()
	tests := []struct {
		name string
		use  func(*Writer) error
	}{
		{"empty chunk", func(w *Writer) error { return w.Add(chunk.ID{}, nil) }},
		{"chunk above the limit", func(w *Writer) error { return w.Add(chunk.ID{}, make([]byte, maxChunk+1)) }},
		{"pack without chunks", func(w *Writer) error { _, err := w.Close(); return err }},
		{"pack above its limit", func(w *Writer) error {
			w.layout.limit = 1000
			return errors.Join(w.Add(chunk.ID{}, noise(950, 1)), w.Flush())
		}},
		{"too many chunks", func(w *Writer) error {
			w.layout.dir.Entries = make([]Entry, maxEntries)
			return w.Add(chunk.ID{}, []byte("x"))
		}},
		{"too many frames", func(w *Writer) error {
			w.layout.dir.Frames = make([]Frame, maxFrames)
			return errors.Join(w.Add(chunk.ID{}, []byte("x")), w.Flush())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, err := NewWriter(io.Discard, Options{Recipient: recipient})
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.use(w); err == nil {
				t.Fatal("accepted")
			}
			if err := w.Add(chunk.ID{}, []byte("fine")); err == nil {
				t.Error("Add works after the failure")
			}
			if s, err := w.Close(); err == nil || s.Size != 0 {
				t.Errorf("Close returned %+v, %v after the failure", s, err)
			}
		})
	}
}

func TestClosedWriterIsClosed(t *testing.T) {
	t.Parallel()
	w, err := NewWriter(io.Discard, Options{Recipient: newIdentity(t).Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(chunk.ID{}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(chunk.ID{}, []byte("x")); !errors.Is(err, errClosed) {
		t.Errorf("Add returned %v", err)
	}
	if err := w.Flush(); !errors.Is(err, errClosed) {
		t.Errorf("Flush returned %v", err)
	}
	if _, err := w.Close(); !errors.Is(err, errClosed) {
		t.Errorf("Close returned %v", err)
	}
}

func TestNewWriterChecksOptions(t *testing.T) {
	t.Parallel()
	recipient := newIdentity(t).Recipient()
	for name, opt := range map[string]Options{
		"no recipient":         {},
		"unknown kind":         {Recipient: recipient, Kind: 2},
		"negative frame size":  {Recipient: recipient, FrameSize: -1},
		"frame size too large": {Recipient: recipient, FrameSize: maxFrame + 1},
	} {
		var out bytes.Buffer
		if w, err := NewWriter(&out, opt); err == nil || w != nil || out.Len() > 0 {
			t.Errorf("%s: got %v, %v and %d bytes", name, w, err, out.Len())
		}
	}
	for _, level := range []Level{-1, Best + 1} {
		if c, err := NewCompressor(level); err == nil {
			t.Errorf("%v gave %v", level, c)
		}
	}
}

// The path of a chunk into the open frame does not allocate.
func TestAddDoesNotAllocatePerChunk(t *testing.T) {
	c, err := NewCompressor(Fastest)
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Recipient: newIdentity(t).Recipient(), Compressor: c}
	data := prose(4096, 1)
	warm := make([]testChunk, 600)
	for i := range warm {
		warm[i] = chunkNo(i, data)
	}
	sealPack(t, io.Discard, opt, warm)
	w, err := NewWriter(io.Discard, opt)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(5000, func() {
		if err := w.Add(chunk.ID{}, data); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("Add allocates %v times", n)
	}
}

func TestIDNames(t *testing.T) {
	t.Parallel()
	id := NewID(testSession, 0x01020304)
	const text = "9c41d05e7a1b22c384f609ed01020304"
	if id.String() != text || id.Session() != testSession || testSession.String() != text[:24] {
		t.Errorf("ID is %v of session %v", id, id.Session())
	}
	if want := "packs/9c/" + text; id.Name() != want {
		t.Errorf("name is %q, want %q", id.Name(), want)
	}
	if got, err := ParseID(text); err != nil || got != id {
		t.Errorf("ParseID(%q) = %v, %v", text, got, err)
	}
	for _, bad := range []string{"", text[:31], text + "0", "9C41d05e7a1b22c384f609ed01020304", "zc41d05e7a1b22c384f609ed01020304"} {
		if got, err := ParseID(bad); err == nil || got != (ID{}) {
			t.Errorf("ParseID(%q) = %v, %v", bad, got, err)
		}
	}
}
