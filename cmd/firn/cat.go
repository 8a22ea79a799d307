package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

func (a *app) catCommand() *cobra.Command {
	var f filterFlags
	cmd := &cobra.Command{
		Use:   "cat SNAPSHOT PATH",
		Short: "Write one file of a snapshot to standard output",
		Long: `Write the bytes of one file of a snapshot to standard output. Every byte was checked
before it is written; when the repository is damaged, what comes out is shorter, never wrong.

With --json the result is one object with path, size and content, in base64. When not all of
it can be read, an object with error and exit_code follows.`,
		Example: `  firn cat -r /backup/firn latest /etc/fstab
  firn cat -r /backup/firn 3f9a /var/backups/db.sql | psql`,
		Args: args(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRepository(cmd.Context(), func(_ *profile, r *repo.Repository) error {
				return a.cat(cmd.Context(), r, args[0], path.Clean("/"+args[1]), f.filter())
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(cmd, "latest: the latest")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) cat(ctx context.Context, r *repo.Repository, spec, at string, f snapshot.Filter) error {
	s, err := snapshot.Find(r, spec, f)
	if err != nil {
		return err
	}
	n, err := s.Lookup(ctx, r, at)
	if err != nil {
		return err
	}
	src, err := n.Open(ctx, r)
	if err != nil {
		return err
	}
	if !a.flags.json {
		_, err = src.WriteTo(a.out)
		return err
	}
	name, err := json.Marshal(at)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, `{"path":%s,"size":%d,"content":"`, visibleJSON(name), n.Size)
	enc := base64.NewEncoder(base64.StdEncoding, a.out)
	_, err = src.WriteTo(enc)
	if cerr := enc.Close(); err == nil {
		err = cerr
	}
	// The object is ended also when the content is not whole: what follows is the error.
	if _, werr := fmt.Fprintln(a.out, `"}`); err == nil {
		err = werr
	}
	return err
}
