package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3"
	"github.com/firnstore/firn/snapshot"
)

func (a *app) catCommand() *cobra.Command {
	var f filterFlags
	var at string
	cmd := &cobra.Command{
		Use:   "cat SNAPSHOT PATH",
		Short: "Write one file of a snapshot, or an object, to standard output",
		Long: `Write the bytes of one file of a snapshot to standard output. Every byte was checked
before it is written; when the repository is damaged, what comes out is shorter, never wrong.

With --json the result is one object with path, size and content, in base64. When not all of
it can be read, an object with error and exit_code follows.

s3:BUCKET/KEY in the place of both means an object of a bucket.` + placeHelp,
		Example: `  firn cat -r /backup/firn latest /etc/fstab
  firn cat -r /backup/firn 3f9a /var/backups/db.sql | psql
  firn cat -r /backup/firn s3:photos/2026/cat.jpg --at 2026-11-20T10:00 > cat.jpg`,
		Args: args(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parsePlace(args[0], at)
			switch {
			case err != nil:
				return err
			case p.bucket != "" && (len(args) > 1 || p.prefix == ""):
				return usageError("%s: want s3:BUCKET/KEY and nothing behind it", args[0])
			case p.bucket != "":
				return a.withEngine(cmd.Context(), func(e *object.Engine) error { return a.catObject(cmd.Context(), e, p) })
			case len(args) < 2 && p.path == "":
				return usageError("missing argument: want SNAPSHOT PATH")
			case len(args) == 2 && p.path != "":
				return usageError("%s: the path stands there already", args[0])
			case len(args) == 2:
				p.path = args[1]
			}
			return a.withPlace(cmd.Context(), false, func(r *repo.Repository) error { return a.cat(cmd.Context(), r, p, f.filter()) })
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	addAt(cmd, &at)
	f.add(cmd, "latest: the latest")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) cat(ctx context.Context, r *repo.Repository, p *place, f snapshot.Filter) error {
	p.path = cleanPath(p.path)
	_, n, err := p.node(ctx, r, f)
	if err != nil {
		return err
	}
	src, err := n.Open(ctx, r)
	if err != nil {
		return err
	}
	return a.catBytes(p.path, n.Size, func(w io.Writer) error {
		_, err := src.WriteTo(w)
		return err
	})
}

// catObject writes the object whose key is the prefix of the place.
func (a *app) catObject(ctx context.Context, e *object.Engine, p *place) error {
	past := p.objects()
	past.From = p.prefix
	for v, err := range past.Objects(e.Repository()) {
		if err != nil {
			return err
		}
		if string(v.Key) != p.prefix {
			break
		}
		return a.catBytes(p.prefix, s3.ObjectSize(v), func(w io.Writer) error { return s3.WriteObject(ctx, e, v, w) })
	}
	return fmt.Errorf("%s in bucket %s: %w", p.prefix, p.bucket, repo.ErrNotFound)
}

// catBytes writes what write does, bare or in an object of JSON.
func (a *app) catBytes(at string, size int64, write func(io.Writer) error) error {
	if !a.flags.json {
		return write(a.out)
	}
	name, err := json.Marshal(at)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, `{"path":%s,"size":%d,"content":"`, visibleJSON(name), size)
	enc := base64.NewEncoder(base64.StdEncoding, a.out)
	err = write(enc)
	if cerr := enc.Close(); err == nil {
		err = cerr
	}
	// The object is ended also when the content is not whole: what follows is the error.
	if _, werr := fmt.Fprintln(a.out, `"}`); err == nil {
		err = werr
	}
	return err
}
