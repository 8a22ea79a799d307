package repo

import (
	"encoding/binary"

	"github.com/firnstore/firn/chunk"
)

// A run of at least minHole zero bytes in whole blocks is a hole; docs/format.md,
// section 7.
const (
	holeBlock = 4096
	minHole   = 64 << 10
)

// span is a chunk or a hole of a buffered piece of a stream.
type span struct {
	off, n int
	hole   bool
}

// splitter cuts a stream, of which it is shown one piece after another, into chunks
// and holes. The result depends on the bytes alone, not on the pieces.
type splitter struct {
	cutter *chunk.Cutter
	base   int64 // offset in the stream of the first byte not yet consumed
	inHole bool  // the last span was a hole that may go on
}

// split appends the spans of buf, which begins at sp.base, and returns how much of it
// they cover. Unless final, what is not certain yet is left for the next call: at
// most one chunk and minHole. limit bounds the number of chunks; 0: none.
func (sp *splitter) split(dst []span, buf []byte, final bool, limit int) (spans []span, used int) {
	pos, chunks := 0, 0
	for pos < len(buf) {
		if sp.inHole {
			n := sp.zeroBlocks(buf, pos)
			if n > 0 {
				dst = append(dst, span{off: pos, n: n, hole: true})
				pos += n
			}
			if len(buf)-pos < holeBlock && !final {
				break
			}
			sp.inHole = false
			continue
		}
		end, hole := sp.dataEnd(buf, pos, final)
		last := hole || final && end == len(buf)
		for pos < end {
			n := sp.cutter.Next(buf[pos:end], last)
			if n < 0 || limit > 0 && chunks == limit {
				sp.base += int64(pos)
				return dst, pos
			}
			dst = append(dst, span{off: pos, n: n})
			pos += n
			chunks++
		}
		if !hole {
			break
		}
		sp.inHole = true
	}
	sp.base += int64(pos)
	return dst, pos
}

// align returns the first offset in buf from pos on that begins a block.
func (sp *splitter) align(pos int) int {
	return pos + int(-(sp.base+int64(pos))&(holeBlock-1))
}

// zeroBlocks returns the bytes of whole zero blocks at pos, which begins a block.
func (sp *splitter) zeroBlocks(buf []byte, pos int) (n int) {
	for pos+n+holeBlock <= len(buf) && isZeroBlock(buf[pos+n:]) {
		n += holeBlock
	}
	return n
}

func isZeroBlock(b []byte) bool {
	return binary.LittleEndian.Uint64(b) == 0 && chunk.IsZero(b[:holeBlock])
}

// dataEnd returns where the data at pos is known to end: at a hole, at the end of the
// stream, or before zeros that may become a hole.
func (sp *splitter) dataEnd(buf []byte, pos int, final bool) (end int, hole bool) {
	for at := sp.align(pos); at+holeBlock <= len(buf); {
		n := sp.zeroBlocks(buf, at)
		if n >= minHole {
			return at, true
		}
		if at+n+holeBlock > len(buf) && n > 0 && !final {
			return at, false
		}
		at += n + holeBlock
	}
	return len(buf), false
}
