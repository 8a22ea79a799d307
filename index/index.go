package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Tables of the index file. Their rows are described where they are written.
var (
	tableState     = []byte("state")
	tableWriters   = []byte("writers")
	tableSessions  = []byte("sessions")
	tablePacks     = []byte("packs")
	tablePackIDs   = []byte("packids")
	tableBlobs     = []byte("blobs")
	tableParts     = []byte("parts")
	tableBuckets   = []byte("buckets")
	tableVersions  = []byte("versions")
	tableSnapshots = []byte("snapshots")
	tableRows      = []byte("rows")
	tableNotes     = []byte("notes")

	tables = [][]byte{tableState, tableWriters, tableSessions, tablePacks, tablePackIDs, tableBlobs,
		tableParts, tableBuckets, tableVersions, tableSnapshots, tableRows, tableNotes}

	// plainTables have rows with checks of their own, whose keys follow from other rows.
	plainTables = [][]byte{tableBlobs, tableParts}

	keyFormat   = []byte("format")  // u32
	keyRepo     = []byte("repo")    // repository ID
	keyApplied  = []byte("applied") // seq u64, hash
	keyOpen     = []byte("open")    // boot ID while open; "clean" and u32 of checkPages after Close
	keyRuns     = []byte("runs")    // ID u32 and entries u64 of each
	keyCounters = []byte("counters")
)

const (
	indexFormat = 1
	clean       = "clean"
)

// Options of Open.
type Options struct {
	Repository string        // ID; an index of another one is ErrForeign
	Wait       time.Duration // for another process to let go; zero: do not wait
	BootID     string        // of this machine's run; empty: every unclean index is stale

	// Partial: for a writer without the metadata identity. Commits of others are folded
	// by their headers alone, so packs and versions of theirs are not known. Such an
	// index and one that has everything are ErrForeign to one another.
	Partial bool
}

// Index is the fold of a log in a bbolt file. All methods are safe for concurrent
// use; Apply and LoadCheckpoint are serialised. Functions given to a method are called
// within its transaction and must not call methods of the same Index. After ErrDamaged
// nothing but Close should be called, and the file should be deleted.
type Index struct {
	db      *bolt.DB
	path    string
	boot    string
	partial bool       // Apply takes opaque commits
	apply   sync.Mutex // held by Apply, LoadCheckpoint and merges
	marked  bool       // row open holds boot; guarded by apply
	checked bool       // leaf pages were checked, see pages.go; guarded by apply
	swept   bool       // of parts without a run; guarded by apply
	broken  atomic.Bool
	suspect atomic.Bool // an answer was ErrDamaged: Close deletes the file
	stuck   atomic.Bool // broke while bbolt held its locks
	chunks  chunkTable

	snapshots atomic.Uint64 // SnapshotChanges
}

// Open opens the index file at path, or makes an empty one. Errors: ErrBusy,
// ErrForeign, ErrStale, ErrDamaged; after all but the first the file may be deleted
// and opened anew, and the log applied from commit 1 or a checkpoint loaded.
func Open(path string, opt Options) (*Index, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	if opt.Partial {
		opt.Repository += " partial"
	}
	x := &Index{path: path, boot: opt.BootID, partial: opt.Partial}
	err := x.guard(func() error {
		if fi, err := os.Stat(path); err == nil && fi.Size() > 0 {
			if !fi.Mode().IsRegular() {
				return fmt.Errorf("open index: %s is no file", path)
			}
			if err := x.inspect(opt); err != nil {
				return err
			}
		}
		if err := x.open(opt, false); err != nil {
			return err
		}
		return x.prepare(opt)
	})
	if err != nil {
		if x.db != nil && !x.stuck.Load() {
			_ = x.db.Close()
		}
		return nil, err
	}
	return x, nil
}

func (x *Index) open(opt Options, readOnly bool) error {
	bo := *bolt.DefaultOptions
	bo.Timeout = max(opt.Wait, time.Millisecond)
	bo.NoSync, bo.NoGrowSync = true, true
	bo.FreelistType = bolt.FreelistArrayType
	bo.ReadOnly = readOnly
	db, err := bolt.Open(x.path, 0o600, &bo)
	var system *fs.PathError
	switch {
	case err == nil:
		x.db = db
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("open index %s: %w", x.path, ErrBusy)
	case errors.As(err, &system):
		return fmt.Errorf("open index: %w", err)
	default:
		return fmt.Errorf("open index %s: %w: %v", x.path, ErrDamaged, err)
	}
}

// inspect checks the pages of the file and its state while nobody writes it, and before bbolt
// relies on them.
func (x *Index) inspect(opt Options) error {
	if err := x.open(opt, true); err != nil {
		return err
	}
	sum, err := checkPages(x.path, x.db.Info().PageSize, false)
	if err != nil {
		return err
	}
	err = x.db.View(func(tx *bolt.Tx) error { return x.checkState(tx, opt, &sum) })
	return errors.Join(err, x.db.Close())
}

// prepare makes the tables of a new file, or reads the state of an old one.
func (x *Index) prepare(opt Options) error {
	fresh := false
	err := x.db.View(func(tx *bolt.Tx) error {
		if fresh = tx.Bucket(tableState) == nil; fresh {
			return nil
		}
		return x.checkState(tx, opt, nil)
	})
	if err != nil || !fresh {
		return err
	}
	x.marked, x.checked, x.swept = true, true, true
	return x.db.Update(func(tx *bolt.Tx) error {
		return createTables(tx, []byte(opt.Repository), []byte(opt.BootID))
	})
}

