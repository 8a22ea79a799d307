package chunk

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// zeroStep is the length in bytes of the runs that ZeroPrefix skips at a time.
const zeroStep = 4 << 10

// IsZero reports whether all bytes of p are zero, which is true of an empty p. It
// stops soon after the first other byte.
func IsZero(p []byte) bool {
	// If the first byte is zero and each other byte equals the one before it, all
	// are zero. The comparison of a slice with itself, one byte apart, runs with
	// the vector instructions of the machine.
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}

// ZeroPrefix returns the number of zero bytes at the start of p, from 0 to len(p).
func ZeroPrefix(p []byte) int {
	n := 0
	for len(p)-n >= zeroStep && IsZero(p[n:n+zeroStep]) {
		n += zeroStep
	}
	for ; len(p)-n >= 8; n += 8 {
		if word := binary.LittleEndian.Uint64(p[n:]); word != 0 {
			return n + bits.TrailingZeros64(word)/8
		}
	}
	for n < len(p) && p[n] == 0 {
		n++
	}
	return n
}
