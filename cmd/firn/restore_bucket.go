package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3"
)

// bucketRestore writes objects as files below a directory, which no key leaves: the
// directory is opened as a root.
type bucketRestore struct {
	a    *app
	f    *restoreFlags
	e    *object.Engine
	root *os.Root
	tell func(name string, err error)
	res  bucketRestored
}

// bucketRestored is the last line of JSON.
type bucketRestored struct {
	Type      string  `json:"type"` // "summary"
	Bucket    string  `json:"bucket"`
	Prefix    string  `json:"prefix,omitempty"`
	Target    string  `json:"target"`
	Files     int64   `json:"files"`
	Bytes     int64   `json:"bytes"`
	Unchanged int64   `json:"unchanged"`
	Kept      int64   `json:"kept"` // since --overwrite is never
	Problems  int64   `json:"problems"`
	DryRun    bool    `json:"dry_run,omitempty"`
	Seconds   float64 `json:"seconds"`
}

func (a *app) restoreBucket(ctx context.Context, f *restoreFlags, p *place) error {
	if f.target == "" {
		return usageError("name the directory to restore the bucket to with --target")
	}
	if f.subtree != "" || f.deleteExtra || f.verify || len(f.include)+len(f.exclude)+len(f.includeFile)+len(f.excludeFile) > 0 {
		return usageError("of a bucket only a prefix can be chosen, s3:BUCKET/PREFIX; --path, --include, --exclude, --delete and --verify are for snapshots")
	}
	start := time.Now()
	b := &bucketRestore{a: a, f: f, tell: a.problems("restore"),
		res: bucketRestored{Type: "summary", Bucket: p.bucket, Prefix: p.prefix, Target: f.target, DryRun: f.dryRun}}
	err := a.withEngine(ctx, func(e *object.Engine) error {
		b.e = e
		return b.run(ctx, p)
	})
	if err != nil {
		return err
	}
	b.res.Seconds = time.Since(start).Seconds()
	switch {
	case a.flags.json:
		err = a.result(b.res)
	case !a.flags.quiet:
		title := "restored"
		if f.dryRun {
			title = "dry run: nothing was touched;"
		}
		a.print("bucket %s %s to %s\n  files   %s, %s: %s were there already\n", visible(p.bucket), title, visible(f.target),
			humanCount(b.res.Files), humanSize(b.res.Bytes), humanCount(b.res.Unchanged))
		if b.res.Kept > 0 {
			a.print("  kept    %s, since --overwrite is never\n", counted(b.res.Kept, "file as it was", "files as they were"))
		}
	}
	if err == nil && b.res.Problems > 0 {
		err = &partialError{counted(b.res.Problems, "problem", "problems") + " while restoring; what could not be restored is named above"}
	}
	return err
}

func (b *bucketRestore) run(ctx context.Context, p *place) error {
	if !b.f.dryRun {
		if err := os.MkdirAll(b.f.target, 0o777); err != nil {
			return err
		}
		root, err := os.OpenRoot(b.f.target)
		if err != nil {
			return err
		}
		defer func() { _ = root.Close() }()
		b.root = root
	}
	for v, err := range p.objects().Objects(b.e.Repository()) {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := b.object(ctx, v); err != nil {
			if errors.Is(err, repo.ErrDamaged) || !hopeless(err) {
				b.res.Problems++
				b.tell(string(v.Key), err)
				continue
			}
			return err
		}
	}
	return nil
}

// hopeless reports whether what follows cannot be written, either.
func hopeless(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// filePath is where an object goes. dir: it stands for a directory, as consoles make them.
func filePath(key string) (name string, dir bool, err error) {
	name, dir = strings.CutSuffix(key, "/")
	for _, part := range strings.Split(name, "/") {
		if part == "" || part == "." || part == ".." {
			return "", false, fmt.Errorf("this key cannot be a path: %q stands between slashes", part)
		}
	}
	if strings.IndexByte(name, 0) >= 0 || !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", false, errors.New("this key cannot be a path here")
	}
	return filepath.FromSlash(name), dir, nil
}

func (b *bucketRestore) object(ctx context.Context, v *index.Version) error {
	name, dir, err := filePath(string(v.Key))
	if err != nil {
		return err
	}
	size := s3.ObjectSize(v)
	if dir && size > 0 {
		return errors.New("an object with a slash at its end and bytes in it cannot be a file")
	}
	mode, mtime := attributesOf(v)
	if b.root == nil {
		b.res.Files, b.res.Bytes = b.res.Files+1, b.res.Bytes+size
		return nil
	}
	if dir {
		return b.root.MkdirAll(name, 0o777)
	}
	info, err := b.root.Lstat(name)
	switch {
	case err == nil && info.IsDir():
		return errors.New("a directory is in its place: another key begins with this one and a slash")
	case err == nil && b.f.overwrite == "never":
		b.res.Kept++
		return nil
	case err == nil && b.f.overwrite == "if-changed" && info.Mode().IsRegular() && info.Size() == size && info.ModTime().Equal(mtime):
		b.res.Files, b.res.Unchanged = b.res.Files+1, b.res.Unchanged+1
		return nil
	}
	if up := filepath.Dir(name); up != "." {
		if err := b.root.MkdirAll(up, 0o777); err != nil {
			return err
		}
	}
	if err := b.write(ctx, v, name, mode, mtime); err != nil {
		return err
	}
	b.res.Files, b.res.Bytes = b.res.Files+1, b.res.Bytes+size
	return nil
}

// write makes the file under another name, so that what was there stays until it is whole.
func (b *bucketRestore) write(ctx context.Context, v *index.Version, name string, mode fs.FileMode, mtime time.Time) (err error) {
	part := filepath.Join(filepath.Dir(name), ".firn-"+rand.Text()[:12])
	file, err := b.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = b.root.Remove(part)
		}
	}()
	w := bufio.NewWriterSize(file, 256<<10)
	err = s3.WriteObject(ctx, b.e, v, w)
	if err == nil {
		err = w.Flush()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = b.root.Chtimes(part, mtime, mtime)
	}
	if err == nil {
		err = b.root.Rename(part, name)
	}
	return err
}

// attributesOf are mode and time of the file that an object was made of, as s3fs and rclone
// note them, or those of a new file and the time of the object.
func attributesOf(v *index.Version) (fs.FileMode, time.Time) {
	mode, mtime := fs.FileMode(0o666), time.Unix(0, v.Time)
	if n, err := strconv.ParseUint(v.User["mode"], 10, 32); err == nil {
		mode = fs.FileMode(n & 0o777)
	}
	sec, frac, _ := strings.Cut(v.User["mtime"], ".")
	if s, err := strconv.ParseInt(sec, 10, 64); err == nil {
		ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if err == nil && s >= 0 {
			mtime = time.Unix(s, ns)
		}
	}
	return mode, mtime
}
