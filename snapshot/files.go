package snapshot

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// batch collects small files of one directory for one worker.
type batch struct {
	d     *dirState
	dir   *sharedDir
	items []batchItem
	bytes int64
}

type batchItem struct {
	slot int
	name string // on this machine
	node *Node
	old  *Node
	link *inodeKey // of a file with several names
}

// errNoTarget: of what was named nothing is there. A snapshot of nothing would become the
// latest one, and hide the last good one.
var errNoTarget = errors.New("none of the files and directories named can be found; no snapshot was made")

// errChanged: a file is not as it was when it was looked at first.
var errChanged = errors.New("changed while it was read")

// file takes in a regular file that has to be read.
func (s *saver) file(b *batch, name string, n *Node, old *Node) {
	s.fillOwner(n)
	if s.in == nil { // dry run
		s.count(n, s.fileKind(old))
		n.Content = make([]byte, len(repo.Content{}))
		b.d.finish(b.d.add(n.Name), n)
		return
	}
	it := batchItem{name: name, node: n, old: old}
	if n.Links > 1 {
		it.link = &inodeKey{n.Device, n.Inode}
		if s.links.wait(*it.link, b.d, n.Name, func(read *Node) *Node { return s.linked(b.d, n, read, old) }) {
			return
		}
	}
	it.slot = b.d.add(n.Name)
	if n.Size > smallFile {
		s.openLarge(b.d, b.dir, it)
		return
	}
	b.items = append(b.items, it)
	if b.bytes += n.Size; len(b.items) >= batchFiles || b.bytes >= smallFile {
		s.flush(b)
	}
}

func (s *saver) flush(b *batch) {
	if len(b.items) == 0 {
		return
	}
	job := *b
	job.dir.use()
	b.items, b.bytes = nil, 0
	err := s.in.Do(func(w *repo.Worker) error {
		defer job.dir.release()
		for i := range job.items {
			it := &job.items[i]
			n, err := s.readSmall(w, &job, it)
			if err != nil {
				return err
			}
			s.settleFile(&job, it, n)
		}
		return nil
	})
	if err != nil {
		job.dir.release() // the Ingest has failed, which its context tells everyone
	}
}

// settleFile finishes the entry of a file, and of those that are links to it.
func (s *saver) settleFile(b *batch, it *batchItem, n *Node) {
	if n != nil {
		s.count(n, s.fileKind(it.old))
	} else {
		b.d.partial.Store(true)
	}
	s.BytesNew.Store(s.in.Stats().BytesNew)
	if it.link != nil {
		s.links.done(*it.link, n)
	}
	b.d.finish(it.slot, n)
}

// openSource opens a file and looks at it again: it may have changed since stat.
func (s *saver) openSource(dir *sharedDir, name, path string, n *Node) (*localFile, error) {
	f, err := dir.open(name)
	if err != nil {
		return nil, err
	}
	now, blocks := Node{}, int64(0)
	if err := statFile(f, string(n.Name), &now, &blocks); err != nil {
		f.close()
		return nil, err
	}
	if now.Type != File {
		f.close()
		return nil, fmt.Errorf("it became a %s meanwhile", now.Type)
	}
	if now.Inode != n.Inode || now.Device != n.Device {
		now.User, now.Group = n.User, n.Group
		now.Links = 0 // not the file that the table of links knows
		*n = now
	}
	n.Size, n.ModTime, n.ChangeTime, n.Mode = now.Size, now.ModTime, now.ChangeTime, now.Mode
	n.Sparse = blocks*512 < n.Size
	if err := f.xattrs(n); err != nil {
		s.problem(path, err)
	}
	return f, nil
}

// readSmall stores a file that fits a worker's buffer. A nil node: it could not be
// read, which was reported. The error is that of the repository.
func (s *saver) readSmall(w *repo.Worker, b *batch, it *batchItem) (*Node, error) {
	n, path := it.node, tree.Join(b.d.path, []byte(it.name))
	s.Current.Store(&path)
	f, err := s.openSource(b.dir, it.name, path, n)
	if err != nil {
		s.problem(path, err)
		return nil, nil
	}
	defer f.close()
	buf := w.Buffer(2 * smallFile)
	want := int(min(n.Size, int64(len(buf)-1)))
	got, err := readUpTo(f, buf[:want+1])
	if err != nil {
		s.problem(path, err)
		return nil, nil
	}
	s.BytesRead.Add(int64(got))
	c, err := w.Content(buf[:got])
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	n.Content, n.Size = c[:], int64(got)
	s.compare(f, path, n, got == want)
	return n, nil
}

