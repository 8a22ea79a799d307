package tier

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a Store in memory, for tests and small things. Its files are gone
// with the value. It keeps every rule of the contract, and refuses a name that
// is also a folder as a directory would.
type Memory struct {
	// Now gives the ModTime of files; nil means time.Now. Set it before use.
	Now func() time.Time

	mu     sync.RWMutex
	files  map[string]memoryFile
	names  []string // sorted names of files
	closed bool
}

// memoryFile is immutable, so its data is read without the lock.
type memoryFile struct {
	data    []byte
	modTime time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{files: make(map[string]memoryFile)}
}

// Create implements Store.
func (m *Memory) Create(ctx context.Context, name string) (Writer, error) {
	if err := m.check(ctx, "create", name); err != nil {
		return nil, err
	}
	return &memoryWriter{ctx: ctx, m: m, name: name}, nil
}

// Replace implements Replacer.
func (m *Memory) Replace(ctx context.Context, name string) (Writer, error) {
	if err := m.check(ctx, "replace", name); err != nil {
		return nil, err
	}
	return &memoryWriter{ctx: ctx, m: m, name: name, replace: true}, nil
}

// ReadAt implements Store.
func (m *Memory) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	f, err := m.find(ctx, "read", name)
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read %s in %s: negative offset %d", name, m, off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	if off < int64(len(f.data)) {
		n = copy(p, f.data[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Stat implements Store.
func (m *Memory) Stat(ctx context.Context, name string) (Info, error) {
	f, err := m.find(ctx, "stat", name)
	if err != nil {
		return Info{}, err
	}
	return f.info(name), nil
}

// List implements Store. It holds no lock while yield runs.
func (m *Memory) List(ctx context.Context, prefix, after string, yield func(Info) error) error {
	for {
		batch, err := m.listed(ctx, prefix, after)
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, info := range batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := yield(info); err != nil {
				return err
			}
			after = info.Name
		}
	}
}

// listed returns the next files of a listing, none at its end.
func (m *Memory) listed(ctx context.Context, prefix, after string) ([]Info, error) {
	const batchSize = 1000
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usable(ctx, "list", prefix); err != nil {
		return nil, err
	}
	i, _ := slices.BinarySearch(m.names, prefix)
	if after >= prefix {
		var found bool
		if i, found = slices.BinarySearch(m.names, after); found {
			i++
		}
	}
	var batch []Info
	for _, name := range m.names[i:] {
		if len(batch) == batchSize || !strings.HasPrefix(name, prefix) {
			break
		}
		batch = append(batch, m.files[name].info(name))
	}
	return batch, nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := m.check(ctx, "delete", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, found := slices.BinarySearch(m.names, name)
	if !found {
		return fmt.Errorf("delete %s in %s: %w", name, m, ErrNotExist)
	}
	m.names = slices.Delete(m.names, i, i+1)
	delete(m.files, name)
	return nil
}

// Close implements Store. The files are gone.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.files, m.names = true, nil, nil
	return nil
}

// String returns "memory".
func (m *Memory) String() string { return "memory" }

func (f memoryFile) info(name string) Info {
	return Info{Name: name, Size: int64(len(f.data)), ModTime: f.modTime}
}

func (m *Memory) find(ctx context.Context, op, name string) (memoryFile, error) {
	if err := m.check(ctx, op, name); err != nil {
		return memoryFile{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, found := m.files[name]
	if !found {
		return memoryFile{}, fmt.Errorf("%s %s in %s: %w", op, name, m, ErrNotExist)
	}
	return f, nil
}

// check is what every method with a name does first.
func (m *Memory) check(ctx context.Context, op, name string) error {
	if err := ValidName(name); err != nil {
		return fmt.Errorf("%s in %s: %w", op, m, err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.usable(ctx, op, name)
}

// usable returns the error of a closed store or an ended context. The caller
// holds the lock.
func (m *Memory) usable(ctx context.Context, op, name string) error {
	err := ctx.Err()
	if m.closed {
		err = fs.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("%s %s in %s: %w", op, name, m, err)
	}
	return nil
}

// memoryWriter collects the bytes of one file.
type memoryWriter struct {
	ctx   context.Context
	m     *Memory
	name  string
	data  []byte
	ended bool
	err   error // first error, or errEnded

	replace bool // whatever has the name
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.m.check(w.ctx, "write", w.name)
	}
	if w.err != nil {
		return 0, w.err
	}
	w.data = append(w.data, p...)
	return len(p), nil
}

func (w *memoryWriter) Commit() error {
	err := w.err
	if !w.ended && err == nil {
		err = w.m.publish(w.ctx, w.name, w.data, w.replace)
	}
	w.end(err)
	return err
}

func (w *memoryWriter) Abort() error {
	w.end(w.err)
	return nil
}

// end drops the data and makes err, or errEnded, the answer from now on.
func (w *memoryWriter) end(err error) {
	w.data, w.ended, w.err = nil, true, err
	if err == nil {
		w.err = fmt.Errorf("write %s in %s: %w", w.name, w.m, errEnded)
	}
}

// publish adds a file. It owns data from now on.
func (m *Memory) publish(ctx context.Context, name string, data []byte, replace bool) error {
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx, "commit", name); err != nil {
		return err
	}
	i, found := slices.BinarySearch(m.names, name)
	if found && replace {
		m.files[name] = memoryFile{data: data, modTime: now()}
		return nil
	}
	if found {
		return fmt.Errorf("commit %s in %s: %w", name, m, ErrExist)
	}
	if clash := m.clash(name); clash != "" {
		return fmt.Errorf("commit %s in %s: %w: clashes with %s", name, m, ErrName, clash)
	}
	m.names = slices.Insert(m.names, i, name)
	m.files[name] = memoryFile{data: data, modTime: now()}
	return nil
}

// clash returns a file that has name as folder or is a folder of name, or "".
func (m *Memory) clash(name string) string {
	i, _ := slices.BinarySearch(m.names, name+"/")
	if i < len(m.names) && strings.HasPrefix(m.names[i], name+"/") {
		return m.names[i]
	}
	for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
		if _, found := m.files[folder]; found {
			return folder
		}
	}
	return ""
}
