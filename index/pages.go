package index

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"os"
)

// bbolt checks the two meta pages and believes all others. Most damage is caught where
// it is met: a row that is wrong or missing by the checks of its table, a read outside
// of the file by guard. What cannot be caught there is caught here, by reading
// the file beside bbolt: a branch page that leads back to one above it makes bbolt
// recurse until the stack ends, and a free page that is in use would be written over.
//
// When the index is opened, branch pages and the list of free pages are checked; these
// are few: about one page in 1000. Before the first change the heads of all leaf pages
// are, too, since bbolt frees as many pages as a head says.
//
// Layout of a page, in the byte order of the machine: ID u64, flags u16, count u16,
// number of overflow pages u32, then elements. Of a branch page: offset of the key from
// the element u32, size of the key u32, child u64. Of a leaf page: flags u32, offset of
// the key u32, size of the key u32, size of the value u32.
const (
	pageHead     = 16
	branchElem   = 16
	leafElem     = 16
	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10
	nestedFlag   = 0x01 // of a leaf element: a bucket
	maxDepth     = 24

	// Magic u32, version u32, page size u32, flags u32, root u64, sequence u64, freelist
	// u64, high u64, transaction u64, sum u64.
	metaSize = 64
)

var native = binary.NativeEndian

// pageCheck is one walk over the pages of a bbolt file.
type pageCheck struct {
	f        *os.File
	pageSize int
	high     uint64   // first page number that was never used
	used     []uint64 // bitmap of pages met
	roots    map[string]uint32
	leaves   []uint64 // filled when full
	full     bool
}

// page is the bytes of a page with its overflow pages.
type page []byte

func (p page) flags() uint16    { return native.Uint16(p[8:]) }
func (p page) count() int       { return int(native.Uint16(p[10:])) }
func (p page) overflow() uint64 { return uint64(native.Uint32(p[12:])) }

// checkPages walks the file, which has pages of pageSize bytes and no writer. It
// returns a CRC-32C of the root and branch pages of the tables; with full it reads the
// heads of leaf pages as well. Errors wrap ErrDamaged.
func checkPages(path string, pageSize int, full bool) (sum uint32, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	c := &pageCheck{f: f, pageSize: pageSize, roots: map[string]uint32{}, full: full}
	if err := c.file(); err != nil {
		return 0, fmt.Errorf("index %s: %w: %v", path, ErrDamaged, err)
	}
	for _, t := range tables[1:] { // the first is state, which holds the sum
		sum = crc32.Update(sum, castagnoli, binary.BigEndian.AppendUint32(nil, c.roots[string(t)]))
	}
	return sum, nil
}

func (c *pageCheck) file() error {
	root, freelist, err := c.meta()
	if err != nil {
		return err
	}
	c.used = make([]uint64, c.high/64+1)
	if _, err := c.tree(root, 0, c.table); err != nil {
		return err
	}
	if err := c.leafHeads(); err != nil {
		return err
	}
	return c.freelist(freelist)
}

// meta finds the newer of the two meta pages that are whole.
func (c *pageCheck) meta() (root, freelist uint64, err error) {
	fi, err := c.f.Stat()
	if err != nil {
		return 0, 0, err
	}
	var newest uint64
	found := false
	for i := range int64(2) {
		b := make([]byte, metaSize)
		if _, err := c.f.ReadAt(b, i*int64(c.pageSize)+pageHead); err != nil {
			return 0, 0, err
		}
		sum := fnv.New64a()
		sum.Write(b[:56])
		if sum.Sum64() != native.Uint64(b[56:]) || int(native.Uint32(b[8:])) != c.pageSize {
			continue
		}
		if tx := native.Uint64(b[48:]); !found || tx > newest {
			found, newest = true, tx
			root, freelist, c.high = native.Uint64(b[16:]), native.Uint64(b[32:]), native.Uint64(b[40:])
		}
	}
	if !found {
		return 0, 0, fmt.Errorf("no meta page is whole")
	}
	if c.high > uint64(fi.Size())/uint64(c.pageSize) {
		return 0, 0, fmt.Errorf("%d pages in a file of %d bytes", c.high, fi.Size())
	}
	return root, freelist, nil
}

// use marks pages and refuses those that do not exist or are met twice.
func (c *pageCheck) use(id, n uint64) error {
	if id < 2 || n > c.high || id > c.high-n {
		return fmt.Errorf("page %d and %d more, of %d", id, n-1, c.high)
	}
	for ; n > 0; id, n = id+1, n-1 {
		if c.isUsed(id) {
			return fmt.Errorf("page %d is used twice", id)
		}
		c.used[id/64] |= 1 << (id % 64)
	}
	return nil
}

func (c *pageCheck) isUsed(id uint64) bool { return c.used[id/64]>>(id%64)&1 != 0 }

// read returns a page, whose flags are one of want, and marks it. Of a leaf page the
// overflow pages are left out.
func (c *pageCheck) read(id uint64, want uint16) (page, error) {
	if err := c.use(id, 1); err != nil {
		return nil, err
	}
	p := make(page, c.pageSize)
	if _, err := c.f.ReadAt(p, int64(id)*int64(c.pageSize)); err != nil {
		return nil, err
	}
	if native.Uint64(p) != id {
		return nil, fmt.Errorf("page %d says that it is %d", id, native.Uint64(p))
	}
	if p.flags()&want == 0 || p.flags()&(p.flags()-1) != 0 {
		return nil, fmt.Errorf("page %d has flags %#x, not %#x", id, p.flags(), want)
	}
	if p.overflow() == 0 {
		return p, nil
	}
	if err := c.use(id+1, p.overflow()); err != nil || p.flags() == leafFlag {
		return p, err
	}
	all := make(page, (1+int(p.overflow()))*c.pageSize)
	_, err := c.f.ReadAt(all, int64(id)*int64(c.pageSize))
	return all, err
}

