package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/firnstore/firn/repo"
)

// Overwrite says what Restore does with what exists already.
type Overwrite string

// Restore overwrites files in place, chunk by chunk, and only where they differ.
const (
	OverwriteIfChanged Overwrite = "if-changed" // trust files of the same size and modification time; the default
	OverwriteAlways    Overwrite = "always"     // compare the contents of every file
	OverwriteNever     Overwrite = "never"      // leave what exists as it is, its attributes too
)

// SparseMode says which runs of zeros become holes.
type SparseMode string

// Runs of zeros are known in whole blocks of 4096 bytes.
const (
	SparseAuto   SparseMode = "auto"   // those of files that had holes; the default
	SparseAlways SparseMode = "always" // those of every file
	SparseNever  SparseMode = "never"  // none: all of a file is allocated
)

// RestoreOptions say what to restore, and how.
type RestoreOptions struct {
	Target    string     // directory, made if missing; paths go below it as they are in the snapshot
	Path      string     // only this path of the snapshot, which keeps its place below Target; "": all
	Include   *Matcher   // only what it chooses; nil: all
	Exclude   *Matcher   // not what it chooses, even when it is included; nil: nothing
	Overwrite Overwrite  // "": OverwriteIfChanged
	Sparse    SparseMode // "": SparseAuto

	// Delete removes what is not in the snapshot from directories that were backed up
	// whole and are restored whole. What Exclude chooses stays, and so does what lies
	// beside the paths that were backed up.
	Delete       bool
	DryRun       bool // touch nothing
	Verify       bool // read every file back at the end
	NoOwner      bool // leave owners and groups to the system
	NumericOwner bool // do not look for users and groups of the same name
	Workers      int  // 0: one per CPU

	Progress *Progress               // counters to read meanwhile; may be nil
	Problem  func(p string, e error) // told of each path on this machine that is not as it was; may be called from several goroutines

	limits windowLimits   // zero: the defaults
	step   func(p string) // told of every directory entered, by tests
}

// RestoreResult tells what a restore did or, after a dry run, would do.
type RestoreResult struct {
	Files        int64    `json:"files"`     // regular files that are as in the snapshot now
	Unchanged    int64    `json:"unchanged"` // of them, those whose content was there already
	Kept         int64    `json:"kept"`      // that exist and were left alone (OverwriteNever)
	Dirs         int64    `json:"dirs"`
	Links        int64    `json:"links"`      // symbolic
	HardLinks    int64    `json:"hard_links"` // further names of files, and of links, FIFOs and devices
	Other        int64    `json:"other"`      // FIFOs and devices
	Sockets      int64    `json:"sockets"`    // recorded in the snapshot, and skipped: programs make their own
	Deleted      int64    `json:"deleted"`
	Bytes        int64    `json:"bytes"`         // of files
	BytesWritten int64    `json:"bytes_written"` // in a dry run: at most
	Verified     int64    `json:"verified"`      // files read back
	Problems     int64    `json:"problems"`
	Notes        []string `json:"notes,omitempty"` // what the system or the privileges did not allow, once each
	Seconds      float64  `json:"seconds"`
	DryRun       bool     `json:"dry_run,omitempty"`
}

// restorer is one run of Restore.
type restorer struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	r      *repo.Repository
	snap   *Snapshot
	opt    *RestoreOptions
	tree   *outTree
	// The process may not write to the target itself. That stops the restore only when
	// something is to be made there: in place, everything may be further below.
	unwritable bool

	wholes []string // paths of the snapshot that were backed up whole
	owners ownerIDs
	missed missed
	links  hardLinks
	hasher *hashers // nil: the repository does not hand one out

	window  *window
	working sync.WaitGroup // the window before
	files   openFiles
	temps   temps

	failedMu sync.Mutex
	failed   map[string]struct{} // paths with problems, for Verify; up to maxFailed

	res restoreCounters
	*Progress
}

type restoreCounters struct {
	files, unchanged, kept, dirs, links, hardLinks, other, sockets, deleted atomic.Int64
	bytes, written, verified                                                atomic.Int64
}

const (
	maxFailed = 10_000
	maxDepth  = 4096 // of directories below the target
)

// Restore writes a snapshot, or a part of it, below opt.Target. What cannot be restored
// as it was is reported and counted in Problems, and the rest is restored. A full disk, a
// target that cannot be written to, or the end of ctx stop it with an error; the result
// tells what was done until then.
//
// A file gets its modification time last, when all of it was written. So what an
// interrupted restore left unfinished differs from the snapshot, and the next run
// completes it while it passes over what is done. In the place of a link, or of a file
// that has another name, a file comes only when it is complete. When Restore returns nil, what it
// wrote is on stable storage, as far as the system has a call for that.
func Restore(ctx context.Context, r *repo.Repository, s *Snapshot, opt RestoreOptions) (*RestoreResult, error) {
	start := r.Now()
	if err := opt.check(); err != nil {
		return nil, err
	}
	if err := r.RequireData(); err != nil {
		return nil, err
	}
	first, err := s.Lookup(ctx, r, opt.Path)
	if err != nil {
		return nil, err
	}
	rs := newRestorer(r, s, &opt)
	if b := first.Below; b != nil && opt.Include == nil && opt.Exclude == nil {
		rs.TotalFiles.Store(b.Files)
		rs.TotalBytes.Store(b.Bytes)
	}
	rs.ctx, rs.cancel = context.WithCancelCause(ctx)
	defer rs.cancel(nil)
	if opt.Delete {
		rs.wholes = s.wholePaths(rs.ctx, r)
	}
	if err := rs.openTarget(); err != nil {
		return nil, fmt.Errorf("restore to %s: %w", opt.Target, err)
	}
	defer rs.tree.close()
	err = rs.run()
	return rs.result(r.Now().Sub(start).Seconds()), err
}

