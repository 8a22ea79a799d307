package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
)

// dirState is a directory in the making. Its entries are finished in any order, by
// walkers, workers and streams, and go to the tree in the order of names as soon as
// all before them are finished.
type dirState struct {
	s      *saver
	up     *dirState // nil for the root
	slot   int       // in up
	node   *Node
	path   string // absolute, on this machine
	device uint64

	mu      sync.Mutex
	tree    treeWriter
	below   Totals
	entries []entryState // from first on
	first   int
	sealed  bool // there will be no more entries
	done    func(*Node)
	partial atomic.Bool // something in it is left out
}

// entryState is an entry that is not in the tree yet.
type entryState struct {
	name   []byte
	raw    []byte // encoded node; nil with finished: left out
	counts Totals
	ready  bool
}

func (s *saver) newDir(up *dirState, slot int, n *Node, path string) *dirState {
	d := &dirState{s: s, up: up, slot: slot, node: n, path: path, device: n.Device}
	d.tree.put = func(b []byte) (chunk.ID, error) {
		if s.in == nil {
			return chunk.ID{}, nil
		}
		return s.in.Meta(b)
	}
	return d
}

// add makes room for an entry; names must ascend.
func (d *dirState) add(name []byte) (slot int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entryState{name: name})
	return d.first + len(d.entries) - 1
}

// finish gives an entry its node, or leaves it out when n is nil.
func (d *dirState) finish(slot int, n *Node) {
	if n == nil {
		d.finishRaw(slot, nil, Totals{})
		return
	}
	raw, err := index.Marshal(n)
	if err != nil {
		d.s.cancel(err)
		return
	}
	var t Totals
	t.add(n)
	d.finishRaw(slot, raw, t)
}

func (d *dirState) finishRaw(slot int, raw []byte, counts Totals) {
	d.mu.Lock()
	e := &d.entries[slot-d.first]
	e.raw, e.counts, e.ready = raw, counts, true
	err := d.advance()
	last := d.sealed && len(d.entries) == 0
	d.mu.Unlock()
	d.settle(last, err)
}

// seal says that every entry was added.
func (d *dirState) seal() {
	d.mu.Lock()
	d.sealed = true
	last := len(d.entries) == 0
	d.mu.Unlock()
	d.settle(last, nil)
}

// advance moves finished entries to the tree. d.mu is held.
func (d *dirState) advance() error {
	n := 0
	for n < len(d.entries) && d.entries[n].ready {
		e := &d.entries[n]
		if e.raw != nil {
			if err := d.tree.add(e.name, e.raw); err != nil {
				return err
			}
			d.below.Files += e.counts.Files
			d.below.Dirs += e.counts.Dirs
			d.below.Bytes += e.counts.Bytes
		}
		*e = entryState{}
		n++
	}
	d.entries, d.first = d.entries[n:], d.first+n
	return nil
}

// settle ends the directory when its last entry is in the tree, and so perhaps the
// one above.
func (d *dirState) settle(last bool, err error) {
	if err != nil {
		d.s.cancel(err)
		return
	}
	if !last {
		return
	}
	t, err := d.tree.finish()
	if err != nil {
		d.s.cancel(err)
		return
	}
	d.node.Tree, d.node.Below, d.node.Partial = t[:], &d.below, d.partial.Load()
	if d.up == nil {
		d.done(d.node)
		return
	}
	d.s.Dirs.Add(1)
	d.up.finish(d.slot, d.node)
}

// sharedDir is an open directory that walkers and workers use; the last closes it.
type sharedDir struct {
	*localDir
	refs atomic.Int32
}

func share(d *localDir) *sharedDir {
	s := &sharedDir{localDir: d}
	s.refs.Store(1)
	return s
}

func (d *sharedDir) use() *sharedDir { d.refs.Add(1); return d }

func (d *sharedDir) release() {
	if d.refs.Add(-1) == 0 {
		d.close()
	}
}

