package main

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// backupFlags are the flags of firn backup.
type backupFlags struct {
	exclude, excludeFile     []string
	excludeLarger            string
	excludeCaches            bool
	oneFileSystem            bool
	filesFrom, filesFrom0    []string
	tags                     []string
	host, bucket, key        string
	parent, compression      string
	dryRun, force            bool
	ignoreInode, ignoreCtime bool
	workers                  int
	stdin, stdinCommand      bool
	stdinFilename            string
	progress                 bool
}

func (a *app) backupCommand() *cobra.Command {
	var f backupFlags
	cmd := &cobra.Command{
		Use:   "backup PATH…",
		Short: "Save directories and files as a snapshot",
		Long: `Save directories and files as a snapshot. Files that did not change since the previous
snapshot of the same paths are not read again, and data that the repository has is not
stored again. Absolute paths keep all their components; relative ones keep those given.
The repository itself is left out when it lies below one of them.

What cannot be read is named and counted, the rest is saved, and the exit code is 3.
Ctrl-C stops cleanly: there is no snapshot, but what was stored is not stored again by the
next backup.

With --json standard output has one object per line: those of type problem name a file
that could not be read, one of type message says where the repository itself was left out,
those of type status (with --progress) come every second, and the last one, of type
summary, has snapshot, files, bytes and bytes_added. When there is no snapshot, the last
one has error and exit_code instead.`,
		Example: `  firn backup -r /backup/firn /home /etc --exclude '*.tmp' --exclude-caches
  firn backup -r /backup/firn --stdin-from-command --stdin-filename db.sql -- pg_dump shop
  find /srv -name '*.jpg' -print0 | firn backup -r /backup/firn --files-from0 -`,
		Args: args(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.backup(cmd.Context(), &f, args) },
	}
	f.add(cmd)
	return exitsOf(cmd, append([]int{exitPartial}, exitsOpen...)...)
}

func (f *backupFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.exclude, "exclude", "e", nil, "leave out what fits the `PATTERN` (repeat; firn help patterns)")
	fl.StringArrayVar(&f.excludeFile, "exclude-file", nil, "leave out what fits a pattern of this `FILE` (repeat)")
	fl.BoolVar(&f.excludeCaches, "exclude-caches", false, "leave out directories marked by a CACHEDIR.TAG")
	fl.StringVar(&f.excludeLarger, "exclude-larger-than", "", "leave out files above this `SIZE`, such as 500M or 2GiB")
	fl.BoolVarP(&f.oneFileSystem, "one-file-system", "x", false, "do not cross into other file systems")
	fl.StringArrayVar(&f.filesFrom, "files-from", nil, "read paths from this `FILE`, one a line; - is standard input (repeat)")
	fl.StringArrayVar(&f.filesFrom0, "files-from0", nil, "like --files-from, with a zero byte after each path in the `FILE`")
	fl.StringArrayVar(&f.tags, "tag", nil, "`TAG` of the snapshot (repeat)")
	fl.StringVar(&f.host, "host", "", "`HOST` of the snapshot (default: the name of this one)")
	fl.BoolVarP(&f.dryRun, "dry-run", "n", false, "store nothing, only tell what would be read")
	fl.BoolVar(&f.force, "force", false, "read every file, also those that look unchanged")
	fl.BoolVar(&f.ignoreInode, "ignore-inode", false, "a file with another inode number may be unchanged")
	fl.BoolVar(&f.ignoreCtime, "ignore-ctime", false, "a file with another change time may be unchanged")
	fl.StringVar(&f.parent, "parent", "", "`SNAPSHOT` to compare with, or none (default: the newest of the same paths)")
	fl.StringVar(&f.bucket, "bucket", "", "`BUCKET` of the snapshot (default: made from the host)")
	fl.StringVar(&f.key, "key", "", "`KEY` of the snapshot in its bucket (default: made from the paths)")
	fl.StringVar(&f.compression, "compression", "fastest", "how hard to compress: `LEVEL` fastest, default, better or best")
	fl.IntVar(&f.workers, "workers", 0, "work with `N` threads (default: one for each CPU)")
	fl.BoolVar(&f.stdin, "stdin", false, "save standard input as one file")
	fl.BoolVar(&f.stdinCommand, "stdin-from-command", false, "save the output of the command after -- as one file; when the command fails there is no snapshot")
	fl.StringVar(&f.stdinFilename, "stdin-filename", "stdin", "`NAME` of that file")
	fl.BoolVar(&f.progress, "progress", false, "with --json, tell every second how far it is")
	choices(cmd, "compression", "fastest", "default", "better", "best")
	_ = cmd.MarkFlagFilename("exclude-file")
	_ = cmd.MarkFlagFilename("files-from")
	_ = cmd.MarkFlagFilename("files-from0")
}

