package s3

import (
	"hash/crc32"
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

// TestJoinedCRC: the CRC of a whole follows from those of any pieces of it.
func TestJoinedCRC(t *testing.T) {
	nvme := crc64.MakeTable(polyCRC64NVME.value)
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for _, c := range []struct {
		name string
		poly polynomial
		sum  func([]byte) uint64
	}{
		{"CRC32", polyCRC32, func(b []byte) uint64 { return uint64(crc32.ChecksumIEEE(b)) }},
		{"CRC32C", polyCRC32C, func(b []byte) uint64 { return uint64(crc32.Checksum(b, castagnoli)) }},
		{"CRC64NVME", polyCRC64NVME, func(b []byte) uint64 { return crc64.Checksum(b, nvme) }},
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			data := make([]byte, rng.IntN(70_000))
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			j := crcJoiner{polynomial: c.poly}
			for rest := data; ; {
				n := min(len(rest), []int{0, 1, 7, 4096, 33_000}[rng.IntN(5)])
				j.add(c.sum(rest[:n]), int64(n))
				if rest = rest[n:]; len(rest) == 0 {
					break
				}
			}
			if want := c.sum(data); j.sum != want {
				t.Fatalf("%s of %d bytes: got %x, want %x", c.name, len(data), j.sum, want)
			}
		}
	}
	if got := crc64.Checksum([]byte("123456789"), nvme); got != 0xae8b14860a799888 {
		t.Errorf("check value of CRC64NVME: got %x", got)
	}
}

// BenchmarkJoinedCRC is for the largest upload.
func BenchmarkJoinedCRC(b *testing.B) {
	for b.Loop() {
		j := crcJoiner{polynomial: polyCRC64NVME}
		for i := range int64(10_000) {
			j.add(uint64(i), 512<<20+i%2) // the worst case: no two in a row are of the same size
		}
	}
}
