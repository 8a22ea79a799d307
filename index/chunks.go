package index

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sort"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/pack"
)

// PackNum is the number of a pack in this index, from 1. It is local: another index of
// the same repository may number otherwise. Numbers are not used twice.
type PackNum uint32

// Location says where a chunk lies. Its zero value means nowhere.
type Location struct {
	Pack    PackNum
	Slot    int        // among the chunks of the pack
	FrameNo int        // among its frames
	Frame   pack.Frame // the frame that holds it
	Offset  int        // in the decoded frame
	Length  int
}

// chunkTable is the part of the chunk table that is in memory.
type chunkTable struct {
	runs   atomic.Pointer[runSet]
	filter atomic.Pointer[filter] // nil until misses pay for it; written with Index.apply held
	misses atomic.Int64           // since the filter was made or dropped
}

// Blob of a pack: chunks u32, frames u32, CRC-32C u32, then the chunks in the order in
// which they lie, then the frames. Each CRC is seeded with the pack's number.
const (
	blobHeader = 12
	entrySize  = 42 // ID 32, offset u24, length u24, CRC u32
	frameSize  = 25 // first chunk u32, offset u32, stored u32, plain u32, codec u8, chunks u32, CRC u32
)

func appendU24(b []byte, v int) []byte { return append(b, byte(v>>16), byte(v>>8), byte(v)) }
func u24(b []byte) int                 { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

func appendCRC(b []byte, from int, num PackNum) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Update(uint32(num), castagnoli, b[from:]))
}

func checkCRC(b []byte, num PackNum) bool {
	n := len(b) - 4
	return crc32.Update(uint32(num), castagnoli, b[:n]) == binary.BigEndian.Uint32(b[n:])
}

func appendBlob(b []byte, num PackNum, d *pack.Directory) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(d.Entries)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(d.Frames)))
	b = appendCRC(b, 0, num)
	for i := range d.Entries {
		e, from := &d.Entries[i], len(b)
		b = append(b, e.ID[:]...)
		b = appendU24(b, e.Offset)
		b = appendU24(b, e.Length)
		b = appendCRC(b, from, num)
	}
	for i := range d.Frames {
		f, from := &d.Frames[i], len(b)
		b = binary.BigEndian.AppendUint32(b, uint32(f.First))
		b = binary.BigEndian.AppendUint32(b, uint32(f.Offset))
		b = binary.BigEndian.AppendUint32(b, uint32(f.Stored))
		b = binary.BigEndian.AppendUint32(b, uint32(f.Plain))
		b = append(b, byte(f.Codec))
		b = binary.BigEndian.AppendUint32(b, uint32(f.Chunks))
		b = appendCRC(b, from, num)
	}
	return b
}

// blob reads rows of a pack's blob in place.
type blob struct {
	num             PackNum
	entries, frames []byte
}

// openBlob returns the blob of a pack that is or was there. A dropped pack keeps a blob
// without chunks, so that a blob that is missing is known to be lost.
func openBlob(tx *bolt.Tx, num PackNum) (blob, error) {
	var key [4]byte
	binary.BigEndian.PutUint32(key[:], uint32(num))
	b := tx.Bucket(tableBlobs).Get(key[:])
	if len(b) < blobHeader || !checkCRC(b[:blobHeader], num) {
		return blob{}, fmt.Errorf("%w: chunks of pack number %d", ErrDamaged, num)
	}
	n, f := int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:]))
	if len(b) != blobHeader+n*entrySize+f*frameSize {
		return blob{}, fmt.Errorf("%w: chunks of pack number %d", ErrDamaged, num)
	}
	b = b[blobHeader:]
	return blob{num: num, entries: b[:n*entrySize], frames: b[n*entrySize:]}, nil
}

func (b *blob) dropped() bool { return len(b.entries) == 0 }

// locate returns the location of slot, and the ID that lies there. Frame is left out.
func (b *blob) locate(slot int) (loc Location, id []byte, err error) {
	if (slot+1)*entrySize > len(b.entries) {
		return loc, nil, fmt.Errorf("%w: pack number %d has no chunk %d", ErrDamaged, b.num, slot)
	}
	e := b.entries[slot*entrySize : (slot+1)*entrySize]
	if !checkCRC(e, b.num) {
		return loc, nil, fmt.Errorf("%w: chunk %d of pack number %d fails its check", ErrDamaged, slot, b.num)
	}
	return Location{Pack: b.num, Slot: slot, Offset: u24(e[32:]), Length: u24(e[35:])}, e[:32], nil
}

func (b *blob) frame(i int) (pack.Frame, error) {
	r := b.frames[i*frameSize : (i+1)*frameSize]
	if !checkCRC(r, b.num) {
		return pack.Frame{}, fmt.Errorf("%w: frame %d of pack number %d fails its check", ErrDamaged, i, b.num)
	}
	return pack.Frame{
		First:  int(binary.BigEndian.Uint32(r)),
		Offset: int64(binary.BigEndian.Uint32(r[4:])),
		Stored: int(binary.BigEndian.Uint32(r[8:])),
		Plain:  int(binary.BigEndian.Uint32(r[12:])),
		Codec:  pack.Codec(r[16]),
		Chunks: int(binary.BigEndian.Uint32(r[17:])),
	}, nil
}

func (b *blob) firstOf(frame int) int {
	return int(binary.BigEndian.Uint32(b.frames[frame*frameSize:]))
}