func (a *app) backup(ctx context.Context, f *backupFlags, args []string) error {
	if err := f.validate(args); err != nil {
		return err
	}
	p, err := a.settings()
	if err != nil {
		return err
	}
	opt, err := f.options(p)
	if err != nil {
		return err
	}
	if f.stdin || f.stdinCommand {
		if f.stdin {
			if _, err := a.takeStdin("--stdin"); err != nil {
				return err
			}
		}
	} else if opt.Paths, err = a.sources(f, args); err != nil {
		return err
	}
	opt.Problem = a.problems("read")
	opt.Progress = &snapshot.Progress{}
	opt.Retry = a.beginsAgain
	if dir, err := p.directory(); err == nil {
		opt.Repository, opt.Skipped = dir, a.skippedRepository
	}
	var res *snapshot.SaveResult
	err = a.withRepository(ctx, func(_ *profile, r *repo.Repository) error {
		stop := a.watch(opt.Progress, f.progress)
		defer stop()
		switch {
		case f.stdinCommand:
			res, err = a.saveCommand(ctx, r, f.stdinFilename, args, opt)
		case f.stdin:
			res, err = snapshot.SaveStream(ctx, r, f.stdinFilename, &interruptibleReader{ctx: ctx, src: a.in}, *opt, nil)
		default:
			res, err = snapshot.Save(ctx, r, *opt)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.printSaved(res)
}

// skippedRepository says that the repository is not part of what is saved into it.
func (a *app) skippedRepository(path string) {
	const text = "it is the repository itself, and is left out"
	a.console.message(path + ": " + text)
	if a.flags.json {
		a.event(struct {
			Type    string `json:"type"` // "message"
			Path    string `json:"path"`
			Message string `json:"message"`
		}{"message", path, text})
	}
}

// beginsAgain says that a prune came between.
func (a *app) beginsAgain(why error) {
	text := fmt.Sprintf("a prune came between, the backup begins again: %v", why)
	a.console.message(text)
	if a.flags.json {
		a.event(struct {
			Type    string `json:"type"` // "message"
			Message string `json:"message"`
		}{"message", text})
	}
}

// validate refuses flags that contradict one another.
func (f *backupFlags) validate(args []string) error {
	listed := len(f.filesFrom) + len(f.filesFrom0)
	switch {
	case f.stdin && f.stdinCommand:
		return usageError("give --stdin or --stdin-from-command, not both")
	case f.stdinCommand && len(args) == 0:
		return usageError("--stdin-from-command: name the command after --, as in: --stdin-from-command -- pg_dump shop")
	case f.stdin && len(args) > 0:
		return usageError("--stdin takes no paths, but there is %q", args[0])
	case (f.stdin || f.stdinCommand) && listed > 0:
		return usageError("--stdin and --stdin-from-command save one file and take no --files-from")
	case (f.stdin || f.stdinCommand) && f.dryRun:
		return usageError("--dry-run cannot read standard input: it would be gone for the real run")
	case !f.stdin && !f.stdinCommand && listed == 0 && len(args) == 0:
		return usageError("nothing to back up: name at least one file or directory, or use --files-from or --stdin")
	case f.workers < 0:
		return usageError("--workers %d: want a number above 0", f.workers)
	}
	return nil
}

// options are what the flags and the profile say, without the paths.
func (f *backupFlags) options(p *profile) (*snapshot.SaveOptions, error) {
	opt := &snapshot.SaveOptions{
		Bucket: f.bucket, Key: f.key, Host: firstOf(f.host, p.Host), Tags: append(f.tags, p.Tags...),
		Parent: f.parent, Force: f.force, IgnoreInode: f.ignoreInode, IgnoreCtime: f.ignoreCtime,
		OneFileSystem: f.oneFileSystem, ExcludeCaches: f.excludeCaches,
		DryRun: f.dryRun, Workers: f.workers, Program: "firn " + versionText(),
	}
	var err error
	if opt.Level, err = parseLevel(f.compression); err != nil {
		return nil, err
	}
	if f.excludeLarger != "" {
		if opt.ExcludeLarger, err = parseSize(f.excludeLarger); err != nil {
			return nil, usageError("--exclude-larger-than: %w", err)
		}
	}
	if opt.Exclude, err = matcher(append(p.Exclude, f.exclude...), f.excludeFile); err != nil {
		return nil, err
	}
	if opt.Host == "" {
		if opt.Host, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("name of this host: %w; use --host", err)
		}
	}
	if u, err := user.Current(); err == nil {
		opt.User = u.Username
	}
	return opt, nil
}

func parseLevel(name string) (pack.Level, error) {
	for l := pack.Fastest; l <= pack.Best; l++ {
		if l.String() == name {
			return l, nil
		}
	}
	return 0, usageError("--compression %q: want fastest, default, better or best", name)
}

// printSaved prints the closing summary.
func (a *app) printSaved(res *snapshot.SaveResult) error {
	switch {
	case a.flags.json:
		err := a.result(struct {
			Type string `json:"type"` // "summary"
			*snapshot.SaveResult
		}{"summary", res})
		if err != nil {
			return err
		}
	case !a.flags.quiet:
		a.saveSummary(res)
	}
	if res.Problems > 0 {
		return &partialError{counted(res.Problems, "file or directory", "files or directories") + " could not be read; they are named above"}
	}
	return nil
}

func (a *app) saveSummary(res *snapshot.SaveResult) {
	title := "snapshot " + res.ID[:min(8, len(res.ID))] + " saved"
	if res.DryRun {
		title = "dry run: nothing was stored"
	}
	a.print("%s in %s%s\n", title, humanDuration(res.Duration), rateText(res.BytesRead, res.Duration))
	a.print("  files   %s: %s new, %s changed, %s unchanged\n", humanCount(res.Files),
		humanCount(res.FilesNew), humanCount(res.FilesChanged), humanCount(res.FilesUnchanged))
	beside := counted(res.Dirs, "directory", "directories")
	if res.Other > 0 {
		beside += ", " + counted(res.Other, "link or special file", "links and special files")
	}
	if res.Sockets > 0 {
		beside += ", " + counted(res.Sockets, "socket", "sockets") + " (only the name)"
	}
	a.print("  beside  %s\n", beside)
	if res.DryRun {
		a.print("  size    %s\n", humanSize(res.Bytes))
		return
	}
	a.print("  size    %s, %s of it read\n", humanSize(res.Bytes), humanSize(res.BytesRead))
	a.print("  new     %s that the repository did not have, metadata included\n", humanSize(res.BytesNew))
	compressed := ""
	if res.BytesNew >= 64<<10 { // below that, the ratio is that of a few headers
		compressed = ", ratio " + ratio(res.BytesNew, res.BytesAdded)
	}
	a.print("  stored  %s after compression and encryption%s\n", humanSize(res.BytesAdded), compressed)
}
