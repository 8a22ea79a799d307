package index

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"
)

// ParseHeader decodes the header of a commit from the first bytes of its file and
// checks that its writer signed it. fileSize is how long the whole file must be. When b
// ends before the signature does, h is nil without an error: more bytes are needed.
// Errors wrap ErrCorrupt, ErrVersion or ErrForged.
func ParseHeader(b []byte) (h *Header, hash Hash, fileSize int64, err error) {
	if len(b) >= preambleSize && string(b[:8]) == commitMagic {
		size := int64(binary.BigEndian.Uint32(b[12:]))
		if size <= maxHeader && preambleSize+size+sigSize > int64(len(b)) {
			return nil, hash, 0, nil
		}
	}
	h, n, err := parseHeader(b)
	if err != nil {
		return nil, hash, 0, err
	}
	fileSize = int64(n) + int64(h.Body.Size)
	for _, e := range h.Embedded {
		fileSize += int64(e.Size)
	}
	return h, blake3.Sum256(b[:n]), fileSize, nil
}

// parseHeader also returns the size of preamble, header and signature. The sizes that a
// header gives are within limits, so that their sum is a file size.
func parseHeader(b []byte) (h *Header, n int, err error) {
	hdr, n, err := splitSigned(b, commitMagic)
	if err != nil {
		return nil, 0, err
	}
	h = &Header{}
	if err := Unmarshal(hdr, h); err != nil {
		return nil, 0, fmt.Errorf("commit header: %w", err)
	}
	if !ed25519.Verify(h.Writer[:], b[:n-sigSize], b[n-sigSize:n]) {
		return nil, 0, fmt.Errorf("commit %d: signature: %w", h.Seq, ErrForged)
	}
	if err := h.validate(); err != nil {
		return nil, 0, err
	}
	return h, n, nil
}
