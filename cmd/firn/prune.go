package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// pruneFlags are those that firn prune and firn forget --prune share.
type pruneFlags struct {
	maxUnused, maxRewrite string
	grace, sealAfter      string
	compression           string
	progress              bool
}

func (f *pruneFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.maxUnused, "max-unused", "5%", "how much of the packs may stay unused: a share of `N%`, 0% for nothing")
	fl.StringVar(&f.maxRewrite, "max-rewrite", "", "write again at most this `SIZE` in this run, such as 10GiB")
	fl.StringVar(&f.grace, "grace", "7d", "keep the files of dropped packs for this `TIME`, so that they can come back; 0 removes them at once")
	fl.StringVar(&f.sealAfter, "seal-after", "7d", "give up on sessions that a prune found open at least this `TIME` ago")
	fl.StringVar(&f.compression, "compression", "fastest", "how hard to compress what is written again: `LEVEL` fastest, default, better or best")
	fl.BoolVar(&f.progress, "progress", false, "with --json, tell every second how far it is")
	choices(cmd, "compression", "fastest", "default", "better", "best")
}

func (f *pruneFlags) options() (opt repo.PruneOptions, err error) {
	if f.maxUnused != "0" && f.maxUnused != "0%" {
		share, err := parsePercent(f.maxUnused)
		if err != nil {
			return opt, usageError("--max-unused: %w", err)
		}
		opt.MaxUnused = share / 100
	}
	if f.maxRewrite != "" {
		if opt.MaxRewrite, err = parseSize(f.maxRewrite); err != nil {
			return opt, usageError("--max-rewrite: %w", err)
		}
		if opt.MaxRewrite == 0 {
			return opt, usageError("--max-rewrite %s: want a size above 0", f.maxRewrite)
		}
	}
	if opt.Grace, err = parseTime(f.grace); err != nil {
		return opt, usageError("--grace: %w", err)
	}
	if opt.SealAfter, err = parseTime(f.sealAfter); err != nil {
		return opt, usageError("--seal-after: %w", err)
	}
	opt.Level, err = parseLevel(f.compression)
	return opt, err
}

// parseTime reads 0, days and hours such as 7d or 1d12h, or what Go writes, such as 90m.
func parseTime(s string) (time.Duration, error) {
	if span, err := snapshot.ParseSpan(s); err == nil && span.Years == 0 && span.Months == 0 {
		return time.Duration(span.Days)*24*time.Hour + time.Duration(span.Hours)*time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a time: want 0, or days, hours and minutes, such as 7d, 36h or 90m", s)
	}
	return d, nil
}

func (a *app) pruneCommand() *cobra.Command {
	var f pruneFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Free the space of what no snapshot needs",
		Long: `Free the space of what no snapshot, object or unfinished upload needs any more. Packs
that nothing needs are dropped. Packs that are needed in part are written again and then
dropped, the worst first, until no more than --max-unused of all is unused; small packs
are joined. Dropped packs cannot be found any more, but their files stay until the grace
has passed: for readers that have found them before, and for firn undelete.

Backups, restores and other prunes may run at the same time. A prune that was interrupted
keeps what it has done; the next one goes on. --dry-run prints what would be done, and
changes nothing.

With --json the result is one object of type summary: packs and bytes that were dropped,
repacked, written, removed, that wait for the end of the grace, and that are kept and why.`,
		Example: `  firn prune -r /backup/firn --dry-run
  firn prune -r /backup/firn --max-unused 10% --max-rewrite 20GiB`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt, err := f.options()
			if err != nil {
				return err
			}
			opt.DryRun = dryRun
			return a.withRepository(cmd.Context(), func(_ *profile, r *repo.Repository) error {
				start := time.Now()
				res, err := a.runPrune(cmd.Context(), r, opt, &f)
				if err != nil {
					return err
				}
				if dryRun {
					a.console.message("dry run: nothing is changed")
				}
				if a.flags.json {
					return a.result(struct {
						Type string `json:"type"` // "summary"
						*repo.PruneResult
						Seconds float64 `json:"seconds"`
					}{"summary", res, time.Since(start).Seconds()})
				}
				if !a.flags.quiet {
					a.pruneSummary(res, opt, time.Since(start))
				}
				return nil
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "change nothing, only tell what would be done")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) runPrune(ctx context.Context, r *repo.Repository, opt repo.PruneOptions, f *pruneFlags, without ...index.VersionID) (*repo.PruneResult, error) {
	p := &repo.PruneProgress{}
	opt.Progress = p
	stop := a.draw(f.progress, func(width int) string {
		line := fmt.Sprintf("%s looked at", counted(p.Versions.Load(), "version", "versions"))
		if n := p.Total.Load(); n > 0 {
			line = fmt.Sprintf("%s of %s written again", humanSize(p.Bytes.Load()), humanSize(n))
		}
		return cut(line, width)
	}, func() {
		a.event(struct {
			Type     string `json:"type"` // "status"
			Versions int64  `json:"versions"`
			Bytes    int64  `json:"bytes"`
			Total    int64  `json:"total_bytes"`
		}{"status", p.Versions.Load(), p.Bytes.Load(), p.Total.Load()})
	})
	defer stop()
	res, err := snapshot.Prune(ctx, r, opt, without...)
	if err == nil && !opt.DryRun {
		a.abortUploads(ctx)
	}
	return res, err
}

func (a *app) pruneSummary(res *repo.PruneResult, opt repo.PruneOptions, d time.Duration) {
	sum := func(s repo.PackSum) string {
		return fmt.Sprintf("%s, %s", counted(s.Packs, "pack", "packs"), humanSize(s.Bytes))
	}
	a.print("pruned %s in %s\n", sum(res.Before), humanDuration(d))
	a.print("  dropped   %s, that nothing needs\n", sum(res.Dropped))
	if res.Repacked.Packs > 0 {
		a.print("  repacked  %s, into %s\n", sum(res.Repacked), sum(res.Written))
	}
	a.print("  freed     %s now\n", humanSize(res.Removed.Bytes))
	if res.Parity > 0 {
		a.print("  parity    %s of it removed with them\n", humanSize(res.Parity))
	}
	if res.Waiting.Packs > 0 {
		a.print("  waiting   %s: freed by a prune after the grace of %s\n", sum(res.Waiting), graceText(opt.Grace))
	}
	if res.Sealed > 0 {
		a.print("  sealed    %s that had been open for long\n", counted(res.Sealed, "session", "sessions"))
	}
	for _, k := range []struct {
		sum repo.PackSum
		why string
	}{
		{res.Spared, "needed again by what was written meanwhile"},
		{res.Held, "of sessions under way"},
		{res.Inside, "needed in part, but inside of the log"},
		{res.Fixed, "needed in part, that cannot be read with this key or at all"},
		{res.Later, "that the next prune may write again"},
		{res.Unknown, "of sessions that the log does not know"},
	} {
		if k.sum.Packs > 0 {
			a.print("  kept      %s, %s\n", sum(k.sum), k.why)
		}
	}
	if res.Missing > 0 {
		a.print("  missing   %s that snapshots need and a repair declared lost\n", counted(res.Missing, "chunk", "chunks"))
	}
	a.print("  unused    %s stay\n", humanSize(res.Unused))
}

func graceText(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return counted(int64(d/day), "day", "days")
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}
