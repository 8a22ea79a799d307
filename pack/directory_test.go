package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/firnstore/firn/chunk"
)

// sampleDirectory has three frames with two, one and two chunks.
func sampleDirectory() *Directory {
	return &Directory{
		Frames: []Frame{
			{Offset: 32, Stored: 30, Plain: 30, Codec: Raw, First: 0, Chunks: 2},
			{Offset: 62, Stored: 900, Plain: maxFrame, Codec: Zstd, First: 2, Chunks: 1},
			{Offset: 962, Stored: 20, Plain: 8, Codec: Zstd, First: 3, Chunks: 2},
		},
		Entries: []Entry{
			{ID: chunk.ID{1}, Frame: 0, Offset: 0, Length: 10},
			{ID: chunk.ID{2}, Frame: 0, Offset: 10, Length: 20},
			{ID: chunk.ID{3}, Frame: 1, Offset: 0, Length: maxFrame},
			{ID: chunk.ID{4}, Frame: 2, Offset: 0, Length: 1},
			{ID: chunk.ID{4}, Frame: 2, Offset: 1, Length: 7},
		},
	}
}

// Invariant 4.
func TestParseDirectoryInvertsAppend(t *testing.T) {
	want := sampleDirectory()
	b := want.Append([]byte("kept"))
	if string(b[:4]) != "kept" {
		t.Fatalf("Append changed what it appends to: %x", b[:4])
	}
	got, err := ParseDirectory(b[4:])
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("parsed %+v, want %+v", got, want)
	}
}

// Invariant 4: each rule of section 6 of docs/format.md by itself.
func TestParseDirectoryRefuses(t *testing.T) {
	const chunks = countsSize + 3*frameSize
	set32 := func(off int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[off:], v)
			return b
		}
	}
	set8 := func(off int, v byte) func([]byte) []byte {
		return func(b []byte) []byte {
			b[off] = v
			return b
		}
	}
	both := func(x, y func([]byte) []byte) func([]byte) []byte {
		return func(b []byte) []byte { return y(x(b)) }
	}
	tests := []struct {
		name   string
		change func([]byte) []byte
		text   string // part of the message, so that the right rule refuses
	}{
		{"empty", func(b []byte) []byte { return nil }, "directory of 0 bytes"},
		{"counts cut", func(b []byte) []byte { return b[:7] }, "directory of 7 bytes"},
		{"counts only", func(b []byte) []byte { return b[:8] }, "in 8 bytes"},
		{"one byte short", func(b []byte) []byte { return b[:len(b)-1] }, "3 frames and 5 chunks in"},
		{"one byte more", func(b []byte) []byte { return append(b, 0) }, "3 frames and 5 chunks in"},
		{"no frames", set32(0, 0), "with 0 frames"},
		{"too many frames", both(set32(0, maxFrames+1), set32(4, maxFrames+1)), "with 65537 frames"},
		{"huge number of frames", set32(0, 1<<32-1), "with 4294967295 frames"},
		{"no chunks", set32(4, 0), "0 chunks in 3 frames"},
		{"fewer chunks than frames", set32(4, 2), "2 chunks in 3 frames"},
		{"too many chunks", set32(4, maxEntries+1), "1048577 chunks"},
		{"count of chunks too large", set32(4, 6), "3 frames and 6 chunks in"},
		{"frame of no stored bytes", set32(8+16, 0), "in 0"},
		{"frame of no bytes", set32(8+16+4, 0), "frame 1 has 0 bytes"},
		{"frame too large", set32(8+16+4, maxFrame+1), "frame 1 has 16777216 bytes"},
		{"raw frame with other stored size", set32(8, 31), "frame 0, raw, has 30 bytes in 31"},
		{"frame without chunks", set32(8+8, 0), "frame 0 has 0 chunks"},
		{"frame with too many chunks", set32(8+32+8, 3), "frame 2 has 3 chunks, 2 are left"},
		{"frame with a huge number of chunks", set32(8+8, 1<<32-1), "frame 0 has 4294967295 chunks"},
		{"later frame without chunks left", set32(8+8, 5), "frame 1 has 1 chunks, 0 are left"},
		{"chunks in no frame", set32(8+32+8, 1), "1 chunks are in no frame"},
		{"unknown codec", set8(8+12, 2), "frame 0 has codec 2"},
		{"reserved byte 0", set8(8+13, 1), "reserved"},
		{"reserved byte 1", set8(8+16+14, 1), "reserved"},
		{"reserved byte 2", set8(8+32+15, 0x80), "reserved"},
		{"chunk of no bytes", set32(chunks+32, 0), "chunk 0 has 0 bytes"},
		{"chunk longer than its frame", set32(chunks+entrySize+32, 21), "chunk 1 has 21 bytes, frame 0 has 20 left"},
		{"chunk of 4 GiB", set32(chunks+32, 1<<32-1), "chunk 0 has 4294967295 bytes"},
		{"chunks shorter than their frame", set32(chunks+entrySize+32, 19), "frame 0 has 30 bytes, its chunks have 29"},
		{"pack too large", set32(8+16, maxSealed), "frame 1 ends at"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ParseDirectory(tt.change(sampleDirectory().Append(nil)))
			if !errors.Is(err, ErrCorrupt) || d != nil {
				t.Fatalf("got %v, %v, want ErrCorrupt", d, err)
			}
			if !strings.Contains(err.Error(), tt.text) {
				t.Errorf("refused with %q, want a message with %q", err, tt.text)
			}
		})
	}
}

