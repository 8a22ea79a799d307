package snapshot

import (
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

	"github.com/firnstore/firn/repo/tree"
)

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
			if s.isOwn(child.path, "", n) {
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
	path := tree.Join(d.path, []byte(name))
	if err := tree.CheckName(n.Name); err != nil {
		d.problem(name, err)
		return
	}
	if s.excluded(path, n) || s.isOwn(b.dir.path, name, n) {
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
		t.Add(old)
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

// findOwn looks at the directory of the repository, to know it under every path.
func (s *saver) findOwn() error {
	if s.opt.Repository == "" {
		return nil
	}
	n, blocks := &Node{}, int64(0)
	if err := statPath(s.opt.Repository, "repository", true, n, &blocks); err != nil {
		return err
	}
	s.own = n
	return nil
}

// isOwn reports whether n, which is called name in dir on this machine, is the directory
// of the repository. Who names a path inside of it means what is there, and never comes by
// here.
func (s *saver) isOwn(dir, name string, n *Node) bool {
	if s.own == nil || n.Type != Dir || n.Inode != s.own.Inode || n.Device != s.own.Device {
		return false
	}
	path := filepath.Join(dir, name)
	if n.Inode == 0 && !samePath(path, s.opt.Repository) { // this system tells no inodes
		return false
	}
	if s.opt.Skipped != nil && s.res.own.CompareAndSwap(false, true) {
		s.opt.Skipped(path)
	}
	return true
}

func samePath(a, b string) bool {
	a, aerr := filepath.Abs(a)
	b, berr := filepath.Abs(b)
	return aerr == nil && berr == nil && a == b
}

func (s *saver) excluded(path string, n *Node) bool {
	if s.opt.ExcludeLarger > 0 && n.Type == File && n.Size > s.opt.ExcludeLarger {
		return true
	}
	match, _ := s.opt.Exclude.Match(filepath.ToSlash(path), n.Type == Dir)
	return match
}

// errTime: the format counts nanoseconds in 64 bits.
var errTime = errors.New("its time is before 1677 or after 2262 and cannot be kept")

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
	path := tree.Join(b.d.path, []byte(name))
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
	path := tree.Join(b.d.path, []byte(name))
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
