package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

func (a *app) undeleteCommand() *cobra.Command {
	var list, packs bool
	cmd := &cobra.Command{
		Use:   "undelete [SNAPSHOT…]",
		Short: "Bring back snapshots that were forgotten",
		Long: `Bring back snapshots that were forgotten, with all that they need, until the grace of
firn prune has passed. --list shows which can come back. With --packs all packs that were
dropped come back without any snapshot; the next prune drops those that nothing needs.

A snapshot that comes back is the newest version of its key. It comes back whole or not at
all.

With --json the result is one object with snapshots, packs and lost (packs that cannot come
back), or with --list one array.`,
		Example: `  firn undelete -r /backup/firn --list
  firn undelete -r /backup/firn 1a2b3c4d`,
		Args: args(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case list && (packs || len(args) > 0), packs && len(args) > 0:
				return usageError("give snapshots, --list or --packs, only one of them")
			case !list && !packs && len(args) == 0:
				return usageError("name snapshots; --list shows which can come back")
			}
			return a.withRepository(cmd.Context(), func(_ *profile, r *repo.Repository) error {
				if list {
					return a.listForgotten(r)
				}
				return a.undelete(cmd.Context(), r, args)
			})
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "list the snapshots that can come back")
	cmd.Flags().BoolVar(&packs, "packs", false, "bring back packs alone")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) undelete(ctx context.Context, r *repo.Repository, specs []string) error {
	res, err := snapshot.Undelete(ctx, r, specs)
	if err != nil {
		return err
	}
	if a.flags.json {
		return a.result(res)
	}
	if a.flags.quiet {
		return nil
	}
	for _, id := range res.Snapshots {
		a.print("snapshot %s is back\n", id[:8])
	}
	a.print("  packs   %s, %s came back\n", counted(res.Packs.Packs, "pack", "packs"), humanSize(res.Packs.Bytes))
	if res.Lost.Packs > 0 {
		a.print("  lost    %s, %s\n", counted(res.Lost.Packs, "pack", "packs"), humanSize(res.Lost.Bytes))
	}
	return nil
}

func (a *app) listForgotten(r *repo.Repository) error {
	all, err := snapshot.ListForgotten(r)
	if err != nil {
		return err
	}
	if a.flags.json {
		type object struct {
			snapshotObject
			Forgotten time.Time `json:"forgotten"`
		}
		objects := make([]object, len(all))
		for i, f := range all {
			objects[i] = object{objectOf(f.Snapshot), f.Since.UTC()}
		}
		return a.result(objects)
	}
	if len(all) == 0 {
		a.console.message("there are no forgotten snapshots that can come back")
		return nil
	}
	const layout = "2006-01-02 15:04:05"
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tFORGOTTEN\tHOST\tFILES\tSIZE\tTAGS\tPATHS")
	for _, f := range all {
		v := f.Version.Snapshot
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Short(), f.Time().Local().Format(layout), f.Since.Local().Format(layout),
			visible(v.Host), humanCount(int64(v.Files)), humanSize(int64(v.Bytes)),
			visible(strings.Join(v.Tags, ",")), visible(strings.Join(f.Paths(), " ")))
	}
	return t.Flush()
}
