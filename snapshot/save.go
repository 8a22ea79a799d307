package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// SaveOptions say what to back up, and how.
type SaveOptions struct {
	Paths  []string // files and directories; relative ones keep the path given
	Bucket string   // where the version goes; made if missing
	Key    string   // under which key; made from host and paths when empty
	Host   string
	User   string
	Tags   []string

	Parent        string // snapshot to compare with: "" the newest of this key, "none", or an ID
	Force         bool   // read every file, changed or not
	IgnoreInode   bool   // for file systems without stable inodes
	IgnoreCtime   bool
	OneFileSystem bool
	Exclude       *Matcher // nil: nothing
	ExcludeCaches bool     // directories with a CACHEDIR.TAG (bford.info/cachedir)
	ExcludeLarger int64    // files above this many bytes; 0: none
	Repository    string   // directory of the repository, left out where it is met: it would grow as it is read; "": none
	DryRun        bool     // store nothing
	Level         pack.Level
	Workers       int // 0: one per CPU
	Program       string

	Progress *Progress               // counters to read meanwhile; may be nil
	Problem  func(p string, e error) // told of what could not be read (invariant 3); may be called from several goroutines
	Skipped  func(p string)          // told, once, where Repository was met; may be nil
	Retry    func(why error)         // told that a prune came between, and the backup begins again; may be nil
}

// Progress counts while Save or Restore works. Its fields may be read at any time.
type Progress struct {
	Files, Dirs, Other     atomic.Int64 // done
	Bytes                  atomic.Int64 // of files done, read or not
	BytesRead              atomic.Int64
	BytesNew               atomic.Int64 // of chunks that were not in the repository
	Problems               atomic.Int64
	TotalFiles, TotalBytes atomic.Int64 // expected; 0: unknown
	Current                atomic.Pointer[string]
}

// SaveResult tells what a backup did. A dry run has no ID.
type SaveResult struct {
	ID             string        `json:"snapshot"`
	Parent         string        `json:"parent,omitempty"`
	Files          int64         `json:"files"`
	FilesNew       int64         `json:"files_new"`
	FilesChanged   int64         `json:"files_changed"`
	FilesUnchanged int64         `json:"files_unchanged"`
	Dirs           int64         `json:"dirs"`
	Other          int64         `json:"other"`   // links, devices and such
	Sockets        int64         `json:"sockets"` // recorded, without content by nature
	Bytes          int64         `json:"bytes"`
	BytesRead      int64         `json:"bytes_read"`
	BytesNew       int64         `json:"bytes_new"`   // new chunks, before compression
	BytesAdded     int64         `json:"bytes_added"` // sealed bytes of the packs that were added
	Problems       int64         `json:"problems"`    // sources that could not be read
	Duration       time.Duration `json:"-"`
	Seconds        float64       `json:"seconds"`
	DryRun         bool          `json:"dry_run,omitempty"`
}

// saver is one run of Save.
type saver struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	r      *repo.Repository
	opt    *SaveOptions
	in     *repo.Ingest // nil in a dry run
	owners ownerNames
	links  linkTable
	work   sync.WaitGroup // walkers and streams
	tokens chan struct{}  // for walkers beside the first
	large  chan struct{}  // for streams of large files
	res    counters
	own    *Node // of opt.Repository; nil: none
	heal   bool  // packs are missing: read every file, so that what they held is stored again
	*Progress
}

type counters struct {
	filesNew, filesChanged, filesUnchanged, sockets atomic.Int64
	targets                                         atomic.Int64 // named and found
	parent                                          atomic.Bool  // its damage was reported
	own                                             atomic.Bool  // that it was met was reported
}

const (
	walkers      = 4       // at a time
	largeStreams = 2       // large files that are read at a time
	smallFile    = 1 << 20 // files up to this many bytes are read by a worker, whole
	batchFiles   = 64      // of small files that go to one worker together
)

// Save backs up opt.Paths as one snapshot. What cannot be read is reported and counted
// in Problems, and the rest is stored. When ctx ends or an error occurs there is no
// snapshot, but what was made durable stays and is not stored again by the next run. When
// a prune drops what the backup relies on, or seals its session, the backup begins again.
func Save(ctx context.Context, r *repo.Repository, opt SaveOptions) (*SaveResult, error) {
	plan, err := planTargets(opt.Paths)
	if err != nil {
		return nil, err
	}
	if opt.Key == "" {
		opt.Key = keyOf(plan.paths)
	}
	build := func(s *saver, parent *Snapshot) (*Node, error) {
		if err := s.findOwn(); err != nil {
			return nil, err
		}
		return s.root(plan.root, parent)
	}
	for try := 1; ; try++ {
		res, err := save(ctx, r, &opt, plan.paths, build)
		if try == maxSaves || ctx.Err() != nil || !errors.Is(err, repo.ErrDropped) && !errors.Is(err, repo.ErrSealed) {
			return res, err
		}
		if opt.Retry != nil {
			opt.Retry(err)
		}
		opt.again(r)
	}
}

