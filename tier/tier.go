package tier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// A Store is a flat namespace of write-once files. All methods are safe for
// concurrent use, also from several processes where the medium is shared.
//
// Every method that takes a name returns an error that is ErrName when
// ValidName refuses it. Every method that takes a context returns its error
// when it ends before the work does. After Close every method but String and
// Close returns an error that is fs.ErrClosed.
//
// A name must not also be used as a folder: of "a" and "a/b" only one can
// exist. Stores that can tell refuse the second with ErrName.
type Store interface {
	// Create begins a write-once file. Nothing can be seen under name before
	// Commit, and a name that is taken is noticed only there. ctx governs the
	// Writer until its end: once it is cancelled, Write and Commit fail.
	Create(ctx context.Context, name string) (Writer, error)

	// ReadAt fills p with the bytes of the file from byte off. It returns
	// fewer than len(p) only with a non-nil error, which is io.EOF itself at
	// the end of the file. Reading up to the last byte gives no error; an
	// empty p reads nothing from any existing file. A negative off is an
	// error, an absent file is ErrNotExist.
	ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error)

	// Stat describes the file, or returns ErrNotExist.
	Stat(ctx context.Context, name string) (Info, error)

	// List calls yield for each file whose name starts with prefix and is
	// greater than after, in byte order of names. Both may be empty, and
	// neither need be a valid name. Files committed or deleted meanwhile may
	// be left out or not. An error of yield ends the listing and is returned
	// as it is. yield may use the store.
	List(ctx context.Context, prefix, after string, yield func(Info) error) error

	// Delete removes the file durably. It returns ErrNotExist when there is
	// none. Afterwards the name is free again.
	Delete(ctx context.Context, name string) error

	// Close releases what the store holds. It does not end Writers: they fail
	// from then on and still need their Abort. A second Close does nothing.
	Close() error

	// String tells people where the store is.
	String() string
}

// A Settler is a store in which a file can be seen, or has gone, before that is durable.
type Settler interface {
	// Settle makes durable what can be seen in the folder of the name: files that others
	// commit just now, and the absence of those that they delete. There need be no file
	// of this name.
	Settle(ctx context.Context, name string) error
}

// Settle makes durable what can be seen in the folder of the name. In a store that is no
// Settler it always is.
func Settle(ctx context.Context, s Store, name string) error {
	if x, ok := s.(Settler); ok {
		return x.Settle(ctx, name)
	}
	return nil
}

// A Replacer is a store that can put a whole file in the place of another in one step.
// Only healing does that: the bytes that come back are those that the file was written
// with, so that for everybody else a file still never changes.
type Replacer interface {
	// Replace begins a file like Create, but its Commit succeeds also when the name is
	// taken: then a reader finds either the old file or the new one, whole, also after a
	// power loss. With an error of the medium it may be either.
	Replace(ctx context.Context, name string) (Writer, error)
}

// Replace begins a file that takes the place of another, if the store can do that; else
// it returns an error that is errors.ErrUnsupported.
func Replace(ctx context.Context, s Store, name string) (Writer, error) {
	if r, ok := s.(Replacer); ok {
		return r.Replace(ctx, name)
	}
	return nil, fmt.Errorf("replace %s in %s: %w: this kind of store cannot put one file in the place of another",
		name, s, errors.ErrUnsupported)
}

// A Writer receives the bytes of one file. It is for one goroutine at a time
// and must be ended by Commit or Abort. It does not keep the slices given to
// Write. After its first error it only returns that error.
type Writer interface {
	io.Writer

	// Commit makes the file durable and visible under its name, at once and
	// only if the name is free. It ends the Writer, also when it fails. With
	// ErrExist another file has the name, durably, and nothing was changed.
	// With an error of the medium the file may exist or not, but only whole:
	// the caller looks, or tries again and finds ErrExist.
	Commit() error

	// Abort ends the Writer and leaves nothing. On an ended Writer it does
	// nothing and returns nil, so that it can be deferred.
	Abort() error
}

