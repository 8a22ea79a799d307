package pack

import (
	"encoding/binary"
	"fmt"

	"github.com/firnstore/firn/chunk"
)

// Codec says how a frame is stored.
type Codec uint8

// The codecs of version 1.
const (
	Raw  Codec = 0 // as it is
	Zstd Codec = 1 // one zstd frame
)

// String returns "raw" or "zstd".
func (c Codec) String() string {
	switch c {
	case Raw:
		return "raw"
	case Zstd:
		return "zstd"
	default:
		return fmt.Sprintf("codec %d", uint8(c))
	}
}

// A Frame is a run of chunks that are stored, and read, together. Sizes and
// offsets are in bytes.
type Frame struct {
	Offset int64 // where the frame begins in the plaintext of the pack
	Stored int   // size in the pack
	Plain  int   // size after decoding
	Codec  Codec
	First  int // slot of its first chunk in Directory.Entries
	Chunks int // number of its chunks
}

// An Entry is the place of one chunk.
type Entry struct {
	ID     chunk.ID
	Frame  int // slot in Directory.Frames
	Offset int // in the decoded frame
	Length int
}

// A Directory says what lies where in a pack. Frames and Entries are in the order
// in which they lie in the pack.
type Directory struct {
	Frames  []Frame
	Entries []Entry
}

// Sizes of an encoded directory.
const (
	countsSize = 8  // of the two numbers at its beginning
	frameSize  = 16 // of a frame
	entrySize  = 36 // of a chunk

	minDirectory = countsSize + frameSize + entrySize
	maxDirectory = countsSize + frameSize*maxFrames + entrySize*maxEntries
)

// ParseDirectory decodes a directory, which is all of b and is not retained. It
// checks every rule that can be checked without the pack, and any violation is
// ErrCorrupt. It allocates in proportion to len(b) only.
func ParseDirectory(b []byte) (*Directory, error) {
	if len(b) < countsSize {
		return nil, fmt.Errorf("directory of %d bytes: %w", len(b), ErrCorrupt)
	}
	frames, entries := int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))
	switch {
	case frames < 1 || frames > maxFrames:
		return nil, fmt.Errorf("directory with %d frames: %w", frames, ErrCorrupt)
	case entries < frames || entries > maxEntries:
		return nil, fmt.Errorf("directory with %d chunks in %d frames: %w", entries, frames, ErrCorrupt)
	case int64(len(b)) != countsSize+frameSize*frames+entrySize*entries:
		return nil, fmt.Errorf("directory of %d frames and %d chunks in %d bytes: %w", frames, entries, len(b), ErrCorrupt)
	}
	d := &Directory{Frames: make([]Frame, frames), Entries: make([]Entry, entries)}
	split := countsSize + frameSize*int(frames)
	if err := d.parseFrames(b[countsSize:split]); err != nil {
		return nil, err
	}
	if err := d.parseEntries(b[split:]); err != nil {
		return nil, err
	}
	return d, nil
}

// parseFrames decodes the table of frames into d.Frames, which has its length.
func (d *Directory) parseFrames(b []byte) error {
	off, first := int64(headerSize), int64(0)
	for i := range d.Frames {
		row := b[i*frameSize:][:frameSize]
		stored := int64(binary.BigEndian.Uint32(row))
		plain := int64(binary.BigEndian.Uint32(row[4:]))
		chunks := int64(binary.BigEndian.Uint32(row[8:]))
		codec := Codec(row[12])
		switch {
		case row[13]|row[14]|row[15] != 0:
			return fmt.Errorf("frame %d: reserved bytes are %x: %w", i, row[13:], ErrCorrupt)
		case codec != Raw && codec != Zstd:
			return fmt.Errorf("frame %d has %v: %w", i, codec, ErrCorrupt)
		case plain < 1 || plain > maxFrame:
			return fmt.Errorf("frame %d has %d bytes: %w", i, plain, ErrCorrupt)
		case stored < 1 || codec == Raw && stored != plain:
			return fmt.Errorf("frame %d, %v, has %d bytes in %d: %w", i, codec, plain, stored, ErrCorrupt)
		case off+stored > maxSealed:
			return fmt.Errorf("frame %d ends at %d: %w", i, off+stored, ErrCorrupt)
		case chunks < 1 || chunks > int64(len(d.Entries))-first:
			return fmt.Errorf("frame %d has %d chunks, %d are left: %w", i, chunks, int64(len(d.Entries))-first, ErrCorrupt)
		}
		d.Frames[i] = Frame{off, int(stored), int(plain), codec, int(first), int(chunks)}
		off += stored
		first += chunks
	}
	if left := int64(len(d.Entries)) - first; left != 0 {
		return fmt.Errorf("%d chunks are in no frame: %w", left, ErrCorrupt)
	}
	return nil
}

// parseEntries decodes the table of chunks into d.Entries, which has its length.
// d.Frames is complete.
func (d *Directory) parseEntries(b []byte) error {
	for i, f := range d.Frames {
		off := int64(0)
		for slot := f.First; slot < f.First+f.Chunks; slot++ {
			row := b[slot*entrySize:][:entrySize]
			length := int64(binary.BigEndian.Uint32(row[32:]))
			if length < 1 || length > int64(f.Plain)-off {
				return fmt.Errorf("chunk %d has %d bytes, frame %d has %d left: %w", slot, length, i, int64(f.Plain)-off, ErrCorrupt)
			}
			d.Entries[slot] = Entry{chunk.ID(row[:32]), i, int(off), int(length)}
			off += length
		}
		if off != int64(f.Plain) {
			return fmt.Errorf("frame %d has %d bytes, its chunks have %d: %w", i, f.Plain, off, ErrCorrupt)
		}
	}
	return nil
}

// Append appends the encoded directory to b and returns the result. It writes
// Stored, Plain, Chunks and Codec of frames and ID and Length of chunks; the other
// fields follow from these. Append is the inverse of ParseDirectory.
func (d *Directory) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(d.Frames)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(d.Entries)))
	for i := range d.Frames {
		f := &d.Frames[i]
		b = binary.BigEndian.AppendUint32(b, uint32(f.Stored))
		b = binary.BigEndian.AppendUint32(b, uint32(f.Plain))
		b = binary.BigEndian.AppendUint32(b, uint32(f.Chunks))
		b = append(b, byte(f.Codec), 0, 0, 0)
	}
	for i := range d.Entries {
		e := &d.Entries[i]
		b = append(b, e.ID[:]...)
		b = binary.BigEndian.AppendUint32(b, uint32(e.Length))
	}
	return b
}

// PayloadSize returns the size in bytes of the pack without its age header. So
// the payload of a sealed file begins at its size less PayloadSize, whatever
// header it has.
func (d *Directory) PayloadSize() int64 { return payloadSize(d.plainSize()) }

// size returns the number of bytes that Append appends.
func (d *Directory) size() int {
	return countsSize + frameSize*len(d.Frames) + entrySize*len(d.Entries)
}

// plainSize returns the size of the plaintext of the pack.
func (d *Directory) plainSize() int64 {
	off := int64(headerSize)
	if n := len(d.Frames); n > 0 {
		off = d.Frames[n-1].Offset + int64(d.Frames[n-1].Stored)
	}
	return off + int64(d.size()) + trailerSize
}