// earlier walks the entries that a directory had in the parent snapshot.
type earlier struct {
	s    *saver
	c    *cursor
	n    Node
	raw  []byte
	have bool
}

// openEarlier returns nil when there was no such directory, or it cannot be read: the
// parent only saves time.
func (s *saver) openEarlier(n *Node) *earlier {
	if n == nil || n.Type != Dir {
		return nil
	}
	c, err := openTree(s.ctx, s.r, tree(n.Tree), nil)
	if err != nil {
		s.parentProblem(err)
		return nil
	}
	return &earlier{c: c, s: s}
}

// parentProblem reports, once, that the parent snapshot is damaged. This backup reads
// what it cannot compare, so it is whole; the parent is not.
func (s *saver) parentProblem(err error) {
	if s.ctx.Err() == nil && s.res.parent.CompareAndSwap(false, true) {
		s.problem("the parent snapshot", err)
	}
}

// find returns the earlier node called name. Names must ascend from call to call.
func (e *earlier) find(ctx context.Context, name string) (n *Node, raw []byte) {
	for e != nil && e.c != nil {
		if !e.have {
			var err error
			if e.raw, err = e.c.next(ctx, &e.n); err != nil {
				if !errors.Is(err, io.EOF) {
					e.s.parentProblem(err)
				}
				e.c = nil
				return nil, nil
			}
			e.have = true
		}
		switch bytes.Compare(e.n.Name, []byte(name)) {
		case 0:
			n := e.n
			return &n, e.raw
		case 1:
			return nil, nil
		}
		e.have = false
	}
	return nil, nil
}

// root walks the targets and returns the root node, when all of them are done.
func (s *saver) root(t *target, parent *Snapshot) (*Node, error) {
	n := &Node{Name: []byte("/"), Type: Dir, Mode: 0o755}
	var old *Node
	if parent != nil {
		old = parent.Root
	}
	var blocks int64
	if t.real {
		if err := statPath(t.path, "/", true, n, &blocks); err != nil {
			return nil, err
		}
		s.fillOwner(n)
	}
	d := s.newDir(nil, 0, n, t.path)
	d.partial.Store(!t.real)
	result := make(chan *Node, 1)
	d.done = func(n *Node) { result <- n }
	if t.real {
		dir, err := openDir(t.path)
		if err != nil {
			return nil, err
		}
		if err := dir.xattrs(n); err != nil {
			s.problem(t.path, err)
		}
		s.walk(d, share(dir), s.openEarlier(old))
	} else {
		s.walkTargets(d, t, s.openEarlier(old))
		if s.res.targets.Load() == 0 {
			return nil, errNoTarget
		}
	}
	return s.await(result)
}