// Info describes a file.
type Info struct {
	Name string
	Size int64 // bytes
	// ModTime is when the file was written, by the clock of the medium. Show
	// it, but let no safety depend on it.
	ModTime time.Time
}

// Errors to be tested for with errors.Is. They also match fs.ErrNotExist,
// fs.ErrExist and fs.ErrInvalid.
var (
	// ErrNotExist says that there is no file of this name.
	ErrNotExist error = &kind{"no such file in the store", fs.ErrNotExist}
	// ErrExist says that the name is taken.
	ErrExist error = &kind{"name is taken", fs.ErrExist}
	// ErrName says that the name is malformed, or that it stands for a folder
	// of other files, or lies in a folder that is a file.
	ErrName error = &kind{"invalid name", fs.ErrInvalid}
)

// kind is a sentinel error that is also one of package fs.
type kind struct {
	text string
	of   error
}

func (k *kind) Error() string { return k.text }
func (k *kind) Unwrap() error { return k.of }

// errEnded is the error of using a Writer after a successful Commit or an Abort.
var errEnded = errors.New("writer has ended")

// maxName is the greatest length of a name in bytes. It is what common file
// systems allow for a single component.
const maxName = 255

// ValidName returns nil if name may name a file, else an error that is ErrName.
// A name is one or more components separated by single slashes, 255 bytes at
// most in all. Components consist of a-z, 0-9, '.', '_' and '-' and do not
// start with '.'.
func ValidName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: empty", ErrName)
	}
	if len(name) > maxName {
		return fmt.Errorf("%w: %d bytes, more than %d", ErrName, len(name), maxName)
	}
	start := true // at the first byte of a component
	for i := range len(name) {
		c := name[i]
		switch {
		case start && (c == '/' || c == '.'):
			return fmt.Errorf("%w: %q has a component that is empty or starts with '.'", ErrName, name)
		case c == '/':
			start = true
			continue
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("%w: %q has the byte %q", ErrName, name, c)
		}
		start = false
	}
	if start {
		return fmt.Errorf("%w: %q ends with '/'", ErrName, name)
	}
	return nil
}

// Put stores data under name: Create, one Write, Commit. Errors are theirs.
// Nothing is left behind when it fails before Commit.
func Put(ctx context.Context, s Store, name string, data []byte) error {
	w, err := s.Create(ctx, name)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.Commit()
}

// A FileReader is a store that reads a whole file at less cost than Stat and ReadAt have
// together.
type FileReader interface {
	// ReadFile is what the function Read promises.
	ReadFile(ctx context.Context, name string, limit int64) ([]byte, error)
}

// Read returns the whole file, which the caller owns. It is an error if the
// file has more than limit bytes; nothing is allocated then, and never more
// than the size of the file. An absent file is ErrNotExist.
func Read(ctx context.Context, s Store, name string, limit int64) ([]byte, error) {
	if r, ok := s.(FileReader); ok {
		return r.ReadFile(ctx, name, limit)
	}
	info, err := s.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	if info.Size > limit {
		return nil, fmt.Errorf("read %s in %s: %d bytes, more than the limit of %d", name, s, info.Size, limit)
	}
	data := make([]byte, info.Size)
	if _, err := s.ReadAt(ctx, name, data, 0); err != nil {
		if err == io.EOF { // the file must not be shorter than Stat said
			err = fmt.Errorf("read %s in %s: %w", name, s, io.ErrUnexpectedEOF)
		}
		return nil, err
	}
	return data, nil
}

// inFolder reports whether a name in folder, which ends with a slash, can be
// listed with prefix and after.
func inFolder(folder, prefix, after string) bool {
	if !strings.HasPrefix(folder, prefix) && !strings.HasPrefix(prefix, folder) {
		return false
	}
	return folder > after || strings.HasPrefix(after, folder)
}
