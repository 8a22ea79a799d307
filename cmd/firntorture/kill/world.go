package kill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Options of Run and its siblings.
type Options struct {
	Firn   string       // path of the binary
	Dir    string       // where worlds are made; those in which nothing was found are removed
	Seed   uint64       // of the story
	Until  time.Time    // no cycle begins later,
	Cycles int64        // nor after so many blows; 0: any number
	Log    func(string) // told what is being done; nil: dropped
}

// over reports whether no further cycle begins.
func (o *Options) over(ctx context.Context, s *Score) bool {
	return ctx.Err() != nil || time.Now().After(o.Until) || o.Cycles > 0 && s.Total() >= o.Cycles
}

const (
	commandLimit = 2 * time.Minute // of one command; then it hangs
	firstGuess   = 60 * time.Millisecond
)

// world is a repository and what firn said is in it.
type world struct {
	opt   *Options
	score *Score
	rng   *rand.Rand
	name  string // for messages
	dir   string // of all below; the repository may lie elsewhere
	repo  string
	key   string // file of the identity
	cache string
	env   []string

	host string // name of the machine, for snapshots
	tree *tree

	tags  int
	tried map[string]manifest // what the tree was, by the tag of the backup
	saved map[string]manifest // by snapshot ID: acknowledged, or seen once
	maybe map[string]bool     // snapshots that may be gone: their removal was not acknowledged
	took  map[string]time.Duration
	objs  *objects

	parity bool // it has some, so there is something to scrub
	worn   bool // it cannot be used any longer
}

// newWorld makes a repository in repoDir, "" for one inside of the world. The world is nil
// when there is no place for it.
func newWorld(ctx context.Context, opt *Options, score *Score, n int, repoDir string) (*world, error) {
	w := &world{
		opt: opt, score: score, rng: rand.New(rand.NewPCG(opt.Seed, uint64(n))),
		name: fmt.Sprintf("seed %d world %d", opt.Seed, n), host: "torture",
		tried: map[string]manifest{}, saved: map[string]manifest{}, maybe: map[string]bool{}, took: map[string]time.Duration{},
	}
	w.objs = newObjects(w.rng.Uint64())
	dir, err := filepath.EvalSymlinks(opt.Dir)
	if err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp(dir, "world-"); err != nil {
		return nil, err
	}
	w.repo, w.key, w.cache = repoDir, filepath.Join(w.dir, "key.txt"), filepath.Join(w.dir, "cache")
	if w.repo == "" {
		w.repo = filepath.Join(w.dir, "repo")
	}
	w.env = []string{"HOME=" + w.dir, "XDG_CONFIG_HOME=" + filepath.Join(w.dir, "config"), "PATH=" + os.Getenv("PATH"),
		"TMPDIR=" + w.dir, "GOTRACEBACK=all"}
	if w.tree, err = newTree(filepath.Join(w.dir, "tree"), w.rng); err != nil {
		return nil, err
	}
	key, err := w.must(ctx, "key", "generate", "-o", w.key)
	if err != nil {
		return w, err
	}
	public := strings.TrimSpace(string(key.out))
	args := []string{"init", "--recipient", public[strings.LastIndexAny(public, " \n")+1:]}
	if w.parity = (opt.Seed+uint64(n))%2 == 1; w.parity {
		args = append(args, "--parity=10")
	}
	_, err = w.must(ctx, args...)
	return w, err
}

// logf tells the log of the run.
func (w *world) logf(format string, args ...any) {
	if w.opt.Log != nil {
		w.opt.Log(w.name + ": " + fmt.Sprintf(format, args...))
	}
}

// process is a command under way.
type process struct {
	*exec.Cmd
	verb      string
	out, errs bytes.Buffer
	begun     time.Time
}

// outcome is how a command ended.
type outcome struct {
	out, errs []byte
	code      int // -1: by a signal
	took      time.Duration
}

// command prepares firn with the arguments, for this repository.
func (w *world) command(args ...string) *process {
	p := &process{Cmd: exec.Command(w.opt.Firn, args...), verb: args[0]}
	p.Env = append([]string{"XDG_CACHE_HOME=" + w.cache, "FIRN_REPOSITORY=" + w.repo, "FIRN_IDENTITY_FILE=" + w.key}, w.env...)
	if args[0] == "key" || args[0] == "init" {
		p.Env = append([]string{"XDG_CACHE_HOME=" + w.cache, "FIRN_REPOSITORY=" + w.repo}, w.env...)
	}
	p.Dir, p.Stdout, p.Stderr = w.dir, &p.out, &p.errs
	return p
}

func (p *process) start() error {
	p.begun = time.Now()
	return p.Start()
}

// end waits for the process. One that takes too long is made to show its stacks.
func (p *process) end() (outcome, error) {
	timer := time.AfterFunc(commandLimit, func() { askForStacks(p.Process) })
	err := p.Wait()
	late := !timer.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return outcome{}, fmt.Errorf("firn %s: %w", p.verb, err)
	}
	o := outcome{out: p.out.Bytes(), errs: p.errs.Bytes(), code: p.ProcessState.ExitCode(), took: time.Since(p.begun)}
	if late {
		return o, breaks(hung, "firn %s took more than %s: %s", p.verb, commandLimit, short(o.errs))
	}
	for _, sign := range []string{"panic: ", "fatal error: ", "goroutine 1 ["} {
		if bytes.Contains(o.errs, []byte(sign)) {
			return o, breaks(panicked, "firn %s: %s", p.verb, short(o.errs))
		}
	}
	return o, nil
}

func short(b []byte) string { return string(b[:min(len(b), 4000)]) }

// run runs a command to its end.
func (w *world) run(ctx context.Context, args ...string) (outcome, error) {
	if err := ctx.Err(); err != nil {
		return outcome{}, err
	}
	p := w.command(args...)
	if err := p.start(); err != nil {
		return outcome{}, err
	}
	return p.end()
}

// must runs a command that has to work.
func (w *world) must(ctx context.Context, args ...string) (outcome, error) {
	o, err := w.run(ctx, args...)
	if err == nil && o.code != 0 {
		err = breaks(failed, "firn %s: exit code %d: %s%s", strings.Join(args, " "), o.code, short(o.out), short(o.errs))
	}
	if err == nil {
		w.score.count(&w.score.Runs, 1)
	}
	return o, err
}

// lastLine decodes the last whole line of JSON of a given type.
func lastLine(out []byte, kind string, v any) bool {
	lines := bytes.Split(out, []byte("\n"))
	for i := len(lines) - 2; i >= 0; i-- { // what follows the last line feed is not whole
		var t struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(lines[i], &t) == nil && t.Type == kind {
			return json.Unmarshal(lines[i], v) == nil
		}
	}
	return false
}
