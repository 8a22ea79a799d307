package sim

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
)

// Options of Run. Fields left zero get the defaults named.
type Options struct {
	// Dir is where indexes and small trees lie while a history runs: a file system in
	// memory, since they are many and short-lived. /dev/shm if there is one, else that of
	// os.MkdirTemp.
	Dir string

	Ops        int   // operations of all processes together; 30
	CrashEvery int   // about every so many changes of the store a crash state is checked; 3, none when negative
	Singles    int   // runs with a single fault at the end; 60, none when negative
	MaxSteps   int64 // after which the work counts as hanging; 50 000
	TraceLines int   // that are kept, the last ones; 400

	// Weaken breaks a rule, to show that the simulation notices; "" breaks none.
	Weaken Weakness
}

func (o *Options) defaults() {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.Ops, 30)
	set(&o.CrashEvery, 3)
	set(&o.Singles, 60)
	set(&o.TraceLines, 400)
	if o.MaxSteps == 0 {
		o.MaxSteps = 50_000
	}
	if o.Dir == "" {
		if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
			o.Dir = "/dev/shm"
		}
	}
}

// Result counts what happened in a history.
type Result struct {
	Seed        uint64           `json:"seed"`
	Hash        uint64           `json:"hash"` // of the trace; equal for equal histories
	Steps       int64            `json:"steps"`
	Ops         map[string]int64 `json:"ops"`          // operations by kind
	Faults      map[string]int64 `json:"faults"`       // injected, by kind
	Refused     map[string]int64 `json:"refused"`      // operations, because of what others did, by cause
	Kills       int64            `json:"kills"`        // of processes, by power cuts too
	PowerCuts   int64            `json:"power_cuts"`   // in the history itself
	CrashStates int64            `json:"crash_states"` // opened and compared with the model
	SingleRuns  int64            `json:"single_runs"`  // with one fault, compared afterwards
	Versions    int64            `json:"versions"`     // contents and trees that were read and compared
	Seconds     float64          `json:"seconds"`
}

// Failure is what must not be, and how to see it again.
type Failure struct {
	Seed  uint64   `json:"seed"`
	Kind  string   `json:"kind"`  // Lost, Wrong, Damaged, Panic, Hang, or "" when the simulation itself failed
	Text  string   `json:"text"`  // what is wrong
	Trace []string `json:"trace"` // the last events before
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d: %s: %s", f.Seed, f.Kind, f.Text)
}

// running is held by Run, which uses the whole process.
var running sync.Mutex

// Run simulates the history of a seed. An error is a *Failure. While it runs, the process
// has one processor, crypto/rand is not random, and no other goroutine may be busy: a
// program that simulates does nothing else. A panic in a goroutine of the code under test
// ends the program.
func Run(seed uint64, opt Options) (*Result, error) {
	running.Lock()
	defer running.Unlock()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	opt.defaults()
	w := &world{opt: opt, drawn: -1, res: &Result{Seed: seed, Ops: map[string]int64{}, Faults: map[string]int64{}, Refused: map[string]int64{}}}
	start := time.Now()
	random := crand.Reader
	crand.Reader = newLocked(seed, 1, 1)
	err := w.run()
	crand.Reader = random
	w.res.Steps = w.step.Load()
	w.res.Seconds = time.Since(start).Seconds()
	if rerr := os.RemoveAll(w.dir); err == nil {
		err = rerr
	}
	if err == nil {
		return w.res, nil
	}
	f := &Failure{Seed: seed, Text: err.Error(), Trace: w.lines}
	var d *defect
	if errors.As(err, &d) {
		f.Kind, f.Text = d.kind, d.err.Error()
	}
	return w.res, f
}

func (w *world) run() error {
	if err := w.setUp(); err != nil {
		return fmt.Errorf("set up the simulation: %w", err)
	}
	err := w.schedule()
	if err != nil {
		w.endAll()
		return err
	}
	w.trace("all is done")
	if err := w.final(); err != nil {
		return err
	}
	return w.singles()
}

// setUp makes the repository and the processes.
func (w *world) setUp() (err error) {
	if w.dir, err = os.MkdirTemp(w.opt.Dir, "firn-sim-"); err != nil {
		return err
	}
	w.q = newQuiet()
	w.rng, w.frng, w.crng = w.seeded(1), w.seeded(2), w.seeded(3)
	w.d = newDisk()
	w.now.Store(1_800_000_000_000_000_000)
	w.far = w.rng.IntN(3) == 0
	w.stick = []float64{0, 0.3, 0.7, 0.95}[w.rng.IntN(4)]
	w.shares = commandShares[w.rng.IntN(len(commandShares))]
	w.rates = drawRates(w.rng)
	w.faultsLeft = 1 + w.rng.IntN(8)
	w.calm = len(w.rates) == 0
	w.haste = !w.calm
	w.model = newModel(w.step.Load)
	w.model.late = w.far
	for range 5 + w.rng.IntN(12) {
		b := make([]byte, 30_000+w.rng.IntN(80_000)) // packs of some lie in commits, of others in files
		for i := 0; i < len(b); i++ {
			b[i] = byte(w.rng.Uint32())
		}
		w.pool = append(w.pool, b)
	}
	if w.id, err = age.GenerateX25519Identity(); err != nil {
		return err
	}
	if w.writer, err = age.GenerateX25519Identity(); err != nil {
		return err
	}
	if err := w.makeRepository(); err != nil {
		return err
	}
	w.d.weak = w.opt.Weaken
	return w.startAll()
}