// readUpTo reads until one byte less than len(p) is there, or more, or the file ends: if
// it went on beyond, compare would see that by its size.
func readUpTo(r io.Reader, p []byte) (n int, err error) {
	for n < len(p)-1 || n == 0 {
		k, err := r.Read(p[n:])
		n += k
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// compare reports a file that changed while it was read, and makes sure that the next
// backup reads it again.
func (s *saver) compare(f *localFile, path string, n *Node, sameSize bool) {
	now, blocks := Node{}, int64(0)
	err := statFile(f, string(n.Name), &now, &blocks)
	if err == nil && (!sameSize || now.Size != n.Size || now.ModTime != n.ModTime || now.ChangeTime != n.ChangeTime) {
		err = errChanged
	}
	if err != nil {
		s.problem(path, err)
		n.ChangeTime = changedWhileRead
	}
}

// openLarge stores a file as a stream, beside the walk.
func (s *saver) openLarge(d *dirState, dir *sharedDir, it batchItem) {
	select {
	case s.large <- struct{}{}:
	case <-s.ctx.Done():
		return
	}
	dir.use()
	s.work.Go(func() {
		defer func() { <-s.large; dir.release() }()
		done, err := s.readLarge(d, dir, &it)
		if err != nil {
			s.cancel(err)
			return
		}
		s.settleFile(&batch{d: d, dir: dir}, &it, done)
	})
}

func (s *saver) readLarge(d *dirState, dir *sharedDir, it *batchItem) (*Node, error) {
	n, path := it.node, tree.Join(d.path, []byte(it.name))
	s.Current.Store(&path)
	device := n.Size == 0 && n.Type == File // of a block device stat tells no size
	var f *localFile
	var err error
	if device {
		f, err = dir.open(it.name)
	} else {
		f, err = s.openSource(dir, it.name, path, n)
	}
	if err != nil {
		s.problem(path, err)
		return nil, nil
	}
	defer f.close()
	readAhead(f)
	var base *repo.Content
	if it.old != nil && it.old.Type == File && !s.opt.Force {
		c := it.old.Data()
		base = &c
	}
	size := n.Size
	c, err := s.in.Stream(newHoleReader(f, n.Sparse), base, func(k int64) { s.BytesRead.Add(k) })
	var se *repo.SourceError
	if errors.As(err, &se) {
		s.problem(path, se.Err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	n.Content, n.Size = c[:], c.Size()
	if !device {
		s.compare(f, path, n, n.Size == size)
	}
	return n, nil
}

// fileKind says how a file that was read counts.
func (s *saver) fileKind(old *Node) *atomic.Int64 {
	if old == nil || old.Type != File {
		return &s.res.filesNew
	}
	return &s.res.filesChanged
}

// streamNode stores a stream that is no file.
func (s *saver) streamNode(name string, src io.Reader, parent *Snapshot) (*Node, error) {
	now := s.r.Now().UnixNano()
	n := &Node{Name: []byte(name), Type: File, Mode: 0o600, ModTime: now}
	n.UID, n.GID = ownIDs()
	s.fillOwner(n)
	var base *repo.Content
	if parent != nil {
		if old, err := tree.Lookup(s.ctx, s.r, tree.Handle(parent.Root.Tree), n.Name); err == nil && old.Type == File {
			c := old.Data()
			base = &c
		}
	}
	c, err := s.in.Stream(src, base, func(k int64) { s.BytesRead.Add(k) })
	if err != nil {
		return nil, fmt.Errorf("store stream %s: %w", name, err)
	}
	n.Content, n.Size = c[:], c.Size()
	s.count(n, &s.res.filesNew)
	return n, nil
}

// rootOf makes a root directory that holds n alone.
func (s *saver) rootOf(n *Node) (*Node, error) {
	root := &Node{Name: []byte("/"), Type: Dir, Mode: 0o755, ModTime: n.ModTime}
	d := s.newDir(nil, 0, root, "/")
	d.done = func(*Node) {}
	d.finish(d.add(n.Name), n)
	d.seal()
	if root.Tree == nil {
		return nil, s.ctx.Err()
	}
	return root, nil
}

// linkTable lets a file with several names be read once.
type linkTable struct {
	mu    sync.Mutex
	files map[inodeKey]*linkedFile
}

type inodeKey struct{ device, inode uint64 }

type linkedFile struct {
	ready   bool
	node    *Node // as it was read; nil: it could not be
	waiting []func(read *Node)
}

// wait reports whether another name of the file is read or being read; then an entry
// called name is added, and finished with what that gave.
func (t *linkTable) wait(key inodeKey, d *dirState, name []byte, make func(read *Node) *Node) bool {
	t.mu.Lock()
	f := t.files[key]
	if f == nil {
		if t.files == nil {
			t.files = map[inodeKey]*linkedFile{}
		}
		t.files[key] = &linkedFile{}
		t.mu.Unlock()
		return false
	}
	slot := d.add(name)
	finish := func(read *Node) { d.finish(slot, make(read)) }
	if !f.ready {
		f.waiting = append(f.waiting, finish)
		t.mu.Unlock()
		return true
	}
	t.mu.Unlock()
	finish(f.node)
	return true
}

// done tells what reading a file gave; n is nil when it could not be read.
func (t *linkTable) done(key inodeKey, n *Node) {
	t.mu.Lock()
	f := t.files[key]
	if f == nil || f.ready {
		t.mu.Unlock()
		return
	}
	f.node, f.ready = n, true
	waiting := f.waiting
	f.waiting = nil
	t.mu.Unlock()
	for _, w := range waiting {
		w(n)
	}
}

// linked is the node of a further name of a file that was read under another: all that
// belongs to the inode is as it was read there, so that the names cannot disagree.
func (s *saver) linked(d *dirState, n, read, old *Node) *Node {
	if read == nil {
		d.problem(string(n.Name), errors.New("another name of this file could not be read"))
		return nil
	}
	same := *read
	same.Name = n.Name
	s.count(&same, s.fileKind(old))
	return &same
}
