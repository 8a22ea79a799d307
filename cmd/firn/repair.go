package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
	"github.com/firnstore/firn/tier"
)

// repairFlags are the flags of firn repair.
type repairFlags struct {
	dryRun, quick, progress bool
}

func (a *app) repairCommand() *cobra.Command {
	var f repairFlags
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Bring back what can be of a damaged repository",
		Long: `Bring back what can be of a damaged repository, in this order:

  - config, key slots and commits of the log, by their parity. This needs no key, so it helps
    when the repository cannot be opened any more. The index is made anew by itself.
  - packs, by their parity.
  - of packs that cannot be healed, the chunks that can still be read, or that lie elsewhere.
    The pack is then given up, with a commit.

Chunks that are nowhere any more are declared lost. The snapshots stay: the next backup of
files that still have this data stores it again, and the snapshots are whole again. Until
then check and restore name what misses data. If a lost pack turns up in a copy of the
repository, put its file back, also one that is no more named, and repair again.

A pack that the disk fails to read is left alone: copy such a repository to another disk and
repair the copy. When commits are lost for good but this machine remembers what they said, a
checkpoint keeps it for others. --dry-run tells what would be done, and changes nothing.

The exit code is 0 when nothing is damaged any more, and 13 when something is; then what it
affects is named. With --json standard output has one object of type problem for each file
that is or was damaged and for each finding, and a last one of type summary.`,
		Example: `  firn repair -r /backup/firn --dry-run
  firn repair -r /backup/firn`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.repair(cmd.Context(), &f) },
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.dryRun, "dry-run", "n", false, "change nothing, only tell what would be done")
	fl.BoolVar(&f.quick, "quick", false, "look at names and sizes of packs only, do not read them")
	fl.BoolVar(&f.progress, "progress", false, "with --json, tell every second how far it is")
	return exitsOf(cmd, exitsOpen...)
}

// repairSummary is the result of firn repair.
type repairSummary struct {
	Type string `json:"type"` // "summary"
	*repo.RepairResult
	Mended   int64   `json:"mended"`   // config, key slots and commits that were healed
	Findings int64   `json:"findings"` // of the check at the end
	Seconds  float64 `json:"seconds"`
}

func (a *app) repair(ctx context.Context, f *repairFlags) error {
	start := time.Now()
	sum := &repairSummary{Type: "summary"}
	verb := "healed"
	if f.dryRun {
		verb = "would heal"
		a.console.message("dry run: nothing is changed")
	}
	err := a.withStore(ctx, func(_ *profile, store tier.Store) error {
		return repo.Mend(ctx, store, f.dryRun, func(m repo.Mended) {
			if m.Healed {
				sum.Mended++
			}
			a.mended(m, verb, nil, nil)
		})
	})
	if err != nil {
		return err
	}
	err = a.withRepository(ctx, func(_ *profile, r *repo.Repository) error {
		sum.RepairResult, err = a.runRepair(ctx, r, f, verb)
		if err == nil && !f.dryRun && sum.Commits+sum.Missing+sum.Unreadable.Packs > 0 {
			var res *snapshot.CheckResult
			if res, err = snapshot.Check(ctx, r, snapshot.CheckOptions{Problem: a.finding}); err == nil {
				sum.Findings = res.Findings
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	sum.Seconds = time.Since(start).Seconds()
	if a.flags.json {
		err = a.result(sum)
	} else if !a.flags.quiet {
		a.repairSummary(sum)
	}
	if err == nil && (sum.Findings+sum.Commits+sum.Unreadable.Packs > 0 || f.dryRun && sum.Lost > 0) {
		err = toldError{fmt.Errorf("something stays damaged: %w; back up what still has the data, or bring the files back from a copy and repair again", repo.ErrDamaged)}
	}
	return err
}

func (a *app) runRepair(ctx context.Context, r *repo.Repository, f *repairFlags, verb string) (*repo.RepairResult, error) {
	p := &repo.ScrubProgress{}
	stop := a.draw(f.progress, func(width int) string {
		return cut(fmt.Sprintf("%s of %s read", humanSize(p.Bytes.Load()), humanSize(p.Total.Load())), width)
	}, func() {
		a.event(struct {
			Type  string `json:"type"` // "status"
			Bytes int64  `json:"bytes"`
			Total int64  `json:"total_bytes"`
		}{"status", p.Bytes.Load(), p.Total.Load()})
	})
	defer stop()
	return r.Repair(ctx, repo.RepairOptions{DryRun: f.dryRun, Quick: f.quick, Progress: p, Report: func(m repo.Mended) {
		if f.dryRun {
			a.mendedIn(ctx, r, m)
		} else {
			a.mended(m, verb, nil, nil)
		}
	}})
}

func (a *app) repairSummary(s *repairSummary) {
	sum := func(p repo.PackSum) string {
		return fmt.Sprintf("%s, %s", counted(p.Packs, "pack", "packs"), humanSize(p.Bytes))
	}
	would := ""
	if s.DryRun {
		would = "would be "
	}
	a.print("looked at %s in %s\n", sum(s.Packs), humanDuration(time.Duration(s.Seconds*float64(time.Second))))
	if n := s.Mended + s.Healed; n > 0 {
		a.print("  healed    %s %sas they were, by parity\n", counted(n, "file", "files"), would)
	}
	if s.Returned.Packs > 0 {
		a.print("  returned  %s that had been lost\n", sum(s.Returned))
	}
	if s.Dropped.Packs > 0 {
		a.print("  given up  %s\n", sum(s.Dropped))
		a.print("  saved     %s written again, %s elsewhere\n", counted(s.Saved, "chunk", "chunks"), humanCount(s.Elsewhere))
	}
	if s.Lost > 0 {
		a.print("  lost      %s, %s\n", counted(s.Lost, "chunk", "chunks"), humanSize(s.LostBytes))
	}
	if s.Missing > 0 && !s.DryRun {
		a.print("  missing   %s, until a backup stores them again\n", counted(s.Missing, "chunk", "chunks"))
	}
	if s.Unreadable.Packs > 0 {
		a.print("  kept      %s that cannot be read\n", sum(s.Unreadable))
	}
	if s.Commits > 0 {
		a.print("  log       %s damaged for good", counted(s.Commits, "commit", "commits"))
		if s.Checkpoint {
			a.print("; a checkpoint %skept what they said", would)
		}
		a.print("\n")
	}
	switch {
	case s.Findings+s.Commits+s.Unreadable.Packs > 0 || s.DryRun && s.Lost > 0:
		a.print("  result    damage remains, named above\n")
	case s.Mended+s.Healed+s.Returned.Packs+s.Dropped.Packs > 0:
		a.print("  result    %swhole again\n", would)
	default:
		a.print("  result    nothing to repair\n")
	}
}
