package main

import (
	"bytes"
	"cmp"
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/snapshot"
)

func (a *app) diffCommand() *cobra.Command {
	var f filterFlags
	cmd := &cobra.Command{
		Use:   "diff FROM TO",
		Short: "Tell what differs between two snapshots, or buckets at two times",
		Long: `Tell what differs between FROM and TO. Each of them is SNAPSHOT, SNAPSHOT:PATH, or
s3:BUCKET[/PREFIX] for the objects of a bucket of this repository, and goes back in time with
@TIME: latest@2026-11-20T10:00:/etc, s3:photos@2026-11-20/2026/. Of two snapshots only what
differs is read, however large they are. Snapshots and buckets are compared by what lies below
PATH and behind PREFIX, file for object.

A line begins with + for what only TO has, - for what only FROM has, M where the content
differs, and m where only mode, owner, time, attributes or metadata do. What file systems
change by themselves (inodes, change times, times of directories) is no difference.

With --json there is one object per difference, of type change with kind (added, removed,
changed, metadata), path, was and is, and one of type summary at the end.`,
		Example: `  firn diff -r /backup/firn 3f9a latest
  firn diff -r /backup/firn latest@2026-11-20:/etc latest:/etc
  firn diff s3:photos@2026-11-20T10:00 s3:photos`,
		Args: args(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := parsePlace(args[0], "")
			if err != nil {
				return err
			}
			to, err := parsePlace(args[1], "")
			if err != nil {
				return err
			}
			return a.withPlace(cmd.Context(), from.bucket+to.bucket != "", func(r *repo.Repository) error {
				return a.diff(cmd.Context(), r, from, to, f.filter())
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(cmd, "latest: the latest")
	return exitsOf(cmd, exitsOpen...)
}

// difference is one of firn diff in JSON. Was and Is are nodes, or objects.
type difference struct {
	Type string              `json:"type"` // "change"
	Kind snapshot.ChangeKind `json:"kind"`
	Path string              `json:"path"`
	Was  any                 `json:"was,omitempty"`
	Is   any                 `json:"is,omitempty"`
}

// differences counts them.
type differences struct {
	Type     string `json:"type"` // "summary"
	Added    int64  `json:"added"`
	Removed  int64  `json:"removed"`
	Changed  int64  `json:"changed"`
	Metadata int64  `json:"metadata"`
}

func (a *app) diff(ctx context.Context, r *repo.Repository, from, to *place, f snapshot.Filter) error {
	sum := &differences{Type: "summary"}
	tell := func(d difference) error { return a.printDifference(sum, d) }
	var err error
	if from.bucket+to.bucket == "" {
		err = diffSnapshots(ctx, r, from, to, f, tell)
	} else {
		err = diffKeys(ctx, r, from, to, f, tell)
	}
	switch {
	case err != nil:
		return err
	case a.flags.json:
		return a.result(sum)
	case !a.flags.quiet:
		a.print("%s added, %s removed, %s changed, %s with other metadata\n", humanCount(sum.Added), humanCount(sum.Removed),
			humanCount(sum.Changed), humanCount(sum.Metadata))
	}
	return nil
}

func (a *app) printDifference(sum *differences, d difference) error {
	sign := "m"
	switch d.Kind {
	case snapshot.Added:
		sum.Added++
		sign = "+"
	case snapshot.Removed:
		sum.Removed++
		sign = "-"
	case snapshot.Changed:
		sum.Changed++
		sign = "M"
	default:
		sum.Metadata++
	}
	if a.flags.json {
		d.Type = "change"
		return a.result(d)
	}
	a.print("%s %s\n", sign, visible(d.Path))
	return nil
}

func diffSnapshots(ctx context.Context, r *repo.Repository, from, to *place, f snapshot.Filter, tell func(difference) error) error {
	from.path, to.path = cleanPath(from.path), cleanPath(to.path)
	_, was, err := from.node(ctx, r, f)
	if err != nil {
		return err
	}
	_, is, err := to.node(ctx, r, f)
	if err != nil {
		return err
	}
	at := to.path
	if from.path != at {
		at = "/" // of two places only what is below has one name
	}
	return snapshot.Diff(ctx, r, at, was, is, func(c snapshot.Change) error {
		d := difference{Kind: c.Kind, Path: c.Path}
		if c.Was != nil {
			d.Was = nodeObjectOf(c.Path, c.Was)
		}
		if c.Is != nil {
			d.Is = nodeObjectOf(c.Path, c.Is)
		}
		return tell(d)
	})
}

// keyed is a file or an object with its name behind the path or prefix.
type keyed struct {
	name    string
	content []byte
	attr    string // what else counts as metadata
	object  any    // in JSON
}

// keysOf gives what lies below a place, in the byte order of names.
func keysOf(ctx context.Context, r *repo.Repository, p *place, f snapshot.Filter) iter.Seq2[keyed, error] {
	return func(yield func(keyed, error) bool) {
		if p.bucket != "" {
			for v, err := range p.objects().Objects(r) {
				if err != nil {
					yield(keyed{}, err)
					return
				}
				if !yield(keyedObject(v, p.prefix), nil) {
					return
				}
			}
			return
		}
		p.path = cleanPath(p.path)
		_, dir, err := p.node(ctx, r, f)
		if err == nil && dir.Type != snapshot.Dir {
			err = usageError("%s is a %s; only a directory can be compared with a bucket", p.path, dir.Type)
		}
		if err != nil {
			yield(keyed{}, err)
			return
		}
		for file, err := range object.FilesBelow(ctx, r, dir) {
			if err != nil {
				yield(keyed{}, err)
				return
			}
			k := keyed{name: file.Path, content: bytes.Clone(file.Node.Content), object: nodeObjectOf(file.Path, file.Node)}
			if !yield(k, nil) {
				return
			}
		}
	}
}

func keyedObject(v *index.Version, prefix string) keyed {
	o := objectLineOf(v)
	attr, _ := index.Marshal([]any{v.User, v.System, v.Tags, v.Class})
	k := keyed{name: string(v.Key)[len(prefix):], content: v.Content, attr: string(attr), object: o}
	if len(k.content) == 0 {
		k.content = make([]byte, len(repo.Content{}))
	}
	return k
}

// diffKeys compares two lists that are in order. Objects among themselves differ in metadata,
// too; a file and an object in their content only.
func diffKeys(ctx context.Context, r *repo.Repository, from, to *place, f snapshot.Filter, tell func(difference) error) error {
	nextWas, stopWas := iter.Pull2(keysOf(ctx, r, from, f))
	defer stopWas()
	nextIs, stopIs := iter.Pull2(keysOf(ctx, r, to, f))
	defer stopIs()
	both := from.bucket != "" && to.bucket != ""
	was, werr, haveWas := nextWas()
	is, ierr, haveIs := nextIs()
	for haveWas || haveIs {
		if werr != nil || ierr != nil {
			return cmp.Or(werr, ierr)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d := difference{}
		first := haveWas && (!haveIs || was.name <= is.name)
		second := haveIs && (!haveWas || is.name <= was.name)
		switch {
		case !second:
			d = difference{Kind: snapshot.Removed, Path: was.name, Was: was.object}
		case !first:
			d = difference{Kind: snapshot.Added, Path: is.name, Is: is.object}
		case !bytes.Equal(was.content, is.content):
			d = difference{Kind: snapshot.Changed, Path: is.name, Was: was.object, Is: is.object}
		case both && was.attr != is.attr:
			d = difference{Kind: snapshot.Metadata, Path: is.name, Was: was.object, Is: is.object}
		}
		if d.Kind != "" {
			if err := tell(d); err != nil {
				return err
			}
		}
		if first {
			was, werr, haveWas = nextWas()
		}
		if second {
			is, ierr, haveIs = nextIs()
		}
	}
	return nil
}
