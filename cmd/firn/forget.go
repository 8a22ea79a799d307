package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// forgetFlags are the flags of firn forget.
type forgetFlags struct {
	filter  filterFlags
	counts  [6]int
	within  [6]string
	tags    []string
	ids     []string
	groupBy string
	dryRun  bool
	prune   bool
	pruning pruneFlags
}

// periods of the rules, in the order of the fields of forgetFlags.
var periods = [6]struct{ name, what string }{
	{"last", "the last `N` snapshots"},
	{"hourly", "the last one of each of `N` hours"},
	{"daily", "the last one of each of `N` days"},
	{"weekly", "the last one of each of `N` weeks"},
	{"monthly", "the last one of each of `N` months"},
	{"yearly", "the last one of each of `N` years"},
}

func (a *app) forgetCommand() *cobra.Command {
	var f forgetFlags
	cmd := &cobra.Command{
		Use:   "forget [SNAPSHOT…]",
		Short: "Remove snapshots, by name or by rules",
		Long: `Remove snapshots: those named, or those that no rule keeps. The rules are applied to
each group by itself: by default, all snapshots of one host and the same paths. A snapshot
that any rule keeps is kept, and the newest of a group always is. Only hours, days and so
on that have a snapshot are counted; -1 keeps all. --keep-within counts back from the
newest snapshot of the group, not from now.

The data stays until firn prune, and firn undelete brings a snapshot back until the grace
of prune has passed. What is under an object lock stays. --dry-run prints the same and
changes nothing.

With --json the result is one object with groups, each with the snapshots and the rules
that keep them, and with what prune did.`,
		Example: `  firn forget -r /backup/firn --keep-daily 14 --keep-weekly 8 --keep-monthly 24 --prune
  firn forget -r /backup/firn --host web1 --keep-within 3m --keep-tag release --dry-run
  firn forget -r /backup/firn 1a2b3c4d`,
		Args: args(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.forget(cmd.Context(), &f, args) },
	}
	fl := cmd.Flags()
	f.filter.add(cmd, "look only at those")
	fl.StringVar(&f.filter.path, "path", "", "look only at those of this `PATH`")
	for i, p := range periods {
		fl.IntVar(&f.counts[i], "keep-"+p.name, 0, "keep "+p.what)
	}
	for i, p := range periods {
		name, what := "keep-within-"+p.name, "the last one of each "+strings.Replace(p.name[:len(p.name)-2], "dai", "day", 1)
		if i == 0 {
			name, what = "keep-within", "all"
		}
		fl.StringVar(&f.within[i], name, "", "keep "+what+" within `SPAN` of the newest, such as 36h, 14d or 1y6m")
	}
	fl.StringArrayVar(&f.tags, "keep-tag", nil, "keep those with all of these `TAGS`, divided by commas (repeat)")
	fl.StringArrayVar(&f.ids, "keep-id", nil, "keep the snapshot whose ID begins with these `DIGITS` (repeat)")
	fl.StringVar(&f.groupBy, "group-by", "host,paths", "divide snapshots by these `KEYS`: host, paths, tags, bucket, key; \"\" makes one group")
	fl.BoolVarP(&f.dryRun, "dry-run", "n", false, "change nothing, only tell what would be forgotten")
	fl.BoolVar(&f.prune, "prune", false, "then do what firn prune does")
	f.pruning.add(cmd)
	return exitsOf(cmd, exitsOpen...)
}

// options are what the flags say.
func (f *forgetFlags) options(args []string) (opt snapshot.ForgetOptions, err error) {
	opt = snapshot.ForgetOptions{Snapshots: args, Filter: f.filter.filter(), DryRun: f.dryRun}
	p := &opt.Policy
	p.Zone = time.Local
	for i, to := range []*int{&p.Last, &p.Hourly, &p.Daily, &p.Weekly, &p.Monthly, &p.Yearly} {
		if *to = f.counts[i]; *to < -1 {
			return opt, usageError("--keep-%s %d: want a number above 0, or -1 for all", periods[i].name, *to)
		}
	}
	for i, to := range []*snapshot.Span{&p.Within, &p.WithinHourly, &p.WithinDaily, &p.WithinWeekly, &p.WithinMonthly, &p.WithinYearly} {
		if f.within[i] == "" {
			continue
		}
		if *to, err = snapshot.ParseSpan(f.within[i]); err != nil {
			return opt, usageError("--keep-within: %w", err)
		}
	}
	if slices.Contains(f.tags, "") || slices.Contains(f.ids, "") {
		return opt, usageError("--keep-tag and --keep-id: an empty one would mean all or none")
	}
	for _, t := range f.tags {
		p.Tags = append(p.Tags, strings.Split(t, ","))
	}
	p.IDs = f.ids
	for _, key := range strings.Split(f.groupBy, ",") {
		if key == "" {
			continue
		}
		if !slices.Contains(snapshot.GroupKeys, key) {
			return opt, usageError("--group-by %q: want some of %s", key, strings.Join(snapshot.GroupKeys, ", "))
		}
		opt.GroupBy = append(opt.GroupBy, key)
	}
	switch {
	case len(args) == 0 && p.Empty():
		return opt, usageError("nothing says what to keep: give rules such as --keep-daily 14, or name snapshots")
	case len(args) > 0 && !p.Empty():
		return opt, usageError("give rules or name snapshots, not both")
	}
	return opt, nil
}