func (o *RestoreOptions) check() error {
	if o.Target == "" {
		return errors.New("restore: no target given")
	}
	switch o.Overwrite {
	case "":
		o.Overwrite = OverwriteIfChanged
	case OverwriteIfChanged, OverwriteAlways, OverwriteNever:
	default:
		return fmt.Errorf("restore: overwrite %q: want if-changed, always or never", o.Overwrite)
	}
	switch o.Sparse {
	case "":
		o.Sparse = SparseAuto
	case SparseAuto, SparseAlways, SparseNever:
	default:
		return fmt.Errorf("restore: sparse %q: want auto, always or never", o.Sparse)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	if o.limits == (windowLimits{}) {
		o.limits = defaultWindow
	}
	return nil
}

func newRestorer(r *repo.Repository, s *Snapshot, opt *RestoreOptions) *restorer {
	return &restorer{
		r: r, snap: s, opt: opt, Progress: opt.Progress,
		window: &window{}, hasher: hasherOf(r), failed: map[string]struct{}{},
	}
}

// openTarget makes and opens the target.
func (rs *restorer) openTarget() error {
	path := filepath.Clean(rs.opt.Target)
	made := false
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if rs.opt.DryRun {
			rs.tree = absentTree(path)
			rs.tree.root.done = rs.dirDone
			return nil
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		made = true
	}
	t, err := openOutTree(path)
	if err != nil {
		return err
	}
	rs.unwritable = t.root.use(dirHandle.mayWrite) != nil
	t.root.fresh, t.root.done = made, rs.dirDone
	rs.tree = t
	return nil
}

// run restores and verifies. The error is the cause why it ended early.
func (rs *restorer) run() error {
	root := rs.tree.root
	root.node = rs.snap.Root
	only := components(rs.opt.Path)
	// The root of a snapshot of single paths was never looked at when it was saved.
	root.selected = len(only) == 0 && len(rs.snap.Paths()) == 1 && rs.snap.Paths()[0] == "/"
	rs.enterDir(root, "/", only)
	rs.finishFiles()
	if rs.ctx.Err() == nil {
		root.release()
	}
	if err := context.Cause(rs.ctx); err != nil {
		rs.files.closeAll()
		rs.temps.discardAll()
		return err
	}
	if rs.opt.DryRun {
		return nil
	}
	if err := root.use(dirHandle.sync); err != nil {
		return fmt.Errorf("restore to %s: %w", rs.opt.Target, err)
	}
	if rs.opt.Verify {
		rs.verify(only)
	}
	return context.Cause(rs.ctx)
}

// finishFiles waits for everything under way, and for what comes of it.
func (rs *restorer) finishFiles() {
	for {
		rs.flush()
		rs.working.Wait()
		copies := rs.links.takeCopies()
		if len(copies) == 0 || rs.ctx.Err() != nil {
			return
		}
		for _, c := range copies {
			rs.place(c.dir, c.node, nil)
			c.dir.release()
		}
	}
}

func (rs *restorer) result(seconds float64) *RestoreResult {
	c := &rs.res
	return &RestoreResult{
		Files: c.files.Load(), Unchanged: c.unchanged.Load(), Kept: c.kept.Load(), Dirs: c.dirs.Load(),
		Links: c.links.Load(), HardLinks: c.hardLinks.Load(), Other: c.other.Load(), Sockets: c.sockets.Load(),
		Deleted: c.deleted.Load(), Bytes: c.bytes.Load(), BytesWritten: c.written.Load(),
		Verified: c.verified.Load(), Problems: rs.Problems.Load(), Notes: rs.missed.notes(),
		Seconds: seconds, DryRun: rs.opt.DryRun,
	}
}

// problem reports what could not be restored as it was; path is on this machine. What
// would go wrong for everything that follows stops the restore instead.
func (rs *restorer) problem(path string, err error) {
	if pe, ok := err.(*fs.PathError); ok { // its path is not more than a name
		err = fmt.Errorf("%s: %w", pe.Op, pe.Err)
	}
	if hopeless(err) || rs.unwritable && errors.Is(err, fs.ErrPermission) && filepath.Dir(path) == rs.tree.path {
		rs.cancel(fmt.Errorf("restore stopped at %s: %w", path, err))
		return
	}
	if rs.ctx.Err() != nil {
		return // it follows from why the restore ends
	}
	rs.failedMu.Lock()
	if len(rs.failed) < maxFailed {
		rs.failed[path] = struct{}{}
	}
	rs.failedMu.Unlock()
	rs.Problems.Add(1)
	if rs.opt.Problem != nil {
		rs.opt.Problem(path, err)
	}
}
