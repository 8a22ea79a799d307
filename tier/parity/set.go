package parity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"
)

// Set is an open parity file. It is for one goroutine at a time.
type Set struct {
	r     io.ReaderAt
	size  int64 // of the parity file
	g     geometry
	total int64
	files []File

	header []byte
	checks [2][]byte // both copies; the second is nil when it is not there whole
}

// Open reads the header and the checks of a parity file of size bytes, from whichever copy
// can be believed. Errors: ErrCorrupt, ErrVersion, and those of r.
func Open(r io.ReaderAt, size int64) (*Set, error) {
	s := &Set{r: r, size: size}
	err := s.open(0, -1)
	if err != nil && !errors.Is(err, ErrVersion) {
		var trailer [trailerSize]byte
		if n, rerr := r.ReadAt(trailer[:], size-int64(trailerSize)); size < int64(trailerSize) || n < trailerSize {
			return nil, fmt.Errorf("%w (nor is there a second copy: %v)", err, rerr)
		}
		if string(trailer[4:]) != endMagic {
			return nil, fmt.Errorf("%w (nor is there a second copy)", err)
		}
		n := int64(binary.BigEndian.Uint32(trailer[:]))
		if serr := s.open(size-int64(trailerSize)-n, n); serr != nil {
			return nil, fmt.Errorf("%w (second copy: %v)", err, serr)
		}
	} else if err != nil {
		return nil, err
	}
	return s, s.readChecks()
}

