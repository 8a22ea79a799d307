package pack

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Level says how hard a Compressor tries. Every level is read at the same speed.
type Level int

// The levels. Against Fastest, Default takes about 1.5 times as long for 2 to 8 %
// less space, Better 3 times for 5 to 14 %, Best 10 to 20 times for 9 to 22 %.
const (
	Fastest Level = iota
	Default
	Better
	Best
)

// String returns the name of the level in lower case.
func (l Level) String() string {
	switch l {
	case Fastest:
		return "fastest"
	case Default:
		return "default"
	case Better:
		return "better"
	case Best:
		return "best"
	default:
		return fmt.Sprintf("level %d", int(l))
	}
}

// zstd returns the level of the library.
func (l Level) zstd() zstd.EncoderLevel {
	switch l {
	case Fastest:
		return zstd.SpeedFastest
	case Default:
		return zstd.SpeedDefault
	case Better:
		return zstd.SpeedBetterCompression
	default:
		return zstd.SpeedBestCompression
	}
}

const (
	// A frame that zstd leaves above this share of its size is stored raw: the
	// gain would not pay for decoding it.
	keepPercent = 98

	// A slow level is not tried on a frame that the fastest one left above this
	// share.
	tryPercent = 97

	// Windows cover whole frames. The usual frame gets by with a small one, which
	// keeps the history of the encoder in the cache of the processor.
	smallWindow = 1 << 20
	largeWindow = 1 << 24
)

// A Compressor encodes frames and lends buffers to Writers. One serves any number
// of packs, several open ones included, but only one goroutine: give each worker
// its own. It keeps a few MiB, and some 20 MiB more once it met a frame above 1 MiB.
type Compressor struct {
	level Level
	// By size of the frame and made when first needed: the encoder of the level,
	// and for slow levels the fastest one to try with.
	encoders, probes [2]*zstd.Encoder

	out  []byte   // the encoded frame, and of slow levels the attempt before
	free [][]byte // buffers for open frames, of the default frame size
}

// NewCompressor returns a Compressor of the level. The only error is an unknown
// level.
func NewCompressor(level Level) (*Compressor, error) {
	if level < Fastest || level > Best {
		return nil, fmt.Errorf("unknown compression %v", level)
	}
	return &Compressor{level: level}, nil
}

// compress returns the stored form of a frame and its codec. The result is plain
// itself or memory of c, good until the next call.
func (c *Compressor) compress(plain []byte) ([]byte, Codec, error) {
	slow := c.level > Default
	if slow {
		if err := c.encode(&c.probes, Fastest, plain); err != nil {
			return nil, 0, err
		}
	}
	if !slow || below(c.out, plain, tryPercent) {
		if err := c.encode(&c.encoders, c.level, plain); err != nil {
			return nil, 0, err
		}
	}
	if below(c.out, plain, keepPercent) {
		return c.out, Zstd, nil
	}
	return plain, Raw, nil
}

// below reports whether a has less than percent of the bytes of b.
func below(a, b []byte, percent int) bool { return len(a)*100 < len(b)*percent }

// encode replaces c.out by plain, encoded with the encoder of set that suits its
// size.
func (c *Compressor) encode(set *[2]*zstd.Encoder, level Level, plain []byte) error {
	i, window := 0, smallWindow
	if len(plain) > smallWindow {
		i, window = 1, largeWindow
	}
	if set[i] == nil {
		e, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel(level.zstd()),
			zstd.WithWindowSize(window),
			zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(window == largeWindow),
			zstd.WithEncoderCRC(false)) // age and the chunk IDs authenticate the bytes
		if err != nil {
			return fmt.Errorf("zstd encoder: %w", err)
		}
		set[i] = e
	}
	c.out = set[i].EncodeAll(plain, c.out[:0])
	return nil
}

// take returns an empty buffer of the default frame size for an open frame.
func (c *Compressor) take() []byte {
	n := len(c.free)
	if n == 0 {
		return make([]byte, 0, defaultFrameSize)
	}
	b := c.free[n-1]
	c.free = c.free[:n-1]
	return b
}

// give takes back what take returned, unless it grew.
func (c *Compressor) give(b []byte) {
	if cap(b) == defaultFrameSize {
		c.free = append(c.free, b[:0])
	}
}

// keepBuffer is the size up to which a buffer that grew is kept for the next use.
const keepBuffer = maxFrame + pieceSize

// decodeSlack is room behind a decoded frame that the decoder does not fill but
// needs for its fast path.
const decodeSlack = 16

// A Decompressor decodes frames. It is meant for one goroutine: give each worker
// its own.
type Decompressor struct {
	zstd   *zstd.Decoder
	stored []byte // the frame as stored
}

// NewDecompressor returns a Decompressor.
func NewDecompressor() (*Decompressor, error) {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecodeAllCapLimit(true), // the buffer bounds what a frame can grow to
		zstd.WithDecoderMaxMemory(largeWindow),
		zstd.WithDecoderMaxWindow(largeWindow))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return &Decompressor{zstd: d}, nil
}

// decode decodes a zstd frame of plain bytes into dst[:0], which grows if needed.
// Whatever the frame claims, no more than that is produced.
func (d *Decompressor) decode(dst, stored []byte, plain int) ([]byte, error) {
	if err := checkZstd(stored, plain); err != nil {
		return nil, err
	}
	dst = room(dst, plain)
	out, err := d.zstd.DecodeAll(stored, dst[:0:min(cap(dst), plain+decodeSlack)])
	if err != nil {
		return nil, fmt.Errorf("zstd: %w: %w", err, ErrCorrupt)
	}
	if len(out) != plain {
		return nil, fmt.Errorf("zstd frame has %d bytes, want %d: %w", len(out), plain, ErrCorrupt)
	}
	return out, nil
}

// checkZstd refuses what the library would take although it is not one frame of
// plain bytes: skippable frames, and several frames in a row.
func checkZstd(stored []byte, plain int) error {
	var h zstd.Header
	if err := h.Decode(stored); err != nil {
		return fmt.Errorf("zstd header: %w: %w", err, ErrCorrupt)
	}
	if h.Skippable || h.DictionaryID != 0 {
		return fmt.Errorf("zstd frame is skippable or needs a dictionary: %w", ErrCorrupt)
	}
	if h.HasFCS && h.FrameContentSize != uint64(plain) {
		return fmt.Errorf("zstd frame claims %d bytes, want %d: %w", h.FrameContentSize, plain, ErrCorrupt)
	}
	rest := stored[h.HeaderSize:]
	for last := false; !last; {
		if len(rest) < 3 {
			return fmt.Errorf("zstd frame ends inside a block: %w", ErrCorrupt)
		}
		word := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
		last = word&1 != 0
		size := word >> 3
		if word>>1&3 == 1 { // run-length block: one byte that is repeated
			size = 1
		}
		if size > len(rest)-3 {
			return fmt.Errorf("zstd frame ends inside a block: %w", ErrCorrupt)
		}
		rest = rest[3+size:]
	}
	if h.HasCheckSum {
		if len(rest) < 4 {
			return fmt.Errorf("zstd frame ends inside its checksum: %w", ErrCorrupt)
		}
		rest = rest[4:]
	}
	if len(rest) != 0 {
		return fmt.Errorf("%d bytes follow the zstd frame: %w", len(rest), ErrCorrupt)
	}
	return nil
}

// room returns dst[:0] with room for n bytes, and some slack if it had to grow.
func room(dst []byte, n int) []byte {
	if cap(dst) >= n {
		return dst[:0]
	}
	return make([]byte, 0, n+decodeSlack)
}
