package snapshot

import (
	"bytes"
	"container/list"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// openDirs bounds the directories that are kept open at a time; one that is needed again
// is opened again from the root of the target, name by name.
const openDirs = 128

// outTree is the directory that is restored to. Everything below it is reached from
// its handle by single names that are never followed as links (package doc,
// invariant 2).
type outTree struct {
	path string // as the user gave it
	root *outDir

	mu   sync.Mutex
	open list.List // of *outDir with a handle, the root not among them, last used first
}

// outDir is a directory below the target, there or still to be made. It lives from the
// time the walk enters it until everything below it is done; then done is called, once.
type outDir struct {
	tree  *outTree
	up    *outDir // nil for the root
	name  string
	node  *Node
	depth int

	refs atomic.Int32 // the walk, files under way, and directories below
	done func(*outDir)

	// These belong to the walk until the last reference is given back.
	made     bool   // there, and a directory
	fresh    bool   // made by this restore: nothing can be in the way
	selected bool   // itself to be restored, not only on the way to something
	oldMode  uint32 // of one that was there, with modeKnown, when it was widened
	err      error  // it could not be made

	// Guarded by tree.mu.
	handle dirHandle
	opened bool
	pins   int
	elem   *list.Element
}

// openOutTree opens a target that exists. The path may lead through links: it is the
// user's own.
func openOutTree(path string) (*outTree, error) {
	h, err := openTarget(path)
	if err != nil {
		return nil, err
	}
	t := &outTree{path: path}
	t.root = &outDir{tree: t, handle: h, opened: true, made: true}
	t.root.refs.Store(1)
	return t, nil
}

// absentTree stands for a target that does not exist, in a dry run.
func absentTree(path string) *outTree {
	t := &outTree{path: path}
	t.root = &outDir{tree: t}
	t.root.refs.Store(1)
	return t
}

// close closes every handle. No directory may be in use.
func (t *outTree) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.open.Front(); e != nil; e = e.Next() {
		d := e.Value.(*outDir)
		d.handle.close()
		d.opened = false
	}
	t.open.Init()
	if t.root.opened {
		t.root.handle.close()
		t.root.opened = false
	}
}

// enter begins a directory in d, which it holds.
func (d *outDir) enter(n *Node) *outDir {
	c := &outDir{tree: d.tree, up: d.hold(), name: string(n.Name), node: n, depth: d.depth + 1, done: d.done}
	c.refs.Store(1)
	return c
}

func (d *outDir) hold() *outDir { d.refs.Add(1); return d }

// release gives a reference back. The last one ends the directory, and so perhaps the
// one above.
func (d *outDir) release() {
	for d != nil && d.refs.Add(-1) == 0 {
		if d.done != nil {
			d.done(d)
		}
		d.tree.forget(d)
		d = d.up
	}
}

// forget closes the handle of a directory that is done.
func (t *outTree) forget(d *outDir) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.elem != nil && d.pins == 0 {
		t.open.Remove(d.elem)
		d.handle.close()
		d.elem, d.opened = nil, false
	}
}

// path on this machine, of d or of a name in it.
func (d *outDir) path(name string) string {
	return filepath.Join(d.tree.path, filepath.FromSlash(d.inner(name)))
}

// inner is the path of d, or of a name in it, from the target on, without a leading
// slash.
func (d *outDir) inner(name string) string {
	size := len(name)
	for at := d; at.up != nil; at = at.up {
		size += len(at.name) + 1
	}
	b := make([]byte, size)
	end := size - len(name)
	copy(b[end:], name)
	for at := d; at.up != nil; at = at.up {
		end--
		b[end] = '/'
		end -= copy(b[end-len(at.name):], at.name)
	}
	return string(bytes.TrimSuffix(b, []byte{'/'}))
}

// use calls f with the handle of the directory, which stays open meanwhile.
func (d *outDir) use(f func(dirHandle) error) error {
	h, err := d.acquire()
	if err != nil {
		return err
	}
	defer d.unpin()
	return f(h)
}

func (d *outDir) acquire() (h dirHandle, err error) {
	t := d.tree
	t.mu.Lock()
	if d.opened {
		d.pin()
		t.mu.Unlock()
		return d.handle, nil
	}
	t.mu.Unlock()
	if d.up == nil {
		return h, &fs.PathError{Op: "open", Path: t.path, Err: fs.ErrNotExist}
	}
	err = d.up.use(func(up dirHandle) error {
		h, err = up.sub(d.name)
		return err
	})
	if err != nil {
		return h, err
	}
	return d.opening(h), nil
}

// opening takes in a handle of d and pins it. When another goroutine was faster, its
// handle is the one.
func (d *outDir) opening(h dirHandle) dirHandle {
	t := d.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.opened {
		h.close()
		d.pin()
		return d.handle
	}
	d.handle, d.opened = h, true
	d.elem = t.open.PushFront(d)
	d.pins++
	for e := t.open.Back(); e != nil && t.open.Len() > openDirs; {
		last := e.Value.(*outDir)
		e = e.Prev()
		if last.pins == 0 {
			t.open.Remove(last.elem)
			last.handle.close()
			last.elem, last.opened = nil, false
		}
	}
	return h
}

// pin keeps the handle open. tree.mu is held.
func (d *outDir) pin() {
	d.pins++
	if d.elem != nil {
		d.tree.open.MoveToFront(d.elem)
	}
}

func (d *outDir) unpin() {
	d.tree.mu.Lock()
	defer d.tree.mu.Unlock()
	d.pins--
}

// stat returns what lies under name, or nil when nothing does.
func (d *outDir) stat(name string) (n *Node, err error) {
	n = &Node{}
	err = d.use(func(h dirHandle) error { return h.stat(name, n) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return n, err
}

// find opens a directory below the target by its inner path, without links. The caller
// closes it.
func (t *outTree) find(inner string) (h dirHandle, err error) {
	h, err = t.root.acquire()
	if err != nil {
		return h, err
	}
	defer t.root.unpin()
	if h, err = h.dup(); err != nil {
		return h, err
	}
	for _, name := range components(inner) {
		next, err := h.sub(name)
		h.close()
		if err != nil {
			return next, err
		}
		h = next
	}
	return h, nil
}
