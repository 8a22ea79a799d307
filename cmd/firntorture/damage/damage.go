package damage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Options of Run.
type Options struct {
	Firn   string // path of the binary, for some of the faults; "": none
	Dir    string // for what needs more room than memory
	Seed   uint64
	Until  time.Time // no trial begins later,
	Faults int       // nor after so many faults; 0: any number
	Log    func(string)
}

// Score counts what was done and found.
type Score struct {
	Faults   map[string]int64 `json:"faults"` // by kind
	Trials   int64            `json:"trials"` // a fault, with or without an index
	Restores int64            `json:"restores"`
	Binary   int64            `json:"binary"`   // faults that were put before the real binary, too
	Detected int64            `json:"detected"` // trials
	Hidden   map[string]int64 `json:"hidden"`   // trials that nobody can tell from a whole repository, by why
	Covered  [2]int           `json:"covered"`  // bits and lengths of all files but packs that were tried,
	All      [2]int           `json:"all"`      // of so many

	Missed   int64    `json:"missed"`  // trials in which check found nothing
	Unnamed  int64    `json:"unnamed"` // in which it found something, but did not name a file that is lost
	Wrong    int64    `json:"wrong_bytes"`
	Panics   int64    `json:"panics"`
	Hangs    int64    `json:"hangs"`
	Failures []string `json:"failures,omitempty"`
}

// Fine reports whether no promise was broken.
func (s *Score) Fine() bool { return s.Missed+s.Unnamed+s.Wrong+s.Panics+s.Hangs == 0 }

const (
	restoreEvery = 8  // trials; the others read file by file
	maxFailures  = 20 // ends a run
)

// run is one Run.
type run struct {
	opt   *Options
	fix   *fixture
	mu    sync.Mutex
	plan  *plan
	score Score
}

// Run damages one repository again and again until the time is up, on all CPUs. The error
// is of the harness; what firn did wrong is in the Score.
func Run(ctx context.Context, opt Options) (*Score, error) {
	scratch, err := os.MkdirTemp(memoryDir(opt.Dir), "damage-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	r := &run{opt: &opt, score: Score{Faults: map[string]int64{}, Hidden: map[string]int64{}}}
	if r.fix, err = newFixture(ctx, filepath.Join(scratch, "fixture"), opt.Seed, 0); err != nil {
		return nil, err
	}
	r.plan = newPlan(r.fix, opt.Seed)
	if err := r.whole(ctx, scratch); err != nil {
		return nil, err
	}
	errs := make([]error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = r.work(ctx, filepath.Join(scratch, fmt.Sprint(i))) })
	}
	wg.Wait()
	r.score.Covered, r.score.All = r.plan.covered, r.plan.all
	return &r.score, errors.Join(errs...)
}

// memoryDir is where small files are made fastest: firn syncs what it restores.
func memoryDir(other string) string {
	const shm = "/dev/shm"
	if f, err := os.CreateTemp(shm, "firntorture-*"); err == nil {
		_ = f.Close()
		if os.Remove(f.Name()) == nil {
			return shm
		}
	}
	return other
}

// whole proves that without a fault nothing is found and nothing is lost.
func (r *run) whole(ctx context.Context, scratch string) error {
	for _, warm := range []bool{true, false} {
		t := &trial{fix: r.fix, fault: &fault{}, warm: warm, dir: filepath.Join(scratch, "whole"), restore: true}
		if err := t.run(ctx); err != nil {
			return err
		}
		if t.detected() || len(t.unread)+len(t.wrong) > 0 || t.panicked != "" {
			return fmt.Errorf("the repository is not whole before it is damaged: %s", t.report())
		}
	}
	return nil
}

func (r *run) work(ctx context.Context, dir string) error {
	for {
		r.mu.Lock()
		over := ctx.Err() != nil || time.Now().After(r.opt.Until) || len(r.score.Failures) >= maxFailures ||
			r.opt.Faults > 0 && r.plan.dealt >= r.opt.Faults
		var f fault
		if !over {
			f = r.plan.next()
			r.score.Faults[f.kind]++
		}
		n := r.plan.dealt
		r.mu.Unlock()
		if over {
			return nil
		}
		for _, warm := range []bool{true, false} {
			t := &trial{fix: r.fix, fault: &f, warm: warm, dir: dir, restore: n%restoreEvery == 0}
			err := t.run(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, errHung) {
				t.hung, err = true, nil
			}
			if err != nil {
				return err
			}
			r.judge(t)
			if t.hung {
				dir += "+" // it still uses the other one
			}
			if warm || t.hung || r.opt.Firn == "" || n%binaryEvery != 0 {
				continue
			}
			what, err := r.binary(ctx, &f, t.detected(), filepath.Join(dir, "binary"))
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			r.judgeBinary(&f, what)
		}
	}
}

// judge counts a trial.
func (r *run) judge(t *trial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.score
	s.Trials++
	if t.restore && t.open == nil {
		s.Restores++
	}
	why := hidden(t.fault, r.fix.files, t.warm)
	found := t.detected()
	if found {
		s.Detected++
	}
	before := len(s.Failures)
	fail := func(counter *int64, format string, args ...any) {
		*counter++
		s.Failures = append(s.Failures, fmt.Sprintf("%s: %s", t.fault, fmt.Sprintf(format, args...)))
	}
	switch {
	case t.hung:
		fail(&s.Hangs, "it hangs")
		return
	case t.panicked != "":
		fail(&s.Panics, "%s", t.panicked)
	case len(t.wrong) > 0:
		fail(&s.Wrong, "%s", t.report())
	case !found && why != "":
		s.Hidden[why]++
	case !found:
		fail(&s.Missed, "check found nothing, with an index: %v; lost: %q", t.warm, t.unread)
	case t.open == nil && t.check == nil && len(t.unnamed()) > 0:
		fail(&s.Unnamed, "check did not name %q: %s", t.unnamed(), t.report())
	}
	if len(s.Failures) > before && r.opt.Log != nil {
		r.opt.Log(s.Failures[before])
	}
}

// judgeBinary counts what the real binary did wrong with a fault.
func (r *run) judgeBinary(f *fault, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.score.Binary++
	switch {
	case what == "":
		return
	case strings.HasPrefix(what, "panic"):
		r.score.Panics++
	case strings.HasPrefix(what, "wrong"):
		r.score.Wrong++
	default:
		r.score.Missed++
	}
	r.score.Failures = append(r.score.Failures, fmt.Sprintf("%s: %s", f, what))
}

// report says what a trial gave.
func (t *trial) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "index %v, open: %v, check: %v", t.warm, t.open, t.check)
	for _, f := range t.findings {
		fmt.Fprintf(&b, "; %s %s: %s, snapshots %.8q, paths %q", f.Kind, f.File, f.Message, f.Snapshots, f.Paths)
	}
	fmt.Fprintf(&b, "; lost %q; wrong %q", t.unread, t.wrong)
	return b.String()
}
