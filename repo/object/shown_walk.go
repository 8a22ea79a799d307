package object

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// treeWalk goes over the files of several snapshots of one key at once, in the byte order
// of whole keys. That is not the order of names: a directory "a" comes where "a/" would, so
// behind "a.txt". It holds one block per level of each directory on the way that differs
// between the snapshots; directories that are the same in several are walked once.
type treeWalk struct {
	ctx  context.Context
	r    *repo.Repository
	key  string // of the snapshots
	list []shown

	frozen bool // the directories are of frozen buckets

	// rolled reports whether all keys with a prefix, which ends with a slash, count as one,
	// so that a directory with files is reported without a look into it.
	rolled func(prefix string) bool

	names bool // keys need not be ones of S3

	file  bool // the bases that are files are still to come
	stack []*treeLevel
	nodes []*tree.Node // of the file at hand, by snapshot; nil: it is not there
}

// treeLevel is a directory on the way.
type treeLevel struct {
	prefix   string // of the keys in it, with a slash at the end
	branches []branch
	waiting  []waitingDir // met, but their keys come later; the one that comes first is the last
}

// branch is one of the states of a directory.
type branch struct {
	of   []int // snapshots that have it
	c    *tree.Cursor
	n    tree.Node // the next one, if have
	have bool
	end  bool
}

// waitingDir is a directory that is to be entered.
type waitingDir struct {
	name   string
	states []dirState
	files  bool // there are some below, as its totals say
}

type dirState struct {
	of     []int
	handle tree.Handle
}

// add notes that a snapshot has the directory n.
func (d *waitingDir) add(of []int, n *tree.Node) {
	d.files = d.files || n.Below != nil && n.Below.Files > 0
	h := tree.Handle(n.Tree)
	for i := range d.states {
		if d.states[i].handle == h {
			d.states[i].of = append(d.states[i].of, of...)
			return
		}
	}
	d.states = append(d.states, dirState{slices.Clone(of), h})
}

// seek goes to the first key that is at least from.
func (w *treeWalk) seek(from string) error {
	w.stack, w.file = w.stack[:0], false
	w.frozen = len(w.list) > 0 && w.list[0].frozen()
	base := waitingDir{}
	for i := range w.list {
		n := w.list[i].base
		switch {
		case n == nil, w.list[i].frozen() != w.frozen:
		case n.Type == tree.File:
			w.file = w.file || from <= w.key
		case n.Type == tree.Dir:
			base.add([]int{i}, n)
		}
	}
	below := w.key + "/"
	if len(base.states) == 0 {
		return nil
	}
	if from <= below {
		return w.enter(below, base.states, "")
	}
	if rest, ok := strings.CutPrefix(from, below); ok {
		return w.enter(below, base.states, rest)
	}
	return nil
}

