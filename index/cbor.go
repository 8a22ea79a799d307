package index

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits of what is decoded, from docs/format.md, section 14.
const (
	maxHeader  = 16 << 20
	maxBody    = 256 << 20
	maxRecords = 1 << 20 // of one array in a body
)

var encMode, decMode = cborModes()

func cborModes() (cbor.EncMode, cbor.DecMode) {
	eo := cbor.CoreDetEncOptions()
	eo.NilContainers = cbor.NilContainerAsEmpty // so that null is never taken for an empty string or array
	em, err := eo.EncMode()
	if err != nil {
		panic("index: " + err.Error())
	}
	dm, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxArrayElements:  maxRecords,
		MaxMapPairs:       1 << 16,
		MaxNestedLevels:   16,
	}.DecMode()
	if err != nil {
		panic("index: " + err.Error())
	}
	return em, dm
}

// Marshal encodes a record in core deterministic CBOR (RFC 8949, section 4.2.1).
func Marshal(v any) ([]byte, error) { return encMode.Marshal(v) }

// Unmarshal decodes exactly one record and refuses every encoding of it but the one
// that Marshal gives: unknown and duplicate keys, wrong lengths of byte strings,
// indefinite lengths and trailing bytes are errors that wrap ErrCorrupt.
func Unmarshal(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	if !bytes.Equal(b, again) {
		return fmt.Errorf("%w: not in deterministic encoding", ErrCorrupt)
	}
	return nil
}

// UnmarshalFirst decodes the first record of a CBOR sequence and returns what follows
// it. It refuses unknown and duplicate keys and indefinite lengths, but unlike Unmarshal
// not every other encoding of the record: a byte string may be too short for its field,
// an integer longer than need be. Errors wrap ErrCorrupt.
func UnmarshalFirst(b []byte, v any) (rest []byte, err error) {
	rest, err = decMode.UnmarshalFirst(b, v)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return rest, nil
}
