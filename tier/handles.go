package tier

import (
	"container/list"
	"errors"
	"io/fs"
	"os"
	"sync"
)

// handles keeps the most recently read files open. Files that are in use are
// never closed, so there are at most limit of them or as many as are read at
// the same time. It is safe for concurrent use.
type handles struct {
	limit int
	open  func(name string) (*os.File, error)

	mu     sync.Mutex
	byName map[string]*list.Element
	recent list.List // of *handle, most recent first
	closed bool
}

// handle is a file open for reading. It is closed when it is neither in the
// table nor in use.
type handle struct {
	name   string
	opened sync.Once
	file   *os.File
	err    error // of opening

	uses   int  // guarded by handles.mu
	listed bool // guarded by handles.mu
}

func newHandles(limit int, open func(string) (*os.File, error)) *handles {
	return &handles{limit: limit, open: open, byName: make(map[string]*list.Element)}
}

// acquire returns an open file that the caller must release. It does not
// return a file that was deleted before the call, by whomever.
func (t *handles) acquire(name string) (*handle, error) {
	for {
		h, fresh, victims, err := t.enter(name)
		closeAll(victims)
		if err != nil {
			return nil, err
		}
		h.opened.Do(func() { h.file, h.err = t.open(name) })
		if h.err != nil {
			t.forget(h)
			t.release(h)
			return nil, h.err
		}
		// A file system that never counts links must not keep us here, so a
		// file opened for this call is good.
		if fresh || !unlinked(h.file) {
			return h, nil
		}
		t.forget(h)
		t.release(h)
	}
}

// enter finds or adds the handle of name. It is in the table before it is
// opened, so that a drop in between is not missed.
func (t *handles) enter(name string) (h *handle, fresh bool, victims []*handle, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, false, nil, fs.ErrClosed
	}
	if e := t.byName[name]; e != nil {
		t.recent.MoveToFront(e)
		h = e.Value.(*handle)
		h.uses++
		return h, false, nil, nil
	}
	h = &handle{name: name, uses: 1, listed: true}
	t.byName[name] = t.recent.PushFront(h)
	for e := t.recent.Back(); e != nil && t.recent.Len() > t.limit; {
		old, before := e.Value.(*handle), e.Prev()
		if old.uses == 0 {
			t.unlist(old)
			victims = append(victims, old)
		}
		e = before
	}
	return h, true, victims, nil
}

// release ends the use of a handle.
func (t *handles) release(h *handle) {
	t.mu.Lock()
	h.uses--
	unused := h.uses == 0 && !h.listed
	t.mu.Unlock()
	if unused {
		closeAll([]*handle{h})
	}
}

// drop forgets the file of this name, if there is one.
func (t *handles) drop(name string) {
	t.mu.Lock()
	e := t.byName[name]
	t.mu.Unlock()
	if e != nil {
		t.forget(e.Value.(*handle))
	}
}

// forget takes a handle from the table.
func (t *handles) forget(h *handle) {
	t.mu.Lock()
	listed := h.listed
	if listed {
		t.unlist(h)
	}
	unused := listed && h.uses == 0
	t.mu.Unlock()
	if unused {
		closeAll([]*handle{h})
	}
}

// close forgets all. Files in use are closed by their release.
func (t *handles) close() error {
	t.mu.Lock()
	t.closed = true
	var unused []*handle
	for _, e := range t.byName {
		h := e.Value.(*handle)
		t.unlist(h)
		if h.uses == 0 {
			unused = append(unused, h)
		}
	}
	t.mu.Unlock()
	return closeAll(unused)
}

// unlist needs the lock and a listed handle.
func (t *handles) unlist(h *handle) {
	t.recent.Remove(t.byName[h.name])
	delete(t.byName, h.name)
	h.listed = false
}

func closeAll(hs []*handle) error {
	var errs []error
	for _, h := range hs {
		if h.file != nil {
			errs = append(errs, h.file.Close())
		}
	}
	return errors.Join(errs...)
}
