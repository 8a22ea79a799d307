package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// verifier reads restored files back. It takes the same way through the snapshot as the
// restore, so it also finds files that were never written.
type verifier struct {
	rs   *restorer
	jobs chan verifyJob
}

type verifyJob struct {
	dir  *outDir // held
	node *Node
}

func (rs *restorer) verify(only []string) {
	t := rs.tree
	v := &verifier{rs: rs, jobs: make(chan verifyJob)}
	var wg sync.WaitGroup
	for range rs.opt.Workers {
		wg.Go(func() {
			for j := range v.jobs {
				v.file(j)
				j.dir.release()
			}
		})
	}
	root := &outDir{tree: t, node: rs.snap.Root, handle: t.root.handle, opened: true, made: true}
	root.refs.Store(1)
	v.dir(root, "/", only)
	close(v.jobs)
	wg.Wait()
}

func (v *verifier) dir(d *outDir, at string, only []string) {
	if d.depth > maxDepth {
		return // reported before
	}
	var from []byte
	if len(only) > 0 {
		from = []byte(only[0])
	}
	c, err := tree.Open(v.rs.ctx, v.rs.r, tree.Handle(d.node.Tree), from)
	for err == nil && v.rs.ctx.Err() == nil {
		n := &Node{}
		if _, err = c.Next(v.rs.ctx, n); err != nil {
			return // reported before, or the end
		}
		if len(only) == 0 {
			v.entry(d, tree.Join(at, n.Name), n, nil)
			continue
		}
		if bytes.Equal(n.Name, from) {
			v.entry(d, tree.Join(at, n.Name), n, only[1:])
		}
		return
	}
}

func (v *verifier) entry(d *outDir, at string, n *Node, only []string) {
	take, descend := false, true
	if len(only) == 0 {
		take, descend = v.rs.selects(at, n.Type == Dir)
	}
	switch {
	case n.Type == Dir && descend:
		sub := d.enter(n)
		v.dir(sub, at, only)
		sub.release()
	case n.Type == File && take:
		v.jobs <- verifyJob{d.hold(), n}
	}
}

// errDiffers says that a file is not what the snapshot has.
var errDiffers = errors.New("its content is not that of the snapshot")

func (v *verifier) file(j verifyJob) {
	path := j.dir.path(string(j.node.Name))
	v.rs.failedMu.Lock()
	_, known := v.rs.failed[path]
	v.rs.failedMu.Unlock()
	if known || v.rs.ctx.Err() != nil {
		return
	}
	err := j.dir.use(func(h dirHandle) error {
		f, err := h.open(string(j.node.Name), false)
		if err != nil {
			return err
		}
		f.dropCache()
		return errors.Join(v.compare(f, j.node), f.close())
	})
	if err != nil {
		v.rs.problem(path, fmt.Errorf("verify: %w", err))
		return
	}
	v.rs.res.verified.Add(1)
}

func (v *verifier) compare(f fileHandle, n *Node) error {
	var st Node
	if err := f.stat(&st); err != nil {
		return err
	}
	if st.Size != n.Size {
		return fmt.Errorf("%w: it has %d bytes, not %d", errDiffers, st.Size, n.Size)
	}
	w := &comparer{f: f}
	if _, inline := n.Data().Inline(); inline {
		_, err := v.rs.r.OpenContent(v.rs.ctx, n.Data()).WriteTo(w)
		return err
	}
	return v.compareIDs(v.rs.ctx, w, n.Data())
}

// compareIDs hashes what is in the file, without fetching what should be.
func (v *verifier) compareIDs(ctx context.Context, w *comparer, c repo.Content) error {
	x, err := v.rs.r.Extents(ctx, c, 0)
	for err == nil {
		var e repo.Extent
		if e, err = x.Next(ctx); err != nil {
			break
		}
		if e.Hole() {
			err = w.zeros(e.Len)
			continue
		}
		if e.Len > chunk.MaxSize {
			return fmt.Errorf("chunk of %d bytes: %w", e.Len, repo.ErrDamaged)
		}
		var data []byte
		if data, err = w.next(int(e.Len)); err == nil && v.rs.hasher.id(data) != e.ID {
			err = fmt.Errorf("%w between offset %d and %d", errDiffers, e.Off, e.Off+e.Len)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// comparer is a writer that compares what it is given with what a file has.
type comparer struct {
	f   fileHandle
	off int64
	buf []byte
}

// next returns the next n bytes of the file.
func (c *comparer) next(n int) ([]byte, error) {
	if cap(c.buf) < n {
		c.buf = make([]byte, n)
	}
	got, err := c.f.readAt(c.buf[:n], c.off)
	if err == nil && got < n {
		err = fmt.Errorf("%w: it ends at %d", errDiffers, c.off+int64(got))
	}
	c.off += int64(got)
	return c.buf[:got], err
}

// Write implements io.Writer.
func (c *comparer) Write(p []byte) (int, error) {
	from := c.off
	data, err := c.next(len(p))
	if err == nil && !bytes.Equal(data, p) {
		err = fmt.Errorf("%w between offset %d and %d", errDiffers, from, c.off)
	}
	return len(p), err
}

func (c *comparer) zeros(n int64) error {
	for n > 0 {
		k := min(n, int64(len(zeros)))
		if _, err := c.Write(zeros[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}