// maxSaves bounds how often a backup is begun. What it stored before is not stored again.
const maxSaves = 4

// again makes the options ready for another try, without a parent that is gone.
func (o *SaveOptions) again(r *repo.Repository) {
	if o.Parent != "" && o.Parent != "none" {
		if _, err := Find(r, o.Parent, Filter{}); errors.Is(err, repo.ErrNotFound) {
			o.Parent = ""
		}
	}
	if p := o.Progress; p != nil {
		for _, c := range []*atomic.Int64{&p.Files, &p.Dirs, &p.Other, &p.Bytes, &p.BytesRead, &p.BytesNew, &p.Problems, &p.TotalFiles, &p.TotalBytes} {
			c.Store(0)
		}
	}
}

// SaveStream stores what src gives as a snapshot of one file called name. close, when
// not nil, is called once src is at its end; its error means that there is no snapshot.
func SaveStream(ctx context.Context, r *repo.Repository, name string, src io.Reader, opt SaveOptions, done func() error) (*SaveResult, error) {
	name = strings.Trim(name, "/")
	if err := tree.CheckName([]byte(name)); err != nil {
		return nil, fmt.Errorf("name of the stream: %w", err)
	}
	if opt.Key == "" {
		opt.Key = "stream/" + name
	}
	if opt.DryRun {
		return nil, errors.New("a stream cannot be tried in a dry run: it can be read only once")
	}
	res, err := save(ctx, r, &opt, []string{"/" + name}, func(s *saver, parent *Snapshot) (*Node, error) {
		n, err := s.streamNode(name, src, parent)
		if err == nil && done != nil {
			err = done()
		}
		if err != nil {
			return nil, err
		}
		return s.rootOf(n)
	})
	if errors.Is(err, repo.ErrDropped) || errors.Is(err, repo.ErrSealed) {
		err = fmt.Errorf("%w; a stream can be read only once: run the backup again", err)
	}
	return res, err
}

