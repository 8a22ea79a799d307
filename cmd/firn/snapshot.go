package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3"
	"github.com/firnstore/firn/snapshot"
)

func (a *app) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Freeze a bucket, and bring it back",
		Long: `A snapshot of a bucket keeps its objects with metadata and tags as they are, whether the
bucket has versioning or not. It is one like those of directories: firn snapshots lists it, firn
forget removes it, firn check proves it, and what it needs survives firn prune. S3 clients of
root read it below s3://firn-snapshots/BUCKET/.`,
		Example: `  firn snapshot create s3:photos
  firn snapshot restore 3f9a --in-place`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.snapshotCreateCommand(), a.snapshotRestoreCommand())
	return cmd
}

func (a *app) snapshotCreateCommand() *cobra.Command {
	opt := snapshot.FreezeOptions{}
	var retention string
	cmd := &cobra.Command{
		Use:   "create s3:BUCKET",
		Short: "Make a snapshot of a bucket",
		Long: `Make a snapshot of all objects of a bucket. It shares their contents, so no byte is copied,
and it stands on the snapshot made before: it costs what changed since then in the log.

With --json the result is one object: snapshot, bucket, parent, objects, bytes and
objects_looked_at.`,
		Example: `  firn snapshot create s3:photos --tag before-upgrade
  firn snapshot create s3:photos --retention compliance:90d
  firn snapshot create s3:photos --json | jq -r .snapshot`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parsePlace(args[0], "")
			switch {
			case err != nil:
				return err
			case p.bucket == "" || p.prefix != "" || !p.at.IsZero():
				return usageError("%q: want s3:BUCKET; directories are backed up with firn backup", args[0])
			}
			opt.Bucket = p.bucket
			keep, err := parseRetention(retention)
			if err != nil {
				return err
			}
			if keep != nil {
				opt.Lock = &index.Lock{Mode: keep.Mode, Until: time.Now().AddDate(int(keep.Years), 0, int(keep.Days)).UnixNano()}
			}
			return a.withPlace(cmd.Context(), true, func(r *repo.Repository) error {
				res, err := snapshot.Freeze(cmd.Context(), r, opt)
				switch {
				case errors.Is(err, object.ErrNoBucket):
					return noBucket(p.bucket, err)
				case err != nil:
					return err
				case a.flags.json:
					return a.result(res)
				case !a.flags.quiet:
					a.print("snapshot %s of bucket %s in %s\n  objects %s, %s; %s looked at\n", res.ID[:8], visible(res.Bucket),
						humanDuration(time.Duration(res.Seconds*float64(time.Second))), humanCount(res.Objects), humanSize(res.Bytes), humanCount(res.Looked))
				}
				return nil
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opt.Program = "firn " + versionText()
	fl := cmd.Flags()
	fl.StringVar(&opt.Host, "host", "", "`HOST` to note in the snapshot")
	fl.StringArrayVar(&opt.Tags, "tag", nil, "`TAG` of the snapshot (repeat)")
	fl.StringVar(&retention, "retention", "", "`MODE:TIME` for which it cannot be forgotten: governance:30d or compliance:1y")
	fl.BoolVar(&opt.Full, "full", false, "look at every object, also when there is an earlier snapshot")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) snapshotRestoreCommand() *cobra.Command {
	var f filterFlags
	var inPlace, keep bool
	var at string
	opt := snapshot.ThawOptions{}
	cmd := &cobra.Command{
		Use:   "restore SNAPSHOT",
		Short: "Put the objects of a frozen bucket back",
		Long: `Put the objects of a snapshot of a bucket back where they were (--in-place), or into another
bucket that is there (--target s3:OTHER). Objects that are there as they were are left alone,
others become new versions with the metadata and tags they had. In place, what came later is
deleted, unless --keep is given; in a bucket with versioning that is a delete marker. Locks
bind: what they forbid is named and counted, and the exit code is 3.

With --json those of type problem name a key, and the last object is of type summary.`,
		Example: `  firn snapshot restore 3f9a --in-place
  firn snapshot restore latest --at 2026-11-20T10:00 --target s3:photos-before`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parsePlace(args[0], at)
			if err != nil {
				return err
			}
			if p.bucket != "" || p.path != "" {
				return usageError("%q: want a snapshot of a bucket; firn snapshots lists them", args[0])
			}
			if opt.Bucket, err = thawTarget(inPlace, opt.Bucket); err != nil {
				return err
			}
			opt.Delete, opt.Problem = inPlace && !keep, a.problems("restore")
			return a.thaw(cmd, p, f.filter(), opt)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	fl := cmd.Flags()
	fl.BoolVar(&inPlace, "in-place", false, "restore to the bucket that the snapshot is of")
	fl.BoolVar(&keep, "keep", false, "with --in-place, leave what the snapshot does not have")
	fl.StringVarP(&opt.Bucket, "target", "t", "", "restore to this bucket, `s3:BUCKET`")
	fl.BoolVarP(&opt.DryRun, "dry-run", "n", false, "write nothing, only tell what would be done")
	addAt(cmd, &at)
	f.add(cmd, "latest: the latest")
	return exitsOf(cmd, append([]int{exitPartial}, exitsOpen...)...)
}

// thawTarget is the bucket that the flags name, "" for the one that the snapshot is of.
func thawTarget(inPlace bool, target string) (string, error) {
	if inPlace == (target != "") {
		return "", usageError("give --in-place or --target s3:BUCKET")
	}
	if inPlace {
		return "", nil
	}
	p, err := parsePlace(target, "")
	if err != nil || p.bucket == "" || p.prefix != "" || !p.at.IsZero() {
		return "", usageError("--target %q: want s3:BUCKET", target)
	}
	return p.bucket, nil
}

func (a *app) thaw(cmd *cobra.Command, p *place, f snapshot.Filter, opt snapshot.ThawOptions) error {
	var res *snapshot.ThawResult
	f.Bucket = object.Frozen
	err := a.withEngine(cmd.Context(), func(e *object.Engine) error {
		s, err := p.find(e.Repository(), f)
		if err != nil {
			return err
		}
		from, _ := object.FrozenBucket(s.Version)
		opt.Refuse = func(bucket string, v *index.Version) error {
			if bucket != from && s3.NeedsBucketKey(v) {
				return errors.New("it is encrypted with a key of its bucket (SSE-KMS) and can only be there")
			}
			return nil
		}
		res, err = snapshot.Thaw(cmd.Context(), e, s, opt)
		return noBucket(firstOf(opt.Bucket, from), err)
	})
	switch {
	case err != nil:
		return err
	case a.flags.json:
		err = a.result(struct {
			Type string `json:"type"`
			*snapshot.ThawResult
		}{"summary", res})
	case !a.flags.quiet:
		title := "restored"
		if res.DryRun {
			title = "would be restored"
		}
		a.print("bucket %s %s: %s written, %s deleted, %s as they were\n", visible(res.Bucket), title,
			humanCount(res.Restored), humanCount(res.Deleted), humanCount(res.Unchanged))
	}
	if err == nil && res.Problems > 0 {
		err = &partialError{counted(res.Problems, "problem", "problems") + " while restoring; what could not be restored is named above"}
	}
	return err
}

// refuseFrozen says how a snapshot of a bucket is restored.
func refuseFrozen(s *snapshot.Snapshot) error {
	if bucket, _ := object.FrozenBucket(s.Version); bucket != "" {
		return fmt.Errorf("snapshot %s is of bucket %s; firn snapshot restore puts it back, and S3 clients read it below s3://%s/%s/",
			s.Short(), bucket, object.Frozen, bucket)
	}
	return nil
}
