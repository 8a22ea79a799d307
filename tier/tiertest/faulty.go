package tiertest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/firnstore/firn/tier"
)

// Faulty is a store whose calls fail on demand. Before and After may be called
// from several goroutines at once; nil never fails.
type Faulty struct {
	tier.Store

	// Before is asked before each call. The call is not made if it returns an
	// error, which is the result.
	Before func(op Op, name string) error
	// After is asked after each call that succeeded. Its error is the result,
	// although the call took effect: a lost answer.
	After func(op Op, name string) error
}

// FailNth returns a function for Faulty that fails the n-th call with err,
// counted from 1 over the given operations, or over all if none are given.
func FailNth(n int64, err error, ops ...Op) func(Op, string) error {
	return fail(err, ops, func(i int64) bool { return i == n })
}

// FailFrom is FailNth for the n-th call and all later ones.
func FailFrom(n int64, err error, ops ...Op) func(Op, string) error {
	return fail(err, ops, func(i int64) bool { return i >= n })
}

func fail(err error, ops []Op, hit func(int64) bool) func(Op, string) error {
	wanted := make(map[Op]bool)
	for _, op := range ops {
		wanted[op] = true
	}
	var calls atomic.Int64
	return func(op Op, _ string) error {
		if (len(ops) == 0 || wanted[op]) && hit(calls.Add(1)) {
			return err
		}
		return nil
	}
}

// do makes a call between the two questions.
func (f *Faulty) do(op Op, name string, call func() error) error {
	if f.Before != nil {
		if err := f.Before(op, name); err != nil {
			return err
		}
	}
	if err := call(); err != nil {
		return err
	}
	if f.After != nil {
		return f.After(op, name)
	}
	return nil
}

// Create implements tier.Store.
func (f *Faulty) Create(ctx context.Context, name string) (tier.Writer, error) {
	return f.begin(name, func() (tier.Writer, error) { return f.Store.Create(ctx, name) })
}

// Replace implements tier.Replacer, if the store does.
func (f *Faulty) Replace(ctx context.Context, name string) (tier.Writer, error) {
	return f.begin(name, func() (tier.Writer, error) { return tier.Replace(ctx, f.Store, name) })
}

// Settle implements tier.Settler, if the store does; else it does nothing that could fail.
func (f *Faulty) Settle(ctx context.Context, name string) error {
	if _, ok := f.Store.(tier.Settler); !ok {
		return nil
	}
	return f.do(OpSettle, name, func() error { return tier.Settle(ctx, f.Store, name) })
}

func (f *Faulty) begin(name string, create func() (tier.Writer, error)) (tier.Writer, error) {
	var inner tier.Writer
	err := f.do(OpCreate, name, func() (err error) {
		inner, err = create()
		return err
	})
	if err != nil {
		if inner != nil { // the caller never learns of it
			err = errors.Join(err, inner.Abort())
		}
		return nil, err
	}
	return &faultyWriter{f: f, inner: inner, name: name}, nil
}

// ReadAt implements tier.Store.
func (f *Faulty) ReadAt(ctx context.Context, name string, p []byte, off int64) (n int, err error) {
	err = f.do(OpRead, name, func() (err error) {
		n, err = f.Store.ReadAt(ctx, name, p, off)
		return err
	})
	return n, err
}

// Stat implements tier.Store.
func (f *Faulty) Stat(ctx context.Context, name string) (info tier.Info, err error) {
	err = f.do(OpStat, name, func() (err error) {
		info, err = f.Store.Stat(ctx, name)
		return err
	})
	return info, err
}

// List implements tier.Store.
func (f *Faulty) List(ctx context.Context, prefix, after string, yield func(tier.Info) error) error {
	return f.do(OpList, prefix, func() error { return f.Store.List(ctx, prefix, after, yield) })
}

// Delete implements tier.Store.
func (f *Faulty) Delete(ctx context.Context, name string) error {
	return f.do(OpDelete, name, func() error { return f.Store.Delete(ctx, name) })
}

// faultyWriter keeps its first error, as every Writer does.
type faultyWriter struct {
	f     *Faulty
	inner tier.Writer
	name  string
	ended bool
	err   error
}

func (w *faultyWriter) Write(p []byte) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	w.err = w.f.do(OpWrite, w.name, func() (err error) {
		n, err = w.inner.Write(p)
		return err
	})
	if w.err != nil {
		return 0, w.err
	}
	return n, nil
}

// Commit ends the inner writer also when it is not asked to commit.
func (w *faultyWriter) Commit() error {
	if w.ended && w.err == nil {
		return w.inner.Commit() // which has ended and says so
	}
	if !w.ended && w.err == nil {
		w.err = w.f.do(OpCommit, w.name, w.inner.Commit)
	}
	w.ended = true
	if w.err != nil {
		w.inner.Abort()
	}
	return w.err
}

// Abort ends the inner writer in any case.
func (w *faultyWriter) Abort() error {
	if w.ended {
		return nil
	}
	w.ended = true
	aborted := false
	err := w.f.do(OpAbort, w.name, func() error {
		aborted = true
		return w.inner.Abort()
	})
	if !aborted {
		err = errors.Join(err, w.inner.Abort())
	}
	return err
}
