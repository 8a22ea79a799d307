// Command s3bench compares S3 servers on one machine: every target goes through the same
// steps in the same run, one after the other, in an order that rotates from round to round.
// Steps are those of backup tools: small puts and gets by many clients, a listing of
// everything, a large put and get.
//
// Bodies are random from a seed, so that no server can deduplicate or compress them.
// Keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and are the same for all targets.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// options are the flags.
type options struct {
	targets []target
	bucket  string
	clients int
	objects int
	size    int
	large   int64
	rounds  int
	seed    uint64
}

// target is a server.
type target struct{ name, url string }

func main() {
	opt, err := parse(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = run(ctx, opt)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "s3bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("s3bench", flag.ExitOnError)
	f.Func("target", "`NAME=URL` of a server; may be repeated", func(s string) error {
		name, url, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("want NAME=URL")
		}
		o.targets = append(o.targets, target{name, strings.TrimSuffix(url, "/")})
		return nil
	})
	f.StringVar(&o.bucket, "bucket", "s3bench", "bucket, made and emptied")
	f.IntVar(&o.clients, "clients", 16, "clients at a time")
	f.IntVar(&o.objects, "objects", 20000, "small objects")
	f.IntVar(&o.size, "size", 4096, "bytes of a small object")
	f.Int64Var(&o.large, "large", 512<<20, "bytes of the large object; 0: none")
	f.IntVar(&o.rounds, "rounds", 3, "rounds, of which the median counts")
	f.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the bodies")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if len(o.targets) == 0 {
		return nil, fmt.Errorf("no -target")
	}
	return o, nil
}

// figure is what one step took.
type figure struct {
	rate     float64 // per second: operations, keys, or MB
	p50, p99 time.Duration
}

// steps in the order in which they run.
var steps = []struct {
	name, unit string
	run        func(context.Context, *client, *options, uint64) (figure, error)
}{
	{"put small", "objects/s", putSmall},
	{"get small", "objects/s", getSmall},
	{"head small", "objects/s", headSmall},
	{"list", "keys/s", list},
	{"put large", "MB/s", putLarge},
	{"get large", "MB/s", getLarge},
	{"delete small", "objects/s", deleteSmall},
}

func run(ctx context.Context, o *options) error {
	found := map[string][]figure{}
	for round := range o.rounds {
		for i := range o.targets {
			t := o.targets[(i+round)%len(o.targets)]
			c := newClient(t.url, o.clients)
			if err := c.makeBucket(ctx, o.bucket); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			for _, s := range steps {
				if o.large == 0 && strings.HasSuffix(s.name, "large") {
					continue
				}
				fig, err := s.run(ctx, c, o, o.seed+uint64(round))
				if err != nil {
					return fmt.Errorf("%s: %s: %w", t.name, s.name, err)
				}
				fmt.Fprintf(os.Stderr, "round %d %s: %s %.0f %s p50 %v p99 %v\n", round+1, t.name, s.name, fig.rate, s.unit,
					fig.p50.Round(10*time.Microsecond), fig.p99.Round(10*time.Microsecond))
				found[t.name+"/"+s.name] = append(found[t.name+"/"+s.name], fig)
			}
		}
	}
	report(o, found)
	return nil
}

// report prints medians, and how many times the first target is faster than each other.
func report(o *options, found map[string][]figure) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "step\t")
	for _, t := range o.targets {
		fmt.Fprintf(w, "%s\tp50\tp99\t", t.name)
	}
	fmt.Fprintln(w, "ratio")
	for _, s := range steps {
		first := median(found[o.targets[0].name+"/"+s.name])
		if first.rate == 0 {
			continue
		}
		fmt.Fprintf(w, "%s, %s\t", s.name, s.unit)
		var ratios []string
		for i, t := range o.targets {
			m := median(found[t.name+"/"+s.name])
			fmt.Fprintf(w, "%.0f\t%v\t%v\t", m.rate, m.p50.Round(10*time.Microsecond), m.p99.Round(10*time.Microsecond))
			if i > 0 {
				ratios = append(ratios, fmt.Sprintf("%.2f", first.rate/m.rate))
			}
		}
		fmt.Fprintln(w, strings.Join(ratios, " "))
	}
	_ = w.Flush()
}

func median(list []figure) figure {
	if len(list) == 0 {
		return figure{}
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b figure) int { return cmp.Compare(a.rate, b.rate) })
	return list[len(list)/2]
}