// tree walks the branch pages below root and returns their CRC. It calls visit, if any,
// for the leaf pages, and otherwise notes their numbers: they are not read.
func (c *pageCheck) tree(root uint64, depth int, visit func(page) error) (uint32, error) {
	p, err := c.read(root, branchFlag|leafFlag)
	if err != nil {
		return 0, err
	}
	sum := crc32.Update(uint32(root), castagnoli, p)
	if p.flags() == leafFlag {
		return sum, c.leaf(p, visit)
	}
	if p.count() == 0 || pageHead+p.count()*branchElem > len(p) || depth > maxDepth {
		return 0, fmt.Errorf("branch page %d with %d children at depth %d", root, p.count(), depth)
	}
	// All leaves are equally deep, so the first child tells what the others are.
	first, err := c.isLeaf(native.Uint64(p[pageHead+8:]))
	if err != nil {
		return 0, err
	}
	for i := range p.count() {
		child := native.Uint64(p[pageHead+i*branchElem+8:])
		if first && visit == nil {
			if err := c.use(child, 1); err != nil {
				return 0, err
			}
			if c.full {
				c.leaves = append(c.leaves, child)
			}
			continue
		}
		below, err := c.tree(child, depth+1, visit)
		if err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, castagnoli, binary.BigEndian.AppendUint32(nil, below))
	}
	return sum, nil
}

func (c *pageCheck) isLeaf(id uint64) (bool, error) {
	if id >= c.high {
		return false, fmt.Errorf("page %d of %d", id, c.high)
	}
	b := make(page, pageHead)
	_, err := c.f.ReadAt(b, int64(id)*int64(c.pageSize))
	return b.flags() == leafFlag, err
}

// leaf checks that the elements of a leaf page lie in it.
func (c *pageCheck) leaf(p page, visit func(page) error) error {
	if err := p.elements(uint64(c.pageSize) * (1 + p.overflow())); err != nil || visit == nil {
		return err
	}
	return visit(p)
}

// inlinePage checks the page of a small table, which lies in a row of the root bucket.
// bbolt copies it to the heap, where a pointer that leads out of it ends the program.
func inlinePage(p page) error {
	if len(p) < pageHead || p.flags() != leafFlag {
		return fmt.Errorf("inline page of %d bytes", len(p))
	}
	return p.elements(uint64(len(p)))
}

// elements checks that those elements of a leaf page of size bytes whose heads lie in p
// end in it.
func (p page) elements(size uint64) error {
	if uint64(pageHead+p.count()*leafElem) > size {
		return fmt.Errorf("leaf page with %d elements", p.count())
	}
	for at := pageHead; at < pageHead+p.count()*leafElem && at+leafElem <= len(p); at += leafElem {
		end := uint64(at) + uint64(native.Uint32(p[at+4:])) + uint64(native.Uint32(p[at+8:])) + uint64(native.Uint32(p[at+12:]))
		if end > size {
			return fmt.Errorf("element of a leaf page ends at %d of %d", end, size)
		}
	}
	return nil
}

// table walks the tables that a leaf page of the root bucket names.
func (c *pageCheck) table(p page) error {
	for i := range p.count() {
		at := pageHead + i*leafElem
		key := at + int(native.Uint32(p[at+4:]))
		value := key + int(native.Uint32(p[at+8:]))
		end := value + int(native.Uint32(p[at+12:]))
		if native.Uint32(p[at:]) != nestedFlag || end-value < 16 || end > len(p) {
			return fmt.Errorf("row of the root bucket that is no table")
		}
		name, root := string(p[key:value]), native.Uint64(p[value:])
		if root == 0 { // its rows lie in this page
			if err := inlinePage(page(p[value+16 : end])); err != nil {
				return fmt.Errorf("table %q: %v", name, err)
			}
			c.roots[name] = crc32.Checksum(p[value:end], castagnoli)
			continue
		}
		sum, err := c.tree(root, 0, nil)
		if err != nil {
			return fmt.Errorf("table %q: %v", name, err)
		}
		c.roots[name] = sum
	}
	return nil
}

// leafHeads checks the leaf pages that tree did not read.
func (c *pageCheck) leafHeads() error {
	for _, id := range c.leaves {
		c.used[id/64] &^= 1 << (id % 64) // read marks it again
		p, err := c.read(id, leafFlag)
		if err != nil {
			return err
		}
		if err := c.leaf(p, nil); err != nil {
			return err
		}
	}
	return nil
}

// freelist checks that the list of free pages can be loaded and names no page in use.
func (c *pageCheck) freelist(id uint64) error {
	p, err := c.read(id, freelistFlag)
	if err != nil {
		return err
	}
	n, ids := uint64(p.count()), p[pageHead:]
	if n == 0xffff {
		n, ids = native.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return fmt.Errorf("%d free pages in a list of %d bytes", n, len(p))
	}
	last := uint64(1)
	for ; n > 0; n, ids = n-1, ids[8:] {
		free := native.Uint64(ids)
		if free <= last || free >= c.high || c.isUsed(free) {
			return fmt.Errorf("page %d is listed as free", free)
		}
		last = free
	}
	return nil
}
