package pack

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"

	"github.com/firnstore/firn/chunk"
)

// testSession is the session of the packs in testdata.
var testSession = Session{0x9c, 0x41, 0xd0, 0x5e, 0x7a, 0x1b, 0x22, 0xc3, 0x84, 0xf6, 0x09, 0xed}

// A testChunk is a chunk as the tests know it.
type testChunk struct {
	id   chunk.ID
	data []byte
}

func random(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	return rand.NewChaCha8(key)
}

// noise returns n bytes that do not compress.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = random(seed).Read(b)
	return b
}

// prose returns n bytes that compress about as well as text.
func prose(n int, seed uint64) []byte {
	words := strings.Fields("snow lies and packs and turns to ice over years below the line where it melts")
	r := rand.New(random(seed))
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(byte(' ' + r.IntN(3)))
	}
	return b.Bytes()[:n]
}

// chunkNo numbers a chunk; the package does not care what an ID is.
func chunkNo(i int, data []byte) testChunk {
	return testChunk{chunk.ID{byte(i >> 8), byte(i), 0xfe}, data}
}

func newIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// sealPack writes a pack of the chunks to dst.
func sealPack(t testing.TB, dst io.Writer, opt Options, chunks []testChunk) Sealed {
	t.Helper()
	w, err := NewWriter(dst, opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if err := w.Add(c.id, c.data); err != nil {
			t.Fatal(err)
		}
	}
	sealed, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func openPack(t testing.TB, sealed []byte, ids ...age.Identity) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(sealed), int64(len(sealed)), ids...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newDecompressor(t testing.TB) *Decompressor {
	t.Helper()
	dec, err := NewDecompressor()
	if err != nil {
		t.Fatal(err)
	}
	return dec
}

// unpack reads all chunks of a pack, through its own directory.
func unpack(r *Reader, dec *Decompressor) ([]testChunk, error) {
	dir, err := r.Directory()
	if err != nil {
		return nil, err
	}
	var chunks []testChunk
	for _, f := range dir.Frames {
		plain, err := r.ReadFrame(nil, f, dec)
		if err != nil {
			return nil, err
		}
		for _, e := range dir.Entries[f.First : f.First+f.Chunks] {
			chunks = append(chunks, testChunk{e.ID, plain[e.Offset : e.Offset+e.Length]})
		}
	}
	return chunks, nil
}

// sameChunks says how got differs from want, or nothing.
func sameChunks(got, want []testChunk) error {
	if len(got) != len(want) {
		return errors.New("number of chunks differs")
	}
	for i := range got {
		if got[i].id != want[i].id || !bytes.Equal(got[i].data, want[i].data) {
			return errors.New("chunk " + want[i].id.String() + " differs")
		}
	}
	return nil
}

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stockDecrypt opens an age file with the age library as anyone would.
func stockDecrypt(t testing.TB, sealed []byte, id age.Identity) []byte {
	t.Helper()
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// A countingSource counts the reads that reach it and fails them once broken is
// set.
type countingSource struct {
	io.ReaderAt
	reads  atomic.Int64
	broken error
}

func (s *countingSource) ReadAt(p []byte, off int64) (int, error) {
	s.reads.Add(1)
	if s.broken != nil {
		return 0, s.broken
	}
	return s.ReaderAt.ReadAt(p, off)
}
