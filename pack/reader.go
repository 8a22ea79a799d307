package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"filippo.io/age"
)

// A Reader reads a sealed pack. It is safe for concurrent use if its source is,
// and it is not closed: the source is the caller's.
//
// Every range that a Reader needs is one ReadAt of the source, so a source may be
// a remote one. Opening takes one for the first 128 KiB and one for the last
// piece of up to 64 KiB, if that is not among them. age needs the last piece to
// authenticate the size.
type Reader struct {
	src   io.ReaderAt
	shift int64 // an offset in src less that in the file which age sees
	id    ID
	kind  Kind
	plain int64 // size of the plaintext
	key   FileKey
	head  []byte // the age header and the nonce
	last  []byte // the last piece as sealed

	windows sync.Pool // of *window
}

// firstRead is what a Reader fetches when it is opened: the largest age header,
// the nonce and the first piece fit.
const firstRead = 128 << 10

// NewReader opens the pack that is src from 0 to size. ids are tried in order.
//
// The error is ErrWrongKey if none opens the pack, ErrVersion if the pack is newer
// than this package, ErrCorrupt if it is damaged or no pack, and otherwise that
// of src.
func NewReader(src io.ReaderAt, size int64, ids ...age.Identity) (*Reader, error) {
	first, err := readFirst(src, 0, size)
	if err != nil {
		return nil, err
	}
	header, err := age.ExtractHeader(bytes.NewReader(first))
	if err != nil {
		return nil, fmt.Errorf("open pack: %w: %w", err, ErrCorrupt)
	}
	key, err := OpenKey(header, ids...)
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	n := len(header)
	return newReader(src, size, int64(n), key, first[n:])
}

// NewReaderWithKey opens a pack with the key of an age header that was kept apart.
// The payload of the pack is src from payload to size: payload is the length of
// the header that the file still has, or 0 if it has none. See
// [Directory.PayloadSize]. Errors are those of NewReader; a key of another pack is
// ErrCorrupt.
func NewReaderWithKey(src io.ReaderAt, size, payload int64, key FileKey) (*Reader, error) {
	if payload < 0 || payload > size {
		return nil, fmt.Errorf("open pack: payload at %d of %d: %w", payload, size, ErrCorrupt)
	}
	first, err := readFirst(src, payload, size)
	if err != nil {
		return nil, err
	}
	return newReader(src, size, payload, key, first)
}

// readFirst reads the beginning of src from off to size.
func readFirst(src io.ReaderAt, off, size int64) ([]byte, error) {
	if size > maxSealed {
		return nil, fmt.Errorf("open pack: %d bytes are above the limit of %d: %w", size, maxSealed, ErrCorrupt)
	}
	if size-off < 1 {
		return nil, fmt.Errorf("open pack: it has %d bytes: %w", size-off, ErrCorrupt)
	}
	first := make([]byte, min(size-off, firstRead))
	if err := readFull(src, first, off); err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	return first, nil
}

// newReader opens a pack whose payload is src from payload to size. first holds
// its first bytes, enough for one piece or all.
func newReader(src io.ReaderAt, size, payload int64, key FileKey, first []byte) (*Reader, error) {
	plain, err := plainSize(size - payload)
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	if plain < minPlain {
		return nil, fmt.Errorf("open pack: plaintext of %d bytes: %w", plain, ErrCorrupt)
	}
	r := &Reader{src: src, plain: plain, key: key}
	r.head = append(append(r.head, key.header...), first[:nonceSize]...)
	r.shift = payload - int64(len(key.header))

	w := &window{r: r, off: int64(len(r.head)), buf: first[nonceSize:]}
	lastOff, lastEnd := r.sealedRange(plain-1, plain)
	r.last = make([]byte, lastEnd-lastOff)
	if n := copy(r.last, w.buf[min(int64(len(w.buf)), lastOff-w.off):]); n < len(r.last) {
		if err := readFull(src, r.last, lastOff+r.shift); err != nil {
			return nil, fmt.Errorf("open pack: read last piece: %w", err)
		}
	}
	if err := w.openAge(); err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	var header [headerSize]byte
	if err := w.read(header[:], 0); err != nil {
		return nil, fmt.Errorf("open pack: read header: %w", err)
	}
	if r.id, r.kind, err = parseHeader(header[:]); err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	w.buf = nil // larger than its user would guess from the frames
	r.windows.Put(w)
	return r, nil
}