func createTables(tx *bolt.Tx, repo, boot []byte) error {
	for _, t := range tables {
		b, err := tx.CreateBucket(t)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(plainTables, func(p []byte) bool { return bytes.Equal(p, t) }) {
			continue
		}
		if err := (table{b, t}).create(); err != nil {
			return err
		}
	}
	st := in(tx, tableState)
	return errors.Join(st.put(keyFormat, binary.BigEndian.AppendUint32(nil, indexFormat)),
		st.put(keyRepo, repo), st.put(keyOpen, boot))
}

// checkState says whether the index may be believed. pages, unless nil, is what
// checkPages returned.
func (x *Index) checkState(tx *bolt.Tx, opt Options, pages *uint32) error {
	for _, t := range tables {
		if tx.Bucket(t) == nil {
			return fmt.Errorf("index %s: %w: table %s is missing", x.path, ErrDamaged, t)
		}
	}
	st := in(tx, tableState)
	format, err := st.get(keyFormat)
	if err != nil {
		return err
	}
	if len(format) != 4 || binary.BigEndian.Uint32(format) != indexFormat {
		return fmt.Errorf("index %s: %w: made by another version of firn", x.path, ErrDamaged)
	}
	repo, err := st.get(keyRepo)
	if err != nil {
		return err
	}
	if string(repo) != opt.Repository {
		return fmt.Errorf("index %s of repository %s: %w", x.path, repo, ErrForeign)
	}
	open, err := st.get(keyOpen)
	if err != nil {
		return err
	}
	if sum, ok := bytes.CutPrefix(open, []byte(clean)); ok && len(sum) == 4 {
		if pages != nil && binary.BigEndian.Uint32(sum) != *pages {
			return fmt.Errorf("index %s: %w: branch pages have changed since it was closed", x.path, ErrDamaged)
		}
		return nil
	}
	if opt.BootID == "" || string(open) != opt.BootID {
		return fmt.Errorf("index %s: %w", x.path, ErrStale)
	}
	x.marked = true
	return nil
}

// Close makes the index durable, marks it as closed cleanly and lets go of the file.
func (x *Index) Close() error {
	if x.suspect.Load() {
		defer func() { _ = os.Remove(x.path) }() // Open makes a new one
	}
	if x.stuck.Load() {
		return nil // closing it could wait for ever
	}
	x.apply.Lock()
	defer x.apply.Unlock()
	var err error
	if x.marked && !x.broken.Load() {
		if err = x.guard(x.markClean); err != nil {
			err = fmt.Errorf("close index: %w", err)
		}
	}
	if x.stuck.Load() {
		return err
	}
	return errors.Join(err, x.db.Close())
}

// markClean keeps the order: all pages durable, then the mark.
func (x *Index) markClean() error {
	if err := x.db.Sync(); err != nil {
		return err
	}
	sum, err := checkPages(x.path, x.db.Info().PageSize, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted while it was open
	}
	if err != nil {
		return err
	}
	if err := x.mark(binary.BigEndian.AppendUint32([]byte(clean), sum)); err != nil {
		return err
	}
	x.marked = false
	return nil
}

// mark writes the row open, and makes it and all before it durable.
func (x *Index) mark(value []byte) error {
	err := x.write(func(tx *bolt.Tx) error { return in(tx, tableState).put(keyOpen, value) })
	if err != nil {
		return err
	}
	return x.db.Sync()
}

// Path of the index file.
func (x *Index) Path() string { return x.path }

// Size of the index file in bytes.
func (x *Index) Size() int64 {
	fi, err := os.Stat(x.path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// guard runs f and turns a panic or memory fault into ErrDamaged: bbolt checks no data
// page, so a damaged file makes it panic, or read outside of the file.
func (x *Index) guard(f func() error) (err error) {
	if x.broken.Load() {
		return fmt.Errorf("index %s: %w", x.path, ErrDamaged)
	}
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			x.broken.Store(true)
			err = fmt.Errorf("index %s: %w: %v", x.path, ErrDamaged, p)
		}
		if errors.Is(err, ErrDamaged) {
			x.suspect.Store(true)
		}
	}()
	return f()
}

func (x *Index) view(f func(tx *bolt.Tx) error) error {
	return x.guard(func() error {
		return x.unstuck(func() error { return x.db.View(f) })
	})
}

// unstuck notes a panic in f, after which bbolt may hold its locks for ever.
func (x *Index) unstuck(f func() error) error {
	done := false
	defer func() {
		if !done {
			x.stuck.Store(true)
		}
	}()
	err := f()
	done = true
	return err
}

// update runs f in a transaction; x.apply is held. Before the first change since the
// index was opened it checks the leaf pages, and durably unmarks the index as clean
// (invariant 6).
func (x *Index) update(f func(tx *bolt.Tx) error) error {
	return x.guard(func() error {
		if !x.checked {
			if _, err := checkPages(x.path, x.db.Info().PageSize, true); err != nil {
				return err
			}
			x.checked = true
		}
		if !x.marked {
			if err := x.mark([]byte(x.boot)); err != nil {
				return fmt.Errorf("index %s: %w", x.path, err)
			}
			x.marked = true
		}
		return x.write(f)
	})
}

// write is db.Update, but for a panic, and for the errors of bbolt that only damage explains.
func (x *Index) write(f func(tx *bolt.Tx) error) error {
	err := x.unstuck(func() error { return x.db.Update(f) })
	if errors.Is(err, bolterrors.ErrIncompatibleValue) || errors.Is(err, bolterrors.ErrBucketNotFound) {
		err = fmt.Errorf("index %s: %w: %v", x.path, ErrDamaged, err)
	}
	return err
}