// enter begins a directory at the first key that is at least from behind the prefix. Then
// keys are no longer in the order of names: directories whose name is the beginning of the
// first component of from may still come, if what follows in it is less than a slash.
func (w *treeWalk) enter(prefix string, states []dirState, from string) error {
	if !w.keyLike(prefix) {
		return nil
	}
	name, rest, into := strings.Cut(from, "/")
	if w.frozen { // all keys are names in one directory, in their order
		name, rest, into = string(FrozenName(from)), "", false
	}
	start := name
	if into {
		start += "/"
	}
	l := &treeLevel{prefix: prefix}
	w.stack = append(w.stack, l)
	var within waitingDir
	for _, s := range states {
		c, err := tree.Open(w.ctx, w.r, s.handle, []byte(start))
		if err != nil {
			return err
		}
		l.branches = append(l.branches, branch{of: s.of, c: c})
		if w.frozen {
			continue
		}
		err = w.prefixes(s.handle, name, into, func(n *tree.Node) {
			if len(n.Name) == len(name) {
				within.add(s.of, n)
				return
			}
			l.wait(n, s.of)
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(l.waiting, func(a, b waitingDir) int { return len(a.name) - len(b.name) })
	if len(within.states) > 0 {
		return w.enter(prefix+name+"/", within.states, rest)
	}
	return nil
}

// keyLike reports whether a key can be shown.
func (w *treeWalk) keyLike(key string) bool {
	return w.names || len(key) <= maxShown && utf8.ValidString(key)
}

// prefixes calls f for the directories of a directory whose name is a beginning of name,
// followed there by something less than a slash; with whole, for the one of that name, too.
func (w *treeWalk) prefixes(h tree.Handle, name string, whole bool, f func(*tree.Node)) error {
	var at []byte // the name found last: there is nothing between
	for i := 1; i <= len(name); i++ {
		p := name[:i]
		if i < len(name) && name[i] >= '/' || i == len(name) && !whole || at != nil && p < string(at) {
			continue
		}
		c, err := tree.Open(w.ctx, w.r, h, []byte(p))
		if err != nil {
			return err
		}
		n := &tree.Node{}
		if _, err := c.Next(w.ctx, n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		at = n.Name
		if string(at) == p && n.Type == tree.Dir {
			f(n)
		}
	}
	return nil
}

// wait puts a directory aside until its keys come.
func (l *treeLevel) wait(n *tree.Node, of []int) {
	for i := range l.waiting {
		if l.waiting[i].name == string(n.Name) {
			l.waiting[i].add(of, n)
			return
		}
	}
	d := waitingDir{name: string(n.Name)}
	d.add(of, n)
	l.waiting = append(l.waiting, d)
}

// next returns the next key and, in w.nodes, the file there by snapshot; or, with dir, the
// prefix of a directory that is rolled up. ok is false at the end.
func (w *treeWalk) next() (key string, dir, ok bool, err error) {
	if w.file {
		w.file = false
		w.clear()
		for i := range w.list {
			if n := w.list[i].base; n != nil && n.Type == tree.File {
				w.nodes[i] = n
			}
		}
		return w.key, false, true, nil
	}
	for len(w.stack) > 0 {
		l := w.stack[len(w.stack)-1]
		name, err := l.peek(w.ctx)
		if err != nil {
			return "", false, false, err
		}
		if k := len(l.waiting); k > 0 && (name == nil || string(name) > l.waiting[k-1].name+"/") {
			d := l.waiting[k-1]
			l.waiting = l.waiting[:k-1]
			prefix := l.prefix + d.name + "/"
			if d.files && w.rolled != nil && w.rolled(prefix) && w.keyLike(prefix) {
				return prefix, true, true, nil
			}
			if err := w.enter(prefix, d.states, ""); err != nil {
				return "", false, false, err
			}
			continue
		}
		if name == nil {
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		key := l.prefix
		if w.frozen {
			key += FrozenKey(name)
		} else {
			key += string(name)
		}
		if w.take(l, name) && w.keyLike(key) {
			return key, false, true, nil
		}
	}
	return "", false, false, nil
}

// peek returns the smallest name that is next in a branch, nil at the end of all.
func (l *treeLevel) peek(ctx context.Context) (least []byte, err error) {
	for i := range l.branches {
		b := &l.branches[i]
		if !b.have && !b.end {
			_, err := b.c.Next(ctx, &b.n)
			b.have, b.end = err == nil, errors.Is(err, io.EOF)
			if err != nil && !b.end {
				return nil, err
			}
		}
		if b.have && (least == nil || bytes.Compare(b.n.Name, least) < 0) {
			least = b.n.Name
		}
	}
	return least, nil
}

// take takes the nodes of a name from the branches: files into w.nodes, directories aside.
// It reports whether there is a file.
func (w *treeWalk) take(l *treeLevel, name []byte) (file bool) {
	w.clear()
	for i := range l.branches {
		b := &l.branches[i]
		if !b.have || !bytes.Equal(b.n.Name, name) {
			continue
		}
		b.have = false
		switch b.n.Type {
		case tree.File:
			file = true
			for _, of := range b.of {
				w.nodes[of] = &b.n
			}
		case tree.Dir:
			l.wait(&b.n, b.of)
		}
	}
	return file
}

func (w *treeWalk) clear() {
	if w.nodes == nil {
		w.nodes = make([]*tree.Node, len(w.list))
	}
	clear(w.nodes)
}

// nearby bounds how many keys are passed over before a walk seeks instead.
const nearby = 16

// advance is seek for a place behind that of the key returned last. Behind a directory that
// was left it goes on where it is.
func (w *treeWalk) advance(from string) (key string, dir, ok bool, err error) {
	w.file = w.file && from <= w.key
	for k := len(w.stack); k > 0; k-- {
		p := w.stack[k-1].prefix
		if from <= p || strings.HasPrefix(from, p) {
			break
		}
		w.stack = w.stack[:k-1]
	}
	if k := len(w.stack); k > 0 && strings.HasPrefix(from, w.stack[k-1].prefix) {
		l := w.stack[k-1]
		for n := len(l.waiting); n > 0 && l.prefix+l.waiting[n-1].name+"/" < from && !strings.HasPrefix(from, l.prefix+l.waiting[n-1].name+"/"); n-- {
			l.waiting = l.waiting[:n-1]
		}
	}
	for range nearby {
		if key, dir, ok, err = w.next(); err != nil || !ok || key >= from {
			return key, dir, ok, err
		}
		if dir && strings.HasPrefix(from, key) {
			break // from is inside
		}
	}
	if err := w.seek(from); err != nil {
		return "", false, false, err
	}
	return w.next()
}

// PlacedFile is a regular file of a snapshot and its path below a directory.
type PlacedFile struct {
	Path string
	Node *tree.Node // valid until the next file
}

// FilesBelow gives the regular files below a directory of a snapshot in the byte order of
// whole paths, which is that of keys. It ends with the first error.
func FilesBelow(ctx context.Context, r *repo.Repository, dir *tree.Node) iter.Seq2[PlacedFile, error] {
	return func(yield func(PlacedFile, error) bool) {
		w := &treeWalk{ctx: ctx, r: r, list: []shown{{base: dir}}, names: true}
		err := w.seek("")
		for err == nil {
			var key string
			var ok bool
			if key, _, ok, err = w.next(); err != nil {
				break
			}
			if !ok || !yield(PlacedFile{key[1:], w.nodes[0]}, nil) {
				return
			}
		}
		yield(PlacedFile{}, err)
	}
}
