package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/firnstore/firn/repo/tree"
)

// selects reports whether a path of the snapshot is to be restored, and whether
// something below it may be.
func (rs *restorer) selects(at string, isDir bool) (take, descend bool) {
	if match, _ := rs.opt.Exclude.Match(at, isDir); match {
		return false, false
	}
	if rs.opt.Include == nil {
		return true, true
	}
	take, below := rs.opt.Include.Match(at, isDir)
	return take, take || below
}

// enterDir handles a directory and what is in it; at is its path in the snapshot. When
// only is not empty, it names the one entry to go on with, and those below it.
func (rs *restorer) enterDir(d *outDir, at string, only []string) {
	path := d.path("")
	rs.Current.Store(&path)
	if rs.opt.step != nil {
		rs.opt.step(at)
	}
	if d.depth > maxDepth {
		rs.problem(path, fmt.Errorf("directories are nested more than %d deep", maxDepth))
		return
	}
	if rs.mayDelete(d, at) {
		rs.sweep(d, at)
	}
	var from []byte
	if len(only) > 0 {
		from = []byte(only[0])
	}
	c, err := tree.Open(rs.ctx, rs.r, tree.Handle(d.node.Tree), from)
	for err == nil && rs.ctx.Err() == nil {
		n := &Node{}
		if _, err = c.Next(rs.ctx, n); err != nil {
			break
		}
		if len(only) == 0 {
			rs.entry(d, tree.Join(at, n.Name), n, nil)
			continue
		}
		if bytes.Equal(n.Name, from) {
			rs.entry(d, tree.Join(at, n.Name), n, only[1:])
		}
		return
	}
	if err != nil && !errors.Is(err, io.EOF) {
		rs.problem(path, fmt.Errorf("not all of its entries can be read: %w", err))
	}
}

// entry handles one node of a directory.
func (rs *restorer) entry(d *outDir, at string, n *Node, only []string) {
	name := string(n.Name)
	if err := localName(name); err != nil {
		rs.problem(d.path(""), err)
		return
	}
	take, descend := false, true
	if len(only) == 0 {
		take, descend = rs.selects(at, n.Type == Dir)
	}
	if n.Type == Dir {
		if descend {
			rs.subdir(d, at, n, take, only)
		}
		return
	}
	if !take || !rs.ensure(d) {
		return
	}
	if n.Type == Socket {
		rs.res.sockets.Add(1)
		rs.Other.Add(1)
		return
	}
	rs.leaf(d, n)
}

func (rs *restorer) subdir(d *outDir, at string, n *Node, take bool, only []string) {
	sub := d.enter(n)
	defer func() {
		if rs.ctx.Err() == nil {
			sub.release()
		}
	}()
	sub.selected = take
	if take && !rs.ensure(sub) {
		return
	}
	rs.enterDir(sub, at, only)
}

// ensure makes a directory, and those on the way to it, when something is to be put
// there. It reports a failure once; in a dry run there is none.
func (rs *restorer) ensure(d *outDir) bool {
	switch {
	case d.made:
		return true
	case d.err != nil:
		return false
	case d.up == nil:
		return rs.opt.DryRun
	case !rs.ensure(d.up):
		d.err = d.up.err
		return false
	}
	if d.err = rs.makeDir(d); d.err != nil {
		rs.problem(d.path(""), fmt.Errorf("nothing below it was restored: %w", d.err))
		return false
	}
	return true
}

var errInTheWay = errors.New("something else of this name is there")

func (rs *restorer) makeDir(d *outDir) error {
	var have *Node
	var err error
	if d.up.made && !d.up.fresh {
		if have, err = d.up.stat(d.name); err != nil {
			return err
		}
	}
	if have != nil && have.Type == Dir {
		d.made = true
		return rs.widen(d, have)
	}
	if rs.opt.DryRun {
		return nil
	}
	if have != nil {
		if rs.opt.Overwrite == OverwriteNever {
			return fmt.Errorf("%w: a %s", errInTheWay, have.Type)
		}
		if err := rs.clear(d.up, have); err != nil {
			return err
		}
	}
	if err := d.up.use(func(h dirHandle) error { return h.mkdir(d.name) }); err != nil {
		return appeared(err)
	}
	d.made, d.fresh = true, true
	return nil
}

// widen gives the owner of an existing directory the permissions that work in it needs.
func (rs *restorer) widen(d *outDir, have *Node) error {
	if privileged() || rs.opt.DryRun || have.Mode&0o700 == 0o700 || d.up == nil {
		return nil
	}
	if err := d.up.use(func(h dirHandle) error { return h.inodeOf(d.name, Dir).chmod(have.Mode | 0o700) }); err != nil {
		return nil // the owner is someone else, and it may do as it is
	}
	d.oldMode = have.Mode | modeKnown
	return nil
}

// modeKnown marks a mode that was noted.
const modeKnown = 1 << 31

