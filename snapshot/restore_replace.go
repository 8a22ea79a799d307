package snapshot

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// What cannot be written into, such as a link or a file with another name, is replaced
// in one step: what comes is written beside it under a temporary name, and takes its name
// when it is complete. So a failure leaves what was there.

// tempPrefix begins the temporary names, so that people know where one comes from if the
// machine stops in between.
const tempPrefix = ".firn-restore-"

// temps knows the files under way that have a temporary name, so that an interrupted
// restore leaves none.
type temps struct {
	mu    sync.Mutex
	files map[*outFile]struct{}
}

// tempName returns a name that nothing else has: nobody can have foreseen it.
func (rs *restorer) tempName() (string, error) {
	rs.temps.mu.Lock()
	defer rs.temps.mu.Unlock()
	var b [8]byte
	if _, err := io.ReadFull(rs.r.Rand(), b[:]); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	return tempPrefix + hex.EncodeToString(b[:]), nil
}

// name is the one under which the file is written. f.mu is held.
func (f *outFile) name() string {
	if f.temp != "" {
		return f.temp
	}
	return string(f.node.Name)
}

// stepAside gives the file a temporary name, before it is made. f.mu is held.
func (f *outFile) stepAside() error {
	name, err := f.rs.tempName()
	if err != nil {
		return err
	}
	f.temp = name
	t := &f.rs.temps
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files == nil {
		t.files = map[*outFile]struct{}{}
	}
	t.files[f] = struct{}{}
	return nil
}

// takePlace gives a complete file its own name, in the place of what has it. f.mu is held.
func (f *outFile) takePlace() error {
	if f.temp == "" {
		return nil
	}
	err := f.dir.use(func(h dirHandle) error { return h.rename(f.temp, string(f.node.Name)) })
	if err == nil {
		f.forgetTemp()
	}
	return err
}

// discard removes a file that has a temporary name and will not be complete. f.mu is held,
// or nothing is under way.
func (f *outFile) discard() {
	if f.temp == "" {
		return
	}
	err := f.dir.use(func(h dirHandle) error { return h.remove(f.temp, false) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) && f.err != nil {
		f.err = fmt.Errorf("%w (and %s, which was to take its place, cannot be removed: %v)", f.err, f.temp, err)
	}
	f.forgetTemp()
}

func (f *outFile) forgetTemp() {
	t := &f.rs.temps
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.files, f)
	f.temp = ""
}

// discardAll removes what an interrupted restore did not complete. Nothing may be under
// way.
func (t *temps) discardAll() {
	t.mu.Lock()
	var left []*outFile
	for f := range t.files {
		left = append(left, f)
	}
	t.mu.Unlock()
	for _, f := range left {
		f.discard()
	}
}

// linkOver gives the file base in from another name in h, in the place of what has it.
func (rs *restorer) linkOver(h, from dirHandle, base, name string) error {
	temp, err := rs.tempName()
	if err != nil {
		return err
	}
	if err := h.link(from, base, temp); err != nil {
		return err
	}
	err = h.rename(temp, name)
	// It is still there when that failed, or when both were names of one file already:
	// then a rename does nothing.
	if rerr := h.remove(temp, false); err == nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = rerr
	}
	return err
}
