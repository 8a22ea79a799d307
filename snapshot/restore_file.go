package snapshot

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/firnstore/firn/repo"
)

// way says how a file gets to be as in the snapshot.
type way uint8

const (
	create  way = iota // it is not there
	replace            // write it beside what is there, and put it in its place when it is complete
	rewrite            // write into it what differs
	touch              // its content is taken as right; only attributes are set
)

// anew reports whether nothing of what is there gets into the file.
func (w way) anew() bool { return w == create || w == replace }

// outFile is a regular file under way: from the time the walk meets it until its last
// byte is written and its attributes are set. Its chunks come from several goroutines
// and in any order.
type outFile struct {
	rs   *restorer
	dir  *outDir // held
	node *Node
	way  way
	link *linkState // its further names; nil when there are none

	left atomic.Int64 // stretches to come, and one each for the walk and for start

	mu        sync.Mutex // held while writing: writers of one file would only wait in the system
	have      *Node      // what is there; nil for a new file
	fresh     bool       // new
	beside    bool       // it replaces something that stays until it is complete
	temp      string     // its name until then
	h         fileHandle
	opened    bool
	created   bool
	allocated bool
	inode     uint64 // of the file opened first
	size      int64  // what the file has now, as far as is known
	wrote     bool
	err       error // the first; nothing is written after it
	lost      error // the first stretch that the repository cannot give; the others are written
}

// preallocate is the size from which on space is reserved before writing.
const preallocate = 16 << 20

func (f *outFile) path() string { return f.dir.path(string(f.node.Name)) }

// sparse reports whether runs of zeros become holes.
func (f *outFile) sparse() bool {
	switch f.rs.opt.Sparse {
	case SparseAlways:
		return true
	case SparseNever:
		return false
	}
	return f.node.Sparse
}

// file plans what to do with a file, and begins it. link has its further names.
func (rs *restorer) file(d *outDir, n *Node, link *linkState) {
	w, have, err := rs.planFile(d, n)
	switch {
	case errors.Is(err, errKept):
		link.settle(rs, err)
		rs.res.kept.Add(1)
		rs.Files.Add(1)
	case err != nil:
		rs.problem(d.path(string(n.Name)), err)
		link.settle(rs, err)
	case rs.opt.DryRun:
		rs.countPlanned(w, n)
		link.settle(rs, nil)
	default:
		rs.begin(&outFile{rs: rs, dir: d.hold(), node: n, have: have, way: w,
			fresh: w.anew(), beside: w == replace, link: link})
	}
}

// planFile decides by what is there. It removes a directory that is in the way, which no
// file can take the place of.
func (rs *restorer) planFile(d *outDir, n *Node) (w way, have *Node, err error) {
	if !d.made || d.fresh {
		return create, nil, nil
	}
	if have, err = d.stat(string(n.Name)); err != nil || have == nil {
		return create, nil, err
	}
	if rs.opt.Overwrite == OverwriteNever {
		return create, nil, errKept
	}
	if w, ok := rs.wayFor(n, have); ok {
		return w, have, nil
	}
	if have.Type != Dir {
		return replace, nil, nil
	}
	if rs.opt.DryRun {
		return create, nil, nil
	}
	return create, nil, rs.clear(d, have)
}

// wayFor returns what can be done with what is there, unless it has to be replaced. A
// file that has another name is never written to: that name may lie outside of the
// target.
func (rs *restorer) wayFor(n, have *Node) (w way, ok bool) {
	if have.Type != File {
		return create, false
	}
	same := rs.opt.Overwrite == OverwriteIfChanged && have.Size == n.Size && have.ModTime == n.ModTime
	switch {
	case have.Links <= 1 && same:
		return touch, true
	case have.Links <= 1:
		return rewrite, true
	default:
		return touch, same && n.Links > 1 && rs.sameAttributes(n, have)
	}
}

// sameAttributes reports whether what is there looks as if it had the attributes of n.
func (rs *restorer) sameAttributes(n, have *Node) bool {
	uid, gid := rs.owners.find(n, rs.opt.NumericOwner)
	return have.Mode == n.Mode && (rs.opt.NoOwner || int(have.UID) == uid && int(have.GID) == gid)
}

