package chunk

import "fmt"

// MaxSize is the length in bytes that no chunk exceeds, whatever its profile, so
// that a length fits in three bytes.
const MaxSize = 1<<24 - 1

// Limits of a profile. Below 1 KiB a chunk costs more to name and to find than to
// store; above 24 bits the mean would exceed MaxSize.
const (
	minSizeLimit = 1 << 10
	minBits      = 10
	maxBits      = 24
)

// Profile says how long chunks are. On random data their mean length is about
// Min + 2^Bits, less what Max cuts off. Repositories and buckets record their
// profile: data cut by two profiles share almost no chunk.
type Profile struct {
	// Name is how people choose the profile. It has no influence on the cuts.
	Name string
	// Bits is the number of bits of the fingerprint that are zero at a cut: past
	// Min, one position in 2^Bits is a cut. From 10 to 24.
	Bits int
	// Min and Max bound the length of a chunk, in bytes: 1 KiB <= Min <= Max <=
	// MaxSize. The last chunk of a stream may be shorter than Min.
	Min, Max int
}

// DefaultProfile returns the profile for data that changes in place: 32 KiB to
// 256 KiB, mean about 64 KiB.
func DefaultProfile() Profile {
	return Profile{Name: "default", Bits: 15, Min: 32 << 10, Max: 256 << 10}
}

// LargeProfile returns restic's sizes: 512 KiB to 8 MiB, mean about 1.5 MiB. It
// suits data that never changes in part, such as another tool's encrypted packs.
func LargeProfile() Profile {
	return Profile{Name: "large", Bits: 20, Min: 512 << 10, Max: 8 << 20}
}

// ProfileByName returns the profile with that exact name.
func ProfileByName(name string) (Profile, error) {
	for _, p := range []Profile{DefaultProfile(), LargeProfile()} {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("unknown chunk profile %q, want default or large", name)
}

// Validate returns an error that names the first field outside of its range.
func (p Profile) Validate() error {
	switch {
	case p.Bits < minBits || p.Bits > maxBits:
		return fmt.Errorf("chunk profile %q: bits is %d, want %d to %d", p.Name, p.Bits, minBits, maxBits)
	case p.Max > MaxSize:
		return fmt.Errorf("chunk profile %q: max is %d, want at most %d", p.Name, p.Max, MaxSize)
	case p.Min < minSizeLimit:
		return fmt.Errorf("chunk profile %q: min is %d, want at least %d", p.Name, p.Min, minSizeLimit)
	case p.Min > p.Max:
		return fmt.Errorf("chunk profile %q: min is %d, want at most max, %d", p.Name, p.Min, p.Max)
	}
	return nil
}
