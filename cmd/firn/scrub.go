package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// scrubFlags are the flags of firn scrub.
type scrubFlags struct {
	read, fraction string
	progress       bool
}

func (a *app) scrubCommand() *cobra.Command {
	var f scrubFlags
	cmd := &cobra.Command{
		Use:   "scrub",
		Short: "Read the repository bit by bit, and heal what is damaged",
		Long: `Read what was not read for longest, compare it with the digests of the log, heal what is
damaged as far as there is parity, and add or renew parity that is missing or damaged. Without a
budget it reads everything. With --read or --fraction it reads about so much and goes on
there the next time, on whatever machine: run it daily, and everything is read in turn.

A scrub reads files whole, but neither decrypts data nor walks snapshots: that is what
firn check does. Backups and everything else may run at the same time.

The exit code is 0 when all is well, 4 when damage was found and healed (a disk that does
this once does it again), and 13 when damage remains; then the snapshots and files that it
affects are named, and "firn repair" does what can be done.

With --json standard output has one object of type problem for each file that is or was
damaged, and a last one of type summary.`,
		Example: `  firn scrub -r /backup/firn --fraction 5%
  firn scrub -r /backup/firn --read 50GiB`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.scrub(cmd.Context(), &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.read, "read", "", "read about this `SIZE`, such as 10GiB")
	fl.StringVar(&f.fraction, "fraction", "", "read about `N%` of the repository")
	fl.BoolVar(&f.progress, "progress", false, "with --json, tell every second how far it is")
	return exitsOf(cmd, append([]int{exitHealed}, exitsOpen...)...)
}

func (f *scrubFlags) options() (opt repo.ScrubOptions, err error) {
	if f.read != "" && f.fraction != "" {
		return opt, usageError("give --read or --fraction, not both")
	}
	if f.read != "" {
		if opt.Bytes, err = parseSize(f.read); err != nil {
			return opt, usageError("--read: %w", err)
		}
		if opt.Bytes == 0 {
			return opt, usageError("--read %s: want a size above 0", f.read)
		}
	}
	if f.fraction != "" {
		percent, err := parsePercent(f.fraction)
		if err != nil {
			return opt, usageError("--fraction: %w", err)
		}
		opt.Share = percent / 100
	}
	return opt, nil
}

func (a *app) scrub(ctx context.Context, f *scrubFlags) error {
	opt, err := f.options()
	if err != nil {
		return err
	}
	p := &repo.ScrubProgress{}
	opt.Progress = p
	start := time.Now()
	var res *repo.ScrubResult
	err = a.withRepository(ctx, func(_ *profile, r *repo.Repository) error {
		opt.Report = func(m repo.Mended) { a.mendedIn(ctx, r, m) }
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
		var err error
		res, err = r.Scrub(ctx, opt)
		return err
	})
	if err != nil {
		return err
	}
	if a.flags.json {
		err = a.result(struct {
			Type string `json:"type"` // "summary"
			*repo.ScrubResult
			Seconds float64 `json:"seconds"`
		}{"summary", res, time.Since(start).Seconds()})
	} else if !a.flags.quiet {
		a.scrubSummary(res, time.Since(start))
	}
	switch {
	case err != nil:
	case res.Damaged > 0:
		err = toldError{fmt.Errorf("%s cannot be healed: %w; bring them back from a copy of the repository, or let \"firn repair\" do what it can",
			counted(res.Damaged, "damaged file", "damaged files"), repo.ErrDamaged)}
	case res.Healed > 0:
		err = toldError{fmt.Errorf("%s; %w: look after the disk", counted(res.Healed, "file was damaged", "files were damaged"), errHealed)}
	}
	return err
}

// mendedIn reports a damaged file, with what a pack that stays damaged affects.
func (a *app) mendedIn(ctx context.Context, r *repo.Repository, m repo.Mended) {
	var snapshots, paths []string
	if !m.Healed && m.Pack != (pack.ID{}) {
		var err error
		if snapshots, paths, err = snapshot.Affected(ctx, r, m.Pack); err != nil {
			m.Err = fmt.Errorf("%w; what it affects is not known: %w", m.Err, err)
		}
	}
	a.mended(m, "healed", snapshots, paths)
}

func (a *app) scrubSummary(res *repo.ScrubResult, d time.Duration) {
	a.print("read %s of %s in %s\n", humanSize(res.BytesRead), humanSize(res.Total), humanDuration(d))
	a.print("  read     %s, %s\n", counted(res.Commits, "commit", "commits"), counted(res.Packs.Packs, "pack", "packs"))
	if res.Added+res.Renewed > 0 {
		a.print("  parity   %s added, %s made anew\n", counted(res.Added, "file", "files"), humanCount(res.Renewed))
	}
	switch {
	case res.Since.IsZero():
		a.print("  round    the first has not come around yet\n")
	default:
		a.print("  round    everything from before %s was read since then\n", res.Since.Local().Format("2006-01-02 15:04"))
	}
	switch {
	case res.Damaged > 0:
		a.print("  result   %s damaged, %s healed; they are named above\n", humanCount(res.Damaged), humanCount(res.Healed))
	case res.Healed > 0:
		a.print("  result   %s healed, named above\n", counted(res.Healed, "file", "files"))
	default:
		a.print("  result   no damage\n")
	}
}
