package pack

import (
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/firnstore/firn/chunk"
)

const defaultFrameSize = 1 << 20

// Options say how to write a pack.
type Options struct {
	ID   ID
	Kind Kind

	// Recipient is whom the pack is sealed to: the data or the metadata recipient
	// of the repository, according to Kind.
	Recipient age.Recipient

	// Compressor is lent to the Writer, which uses it inside of its own methods
	// only. Nil means one of its own at level Fastest.
	Compressor *Compressor

	// FrameSize is how many bytes of small chunks share a frame, at most
	// 16 777 215. Zero means 1 MiB.
	FrameSize int
}

// withDefaults checks o and returns it complete.
func (o Options) withDefaults() (Options, error) {
	if o.Kind != Data && o.Kind != Meta {
		return o, fmt.Errorf("pack of %v", o.Kind)
	}
	if o.Recipient == nil {
		return o, errors.New("pack without a recipient")
	}
	if o.FrameSize == 0 {
		o.FrameSize = defaultFrameSize
	}
	if o.FrameSize < 1 || o.FrameSize > maxFrame {
		return o, fmt.Errorf("frame size %d is not in 1 to %d", o.FrameSize, maxFrame)
	}
	if o.Compressor == nil {
		c, err := NewCompressor(Fastest)
		if err != nil {
			return o, err
		}
		o.Compressor = c
	}
	return o, nil
}

// A Writer makes one pack. It belongs to one goroutine. After the first error of
// any method, all of them return that error and what dst got is worthless.
type Writer struct {
	opt    Options
	seal   *sealer
	layout layout
	open   []byte // the open frame: small chunks that wait for company
	plain  int64  // bytes of all chunks
	err    error
}

// errClosed is what the methods of a closed Writer return.
var errClosed = errors.New("pack is closed")

// Sealed describes a finished pack. Together with the place of its file, it is
// all that a commit says about the pack.
type Sealed struct {
	ID        ID
	Kind      Kind
	Size      int64    // bytes written to dst
	Digest    [32]byte // their BLAKE3
	AgeHeader []byte   // the first of them, up to the payload
	Directory []byte   // encoded, the same bytes as in the pack
	Plain     int64    // bytes of all chunks
	Stored    int64    // bytes of all frames as stored
}

// NewWriter starts a pack and writes its first bytes to dst. A pack that is not
// closed needs no care but that of what dst got.
//
// dst gets pieces of some 64 KiB in order, and nothing in Writer is durable
// before the caller made it so.
func NewWriter(dst io.Writer, opt Options) (*Writer, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	seal, err := newSealer(dst, opt.Recipient)
	if err != nil {
		return nil, fmt.Errorf("seal pack %v: %w", opt.ID, err)
	}
	w := &Writer{opt: opt, seal: seal, open: opt.Compressor.take()}
	w.layout.out = seal
	w.layout.limit = seal.plainLimit()
	if err := w.layout.start(opt.ID, opt.Kind); err != nil {
		return nil, w.fail(err)
	}
	return w, nil
}

// Add appends a chunk of 1 to 16 777 215 bytes. data is not retained. A chunk of
// at least half the frame size becomes a frame of its own; smaller ones are
// copied into the open frame, which is compressed and written before it would
// exceed the frame size.
//
// Nothing checks that id belongs to data or that it is new in the pack.
func (w *Writer) Add(id chunk.ID, data []byte) error {
	if w.err != nil {
		return w.err
	}
	if len(data) < 1 || len(data) > maxChunk {
		return w.fail(fmt.Errorf("chunk %v has %d bytes, not 1 to %d", id, len(data), maxChunk))
	}
	own := len(data) >= (w.opt.FrameSize+1)/2
	if own || len(w.open)+len(data) > w.opt.FrameSize {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if err := w.layout.note(id, len(data)); err != nil {
		return w.fail(err)
	}
	w.plain += int64(len(data))
	if own {
		return w.writeFrame(data)
	}
	w.open = append(w.open, data...)
	return nil
}

// Flush closes the open frame, so that the next chunk begins a new one. It is
// not needed before Close.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.open) == 0 {
		return w.err
	}
	err := w.writeFrame(w.open)
	w.open = w.open[:0]
	return err
}

// writeFrame writes plain, which holds the chunks noted since the last frame.
func (w *Writer) writeFrame(plain []byte) error {
	stored, codec, err := w.opt.Compressor.compress(plain)
	if err != nil {
		return w.fail(err)
	}
	if err := w.layout.frame(stored, codec); err != nil {
		return w.fail(err)
	}
	return nil
}

// Size returns the bytes of the pack so far: what was written, and the open frame
// before compression. It does not count the directory, which takes 36 bytes a
// chunk, nor what age adds. It is there to decide when to close.
func (w *Writer) Size() int64 { return w.layout.off + int64(len(w.open)) }

// Chunks returns the number of chunks added so far.
func (w *Writer) Chunks() int { return len(w.layout.dir.Entries) }

// Close finishes the pack and describes it. It does not close dst. A pack
// without chunks cannot be closed: that is an error like any other.
func (w *Writer) Close() (Sealed, error) {
	if err := w.Flush(); err != nil {
		return Sealed{}, err
	}
	if w.Chunks() == 0 {
		return Sealed{}, w.fail(errors.New("pack has no chunks"))
	}
	dir, err := w.layout.finish()
	if err != nil {
		return Sealed{}, w.fail(err)
	}
	// What the commit will say about the pack must be readable. Better to notice
	// here than when the pack is needed.
	if _, err := ParseDirectory(dir); err != nil {
		return Sealed{}, w.fail(fmt.Errorf("own directory: %w", err))
	}
	if err := w.seal.Close(); err != nil {
		return Sealed{}, w.fail(err)
	}
	s := Sealed{
		ID:        w.opt.ID,
		Kind:      w.opt.Kind,
		Size:      w.seal.size,
		Digest:    w.seal.digest(),
		AgeHeader: w.seal.header,
		Directory: dir,
		Plain:     w.plain,
		Stored:    w.layout.off - headerSize,
	}
	w.fail(errClosed)
	return s, nil
}

// fail makes err, with the name of the pack, the error of all that follows. It
// returns it.
func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("write pack %v: %w", w.opt.ID, err)
	w.opt.Compressor.give(w.open)
	w.open = nil
	return w.err
}
