package chunk

import (
	"fmt"

	"github.com/restic/chunker"
)

// Cutter finds the ends of chunks. It is immutable and safe for concurrent use;
// one serves all streams of a profile.
type Cutter struct {
	profile Profile
	// finder is a pointer, so that printing a Cutter shows no secret table.
	finder finder
}

// finder looks for the first cut of data, which starts at a cut and holds at
// least Min and at most Max bytes. It returns the length of the chunk that ends
// there, or 0 if no fingerprint of data marks a cut. A chunk that ends only
// because it reached Max counts as no cut or as a cut, as the finder likes.
type finder interface {
	find(data []byte) int
}

// NewCutter returns the Cutter of a profile and a polynomial. The profile must
// be valid. Polynomials of Derive have degree 53, for which the package has its
// own fast scanner; those of degree 8 to 52 give the cuts of the library at the
// library's speed, and any other is an error.
func NewCutter(profile Profile, pol Polynomial) (*Cutter, error) {
	if err := profile.Validate(); err != nil {
		return nil, err
	}
	return newCutter(profile, pol)
}

// newCutter is NewCutter for any profile with 64 <= Min <= Max.
func newCutter(profile Profile, pol Polynomial) (*Cutter, error) {
	switch degree := chunker.Pol(pol).Deg(); {
	case degree == scanDegree:
		return &Cutter{profile, newScanner(profile, pol)}, nil
	case degree >= 8 && degree < scanDegree:
		return &Cutter{profile, &reference{profile, pol}}, nil
	default:
		return nil, fmt.Errorf("cut polynomial has degree %d, want 8 to %d", degree, scanDegree)
	}
}

// Profile returns the profile that the Cutter was made with.
func (c *Cutter) Profile() Profile { return c.profile }

// Next returns the length of the first chunk of data. The first byte of data must
// be the first of the stream or follow a cut; final says that the stream ends
// with data.
//
// Next returns -1 if it needs more data, which happens only if data is shorter
// than Max and not final. The caller then comes back with the same bytes and some
// more; since Next starts over each time, it is best called with Max bytes
// wherever the stream has them. Bytes beyond Max are not looked at. The result is
// 0 only for the end of the stream: empty data that is final.
//
// Next does not keep or change data.
func (c *Cutter) Next(data []byte, final bool) int {
	n := min(len(data), c.profile.Max)
	if n >= c.profile.Min {
		if cut := c.finder.find(data[:n]); cut > 0 {
			return cut
		}
	}
	if n == c.profile.Max || final {
		return n
	}
	return -1
}

// reference finds cuts with the library.
type reference struct {
	profile Profile
	pol     Polynomial
}

// find makes a new state of the library for each call, which keeps reference
// safe for concurrent use.
func (r *reference) find(data []byte) int {
	base := chunker.NewBase(chunker.Pol(r.pol),
		chunker.WithBaseAverageBits(r.profile.Bits),
		chunker.WithBaseBoundaries(uint(r.profile.Min), uint(r.profile.Max)))
	return max(base.NextSplitPoint(data), 0)
}
