package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// order is what a worker is told, a line of JSON; report is its answer, another.
type order struct {
	Seed    uint64  `json:"seed"`
	Options Options `json:"options"`
}

type report struct {
	Result  *Result  `json:"result"`
	Failure *Failure `json:"failure,omitempty"`
}

// Work is a worker of Sweep: it simulates the seeds that it is told, until in ends. It is
// to be the only thing that its process does.
func Work(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		res, err := Run(o.Seed, o.Options)
		r := report{Result: res}
		if err != nil && !errors.As(err, &r.Failure) {
			return err
		}
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("write a report: %w", err)
		}
	}
}

// SweepOptions of Sweep. Fields left zero get the defaults named.
type SweepOptions struct {
	Worker []string      // the command line of a program that calls Work with its standard input and output
	Procs  int           // workers at a time; one for each processor
	First  uint64        // seed; each further one is the next number
	Until  time.Time     // when no further seed is begun; at least one is
	Seeds  uint64        // how many at most; 0: no bound
	Limit  time.Duration // for one seed, after which it counts as hanging; 5 minutes
	Run    Options       // of each seed
	Log    func(string)  // told of failures; nil: nobody
}

// Score sums up seeds.
type Score struct {
	Seeds, Steps, CrashStates, SingleRuns, Versions, Kills, PowerCuts int64

	Ops, Faults map[string]int64

	// Failed seeds by what was wrong.
	Lost, Wrong, Damaged, Panics, Hangs int64
	Failures                            []*Failure // up to maxFailures of them
}

const maxFailures = 20

// add counts a report.
func (s *Score) add(r *report) {
	s.Seeds++
	if res := r.Result; res != nil {
		s.Steps += res.Steps
		s.CrashStates += res.CrashStates
		s.SingleRuns += res.SingleRuns
		s.Versions += res.Versions
		s.Kills += res.Kills
		s.PowerCuts += res.PowerCuts
		for k, n := range res.Ops {
			s.Ops[k] += n
		}
		for k, n := range res.Faults {
			s.Faults[k] += n
		}
	}
	f := r.Failure
	if f == nil {
		return
	}
	switch f.Kind {
	case Lost:
		s.Lost++
	case Wrong:
		s.Wrong++
	case Panic:
		s.Panics++
	case Hang:
		s.Hangs++
	default:
		s.Damaged++
	}
	if len(s.Failures) < maxFailures {
		s.Failures = append(s.Failures, f)
	}
}

// sweep is one run of Sweep.
type sweep struct {
	opt   *SweepOptions
	mu    sync.Mutex
	next  uint64
	score *Score
}

// Sweep simulates one seed after the other in several processes, until the time is over.
// That a seed fails, or that its worker panics or hangs, is counted and not an error.
func Sweep(ctx context.Context, opt SweepOptions) (*Score, error) {
	if opt.Procs <= 0 {
		opt.Procs = runtime.NumCPU()
	}
	if opt.Limit <= 0 {
		opt.Limit = 5 * time.Minute
	}
	if opt.Log == nil {
		opt.Log = func(string) {}
	}
	s := &sweep{opt: &opt, next: opt.First, score: &Score{Ops: map[string]int64{}, Faults: map[string]int64{}}}
	errs := make([]error, opt.Procs)
	var wg sync.WaitGroup
	for i := range opt.Procs {
		wg.Go(func() {
			for errs[i] == nil && !s.over(ctx) {
				errs[i] = s.work(ctx)
			}
		})
	}
	wg.Wait()
	return s.score, errors.Join(append(errs, context.Cause(ctx))...)
}

// over reports whether no further seed is to be begun.
func (s *sweep) over(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.next - s.opt.First
	return ctx.Err() != nil || s.opt.Seeds > 0 && done >= s.opt.Seeds || done > 0 && !time.Now().Before(s.opt.Until)
}

// take returns the next seed.
func (s *sweep) take(ctx context.Context) (seed uint64, ok bool) {
	if s.over(ctx) {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.next - 1, true
}

// work runs one worker until all is done or it dies.
func (s *sweep) work(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.opt.Worker[0], s.opt.Worker[1:]...)
	cmd.Env = append(os.Environ(), "GOGC=400") // its heap is small
	words := &said{}
	cmd.Stderr = words
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	lines := bufio.NewReader(out)
	for {
		seed, ok := s.take(ctx)
		if !ok {
			return nil
		}
		r, alive := s.one(cmd, in, lines, words, seed)
		if ctx.Err() != nil {
			return nil
		}
		s.mu.Lock()
		s.score.add(r)
		s.mu.Unlock()
		if r.Failure != nil {
			s.opt.Log(r.Failure.Error())
		}
		if !alive {
			return nil // the next worker goes on
		}
	}
}

// one has a worker simulate a seed.
func (s *sweep) one(cmd *exec.Cmd, in io.Writer, out *bufio.Reader, words *said, seed uint64) (r *report, alive bool) {
	late := time.AfterFunc(s.opt.Limit, func() { _ = cmd.Process.Kill() })
	r = &report{}
	err := json.NewEncoder(in).Encode(order{seed, s.opt.Run})
	if err == nil {
		var line []byte
		if line, err = out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, r)
		}
	}
	if !late.Stop() {
		return &report{Failure: &Failure{Seed: seed, Kind: Hang, Text: fmt.Sprintf("no answer after %v", s.opt.Limit)}}, false
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // all that it said is here then
		return &report{Failure: &Failure{Seed: seed, Kind: Panic, Text: fmt.Sprintf("the worker ended: %v\n%s", err, words.text())}}, false
	}
	return r, true
}

// said keeps the beginning of what a worker said: a panic is told before the goroutines.
type said struct {
	mu sync.Mutex
	b  []byte
}

func (t *said) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[:min(len(p), 16<<10-len(t.b))]...)
	return len(p), nil
}

func (t *said) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
