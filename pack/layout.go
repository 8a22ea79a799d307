package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/firnstore/firn/chunk"
)

var (
	// ErrCorrupt means that what was read is not what was written: bytes were
	// changed, cut off or added, or the caller asks for a frame that the pack
	// cannot have.
	ErrCorrupt = errors.New("corrupt pack")

	// ErrWrongKey means that none of the identities opens the pack. Damage to the
	// part of the age header that names the recipient looks the same.
	ErrWrongKey = errors.New("no identity opens the pack")

	// ErrVersion means that the pack has a version that this package does not know.
	ErrVersion = errors.New("unknown pack version")
)

// Limits of the format, section 14 of docs/format.md.
const (
	maxChunk   = 1<<24 - 1 // bytes of a chunk
	maxFrame   = 1<<24 - 1 // bytes of a decoded frame
	maxSealed  = 1 << 30   // bytes of a sealed pack
	maxFrames  = 1 << 16   // frames of a pack
	maxEntries = 1 << 20   // chunks of a pack
)

// Sizes and fixed bytes of the plaintext, section 6 of docs/format.md.
const (
	packMagic   = "firnpack"
	packVersion = 1
	headerSize  = 32

	trailerMagic = "firn-dir"
	trailerSize  = 16

	minPlain = headerSize + 1 + minDirectory + trailerSize // of a whole pack
)

// appendHeader appends the first 32 bytes of a pack to b.
func appendHeader(b []byte, id ID, kind Kind) []byte {
	b = append(b, packMagic...)
	b = binary.BigEndian.AppendUint16(b, packVersion)
	b = append(b, byte(kind), 0)
	b = append(b, id[:]...)
	return append(b, 0, 0, 0, 0)
}

// parseHeader reads what appendHeader wrote. b has 32 bytes.
func parseHeader(b []byte) (ID, Kind, error) {
	if string(b[:8]) != packMagic {
		return ID{}, 0, fmt.Errorf("magic is %q: %w", b[:8], ErrCorrupt)
	}
	if v := binary.BigEndian.Uint16(b[8:]); v != packVersion {
		return ID{}, 0, fmt.Errorf("version is %d: %w", v, ErrVersion)
	}
	kind := Kind(b[10])
	if kind != Data && kind != Meta {
		return ID{}, 0, fmt.Errorf("pack is of %v: %w", kind, ErrCorrupt)
	}
	if b[11] != 0 || binary.BigEndian.Uint32(b[28:]) != 0 {
		return ID{}, 0, fmt.Errorf("reserved bytes of the header are %x and %x: %w", b[11], b[28:32], ErrCorrupt)
	}
	return ID(b[12:28]), kind, nil
}

// appendTrailer appends the last 16 bytes of a pack to b. size is that of the
// directory.
func appendTrailer(b []byte, size int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	b = append(b, 0, 0, 0, 0)
	return append(b, trailerMagic...)
}

// parseTrailer reads what appendTrailer wrote and returns the size of the
// directory. b has 16 bytes, plain is the size of the plaintext that it ends.
func parseTrailer(b []byte, plain int64) (int, error) {
	if string(b[8:16]) != trailerMagic {
		return 0, fmt.Errorf("magic of the trailer is %q: %w", b[8:16], ErrCorrupt)
	}
	if binary.BigEndian.Uint32(b[4:]) != 0 {
		return 0, fmt.Errorf("reserved bytes of the trailer are %x: %w", b[4:8], ErrCorrupt)
	}
	size := int64(binary.BigEndian.Uint32(b))
	if size < minDirectory || size > maxDirectory || size >= plain-headerSize-trailerSize {
		return 0, fmt.Errorf("directory of %d bytes in %d: %w", size, plain, ErrCorrupt)
	}
	return int(size), nil
}

// parseEnd decodes the directory of a pack from end, the last bytes of its
// plaintext of size bytes. If the directory begins before end does, it returns
// instead how many bytes end must have. end has 16 bytes or more.
func parseEnd(end []byte, size int64) (d *Directory, need int, err error) {
	body := len(end) - trailerSize
	length, err := parseTrailer(end[body:], size)
	if err != nil {
		return nil, 0, err
	}
	if length > body {
		return nil, length + trailerSize, nil
	}
	if d, err = ParseDirectory(end[body-length : body]); err != nil {
		return nil, 0, err
	}
	if got := d.plainSize(); got != size {
		return nil, 0, fmt.Errorf("directory describes a plaintext of %d bytes, not %d: %w", got, size, ErrCorrupt)
	}
	return d, 0, nil
}

// layout writes the plaintext of a pack: start, then frame after frame, then
// finish. It knows sizes and places and no compression.
type layout struct {
	out     io.Writer
	limit   int64 // bytes that the plaintext may have
	off     int64 // bytes of header and frames written so far
	dir     Directory
	pending int // chunks noted since the last frame
}

// start writes the header.
func (l *layout) start(id ID, kind Kind) error {
	l.off = headerSize
	return l.write(appendHeader(nil, id, kind), "header")
}

// note records that the next chunk of the next frame is length bytes long.
func (l *layout) note(id chunk.ID, length int) error {
	if len(l.dir.Entries) == maxEntries {
		return fmt.Errorf("pack has %d chunks already", maxEntries)
	}
	e := Entry{ID: id, Frame: len(l.dir.Frames), Length: length}
	if l.pending > 0 {
		before := l.dir.Entries[len(l.dir.Entries)-1]
		e.Offset = before.Offset + before.Length
	}
	l.dir.Entries = append(l.dir.Entries, e)
	l.pending++
	return nil
}

// frame writes the frame that holds the chunks noted since the one before.
func (l *layout) frame(stored []byte, codec Codec) error {
	if len(l.dir.Frames) == maxFrames {
		return fmt.Errorf("pack has %d frames already", maxFrames)
	}
	last := l.dir.Entries[len(l.dir.Entries)-1]
	l.dir.Frames = append(l.dir.Frames, Frame{
		Offset: l.off,
		Stored: len(stored),
		Plain:  last.Offset + last.Length,
		Codec:  codec,
		First:  len(l.dir.Entries) - l.pending,
		Chunks: l.pending,
	})
	l.pending = 0
	l.off += int64(len(stored))
	if size := l.dir.plainSize(); size > l.limit {
		return fmt.Errorf("pack would have %d bytes of plaintext, the limit is %d", size, l.limit)
	}
	return l.write(stored, "frame")
}

// finish writes directory and trailer and returns the directory as written.
func (l *layout) finish() ([]byte, error) {
	dir := l.dir.Append(make([]byte, 0, l.dir.size()+trailerSize))
	end := appendTrailer(dir, len(dir))
	return dir, l.write(end, "directory")
}

func (l *layout) write(b []byte, what string) error {
	if _, err := l.out.Write(b); err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
}
