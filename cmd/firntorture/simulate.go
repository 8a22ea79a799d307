package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/firnstore/firn/cmd/firntorture/sim"
)

// simulateCommand makes this program a worker that simulates one seed after the other. A
// simulation wants its process for itself, and a panic in the code under test ends that.
const simulateCommand = "simulate-worker"

// simulated is a line that a worker prints: first the seed that begins, then how it went.
type simulated struct {
	Seed    uint64       `json:"seed"`
	Result  *sim.Result  `json:"result,omitempty"`
	Failure *sim.Failure `json:"failure,omitempty"`
}

// simulateMain takes the first seed, the step to the next and the end of the time, in Unix
// seconds. It simulates one seed at least.
func simulateMain(args []string, out io.Writer) int {
	var n [3]uint64
	for i := range n {
		var err error
		if len(args) != len(n) {
			return 2
		}
		if n[i], err = strconv.ParseUint(args[i], 10, 64); err != nil {
			return 2
		}
	}
	enc := json.NewEncoder(out)
	for seed := n[0]; seed == n[0] || time.Now().Unix() < int64(n[2]); seed += n[1] {
		if err := enc.Encode(simulated{Seed: seed}); err != nil {
			return 1
		}
		res, err := sim.Run(seed, sim.Options{})
		line := simulated{Seed: seed, Result: res}
		if err != nil && !errors.As(err, &line.Failure) {
			line.Failure = &sim.Failure{Seed: seed, Text: err.Error()}
		}
		if err := enc.Encode(line); err != nil {
			return 1
		}
	}
	return 0
}

// seeds are what all workers did.
type seeds struct {
	mu     sync.Mutex
	opt    *options
	t      *tally
	sum    sim.Result
	ops    int64
	faults map[string]int64
	done   uint64
	last   uint64
}

// simulate runs a worker for each processor.
func simulate(ctx context.Context, opt *options, until time.Time) (*tally, error) {
	s := &seeds{opt: opt, t: &tally{}, faults: map[string]int64{}, last: opt.seed}
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			next := opt.seed + uint64(i)
			for first := true; errs[i] == nil && ctx.Err() == nil && (first || time.Now().Before(until)); first = false {
				next, errs[i] = s.worker(ctx, next, uint64(workers), until)
			}
		})
	}
	wg.Wait()
	t := s.t
	t.Seeds = s.last - opt.seed + 1
	t.count("seeds", int64(s.done))
	t.count("simulated crash states", s.sum.CrashStates)
	t.count("operations", s.ops)
	for _, kind := range slices.Sorted(maps.Keys(s.faults)) {
		t.count("faults injected: "+kind, s.faults[kind])
	}
	t.count("processes killed", s.sum.Kills)
	t.count("power cuts", s.sum.PowerCuts)
	t.count("single-fault runs", s.sum.SingleRuns)
	t.count("versions read and compared", s.sum.Versions)
	return t, errors.Join(errs...)
}

// worker runs one until the time is up, or it dies, and returns the seed to go on with.
func (s *seeds) worker(ctx context.Context, first, step uint64, until time.Time) (next uint64, err error) {
	self, err := os.Executable()
	if err != nil {
		return first, err
	}
	cmd := exec.CommandContext(ctx, self, simulateCommand, fmt.Sprint(first), fmt.Sprint(step), fmt.Sprint(until.Unix()))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return first, err
	}
	if err := cmd.Start(); err != nil {
		return first, err
	}
	seed, ended := first, true
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line simulated
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return first, fmt.Errorf("a worker printed %.200q: %w", lines.Bytes(), err)
		}
		seed, ended = line.Seed, line.Result != nil || line.Failure != nil
		if ended {
			s.add(&line)
		}
	}
	werr := cmd.Wait()
	if ctx.Err() == nil && (werr != nil || !ended) {
		s.add(&simulated{Seed: seed, Failure: &sim.Failure{Seed: seed, Kind: sim.Panic, Text: fmt.Sprintf("%v: %s", werr, tail(stderr.Bytes()))}})
	}
	return seed + step, nil
}

func tail(b []byte) []byte { return b[max(0, len(b)-4000):] }

// add counts a seed.
func (s *seeds) add(line *simulated) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	s.last = max(s.last, line.Seed)
	if r := line.Result; r != nil {
		for _, n := range r.Ops {
			s.ops += n
		}
		for kind, n := range r.Faults {
			s.faults[kind] += n
		}
		s.sum.CrashStates += r.CrashStates
		s.sum.Kills += r.Kills
		s.sum.PowerCuts += r.PowerCuts
		s.sum.SingleRuns += r.SingleRuns
		s.sum.Versions += r.Versions
	}
	f := line.Failure
	if f == nil {
		return
	}
	switch f.Kind {
	case sim.Lost:
		s.t.Lost++
	case sim.Wrong:
		s.t.Wrong++
	case sim.Panic:
		s.t.Panics++
	case sim.Hang:
		s.t.Hangs++
	default:
		s.t.Failed++
	}
	text := fmt.Sprintf("seed %d: %s: %s (again: firntorture -parts sim -seed %d -minutes 0.01)", f.Seed, f.Kind, f.Text, f.Seed)
	s.opt.log("sim: " + text)
	s.t.Failures = append(s.t.Failures, text)
}
