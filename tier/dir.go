package tier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
)

// Dir is a Store in a directory of a file system. Names are paths below it,
// files are readable and folders accessible for their owner only. Any number of
// processes may use one directory at the same time.
//
// Files of the directory that are not regular or do not have a valid name are
// not part of the store. Symbolic links are not followed out of the directory
// and are refused as files.
type Dir struct {
	path    string // for messages
	root    *os.Root
	noSync  bool
	batch   int // directory entries sorted at once
	handles *handles
	closed  atomic.Bool

	// trace, when not nil, hears of each step that changes the medium, after
	// the step. Tests use it to see the order and to stop in between.
	trace func(step string)

	mu      sync.Mutex
	method  method          // how files get their names; noMethod before the first Create
	durable map[string]bool // folders known to survive a power loss
}

// DirOptions are choices for a Dir. The zero value is right for real data.
type DirOptions struct {
	// NoSync skips all syncing. A power loss then may lose or tear files, so
	// it is for tests and data that can be made again.
	NoSync bool
	// OpenFiles bounds the files that are kept open for reading; 0 means 64.
	// More are open only while more are read at the same time.
	OpenFiles int
}

const (
	folderMode = 0o700
	// tempFolder holds temporaries. It is no valid name, hence never listed.
	tempFolder = ".firn-tmp"
	// defaultOpenFiles stays far below the usual limit of 256 to 1024
	// descriptors of a process.
	defaultOpenFiles = 64
	// listBatch bounds what List keeps of one folder, about 12 MB. A folder
	// with more entries is read several times.
	listBatch = 1 << 17
)

// OpenDir opens the store in the directory at path, which must exist and may
// be a symbolic link. It removes what dead writers left behind, as far as it
// may: a directory that cannot be written to can still be read.
func OpenDir(path string, opt DirOptions) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", abs, cause(err))
	}
	d := &Dir{
		path:    abs,
		root:    root,
		noSync:  opt.NoSync,
		batch:   listBatch,
		durable: make(map[string]bool),
	}
	if opt.OpenFiles <= 0 {
		opt.OpenFiles = defaultOpenFiles
	}
	d.handles = newHandles(opt.OpenFiles, d.open)
	d.removeDeadTemps()
	return d, nil
}

// CreateDir makes the directory at path and its missing parents, durably, and
// opens the store in it. An existing directory is opened as it is.
func CreateDir(path string, opt DirOptions) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("create store: %w", err)
	}
	if err := makeDirs(abs, opt.NoSync); err != nil {
		return nil, fmt.Errorf("create store %s: %w", abs, err)
	}
	return OpenDir(abs, opt)
}

// makeDirs makes a directory with its parents and syncs the entry of each one
// it had to make.
func makeDirs(dir string, noSync bool) error {
	_, err := os.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return err
	}
	if err := makeDirs(parent, noSync); err != nil {
		return err
	}
	if err := os.Mkdir(dir, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if noSync {
		return nil
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(syncFolder(f), f.Close())
}

// ReadAt implements Store.
func (d *Dir) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := d.check(ctx, "read", name); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, d.fail("read", name, fmt.Errorf("negative offset %d", off))
	}
	h, err := d.handles.acquire(name)
	if err != nil {
		return 0, d.fail("read", name, err)
	}
	n, err := h.file.ReadAt(p, off)
	d.handles.release(h)
	if err != nil && err != io.EOF {
		err = d.fail("read", name, err)
	}
	return n, err
}

// Stat implements Store.
func (d *Dir) Stat(ctx context.Context, name string) (Info, error) {
	if err := d.check(ctx, "stat", name); err != nil {
		return Info{}, err
	}
	info, err := d.lstat(name)
	if err != nil {
		return Info{}, d.fail("stat", name, err)
	}
	return Info{Name: name, Size: info.Size(), ModTime: info.ModTime()}, nil
}

// Delete implements Store. Folders stay, also when they become empty.
func (d *Dir) Delete(ctx context.Context, name string) error {
	if err := d.check(ctx, "delete", name); err != nil {
		return err
	}
	if _, err := d.lstat(name); err != nil { // Remove would take an empty folder, too
		return d.fail("delete", name, err)
	}
	d.handles.drop(name) // some systems do not remove an open file
	err := d.root.Remove(filepath.FromSlash(name))
	d.handles.drop(name) // a reader may have opened it again
	if err != nil {
		return d.fail("delete", name, err)
	}
	d.did("remove " + name)
	if err := d.syncNamed(path.Dir(name)); err != nil {
		return d.fail("delete", name, err)
	}
	return nil
}

// Close implements Store.
func (d *Dir) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return errors.Join(d.handles.close(), d.root.Close())
}

// String returns the absolute path of the directory.
func (d *Dir) String() string { return d.path }

// check is what every method with a name does first.
func (d *Dir) check(ctx context.Context, op, name string) error {
	if err := ValidName(name); err != nil {
		return fmt.Errorf("%s in %s: %w", op, d.path, err)
	}
	if d.closed.Load() {
		return d.fail(op, name, fs.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return d.fail(op, name, err)
	}
	return nil
}

// open opens a file for reading. It looks first, because opening a named pipe
// would wait for its writer.
func (d *Dir) open(name string) (*os.File, error) {
	if _, err := d.lstat(name); err != nil {
		return nil, err
	}
	return d.root.Open(filepath.FromSlash(name))
}

// lstat describes a regular file. A folder counts as absent; other kinds of
// files are errors, since they are not ours and their names are not free.
func (d *Dir) lstat(name string) (fs.FileInfo, error) {
	info, err := d.root.Lstat(filepath.FromSlash(name))
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return nil, ErrNotExist
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, ErrNotExist
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	}
	return info, nil
}

// syncNamed makes the entries of a folder durable.
func (d *Dir) syncNamed(folder string) error {
	if d.noSync {
		return nil
	}
	f, err := d.root.Open(filepath.FromSlash(folder))
	if err != nil {
		return err
	}
	if err := errors.Join(syncFolder(f), f.Close()); err != nil {
		return err
	}
	d.did("sync folder " + folder)
	return nil
}

func (d *Dir) did(step string) {
	if d.trace != nil {
		d.trace(step)
	}
}

// fail gives an error its operation and path, and our sentinel. What is missing
// while writing is something else than the file of that name.
func (d *Dir) fail(op, name string, err error) error {
	err = cause(err)
	switch {
	case errors.Is(err, ErrNotExist), errors.Is(err, ErrExist), errors.Is(err, ErrName):
	case errors.Is(err, fs.ErrNotExist) && op != "create" && op != "commit":
		err = ErrNotExist
	case errors.Is(err, fs.ErrExist):
		err = ErrExist
	}
	return fmt.Errorf("%s %s: %w", op, filepath.Join(d.path, filepath.FromSlash(name)), err)
}

// cause strips the paths that package os puts around an error; inside a root
// they are relative.
func cause(err error) error {
	for {
		switch e := err.(type) {
		case *fs.PathError:
			err = e.Err
		case *os.LinkError:
			err = e.Err
		case *os.SyscallError:
			err = e.Err
		default:
			return err
		}
	}
}
