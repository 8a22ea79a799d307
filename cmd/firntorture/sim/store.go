package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"

	"github.com/firnstore/firn/tier"
)

// Errors of the simulated medium.
var (
	errKilled = errors.New("the process was killed")
	errMedium = fmt.Errorf("simulated: %w", syscall.EIO)
	errFull   = fmt.Errorf("simulated: %w", syscall.ENOSPC)
)

// medium decides when and how the calls of a store are carried out. do has their effect
// and is called once or not at all, by whoever owns the disk; what it returns, or an error
// in its place, is the answer.
type medium interface {
	disk() *disk
	call(op op, name string, do func() error) error
	remote() bool // an object store: what can be seen is durable
}

// op names a step of a call.
type op string

// The steps. A file of a directory comes in three, which a crash can part.
const (
	opCreate op = "create"
	opWrite  op = "write"
	opSync   op = "sync"   // the bytes of a file
	opLink   op = "link"   // gives it its name
	opFolder op = "folder" // syncs a folder
	opPut    op = "put"    // all of these at once, in an object store
	opRead   op = "read"
	opStat   op = "stat"
	opList   op = "list"   // the beginning of a listing
	opListed op = "listed" // its end
	opUnlink op = "unlink"
	opRemove op = "remove" // unlink and folder at once, in an object store
	opTurn   op = "turn"   // no call, but the moment before an operation
)

// changes reports whether a step changes the disk.
func (o op) changes() bool {
	switch o {
	case opLink, opFolder, opPut, opUnlink, opRemove:
		return true
	}
	return false
}

// store is a tier.Store on a medium.
type store struct{ m medium }

var _ tier.Store = store{}

// begin is what every method does first.
func (s store) begin(ctx context.Context, what, name string, valid bool) error {
	err := ctx.Err()
	if err == nil && valid {
		err = tier.ValidName(name)
	}
	if err != nil {
		return fmt.Errorf("%s %s in %s: %w", what, name, s, err)
	}
	return nil
}

// Create implements tier.Store.
func (s store) Create(ctx context.Context, name string) (tier.Writer, error) {
	if err := s.begin(ctx, "create", name, true); err != nil {
		return nil, err
	}
	if err := s.m.call(opCreate, name, func() error { return nil }); err != nil {
		return nil, err
	}
	return &writer{s: s, ctx: ctx, name: name}, nil
}

// ReadAt implements tier.Store.
func (s store) ReadAt(ctx context.Context, name string, p []byte, off int64) (n int, err error) {
	if err := s.begin(ctx, "read", name, true); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read %s in %s: negative offset %d", name, s, off)
	}
	short := false
	err = s.m.call(opRead, name, func() error {
		f := s.m.disk().files[name]
		switch {
		case f == nil:
			return fmt.Errorf("read %s in %s: %w", name, s, tier.ErrNotExist)
		case len(p) == 0:
			return nil
		case off < int64(len(f.data)):
			n = copy(p, f.data[off:])
		}
		short = n < len(p)
		return nil
	})
	if err == nil && short {
		err = io.EOF
	}
	if errors.Is(err, errMedium) {
		n /= 2 // a short read is one with an error
	}
	return n, err
}

// Stat implements tier.Store.
func (s store) Stat(ctx context.Context, name string) (info tier.Info, err error) {
	if err := s.begin(ctx, "stat", name, true); err != nil {
		return info, err
	}
	err = s.m.call(opStat, name, func() error {
		f := s.m.disk().files[name]
		if f == nil {
			return fmt.Errorf("stat %s in %s: %w", name, s, tier.ErrNotExist)
		}
		info = f.info(name)
		return nil
	})
	return info, err
}

// List implements tier.Store. What comes or goes while it runs is left out or not, by turns.
func (s store) List(ctx context.Context, prefix, after string, yield func(tier.Info) error) error {
	if err := s.begin(ctx, "list", prefix, false); err != nil {
		return err
	}
	var infos []tier.Info
	if err := s.m.call(opList, prefix, func() error {
		infos = s.m.disk().list(prefix, after)
		return nil
	}); err != nil {
		return err
	}
	if err := s.m.call(opListed, prefix, func() error {
		infos = blend(infos, s.m.disk().list(prefix, after))
		return nil
	}); err != nil {
		return err
	}
	for _, info := range infos {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(info); err != nil {
			return err
		}
	}
	return nil
}

