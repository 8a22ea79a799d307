package chunk

import "github.com/restic/chunker"

const (
	// scanDegree is the degree of the polynomials that scanner supports. It is a
	// constant so that shifts in the inner loops have a fixed count.
	scanDegree = 53
	scanShift  = scanDegree - 8

	// windowSize is the number of bytes that a fingerprint covers. A chunk is at
	// least that long, so the window never reaches back over a cut.
	windowSize = 64

	// Four lanes of laneSize bytes are scanned at the same time. Each byte of a
	// lane waits for the table entry of the byte before it; four lanes hide that
	// delay. Longer lanes waste more when a cut is found in an early one, shorter
	// lanes waste more on their first windows.
	laneSize  = 4 << 10
	lanesSize = 4 * laneSize
)

// scanner finds cuts from the definition of a Rabin fingerprint: the last 64
// bytes, read as a polynomial over GF(2), modulo the secret polynomial. Since the
// fingerprint depends on nothing else, scanning can start anywhere, and the bytes
// that leave the window are read from the data themselves.
type scanner struct {
	// reduce[b] clears bits 53 to 60 of a fingerprint, which hold b, and adds
	// what they are modulo the polynomial.
	reduce [256]uint64
	// expel[b] is the fingerprint of b and 64 zero bytes: what b contributes when
	// it has just left the window. The sum with the new byte does not wait for it.
	expel [256]uint64
	// mask has the bits that are zero at a cut.
	mask    uint64
	minSize int
}

func newScanner(profile Profile, pol Polynomial) *scanner {
	s := &scanner{mask: 1<<profile.Bits - 1, minSize: profile.Min}
	for b := range s.reduce {
		high := chunker.Pol(b) << scanDegree
		s.reduce[b] = uint64(high.Mod(chunker.Pol(pol)) | high)
	}
	for b := range s.expel {
		digest := s.push(0, byte(b))
		for range windowSize {
			digest = s.push(digest, 0)
		}
		s.expel[b] = digest
	}
	return s
}

// push returns the fingerprint of what digest stands for, followed by b. It lets
// no byte leave.
func (s *scanner) push(digest uint64, b byte) uint64 {
	return (digest<<8 | uint64(b)) ^ s.reduce[uint8(digest>>scanShift)]
}

// find implements finder.
func (s *scanner) find(data []byte) int {
	var digest uint64
	for _, b := range data[s.minSize-windowSize : s.minSize] {
		digest = s.push(digest, b)
	}
	if digest&s.mask == 0 {
		return s.minSize
	}
	from := s.minSize
	for ; len(data)-from >= lanesSize; from += lanesSize {
		if cut := s.scanLanes((*[windowSize + lanesSize]byte)(data[from-windowSize:])); cut > 0 {
			return from + cut
		}
	}
	if cut := s.scanRest(data[from-windowSize:]); cut > 0 {
		return from + cut
	}
	return 0
}

// scanLanes looks for cuts in all bytes of a but the first 64, which fill the first
// window. It returns how many bytes after those the first cut stands, or 0.
func (s *scanner) scanLanes(a *[windowSize + lanesSize]byte) int {
	const lane1, lane2, lane3 = laneSize, 2 * laneSize, 3 * laneSize
	reduce, expel, mask := &s.reduce, &s.expel, s.mask

	var p0, p1, p2, p3 uint64
	for i := range windowSize {
		p0 = (p0<<8 | uint64(a[i])) ^ reduce[uint8(p0>>scanShift)]
		p1 = (p1<<8 | uint64(a[i+lane1])) ^ reduce[uint8(p1>>scanShift)]
		p2 = (p2<<8 | uint64(a[i+lane2])) ^ reduce[uint8(p2>>scanShift)]
		p3 = (p3<<8 | uint64(a[i+lane3])) ^ reduce[uint8(p3>>scanShift)]
	}
	const none = lanesSize + 1
	first := none
	for i := range laneSize {
		in := i + windowSize
		p0 = (p0<<8 | uint64(a[in])) ^ expel[a[i]] ^ reduce[uint8(p0>>scanShift)]
		p1 = (p1<<8 | uint64(a[in+lane1])) ^ expel[a[i+lane1]] ^ reduce[uint8(p1>>scanShift)]
		p2 = (p2<<8 | uint64(a[in+lane2])) ^ expel[a[i+lane2]] ^ reduce[uint8(p2>>scanShift)]
		p3 = (p3<<8 | uint64(a[in+lane3])) ^ expel[a[i+lane3]] ^ reduce[uint8(p3>>scanShift)]
		if p0&mask == 0 {
			return i + 1 // every other cut, found or not, is in a later lane
		}
		if p1&mask == 0 {
			first = min(first, lane1+i+1)
		}
		if p2&mask == 0 {
			first = min(first, lane2+i+1)
		}
		if p3&mask == 0 {
			first = min(first, lane3+i+1)
		}
	}
	if first == none {
		return 0
	}
	return first
}

// scanRest is scanLanes for fewer bytes than four lanes have, with one lane. The
// length of data is at least 64.
func (s *scanner) scanRest(data []byte) int {
	var digest uint64
	for _, b := range data[:windowSize] {
		digest = s.push(digest, b)
	}
	entering := data[windowSize:]
	leaving := data[:len(entering)]
	for i, b := range entering {
		digest = s.push(digest, b) ^ s.expel[leaving[i]]
		if digest&s.mask == 0 {
			return i + 1
		}
	}
	return 0
}
