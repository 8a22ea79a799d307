// Command firnbench compares firn with restic and borg: the same data, the same run,
// encryption on. It makes a tree of small files and a database dump, each with its next
// day, takes every tool through the life of a repository, and prints the medians.
//
// It knows firn only by its command line. Every command runs in a small process of its
// own that measures it, restored data is compared with the source before its time
// counts, and everything lies in one work directory that is removed at the end.
//
// Invariants:
//
//  1. The corpora depend on the seed, the size and, for the tree, the files of the
//     machine; on nothing else.
//  2. All tools see the same paths in the same state, step by step, in an order that
//     rotates from round to round.
//  3. The time of a command that failed, or that restored wrong data, is never reported.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	dir     string
	keep    bool
	quick   bool
	seed    uint64
	rounds  int
	firn    string
	tools   []string
	extra   []string
	corpora []string
	out     string
	json    string
	timeout time.Duration
	budget  time.Duration
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == measureCommand {
		os.Exit(measureMain(os.Args[2:]))
	}
	opts, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "firnbench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, opts, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "firnbench:", err)
		os.Exit(1)
	}
}

// parseOptions reads the flags and fills in what depends on others.
func parseOptions(args []string, usage io.Writer) (*options, error) {
	opts := &options{}
	flags := flag.NewFlagSet("firnbench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&opts.dir, "dir", "", "work `directory`; it must be new or empty (default: a new one in $TMPDIR)")
	flags.BoolVar(&opts.keep, "keep", false, "leave the work directory")
	flags.BoolVar(&opts.quick, "quick", false, "small corpora and one round: minutes, but rough figures")
	flags.Uint64Var(&opts.seed, "seed", 1, "seed of the corpora")
	flags.IntVar(&opts.rounds, "rounds", 0, "rounds, of which the median counts (default 3, or 1 with -quick)")
	flags.StringVar(&opts.firn, "firn", "bin/firn", "the firn `binary`")
	tools := flags.String("tools", "firn,restic,borg", "tools to run; borg-zstd is there as well")
	flags.Func("tool", "`NAME=KIND:PATH`, another binary that takes the commands of KIND: old=firn:/tmp/firn", func(s string) error {
		opts.extra = append(opts.extra, s)
		return nil
	})
	corpora := flags.String("corpora", "tree,dump", "corpora to run")
	flags.StringVar(&opts.out, "out", "", "write the tables to this Markdown `file` as well")
	flags.StringVar(&opts.json, "json", "", "write every single figure to this `file`")
	flags.DurationVar(&opts.timeout, "timeout", 20*time.Minute, "limit of one command")
	flags.DurationVar(&opts.budget, "budget", 90*time.Minute, "start no round that would end later than this after the first")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	opts.tools, opts.corpora = strings.Split(*tools, ","), strings.Split(*corpora, ",")
	if opts.rounds == 0 {
		opts.rounds = 3
		if opts.quick {
			opts.rounds = 1
		}
	}
	if opts.rounds < 1 {
		return nil, fmt.Errorf("-rounds is %d, want at least 1", opts.rounds)
	}
	return opts, nil
}

// run makes the corpora, runs the rounds and writes the report. It fails if any command
// of any tool failed, after the report of the others.
func run(ctx context.Context, opts *options, stdout, log io.Writer) error {
	tools, missing, err := chooseTools(opts)
	if err != nil {
		return err
	}
	dir, cleanup, err := workDirectory(opts)
	if err != nil {
		return err
	}
	defer cleanup()
	rep := &report{Made: time.Now().UTC(), Quick: opts.quick, Seed: opts.seed, Missing: missing}
	if rep.Host, err = describeHost(dir); err != nil {
		return err
	}
	b, err := newBench(ctx, opts, dir, tools, log)
	if err != nil {
		return err
	}
	for _, t := range tools {
		rep.Tools = append(rep.Tools, toolInfo{t.name, b.version(ctx, t)})
	}
	if err := b.makeCorpora(ctx); err != nil {
		return err
	}
	if err := b.rounds(ctx); err != nil {
		return err
	}
	rep.Corpora, rep.Results, rep.Floor = b.corpora, b.results, b.floor
	if err := rep.write(stdout, opts.out, opts.json); err != nil {
		return err
	}
	return b.failures()
}

// workDirectory returns an empty directory and the function that removes it.
func workDirectory(opts *options) (dir string, cleanup func(), err error) {
	if opts.dir == "" {
		dir, err = os.MkdirTemp("", "firnbench-")
	} else {
		dir, err = emptyDirectory(opts.dir)
	}
	if err != nil {
		return "", nil, err
	}
	cleanup = func() {
		if !opts.keep {
			err = removeAll(dir)
		}
		if opts.keep || err != nil {
			fmt.Fprintln(os.Stderr, "firnbench: the work directory stays:", dir)
		}
	}
	return dir, cleanup, nil
}
