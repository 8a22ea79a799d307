package sim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/repo"
)

// world is one history: a store, processes that work on it, and what goes wrong.
type world struct {
	opt    Options
	res    *Result
	dir    string // for indexes and trees, in a file system of this machine
	id     *age.X25519Identity
	writer *age.X25519Identity // its key can write and not read
	far    bool                // an object store instead of a directory
	d      *disk
	q      *quiet
	boot   int // how often the machine was started

	rng, frng, crng *rand.Rand // of the order of events, of faults, of crash states
	shares          []int      // of commands
	rates           rates
	faultsLeft      int
	stick           float64 // how likely the scheduler stays with a process
	haste           bool    // prunes do not always wait, and clocks jump
	calm            bool    // no fault, no skew, no haste: every operation has to succeed

	step atomic.Int64
	now  atomic.Int64 // ns since 1970, before the skew of each process

	mu    sync.Mutex
	ready []*call
	fail  error

	procs []*proc
	last  *proc
	late  []late // calls of clients that are gone, on their way to an object store
	model *model
	pool  [][]byte // contents that all share

	ended bool   // single runs go on from the end of the history
	drawn int    // disk.edits at the last crash state
	base  string // directory with an index of commits that are durable; "" if there is none
	dirs  int
	lines []string
}

// late is a call that reaches an object store after its client is gone.
type late struct {
	at int64 // step
	do func() error
}

// proc is a process on a machine of its own, which starts again after it was killed.
type proc struct {
	w      *world
	no     int
	name   string
	serves bool
	shares []int // of commands
	id     *age.X25519Identity
	budget atomic.Int64 // operations left
	skew   atomic.Int64 // of its clock, ns
	life   *life
	lives  int
	clean  []string // directories with older copies of its index
	tree   tree
	files  int64 // counts writes of files
}

// life is a process from its start to its end.
type life struct {
	p    *proc
	no   int
	dead atomic.Bool
	over atomic.Bool // its goroutines have ended
	held int64       // until this step others come first
	rng  *rand.Rand
	opt  repo.Options

	alone *alone // not nil: without a scheduler
}

// seeded returns a source of the seed for one purpose.
func (w *world) seeded(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(w.res.Seed, purpose)) }

// fresh makes an empty directory.
func (w *world) fresh(what string) (string, error) {
	w.dirs++
	dir := filepath.Join(w.dir, fmt.Sprintf("%s%d", what, w.dirs))
	return dir, os.Mkdir(dir, 0o700)
}

// locked is a source of randomness for several goroutines.
type locked struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func newLocked(seed, a, b uint64) *locked {
	var key [32]byte
	for i := range 8 {
		key[i], key[8+i], key[16+i] = byte(seed>>(8*i)), byte(a>>(8*i)), byte(b>>(8*i))
	}
	return &locked{src: rand.NewChaCha8(key)}
}

func (l *locked) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.src.Read(p)
}

// options of the repository for a machine that runs no process of the world.
func (w *world) options(cache string, no uint64) repo.Options {
	return repo.Options{
		CacheDir: cache, BootID: "other", Memory: 4 << 20,
		Now:  func() time.Time { return time.Unix(0, w.now.Add(1000)) },
		Rand: newLocked(w.res.Seed, 1000, no),
	}
}

// start begins a life of a process, with an index as it was found.
func (w *world) start(p *proc, cache string) error {
	p.lives++
	l := &life{p: p, no: p.lives, rng: rand.New(rand.NewPCG(w.res.Seed, uint64(100+10*p.no+1000*p.lives)))}
	if cache == "" {
		var err error
		if cache, err = w.fresh("index"); err != nil {
			return err
		}
	}
	l.opt = repo.Options{
		CacheDir: cache, BootID: fmt.Sprintf("boot%d", w.boot), Memory: 4 << 20,
		Now:  func() time.Time { return time.Unix(0, w.now.Load()+p.skew.Load()) },
		Rand: newLocked(w.res.Seed, uint64(p.no), uint64(p.lives)),
	}
	p.life = l
	go l.run()
	return nil
}

// reap starts the processes that have ended without having done all their work.
func (w *world) reap() (started bool) {
	for _, p := range w.procs {
		if p.life == nil || !p.life.over.Load() {
			continue
		}
		old := p.life
		p.life = nil
		if p.budget.Load() <= 0 {
			continue
		}
		cache := ""
		if !old.dead.Load() {
			cache = old.opt.CacheDir
		} else {
			cache = old.opt.CacheDir + "-next"
			if _, err := os.Stat(cache); err != nil {
				cache = ""
			}
		}
		w.trace(fmt.Sprintf("start %s.%d", p.name, p.lives+1))
		if err := w.start(p, cache); err != nil {
			w.stop(err)
		}
		started = true
	}
	return started
}

func (w *world) over() bool {
	return !slices.ContainsFunc(w.procs, func(p *proc) bool { return p.life != nil })
}

// stop ends the history because of a failure.
func (w *world) stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail == nil {
		w.fail = err
	}
}

func (w *world) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fail
}

// kill ends a process at once. What it has in the air to an object store arrives, now or
// later, or does not. The next life finds its index as it is now, an older one, or none.
func (w *world) kill(l *life) {
	if l.dead.Load() {
		return
	}
	w.res.Kills++
	w.keepIndex(l, w.frng.IntN(10))
	l.dead.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready = slices.DeleteFunc(w.ready, func(c *call) bool {
		if c.l != l {
			return false
		}
		if w.far && c.op.changes() {
			switch w.frng.IntN(3) {
			case 0:
				_ = c.do()
			case 1:
				w.late = append(w.late, late{w.step.Load() + int64(w.frng.IntN(300)), c.do})
			}
		}
		c.answer(errKilled)
		return true
	})
}

// cut takes the power away: from the store and all processes, or, when the store is
// elsewhere, from the processes.
func (w *world) cut() {
	w.res.PowerCuts++
	w.boot++
	for _, p := range w.procs {
		if p.life != nil {
			w.kill(p.life)
		}
	}
	if !w.far {
		w.d = w.d.crash(w.crng)
		w.drawn = -1
	}
}

// deliver lets calls arrive whose clients are gone.
func (w *world) deliver() {
	w.late = slices.DeleteFunc(w.late, func(l late) bool {
		if l.at > w.step.Load() {
			return false
		}
		_ = l.do()
		return true
	})
}

// keepIndex puts the index aside that the next life of a process finds: in 7 of 10 cases
// as it is, in 2 an older copy, in 1 none.
func (w *world) keepIndex(l *life, choice int) {
	from := l.opt.CacheDir
	switch {
	case choice == 9:
		return
	case choice >= 7 && len(l.p.clean) > 0:
		from = l.p.clean[w.frng.IntN(len(l.p.clean))]
	}
	if err := os.CopyFS(l.opt.CacheDir+"-next", os.DirFS(from)); err != nil {
		w.stop(fmt.Errorf("copy an index: %w", err))
	}
}

// jump moves a clock by up to years, forward or back.
func (p *proc) jump(rng *rand.Rand) {
	const year = int64(365 * 24 * time.Hour)
	d := []int64{int64(time.Second), int64(time.Hour), year, 10 * year}[rng.IntN(4)]
	p.skew.Store(rng.Int64N(2*d+1) - d)
}
