package tiertest

import (
	"context"
	"maps"
	"sync"

	"github.com/firnstore/firn/tier"
)

// Counting is a store that counts calls, failed ones too. Make it with
// &Counting{Store: s}.
type Counting struct {
	tier.Store

	mu    sync.Mutex
	calls map[Op]int64
	bytes map[Op]int64
}

// Calls returns how often each operation was called since the last Reset. The
// caller owns the map.
func (c *Counting) Calls() map[Op]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

// Bytes returns how many bytes op, OpWrite or OpRead, moved since the last
// Reset.
func (c *Counting) Bytes(op Op) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes[op]
}

// Reset starts counting from zero.
func (c *Counting) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls, c.bytes = nil, nil
}

func (c *Counting) count(op Op, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls, c.bytes = make(map[Op]int64), make(map[Op]int64)
	}
	c.calls[op]++
	c.bytes[op] += int64(n)
}

// Create implements tier.Store.
func (c *Counting) Create(ctx context.Context, name string) (tier.Writer, error) {
	return c.begin(c.Store.Create(ctx, name))
}

// Replace implements tier.Replacer, if the store does.
func (c *Counting) Replace(ctx context.Context, name string) (tier.Writer, error) {
	return c.begin(tier.Replace(ctx, c.Store, name))
}

// Settle implements tier.Settler, if the store does.
func (c *Counting) Settle(ctx context.Context, name string) error {
	if _, ok := c.Store.(tier.Settler); ok {
		c.count(OpSettle, 0)
	}
	return tier.Settle(ctx, c.Store, name)
}

func (c *Counting) begin(w tier.Writer, err error) (tier.Writer, error) {
	c.count(OpCreate, 0)
	if err != nil {
		return nil, err
	}
	return &countingWriter{c: c, inner: w}, nil
}

// ReadAt implements tier.Store.
func (c *Counting) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	n, err := c.Store.ReadAt(ctx, name, p, off)
	c.count(OpRead, n)
	return n, err
}

// Stat implements tier.Store.
func (c *Counting) Stat(ctx context.Context, name string) (tier.Info, error) {
	c.count(OpStat, 0)
	return c.Store.Stat(ctx, name)
}

// List implements tier.Store.
func (c *Counting) List(ctx context.Context, prefix, after string, yield func(tier.Info) error) error {
	c.count(OpList, 0)
	return c.Store.List(ctx, prefix, after, yield)
}

// Delete implements tier.Store.
func (c *Counting) Delete(ctx context.Context, name string) error {
	c.count(OpDelete, 0)
	return c.Store.Delete(ctx, name)
}

type countingWriter struct {
	c     *Counting
	inner tier.Writer
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.inner.Write(p)
	w.c.count(OpWrite, n)
	return n, err
}

func (w *countingWriter) Commit() error {
	w.c.count(OpCommit, 0)
	return w.inner.Commit()
}

func (w *countingWriter) Abort() error {
	w.c.count(OpAbort, 0)
	return w.inner.Abort()
}
