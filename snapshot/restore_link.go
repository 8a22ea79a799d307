package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
)

// hardLinks knows the files of the snapshot that have several names, from the first
// name to the last; links, FIFOs and devices among them. The first is restored, and the
// others are linked to it when it is complete.
type hardLinks struct {
	mu     sync.Mutex
	states map[linkID]*linkState
	copies []linkName // that could not be linked
}

// linkID is what the names of one file have in common.
type linkID struct{ device, inode uint64 }

type linkState struct {
	id      linkID
	first   string // inner path of the first name
	kind    NodeType
	content []byte // what contentOf gives
	toCome  uint64 // names not met yet
	busy    bool   // the first is under way
	waiting []linkName
	err     error // of the first
}

type linkName struct {
	dir  *outDir // held
	node *Node
}

func (l *hardLinks) takeCopies() []linkName {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.copies
	l.copies = nil
	return c
}

// leaf handles a name of anything but a directory.
func (rs *restorer) leaf(d *outDir, n *Node) {
	var link *linkState
	if n.Links > 1 && n.Inode != 0 {
		var done bool
		if link, done = rs.furtherName(d, n); done {
			return
		}
	}
	rs.place(d, n, link)
}

// place restores under a name of its own what is not linked to another.
func (rs *restorer) place(d *outDir, n *Node, link *linkState) {
	if n.Type == File {
		rs.file(d, n, link)
	} else {
		rs.special(d, n, link)
	}
}

// contentOf is what names of one inode have in common, beside its type.
func contentOf(n *Node) []byte {
	switch n.Type {
	case File:
		return n.Content
	case Symlink:
		return n.Target
	}
	return binary.BigEndian.AppendUint64(nil, n.Rdev)
}

// furtherName handles a name of a file that has another already. If it has none, the
// caller restores the file, and settles the state that is returned.
func (rs *restorer) furtherName(d *outDir, n *Node) (s *linkState, done bool) {
	l := &rs.links
	id := linkID{n.Device, n.Inode}
	l.mu.Lock()
	if l.states == nil {
		l.states = map[linkID]*linkState{}
	}
	s = l.states[id]
	if s == nil {
		s = &linkState{id: id, first: d.inner(string(n.Name)), kind: n.Type, content: contentOf(n), toCome: n.Links - 1, busy: true}
		l.states[id] = s
		l.mu.Unlock()
		return s, false
	}
	if s.kind != n.Type || !bytes.Equal(s.content, contentOf(n)) { // it changed while it was saved
		l.mu.Unlock()
		return nil, false
	}
	if s.toCome--; s.toCome == 0 {
		delete(l.states, id)
	}
	if s.busy {
		s.waiting = append(s.waiting, linkName{d.hold(), n})
		l.mu.Unlock()
		return nil, true
	}
	l.mu.Unlock()
	rs.link(s, linkName{d.hold(), n})
	return nil, true
}

// settle says how the first name of a file ended, and links those that waited for it.
// A nil state has no other names.
func (s *linkState) settle(rs *restorer, err error) {
	if s == nil {
		return
	}
	l := &rs.links
	l.mu.Lock()
	s.busy, s.err = false, err
	if errors.Is(err, errKept) {
		delete(l.states, s.id) // what is there may be another file: the next name is a first
	}
	waiting := s.waiting
	s.waiting = nil
	l.mu.Unlock()
	for _, name := range waiting {
		rs.link(s, name)
	}
}

// link makes one more name of a file that is complete. It gives the directory back.
func (rs *restorer) link(s *linkState, name linkName) {
	path := name.dir.path(string(name.node.Name))
	var err error
	switch {
	case s.err != nil:
		err = fmt.Errorf("it is a hard link to %s, which was not restored: %w", rs.tree.root.path(s.first), s.err)
	case rs.opt.DryRun:
	default:
		err = rs.makeLink(s, name)
	}
	switch {
	case errors.Is(err, errCannotLink):
		rs.links.mu.Lock()
		rs.links.copies = append(rs.links.copies, name)
		rs.links.mu.Unlock()
		return // with the directory
	case errors.Is(err, errKept):
		rs.res.kept.Add(1)
		rs.countName(name.node)
	case err != nil:
		rs.problem(path, err)
	default:
		rs.res.hardLinks.Add(1)
		rs.countName(name.node)
		rs.Bytes.Add(name.node.Size)
	}
	name.dir.release()
}

// countName counts a name in the progress.
func (rs *restorer) countName(n *Node) {
	if n.Type == File {
		rs.Files.Add(1)
	} else {
		rs.Other.Add(1)
	}
}

// errCannotLink says that a file has to be written once more instead.
var errCannotLink = errors.New("hard links are not possible here")

func (rs *restorer) makeLink(s *linkState, name linkName) error {
	dir, base := path.Split(s.first)
	from, err := rs.tree.find(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", errCannotLink, err)
	}
	defer from.close()
	d, n, over := name.dir, string(name.node.Name), false
	if !d.fresh {
		have, err := d.stat(n)
		if err != nil {
			return err
		}
		if have != nil {
			if rs.opt.Overwrite == OverwriteNever {
				return errKept
			}
			var first Node
			if err := from.stat(base, &first); err != nil {
				return err
			}
			if first.Inode == have.Inode && first.Device == have.Device && have.Inode != 0 {
				return nil
			}
			if over = have.Type != Dir; !over {
				if err := rs.clear(d, have); err != nil {
					return err
				}
			}
		}
	}
	err = d.use(func(h dirHandle) error {
		if over {
			return rs.linkOver(h, from, base, n)
		}
		return h.link(from, base, n)
	})
	if err == nil || hopeless(err) {
		return err
	}
	if errors.Is(err, fs.ErrExist) {
		return appeared(err)
	}
	return fmt.Errorf("%w: %w", errCannotLink, err)
}
