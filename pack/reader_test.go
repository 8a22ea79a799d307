package pack

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
)

// manyFrames returns a sealed pack with frames of some 50 KB over several age
// pieces, raw and zstd in turn.
func manyFrames(t testing.TB, id *age.X25519Identity) ([]byte, Sealed, []testChunk) {
	t.Helper()
	var chunks []testChunk
	for i := range 20 {
		if i%2 == 0 {
			chunks = append(chunks, chunkNo(i, noise(40_000+i, uint64(i))))
		} else {
			chunks = append(chunks, chunkNo(i, prose(90_000+i, uint64(i))))
		}
	}
	var out bytes.Buffer
	s := sealPack(t, &out, Options{ID: NewID(testSession, 3), Recipient: id.Recipient(), FrameSize: 50_000}, chunks)
	return out.Bytes(), s, chunks
}

func parsed(t testing.TB, s Sealed) *Directory {
	t.Helper()
	dir, err := ParseDirectory(s.Directory)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Invariant 8.
func TestReadsOfSource(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, sealed, _ := manyFrames(t, id)
	dir := parsed(t, sealed)
	dec := newDecompressor(t)
	src := &countingSource{ReaderAt: bytes.NewReader(file)}
	since := func() int64 { return src.reads.Swap(0) }

	r, err := NewReader(src, int64(len(file)), id)
	if err != nil {
		t.Fatal(err)
	}
	if n := since(); n > 2 {
		t.Errorf("NewReader took %d reads, want at most 2", n)
	}
	for i, f := range dir.Frames {
		if _, err := r.ReadFrame(nil, f, dec); err != nil {
			t.Fatal(err)
		}
		if n := since(); n != 1 {
			t.Errorf("ReadFrame of frame %d took %d reads, want 1", i, n)
		}
	}
	if _, err := r.ReadFrames(nil, dir.Frames, dec); err != nil {
		t.Fatal(err)
	}
	if n := since(); n != 1 {
		t.Errorf("ReadFrames took %d reads, want 1", n)
	}
	if _, err := r.Directory(); err != nil {
		t.Fatal(err)
	}
	if n := since(); n != 1 {
		t.Errorf("Directory took %d reads, want 1", n)
	}

	small := readTestdata(t, "example-x25519.pack")
	ids, err := age.ParseIdentities(bytes.NewReader(readTestdata(t, "identities.txt")))
	if err != nil {
		t.Fatal(err)
	}
	src.ReaderAt = bytes.NewReader(small)
	if _, err := NewReader(src, int64(len(small)), ids...); err != nil {
		t.Fatal(err)
	}
	if n := since(); n != 1 {
		t.Errorf("NewReader of a small pack took %d reads, want 1", n)
	}
}

// Invariant 1, when the frames are asked for in one go.
func TestReadFramesReadsRuns(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, sealed, chunks := manyFrames(t, id)
	dir := parsed(t, sealed)
	r := openPack(t, file, id)
	dec := newDecompressor(t)
	dst := [][]byte{make([]byte, 3), make([]byte, 200_000)}
	for from := 0; from < len(dir.Frames); from++ {
		for to := from; to <= len(dir.Frames); to += 3 {
			got, err := r.ReadFrames(dst, dir.Frames[from:to], dec)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != to-from {
				t.Fatalf("frames %d to %d: got %d", from, to, len(got))
			}
			for i, b := range got {
				if !bytes.Equal(b, chunks[from+i].data) { // every chunk is a frame here
					t.Fatalf("frames %d to %d: frame %d differs", from, to, from+i)
				}
			}
		}
	}
	if _, err := r.ReadFrames(nil, []Frame{dir.Frames[0], dir.Frames[2]}, dec); !errors.Is(err, ErrCorrupt) {
		t.Errorf("frames with a gap: %v, want ErrCorrupt", err)
	}
}

func TestReadFrameUsesCallersBuffer(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, sealed, chunks := manyFrames(t, id)
	r := openPack(t, file, id)
	for i, f := range parsed(t, sealed).Frames {
		for _, slack := range []int{0, 1, decodeSlack, 100} {
			buf := bytes.Repeat([]byte{0xa5}, f.Plain+slack)
			got, err := r.ReadFrame(buf, f, newDecompressor(t))
			if err != nil {
				t.Fatal(err)
			}
			if &got[0] != &buf[0] || !bytes.Equal(got, chunks[i].data) {
				t.Errorf("frame %d, slack %d: not the bytes in the buffer given", i, slack)
			}
		}
	}
}

// Run with -race this also covers what goroutines share.
func TestReaderServesManyGoroutines(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, sealed, chunks := manyFrames(t, id)
	dir := parsed(t, sealed)
	r := openPack(t, file, id)
	var wg sync.WaitGroup
	for g := range 8 {
		dec := newDecompressor(t)
		wg.Go(func() {
			var buf []byte
			for n := range 60 {
				i := (n*7 + g*3) % len(dir.Frames)
				var err error
				if buf, err = r.ReadFrame(buf, dir.Frames[i], dec); err != nil || !bytes.Equal(buf, chunks[i].data) {
					t.Errorf("frame %d differs (%v)", i, err)
					return
				}
				if n == 30 {
					if _, err := r.Directory(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// A directory that no longer fits the first guess.
func TestDirectoryOfManyChunks(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	var chunks []testChunk
	for i := range 5000 {
		chunks = append(chunks, chunkNo(i, noise(1+i%50, uint64(i))))
	}
	var out bytes.Buffer
	sealed := sealPack(t, &out, Options{Recipient: id.Recipient(), FrameSize: 1000}, chunks)
	dir, err := openPack(t, out.Bytes(), id).Directory()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(dir.Append(nil), sealed.Directory) {
		t.Error("directory in the pack is not the one returned by Close")
	}
	got, err := unpack(openPack(t, out.Bytes(), id), newDecompressor(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := sameChunks(got, chunks); err != nil {
		t.Error(err)
	}
}

func TestWrongIdentity(t *testing.T) {
	t.Parallel()
	right, wrong := newIdentity(t), newIdentity(t)
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	file, _, _ := manyFrames(t, right)
	for name, ids := range map[string][]age.Identity{"none": nil, "another": {wrong}, "others": {wrong, pq}} {
		r, err := NewReader(bytes.NewReader(file), int64(len(file)), ids...)
		if !errors.Is(err, ErrWrongKey) || errors.Is(err, ErrCorrupt) || r != nil {
			t.Errorf("identities %s: %v, want ErrWrongKey", name, err)
		}
	}
	openPack(t, file, wrong, pq, right)
}

// Invariant 9: the header comes from elsewhere, and the file has its own, another
// one, or none.
func TestHeaderKeptApart(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, sealed, chunks := manyFrames(t, id)
	dir := parsed(t, sealed)
	payload := file[len(sealed.AgeHeader):]
	key, err := OpenKey(sealed.AgeHeader, id)
	if err != nil {
		t.Fatal(err)
	}
	for name, front := range map[string][]byte{
		"own header":     sealed.AgeHeader,
		"no header":      nil,
		"shorter header": []byte("shredded"),
		"longer header":  make([]byte, 3000),
	} {
		whole := append(bytes.Clone(front), payload...)
		size := int64(len(whole))
		if got := size - dir.PayloadSize(); got != int64(len(front)) {
			t.Errorf("%s: payload at %d, want %d", name, got, len(front))
		}
		src := &countingSource{ReaderAt: bytes.NewReader(whole)}
		r, err := NewReaderWithKey(src, size, size-dir.PayloadSize(), key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := src.reads.Load(); n > 2 {
			t.Errorf("%s: opening took %d reads", name, n)
		}
		got, err := unpack(r, newDecompressor(t))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := sameChunks(got, chunks); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, off := range []int64{-1, 1, int64(len(payload)), int64(len(payload)) + 1, math.MinInt64} {
		if _, err := NewReaderWithKey(bytes.NewReader(payload), int64(len(payload)), off, key); !errors.Is(err, ErrCorrupt) {
			t.Errorf("payload at %d: %v, want ErrCorrupt", off, err)
		}
	}
}

// A header of nearly the largest size, and one above it.
func TestLongHeader(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	var out bytes.Buffer
	chunks := []testChunk{chunkNo(1, noise(200_000, 1))}
	sealed := sealPack(t, &out, Options{Recipient: manyStanzas{id.Recipient(), 400}}, chunks)
	if len(sealed.AgeHeader) < 30_000 {
		t.Fatalf("header has only %d bytes", len(sealed.AgeHeader))
	}
	got, err := unpack(openPack(t, out.Bytes(), id), newDecompressor(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := sameChunks(got, chunks); err != nil {
		t.Error(err)
	}
	if w, err := NewWriter(io.Discard, Options{Recipient: manyStanzas{id.Recipient(), 900}}); err == nil {
		t.Errorf("a header above %d bytes gave %v", maxAgeHeader, w)
	}
}

// manyStanzas is a recipient whose header is long.
type manyStanzas struct {
	age.Recipient
	n int
}

func (m manyStanzas) Wrap(key []byte) ([]*age.Stanza, error) {
	s, err := m.Recipient.Wrap(key)
	for len(s) < m.n {
		s = append(s, s[0])
	}
	return s, err
}

func TestKeyOfAnotherPack(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, sealed, _ := manyFrames(t, id)
	_, other, _ := manyFrames(t, id)
	key, err := OpenKey(other.AgeHeader, id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewReaderWithKey(bytes.NewReader(file), int64(len(file)), int64(len(sealed.AgeHeader)), key)
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
	for _, bad := range [][]byte{nil, sealed.AgeHeader[:50], append(bytes.Clone(sealed.AgeHeader), 'x')} {
		if _, err := OpenKey(bad, id); !errors.Is(err, ErrCorrupt) {
			t.Errorf("header %q: %v, want ErrCorrupt", bad, err)
		}
	}
}

func TestPrintingHidesKey(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, sealed, _ := manyFrames(t, id)
	key, err := OpenKey(sealed.AgeHeader, id)
	if err != nil {
		t.Fatal(err)
	}
	r := openPack(t, file, id)
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%s"} {
		secret := strings.Trim(fmt.Sprintf(verb, *key.key), "[]")
		if verb == "%x" {
			secret = hex.EncodeToString(*key.key)
		}
		for _, v := range []any{key, &key, r} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, secret) {
				t.Errorf("%s of %T shows the key: %s", verb, v, text)
			}
		}
	}
}

// Errors of the source are passed on and are not taken for damage.
func TestSourceErrorsAreNotCorruption(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, sealed, _ := manyFrames(t, id)
	src := &countingSource{ReaderAt: bytes.NewReader(file)}
	r, err := NewReader(src, int64(len(file)), id)
	if err != nil {
		t.Fatal(err)
	}
	src.broken = errors.New("line is down")
	_, open := NewReader(src, int64(len(file)), id)
	_, dir := r.Directory()
	_, frame := r.ReadFrame(nil, parsed(t, sealed).Frames[5], newDecompressor(t))
	for what, err := range map[string]error{"NewReader": open, "Directory": dir, "ReadFrame": frame} {
		if !errors.Is(err, src.broken) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want the error of the source", what, err)
		}
	}
	src.broken = nil
	if _, err := r.ReadFrame(nil, parsed(t, sealed).Frames[5], newDecompressor(t)); err != nil {
		t.Errorf("Reader does not recover: %v", err)
	}
}

// Invariant 6: frames that no pack of this size has.
func TestReadFrameRefusesFrames(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, sealed, _ := manyFrames(t, id)
	good := parsed(t, sealed).Frames // frame 0 is raw, frame 1 zstd
	end := good[len(good)-1].Offset + int64(good[len(good)-1].Stored)
	dec := newDecompressor(t)
	tests := []struct {
		name   string
		frame  Frame
		change func(*Frame)
	}{
		{"before the first", good[0], func(f *Frame) { f.Offset = 31 }},
		{"negative offset", good[0], func(f *Frame) { f.Offset = math.MinInt64 }},
		{"behind the end", good[0], func(f *Frame) { f.Offset = math.MaxInt64 }},
		{"into the directory", good[0], func(f *Frame) { f.Offset = end + 10_000 }},
		{"nothing stored", good[1], func(f *Frame) { f.Stored = 0 }},
		{"negative stored", good[1], func(f *Frame) { f.Stored = -5 }},
		{"stored above the pack", good[1], func(f *Frame) { f.Stored = math.MaxInt }},
		{"nothing plain", good[1], func(f *Frame) { f.Plain = 0 }},
		{"negative plain", good[1], func(f *Frame) { f.Plain = -1 }},
		{"plain above the limit", good[1], func(f *Frame) { f.Plain = maxFrame + 1 }},
		{"raw of other size", good[0], func(f *Frame) { f.Plain-- }},
		{"unknown codec", good[0], func(f *Frame) { f.Codec = 2 }},
		{"zstd taken for raw", good[1], func(f *Frame) { f.Codec, f.Stored = Raw, f.Plain+1 }},
		{"raw taken for zstd", good[0], func(f *Frame) { f.Codec = Zstd }},
		{"plain too small", good[1], func(f *Frame) { f.Plain-- }},
		{"plain too large", good[1], func(f *Frame) { f.Plain++ }},
		{"stored too small", good[1], func(f *Frame) { f.Stored-- }},
		{"stored too large", good[1], func(f *Frame) { f.Stored++ }},
		{"shifted", good[1], func(f *Frame) { f.Offset++ }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := openPack(t, file, id)
			f := tt.frame
			tt.change(&f)
			if b, err := r.ReadFrame(nil, f, dec); !errors.Is(err, ErrCorrupt) || b != nil {
				t.Errorf("%+v gave %d bytes, %v, want ErrCorrupt", f, len(b), err)
			}
		})
	}
}

// Invariant 6: a small frame that decodes to gigabytes. Not parallel: it looks at
// what the whole process allocates.
func TestDecompressorIsBounded(t *testing.T) {
	bomb := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x70} // no size, window of 16 MiB
	for i := range 20_000 {
		word := uint32(128<<10)<<3 | 1<<1 // a run of 128 KiB
		if i == 19_999 {
			word |= 1
		}
		bomb = append(binary.LittleEndian.AppendUint32(bomb, word)[:len(bomb)+3], 'x')
	}
	dec := newDecompressor(t)
	for _, plain := range []int{1, 100, 128<<10 - 1, 1 << 20} {
		var err error
		n := allocated(func() { _, err = dec.decode(nil, bomb, plain) })
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes: %v, want ErrCorrupt", plain, err)
		}
		if n > 2*uint64(plain)+1<<20 {
			t.Errorf("%d bytes: allocated %d", plain, n)
		}
	}
}

func TestPayloadSizes(t *testing.T) {
	t.Parallel()
	for _, plain := range []int64{1, pieceSize - 1, pieceSize, pieceSize + 1, 2 * pieceSize, 2*pieceSize + 1, maxSealed} {
		if got, err := plainSize(payloadSize(plain)); err != nil || got != plain {
			t.Errorf("plaintext of %d bytes became %d, %v", plain, got, err)
		}
	}
	for _, payload := range []int64{-1, 0, 16, 31, 32, 16 + sealedPiece + 1, 16 + sealedPiece + 16} {
		if got, err := plainSize(payload); !errors.Is(err, ErrCorrupt) {
			t.Errorf("payload of %d bytes gave %d, %v", payload, got, err)
		}
	}
}
