package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// restoreFlags are the flags of firn restore.
type restoreFlags struct {
	filterFlags
	target, subtree          string
	include, exclude         []string
	includeFile, excludeFile []string
	overwrite, sparse        string
	inPlace, deleteExtra     bool
	dryRun, verify           bool
	at                       string
	noOwner, numericOwner    bool
	workers                  int
	progress                 bool
}

func (a *app) restoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore SNAPSHOT[:PATH]",
		Short: "Write the files of a snapshot, or the objects of a bucket, back",
		Long: `Write the files of a snapshot, or of one path of it, below the directory of --target,
which is made if it is missing. Paths keep their place: /etc/fstab goes to TARGET/etc/fstab.
With --in-place they go where they came from.

Of files that exist, only what differs is written. By default (--overwrite if-changed) a
file of the same size and modification time counts as equal; always compares contents, and
never leaves what exists alone. An interrupted restore is continued by the same command.
What cannot be restored is named and counted, the rest is restored, and the exit code is 3.

With --json standard output has one object per line: those of type problem name a file,
those of type status (with --progress) come every second, the last one is of type summary.
When the restore stops before its end, the last one has error and exit_code instead.

Objects go to TARGET/KEY, with mode and time as s3fs and rclone note them in their metadata,
otherwise with the time of the object. Keys that cannot be paths are named and left out.` + placeHelp,
		Example: `  firn restore -r /backup/firn latest --target /tmp/back
  firn restore -r /backup/firn 3f9a:/home/ann/docs --target /tmp/back --exclude '*.iso'
  firn restore -r /backup/firn latest --path /etc --in-place --dry-run
  firn restore -r /backup/firn s3:photos --at 2026-11-20T10:00 --target /tmp/back`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), &f, args[0]) },

		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(cmd)
	return exitsOf(cmd, append([]int{exitPartial}, exitsOpen...)...)
}

func (f *restoreFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.target, "target", "t", "", "`DIR` to restore to")
	fl.BoolVar(&f.inPlace, "in-place", false, "restore to where the files came from: --target /")
	fl.StringVar(&f.subtree, "path", "", "restore only this `PATH` of the snapshot")
	fl.StringArrayVarP(&f.include, "include", "i", nil, "restore only what fits the `PATTERN` (repeat; firn help patterns)")
	fl.StringArrayVar(&f.includeFile, "include-file", nil, "restore only what fits a pattern of this `FILE` (repeat)")
	fl.StringArrayVarP(&f.exclude, "exclude", "e", nil, "leave out what fits the `PATTERN` (repeat)")
	fl.StringArrayVar(&f.excludeFile, "exclude-file", nil, "leave out what fits a pattern of this `FILE` (repeat)")
	fl.StringVar(&f.overwrite, "overwrite", "if-changed", "`WHEN` to write over what exists: if-changed, always or never")
	fl.BoolVar(&f.deleteExtra, "delete", false, "remove what is not in the snapshot, except what --exclude leaves out")
	fl.BoolVarP(&f.dryRun, "dry-run", "n", false, "touch nothing, only tell what would be done")
	fl.BoolVar(&f.verify, "verify", false, "read every file back and compare it")
	fl.StringVar(&f.sparse, "sparse", "auto", "`WHEN` to write zeros as holes: auto (as they were), always or never")
	fl.BoolVar(&f.noOwner, "no-owner", false, "leave owners and groups to the system")
	fl.BoolVar(&f.numericOwner, "numeric-owner", false, "take owners and groups by number, not by name")
	fl.IntVar(&f.workers, "workers", 0, "work with `N` threads (default: one for each CPU)")
	fl.BoolVar(&f.progress, "progress", false, "with --json, tell every second how far it is")
	addAt(cmd, &f.at)
	f.filterFlags.add(cmd, "latest: the latest")
	choices(cmd, "overwrite", "if-changed", "always", "never")
	choices(cmd, "sparse", "auto", "always", "never")
	_ = cmd.MarkFlagDirname("target")
}

func (a *app) restore(ctx context.Context, f *restoreFlags, spec string) error {
	opt, err := f.options()
	if err != nil {
		return err
	}
	p, err := parsePlace(spec, f.at)
	switch {
	case err != nil:
		return err
	case p.bucket != "":
		return a.restoreBucket(ctx, f, p)
	case p.path != "" && opt.Path != "":
		return usageError("give the path after the colon or with --path, not both")
	}
	opt.Path = firstOf(opt.Path, p.path)
	opt.Problem = a.problems("restore")
	opt.Progress = &snapshot.Progress{}
	var res *snapshot.RestoreResult
	var s *snapshot.Snapshot
	err = a.withRepository(ctx, func(_ *profile, r *repo.Repository) (err error) {
		if s, err = p.find(r, f.filter()); err != nil {
			return err
		}
		if err := refuseFrozen(s); err != nil {
			return err
		}
		if f.inPlace {
			if err := knowsPlace(ctx, r, s); err != nil {
				return err
			}
		}
		stop := a.watch(opt.Progress, f.progress)
		defer stop()
		res, err = snapshot.Restore(ctx, r, s, *opt)
		return err
	})
	if err != nil {
		if res != nil && res.Files > 0 && !opt.DryRun {
			a.console.message(counted(res.Files, "file is", "files are") + " restored; the same command goes on from there")
		}
		return err
	}
	return a.printRestored(s, res, opt)
}