// ID returns the ID that the pack itself claims.
func (r *Reader) ID() ID { return r.id }

// Kind returns the kind that the pack itself claims.
func (r *Reader) Kind() Kind { return r.kind }

// Directory reads the directory at the end of the pack. It is not kept.
func (r *Reader) Directory() (*Directory, error) {
	const guess = 64 << 10 // 1800 chunks
	for n := int(min(r.plain-headerSize, guess)); ; {
		end := make([]byte, n)
		if err := r.readRange(end, r.plain-int64(n)); err != nil {
			return nil, fmt.Errorf("pack %v: read directory: %w", r.id, err)
		}
		dir, need, err := parseEnd(end, r.plain)
		if err != nil {
			return nil, fmt.Errorf("pack %v: %w", r.id, err)
		}
		if dir != nil {
			return dir, nil
		}
		n = need
	}
}

// ReadFrame decodes a frame of the directory of the pack into dst[:0], which
// grows if needed, and returns it: exactly f.Plain bytes. A dst with 16 bytes more
// of capacity than that decodes faster.
//
// A frame that is damaged, or that the pack cannot have, is ErrCorrupt; other
// errors are those of the source. Frames are authentic, but their chunks are
// still to be checked against their IDs.
func (r *Reader) ReadFrame(dst []byte, f Frame, dec *Decompressor) ([]byte, error) {
	out, err := r.ReadFrames([][]byte{dst}, []Frame{f}, dec)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// ReadFrames is ReadFrame for frames that follow one another in the pack. It
// fetches them in one read of the source, and so holds them all in memory, as
// stored. dst[i] gets frames[i]; what is missing in dst is added.
func (r *Reader) ReadFrames(dst [][]byte, frames []Frame, dec *Decompressor) ([][]byte, error) {
	if len(frames) == 0 {
		return dst[:0], nil
	}
	begin := frames[0].Offset
	end := begin
	for _, f := range frames {
		if err := r.checkFrame(f, end); err != nil {
			return nil, fmt.Errorf("pack %v: frame at %d: %w", r.id, f.Offset, err)
		}
		end += int64(f.Stored)
	}
	w, err := r.fetch(begin, end)
	if err != nil {
		return nil, fmt.Errorf("pack %v: read frame at %d: %w", r.id, begin, err)
	}
	defer r.release(w)
	for len(dst) < len(frames) {
		dst = append(dst, nil)
	}
	dst = dst[:len(frames)]
	for i, f := range frames {
		if dst[i], err = w.frame(dst[i], f, dec); err != nil {
			return nil, fmt.Errorf("pack %v: read frame at %d: %w", r.id, f.Offset, err)
		}
	}
	return dst, nil
}

// ReadPart reads n bytes at off of a frame that is stored raw, which can be had of a damaged
// one, too, where the pieces that age seals are whole. Its errors are those of ReadFrame.
func (r *Reader) ReadPart(f Frame, off, n int) ([]byte, error) {
	err := r.checkFrame(f, f.Offset)
	if err == nil && (f.Codec != Raw || off < 0 || n < 0 || off > f.Plain-n) {
		err = fmt.Errorf("%d bytes at %d of a %v frame of %d: %w", n, off, f.Codec, f.Plain, ErrCorrupt)
	}
	b := make([]byte, max(n, 0))
	if err == nil {
		err = r.readRange(b, f.Offset+int64(off))
	}
	if err != nil {
		return nil, fmt.Errorf("pack %v: read at %d: %w", r.id, f.Offset+int64(off), err)
	}
	return b, nil
}

// checkFrame refuses a frame that cannot be one of the pack at off.
func (r *Reader) checkFrame(f Frame, off int64) error {
	switch limit := r.plain - minDirectory - trailerSize; {
	case f.Offset != off || off < headerSize || off >= limit:
		return fmt.Errorf("expected at %d, below %d: %w", off, limit, ErrCorrupt)
	case f.Stored < 1 || int64(f.Stored) > limit-off:
		return fmt.Errorf("%d bytes stored, at most %d fit: %w", f.Stored, limit-off, ErrCorrupt)
	case f.Plain < 1 || f.Plain > maxFrame:
		return fmt.Errorf("%d bytes: %w", f.Plain, ErrCorrupt)
	case f.Codec != Zstd && (f.Codec != Raw || f.Stored != f.Plain):
		return fmt.Errorf("%v, %d bytes in %d: %w", f.Codec, f.Plain, f.Stored, ErrCorrupt)
	}
	return nil
}

// readRange fills p with the plaintext from off on.
func (r *Reader) readRange(p []byte, off int64) error {
	w, err := r.fetch(off, off+int64(len(p)))
	if err != nil {
		return err
	}
	defer r.release(w)
	return w.read(p, off)
}

// sealedRange returns where the pieces that cover the plaintext from begin to end
// lie in the file that age sees.
func (r *Reader) sealedRange(begin, end int64) (int64, int64) {
	base := int64(len(r.head))
	return base + begin/pieceSize*sealedPiece,
		min(base+(end+pieceSize-1)/pieceSize*sealedPiece, r.sealedSize())
}

// sealedSize returns the size of the file that age sees.
func (r *Reader) sealedSize() int64 {
	return int64(len(r.head)) - nonceSize + payloadSize(r.plain)
}

// fetch returns a window over the plaintext from begin to end, which lies in the
// pack. The caller releases it.
func (r *Reader) fetch(begin, end int64) (*window, error) {
	w, _ := r.windows.Get().(*window)
	if w == nil {
		w = &window{r: r}
		if err := w.openAge(); err != nil {
			return nil, err
		}
	}
	off, stop := r.sealedRange(begin, end)
	n := int(stop - off)
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	w.off, w.buf = off, w.buf[:n]
	if err := readFull(r.src, w.buf, off+r.shift); err != nil {
		w.buf = w.buf[:0]
		r.release(w)
		return nil, err
	}
	return w, nil
}

// release takes a window back.
func (r *Reader) release(w *window) {
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
	r.windows.Put(w)
}

// A window is a fetched range of the pack and the age reader that decrypts it. It
// stands for the whole file towards age, which would otherwise read the source
// once for every piece of 64 KiB.
type window struct {
	r   *Reader
	age io.ReaderAt
	off int64 // of buf in the file that age sees
	buf []byte
}

// openAge makes w.age. This costs some 40 µs, with the last piece authenticated.
func (w *window) openAge() error {
	plain, n, err := age.DecryptReaderAt(w, w.r.sealedSize(), age.NewInjectedFileKeyIdentity(*w.r.key.key))
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	if n != w.r.plain {
		return fmt.Errorf("age finds %d bytes of plaintext, not %d: %w", n, w.r.plain, ErrCorrupt)
	}
	w.age = plain
	return nil
}

// ReadAt is called by age. It serves the header, the last piece and the fetched
// range, whatever p asks for first.
func (w *window) ReadAt(p []byte, off int64) (int, error) {
	lastOff := w.r.sealedSize() - int64(len(w.r.last))
	var from []byte
	switch {
	case off < int64(len(w.r.head)):
		from = w.r.head[off:]
	case off >= lastOff:
		from = w.r.last[min(off-lastOff, int64(len(w.r.last))):]
	case off >= w.off && off < w.off+int64(len(w.buf)):
		from = w.buf[off-w.off:]
	}
	if n := copy(p, from); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}

// read fills p with the plaintext from off on, which is in the window.
func (w *window) read(p []byte, off int64) error {
	n, err := w.age.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return fmt.Errorf("%w: %w", err, ErrCorrupt)
}

// frame decodes a frame that is in the window.
func (w *window) frame(dst []byte, f Frame, dec *Decompressor) ([]byte, error) {
	if f.Codec == Raw {
		dst = room(dst, f.Plain)[:f.Plain]
		return dst, w.read(dst, f.Offset)
	}
	stored := room(dec.stored, f.Stored)[:f.Stored]
	if len(stored) <= keepBuffer {
		dec.stored = stored
	}
	if err := w.read(stored, f.Offset); err != nil {
		return nil, err
	}
	return dec.decode(dst, stored, f.Plain)
}

// readFull fills p from src. A source that ends before is ErrCorrupt, since the
// caller knew its size; other errors are the source's own.
func readFull(src io.ReaderAt, p []byte, off int64) error {
	n, err := src.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("source ends at %d: %w", off+int64(n), ErrCorrupt)
	}
	return err
}
