package damage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
	"github.com/firnstore/firn/tier/parity"
)

// HealScore counts what parity brought back.
type HealScore struct {
	Faults map[string]int64 `json:"faults"` // within the budget of the parity, by kind
	Healed map[string]int64 `json:"healed"` // of them: every file is again what it was, and check finds nothing
	Files  map[string]int64 `json:"unhealed,omitempty"`

	Wrong    int64    `json:"wrong_bytes"` // a file was "healed" to something else
	Panics   int64    `json:"panics"`
	Hangs    int64    `json:"hangs"`
	Failures []string `json:"failures,omitempty"`
}

// healer is one Heal.
type healer struct {
	opt   *Options
	fix   *fixture
	mu    sync.Mutex
	rng   *rand.Rand
	names []string // of files that parity protects
	dealt int
	score HealScore
}

// Heal damages a repository with parity by little, lets firn heal it, and compares every
// file. What stays damaged is counted in the score; the error is of the harness.
func Heal(ctx context.Context, opt Options) (*HealScore, error) {
	scratch, err := os.MkdirTemp(memoryDir(opt.Dir), "heal-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	h := &healer{opt: &opt, rng: rand.New(rand.NewPCG(opt.Seed, 2)),
		score: HealScore{Faults: map[string]int64{}, Healed: map[string]int64{}, Files: map[string]int64{}}}
	if h.fix, err = newFixture(ctx, filepath.Join(scratch, "fixture"), opt.Seed, parity.DefaultPercent); err != nil {
		return nil, err
	}
	for _, name := range h.fix.files.names() {
		if !strings.HasPrefix(name, "checkpoints/") { // a cache, which the log makes anew
			h.names = append(h.names, name)
		}
	}
	errs := make([]error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = h.work(ctx, filepath.Join(scratch, fmt.Sprint(i))) })
	}
	wg.Wait()
	return &h.score, errors.Join(errs...)
}

// next deals a fault: mostly a bit, else a few bytes, or a small file that is gone.
func (h *healer) next() fault {
	name := h.names[h.rng.IntN(len(h.names))]
	size := len(h.fix.files[name])
	switch p := h.rng.IntN(10); {
	case p == 0:
		return fault{kind: smear, file: name, at: h.rng.IntN(size)}
	case p == 1 && !isPack(name) && !strings.HasPrefix(name, "parity/"):
		return fault{kind: remove, file: name}
	}
	return fault{kind: flip, file: name, at: h.rng.IntN(8 * size)}
}

func (h *healer) work(ctx context.Context, dir string) error {
	for {
		h.mu.Lock()
		over := ctx.Err() != nil || time.Now().After(h.opt.Until) || len(h.score.Failures) >= maxFailures ||
			h.opt.Faults > 0 && h.dealt >= h.opt.Faults
		h.dealt++
		f := h.next()
		if !over {
			h.score.Faults[f.kind]++
		}
		h.mu.Unlock()
		if over {
			return nil
		}
		healed, why, err := h.trial(ctx, &f, dir)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errHung) {
			dir += "+"
		} else if err != nil {
			return err
		}
		h.judge(&f, healed, why, err)
	}
}

func (h *healer) judge(f *fault, healed bool, why string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &h.score
	switch {
	case errors.Is(err, errHung):
		s.Hangs++
	case strings.HasPrefix(why, "panic"):
		s.Panics++
	case strings.HasPrefix(why, "wrong"):
		s.Wrong++
	case healed:
		s.Healed[f.kind]++
		return
	default:
		folder, _, _ := strings.Cut(f.file, "/")
		s.Files[folder]++
		if s.Files[folder] > 1 {
			return // one of a kind tells enough
		}
	}
	s.Failures = append(s.Failures, fmt.Sprintf("%s: %s", f, why))
	if h.opt.Log != nil {
		h.opt.Log(s.Failures[len(s.Failures)-1])
	}
}

// trial lets firn heal a fault and says whether everything is as it was.
func (h *healer) trial(ctx context.Context, f *fault, dir string) (healed bool, why string, err error) {
	t := &trial{fix: h.fix, fault: f, dir: dir}
	err = t.guard(ctx, func(ctx context.Context) error {
		healed, why, err = h.heal(ctx, f, dir)
		return err
	})
	if t.panicked != "" {
		why = "panic: " + t.panicked
	}
	return healed, why, err
}

func (h *healer) heal(ctx context.Context, f *fault, dir string) (bool, string, error) {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return false, "", err
	}
	store := f.apply(h.fix.files).memory(ctx)
	if err := repo.Mend(ctx, store, false, func(repo.Mended) {}); err != nil {
		return false, "mend: " + err.Error(), nil
	}
	r, err := repo.Open(ctx, store, []age.Identity{h.fix.id}, repo.Options{CacheDir: dir, BootID: bootID})
	if err != nil {
		return false, "open: " + err.Error(), nil
	}
	defer r.Close()
	for again := range 2 { // what the first heals, the second finds whole
		var found []string
		_, err := r.Scrub(ctx, repo.ScrubOptions{Report: func(m repo.Mended) { found = append(found, fmt.Sprintf("%s: %v", m.File, m.Err)) }})
		if err != nil {
			return false, "scrub: " + err.Error(), nil
		}
		if again == 1 && len(found) > 0 {
			return false, fmt.Sprintf("scrub still finds %q", found), nil
		}
	}
	var findings []string
	if _, err := snapshot.Check(ctx, r, snapshot.CheckOptions{ReadData: true, Workers: 1, Problem: func(p snapshot.Finding) {
		if p.Kind != "note" {
			findings = append(findings, p.File+": "+p.Message)
		}
	}}); err != nil || len(findings) > 0 {
		return false, fmt.Sprintf("check: %v %q", err, findings), nil
	}
	now, err := copyOf(ctx, store)
	if err != nil {
		return false, "", err
	}
	for name, want := range h.fix.files {
		if got := now[name]; !strings.HasPrefix(name, "parity/") && !bytes.Equal(got, want) {
			return false, fmt.Sprintf("wrong: %s has %d bytes that are not those it had", name, len(got)), nil
		}
	}
	return true, "", nil
}
