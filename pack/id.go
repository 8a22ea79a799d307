package pack

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// A Session names the run of a program that creates packs. It is random, so
// that packs of several writers never have the same name.
type Session [12]byte

// String returns the session as 24 hexadecimal digits.
func (s Session) String() string { return hex.EncodeToString(s[:]) }

// An ID names a pack: its session, and the number of the pack in that session as
// a big-endian u32.
type ID [16]byte

// NewID returns the ID of pack number counter of a session.
func NewID(s Session, counter uint32) ID {
	var id ID
	copy(id[:], s[:])
	binary.BigEndian.PutUint32(id[len(s):], counter)
	return id
}

// ParseID is the inverse of [ID.String]. It takes exactly 32 lower-case
// hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("pack ID %q has %d characters, want 32", s, len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || id.String() != s {
		return ID{}, fmt.Errorf("pack ID %q is not lower-case hexadecimal", s)
	}
	return id, nil
}

// String returns the ID as 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Session returns the session that created the pack.
func (id ID) Session() Session { return Session(id[:len(Session{})]) }

// Name returns the name of the pack in a store, "packs/9c/9c41…".
func (id ID) Name() string {
	s := id.String()
	return "packs/" + s[:2] + "/" + s
}

// Kind says what a pack holds, and so which identity opens it.
type Kind uint8

// The kinds of packs.
const (
	Data Kind = 0 // chunks of data, sealed to the data identity
	Meta Kind = 1 // trees and chunk lists, sealed to the metadata identity
)

// String returns "data" or "metadata".
func (k Kind) String() string {
	switch k {
	case Data:
		return "data"
	case Meta:
		return "metadata"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}