// blend is a listing that saw some of its names early and some late: every second one of
// those that differ is taken.
func blend(early, late []tier.Info) (infos []tier.Info) {
	same := func(list []tier.Info, name string) bool {
		return slices.ContainsFunc(list, func(i tier.Info) bool { return i.Name == name })
	}
	take := true
	for _, list := range [][]tier.Info{early, late} {
		for _, i := range list {
			if same(infos, i.Name) {
				continue
			}
			if same(early, i.Name) && same(late, i.Name) {
				infos = append(infos, i)
				continue
			}
			if take {
				infos = append(infos, i)
			}
			take = !take
		}
	}
	sortInfos(infos)
	return infos
}

// Delete implements tier.Store.
func (s store) Delete(ctx context.Context, name string) error {
	if err := s.begin(ctx, "delete", name, true); err != nil {
		return err
	}
	if s.m.remote() {
		return s.m.call(opRemove, name, func() error {
			defer s.m.disk().syncFolder(name)
			return s.m.disk().unlink(name)
		})
	}
	if err := s.m.call(opUnlink, name, func() error { return s.m.disk().unlink(name) }); err != nil {
		return err
	}
	return s.m.call(opFolder, name, func() error { s.m.disk().syncFolder(name); return nil })
}

// Settle implements tier.Settler.
func (s store) Settle(ctx context.Context, name string) error {
	if err := s.begin(ctx, "settle", name, true); err != nil || s.m.remote() {
		return err
	}
	return s.m.call(opFolder, name, func() error { s.m.disk().syncFolder(name); return nil })
}

// Close implements tier.Store. The files stay.
func (s store) Close() error { return nil }

// String implements tier.Store.
func (s store) String() string { return "simulated store" }

// writer makes one file.
type writer struct {
	s     store
	ctx   context.Context
	name  string
	data  []byte
	ended bool
	err   error
}

// Write implements tier.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err == nil && w.ended {
		w.err = fs.ErrClosed
	}
	if w.err == nil {
		w.err = w.s.m.call(opWrite, w.name, func() error { w.data = append(w.data, p...); return nil })
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Commit implements tier.Writer.
func (w *writer) Commit() error {
	if w.err == nil && w.ended {
		w.err = fs.ErrClosed
	}
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	w.ended = true
	if w.err == nil {
		w.err = w.publish()
	}
	return w.err
}

func (w *writer) publish() error {
	m := w.s.m
	f := &file{data: w.data}
	if m.remote() {
		return m.call(opPut, w.name, func() error {
			f.synced = true
			defer m.disk().syncFolder(w.name)
			return m.disk().link(w.name, f)
		})
	}
	if err := m.call(opSync, w.name, func() error { f.synced = m.disk().weak != NoFileSync; return nil }); err != nil {
		return err
	}
	err := m.call(opLink, w.name, func() error { return m.disk().link(w.name, f) })
	if err != nil && !errors.Is(err, tier.ErrExist) {
		return err
	}
	// The name of another's file, too, is durable when it is reported.
	if serr := m.call(opFolder, w.name, func() error { m.disk().syncFolder(w.name); return nil }); serr != nil {
		return serr
	}
	return err
}

// Abort implements tier.Writer.
func (w *writer) Abort() error {
	w.data, w.ended = nil, true
	return nil
}

// plain is a medium whose calls are carried out at once. hook, if not nil, may put an error
// in the place of an answer, or refuse to carry a call out.
type plain struct {
	d    *disk
	far  bool
	lock chan struct{} // holds one token
	hook func(op op, name string, do func() error) error
}

func newPlain(d *disk, remote bool) *plain {
	p := &plain{d: d, far: remote, lock: make(chan struct{}, 1)}
	p.lock <- struct{}{}
	return p
}

func (p *plain) disk() *disk  { return p.d }
func (p *plain) remote() bool { return p.far }

func (p *plain) call(op op, name string, do func() error) error {
	<-p.lock
	defer func() { p.lock <- struct{}{} }()
	if p.hook != nil {
		return p.hook(op, name, do)
	}
	return do()
}
