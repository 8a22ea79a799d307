package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// statsObject is the result of firn stats in JSON.
type statsObject struct {
	Repository string `json:"repository"`
	ID         string `json:"id"`
	Chunking   string `json:"chunk_profile"`
	Key        string `json:"key"`
	IndexPath  string `json:"index_path"`
	IndexBytes int64  `json:"index_bytes"`
	*snapshot.Stats
}

func (a *app) statsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Tell how large the repository is, step by step",
		Long: `Tell what all snapshots would be when restored (logical), what is left when every chunk
is stored once (deduplicated), after compression (compressed), and in the files of the
repository (on disk); and where the local index lies, which may be deleted at any time.`,
		Example: `  firn stats -r /backup/firn
  firn stats -r /backup/firn --json | jq .on_disk`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRepository(cmd.Context(), func(p *profile, r *repo.Repository) error {
				st, err := snapshot.Statistics(cmd.Context(), r)
				if err != nil {
					return err
				}
				role, name := r.Role()
				o := statsObject{
					Repository: p.Repository, ID: r.ID(), Chunking: r.Profile().Name, Key: role.String() + "/" + name,
					IndexPath: r.Index().Path(), IndexBytes: r.Index().Size(), Stats: st,
				}
				if a.flags.json {
					return a.result(o)
				}
				return a.printStats(&o)
			})
		},
	}
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) printStats(o *statsObject) error {
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	row := func(name string, size int64, note string) {
		fmt.Fprintf(t, "  %s\t%s\t  %s\n", name, humanSize(size), note)
	}
	a.print("repository %s in %s\n", o.ID[:8], visible(o.Repository))
	row("logical", o.Logical, fmt.Sprintf("in %s", counted(o.Snapshots, "snapshot", "snapshots")))
	row("deduplicated", o.Deduplicated, fmt.Sprintf("in %s, ratio %s", counted(o.Chunks, "chunk", "chunks"), ratio(o.Logical, o.Deduplicated)))
	row("compressed", o.Compressed, fmt.Sprintf("ratio %s", ratio(o.Deduplicated, o.Compressed)))
	row("on disk", o.OnDisk, fmt.Sprintf("in %s and %s, metadata included, ratio %s in all",
		counted(o.Packs, "pack", "packs"), counted(int64(o.Commits), "commit", "commits"), ratio(o.Logical, o.OnDisk)))
	if err := t.Flush(); err != nil {
		return err
	}
	a.print("local index %s, %s\n", visible(o.IndexPath), humanSize(o.IndexBytes))
	if len(o.Buckets) == 0 {
		return nil
	}
	t = tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "BUCKET\tKEYS\tVERSIONS\tSNAPSHOTS\tFILES\tLOGICAL")
	for _, b := range o.Buckets {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", visible(b.Name), humanCount(b.Keys), humanCount(b.Versions),
			humanCount(b.Snapshots), humanCount(b.Files), humanSize(b.Logical))
	}
	return t.Flush()
}
