package s3

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, keySize) }

// sealPart returns the sealed form of a part.
func sealPart(t *testing.T, key, plain []byte) []byte {
	t.Helper()
	s, err := newSealer(key, iotest.HalfReader(bytes.NewReader(plain)))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := io.ReadAll(s)
	if err != nil || s.size() != int64(len(plain)) || len(sealed) != nonceSize+len(plain) {
		t.Fatalf("sealed %d bytes to %d: %v", s.size(), len(sealed), err)
	}
	return sealed
}

func TestSealedPartReadsAtAnyOffset(t *testing.T) {
	plain := randomBytes(1000)
	sealed := sealPart(t, testKey(1), plain)
	if bytes.Contains(sealed, plain[:16]) {
		t.Fatal("the plain bytes are in the sealed part")
	}
	for _, off := range []int64{0, 1, 15, 16, 17, 31, 32, 500, 999} {
		stream, err := sealStream(testKey(1), sealed[:nonceSize], off)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, int64(len(plain))-off)
		stream.XORKeyStream(got, sealed[nonceSize+off:])
		if !bytes.Equal(got, plain[off:]) {
			t.Errorf("offset %d: not the plain bytes", off)
		}
	}
	if again := sealPart(t, testKey(1), plain); bytes.Equal(again[:nonceSize], sealed[:nonceSize]) || bytes.Equal(again[nonceSize:], sealed[nonceSize:]) {
		t.Error("the same part sealed twice is the same")
	}
}

func TestSealedFormStaysReadable(t *testing.T) {
	// Written once: what was stored has to be read for ever.
	nonce := []byte("0123456789abcdef")
	stream, err := sealStream(testKey(7), nonce, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 24)
	stream.XORKeyStream(got, []byte("what was sealed long ago"))
	want := []byte{0xda, 0x3c, 0x7d, 0x9b, 0x6b, 0x36, 0x4f, 0x29, 0x41, 0x6b, 0x45, 0xf7, 0xc5, 0x33, 0x04, 0x48, 0x89, 0x44, 0x56, 0xa2, 0x73, 0xbc, 0xa0, 0xa4} // made with openssl
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestOpeningWriterLeavesItsInput(t *testing.T) {
	stream, err := sealStream(testKey(1), make([]byte, nonceSize), 0)
	if err != nil {
		t.Fatal(err)
	}
	in := randomBytes(100_000)
	before := bytes.Clone(in)
	var out bytes.Buffer
	w := &openingWriter{w: &out, stream: stream, buf: make([]byte, openStep)}
	if n, err := w.Write(in); n != len(in) || err != nil {
		t.Fatal(n, err)
	}
	if !bytes.Equal(in, before) || bytes.Equal(out.Bytes(), in) {
		t.Error("the input was changed, or not decrypted")
	}
}
