package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
)

func (a *app) indexCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Look after the local index",
		Long: `The index is what this machine knows of the repository's log. It lies in the folder
firn of the user's caches, may be deleted at any time, and is made anew when it is missing.`,
		Example: `  firn index rebuild -r /backup/firn
  firn stats -r /backup/firn --json     # says where it is`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.indexRebuildCommand())
	return cmd
}

func (a *app) indexRebuildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the local index anew from the log",
		Long: `Make the local index anew from the log of the repository. Nothing in the repository
changes. The index of before goes only when the new one is whole, and has every commit
that the old one knew. firn does this by itself when it finds the index damaged.`,
		Example: `  firn index rebuild -r /backup/firn
  firn index rebuild -r /backup/firn --json`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.indexRebuild(cmd.Context()) },
	}
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) indexRebuild(ctx context.Context) error {
	start := time.Now()
	opt := repo.Options{NoIndex: true}
	if !a.flags.quiet && !a.flags.json {
		opt.Progress = func(commit uint64) {
			a.console.show(func(int) string { return fmt.Sprintf("commit %s of the log", humanCount(int64(commit))) })
		}
	}
	return a.withOptions(ctx, opt, func(_ *profile, r *repo.Repository) error {
		seq, _, err := r.Index().Applied()
		if err != nil {
			return err
		}
		took := time.Since(start)
		if a.flags.json {
			return a.result(struct {
				Path    string  `json:"index_path"`
				Bytes   int64   `json:"index_bytes"`
				Commits uint64  `json:"commits"`
				Seconds float64 `json:"seconds"`
			}{r.Index().Path(), r.Index().Size(), seq, took.Seconds()})
		}
		if !a.flags.quiet {
			a.print("made the index anew from %s in %s: %s, %s\n", counted(int64(seq), "commit", "commits"),
				humanDuration(took), visible(r.Index().Path()), humanSize(r.Index().Size()))
		}
		return nil
	})
}
