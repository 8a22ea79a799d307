// Command firntorture takes firn through what storage programs die of, for a bounded time,
// and prints a scorecard: what was done, and how often a promise was broken, which must be
// never. docs/reliability.md explains each row.
//
// The parts run one after the other and share the time. Each is a package of its own that
// counts and names what it found; this one divides the time and prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/firnstore/firn/cmd/firntorture/kill"
)

// options are the flags.
type options struct {
	firn    string
	minutes float64
	seed    uint64
	parts   []part
	json    bool
	dir     string // where the parts work
	log     func(string)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == simulateCommand {
		os.Exit(simulateMain(os.Args[2:], os.Stdout))
	}
	opt, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "firntorture:", err)
		os.Exit(2)
	}
	if code, ok := kill.InOwnMounts(); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	card, err := run(ctx, opt)
	stop()
	if err == nil {
		err = card.print(os.Stdout, opt.json)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "firntorture:", err)
		os.Exit(1)
	}
	if !card.Fine {
		os.Exit(1)
	}
}

// parseOptions reads the flags.
func parseOptions(args []string, usage io.Writer) (*options, error) {
	opt := &options{log: func(s string) { fmt.Fprintln(os.Stderr, s) }}
	flags := flag.NewFlagSet("firntorture", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&opt.firn, "firn", "bin/firn", "the firn `binary`")
	flags.Float64Var(&opt.minutes, "minutes", 10, "how long, all parts together")
	flags.Uint64Var(&opt.seed, "seed", 1, "the first seed")
	flags.BoolVar(&opt.json, "json", false, "print the scorecard as JSON")
	names := flags.String("parts", partNames(), "the parts to run")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if opt.minutes <= 0 {
		return nil, fmt.Errorf("-minutes %g: want more than 0", opt.minutes)
	}
	for name := range strings.SplitSeq(*names, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-parts: there is no part %q, only %s", name, partNames())
		}
		opt.parts = append(opt.parts, parts[i])
	}
	var err error
	opt.firn, err = filepath.Abs(opt.firn)
	return opt, err
}

// run runs the parts in their order, each with its share of the time.
func run(ctx context.Context, opt *options) (*card, error) {
	var err error
	if opt.dir, err = os.MkdirTemp("", "firntorture-"); err != nil {
		return nil, err
	}
	c := newCard(opt)
	total := 0
	for _, p := range opt.parts {
		total += p.weight
	}
	for _, p := range opt.parts {
		begun := time.Now()
		share := time.Duration(opt.minutes * float64(time.Minute) * float64(p.weight) / float64(total))
		opt.log(fmt.Sprintf("%s: %s", p.name, share.Round(time.Second)))
		t, err := p.run(ctx, opt, begun.Add(share))
		if err != nil {
			return nil, fmt.Errorf("part %s: %w", p.name, err)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		t.Part, t.Seconds = p.name, time.Since(begun).Seconds()
		c.add(t)
	}
	if c.Fine {
		return c, os.RemoveAll(opt.dir)
	}
	return c, nil // what was found lies there
}