func (s *saver) await(result chan *Node) (*Node, error) {
	s.work.Wait()
	select {
	case n := <-result:
		return n, nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

// walkTargets handles a directory of which only some entries are backed up.
func (s *saver) walkTargets(d *dirState, t *target, old *earlier) {
	names := make([]string, 0, len(t.children))
	for name := range t.children {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		child := t.children[name]
		oldNode, oldRaw := old.find(s.ctx, name)
		n, blocks := &Node{}, int64(0)
		err := statPath(child.path, name, false, n, &blocks)
		if child.real {
			if err != nil {
				s.problem(child.path, err)
				d.partial.Store(true)
				continue
			}
			s.res.targets.Add(1)
			s.walkTarget(d, child.path, n, blocks, oldNode, oldRaw)
			continue
		}
		if err == nil && n.Type == Symlink {
			err = statPath(child.path, name, true, n, &blocks)
		}
		if err != nil || n.Type != Dir {
			*n = Node{Name: []byte(name), Type: Dir, Mode: 0o755}
		}
		s.fillOwner(n)
		sub := s.newDir(d, d.add(n.Name), n, child.path)
		sub.partial.Store(true)
		s.walkTargets(sub, child, s.openEarlier(oldNode))
	}
	d.seal()
}

// walkTarget handles one path that was named. The file of a block device is its
// content; devices met on the way are only recorded.
func (s *saver) walkTarget(d *dirState, path string, n *Node, blocks int64, old *Node, oldRaw []byte) {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		s.problem(path, err)
		d.partial.Store(true)
		return
	}
	shared := share(dir)
	defer shared.release()
	if n.Type == BlockDevice {
		n.Type, n.Rdev = File, 0
		s.openLarge(d, shared, batchItem{slot: d.add(n.Name), name: filepath.Base(path), node: n, old: old})
		return
	}
	b := &batch{d: d, dir: shared}
	s.entry(b, filepath.Base(path), n, blocks, old, oldRaw)
	s.flush(b)
}

// walk handles all entries of a directory and seals it. It releases dir.
func (s *saver) walk(d *dirState, dir *sharedDir, old *earlier) {
	defer dir.release()
	defer d.seal()
	names, err := dir.names()
	if err != nil {
		s.problem(d.path, err)
		d.partial.Store(true)
	}
	if s.opt.ExcludeCaches && slices.Contains(names, cacheTag) && isCache(dir.localDir) {
		names = []string{cacheTag}
		d.partial.Store(true)
	}
	b := &batch{d: d, dir: dir}
	for _, name := range names {
		if s.ctx.Err() != nil {
			break
		}
		oldNode, oldRaw := old.find(s.ctx, name)
		n, blocks := &Node{}, int64(0)
		if err := dir.stat(name, n, &blocks); err != nil {
			d.problem(name, err)
			continue
		}
		s.entry(b, name, n, blocks, oldNode, oldRaw)
	}
	s.flush(b)
}

// entry decides what to do with one entry of a directory. name is its name on this
// machine, n what stat tells.
func (s *saver) entry(b *batch, name string, n *Node, blocks int64, old *Node, oldRaw []byte) {
	d := b.d
	path := joinPath(d.path, []byte(name))
	if err := checkName(n.Name); err != nil {
		d.problem(name, err)
		return
	}
	if s.excluded(path, n) {
		d.partial.Store(true)
		return
	}
	if n.ModTime == math.MinInt64 || n.ModTime == math.MaxInt64 {
		s.problem(path, errTime)
	}
	if n.Type != Dir && s.unchanged(n, old) {
		if n.ChangeTime != old.ChangeTime {
			s.sameContent(b, name, n, old)
			return
		}
		s.count(n, &s.res.filesUnchanged)
		var t Totals
		t.add(old)
		d.finishRaw(d.add(n.Name), oldRaw, t)
		return
	}
	switch n.Type {
	case File:
		n.Sparse = blocks*512 < n.Size
		s.file(b, name, n, old)
	case Dir:
		s.directory(b, name, n, old)
	default:
		s.special(b, name, n)
	}
}

func (s *saver) excluded(path string, n *Node) bool {
	if s.opt.ExcludeLarger > 0 && n.Type == File && n.Size > s.opt.ExcludeLarger {
		return true
	}
	match, _ := s.opt.Exclude.Match(filepath.ToSlash(path), n.Type == Dir)
	return match
}

// unchanged compares with the parent snapshot (invariant 6).
func (s *saver) unchanged(n, old *Node) bool {
	return old != nil && !s.opt.Force && !s.heal && old.Type == n.Type && n.Type != Socket &&
		old.Size == n.Size && old.ModTime == n.ModTime && old.ChangeTime != changedWhileRead &&
		(s.opt.IgnoreInode || old.Inode == n.Inode) &&
		(s.opt.IgnoreCtime && n.Type == File || old.ChangeTime == n.ChangeTime)
}

// changedWhileRead in the place of a change time: no later state is equal to this one.
const changedWhileRead = -1

// errTime: the format counts nanoseconds in 64 bits.
var errTime = errors.New("its time is before 1677 or after 2262 and cannot be kept")

// sameContent finishes a file whose change time is ignored: the content is that of the
// parent, and what else the inode says may be new.
func (s *saver) sameContent(b *batch, name string, n, old *Node) {
	s.fillOwner(n)
	at := *n
	at.Name = []byte(name)
	if err := b.dir.xattrsAt(&at); err != nil {
		s.problem(joinPath(b.d.path, []byte(name)), err)
	}
	n.Xattrs, n.Content, n.Sparse = at.Xattrs, old.Content, old.Sparse
	s.count(n, &s.res.filesUnchanged)
	b.d.finish(b.d.add(n.Name), n)
}

// problem reports an entry that is left out.
func (d *dirState) problem(name string, err error) {
	d.partial.Store(true)
	d.s.problem(joinPath(d.path, []byte(name)), err)
}

// count adds a finished entry to the counters; how is for files.
func (s *saver) count(n *Node, how *atomic.Int64) {
	if n.Type != File {
		s.Other.Add(1)
		return
	}
	s.Files.Add(1)
	s.Bytes.Add(n.Size)
	how.Add(1)
}

// special handles what has no content.
func (s *saver) special(b *batch, name string, n *Node) {
	s.fillOwner(n)
	path := joinPath(b.d.path, []byte(name))
	if n.Type == Symlink {
		link := *n
		link.Name = []byte(name)
		if err := b.dir.readlink(&link); err != nil {
			b.d.problem(name, err)
			return
		}
		n.Target = link.Target
	}
	at := *n
	at.Name = []byte(name)
	if err := b.dir.xattrsAt(&at); err != nil {
		s.problem(path, err)
	}
	n.Xattrs = at.Xattrs
	if n.Type == Socket {
		s.res.sockets.Add(1)
	}
	s.count(n, nil)
	b.d.finish(b.d.add(n.Name), n)
}

// directory walks a directory, in a goroutine of its own if one is free.
func (s *saver) directory(b *batch, name string, n *Node, old *Node) {
	path := joinPath(b.d.path, []byte(name))
	s.fillOwner(n)
	sub := s.newDir(b.d, b.d.add(n.Name), n, path)
	if s.opt.OneFileSystem && n.Device != b.d.device && b.d.up != nil {
		sub.partial.Store(true)
		sub.seal() // a mount point is kept as an empty directory
		return
	}
	dir, err := b.dir.sub(name)
	if err == nil {
		if xerr := dir.xattrs(n); xerr != nil {
			s.problem(path, xerr)
		}
	} else {
		s.problem(path, err)
		sub.partial.Store(true)
		sub.seal()
		return
	}
	s.flush(b) // so that files are stored near their neighbours
	e := s.openEarlier(old)
	select {
	case s.tokens <- struct{}{}:
		s.work.Go(func() {
			defer func() { <-s.tokens }()
			s.walk(sub, share(dir), e)
		})
	default:
		s.walk(sub, share(dir), e)
	}
}

const cacheTag = "CACHEDIR.TAG"

// isCache reports whether the directory is tagged as a cache (bford.info/cachedir).
func isCache(d *localDir) bool {
	const signature = "Signature: 8a477f597d28d172789f06886806bc55"
	f, err := d.open(cacheTag)
	if err != nil {
		return false
	}
	defer f.close()
	b := make([]byte, len(signature))
	_, err = io.ReadFull(f, b)
	return err == nil && string(b) == signature
}

// ownerNames remembers the names of users and groups.
type ownerNames struct {
	mu            sync.Mutex
	users, groups map[uint32]string
}

func (s *saver) fillOwner(n *Node) {
	o := &s.owners
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users == nil {
		o.users, o.groups = map[uint32]string{}, map[uint32]string{}
	}
	name, ok := o.users[n.UID]
	if !ok {
		if u, err := user.LookupId(strconv.FormatUint(uint64(n.UID), 10)); err == nil {
			name = u.Username
		}
		o.users[n.UID] = name
	}
	n.User = name
	if name, ok = o.groups[n.GID]; !ok {
		if g, err := user.LookupGroupId(strconv.FormatUint(uint64(n.GID), 10)); err == nil {
			name = g.Name
		}
		o.groups[n.GID] = name
	}
	n.Group = name
}
