package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// result is one measured command.
type result struct {
	Round  int    `json:"round"`
	Corpus string `json:"corpus"`
	Tool   string `json:"tool"` // empty for a limit
	Step   string `json:"step"`
	usage
	Sync  float64 `json:"sync_seconds"` // to write what the command left in the page cache
	Repo  int64   `json:"repository_bytes,omitempty"`
	Cache int64   `json:"cache_bytes,omitempty"`
	Err   string  `json:"error,omitempty"` // if set, the figures above mean nothing
}

// bench runs tools over corpora in one work directory.
type bench struct {
	opts    *options
	dir     string
	tools   []*tool
	limits  []limit
	log     io.Writer
	measure measurer
	sync    func() // writes the dirty pages of the machine
	env     []string
	pass    string // a file
	corpora []*corpus
	results []result
	floor   int64 // peak memory of a command that does nothing
	trash   int   // names given out in the trash
}

// Sizes of the corpora.
var (
	fullTree  = treeSize{minFiles: 50_000, maxFiles: 80_000, maxBytes: 900e6}
	quickTree = treeSize{minFiles: 20_000, maxFiles: 24_000, maxBytes: 300e6}
)

const (
	fullDump  = 2200e6
	quickDump = 300e6
)

// diskNeed returns the bytes that a run takes at its fullest moment, nearly, if trees
// compress by half and dumps do not.
func (b *bench) diskNeed(tree, dump int64) int64 {
	repositories := int64(len(b.tools))
	// Each round leaves a restored tree and a repository of each tool, and a tree of cp.
	treeNeed := tree * (1 + int64(b.opts.rounds)*(repositories+repositories/2+2))
	// The dump has both days, and its repositories hold up to two of it; one copy is
	// restored at a time.
	dumpNeed := dump * (2 + 2*repositories + 1)
	if !slices.Contains(b.opts.corpora, "tree") {
		return dumpNeed
	}
	if !slices.Contains(b.opts.corpora, "dump") {
		return treeNeed
	}
	return max(treeNeed+2*dump, dumpNeed+tree)
}

// newBench prepares a work directory.
func newBench(ctx context.Context, opts *options, dir string, tools []*tool, log io.Writer) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &bench{opts: opts, dir: dir, tools: tools, log: log, sync: syncDisks, pass: filepath.Join(dir, "passphrase")}
	b.measure = measurer{self: self, file: filepath.Join(dir, "usage.json"), timeout: opts.timeout}
	for _, sub := range []string{"home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	b.env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC",
		"HOME=" + filepath.Join(dir, "home"), "TMPDIR=" + filepath.Join(dir, "tmp")}
	if err := os.WriteFile(b.pass, []byte("correct horse battery staple\n"), 0o600); err != nil {
		return nil, err
	}
	for _, l := range limits {
		if _, err := exec.LookPath(l.needs); err == nil && slices.Contains(opts.corpora, l.corpus) {
			b.limits = append(b.limits, l)
		}
	}
	u, err := b.measure.run(ctx, command{args: []string{"true"}, env: b.env, dir: dir})
	b.floor = u.Peak
	return b, err
}

// version returns the first line that a tool prints about itself.
func (b *bench) version(ctx context.Context, t *tool) string {
	args := place{bin: t.binary}.fill(t.version)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = b.env
	out, err := cmd.Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || line == "" {
		return t.name
	}
	return line
}

