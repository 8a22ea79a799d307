package parity

import (
	"fmt"
	"io"

	"github.com/zeebo/blake3"
)

// State of a file that was looked at by Heal.
type State int

const (
	Whole State = iota // by its checks; its digest was not looked at
	Healed
	Lost
)

// Healing is what a set could make of damaged files.
type Healing struct {
	s      *Set
	data   []io.ReaderAt
	bad    map[int64]bool   // data blocks that are damaged
	healed map[int64][]byte // those of them that were computed
}

// Heal reads what is left of the files, in the order of Files, and computes what is
// damaged. nil stands for a file that is missing, and bytes that cannot be read count as
// damaged. Memory is that of the damage, at most of the parity. The error says why it could
// not go on; too much damage is told by the states.
func (s *Set) Heal(data []io.ReaderAt) (*Healing, error) {
	if len(data) != len(s.files) {
		panic("parity: Heal with another number of files")
	}
	h := &Healing{s: s, data: data, bad: map[int64]bool{}, healed: map[int64][]byte{}}
	h.scan()
	if len(h.bad) == 0 {
		return h, nil
	}
	rs, err := s.g.coder()
	if err != nil {
		return nil, err
	}
	columns := map[int64]int{} // damaged data blocks of a stripe
	for b := range h.bad {
		columns[b%s.g.width]++
	}
	st := &stripes{h: h, rs: rs, shards: make([][]byte, s.g.data+s.g.parity)}
	for c := int64(0); c < s.g.width; c++ {
		if n := columns[c]; n == 0 || n > s.g.parity {
			continue
		}
		from, to := c, min(c+stripesAtOnce, s.g.width)
		if s.g.width <= stripesAtOnce {
			from = 0
		}
		st.load(from, to)
		for ; c < to; c++ {
			if n := columns[c]; n > 0 && n <= s.g.parity {
				st.heal(c)
			}
		}
		c--
	}
	return h, nil
}

// scan finds the damaged data blocks. Where a large read fails, it reads block by block.
func (h *Healing) scan() {
	g := &h.s.g
	blocks := g.blocks(h.s.total)
	at := min(readSize/g.block, blocks)
	buf := make([]byte, at*g.block)
	for first := int64(0); first < blocks; first += at {
		n := min(at, blocks-first)
		whole := h.read(buf[:n*g.block], first*g.block)
		for i := range n {
			b := buf[i*g.block : (i+1)*g.block]
			if !whole && !h.read(b, (first+i)*g.block) || !h.s.fits(first+i, b) {
				h.bad[first+i] = true
			}
		}
	}
}

// read fills p with the bytes at off of the files laid end to end, with zeros behind the
// last. It reports whether all of them could be read.
func (h *Healing) read(p []byte, off int64) bool {
	ok := true
	for i := range h.s.files {
		size := h.s.files[i].Size
		if off >= size {
			off -= size
			continue
		}
		b := p[:min(int64(len(p)), size-off)]
		n := 0
		if h.data[i] != nil {
			n, _ = h.data[i].ReadAt(b, off)
		}
		if n < len(b) {
			clear(b[n:])
			ok = false
		}
		if p, off = p[len(b):], 0; len(p) == 0 {
			return ok
		}
	}
	clear(p)
	return ok
}

// stripesAtOnce bounds how many neighbouring stripes are read together, 16 MiB: stores
// answer few large reads sooner than many small ones.
const stripesAtOnce = 16

// stripes computes what is lost of one stripe after the other.
type stripes struct {
	h  *Healing
	rs interface {
		ReconstructData(shards [][]byte) error
	}
	shards [][]byte

	from, to int64  // stripes that are loaded
	data     []byte // their data blocks, shard by shard,
	parity   []byte // and parity blocks
}

// load reads stripes from up to to. What cannot be read is zero, and does not fit its
// check, or is known to be damaged.
func (st *stripes) load(from, to int64) {
	g := &st.h.s.g
	st.from, st.to = from, to
	n := (to - from) * g.block
	st.data, st.parity = make([]byte, int64(g.data)*n), make([]byte, int64(g.parity)*n)
	readParity := func(p []byte, off int64) bool {
		m, _ := st.h.s.r.ReadAt(p, st.h.s.parityAt()+off)
		clear(p[m:])
		return m == len(p)
	}
	if from == 0 && to == g.width { // they lie together
		inPieces(st.data, 0, 1<<20, g.block, st.h.read)
		inPieces(st.parity, 0, 1<<20, g.block, readParity)
		return
	}
	for q := range int64(g.data) {
		inPieces(st.data[q*n:(q+1)*n], (q*g.width+from)*g.block, n, g.block, st.h.read)
	}
	for q := range int64(g.parity) {
		inPieces(st.parity[q*n:(q+1)*n], (q*g.width+from)*g.block, n, g.block, readParity)
	}
}

