package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// wholePaths returns the paths in the snapshot of what was backed up whole. Directories
// above them hold, in the snapshot, only some of their entries. A path that was given
// as a relative one is stored by its last components.
func (s *Snapshot) wholePaths(ctx context.Context, r *repo.Repository) (wholes []string) {
	find := func(p string) (there, isDir bool) {
		n, err := s.Lookup(ctx, r, p)
		return err == nil, err == nil && n.Type == Dir
	}
	for _, p := range s.Paths() {
		parts := components(p)
		if len(parts) == 0 {
			wholes = append(wholes, "/")
			continue
		}
		// The first of these that is there is where it was stored: all components, or
		// fewer of them; but when even a directory above all of them is there, it was
		// stored with all, and could not be read.
		there, isDir := find(p)
		above, _ := find(parts[0])
		for !there && !above && len(parts) > 1 {
			parts = parts[1:]
			p = strings.Join(parts, "/")
			there, isDir = find(p)
		}
		switch {
		case isDir:
			wholes = append(wholes, "/"+strings.Trim(p, "/"))
		case !there && !above && len(s.Paths()) == 1 && holdsFiles(s.Root):
			wholes = append(wholes, "/") // the entries of "."
		}
	}
	return wholes
}

// holdsFiles reports whether something lies below a directory.
func holdsFiles(n *Node) bool { return n.Below != nil && n.Below.Files+n.Below.Dirs > 0 }

// mayDelete reports whether a directory has to end up with what the snapshot has in it
// and nothing else.
func (rs *restorer) mayDelete(d *outDir, at string) bool {
	if !rs.opt.Delete || !d.made || d.fresh || d.node.Partial {
		return false // of a partial one nobody knows what was in it
	}
	if !d.selected && !(d.up == nil && rs.opt.Path == "" && rs.opt.Include == nil) {
		return false
	}
	return slices.ContainsFunc(rs.wholes, func(w string) bool {
		return w == "/" || at == w || strings.HasPrefix(at, w+"/")
	})
}

// sweep removes from an existing directory what is not in the snapshot. It reads the
// whole directory of the snapshot first: a damaged one deletes nothing.
func (rs *restorer) sweep(d *outDir, at string) {
	var names []string
	err := d.use(func(h dirHandle) (err error) {
		names, err = h.names()
		return err
	})
	if err == nil && len(names) > 0 {
		names, err = rs.notInTree(tree.Handle(d.node.Tree), names)
	}
	if err != nil {
		rs.problem(d.path(""), fmt.Errorf("nothing was deleted in it: %w", err))
		return
	}
	for _, name := range names {
		if rs.ctx.Err() != nil {
			return
		}
		rs.removeTree(d, name, func(p string, isDir bool) bool {
			take, _ := rs.selects(tree.Join(at, []byte(p)), isDir)
			return take
		})
	}
}

// notInTree returns those of the sorted names that a directory of the snapshot does not
// have.
func (rs *restorer) notInTree(t tree.Handle, names []string) (extra []string, err error) {
	c, err := tree.Open(rs.ctx, rs.r, t, nil)
	if err != nil {
		return nil, err
	}
	for {
		n := &Node{}
		if _, err := c.Next(rs.ctx, n); errors.Is(err, io.EOF) {
			return append(extra, names...), nil
		} else if err != nil {
			return nil, err
		}
		i, found := slices.BinarySearch(names, string(n.Name))
		extra, names = append(extra, names[:i]...), names[i:]
		if found {
			names = names[1:]
		}
	}
}

// removeTree removes name in d and everything below it that may be removed, but enters
// no other file system. It reports what it could not remove. A nil may allows all.
func (rs *restorer) removeTree(d *outDir, name string, may func(p string, isDir bool) bool) bool {
	gone := true
	err := d.use(func(h dirHandle) error {
		var self Node
		if err := h.self(&self); err != nil {
			return err
		}
		r := remover{rs: rs, may: may, device: self.Device, shown: d.path("")}
		var err error
		gone, err = r.remove(h, name, name)
		return err
	})
	if err != nil {
		rs.problem(d.path(name), fmt.Errorf("not deleted: %w", err))
		return false
	}
	return gone
}

// remover deletes one entry of a directory.
type remover struct {
	rs     *restorer
	may    func(p string, isDir bool) bool
	device uint64
	shown  string
}

// remove reports whether name is gone; p is its path from where the remover began.
func (r *remover) remove(h dirHandle, name, p string) (gone bool, err error) {
	var n Node
	if err := h.stat(name, &n); err != nil {
		return false, err
	}
	if r.may != nil && !r.may(p, n.Type == Dir) || r.rs.ctx.Err() != nil {
		return false, nil
	}
	if n.Type == Dir {
		if n.Device != r.device {
			return false, errors.New("it is the root of another file system")
		}
		if gone, err := r.removeBelow(h, name, p); !gone || err != nil {
			return false, err
		}
	}
	if !r.rs.opt.DryRun {
		if err := h.remove(name, n.Type == Dir); err != nil {
			return false, err
		}
	}
	r.rs.res.deleted.Add(1)
	return true, nil
}

// removeBelow removes what is in a directory, and reports whether that was all of it.
func (r *remover) removeBelow(h dirHandle, name, p string) (all bool, err error) {
	sub, err := h.sub(name)
	if err != nil {
		return false, err
	}
	defer sub.close()
	names, err := sub.names()
	if err != nil {
		return false, err
	}
	all = true
	for _, inner := range names {
		gone, err := r.remove(sub, inner, p+"/"+inner)
		if err != nil {
			return false, fmt.Errorf("%s: %w", inner, err)
		}
		all = all && gone
	}
	return all, nil
}
