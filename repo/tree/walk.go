package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/firnstore/firn/repo"
)

// Dir calls f for the nodes of a directory in the order of names.
func (n *Node) Dir(ctx context.Context, r *repo.Repository, f func(*Node) error) error {
	c, err := Open(ctx, r, Handle(n.Tree), nil)
	if err != nil {
		return err
	}
	for {
		child := &Node{}
		if _, err := c.Next(ctx, child); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := f(child); err != nil {
			return err
		}
	}
}

// Walk calls f for n and everything below it, directories before what they hold, with
// the path of each below that of n. f may return fs.SkipDir for a directory.
func (n *Node) Walk(ctx context.Context, r *repo.Repository, at string, f func(p string, n *Node) error) error {
	if err := f(at, n); err != nil {
		if errors.Is(err, fs.SkipDir) && n.Type == Dir {
			return nil
		}
		return err
	}
	if n.Type != Dir {
		return nil
	}
	return n.Dir(ctx, r, func(child *Node) error {
		return child.Walk(ctx, r, Join(at, child.Name), f)
	})
}

// Join appends a name to the path of a directory, which may be "".
func Join(dir string, name []byte) string {
	if dir == "" || strings.HasSuffix(dir, "/") {
		return dir + string(name)
	}
	return dir + "/" + string(name)
}

// Open returns a reader of a file's content.
func (n *Node) Open(ctx context.Context, r *repo.Repository) (*repo.Reader, error) {
	if n.Type != File {
		return nil, fmt.Errorf("%q is a %s, not a file", n.Name, n.Type)
	}
	return r.OpenContent(ctx, n.Data()), nil
}
