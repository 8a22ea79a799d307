package chunk

import (
	"errors"
	"fmt"
	"io"

	"github.com/restic/chunker"
	"github.com/zeebo/blake3"
)

// The contexts are part of the format: another text gives other IDs and cuts.
const (
	keyContext        = "firn v1 chunk id key"
	metaContext       = "firn v1 metadata id key"
	polynomialContext = "firn v1 cut polynomial"

	secretSize = 32
)

const (
	redactedKey        = "chunk.Key(redacted)"
	redactedPolynomial = "chunk.Polynomial(redacted)"
)

var errMarshalSecret = errors.New("secret of a chunk is not marshalled")

// Key is the secret key of a repository's chunk IDs. Who has it can test whether
// a repository holds a file they know. Package fmt prints it redacted with every
// verb, and text encoders, encoding/json included, get an error; convert it to
// [32]byte where its bytes are meant.
type Key [32]byte

// Polynomial decides, with a Profile, where streams are cut. It is secret, since
// the lengths of chunks tell which well-known file they come from. It is
// protected like Key; convert it to uint64 where its value is meant. Bit i is the
// coefficient of x^i.
type Polynomial uint64

// Derive makes the chunk key and the polynomial of a repository from its secret,
// which must be 32 random bytes. The same secret always gives the same result.
// The polynomial is irreducible and of degree 53.
func Derive(secret []byte) (Key, Polynomial, error) {
	if len(secret) != secretSize {
		return Key{}, 0, fmt.Errorf("chunk secret has %d bytes, want %d", len(secret), secretSize)
	}
	var key Key
	blake3.DeriveKey(keyContext, secret, key[:])

	material := blake3.NewDeriveKey(polynomialContext)
	_, _ = material.Write(secret) // a hash.Hash never fails
	pol, err := chunker.DerivePolynomial(material.Digest())
	if err != nil {
		return Key{}, 0, fmt.Errorf("derive cut polynomial: %w", err)
	}
	return key, Polynomial(pol), nil
}

// DeriveMeta makes the key that names the chunks of metadata, from the same secret
// as Derive. A key of their own keeps a file that imitates a tree or a list from
// being taken for one.
func DeriveMeta(secret []byte) (Key, error) {
	if len(secret) != secretSize {
		return Key{}, fmt.Errorf("chunk secret has %d bytes, want %d", len(secret), secretSize)
	}
	var key Key
	blake3.DeriveKey(metaContext, secret, key[:])
	return key, nil
}

// String returns a fixed text that does not depend on the key.
func (Key) String() string { return redactedKey }

// Format writes what String returns, for every verb and flag.
func (Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redactedKey) }

// MarshalText always fails, so that no encoder writes the key by accident.
func (Key) MarshalText() ([]byte, error) { return nil, errMarshalSecret }

// String returns a fixed text that does not depend on the polynomial.
func (Polynomial) String() string { return redactedPolynomial }

// Format writes what String returns, for every verb and flag.
func (Polynomial) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redactedPolynomial) }

// MarshalText always fails, so that no encoder writes the polynomial by accident.
func (Polynomial) MarshalText() ([]byte, error) { return nil, errMarshalSecret }