// Invariant 4: the largest directory is accepted.
func TestParseDirectoryAcceptsLimits(t *testing.T) {
	d := &Directory{}
	off := int64(headerSize)
	for i := range maxFrames {
		d.Frames = append(d.Frames, Frame{Offset: off, Stored: 16, Plain: 16, First: 16 * i, Chunks: 16})
		off += 16
		for j := range 16 {
			d.Entries = append(d.Entries, Entry{Frame: i, Offset: j, Length: 1})
		}
	}
	b := d.Append(nil)
	if len(b) != maxDirectory {
		t.Fatalf("directory has %d bytes, want %d", len(b), maxDirectory)
	}
	got, err := ParseDirectory(b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Frames, d.Frames) || !slices.Equal(got.Entries, d.Entries) {
		t.Error("parsed directory differs")
	}
}

// Invariant 6. Not parallel: it looks at what the whole process allocates.
func TestParseDirectoryAllocatesNothingForClaims(t *testing.T) {
	claim := binary.BigEndian.AppendUint32(nil, maxFrames)
	claim = binary.BigEndian.AppendUint32(claim, maxEntries)
	claim = append(claim, make([]byte, 1000)...)
	if n := allocated(func() { _, _ = ParseDirectory(claim) }); n > 100<<10 {
		t.Errorf("allocated %d bytes for a directory of %d", n, len(claim))
	}
}

// allocated returns the bytes that f allocates, about.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Invariants 4 and 5.
func FuzzParseDirectory(f *testing.F) {
	f.Add(sampleDirectory().Append(nil))
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 1})
	one := &Directory{Frames: []Frame{{Stored: 5, Plain: 5, Chunks: 1}}, Entries: []Entry{{Length: 5}}}
	f.Add(one.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDirectory(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%v is not ErrCorrupt", err)
			}
			return
		}
		if again := d.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("parsed %x, encoded %x", b, again)
		}
		end := int64(headerSize)
		for i, fr := range d.Frames {
			if fr.Offset != end {
				t.Fatalf("frame %d lies at %d, want %d", i, fr.Offset, end)
			}
			end += int64(fr.Stored)
		}
		for i, e := range d.Entries {
			if fr := d.Frames[e.Frame]; i < fr.First || i >= fr.First+fr.Chunks || e.Offset+e.Length > fr.Plain {
				t.Fatalf("chunk %d %+v is outside of frame %+v", i, e, fr)
			}
		}
	})
}