// appeared explains that a name is taken which was free, or never looked at because the
// directory is new.
func appeared(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: it appeared meanwhile, or names here do not tell upper from lower case", errInTheWay)
	}
	return err
}

// clear removes what is in the way of another type of file.
func (rs *restorer) clear(d *outDir, have *Node) error {
	name := string(have.Name)
	if have.Type != Dir {
		return d.use(func(h dirHandle) error { return h.remove(name, false) })
	}
	err := d.use(func(h dirHandle) error { return h.remove(name, true) })
	switch {
	case err == nil:
		return nil
	case rs.opt.Delete:
		if rs.removeTree(d, name, nil) {
			return nil
		}
		return errors.New("a directory is in the way, and not all of it can be deleted")
	}
	return fmt.Errorf("a directory is in the way that cannot be removed, perhaps because it is not empty (see --delete): %w", err)
}

// dirDone gives a directory its attributes when everything in it is done.
func (rs *restorer) dirDone(d *outDir) {
	wanted := d.fresh && d.up != nil || d.selected && rs.opt.Overwrite != OverwriteNever
	if rs.opt.DryRun {
		if d.selected && d.err == nil {
			rs.countDir()
		}
		return
	}
	if !d.made || rs.ctx.Err() != nil {
		return
	}
	if !wanted {
		if d.oldMode != 0 {
			_ = d.use(func(h dirHandle) error { return h.inode().chmod(d.oldMode &^ modeKnown) })
		}
		return
	}
	var have *Node
	err := d.use(func(h dirHandle) error {
		if !d.fresh {
			have = &Node{}
			if err := h.self(have); err != nil {
				return err
			}
		}
		return rs.setAttributes(h.inode(), d.node, have)
	})
	if err == nil && (have == nil || have.ModTime != d.node.ModTime) {
		err = rs.setDirTime(d)
	}
	if err != nil {
		rs.problem(d.path(""), err)
		return
	}
	rs.countDir()
}

// setDirTime goes through the directory above: that also works where the mode of d
// forbids to enter it.
func (rs *restorer) setDirTime(d *outDir) error {
	if d.up == nil {
		return d.use(func(h dirHandle) error { return h.setTime(".", d.node.ModTime) })
	}
	return d.up.use(func(h dirHandle) error { return h.setTime(d.name, d.node.ModTime) })
}

func (rs *restorer) countDir() {
	rs.res.dirs.Add(1)
	rs.Dirs.Add(1)
}

// special restores what has no content: links, FIFOs and devices. link has its further
// names.
func (rs *restorer) special(d *outDir, n *Node, link *linkState) {
	count := &rs.res.other
	if n.Type == Symlink {
		count = &rs.res.links
	}
	kept, err := rs.placeSpecial(d, n)
	if err != nil {
		rs.problem(d.path(string(n.Name)), err)
		link.settle(rs, err)
		return
	}
	if kept {
		count, err = &rs.res.kept, errKept
	}
	count.Add(1)
	rs.Other.Add(1)
	link.settle(rs, err)
}

func (rs *restorer) placeSpecial(d *outDir, n *Node) (kept bool, err error) {
	name := string(n.Name)
	var have *Node
	if d.made && !d.fresh {
		if have, err = d.stat(name); err != nil {
			return false, err
		}
	}
	if have != nil && rs.opt.Overwrite == OverwriteNever {
		return true, nil
	}
	if rs.opt.DryRun {
		return false, nil
	}
	if have != nil {
		same := rs.sameSpecial(d, n, have)
		if same && have.Links > 1 && n.Links > 1 && rs.opt.Overwrite == OverwriteIfChanged &&
			have.ModTime == n.ModTime && rs.sameAttributes(n, have) {
			return false, nil
		}
		// One that has another name is never changed: that may lie outside of the target.
		if !same || have.Links > 1 {
			if err := rs.clear(d, have); err != nil {
				return false, err
			}
			have = nil
		}
	}
	return false, d.use(func(h dirHandle) error {
		if have == nil {
			if err := makeSpecial(h, n); err != nil {
				return appeared(err)
			}
		}
		if err := rs.setAttributes(h.inodeOf(name, n.Type), n, have); err != nil {
			return err
		}
		return h.setTime(name, n.ModTime)
	})
}

func makeSpecial(h dirHandle, n *Node) error {
	if n.Type == Symlink {
		return h.symlink(string(n.Target), string(n.Name))
	}
	return h.mknod(n)
}

// sameSpecial reports whether what is there differs from n in attributes at most.
func (rs *restorer) sameSpecial(d *outDir, n, have *Node) bool {
	if have.Type != n.Type || have.Rdev != n.Rdev {
		return false
	}
	if n.Type != Symlink {
		return true
	}
	var target []byte
	err := d.use(func(h dirHandle) (err error) {
		target, err = h.readlink(string(n.Name))
		return err
	})
	return err == nil && bytes.Equal(target, n.Target)
}
