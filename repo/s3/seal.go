package s3

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
)

// A sealed content is encrypted with a key of a client (SSE-C) or of a bucket (SSE-KMS)
// before the repository sees it. Each part of it is a nonce of 16 random bytes and, of the
// same length as the plain part, AES-256 in counter mode from block 0 on, with a key that
// HKDF-SHA256 derives from the key given, the nonce as salt and sealInfo. Version.Parts
// has the plain sizes of the parts. That the ciphertext is what was written is known by the
// IDs of its chunks.
const (
	nonceSize = 16
	sealInfo  = "firn s3 sealed part"
	keySize   = 32
	openStep  = 64 << 10 // decrypted at a time
)

// sealStream returns the key stream of a part, at an offset in the plain part.
func sealStream(key, nonce []byte, off int64) (cipher.Stream, error) {
	derived, err := hkdf.Key(sha256.New, key, nonce, sealInfo, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive key of a sealed part: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("derive key of a sealed part: %w", err)
	}
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[8:], uint64(off/aes.BlockSize))
	stream := cipher.NewCTR(block, iv[:])
	var skip [aes.BlockSize]byte
	stream.XORKeyStream(skip[:off%aes.BlockSize], skip[:off%aes.BlockSize])
	return stream, nil
}

// sealer is a reader of the sealed form of a part.
type sealer struct {
	src    io.Reader
	stream cipher.Stream
	nonce  []byte // what is still to be read of it
	plain  int64  // bytes read of src
}

// newSealer returns a reader of the sealed form of src, a part, with a nonce of its own.
func newSealer(key []byte, src io.Reader) (*sealer, error) {
	s := &sealer{src: src, nonce: make([]byte, nonceSize)}
	_, _ = rand.Read(s.nonce) // it never fails
	var err error
	s.stream, err = sealStream(key, s.nonce, 0)
	return s, err
}

// size of the plain part, as far as it was read.
func (s *sealer) size() int64 { return s.plain }

// Len is how much is left to read, -1 when that is not known.
func (s *sealer) Len() int64 {
	if n := remaining(s.src); n >= 0 {
		return n + int64(len(s.nonce))
	}
	return -1
}

// Read implements io.Reader.
func (s *sealer) Read(p []byte) (int, error) {
	if len(s.nonce) > 0 {
		n := copy(p, s.nonce)
		s.nonce = s.nonce[n:]
		return n, nil
	}
	n, err := s.src.Read(p)
	s.stream.XORKeyStream(p[:n], p[:n])
	s.plain += int64(n)
	return n, err
}

// sealed reports whether the content of a version is sealed.
func sealed(v *index.Version) bool {
	return v.System[metaSSEC] != "" || isKMS(v.System[metaSSE])
}

// objectSize is the size of a version as clients see it.
func objectSize(v *index.Version) int64 {
	if sealed(v) {
		return sumParts(v.Parts)
	}
	c, err := contentOf(v)
	if err != nil {
		return 0
	}
	return c.Size()
}

func sumParts(parts []uint64) (n int64) {
	for _, p := range parts {
		n += int64(p)
	}
	return n
}

// contentOf returns the content of a version as it is stored.
func contentOf(v *index.Version) (repo.Content, error) {
	if len(v.Content) == 0 {
		return repo.Content{}, nil
	}
	return repo.ParseContent(v.Content)
}

// opened is the content of a version as clients see it.
type opened struct {
	e     *object.Engine
	c     repo.Content
	size  int64
	key   []byte   // nil when it is not sealed
	parts []uint64 // of what is sealed
}

// openSealed opens the content of a version; key is nil for one that is not sealed.
func openSealed(e *object.Engine, v *index.Version, key []byte) (*opened, error) {
	c, err := contentOf(v)
	if err != nil {
		return nil, err
	}
	o := &opened{e: e, c: c, size: c.Size(), key: key}
	if key == nil {
		if sealed(v) {
			return nil, errors.New("sealed content without its key")
		}
		return o, nil
	}
	o.parts, o.size = v.Parts, sumParts(v.Parts)
	if o.size < 0 || o.size+nonceSize*int64(len(v.Parts)) != c.Size() {
		return nil, fmt.Errorf("sealed content: %w: sizes of its parts do not add up", repo.ErrDamaged)
	}
	return o, nil
}

// copy writes n bytes from offset off on to w. It reads no more than these, and the nonces
// of the parts they are in.
func (o *opened) copy(ctx context.Context, w io.Writer, off, n int64) (done int64, err error) {
	if o.key == nil {
		return o.e.Copy(ctx, w, o.c, off, n)
	}
	var plain, stored int64 // where the part begins
	for _, p := range o.parts {
		size := int64(p)
		if from := max(off-plain, 0); n > 0 && from < size {
			k, err := o.copyPart(ctx, w, stored, from, min(n, size-from))
			done += k
			if err != nil {
				return done, err
			}
			off, n = off+k, n-k
		}
		plain += size
		stored += nonceSize + size
	}
	if n > 0 {
		return done, io.ErrUnexpectedEOF
	}
	return done, nil
}

// copyPart writes n bytes of the part that is stored at an offset, from off in it on.
func (o *opened) copyPart(ctx context.Context, w io.Writer, stored, off, n int64) (int64, error) {
	var nonce bytes.Buffer
	if _, err := o.e.Copy(ctx, &nonce, o.c, stored, nonceSize); err != nil {
		return 0, err
	}
	stream, err := sealStream(o.key, nonce.Bytes(), off)
	if err != nil {
		return 0, err
	}
	out := &openingWriter{w: w, stream: stream, buf: make([]byte, min(n, openStep))}
	return o.e.Copy(ctx, out, o.c, stored+nonceSize+off, n)
}

// openingWriter decrypts what goes through it.
type openingWriter struct {
	w      io.Writer
	stream cipher.Stream
	buf    []byte
}

// Write implements io.Writer.
func (o *openingWriter) Write(p []byte) (done int, err error) {
	for len(p) > 0 && err == nil {
		b := o.buf[:min(len(p), len(o.buf))]
		o.stream.XORKeyStream(b, p[:len(b)])
		p = p[len(b):]
		var n int
		n, err = o.w.Write(b)
		done += n
	}
	return done, err
}

// reader returns a reader of n bytes from offset off on. It has to be closed.
func (o *opened) reader(ctx context.Context, off, n int64) io.ReadCloser {
	r, w := io.Pipe()
	pr := &pipedReader{PipeReader: r, left: n, done: make(chan struct{})}
	go func() {
		defer close(pr.done)
		_, err := o.copy(ctx, w, off, n)
		w.CloseWithError(err) // io.EOF when nil
	}()
	return pr
}

// pipedReader reads what a goroutine writes, and waits for its end.
type pipedReader struct {
	*io.PipeReader
	left int64
	done chan struct{}
}

// Len is how much is left to read.
func (r *pipedReader) Len() int64 { return r.left }

// Read implements io.Reader.
func (r *pipedReader) Read(p []byte) (int, error) {
	n, err := r.PipeReader.Read(p)
	r.left -= int64(n)
	return n, err
}

// Close ends the goroutine.
func (r *pipedReader) Close() error {
	err := r.PipeReader.Close()
	<-r.done
	return err
}
