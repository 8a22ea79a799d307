package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// checkFlags are the flags of firn check.
type checkFlags struct {
	readData bool
	subset   string
	workers  int
	progress bool
}

func (a *app) checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Prove that the repository is whole",
		Long: `Prove that the log is whole and signed, that every pack is there with its size, and that
every snapshot leads to chunks that some pack holds; and that config, key slots and
checkpoints are as they were written. That reads metadata only. With --read-data it also
reads every pack and compares every chunk with its name; with --read-data-subset a part
of the packs, chosen at random each time.

Each thing that is not as it should be is named, with the snapshots and files that it
affects, and the exit code is 13. A check changes nothing.

With --json standard output has one object of type problem for each, and a last one of
type summary. When the check cannot be ended, the last one has error and exit_code instead.`,
		Example: `  firn check -r /backup/firn
  firn check -r /backup/firn --read-data-subset 5%`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.check(cmd.Context(), &f) },
	}
	cmd.Flags().BoolVar(&f.readData, "read-data", false, "read every pack and compare every chunk")
	cmd.Flags().StringVar(&f.subset, "read-data-subset", "", "read `N%` of the packs, chosen at random")
	cmd.Flags().IntVar(&f.workers, "workers", 0, "work with `N` threads (default: one for each CPU)")
	cmd.Flags().BoolVar(&f.progress, "progress", false, "with --json, tell every second how far it is")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) check(ctx context.Context, f *checkFlags) error {
	opt := snapshot.CheckOptions{ReadData: f.readData, Workers: f.workers, Problem: a.finding, Progress: &snapshot.Progress{}}
	if f.subset != "" {
		if f.readData {
			return usageError("give --read-data or --read-data-subset, not both")
		}
		var err error
		if opt.Percent, err = parsePercent(f.subset); err != nil {
			return usageError("--read-data-subset: %w", err)
		}
	}
	var res *snapshot.CheckResult
	err := a.withRepository(ctx, func(_ *profile, r *repo.Repository) error {
		stop := a.watch(opt.Progress, f.progress)
		defer stop()
		var err error
		res, err = snapshot.Check(ctx, r, opt)
		return err
	})
	if err != nil {
		return err
	}
	if a.flags.json {
		err = a.result(struct {
			Type string `json:"type"` // "summary"
			*snapshot.CheckResult
		}{"summary", res})
	} else if !a.flags.quiet {
		a.checkSummary(res)
	}
	if err == nil && res.Findings > 0 {
		err = toldError{fmt.Errorf("firn check found %s: %w; bring the files named above back from a copy of the repository, or run firn repair",
			counted(res.Findings, "problem", "problems"), repo.ErrDamaged)}
	}
	return err
}

// shownPaths bounds the affected files that a message names; --json names them all.
const shownPaths = 5

// finding reports one thing that is not as it should be.
func (a *app) finding(f snapshot.Finding) {
	text := f.Message
	if f.File != "" && !strings.Contains(text, f.File) {
		text = f.File + ": " + text
	}
	if f.Kind == "note" {
		text = "note: " + text
	}
	a.console.message(text)
	for i, p := range f.Paths {
		if i == shownPaths {
			a.console.message(fmt.Sprintf("  and %s more", humanCount(int64(len(f.Paths)-i))))
			break
		}
		a.console.message("  affects " + p)
	}
	if a.flags.json {
		a.event(struct {
			Type string `json:"type"` // "problem"
			snapshot.Finding
		}{"problem", f})
	}
}

func (a *app) checkSummary(res *snapshot.CheckResult) {
	what := counted(res.Packs, "pack", "packs") + " and " + counted(res.Snapshots, "snapshot", "snapshots")
	if others := res.Versions - res.Snapshots; others > 0 {
		what = fmt.Sprintf("%s, %s and %s", counted(res.Packs, "pack", "packs"), counted(res.Snapshots, "snapshot", "snapshots"),
			counted(others, "version of an object", "versions of objects"))
	}
	a.print("checked %s, %s in %s\n", counted(int64(res.Commits), "commit", "commits"), what,
		humanDuration(time.Duration(res.Seconds*float64(time.Second))))
	if res.PacksRead > 0 {
		a.print("  read     %s, %s\n", counted(res.PacksRead, "pack", "packs"), humanSize(res.BytesRead))
	} else {
		a.print("  read     metadata only; --read-data reads the packs, too\n")
	}
	if res.Dropped > 0 {
		a.print("  waiting  %s dropped, until the grace of prune has passed\n", counted(res.Dropped, "pack that was", "packs that were"))
	}
	if res.Orphans > 0 {
		a.print("  unused   %s of interrupted sessions\n", counted(res.Orphans, "pack", "packs"))
	}
	if res.Findings == 0 {
		a.print("  result   no problems\n")
	} else {
		a.print("  result   %s, named above\n", counted(res.Findings, "problem", "problems"))
	}
}