// save runs build in a session and commits the snapshot whose root it returns.
func save(ctx context.Context, r *repo.Repository, opt *SaveOptions, paths []string, build func(*saver, *Snapshot) (*Node, error)) (*SaveResult, error) {
	start := r.Now()
	if opt.Bucket == "" {
		opt.Bucket = bucketOf(opt.Host)
	}
	if opt.Progress == nil {
		opt.Progress = &Progress{}
	}
	parent, err := findParent(r, opt)
	if err != nil {
		return nil, err
	}
	s := &saver{r: r, opt: opt, Progress: opt.Progress,
		tokens: make(chan struct{}, walkers), large: make(chan struct{}, largeStreams)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	if parent != nil && parent.Root.Below != nil {
		s.TotalFiles.Store(parent.Root.Below.Files)
		s.TotalBytes.Store(parent.Root.Below.Bytes)
	}
	if opt.DryRun {
		if _, err := build(s, parent); err != nil {
			return nil, err
		}
		return s.result(start, parent), nil
	}
	sess, err := r.Begin(ctx)
	if err != nil {
		return nil, err
	}
	res, err := s.store(ctx, sess, start, parent, paths, build)
	if err == nil {
		return res, nil
	}
	// What is durable is announced even when ctx has ended.
	if aerr := sess.Abandon(context.WithoutCancel(ctx)); aerr != nil && !errors.Is(err, aerr) {
		err = fmt.Errorf("%w (and the session could not be ended: %v)", err, aerr)
	}
	return nil, err
}

func (s *saver) store(ctx context.Context, sess *repo.Session, start time.Time, parent *Snapshot, paths []string, build func(*saver, *Snapshot) (*Node, error)) (*SaveResult, error) {
	in, err := sess.Ingest(s.ctx, repo.IngestOptions{Stream: s.opt.Bucket, Workers: s.opt.Workers, Level: s.opt.Level})
	if err != nil {
		return nil, err
	}
	s.in, s.ctx = in, in.Context()
	broken, err := sess.Distrust(s.ctx, func(file string, err error) { s.problem(file, err) })
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	s.heal = broken > 0
	root, err := build(s, parent)
	if cerr := in.Close(); cerr != nil {
		err = cerr // the cause; what build returns follows from it
	}
	if err != nil {
		return nil, err
	}
	res := s.result(start, parent)
	res.BytesNew, res.BytesAdded = in.Stats().BytesNew, sess.Added()
	s.BytesNew.Store(res.BytesNew)
	v, err := s.version(root, start, parent, paths, res)
	if err != nil {
		return nil, err
	}
	res.ID = v.ID.String()
	err = sess.End(ctx, repo.Ops{
		Versions: []index.Version{*v},
		Prepare:  func(ops *repo.Ops) error { return s.prepare(ops, parent) },
	})
	return res, err
}

// prepare makes the bucket if it is missing, and makes sure that the parent is still
// there: unchanged files rely on its chunks.
func (s *saver) prepare(ops *repo.Ops, parent *Snapshot) error {
	ops.Buckets = nil
	have, err := s.r.Index().Buckets()
	if err != nil {
		return err
	}
	if !contains(have, s.opt.Bucket) {
		ops.Buckets = []string{s.opt.Bucket}
	}
	if parent == nil {
		return nil
	}
	all, err := withPrefix(s.r, parent.ID(), Filter{})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("parent snapshot %s was removed meanwhile: %w", parent.Short(), repo.ErrDropped)
	}
	return err
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func (s *saver) version(root *Node, start time.Time, parent *Snapshot, paths []string, res *SaveResult) (*index.Version, error) {
	raw, err := index.Marshal(root)
	if err != nil {
		return nil, err
	}
	v := &index.Version{
		Bucket: s.opt.Bucket, Key: []byte(s.opt.Key), Time: start.UnixNano(),
		Kind: index.TreePayload, Root: raw, Class: "STANDARD",
		Snapshot: &index.Snapshot{
			Host: s.opt.Host, User: s.opt.User, Tags: s.opt.Tags,
			Start: start.UnixNano(), End: s.r.Now().UnixNano(),
			Files: uint64(res.Files), Bytes: uint64(res.Bytes),
			BytesNew: uint64(res.BytesNew), BytesAdded: uint64(res.BytesAdded),
			Unreadable: uint64(res.Problems), Program: s.opt.Program,
		},
	}
	for _, p := range paths {
		v.Snapshot.Paths = append(v.Snapshot.Paths, []byte(p))
	}
	if parent != nil {
		v.Snapshot.Parent = &parent.Version.ID
	}
	if _, err := io.ReadFull(s.r.Rand(), v.ID[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return v, nil
}

func (s *saver) result(start time.Time, parent *Snapshot) *SaveResult {
	d := s.r.Now().Sub(start)
	res := &SaveResult{
		Files: s.Files.Load(), Dirs: s.Dirs.Load(), Other: s.Other.Load(), Sockets: s.res.sockets.Load(),
		FilesNew: s.res.filesNew.Load(), FilesChanged: s.res.filesChanged.Load(), FilesUnchanged: s.res.filesUnchanged.Load(),
		Bytes: s.Bytes.Load(), BytesRead: s.BytesRead.Load(), Problems: s.Problems.Load(),
		Duration: d, Seconds: d.Seconds(), DryRun: s.opt.DryRun,
	}
	if parent != nil {
		res.Parent = parent.ID()
	}
	return res
}

// problem reports what could not be read (invariant 3).
func (s *saver) problem(path string, err error) {
	s.Problems.Add(1)
	if s.opt.Problem != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) && pe.Path == path {
			err = pe.Err // the path is shown anyway, and the system call helps nobody
		}
		s.opt.Problem(path, err)
	}
}

// findParent returns the snapshot to compare with, or nil.
func findParent(r *repo.Repository, opt *SaveOptions) (*Snapshot, error) {
	switch {
	case opt.Parent == "none" || r.RequireData() != nil && opt.Parent == "":
		return nil, nil
	case opt.Parent != "":
		return Find(r, opt.Parent, Filter{})
	}
	var newest *Snapshot
	err := r.Index().Versions(opt.Bucket, []byte(opt.Key), nil, func(v *index.Version) error {
		if !bytes.Equal(v.Key, []byte(opt.Key)) {
			return errStop
		}
		if v.Kind != index.TreePayload {
			return nil
		}
		s, err := fromVersion(v)
		if err == nil {
			newest, err = s, errStop
		}
		return err
	})
	if errors.Is(err, errStop) || errors.Is(err, index.ErrNotFound) {
		err = nil
	}
	return newest, err
}

var errStop = errors.New("stop")

// bucketOf makes a valid bucket name of a host name: 3 to 63 of a-z, 0-9, "-" and ".".
func bucketOf(host string) string {
	b := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.':
			return c
		}
		return '-'
	}, strings.ToLower(host))
	b = strings.Trim(b[:min(len(b), 63)], "-.")
	for len(b) < 3 {
		b += "-" + cmp.Or(b, "host")
	}
	return strings.Trim(b[:min(len(b), 63)], "-.")
}
