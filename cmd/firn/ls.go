package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// lsFlags are the flags of firn ls.
type lsFlags struct {
	filterFlags
	long, recursive bool
	at              string
}

func (a *app) lsCommand() *cobra.Command {
	var f lsFlags
	cmd := &cobra.Command{
		Use:   "ls SNAPSHOT [PATH]",
		Short: "List the files of a snapshot or the objects of a bucket",
		Long: `List a directory of a snapshot, or one file of it. PATH is the path that was backed up,
from the root of the snapshot; without it the root is listed. On a terminal, control
characters and bytes that are not UTF-8 are written like \x1b; elsewhere names stay as they are.

With --json the result is one object per line: path, type, mode, size, time and owner. A
path that is not UTF-8 comes also as path_base64. An object has key, size, mtime, etag and
version_id; what is behind the next slash is one of type prefix.` + placeHelp,
		Example: `  firn ls -r /backup/firn latest /etc
  firn ls -r /backup/firn s3:photos/2026/ --at 2026-11-20T10:00
  firn ls -r /backup/firn 3f9a -lR /home/ann`,
		Args: args(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parsePlace(args[0], f.at)
			if err != nil {
				return err
			}
			if len(args) == 2 && (p.bucket != "" || p.path != "") {
				return usageError("%s: the path stands there already", args[0])
			} else if len(args) == 2 {
				p.path = args[1]
			}
			return a.withPlace(cmd.Context(), p.bucket != "", func(r *repo.Repository) error {
				if p.bucket != "" {
					return a.lsBucket(cmd.Context(), r, p, &f)
				}
				return a.ls(cmd.Context(), r, p, &f)
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVarP(&f.long, "long", "l", false, "mode, owner, size and time before each name")
	cmd.Flags().BoolVarP(&f.recursive, "recursive", "R", false, "everything below")
	addAt(cmd, &f.at)
	f.add(cmd, "latest: the latest")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) ls(ctx context.Context, r *repo.Repository, p *place, f *lsFlags) error {
	p.path = cleanPath(p.path)
	_, n, err := p.node(ctx, r, f.filter())
	if err != nil {
		return err
	}
	at := p.path
	list := a.lister(f)
	switch {
	case n.Type != snapshot.Dir:
		return list(at, n)
	case !f.recursive:
		return n.Dir(ctx, r, func(child *snapshot.Node) error { return list(path.Join(at, string(child.Name)), child) })
	}
	return n.Walk(ctx, r, at, func(p string, n *snapshot.Node) error {
		if p == at {
			return nil
		}
		return list(p, n)
	})
}

// lister returns what prints one node. On a terminal, names are made visible; elsewhere
// they are printed as they are.
func (a *app) lister(f *lsFlags) func(p string, n *snapshot.Node) error {
	if a.flags.json {
		return func(p string, n *snapshot.Node) error { return a.result(nodeObjectOf(p, n)) }
	}
	show := func(s string) string { return s }
	if term.IsTerminal(int(a.stdout.Fd())) {
		show = visible
	}
	return func(p string, n *snapshot.Node) error {
		if !f.long {
			_, err := fmt.Fprintln(a.out, show(p))
			return err
		}
		name := show(p)
		if n.Type == snapshot.Symlink {
			name += " -> " + show(string(n.Target))
		}
		size := strconv.FormatInt(n.Size, 10)
		if n.Type == snapshot.CharDevice || n.Type == snapshot.BlockDevice {
			size = fmt.Sprintf("device %#x", n.Rdev)
		}
		_, err := fmt.Fprintf(a.out, "%s %-8s %-8s %12s %s %s\n", modeText(n),
			owner(n.User, n.UID), owner(n.Group, n.GID), size, n.Time().Local().Format("2006-01-02 15:04"), name)
		return err
	}
}

func owner(name string, id uint32) string {
	if name != "" {
		return visible(name)
	}
	return strconv.FormatUint(uint64(id), 10)
}

// modeText is the mode as ls(1) writes it.
func modeText(n *snapshot.Node) string {
	kind := map[snapshot.NodeType]string{snapshot.File: "-", snapshot.Dir: "d", snapshot.Symlink: "l",
		snapshot.FIFO: "p", snapshot.CharDevice: "c", snapshot.BlockDevice: "b", snapshot.Socket: "s"}[n.Type]
	bits := []byte(fs.FileMode(n.Mode & 0o777).String()[1:])
	for _, special := range []struct {
		bit  uint32
		at   int
		with byte
	}{{0o4000, 2, 's'}, {0o2000, 5, 's'}, {0o1000, 8, 't'}} {
		if n.Mode&special.bit == 0 {
			continue
		}
		if bits[special.at] == 'x' {
			bits[special.at] = special.with
		} else {
			bits[special.at] = special.with - 'a' + 'A'
		}
	}
	return kind + string(bits)
}

// nodeObject is a file of a snapshot in JSON.
type nodeObject struct {
	Path       string    `json:"path"`
	PathBase64 string    `json:"path_base64,omitempty"` // when the path is not UTF-8
	Type       string    `json:"type"`
	Mode       string    `json:"mode"` // octal, the lower 12 bits
	UID        uint32    `json:"uid"`
	GID        uint32    `json:"gid"`
	User       string    `json:"user,omitempty"`
	Group      string    `json:"group,omitempty"`
	Size       int64     `json:"size"`
	Time       time.Time `json:"mtime"`
	Inode      uint64    `json:"inode,omitempty"`
	Links      uint64    `json:"links,omitempty"`
	Target     string    `json:"target,omitempty"`
	Xattrs     []string  `json:"xattrs,omitempty"`
}

func nodeObjectOf(p string, n *snapshot.Node) nodeObject {
	o := nodeObject{
		Path: p, Type: n.Type.String(), Mode: fmt.Sprintf("%04o", n.Mode), UID: n.UID, GID: n.GID,
		User: n.User, Group: n.Group, Size: n.Size, Time: n.Time().UTC(), Inode: n.Inode, Links: n.Links,
		Target: string(n.Target),
	}
	if !utf8.ValidString(p) {
		o.PathBase64 = base64.StdEncoding.EncodeToString([]byte(p))
		o.Path = strings.ToValidUTF8(p, "\uFFFD")
	}
	for _, x := range n.Xattrs {
		o.Xattrs = append(o.Xattrs, string(x.Name))
	}
	return o
}