// fillFrame finds the frame that holds loc.Slot.
func (b *blob) fillFrame(loc *Location) (err error) {
	n := len(b.frames) / frameSize
	// Most frames hold about as many chunks, so the first guess is seldom far off.
	i := loc.Slot * n / (len(b.entries) / entrySize)
	if lo, hi := max(i-2, 0), min(i+3, n); lo < hi && b.firstOf(lo) <= loc.Slot && (hi == n || b.firstOf(hi) > loc.Slot) {
		for i = lo; i+1 < hi && b.firstOf(i+1) <= loc.Slot; i++ {
		}
	} else {
		i = sort.Search(n, func(i int) bool { return b.firstOf(i) > loc.Slot }) - 1
	}
	if i >= 0 {
		if loc.Frame, err = b.frame(i); err != nil {
			return err
		}
	}
	// The search believed frames whose checks it did not see.
	if i < 0 || loc.Slot < loc.Frame.First || loc.Slot >= loc.Frame.First+loc.Frame.Chunks {
		return fmt.Errorf("%w: no frame for chunk %d of pack number %d", ErrDamaged, loc.Slot, b.num)
	}
	loc.FrameNo = i
	return nil
}

// directory gives back what appendBlob was given.
func (b *blob) directory() (*pack.Directory, error) {
	d := &pack.Directory{}
	for i := range len(b.frames) / frameSize {
		f, err := b.frame(i)
		if err != nil {
			return nil, err
		}
		d.Frames = append(d.Frames, f)
	}
	d.Entries = make([]pack.Entry, 0, len(b.entries)/entrySize)
	frame := 0
	for i := range len(b.entries) / entrySize {
		loc, id, err := b.locate(i)
		if err != nil {
			return nil, err
		}
		for frame+1 < len(d.Frames) && i >= d.Frames[frame+1].First {
			frame++
		}
		d.Entries = append(d.Entries, pack.Entry{ID: chunk.ID(id), Frame: frame, Offset: loc.Offset, Length: loc.Length})
	}
	return d, nil
}

// Locate finds a location of each chunk. out has the length of ids; what is not
// stored in any pack gets the zero Location. One call is one transaction: ask for
// many at once.
func (x *Index) Locate(ids []chunk.ID, out []Location) error {
	if len(ids) != len(out) {
		panic("index: Locate with slices of two lengths")
	}
	maybe := x.perhapsKnown(ids, out)
	if maybe == 0 {
		return nil
	}
	missed := 0
	err := x.view(func(tx *bolt.Tx) error {
		rs, err := x.runSet(tx)
		if err != nil {
			return err
		}
		s := search{tx: tx, runs: rs}
		for i := range ids {
			if out[i].Pack == 0 {
				continue
			}
			out[i] = Location{}
			err := s.each(ids[i], func(loc *Location) bool {
				out[i] = *loc
				return false
			})
			if err != nil {
				return err
			}
			if out[i].Pack == 0 {
				missed++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.countMisses(missed)
	return nil
}

// perhapsKnown marks with a non-zero Pack what the filter cannot exclude.
func (x *Index) perhapsKnown(ids []chunk.ID, out []Location) (n int) {
	f := x.chunks.filter.Load()
	for i := range ids {
		out[i] = Location{}
		if f == nil || f.has(prefixOf(ids[i])) {
			out[i].Pack = 1
			n++
		}
	}
	return n
}

// countMisses makes the filter once the misses so far have cost about as much as
// making it takes: opening stays free, and a first backup is fast.
func (x *Index) countMisses(missed int) {
	if missed == 0 {
		return
	}
	n := x.chunks.misses.Add(int64(missed))
	rs := x.chunks.runs.Load()
	if x.chunks.filter.Load() != nil || rs == nil || n*20 < int64(rs.entries) || !x.apply.TryLock() {
		return
	}
	defer x.apply.Unlock()
	var f *filter
	err := x.view(func(tx *bolt.Tx) error {
		rs, err := x.runSet(tx)
		if err != nil {
			return err
		}
		f = newFilter(rs.entries)
		return rs.scan(tx, func(e runEntry) { f.add(e.prefix()) })
	})
	if err != nil {
		return // the next lookup meets the same damage and reports it
	}
	x.chunks.filter.Store(f)
}

// LocateAll calls f for every location of each chunk, with the place of the chunk in ids.
// The first location of a chunk is the one that Locate gives. One call is one transaction.
func (x *Index) LocateAll(ids []chunk.ID, f func(i int, loc *Location)) error {
	return x.view(func(tx *bolt.Tx) error {
		rs, err := x.runSet(tx)
		if err != nil {
			return err
		}
		s := search{tx: tx, runs: rs}
		for i := range ids {
			err := s.each(ids[i], func(loc *Location) bool {
				f(i, loc)
				return true
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Locations returns every location of a chunk.
func (x *Index) Locations(id chunk.ID) (locs []Location, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		rs, err := x.runSet(tx)
		if err != nil {
			return err
		}
		s := search{tx: tx, runs: rs}
		return s.each(id, func(loc *Location) bool {
			locs = append(locs, *loc)
			return true
		})
	})
	return locs, err
}

// forgetFilter drops the filter, so that benchmarks can show its making.
func (x *Index) forgetFilter() {
	x.chunks.filter.Store(nil)
	x.chunks.misses.Store(0)
}
