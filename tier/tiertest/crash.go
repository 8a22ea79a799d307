package tiertest

import (
	"context"
	"fmt"
	"io/fs"
	"sync"

	"github.com/firnstore/firn/tier"
)

// Crash is a store in memory that can lose its power. Committed files survive,
// everything else is gone. A call is either done before the power goes or fails
// with ErrPower; yields of a running List may still come.
type Crash struct {
	disk *tier.Memory

	mu     sync.RWMutex // held for reading during a call
	lives  int          // how often it was started
	off    bool
	closed bool
}

// NewCrash returns an empty store with the power on.
func NewCrash() *Crash { return &Crash{disk: tier.NewMemory()} }

// Cut turns the power off, after calls that are under way.
func (c *Crash) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = true
}

// Restart cuts the power and turns it on again. The store can be used afresh,
// also after Close; writers from before only return ErrPower.
func (c *Crash) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lives++
	c.off, c.closed = false, false
}

// do makes a call if the power is on and has been on all the time since life.
// A negative life means any.
func (c *Crash) do(op Op, name string, life int, call func() error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.off || life >= 0 && life != c.lives {
		return fmt.Errorf("%s %s: %w", op, name, ErrPower)
	}
	if c.closed {
		return fmt.Errorf("%s %s: %w", op, name, fs.ErrClosed)
	}
	return call()
}

// Create implements tier.Store.
func (c *Crash) Create(ctx context.Context, name string) (tier.Writer, error) {
	return c.begin(ctx, name, c.disk.Create)
}

// Replace implements tier.Replacer.
func (c *Crash) Replace(ctx context.Context, name string) (tier.Writer, error) {
	return c.begin(ctx, name, c.disk.Replace)
}

func (c *Crash) begin(ctx context.Context, name string, create func(context.Context, string) (tier.Writer, error)) (w tier.Writer, err error) {
	err = c.do(OpCreate, name, -1, func() error {
		inner, err := create(ctx, name)
		w = &crashWriter{c: c, inner: inner, name: name, life: c.lives}
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// ReadAt implements tier.Store.
func (c *Crash) ReadAt(ctx context.Context, name string, p []byte, off int64) (n int, err error) {
	err = c.do(OpRead, name, -1, func() (err error) {
		n, err = c.disk.ReadAt(ctx, name, p, off)
		return err
	})
	return n, err
}

// Stat implements tier.Store.
func (c *Crash) Stat(ctx context.Context, name string) (info tier.Info, err error) {
	err = c.do(OpStat, name, -1, func() (err error) {
		info, err = c.disk.Stat(ctx, name)
		return err
	})
	return info, err
}

// List implements tier.Store. yield may use the store and cut its power.
func (c *Crash) List(ctx context.Context, prefix, after string, yield func(tier.Info) error) error {
	if err := c.do(OpList, prefix, -1, func() error { return nil }); err != nil {
		return err
	}
	return c.disk.List(ctx, prefix, after, yield)
}

// Delete implements tier.Store.
func (c *Crash) Delete(ctx context.Context, name string) error {
	return c.do(OpDelete, name, -1, func() error { return c.disk.Delete(ctx, name) })
}

// Close implements tier.Store. The files stay for Restart.
func (c *Crash) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// String implements tier.Store.
func (c *Crash) String() string { return "crash" }

type crashWriter struct {
	c     *Crash
	inner tier.Writer
	name  string
	life  int
}

func (w *crashWriter) Write(p []byte) (n int, err error) {
	err = w.c.do(OpWrite, w.name, w.life, func() (err error) {
		n, err = w.inner.Write(p)
		return err
	})
	return n, err
}

// Commit ends the inner writer in any case, so that a power that comes back
// cannot make it succeed.
func (w *crashWriter) Commit() error {
	err := w.c.do(OpCommit, w.name, w.life, w.inner.Commit)
	w.inner.Abort()
	return err
}

func (w *crashWriter) Abort() error { return w.inner.Abort() }