// errKept says that something exists and was left alone.
var errKept = errors.New("it exists")

func (rs *restorer) countPlanned(w way, n *Node) {
	if w == touch {
		rs.res.unchanged.Add(1)
	} else {
		rs.res.written.Add(n.Size)
	}
	rs.countFile(n)
}

func (rs *restorer) countFile(n *Node) {
	rs.res.files.Add(1)
	rs.res.bytes.Add(n.Size)
	rs.Files.Add(1)
}

// begin puts the stretches of a file into windows. It takes over the hold of f.dir.
func (rs *restorer) begin(f *outFile) {
	f.left.Store(2)
	rs.addStart(f)
	if _, inline := f.node.Data().Inline(); !inline && f.way != touch {
		if err := rs.addExtents(f); err != nil {
			f.lose(err)
		}
	}
	f.done(1)
}

func (rs *restorer) addExtents(f *outFile) error {
	x, err := rs.r.Extents(rs.ctx, f.node.Data(), 0)
	for err == nil {
		var e repo.Extent
		if e, err = x.Next(rs.ctx); err != nil {
			break
		}
		if e.Hole() && f.way.anew() && f.sparse() {
			rs.Bytes.Add(e.Len)
			continue
		}
		f.left.Add(1)
		rs.addStretch(f, e)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// start does what a file needs before its chunks come.
func (f *outFile) start() {
	f.mu.Lock()
	data, inline := f.node.Data().Inline()
	switch {
	case f.err != nil || f.way == touch:
	case f.way == rewrite:
		f.keep(f.openOld())
	case inline:
		f.keep(f.ready())
	}
	if inline && f.err == nil && f.way != touch {
		f.keep(f.put([][]byte{data}, 0))
		f.rs.Bytes.Add(int64(len(data)))
	}
	f.rest()
	f.mu.Unlock()
	f.done(1)
}

// rest closes the file for now when too many are open. f.mu is held.
func (f *outFile) rest() {
	if !f.opened || !f.rs.files.full() {
		return
	}
	if f.inode == 0 { // to know it again
		var st Node
		f.keep(f.h.stat(&st))
		f.inode = st.Inode
	}
	f.keep(f.close())
}

// keep notes the first error. f.mu is held.
func (f *outFile) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

// lose notes a stretch that the repository cannot give. What it can give is written all
// the same, but the file does not get its time, so that it never looks complete.
func (f *outFile) lose(err error) {
	f.mu.Lock()
	if f.lost == nil {
		f.lost = err
	}
	f.mu.Unlock()
}

// openOld opens the file that is there. When it cannot be written to even so, it is
// replaced. f.mu is held.
func (f *outFile) openOld() error {
	name := string(f.node.Name)
	err := f.dir.use(func(h dirHandle) (err error) {
		if f.h, err = h.open(name, true); err == nil || !inTheWay(err) {
			return err
		}
		mode := f.have.Mode&0o777 | 0o600
		if h.inodeOf(name, File).chmod(mode) != nil {
			return err
		}
		f.have.Mode = mode
		f.h, err = h.open(name, true)
		return err
	})
	if err != nil && inTheWay(err) {
		f.fresh, f.beside, f.have = true, true, nil
		return f.ready()
	}
	if err != nil {
		return err
	}
	var st Node
	if err := f.h.stat(&st); err != nil {
		return errors.Join(err, f.h.close())
	}
	if st.Inode != f.have.Inode || st.Links > 1 {
		return errors.Join(errReplaced, f.h.close())
	}
	f.inode, f.size, f.created = st.Inode, st.Size, true
	f.hasOpened()
	return nil
}

var errReplaced = errors.New("it was replaced while it was restored")

// ready opens the file if it is not open. f.mu is held.
func (f *outFile) ready() error {
	if f.opened {
		return nil
	}
	if f.beside && !f.created {
		if err := f.stepAside(); err != nil {
			return err
		}
	}
	err := f.dir.use(func(h dirHandle) (err error) {
		if f.created {
			f.h, err = h.open(f.name(), true)
		} else {
			f.h, err = h.create(f.name())
		}
		return err
	})
	if err != nil {
		return appeared(err)
	}
	f.hasOpened()
	if f.created {
		var st Node
		if err := f.h.stat(&st); err != nil {
			return err
		}
		if st.Inode != f.inode || st.Links > 1 {
			return errReplaced
		}
		return nil
	}
	f.created, f.wrote = true, true
	return f.reserve()
}

// reserve allocates the space of a large file at once, which keeps it together on the
// medium and tells early when there is not enough.
func (f *outFile) reserve() error {
	if f.node.Size < preallocate || f.sparse() {
		return nil
	}
	return f.allocate()
}

func (f *outFile) allocate() error {
	if f.allocated || f.node.Size == 0 {
		return nil
	}
	err := f.h.allocate(f.node.Size)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	f.allocated = err == nil
	return err
}

func (f *outFile) hasOpened() {
	f.opened = true
	f.rs.files.add(f)
}

// close closes the file if it is open. f.mu is held.
func (f *outFile) close() error {
	if !f.opened {
		return nil
	}
	f.opened = false
	f.rs.files.remove(f)
	return f.h.close()
}

// done takes n off what the file waits for, and ends it when that was the last.
func (f *outFile) done(n int64) {
	if f.left.Add(-n) > 0 {
		return
	}
	if f.rs.ctx.Err() != nil {
		return // it stays unfinished, and is closed with the others
	}
	f.mu.Lock()
	f.conclude()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		f.rs.problem(f.path(), err)
	} else {
		if !f.wrote {
			f.rs.res.unchanged.Add(1)
		}
		f.rs.countFile(f.node)
	}
	f.link.settle(f.rs, err)
	f.dir.release()
}

// conclude gives the file what it has beside its content: its time last, and then the name
// of what it replaces. f.mu is held.
func (f *outFile) conclude() {
	if f.err == nil {
		f.err = f.finish()
	}
	f.keep(f.close())
	f.keep(f.lost)
	if f.err == nil && (f.wrote || f.have == nil || f.have.ModTime != f.node.ModTime) {
		f.err = f.dir.use(func(h dirHandle) error { return h.setTime(f.name(), f.node.ModTime) })
	}
	if f.err == nil {
		f.err = f.takePlace()
	}
	if f.err != nil {
		f.discard()
	}
}

// finish gives the file its size and attributes. f.mu is held.
func (f *outFile) finish() error {
	if f.way == touch {
		f.rs.Bytes.Add(f.node.Size)
		if f.have.Links > 1 {
			return nil
		}
		return f.touch()
	}
	if err := f.ready(); err != nil {
		return err
	}
	if f.size != f.node.Size {
		if err := f.h.truncate(f.node.Size); err != nil {
			return err
		}
		f.wrote = true
	}
	have := f.have
	if f.wrote {
		have = nil
	}
	return f.rs.setAttributes(f.h.inode(), f.node, have)
}

// touch sets the attributes of a file that is there. One that its owner may not open
// is reached by its name.
func (f *outFile) touch() error {
	name := string(f.node.Name)
	return f.dir.use(func(h dirHandle) error {
		i := h.inodeOf(name, File)
		if file, err := h.open(name, false); err == nil {
			defer func() { _ = file.close() }()
			i = file.inode()
		}
		return f.rs.setAttributes(i, f.node, f.have)
	})
}

// openFiles knows which files are open, to bound them and to close them in the end.
type openFiles struct {
	mu   sync.Mutex
	open map[*outFile]struct{}
}

// maxOpenFiles is how many files stay open while they wait for further chunks.
const maxOpenFiles = 256

func (o *openFiles) add(f *outFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[*outFile]struct{}{}
	}
	o.open[f] = struct{}{}
}

func (o *openFiles) remove(f *outFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, f)
}

func (o *openFiles) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.open) > maxOpenFiles
}

// closeAll closes what an interrupted restore left open. Nothing may be under way.
func (o *openFiles) closeAll() {
	for f := range o.open {
		f.opened = false
		_ = f.h.close()
	}
	o.open = nil
}
