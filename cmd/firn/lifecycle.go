package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3"
)

func (a *app) lifecycleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lifecycle",
		Short: "Carry out the lifecycle rules of buckets",
		Long: `Carry out the lifecycle rules of buckets, or tell when that was done last. firn serve s3 does
it by itself, once a day after midnight UTC; these commands are for repositories that no
server serves, and for looking ahead.`,
		Example: `  firn lifecycle run -r /backup/firn --dry-run
  firn lifecycle status -r /backup/firn`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.lifecycleRunCommand(), a.lifecycleStatusCommand())
	return cmd
}

func (a *app) lifecycleRunCommand() *cobra.Command {
	var bucket string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Carry out what the rules say is due now",
		Long: `Carry out what the lifecycle rules of all buckets say is due now: remove versions, put
delete markers, change storage classes, abort uploads. What is under an object lock stays.
A snapshot that a rule for noncurrent versions removes can be brought back by firn
undelete; the newest snapshot of a key is never removed. firn prune frees the space.

Clients may work meanwhile. Running it again changes nothing. --dry-run lists what would be
done and changes nothing. Without --bucket this is the run of the day: no server makes
another one.

With --json there is a line of type deed for each version or upload, and one of type
summary at the end.`,
		Example: `  firn lifecycle run -r /backup/firn
  firn lifecycle run -r /backup/firn --bucket photos --dry-run`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error { return a.lifecycleRun(cmd.Context(), e, bucket, dryRun) })
		},
	}
	cmd.Flags().StringVar(&bucket, "bucket", "", "only the rules of the bucket `NAME`")
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "change nothing, only tell what would be done")
	return exitsOf(cmd, exitsOpen...)
}

// deedObject is what a rule did, in JSON.
type deedObject struct {
	Type    string `json:"type"` // "deed"
	Deed    string `json:"deed"` // remove, mark, move, abort
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version_id,omitempty"`
	Upload  string `json:"upload_id,omitempty"`
	Class   string `json:"storage_class,omitempty"` // that it has now
	Rule    string `json:"rule"`
}

func deedObjectOf(d *object.LifecycleDeed) deedObject {
	o := deedObject{Type: "deed", Bucket: d.Bucket.Name, Key: string(d.Version.Key), Rule: d.Rule, Class: d.Class, Upload: d.Upload}
	switch {
	case d.Upload != "":
		o.Deed = "abort"
	case d.Deed == lifecycle.Remove:
		o.Deed = "remove"
	case d.Deed == lifecycle.PutMarker:
		o.Deed = "mark"
	case d.Deed == lifecycle.Transit:
		o.Deed = "move"
	}
	if d.Upload == "" && d.Bucket.Versioning != object.Unversioned {
		o.Version = shownVersion(d.Version)
	}
	return o
}

// shownVersion is how S3 names a version.
func shownVersion(v *index.Version) string {
	if v.Null {
		return "null"
	}
	return hex.EncodeToString(v.ID[:])
}

func (a *app) lifecycleRun(ctx context.Context, e *object.Engine, bucket string, dryRun bool) error {
	opt := s3.New(e, s3.Options{}).Lifecycle()
	opt.Bucket, opt.DryRun, opt.Force = bucket, dryRun, true
	opt.Done = func(d *object.LifecycleDeed) {
		o := deedObjectOf(d)
		switch {
		case a.flags.json:
			_ = a.result(o) // the error stays in the writer
		case dryRun && !a.flags.quiet:
			version := ""
			if o.Version != "" {
				version = " version " + o.Version
			}
			if o.Upload != "" {
				version = " upload " + o.Upload
			}
			class := ""
			if o.Class != "" {
				class = " to " + o.Class
			}
			a.print("%s%s  %s/%s%s  rule %s\n", o.Deed, class, visible(o.Bucket), visible(o.Key), version, visible(o.Rule))
		}
	}
	start := time.Now()
	run, err := e.RunLifecycle(ctx, opt)
	if err != nil {
		return err
	}
	if dryRun {
		a.console.message("dry run: nothing is changed")
	}
	if a.flags.json {
		return a.result(struct {
			Type string `json:"type"` // "summary"
			object.LifecycleCounts
			DryRun  bool    `json:"dry_run,omitempty"`
			Seconds float64 `json:"seconds"`
		}{"summary", run.Counts, dryRun, time.Since(start).Seconds()})
	}
	if a.flags.quiet {
		return nil
	}
	text := deedsText(&run.Counts, dryRun)
	if text == "" {
		text = "nothing is due"
	}
	a.print("%s; %s looked at\n", text, counted(int64(run.Counts.Looked), "version or upload", "versions and uploads"))
	return nil
}

// lifecycleObject is the result of firn lifecycle status in JSON.
type lifecycleObject struct {
	Day      string     `json:"day"` // RFC 3339
	Server   string     `json:"server"`
	Started  time.Time  `json:"started"`
	Renewed  time.Time  `json:"renewed"`
	Finished *time.Time `json:"finished,omitempty"`
	Bucket   string     `json:"bucket,omitempty"` // where an unfinished run is
	object.LifecycleCounts
}

func (a *app) lifecycleStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell of the last run of lifecycle rules",
		Long: `Tell of the last run of lifecycle rules, or of one that is under way: when it was, which
server made it, and what it did. With --json the result is one object, or null.`,
		Example: `  firn lifecycle status -r /backup/firn
  firn lifecycle status -r /backup/firn --json | jq .finished`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				run, err := e.LastLifecycle()
				if err != nil {
					return err
				}
				return a.lifecycleStatus(run)
			})
		},
	}
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) lifecycleStatus(run *object.LifecycleRun) error {
	if run == nil {
		if a.flags.json {
			return a.result(nil)
		}
		a.console.message("no server has carried out lifecycle rules yet")
		return nil
	}
	at := func(ns int64) time.Time { return time.Unix(0, ns).UTC() }
	o := lifecycleObject{Day: at(run.Day).Format(time.RFC3339), Server: run.Server, Started: at(run.Started), Renewed: at(run.Renewed),
		Bucket: run.Bucket, LifecycleCounts: run.Counts}
	if run.Finished > 0 {
		t := at(run.Finished)
		o.Finished = &t
	}
	if a.flags.json {
		return a.result(o)
	}
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, value) }
	const layout = "2006-01-02 15:04:05"
	row("day", at(run.Day).Format(layout)+" UTC")
	row("server", run.Server)
	row("started", at(run.Started).Local().Format(layout))
	if o.Finished != nil {
		row("finished", o.Finished.Local().Format(layout))
	} else {
		row("under way", "in bucket "+visible(run.Bucket)+", last heard of "+at(run.Renewed).Local().Format(layout))
	}
	did := deedsText(&run.Counts, false)
	if did == "" {
		did = "nothing was due"
	}
	row("did", did)
	row("looked at", counted(int64(run.Counts.Looked), "version or upload", "versions and uploads"))
	return t.Flush()
}