// options are what the flags say.
func (f *restoreFlags) options() (*snapshot.RestoreOptions, error) {
	switch {
	case f.inPlace && f.target != "":
		return nil, usageError("give --target or --in-place, not both")
	case f.inPlace && runtime.GOOS == "windows":
		return nil, usageError("--in-place needs a system with one root; give --target and --path")
	case !f.inPlace && f.target == "":
		return nil, usageError("name the directory to restore to with --target, or use --in-place")
	case f.workers < 0:
		return nil, usageError("--workers %d: want a number above 0", f.workers)
	}
	opt := &snapshot.RestoreOptions{
		Target: f.target, Path: f.subtree, Delete: f.deleteExtra, DryRun: f.dryRun, Verify: f.verify,
		NoOwner: f.noOwner, NumericOwner: f.numericOwner, Workers: f.workers,
	}
	if f.inPlace {
		opt.Target = string(filepath.Separator)
	}
	switch f.overwrite {
	case "if-changed", "always", "never":
		opt.Overwrite = snapshot.Overwrite(f.overwrite)
	default:
		return nil, usageError("--overwrite %q: want if-changed, always or never", f.overwrite)
	}
	switch f.sparse {
	case "auto", "always", "never":
		opt.Sparse = snapshot.SparseMode(f.sparse)
	default:
		return nil, usageError("--sparse %q: want auto, always or never", f.sparse)
	}
	var err error
	if opt.Include, err = matcher(f.include, f.includeFile); err != nil {
		return nil, err
	}
	opt.Exclude, err = matcher(f.exclude, f.excludeFile)
	return opt, err
}

// knowsPlace refuses a snapshot of relative paths or of a stream: its tree does not say
// where they came from.
func knowsPlace(ctx context.Context, r *repo.Repository, s *snapshot.Snapshot) error {
	for _, p := range s.Paths() {
		if _, err := s.Lookup(ctx, r, p); err != nil {
			return fmt.Errorf("snapshot %s was made from a relative path, so %s is not in it as such; give --target instead of --in-place", s.Short(), p)
		}
	}
	return nil
}

// printRestored prints the closing summary.
func (a *app) printRestored(s *snapshot.Snapshot, res *snapshot.RestoreResult, opt *snapshot.RestoreOptions) error {
	for _, note := range res.Notes {
		a.console.message("note: " + note)
	}
	switch {
	case a.flags.json:
		err := a.result(struct {
			Type     string `json:"type"` // "summary"
			Snapshot string `json:"snapshot"`
			Target   string `json:"target"`
			*snapshot.RestoreResult
		}{"summary", s.ID(), opt.Target, res})
		if err != nil {
			return err
		}
	case !a.flags.quiet:
		a.restoreSummary(s, res, opt)
	}
	if res.Problems > 0 {
		return &partialError{counted(res.Problems, "problem", "problems") + " while restoring; what could not be restored is named above"}
	}
	return nil
}

func (a *app) restoreSummary(s *snapshot.Snapshot, res *snapshot.RestoreResult, opt *snapshot.RestoreOptions) {
	took := time.Duration(res.Seconds * float64(time.Second))
	title := fmt.Sprintf("snapshot %s restored to %s", s.Short(), visible(opt.Target))
	if res.DryRun {
		title = fmt.Sprintf("dry run: snapshot %s to %s, nothing was touched", s.Short(), visible(opt.Target))
	}
	a.print("%s in %s%s\n", title, humanDuration(took), rateText(res.BytesWritten, took))
	a.print("  files   %s, %s: %s were there already, %s written\n", humanCount(res.Files), humanSize(res.Bytes),
		humanCount(res.Unchanged), humanSize(res.BytesWritten))
	if res.Kept > 0 {
		a.print("  kept    %s, since --overwrite is never\n", counted(res.Kept, "file as it was", "files as they were"))
	}
	beside := []string{counted(res.Dirs, "directory", "directories")}
	for _, c := range []struct {
		n         int64
		one, many string
	}{{res.Links, "symbolic link", "symbolic links"}, {res.HardLinks, "hard link", "hard links"},
		{res.Other, "special file", "special files"}, {res.Sockets, "socket left out", "sockets left out"}} {
		if c.n > 0 {
			beside = append(beside, counted(c.n, c.one, c.many))
		}
	}
	a.print("  beside  %s\n", strings.Join(beside, ", "))
	if opt.Delete {
		a.print("  deleted %s\n", counted(res.Deleted, "entry that the snapshot does not have", "entries that the snapshot does not have"))
	}
	if opt.Verify && !res.DryRun {
		a.print("  verify  %s read back\n", counted(res.Verified, "file", "files"))
	}
}

// rateText is bytes in a time, for the end of a line; nothing for a time too short.
func rateText(bytes int64, took time.Duration) string {
	if took < 50*time.Millisecond || bytes == 0 {
		return ""
	}
	return fmt.Sprintf(", %s/s", humanSize(int64(float64(bytes)/took.Seconds())))
}