// makeCorpora makes what the options name, after a look at the free space.
func (b *bench) makeCorpora(ctx context.Context) error {
	tree, dump := fullTree, int64(fullDump)
	if b.opts.quick {
		tree, dump = quickTree, quickDump
	}
	need := b.diskNeed(tree.maxBytes, dump)
	_, free, err := fileSystem(b.dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.log, "firnbench: needs up to %.0f GB of disk, %.0f GB are free\n", float64(need)/1e9, float64(free)/1e9)
	if free < need {
		return errors.New("not enough free space in the work directory; -dir takes another, -quick needs less")
	}
	for _, name := range b.opts.corpora {
		fmt.Fprintf(b.log, "firnbench: making the %s\n", name)
		var c *corpus
		var err error
		dir := filepath.Join(b.dir, name)
		switch name {
		case "tree":
			c, err = treeCorpus(ctx, dir, treeRoots(ctx), tree, b.opts.seed)
		case "dump":
			c, err = dumpCorpus(ctx, dir, dump, b.opts.seed)
		default:
			err = errors.New("unknown corpus")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		b.corpora = append(b.corpora, c)
	}
	return nil
}

// rounds runs the rounds of one corpus after the other, as many as the options ask for
// and the budget allows. The tree comes last, and with it the removal of many files.
func (b *bench) rounds(ctx context.Context) error {
	budget := b.opts.budget / time.Duration(len(b.corpora))
	order := slices.SortedStableFunc(slices.Values(b.corpora), func(x, y *corpus) int { return cmp.Compare(x.Files, y.Files) })
	for _, c := range order {
		start := time.Now()
		for c.Rounds < b.opts.rounds {
			elapsed := time.Since(start)
			if c.Rounds > 0 && elapsed+elapsed/time.Duration(c.Rounds) > budget {
				fmt.Fprintf(b.log, "firnbench: no time for round %d of the %s\n", c.Rounds+1, c.Name)
				break
			}
			if err := b.round(ctx, c.Rounds, c); err != nil {
				return err
			}
			c.Rounds++
		}
	}
	return nil
}

// discard gets rid of what a command has made, if it did. What belongs to a tree is only
// moved away, until the work directory is removed: ext4 takes its time to make files for
// some minutes after others were removed, and that would be in the times of what follows.
func (b *bench) discard(c *corpus, path string) error {
	if c.Files == 1 {
		return removeAll(path)
	}
	b.trash++
	err := errors.Join(os.MkdirAll(b.path("trash"), 0o755), os.Rename(path, b.path("trash", fmt.Sprint(b.trash))))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// round takes all tools through one corpus once, step by step.
func (b *bench) round(ctx context.Context, round int, c *corpus) error {
	if err := errors.Join(c.rewind(), warm(c.source)); err != nil {
		return err
	}
	if err := b.runLimits(ctx, round, c); err != nil {
		return err
	}
	first := round % len(b.tools)
	tools := slices.Concat(b.tools[first:], b.tools[:first])
	for _, s := range steps {
		if s.advance {
			if err := errors.Join(c.advance(), warm(c.source)); err != nil {
				return err
			}
		}
		tools = slices.DeleteFunc(tools, func(t *tool) bool {
			res := b.step(ctx, c, t, s)
			res.Round = round
			b.add(res)
			return res.Err != ""
		})
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return errors.Join(b.discard(c, b.path("repository")), b.discard(c, b.path("cache")))
}

func (b *bench) path(names ...string) string {
	return filepath.Join(append([]string{b.dir}, names...)...)
}

// runLimits measures what the machine can do on a corpus.
func (b *bench) runLimits(ctx context.Context, round int, c *corpus) error {
	p := place{source: c.source, target: b.path("limit")}
	for _, l := range b.limits {
		if l.corpus != c.Name {
			continue
		}
		res := b.timed(ctx, command{args: append([]string{"sh", "-c"}, p.fill([]string{l.script})...), env: b.env, dir: b.dir})
		res.Round, res.Corpus, res.Step = round, c.Name, l.name
		b.add(res)
	}
	return errors.Join(b.discard(c, p.target), os.RemoveAll(p.target+".zst"))
}

// step runs one step of a tool. Its directories outlive it, but for a restored copy.
func (b *bench) step(ctx context.Context, c *corpus, t *tool, s step) result {
	p := place{
		bin: t.binary, pass: b.pass, source: c.source, archive: s.archive,
		repo: b.path("repository", t.name), cache: b.path("cache", t.name), target: b.path("restored"),
	}
	err := errors.Join(os.MkdirAll(p.target, 0o755), os.MkdirAll(p.cache, 0o755), os.MkdirAll(filepath.Dir(p.repo), 0o755))
	res := result{}
	if err == nil {
		res = b.timed(ctx, command{p.fill(s.args(t)), append(slices.Clone(b.env), p.fill(t.env)...), p.target})
	}
	if err == nil && res.Err == "" && s.restores {
		if err = compare(c.source, locate(p.target, c.source)); err != nil {
			err = fmt.Errorf("restored wrong data: %w", err)
		}
	}
	if err == nil {
		res.Repo, err = diskUsage(p.repo)
	}
	if err == nil {
		res.Cache, err = diskUsage(p.cache)
	}
	if s.restores {
		err = errors.Join(err, b.discard(c, p.target))
	}
	if err != nil && res.Err == "" {
		res.Err = err.Error()
	}
	res.Corpus, res.Tool, res.Step = c.Name, t.name, s.name
	return res
}

// timed measures a command between two syncs.
func (b *bench) timed(ctx context.Context, c command) result {
	b.sync()
	u, err := b.measure.run(ctx, c)
	start := time.Now()
	b.sync()
	res := result{usage: u, Sync: time.Since(start).Seconds()}
	if err != nil {
		res.Err = err.Error()
	}
	return res
}

// add keeps a result and says so.
func (b *bench) add(res result) {
	b.results = append(b.results, res)
	who := fmt.Sprintf("%d %s %-10s %-20s", res.Round+1, res.Corpus, res.Tool, res.Step)
	if res.Err != "" {
		fmt.Fprintf(b.log, "%s FAILED: %s\n", who, res.Err)
		return
	}
	fmt.Fprintf(b.log, "%s %8.2f s wall %8.2f s CPU %6d MiB peak %8.1f MB repository\n",
		who, res.Wall, res.CPU, res.Peak>>20, float64(res.Repo)/1e6)
}

// failures returns an error if any command failed.
func (b *bench) failures() error {
	count := 0
	for _, res := range b.results {
		if res.Err != "" {
			count++
		}
	}
	if count > 0 {
		return fmt.Errorf("%d commands failed; their figures are missing", count)
	}
	return nil
}
