package snapshot

import (
	"sync"
	"sync/atomic"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/tree"
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
	tree    tree.Writer
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
	d.tree.Put = func(b []byte) (chunk.ID, error) {
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
	t.Add(n)
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
			if err := d.tree.Add(e.name, e.raw); err != nil {
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
	t, err := d.tree.Finish()
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

// problem reports an entry that is left out.
func (d *dirState) problem(name string, err error) {
	d.partial.Store(true)
	d.s.problem(tree.Join(d.path, []byte(name)), err)
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
