package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// filterFlags choose snapshots.
type filterFlags struct {
	host, path string
	tags       []string
}

func (f *filterFlags) add(cmd *cobra.Command, verb string) {
	cmd.Flags().StringVar(&f.host, "host", "", verb+" of this `HOST`")
	cmd.Flags().StringArrayVar(&f.tags, "tag", nil, verb+" with this `TAG` (repeat: with all of them)")
}

func (f *filterFlags) filter() snapshot.Filter {
	return snapshot.Filter{Host: f.host, Tags: f.tags, Path: f.path}
}

func (a *app) snapshotsCommand() *cobra.Command {
	var f filterFlags
	var latest int
	cmd := &cobra.Command{
		Use:     "snapshots",
		Aliases: []string{"list"},
		Short:   "List the snapshots",
		Long: `List the snapshots of the repository, oldest first. Wherever a command takes a
SNAPSHOT, the first digits of its ID do, or the word latest.

With --json the result is one array of objects with id, time (RFC 3339), host, paths,
tags and what was stored.`,
		Example: `  firn snapshots -r /backup/firn
  firn snapshots -r /backup/firn --host web1 --latest 7`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if latest < 0 {
				return usageError("--latest %d: want a number above 0", latest)
			}
			return a.withRepository(cmd.Context(), func(_ *profile, r *repo.Repository) error {
				all, err := snapshot.List(r, f.filter())
				if err != nil {
					return err
				}
				if latest > 0 && len(all) > latest {
					all = all[len(all)-latest:]
				}
				return a.printSnapshots(all)
			})
		},
	}
	f.add(cmd, "only those")
	cmd.Flags().StringVar(&f.path, "path", "", "only those of this `PATH`")
	cmd.Flags().IntVar(&latest, "latest", 0, "only the last `N` of those chosen")
	return exitsOf(cmd, exitsOpen...)
}

// snapshotObject is a snapshot in JSON.
type snapshotObject struct {
	ID         string    `json:"id"`
	Short      string    `json:"short_id"`
	Time       time.Time `json:"time"`
	Host       string    `json:"host"`
	User       string    `json:"user,omitempty"`
	Paths      []string  `json:"paths"`
	Tags       []string  `json:"tags"`
	Parent     string    `json:"parent,omitempty"`
	Bucket     string    `json:"bucket"`
	Key        string    `json:"key"`
	Files      uint64    `json:"files"`
	Bytes      uint64    `json:"bytes"`
	BytesNew   uint64    `json:"bytes_new"`
	BytesAdded uint64    `json:"bytes_added"`
	Problems   uint64    `json:"problems"`
	Seconds    float64   `json:"seconds"`
	Program    string    `json:"program,omitempty"`
}

func objectOf(s *snapshot.Snapshot) snapshotObject {
	v := s.Version.Snapshot
	o := snapshotObject{
		ID: s.ID(), Short: s.Short(), Time: s.Time().UTC(), Host: v.Host, User: v.User,
		Paths: s.Paths(), Tags: v.Tags, Bucket: s.Version.Bucket, Key: string(s.Version.Key),
		Files: v.Files, Bytes: v.Bytes, BytesNew: v.BytesNew, BytesAdded: v.BytesAdded,
		Problems: v.Unreadable, Seconds: time.Duration(v.End - v.Start).Seconds(), Program: v.Program,
	}
	if o.Tags == nil {
		o.Tags = []string{}
	}
	if v.Parent != nil {
		o.Parent = v.Parent.String()
	}
	return o
}

func (a *app) printSnapshots(all []*snapshot.Snapshot) error {
	if a.flags.json {
		list := make([]snapshotObject, len(all))
		for i, s := range all {
			list[i] = objectOf(s)
		}
		return a.result(list)
	}
	if len(all) == 0 {
		a.console.message("there are no snapshots that fit")
		return nil
	}
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tHOST\tFILES\tSIZE\tTAGS\tPATHS")
	for _, s := range all {
		v := s.Version.Snapshot
		note := ""
		if v.Unreadable > 0 {
			note = fmt.Sprintf("  (%s unread)", humanCount(int64(v.Unreadable)))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s%s\n", s.Short(), s.Time().Local().Format("2006-01-02 15:04:05"),
			visible(v.Host), humanCount(int64(v.Files)), humanSize(int64(v.Bytes)),
			visible(strings.Join(v.Tags, ",")), visible(strings.Join(s.Paths(), " ")), note)
	}
	return t.Flush()
}
