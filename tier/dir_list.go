package tier

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// List implements Store. It keeps at most 131072 entries of each folder on the
// way at a time; larger folders are read once for each such part.
func (d *Dir) List(ctx context.Context, prefix, after string, yield func(Info) error) error {
	if d.closed.Load() {
		return d.fail("list", "", fs.ErrClosed)
	}
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if folder != "" && ValidName(strings.TrimSuffix(folder, "/")) != nil {
		return ctx.Err() // no name can have this prefix
	}
	l := listing{ctx: ctx, d: d, prefix: prefix, after: after, yield: yield}
	return l.walk(folder)
}

// listing is one call of List.
type listing struct {
	ctx           context.Context
	d             *Dir
	prefix, after string
	yield         func(Info) error
}

// entry is a file or folder of a directory. The key of a folder ends with a
// slash: sorted by key, a walk is in byte order of full names, in which "a-b"
// and "a.b" come before "a/b".
type entry struct {
	key     string
	size    int64
	modTime time.Time
}

// walk yields the files in folder, which is empty or ends with a slash.
func (l *listing) walk(folder string) error {
	for last, more := "", true; more; {
		var batch []entry
		var err error
		if batch, more, err = l.read(folder, last); err != nil {
			return err
		}
		for _, e := range batch {
			last = e.key
			if err := l.visit(folder, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *listing) visit(folder string, e entry) error {
	if strings.HasSuffix(e.key, "/") {
		return l.walk(folder + e.key)
	}
	if err := l.ctx.Err(); err != nil {
		return l.d.fail("list", folder, err)
	}
	return l.yield(Info{Name: folder + e.key, Size: e.size, ModTime: e.modTime})
}

// read returns the wanted entries of folder with the smallest keys greater
// than last, sorted, and whether there may be more. A folder that does not
// exist is empty.
func (l *listing) read(folder, last string) (batch []entry, more bool, err error) {
	f, err := l.open(folder)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, false, l.ctx.Err()
	}
	if err != nil {
		return nil, false, l.d.fail("list", folder, err)
	}
	defer f.Close()
	limit := l.d.batch
	for {
		if err := l.ctx.Err(); err != nil {
			return nil, false, l.d.fail("list", folder, err)
		}
		found, err := f.ReadDir(1024)
		for _, de := range found {
			e, ok, err := l.wanted(folder, last, de)
			if err != nil {
				return nil, false, l.d.fail("list", folder, err)
			}
			if ok {
				batch = append(batch, e)
			}
		}
		if len(batch) >= 2*limit {
			batch, more = sorted(batch)[:limit], true
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false, l.d.fail("list", folder, err)
		}
	}
	batch = sorted(batch)
	if len(batch) > limit {
		batch, more = batch[:limit], true
	}
	return batch, more, nil
}

// open opens a folder. It looks first, because a prefix can name anything: a
// file, a link, or a named pipe, whose opening would wait.
func (l *listing) open(folder string) (*os.File, error) {
	name := filepath.FromSlash(path.Clean("./" + folder))
	info, err := l.d.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, syscall.ENOTDIR
	}
	return l.d.root.Open(name)
}

// wanted turns an entry of folder into ours if it belongs to the listing.
func (l *listing) wanted(folder, last string, de fs.DirEntry) (e entry, ok bool, err error) {
	full := folder + de.Name()
	if ValidName(full) != nil {
		return entry{}, false, nil
	}
	if de.IsDir() {
		key := de.Name() + "/"
		return entry{key: key}, key > last && inFolder(full+"/", l.prefix, l.after), nil
	}
	if de.Name() <= last || full <= l.after || !strings.HasPrefix(full, l.prefix) || !de.Type().IsRegular() {
		return entry{}, false, nil
	}
	info, err := de.Info()
	if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
		return entry{}, false, nil
	}
	if err != nil {
		return entry{}, false, err
	}
	return entry{key: de.Name(), size: info.Size(), modTime: info.ModTime()}, true, nil
}

func sorted(batch []entry) []entry {
	slices.SortFunc(batch, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return batch
}
