package object

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// Options of Open. Fields left zero get the defaults named.
type Options struct {
	Users   []User        // known beside those of the repository, for the life of the engine
	Uploads int           // bodies larger than memory that are stored at a time; 64
	Refresh time.Duration // how often commits of other processes are looked for; 250 ms, never when negative
	Log     func(string)  // what an operator should know; nil: dropped

	// Broken, if not nil, is called once when the local index turns out to be damaged while
	// it is in use. Nothing works from then on, nothing is lost, and opening the
	// repository again makes the index anew: the process should end and be started again.
	Broken func(error)
}

// Engine is the door to the objects of one repository. It is safe for concurrent use.
type Engine struct {
	r      *repo.Repository
	opt    Options
	ctx    context.Context // of the work that no caller waits for
	cancel context.CancelFunc

	mu       sync.Mutex // guards queue and closed
	queue    []*proposal
	closed   bool
	wake     chan struct{}
	finished chan struct{} // closed when commitLoop returns

	genMu  sync.Mutex
	gen    *generation    // the present one; guarded by genMu
	ending sync.WaitGroup // of sessions of former ones

	last          atomic.Int64      // time of the newest decision
	commits       int               // of commitLoop
	sweep         map[string][]byte // of decisions: where forgetCompleted goes on, by bucket
	checkpointing atomic.Bool
	background    sync.WaitGroup
	broken        sync.Once
	told          atomic.Bool   // the commit under way has events
	delivery      chan struct{} // see Told

	memory  budget        // of bodies on their way to a commit
	reading budget        // of what is read ahead
	uploads chan struct{} // bounds bodies that are not small

	cacheMu sync.Mutex
	buckets map[string]cached[Bucket]
	users   map[string]cached[User]
	static  *userSet // Options.Users

	snapshots   map[string][]string // keys by bucket, see snapshotKeys; guarded by cacheMu
	snapshotsAt uint64
}

// cached is a decoded row, valid as long as the row has the same bytes.
type cached[T any] struct {
	row   string
	value *T
}

const (
	bodyMemory = 64 << 20 // bytes of bodies larger than smallBody/8 that are in memory at a time
	readMemory = 32 << 20
)

// Open begins to serve a repository, whose key slot has to have role full: repo.ErrRole. It
// begins a session with the first change. The engine has to be closed before r is; values
// of ctx stay in use until then, but its end ends nothing.
func Open(ctx context.Context, r *repo.Repository, opt Options) (*Engine, error) {
	if role, name := r.Role(); role != index.Full {
		return nil, fmt.Errorf("serve objects with key slot %s of role %s: %w", name, role, repo.ErrRole)
	}
	if opt.Uploads <= 0 {
		opt.Uploads = 64
	}
	if opt.Refresh == 0 {
		opt.Refresh = 250 * time.Millisecond
	}
	if opt.Log == nil {
		opt.Log = func(string) {}
	}
	e := &Engine{
		r: r, opt: opt, wake: make(chan struct{}, 1), finished: make(chan struct{}),
		delivery: make(chan struct{}, 1),
		buckets:  map[string]cached[Bucket]{}, users: map[string]cached[User]{},
		sweep: map[string][]byte{},
	}
	e.memory.free.Store(bodyMemory)
	e.reading.free.Store(readMemory)
	e.uploads = make(chan struct{}, opt.Uploads)
	var err error
	if e.static, err = newUserSet(opt.Users); err != nil {
		return nil, err
	}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go e.commitLoop()
	if opt.Refresh > 0 {
		e.background.Go(e.refreshLoop)
	}
	return e, nil
}

// refreshLoop lets readers see what other processes commit. Writers look for themselves.
// It also ends sessions of servers that have nothing to do.
func (e *Engine) refreshLoop() {
	tick := time.NewTicker(e.opt.Refresh)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-tick.C:
		}
		e.genMu.Lock()
		e.rotate()
		e.genMu.Unlock()
		err := e.r.Refresh(e.ctx)
		switch {
		case err == nil:
			failed = ""
		case errors.Is(err, index.ErrDamaged):
			e.report(err)
		case e.ctx.Err() == nil && err.Error() != failed: // once, not four times a second
			failed = err.Error()
			e.opt.Log(fmt.Sprintf("follow the log: %v", err))
		}
	}
}

// report tells the owner of the engine that the index is damaged.
func (e *Engine) report(err error) {
	if e.opt.Broken != nil {
		e.broken.Do(func() { e.opt.Broken(err) })
	}
}

// Close carries out what was proposed and ends the session. No method may be running or
// called any more, but reads. The repository stays open.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
	<-e.finished
	var err error
	e.genMu.Lock()
	if g := e.gen; g != nil {
		e.gen = nil
		err = g.close(ctx)
	}
	e.genMu.Unlock()
	e.ending.Wait()
	e.cancel()
	e.background.Wait()
	return err
}

// Now is the clock of the repository.
func (e *Engine) Now() time.Time { return e.r.Now() }

// Repository that the engine serves.
func (e *Engine) Repository() *repo.Repository { return e.r }

// budget bounds bytes that are in memory for a while.
type budget struct{ free atomic.Int64 }

// try takes n bytes if they are free.
func (b *budget) try(n int64) bool {
	if b.free.Add(-n) < 0 {
		b.free.Add(n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.free.Add(n) }