// inPieces reads p from off on in pieces, which are multiples of a block, and what of that fails block by block.
func inPieces(p []byte, off, piece, block int64, read func([]byte, int64) bool) {
	for len(p) > 0 {
		b := p[:min(piece-off%block, int64(len(p)))] // so that the others begin with a block
		if !read(b, off) && piece > block {
			inPieces(b, off, block, block, read)
		}
		p, off = p[len(b):], off+int64(len(b))
	}
}

// heal computes the damaged data blocks of stripe c, which is loaded, if enough of it is
// left.
func (st *stripes) heal(c int64) {
	h, g := st.h, &st.h.s.g
	blocks := g.blocks(h.s.total)
	lost := 0
	block := func(of []byte, q int64) []byte {
		at := (q*(st.to-st.from) + c - st.from) * g.block
		return of[at : at+g.block : at+g.block]
	}
	for q := range int64(len(st.shards)) {
		i := q*g.width + c // number of the block
		var b []byte
		if q < int64(g.data) {
			if b = block(st.data, q); i < blocks && h.bad[i] {
				b = nil
			}
		} else {
			i -= int64(g.data) * g.width
			if b = block(st.parity, q-int64(g.data)); !h.s.fits(blocks+i, b) {
				b = nil
			}
		}
		if st.shards[q] = b; b == nil {
			lost++
		}
	}
	if lost > g.parity || st.rs.ReconstructData(st.shards) != nil {
		return
	}
	for q := range g.data {
		// A check of its own: a block that only seemed to be right would spoil all others.
		if i := int64(q)*g.width + c; h.bad[i] && h.s.fits(i, st.shards[q]) {
			h.healed[i] = st.shards[q]
		}
	}
}

// State of file i.
func (h *Healing) State(i int) State {
	off := int64(0)
	for j := range i {
		off += h.s.files[j].Size
	}
	g := &h.s.g
	state := Whole
	for b := off / g.block; b*g.block < off+h.s.files[i].Size; b++ {
		if !h.bad[b] {
			continue
		}
		if h.healed[b] == nil {
			return Lost
		}
		state = Healed
	}
	return state
}

// AllDamaged reports whether nothing is left of the files: then they may be others.
func (h *Healing) AllDamaged() bool { return int64(len(h.bad)) == h.s.g.blocks(h.s.total) }

// Damaged is how many blocks of data are.
func (h *Healing) Damaged() int { return len(h.bad) }

// Write writes file i as it was. It reads the file again; when the digest of what was
// written turns out to be another, or too much is damaged, the error is ErrLost and what
// was written is worth nothing.
func (h *Healing) Write(i int, w io.Writer) error {
	f := &h.s.files[i]
	if h.State(i) == Lost {
		return fmt.Errorf("%s: %w", f.Name, ErrLost)
	}
	off := int64(0)
	for j := range i {
		off += h.s.files[j].Size
	}
	digest := blake3.New()
	buf := make([]byte, min(readSize, h.s.g.blocks(f.Size)*h.s.g.block))
	for at := int64(0); at < f.Size; {
		b := buf[:min(int64(len(buf)), f.Size-at)]
		// What cannot be read lies in blocks that were healed, and spoils no others.
		inPieces(b, off+at, int64(len(buf)), h.s.g.block, h.read)
		h.overlay(b, off+at)
		_, _ = digest.Write(b)
		if _, err := w.Write(b); err != nil {
			return err
		}
		at += int64(len(b))
	}
	if [32]byte(digest.Sum(nil)) != f.Digest {
		return fmt.Errorf("%s: %w: the digest differs", f.Name, ErrLost)
	}
	return nil
}

// overlay puts healed blocks over p, which begins at off.
func (h *Healing) overlay(p []byte, off int64) {
	size := h.s.g.block
	for b := off / size; b*size < off+int64(len(p)); b++ {
		healed := h.healed[b]
		if healed == nil {
			continue
		}
		if at := b*size - off; at >= 0 {
			copy(p[at:], healed)
		} else {
			copy(p, healed[-at:])
		}
	}
}
