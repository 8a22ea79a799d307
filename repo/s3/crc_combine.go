package s3

// polynomial of a CRC whose lowest bit is the highest power, as all of S3 are, with
// register and result inverted.
type polynomial struct {
	bits  uint
	value uint64 // without the highest power
}

var (
	polyCRC32     = polynomial{32, 0xedb88320}
	polyCRC32C    = polynomial{32, 0x82f63b78}
	polyCRC64NVME = polynomial{64, 0x9a6c9329ac4bc9b5}
)

// times multiplies two remainders.
func (p polynomial) times(a, b uint64) (product uint64) {
	for bit := uint64(1) << (p.bits - 1); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= p.value
		}
	}
	return product
}

// shift is the remainder of x to the power of 8·n: what n more bytes do to a register.
func (p polynomial) shift(n int64) uint64 {
	power := uint64(1) << (p.bits - 9) // x^8
	result := uint64(1) << (p.bits - 1)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			result = p.times(result, power)
		}
		power = p.times(power, power)
	}
	return result
}

// crcJoiner puts the CRC of a whole together from those of its pieces.
type crcJoiner struct {
	polynomial
	sum  uint64 // of what was added; of nothing it is 0
	size int64  // for which by is the shift; most pieces have the same
	by   uint64
}

// add takes on the CRC of the next n bytes.
func (j *crcJoiner) add(sum uint64, n int64) {
	if n != j.size || j.by == 0 {
		j.size, j.by = n, j.shift(n)
	}
	j.sum = j.times(j.by, j.sum) ^ sum
}
