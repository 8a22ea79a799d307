package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/repo"
)

// window is a part of the work that is done together: chunks of many files, or of a
// part of one, fetched in the order in which they lie in packs. While one is worked on,
// the walk fills the next.
type window struct {
	starts []*outFile
	wants  []chunk.ID
	spots  []spot // where the wants go; those of a file in the order of offsets
	holes  []spot
}

// spot is a stretch of a file.
type spot struct {
	f   *outFile
	off int64
	n   int64
}

// windowLimits bound a window, and by that the memory of a restore.
type windowLimits struct {
	files     int // begun in it
	stretches int // chunks and holes
}

// 32 Ki chunks of 64 KiB are 2 GiB, some 60 packs: reading in their order is nearly
// reading each once. It costs about 5 MB.
var defaultWindow = windowLimits{files: 4 << 10, stretches: 32 << 10}

// compareRun is how many stretches of a window one goroutine compares at a time.
const compareRun = 64

func (rs *restorer) addStart(f *outFile) {
	rs.window.starts = append(rs.window.starts, f)
	if len(rs.window.starts) >= rs.opt.limits.files {
		rs.flush()
	}
}

func (rs *restorer) addStretch(f *outFile, e repo.Extent) {
	w := rs.window
	s := spot{f, e.Off, e.Len}
	if e.Hole() {
		w.holes = append(w.holes, s)
	} else {
		w.wants, w.spots = append(w.wants, e.ID), append(w.spots, s)
	}
	if len(w.wants)+len(w.holes) >= rs.opt.limits.stretches {
		rs.flush()
	}
}

// flush hands the window over as soon as the one before is done.
func (rs *restorer) flush() {
	w := rs.window
	rs.window = &window{}
	rs.working.Wait()
	if rs.ctx.Err() == nil && len(w.starts)+len(w.wants)+len(w.holes) > 0 {
		rs.working.Go(func() { rs.process(w) })
	}
}

func (rs *restorer) process(w *window) {
	rs.parallel(len(w.starts), func(i int) { w.starts[i].start() })
	rs.parallel(len(w.holes), func(i int) { w.holes[i].f.hole(w.holes[i]) })
	rs.dropPresent(w)
	if rs.ctx.Err() != nil || len(w.wants) == 0 {
		return
	}
	err := rs.r.Fetch(rs.ctx, w.wants, rs.opt.Workers, func(p []repo.Piece) error { return rs.deliver(w, p) })
	if err != nil {
		rs.cancel(err)
	}
}