// open reads the header at off. n is its length, or -1: it says so itself.
func (s *Set) open(off, n int64) error {
	if off < 0 || off+preambleSize > s.size {
		return fmt.Errorf("%w: %d bytes", ErrCorrupt, s.size)
	}
	var pre [preambleSize]byte
	if m, err := s.r.ReadAt(pre[:], off); m < len(pre) {
		return fmt.Errorf("read parity header: %w", err)
	}
	if string(pre[:8]) != magic {
		return fmt.Errorf("%w: no magic", ErrCorrupt)
	}
	own := int64(binary.BigEndian.Uint32(pre[12:]))
	if n < 0 {
		n = own
	}
	if n != own || n < preambleSize+32 || n > maxHeader || off+n > s.size {
		return fmt.Errorf("%w: header of %d bytes", ErrCorrupt, n)
	}
	b := make([]byte, n)
	if m, err := s.r.ReadAt(b, off); m < len(b) {
		return fmt.Errorf("read parity header: %w", err)
	}
	if sum := blake3.Sum256(b[:n-32]); !bytes.Equal(sum[:], b[n-32:]) {
		return fmt.Errorf("%w: digest of the header differs", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != version<<16 {
		return fmt.Errorf("%w: %d.%d", ErrVersion, v>>16, v&0xffff)
	}
	s.header = b
	return s.parse(b[preambleSize : n-32])
}

func (s *Set) parse(b []byte) error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }
	if len(b) < 16 {
		return bad("header is cut short")
	}
	s.g = geometry{
		block: int64(binary.BigEndian.Uint32(b)), data: int(binary.BigEndian.Uint16(b[4:])),
		parity: int(binary.BigEndian.Uint16(b[6:])), width: int64(binary.BigEndian.Uint32(b[8:])),
	}
	count := int(binary.BigEndian.Uint32(b[12:]))
	b = b[16:]
	if count < 1 || count > maxFiles {
		return bad("number of files")
	}
	s.files, s.total = nil, 0
	for range count {
		if len(b) < 2 {
			return bad("file is cut short")
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > 255 || len(b) < 2+n+8+32 {
			return bad("file is cut short")
		}
		f := File{Name: string(b[2 : 2+n]), Size: int64(binary.BigEndian.Uint64(b[2+n:])), Digest: [32]byte(b[2+n+8:])}
		if f.Size < 1 || f.Size > maxTotal-s.total {
			return bad("size of a file")
		}
		s.files, s.total = append(s.files, f), s.total+f.Size
		b = b[2+n+8+32:]
	}
	g := &s.g
	switch {
	case len(b) > 0:
		return bad("bytes behind the files")
	case g.block < minBlock || g.block > maxBlock || g.block&(g.block-1) != 0:
		return bad("size of a block")
	case g.data < 1 || g.parity < 1 || g.data+g.parity > maxShards || g.width < 1 || g.width > maxTotal/minBlock:
		return bad("geometry")
	case g.width > 1 && g.data < fewShards: // or a shard would be long
		return bad("geometry of few shards")
	case (g.blocks(s.total)+g.width-1)/g.width != int64(g.data):
		return bad("geometry does not fit the files")
	}
	return nil
}

// checkBytes is the length of one copy of the checks.
func (s *Set) checkBytes() int64 { return checkSize * (s.g.blocks(s.total) + s.g.parityBlocks()) }

// parityAt is where the parity blocks begin.
func (s *Set) parityAt() int64 { return int64(len(s.header)) + s.checkBytes() }

// wholeSize is how long the parity file has to be.
func (s *Set) wholeSize() int64 {
	return 2*s.parityAt() + s.g.parityBlocks()*s.g.block + int64(trailerSize)
}

// readChecks reads both copies. A part that cannot be read is zero: its blocks count as
// damaged, unless the other copy knows them.
func (s *Set) readChecks() error {
	n := s.checkBytes()
	if s.size-int64(len(s.header)) < n {
		return fmt.Errorf("%w: it is cut short, %d bytes", ErrCorrupt, s.size)
	}
	for i, off := range []int64{int64(len(s.header)), s.parityAt() + s.g.parityBlocks()*s.g.block} {
		if off+n > s.size {
			continue
		}
		s.checks[i] = make([]byte, n)
		for at := int64(0); at < n; at += maxBlock {
			b := s.checks[i][at:min(at+maxBlock, n)]
			if m, _ := s.r.ReadAt(b, off+at); m < len(b) {
				clear(b)
			}
		}
	}
	return nil
}

// fits reports whether block number i, counted from the first of the data on through the
// parity, is as it was written.
func (s *Set) fits(i int64, block []byte) bool {
	sum := check(block)
	for _, c := range s.checks {
		if c != nil && binary.BigEndian.Uint32(c[i*checkSize:]) == sum {
			return true
		}
	}
	return false
}

// Files that are protected.
func (s *Set) Files() []File { return s.files }

// HasPercent reports whether there is as much parity as Encode would make of these files
// for this percentage.
func (s *Set) HasPercent(percent int) bool {
	var sizes []int64
	for i := range s.files {
		sizes = append(sizes, s.files[i].Size)
	}
	g, _ := planFor(sizes, percent)
	return g == s.g
}

// Verify reads the parity file and returns nil if all of it is as it was written, else an
// error that is ErrCorrupt: then it still heals, but less than it should.
func (s *Set) Verify() error {
	if s.size != s.wholeSize() {
		return fmt.Errorf("%w: it has %d bytes instead of %d", ErrCorrupt, s.size, s.wholeSize())
	}
	if !bytes.Equal(s.checks[0], s.checks[1]) {
		return fmt.Errorf("%w: the copies of its checks differ", ErrCorrupt)
	}
	n := int64(len(s.header))
	b := make([]byte, n+int64(trailerSize))
	for _, off := range []int64{0, s.size - int64(len(b))} {
		if m, err := s.r.ReadAt(b, off); m < len(b) {
			return fmt.Errorf("%w: read header: %w", ErrCorrupt, err)
		}
		if !bytes.Equal(b[:n], s.header) {
			return fmt.Errorf("%w: the copies of its header differ", ErrCorrupt)
		}
	}
	if t := b[n:]; int64(binary.BigEndian.Uint32(t)) != n || string(t[4:]) != endMagic {
		return fmt.Errorf("%w: its end is damaged", ErrCorrupt)
	}
	data := s.g.blocks(s.total)
	b = make([]byte, s.g.width*s.g.block)
	for p := range int64(s.g.parity) {
		if m, err := s.r.ReadAt(b, s.parityAt()+p*int64(len(b))); m < len(b) {
			return fmt.Errorf("%w: read parity: %w", ErrCorrupt, err)
		}
		for i := range s.g.width {
			if !s.fits(data+p*s.g.width+i, b[i*s.g.block:(i+1)*s.g.block]) {
				return fmt.Errorf("%w: parity block %d differs", ErrCorrupt, p*s.g.width+i)
			}
		}
	}
	return nil
}
