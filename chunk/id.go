package chunk

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/zeebo/blake3"
)

// IDSize is the length of an ID in bytes.
const IDSize = 32

// ID names a chunk: BLAKE3-256 of its bytes, keyed with the repository's chunk
// key. Equal chunks of one repository have equal IDs; without the key nobody can
// tell which bytes an ID stands for. The zero ID names no chunk.
type ID [IDSize]byte

// ParseID reads the form that String writes: exactly 64 digits, lower case, so
// that every ID has one spelling. On an error the ID is zero.
func ParseID(s string) (ID, error) {
	var id ID
	if err := id.UnmarshalText([]byte(s)); err != nil {
		return ID{}, err
	}
	return id, nil
}

// String returns the ID as 64 lower case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first 8 hex digits, for messages to people. It does not
// name a chunk uniquely.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// IsZero reports whether id is the zero ID.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs as byte strings: -1 if id comes before other, +1 if it comes
// after, 0 if they are equal. It fits slices.SortFunc as ID.Compare.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText returns what String returns. It never fails.
func (id ID) MarshalText() ([]byte, error) {
	return hex.AppendEncode(make([]byte, 0, 2*IDSize), id[:]), nil
}

// UnmarshalText accepts what ParseID accepts, and leaves id as it was on an error.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 2*IDSize {
		return fmt.Errorf("chunk ID has %d digits, want %d", len(text), 2*IDSize)
	}
	for i, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("chunk ID has %q at offset %d, want 0-9 or a-f", c, i)
		}
	}
	_, err := hex.Decode(id[:], text)
	return err
}

// Hasher computes the IDs of one repository's chunks. It is not safe for
// concurrent use: each goroutine takes its own.
type Hasher struct {
	state *blake3.Hasher
	// sum receives the result. A local array would move to the heap on each call.
	sum ID
}

// NewHasher returns a Hasher for the given chunk key.
func NewHasher(key Key) *Hasher {
	state, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic("chunk: 32 byte key refused: " + err.Error())
	}
	return &Hasher{state: state}
}

// ID returns the name of the chunk that consists of data, which may be of any
// length, even 0. It does not keep or change data and allocates nothing.
func (h *Hasher) ID(data []byte) ID {
	h.state.Reset()
	_, _ = h.state.Write(data) // a hash.Hash never fails
	h.state.Sum(h.sum[:0])
	return h.sum
}
