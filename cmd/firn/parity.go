package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/firnstore/firn/repo"
)

// addParityFlag adds --parity[=PERCENT].
func addParityFlag(fl *pflag.FlagSet, value *string) {
	fl.StringVar(value, "parity", "", "keep parity beside every file, so that a damaged one heals: `PERCENT` of its size, 10 unless said otherwise")
	fl.Lookup("parity").NoOptDefVal = strconv.Itoa(repo.DefaultParity)
}

// parseParity reads a whole percentage, with or without "%"; "" is 0.
func parseParity(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || n != math.Trunc(n) || n < 1 || n > 100 {
		return 0, usageError("parity of %q: want a whole number of percent, from 1 to 100", s)
	}
	return int(n), nil
}

func (a *app) parityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "parity",
		Short: "Keep parity, so that damaged files heal",
		Long: `Parity lies beside the files of a repository and brings back what a disk damages of them: with
10%, as much as a tenth of a pack, in one stretch or scattered. It is no second copy: a disk
that fails altogether takes it along. firn scrub reads, heals, and adds parity where it is missing.`,
		Example: `  firn parity enable -r /backup/firn
  firn parity status -r /backup/firn`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.parityEnableCommand(), a.parityDisableCommand(), a.parityStatusCommand())
	return cmd
}

func (a *app) parityEnableCommand() *cobra.Command {
	percent := strconv.Itoa(repo.DefaultParity)
	cmd := &cobra.Command{
		Use:   "enable",
		Short: "Keep parity from now on",
		Long: `Keep parity beside every file that is written from now on. Files that are there already get
it from firn scrub, which reads them anyway; so do those of keys that may only back up. With
another percentage than before, scrub makes the parity of all files anew.`,
		Example: `  firn parity enable -r /backup/firn
  firn parity enable -r /backup/firn --percent 20 && firn scrub -r /backup/firn`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := parseParity(percent)
			if err == nil && n == 0 {
				err = usageError(`--percent "": want a whole number of percent, from 1 to 100`)
			}
			if err != nil {
				return err
			}
			return a.setParity(cmd.Context(), n, false)
		},
	}
	cmd.Flags().StringVar(&percent, "percent", percent, "how much parity: `PERCENT` of each pack")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) parityDisableCommand() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "disable",
		Short: "Keep no parity from now on",
		Long: `Give files that are written from now on no parity. Parity that is there stays and still heals,
unless --remove removes it.`,
		Example: `  firn parity disable -r /backup/firn
  firn parity disable -r /backup/firn --remove`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.setParity(cmd.Context(), 0, remove) },
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove all parity there is, too")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) parityStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how much of the repository has parity",
		Long: `Say how much parity new files get, how much of the repository has it, and what it takes.
The files are counted, not read.`,
		Example: `  firn parity status -r /backup/firn
  firn parity status -r /backup/firn --json`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRepository(cmd.Context(), func(_ *profile, r *repo.Repository) error {
				return a.parityStatus(cmd.Context(), r)
			})
		},
	}
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) setParity(ctx context.Context, percent int, remove bool) error {
	return a.withRepository(ctx, func(_ *profile, r *repo.Repository) error {
		if err := r.SetParity(ctx, percent); err != nil {
			return err
		}
		removed := int64(0)
		if remove {
			var err error
			if removed, err = r.RemoveParity(ctx); err != nil {
				return err
			}
		}
		if a.flags.json || percent > 0 {
			return a.parityStatus(ctx, r)
		}
		if !a.flags.quiet {
			a.print("new files get no parity\n")
			if remove {
				a.print("  removed  %s\n", humanSize(removed))
			}
		}
		return nil
	})
}

func (a *app) parityStatus(ctx context.Context, r *repo.Repository) error {
	s, err := r.ParityStatus(ctx)
	if err != nil {
		return err
	}
	if a.flags.json {
		return a.result(s)
	}
	if a.flags.quiet {
		return nil
	}
	if s.Percent > 0 {
		a.print("new files get %d%% of parity\n", s.Percent)
	} else {
		a.print("new files get no parity\n")
	}
	a.print("  packs    %s of %s have it\n", humanCount(s.Protected.Packs), counted(s.Packs.Packs, "pack", "packs"))
	a.print("  log      %s of %s have it\n", humanCount(int64(s.LogCovered)), counted(int64(s.Commits), "commit", "commits"))
	a.print("  parity   %s, %s\n", counted(s.Files, "file", "files"), humanSize(s.ParityBytes))
	if s.Percent > 0 && (s.Protected != s.Packs || s.LogCovered != s.Commits) {
		a.print("  next     \"firn scrub\" adds what is missing\n")
	}
	return nil
}

// mendedObject is a line of JSON about a file of the repository that is, or was, damaged.
type mendedObject struct {
	Type      string   `json:"type"` // "problem"
	File      string   `json:"file"`
	Message   string   `json:"message"`
	Healed    bool     `json:"healed"`
	Snapshots []string `json:"snapshots,omitempty"` // that it affects
	Paths     []string `json:"paths,omitempty"`     // in them
}

// mended reports a file that is, or was, damaged; verb says what became of those that are
// well again.
func (a *app) mended(m repo.Mended, verb string, snapshots, paths []string) {
	text := m.File + ": " + strings.TrimPrefix(m.Err.Error(), m.File+": ")
	if m.Healed {
		text = verb + " " + text
	}
	a.console.message(text)
	for i, p := range paths {
		if i == shownPaths {
			a.console.message(fmt.Sprintf("  and %s more", humanCount(int64(len(paths)-i))))
			break
		}
		a.console.message("  affects " + p)
	}
	if a.flags.json {
		a.event(mendedObject{"problem", m.File, m.Err.Error(), m.Healed, snapshots, paths})
	}
}