func (a *app) forget(ctx context.Context, f *forgetFlags, args []string) error {
	opt, err := f.options(args)
	if err != nil {
		return err
	}
	popt, err := f.pruning.options()
	if err != nil {
		return err
	}
	popt.DryRun = f.dryRun
	return a.withRepository(ctx, func(_ *profile, r *repo.Repository) error {
		res, err := snapshot.Forget(ctx, r, opt)
		if err != nil {
			return err
		}
		if f.dryRun {
			a.console.message("dry run: nothing is changed")
		}
		if !a.flags.json {
			if err := a.printForgot(res, f.prune); err != nil {
				return err
			}
		}
		var pruned *repo.PruneResult
		start := time.Now()
		if f.prune {
			if err := a.flush(); err != nil {
				return err
			}
			if f.dryRun {
				pruned, err = a.runPrune(ctx, r, popt, &f.pruning, res.Forgotten()...)
			} else {
				pruned, err = a.runPrune(ctx, r, popt, &f.pruning)
			}
			if err != nil {
				return err
			}
		}
		if a.flags.json {
			return a.result(forgetObjectOf(res, pruned))
		}
		if pruned != nil && !a.flags.quiet {
			a.pruneSummary(pruned, popt, time.Since(start))
		}
		return nil
	})
}

func (a *app) printForgot(res *snapshot.ForgetResult, pruning bool) error {
	if a.flags.quiet {
		return nil
	}
	for _, g := range res.Groups {
		if g.Name != "" {
			a.print("%s\n", visible(g.Name))
		}
		t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
		for _, c := range g.Choices {
			what := "forget"
			if len(c.Keep) > 0 {
				what = "keep  "
			}
			v := c.Version.Snapshot
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", what, c.Short(), c.Time().Local().Format("2006-01-02 15:04:05"),
				humanSize(int64(v.Bytes)), visible(strings.Join(v.Tags, ",")), visible(strings.Join(c.Keep, ", ")))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	locked := ""
	if res.Locked > 0 {
		locked = fmt.Sprintf(", %s of them under a lock", humanCount(int64(res.Locked)))
	}
	a.print("%s forgotten, %s kept%s\n", counted(int64(res.Forgot), "snapshot", "snapshots"), humanCount(int64(res.Kept)), locked)
	if res.Forgot > 0 && !pruning {
		a.print("  space   \"firn prune\" frees what only they needed\n")
		a.print("  undo    \"firn undelete SNAPSHOT\" brings one back, until the grace of prune has passed\n")
	}
	return nil
}

// forgetObject is the result of firn forget in JSON.
type forgetObject struct {
	Groups []forgetGroupObject `json:"groups"`
	Forgot int                 `json:"forgot"`
	Kept   int                 `json:"kept"`
	Locked int                 `json:"locked"`
	DryRun bool                `json:"dry_run,omitempty"`
	Prune  *repo.PruneResult   `json:"prune,omitempty"`
}

type forgetGroupObject struct {
	Name   string       `json:"name"`
	Keep   []keepObject `json:"keep"`
	Forget []keepObject `json:"forget"`
}

type keepObject struct {
	snapshotObject
	Rules []string `json:"rules,omitempty"`
}

func forgetObjectOf(res *snapshot.ForgetResult, pruned *repo.PruneResult) forgetObject {
	o := forgetObject{Groups: []forgetGroupObject{}, Forgot: res.Forgot, Kept: res.Kept, Locked: res.Locked, DryRun: res.DryRun, Prune: pruned}
	for _, g := range res.Groups {
		group := forgetGroupObject{Name: g.Name, Keep: []keepObject{}, Forget: []keepObject{}}
		for _, c := range g.Choices {
			k := keepObject{objectOf(c.Snapshot), c.Keep}
			if len(c.Keep) > 0 {
				group.Keep = append(group.Keep, k)
			} else {
				group.Forget = append(group.Forget, k)
			}
		}
		o.Groups = append(o.Groups, group)
	}
	return o
}