func (w *world) makeRepository() error {
	ctx := context.Background()
	cache, err := w.fresh("index")
	if err != nil {
		return err
	}
	s, opt := store{newPlain(w.d, w.far)}, w.options(cache, 1)
	// The secret of a repository decides how long deriving its polynomial takes, at every
	// opening. Of the first few hundred seeds this one is the quickest.
	opt.Rand = newLocked(27, 1000, 1)
	if _, err := repo.Init(ctx, s, w.id.Recipient(), opt, repo.InitOptions{}); err != nil {
		return err
	}
	r, err := open(s, w.id, opt)
	if err != nil {
		return err
	}
	if err := repo.AddKey(ctx, r, index.Write, "writer", w.writer.Recipient()); err != nil {
		return errors.Join(err, r.Close())
	}
	e, err := object.Open(ctx, r, object.Options{Refresh: -1})
	if err != nil {
		return errors.Join(err, r.Close())
	}
	err = e.CreateBucket(ctx, &object.Bucket{Name: plainBucket})
	if err == nil {
		err = e.CreateBucket(ctx, &object.Bucket{Name: keptBucket, Versioning: object.Enabled})
	}
	return errors.Join(err, e.Close(ctx), r.Close())
}

// startAll starts two to four processes, of which none to two serve objects. The last may
// have a key that can only write.
func (w *world) startAll() error {
	n, servers := 2+w.rng.IntN(3), w.rng.IntN(4)
	for i := range n {
		p := &proc{w: w, no: i, name: fmt.Sprintf("host%d", i), serves: i == 1 && servers > 0 || i == 3 && servers > 1, tree: tree{}}
		p.shares, p.id = w.shares, w.id
		if i == n-1 && !p.serves && w.rng.IntN(4) == 0 {
			p.shares, p.id = writerShares, w.writer
		}
		p.budget.Store(int64(w.opt.Ops / n))
		if !w.calm && w.rng.IntN(3) == 0 {
			p.jump(w.rng)
		}
		if err := os.MkdirAll(filepath.Join(p.treeDir(), strings.Trim(topDir, "/")), 0o700); err != nil {
			return err
		}
		w.procs = append(w.procs, p)
		if err := w.start(p, ""); err != nil {
			return err
		}
	}
	return nil
}

// endAll lets goroutines end that are in a history that has failed.
func (w *world) endAll() {
	for range 1000 {
		w.mu.Lock()
		for _, p := range w.procs {
			if p.life != nil {
				p.life.dead.Store(true)
			}
		}
		for _, c := range w.ready {
			c.answer(errKilled)
		}
		w.ready = nil
		w.mu.Unlock()
		w.q.wait()
		if !slices.ContainsFunc(w.procs, func(p *proc) bool { return p.life != nil && !p.life.over.Load() }) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// draw checks the state that a power cut at this moment would leave.
func (w *world) draw() error {
	if w.opt.CrashEvery < 0 || w.d.edits == w.drawn || w.crng.IntN(w.opt.CrashEvery) > 0 {
		return nil
	}
	w.drawn = w.d.edits
	d := w.d.clone()
	if w.far {
		w.arrive(d)
	} else {
		d = w.d.crash(w.crng)
	}
	w.res.CrashStates++
	n := w.res.CrashStates
	if err := w.verify(d, w.model, n%16 == 0, n%6 > 0); err != nil {
		w.trace("the state that a crash leaves here is wrong")
		return err
	}
	return nil
}

// keep returns a directory for an index: with one of commits that are durable, or empty.
func (w *world) keep(index bool) (string, error) {
	cache, err := w.fresh("index")
	if err == nil && index && w.base != "" {
		err = os.CopyFS(cache, os.DirFS(w.base))
	}
	return cache, err
}

// verify opens the state of a disk on another machine: with an index of what was durable
// some time ago, or from the log alone.
func (w *world) verify(d *disk, m *model, full, indexed bool) error {
	cache, err := w.keep(indexed)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(cache) }()
	r, err := open(store{newPlain(d, w.far)}, w.id, w.options(cache, uint64(w.dirs)))
	if err != nil {
		return err
	}
	v := &verifier{m: m, r: r}
	err = v.verify()
	w.res.Versions += v.versions
	if err == nil && full {
		err = check(r)
	}
	if err = errors.Join(err, r.Close()); err == nil && w.durableLog(d) {
		cache, w.base = w.base, cache
	}
	return err
}

// durableLog reports whether the log of a crash state is that of the disk for good.
func (w *world) durableLog(d *disk) bool {
	if w.ended {
		return false // of many states, none follows from another
	}
	isLog := func(name string) bool { return strings.HasPrefix(name, "log/") }
	if slices.ContainsFunc(w.d.pending, func(c change) bool { return isLog(c.name) }) {
		return false
	}
	for name := range d.files {
		if isLog(name) && w.d.files[name] == nil {
			return false
		}
	}
	return true
}

// arrive lets any of the calls arrive that are on their way to an object store, as its
// clients end.
func (w *world) arrive(d *disk) {
	was := w.d
	w.d = d
	defer func() { w.d = was }()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.ready {
		if c.op.changes() && w.crng.IntN(2) == 0 {
			_ = c.do()
		}
	}
}