// parallel calls f for 0 to n-1 from several goroutines, until the restore ends.
func (rs *restorer) parallel(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(rs.opt.Workers, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && rs.ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// dropPresent takes the chunks out of the window that need not be fetched, because they
// are in place or nothing can be done with them.
func (rs *restorer) dropPresent(w *window) {
	if !slices.ContainsFunc(w.spots, func(s spot) bool { return s.f.way == rewrite }) {
		return
	}
	present := make([]bool, len(w.wants))
	runs := (len(w.wants) + compareRun - 1) / compareRun
	rs.parallel(runs, func(i int) {
		var buf []byte
		for k := i * compareRun; k < min(len(w.wants), (i+1)*compareRun); k++ {
			present[k] = w.spots[k].f.has(w.spots[k], w.wants[k], &buf)
		}
	})
	if rs.ctx.Err() != nil {
		return
	}
	left := 0
	for k, s := range w.spots {
		if present[k] {
			rs.Bytes.Add(s.n)
			s.f.done(1)
			continue
		}
		w.wants[left], w.spots[left] = w.wants[k], s
		left++
	}
	w.wants, w.spots = w.wants[:left], w.spots[:left]
}

// deliver writes the chunks of a frame. Stretches of one file that follow each other
// are written together.
func (rs *restorer) deliver(w *window, pieces []repo.Piece) error {
	order := slices.Clone(pieces)
	slices.SortFunc(order, func(a, b repo.Piece) int { return cmp.Compare(a.Want, b.Want) })
	var parts [][]byte
	for len(order) > 0 {
		s := w.spots[order[0].Want]
		if err := checkPiece(order[0], s); err != nil {
			s.f.lose(fmt.Errorf("at offset %d: %w", s.off, err))
			s.f.done(1)
			order = order[1:]
			continue
		}
		var n int64
		parts, n = w.adjacent(order, parts[:0])
		s.f.take(parts, s.off)
		rs.Bytes.Add(n)
		rs.BytesRead.Add(n)
		s.f.done(int64(len(parts)))
		order = order[len(parts):]
	}
	return context.Cause(rs.ctx)
}

// adjacent appends the data of the first pieces that belong to one file, one behind the
// other, and adds up their bytes.
func (w *window) adjacent(order []repo.Piece, parts [][]byte) (_ [][]byte, n int64) {
	first := w.spots[order[0].Want]
	for _, p := range order {
		s := w.spots[p.Want]
		if s.f != first.f || s.off != first.off+n || checkPiece(p, s) != nil {
			break
		}
		parts, n = append(parts, p.Data), n+s.n
	}
	return parts, n
}

func checkPiece(p repo.Piece, s spot) error {
	if p.Err == nil && int64(len(p.Data)) != s.n {
		return fmt.Errorf("chunk of %d bytes for a stretch of %d: %w", len(p.Data), s.n, repo.ErrDamaged)
	}
	return p.Err
}

// take writes parts that follow each other from off on.
func (f *outFile) take(parts [][]byte, off int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return
	}
	if f.keep(f.ready()); f.err != nil {
		return
	}
	f.keep(f.put(parts, off))
	f.rest()
}

// put writes parts, or those that differ when it is not known yet. f.mu is held.
func (f *outFile) put(parts [][]byte, off int64) error {
	_, inline := f.node.Data().Inline()
	if f.fresh || !inline { // what was in place already was dropped from the window
		return f.write(parts, off)
	}
	var buf []byte
	for _, p := range parts {
		same, err := f.holds(p, off, &buf)
		if err != nil {
			return err
		}
		if !same {
			if err := f.write([][]byte{p}, off); err != nil {
				return err
			}
		}
		off += int64(len(p))
	}
	return nil
}

// holds reports whether the file has the bytes p at off.
func (f *outFile) holds(p []byte, off int64, buf *[]byte) (bool, error) {
	if off+int64(len(p)) > f.size {
		return false, nil
	}
	*buf = slices.Grow((*buf)[:0], len(p))[:len(p)]
	n, err := f.h.readAt(*buf, off)
	return n == len(p) && bytes.Equal(*buf, p), err
}

// write writes parts one behind the other, around blocks of zeros where these are to be
// holes. f.mu is held.
func (f *outFile) write(parts [][]byte, off int64) (err error) {
	if err := f.firstWrite(); err != nil {
		return err
	}
	n := int64(0)
	if f.fresh && f.sparse() {
		for _, p := range parts {
			err = f.writeAround(p, off+n)
			n += int64(len(p))
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range parts {
		n += int64(len(p))
	}
	if n == 0 {
		return nil
	}
	if err := f.h.writeParts(parts, off); err != nil {
		return err
	}
	f.written(off, n)
	return nil
}

// firstWrite closes an existing file to those who could not read it with the mode it is
// going to have.
func (f *outFile) firstWrite() error {
	if f.wrote {
		return nil
	}
	f.wrote = true
	if f.have == nil || f.have.Mode&^f.node.Mode&0o777 == 0 {
		return nil
	}
	return f.h.inode().chmod(f.have.Mode&f.node.Mode&0o777 | 0o600)
}

func (f *outFile) written(off, n int64) {
	f.size = max(f.size, off+n)
	f.rs.res.written.Add(n)
	f.rs.BytesNew.Add(n)
}

// zeroBlock is the size of the blocks that can be holes.
const zeroBlock = 4096

// writeAround writes p but for whole blocks of zeros.
func (f *outFile) writeAround(p []byte, off int64) error {
	from, at := 0, min(len(p), int(-off&(zeroBlock-1)))
	for at < len(p) {
		end := min(len(p), at+zeroBlock)
		if end-at < zeroBlock || !chunk.IsZero(p[at:end]) {
			at = end
			continue
		}
		if err := f.writeRun(p[from:at], off+int64(from)); err != nil {
			return err
		}
		from, at = end, end
	}
	return f.writeRun(p[from:], off+int64(from))
}

func (f *outFile) writeRun(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	if err := f.h.writeAt(p, off); err != nil {
		return err
	}
	f.written(off, int64(len(p)))
	return nil
}

// hole makes a stretch read as zeros.
func (f *outFile) hole(s spot) {
	f.mu.Lock()
	if f.err == nil {
		f.keep(f.zero(s.off, s.n))
	}
	f.rest()
	f.mu.Unlock()
	f.rs.Bytes.Add(s.n)
	f.done(1)
}

func (f *outFile) zero(off, n int64) error {
	if err := f.ready(); err != nil {
		return err
	}
	if f.fresh {
		if f.sparse() {
			return nil
		}
		if err := f.allocate(); err != nil || f.allocated {
			return err
		}
	}
	if off >= f.size && !f.fresh {
		return nil // the file ends before it, and grows with zeros
	}
	if f.sparse() {
		if err := f.firstWrite(); err != nil {
			return err
		}
		if err := f.h.punch(off, min(n, f.size-off)); err == nil || !isUnsupported(err) {
			return err
		}
	}
	return f.writeZeros(off, n)
}

var zeros [256 << 10]byte

// writeZeros writes zeros where the file has something else. f.mu is held.
func (f *outFile) writeZeros(off, n int64) error {
	var buf []byte
	for n > 0 && f.rs.ctx.Err() == nil {
		p := zeros[:min(n, int64(len(zeros)))]
		same, err := f.holds(p, off, &buf)
		if err == nil && !same {
			err = f.write([][]byte{p}, off)
		}
		if err != nil {
			return err
		}
		off, n = off+int64(len(p)), n-int64(len(p))
	}
	return nil
}
