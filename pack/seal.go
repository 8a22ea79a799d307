package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/zeebo/blake3"
)

// The payload of an age file: a nonce, then pieces of the plaintext, each with a
// tag. All pieces but the last are full.
const (
	nonceSize   = 16
	pieceSize   = 64 << 10
	tagSize     = 16
	sealedPiece = pieceSize + tagSize
)

// maxAgeHeader bounds the header of an age file. The largest that firn writes has
// about 1.6 KiB; recipients of plugins may need more.
const maxAgeHeader = 60 << 10

// payloadSize returns the size of an age payload with plain bytes inside.
func payloadSize(plain int64) int64 {
	pieces := max(1, (plain+pieceSize-1)/pieceSize)
	return nonceSize + plain + pieces*tagSize
}

// plainSize is the inverse of payloadSize. Not every size is one of a payload.
func plainSize(payload int64) (int64, error) {
	sealed := payload - nonceSize
	pieces := (sealed + sealedPiece - 1) / sealedPiece
	plain := sealed - pieces*tagSize
	if sealed <= 0 || plain <= (pieces-1)*pieceSize {
		return 0, fmt.Errorf("payload of %d bytes: %w", payload, ErrCorrupt)
	}
	return plain, nil
}

// A sealer is an age file in the making. It keeps account of what passes to dst.
// Failures of dst are its caller's to remember.
type sealer struct {
	dst    io.Writer
	age    io.WriteCloser
	header []byte
	size   int64 // bytes written to dst
	hash   *blake3.Hasher
}

// newSealer starts an age file for one recipient and writes its header to dst.
func newSealer(dst io.Writer, recipient age.Recipient) (*sealer, error) {
	s := &sealer{hash: blake3.New()}
	// The header comes in many small writes. They are collected, kept, and passed
	// on as one.
	var head bytes.Buffer
	s.dst = &head
	var err error
	if s.age, err = age.Encrypt(sealerOut{s}, recipient); err != nil {
		return nil, err
	}
	b := head.Bytes()
	if s.header, err = age.ExtractHeader(bytes.NewReader(b)); err != nil {
		return nil, err
	}
	if len(b) != len(s.header)+nonceSize || len(s.header) > maxAgeHeader {
		return nil, fmt.Errorf("age wrote a header of %d bytes in %d", len(s.header), len(b))
	}
	s.dst = dst
	if _, err := dst.Write(b); err != nil {
		return nil, fmt.Errorf("write age header: %w", err)
	}
	return s, nil
}

// plainLimit returns how many bytes of plaintext fit a pack.
func (s *sealer) plainLimit() int64 {
	room := maxSealed - int64(len(s.header)) - nonceSize
	pieces := (room + sealedPiece - 1) / sealedPiece
	return room - pieces*tagSize
}

// Write seals b.
func (s *sealer) Write(b []byte) (int, error) { return s.age.Write(b) }

// Close ends the age file.
func (s *sealer) Close() error { return s.age.Close() }

// digest returns the BLAKE3 of what was written to dst.
func (s *sealer) digest() [32]byte { return [32]byte(s.hash.Sum(nil)) }

// sealerOut is where the age writer of a sealer writes to.
type sealerOut struct{ s *sealer }

func (o sealerOut) Write(b []byte) (int, error) {
	n, err := o.s.dst.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return n, err
	}
	o.s.size += int64(n)
	_, err = o.s.hash.Write(b)
	return n, err
}

// A FileKey opens the payload of one pack. It is a secret.
type FileKey struct {
	header []byte  // a valid age header for key; age wants to see one
	key    *[]byte // a pointer, so that printing a FileKey or a Reader does not show it
}

// OpenKey unwraps the key of a pack from its age header, which may come from the
// pack or from the log and is not retained. If no identity matches, the error is
// ErrWrongKey; if the header is damaged, it is ErrCorrupt.
func OpenKey(ageHeader []byte, ids ...age.Identity) (FileKey, error) {
	header, err := age.ExtractHeader(bytes.NewReader(ageHeader))
	if err != nil {
		return FileKey{}, fmt.Errorf("age header: %w: %w", err, ErrCorrupt)
	}
	if len(header) != len(ageHeader) || len(header) > maxAgeHeader {
		return FileKey{}, fmt.Errorf("age header of %d bytes in %d: %w", len(header), len(ageHeader), ErrCorrupt)
	}
	if len(ids) == 0 {
		return FileKey{}, fmt.Errorf("age header: no identities given: %w", ErrWrongKey)
	}
	key, err := age.DecryptHeader(header, ids...)
	var mismatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &mismatch):
		return FileKey{}, fmt.Errorf("age header: %w: %w", err, ErrWrongKey)
	case err != nil:
		return FileKey{}, fmt.Errorf("age header: %w: %w", err, ErrCorrupt)
	}
	return FileKey{header, &key}, nil
}
