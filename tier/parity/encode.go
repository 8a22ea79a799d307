package parity

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/zeebo/blake3"
)

const (
	magic        = "firnprty"
	endMagic     = "firn-par"
	version      = 1
	preambleSize = 16
	trailerSize  = 4 + len(endMagic)
	checkSize    = 4
	maxHeader    = 2 << 20
)

// Encoded is a parity file in memory.
type Encoded struct {
	header []byte
	checks []byte   // of the data blocks, then of the parity blocks
	parity [][]byte // shards
	files  []File
}

// Encode reads every source once, in order, and computes their parity. Memory is that of
// the parity and of one shard. percent is from 1 to 100.
func Encode(sources []Source, percent int) (*Encoded, error) {
	if percent < 1 || percent > 100 {
		return nil, fmt.Errorf("parity of %d percent: want 1 to 100", percent)
	}
	if len(sources) == 0 || len(sources) > maxFiles {
		return nil, fmt.Errorf("parity of %d files: want 1 to %d", len(sources), maxFiles)
	}
	var sizes []int64
	for i := range sources {
		if s := &sources[i]; len(s.Name) > 255 || s.Size < 1 {
			return nil, fmt.Errorf("parity of %q with %d bytes: want a name of at most 255 bytes, and a file that is not empty", s.Name, s.Size)
		}
		sizes = append(sizes, sources[i].Size)
	}
	g, total := planFor(sizes, percent)
	rs, err := g.coder()
	if err != nil {
		return nil, err
	}
	e := &Encoded{parity: make([][]byte, g.parity)}
	for i := range e.parity {
		e.parity[i] = make([]byte, g.width*g.block)
	}
	in := &inOrder{sources: sources, digest: blake3.New(), ahead: bufio.NewReaderSize(nil, int(min(readSize, total)))}
	shard := make([]byte, g.width*g.block)
	left := g.blocks(total)
	for q := range g.data {
		if err := in.fill(shard); err != nil {
			return nil, err
		}
		n := min(left, g.width)
		e.addChecks(shard[:n*g.block], g.block)
		left -= n
		if err := rs.EncodeIdx(shard, q, e.parity); err != nil {
			return nil, fmt.Errorf("compute parity: %w", err)
		}
	}
	for _, p := range e.parity {
		e.addChecks(p, g.block)
	}
	e.files = in.files
	e.header = header(&g, e.files)
	return e, nil
}

func (e *Encoded) addChecks(b []byte, block int64) {
	for ; len(b) > 0; b = b[block:] {
		e.checks = binary.BigEndian.AppendUint32(e.checks, check(b[:block]))
	}
}

// Files that were read, with their digests.
func (e *Encoded) Files() []File { return e.files }

// Size of the parity file in bytes.
func (e *Encoded) Size() int64 {
	return 2*int64(len(e.header)+len(e.checks)) + int64(len(e.parity)*len(e.parity[0])) + int64(trailerSize)
}

// WriteTo implements io.WriterTo.
func (e *Encoded) WriteTo(w io.Writer) (n int64, err error) {
	parts := append([][]byte{e.header, e.checks}, e.parity...)
	parts = append(parts, e.checks, e.header)
	parts = append(parts, append(binary.BigEndian.AppendUint32(nil, uint32(len(e.header))), endMagic...))
	for _, p := range parts {
		m, err := w.Write(p)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// header returns the bytes that both copies have.
func header(g *geometry, files []File) []byte {
	b := append([]byte(magic), 0, version, 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(g.block))
	b = binary.BigEndian.AppendUint16(b, uint16(g.data))
	b = binary.BigEndian.AppendUint16(b, uint16(g.parity))
	b = binary.BigEndian.AppendUint32(b, uint32(g.width))
	b = binary.BigEndian.AppendUint32(b, uint32(len(files)))
	for i := range files {
		f := &files[i]
		b = binary.BigEndian.AppendUint16(b, uint16(len(f.Name)))
		b = append(b, f.Name...)
		b = binary.BigEndian.AppendUint64(b, uint64(f.Size))
		b = append(b, f.Digest[:]...)
	}
	binary.BigEndian.PutUint32(b[12:], uint32(len(b)+32))
	sum := blake3.Sum256(b)
	return append(b, sum[:]...)
}

// inOrder reads sources one behind the other.
type inOrder struct {
	sources []Source
	files   []File // those read to their ends
	off     int64  // in the present source
	ahead   *bufio.Reader
	digest  *blake3.Hasher
}

// readSize is how many bytes are read at a time: stores may be far away.
const readSize = 4 << 20

var _ hash.Hash = (*blake3.Hasher)(nil)

// fill fills p, with zeros behind the end of the last source.
func (in *inOrder) fill(p []byte) error {
	for len(p) > 0 && len(in.files) < len(in.sources) {
		s := &in.sources[len(in.files)]
		if in.off == 0 {
			in.ahead.Reset(io.NewSectionReader(s.Data, 0, s.Size))
		}
		b := p[:min(int64(len(p)), s.Size-in.off)]
		n, err := io.ReadFull(in.ahead, b)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read %s at %d: %w", s.Name, in.off, err)
		}
		_, _ = in.digest.Write(b)
		if in.off += int64(n); in.off == s.Size {
			in.files = append(in.files, File{Name: s.Name, Size: s.Size, Digest: [32]byte(in.digest.Sum(nil))})
			in.digest.Reset()
			in.off = 0
		}
		p = p[n:]
	}
	clear(p)
	return nil
}
