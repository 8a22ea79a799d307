// Package parity makes damaged files whole again. It turns one or more files into the
// bytes of a parity file, and a parity file with what is left of those files into the
// files as they were. It knows nothing of what they hold, and no store.
//
// The files of a set are laid end to end and cut into blocks. Data[k] shards of width
// blocks follow one another; the blocks at one place of every shard are a stripe, to which
// a Reed–Solomon code adds parity blocks. So a stretch of damage meets each stripe about
// equally often, and scattered damage does so by chance. docs/format.md, section 19, has
// the bytes.
//
// Invariants, which tests name by number:
//
//  1. As many blocks of each stripe as it has parity blocks may be lost, of the data or of
//     the parity: then every file comes back. One stretch of damage may have as many blocks
//     less one as there are parity blocks.
//  2. What comes back has the digest that the file had, or is an error: never other bytes.
//  3. The same files and percentage give the same parity file.
//  4. Bytes from outside cause no panic and no allocation beyond a small multiple of their size.
//  5. A parity file that is damaged itself is used as far as it can be believed.
package parity

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/reedsolomon"
)

var (
	// ErrCorrupt: the parity file does not follow docs/format.md, or too little is left.
	ErrCorrupt = errors.New("parity file is corrupt")
	// ErrVersion: the parity file was written by a newer program.
	ErrVersion = errors.New("unknown version of the parity format")
	// ErrLost: there is more damage than the parity can make good.
	ErrLost = errors.New("more is damaged than parity can heal")
)

// DefaultPercent of parity: it makes good a tenth of a file.
const DefaultPercent = 10

// Bounds of a set.
const (
	maxBlock  = 4096 // bytes of a block; a page, and what disks lose at a time
	minBlock  = 256
	fewBlocks = 64       // below this number the blocks are smaller
	smallFile = 64 << 10 // a file up to this size comes back also when it is lost whole
	maxShards = 255
	fewShards = 64 // a shard is one block below this number of them
	maxFiles  = 4096
	maxTotal  = 1 << 40
)

// Source is a file to be protected, or what is left of one.
type Source struct {
	Name string // at most 255 bytes
	Size int64  // that the file has to have
	Data io.ReaderAt
}

// File is one that a parity file protects.
type File struct {
	Name   string
	Size   int64
	Digest [32]byte // BLAKE3
}

// geometry says how files are cut and how much parity there is.
type geometry struct {
	block  int64 // bytes
	data   int   // shards of data,
	parity int   // and of parity
	width  int64 // blocks of a shard
}

// plan chooses the geometry for files of total bytes, the largest of those up to smallFile
// having single bytes, with at least percent of parity. It is part of the format in so far
// as a parity file with another geometry is taken for one with another percentage.
func plan(total, single int64, percent int) geometry {
	g := geometry{block: maxBlock}
	for total < fewBlocks*g.block && g.block > minBlock {
		g.block /= 2
	}
	blocks := g.blocks(total)
	want := (blocks*int64(percent) + 99) / 100
	if single > 0 {
		want = max(want, g.blocks(single)+1) // it may begin within a block
	}
	want = min(want, blocks) // as much as a copy
	for g.width = (blocks + want + maxShards - 1) / maxShards; ; g.width++ {
		data, parity := (blocks+g.width-1)/g.width, (want+g.width-1)/g.width
		if data+parity <= maxShards {
			g.data, g.parity = int(data), int(parity)
			return g
		}
	}
}

// planFor is plan for files of these sizes.
func planFor(sizes []int64, percent int) (g geometry, total int64) {
	single := int64(0)
	for _, n := range sizes {
		total += n
		if n <= smallFile {
			single = max(single, n)
		}
	}
	return plan(total, single, percent), total
}

// blocks is how many blocks n bytes take.
func (g *geometry) blocks(n int64) int64 { return (n + g.block - 1) / g.block }

// parityBlocks is how many there are.
func (g *geometry) parityBlocks() int64 { return int64(g.parity) * g.width }

// coder returns the code of a stripe: a Cauchy matrix over GF(2⁸), docs/format.md.
func (g *geometry) coder() (reedsolomon.Encoder, error) {
	rs, err := reedsolomon.New(g.data, g.parity, reedsolomon.WithCauchyMatrix(), reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		return nil, fmt.Errorf("code of %d and %d shards: %w", g.data, g.parity, err)
	}
	return rs, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// check locates damage. It proves nothing: what comes back is compared with a digest.
func check(block []byte) uint32 { return crc32.Checksum(block, castagnoli) }
