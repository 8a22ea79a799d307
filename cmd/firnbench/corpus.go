package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// corpus is data with two days. The tools always see the same path; to go from day to
// day, files are only renamed, so the change is quick and the page cache stays warm.
type corpus struct {
	Name   string `json:"name"`
	Files  int    `json:"files"` // of the first day
	Bytes  int64  `json:"bytes"`
	Next   int64  `json:"next_bytes"` // of the second day
	About  string `json:"about"`
	Rounds int    `json:"rounds"` // that were run
	source string // what is backed up
	moves  []move // to the second day
	second bool   // the second day is there
}

// move renames a file.
type move struct{ from, to string }

// advance brings the second day.
func (c *corpus) advance() error {
	if c.second {
		return nil
	}
	c.second = true
	for _, m := range c.moves {
		if err := os.Rename(m.from, m.to); err != nil {
			return err
		}
	}
	return nil
}

// rewind brings the first day back.
func (c *corpus) rewind() error {
	if !c.second {
		return nil
	}
	c.second = false
	for i := len(c.moves) - 1; i >= 0; i-- {
		if err := os.Rename(c.moves[i].to, c.moves[i].from); err != nil {
			return err
		}
	}
	return nil
}

// The shares of the files of a tree that a day changes, adds and removes are 1 in
// perChange each; 1 in perRename gets another name in another directory.
const (
	perChange = 100
	perRename = 400
)

// treeCorpus makes a tree of files below roots in dir/source, and its next day in
// dir/stage.
func treeCorpus(ctx context.Context, dir string, roots map[string]string, size treeSize, seed uint64) (*corpus, error) {
	c := &corpus{Name: "tree", source: filepath.Join(dir, "source", "tree")}
	names, bytes, err := makeTree(ctx, c.source, roots, size, seed)
	if err != nil {
		return nil, err
	}
	c.Files, c.Bytes, c.Next = len(names), bytes, bytes
	e := &editor{corpus: c, stage: filepath.Join(dir, "stage"), r: newRNG(seed, 1)}
	if err := os.MkdirAll(e.stage, 0o755); err != nil {
		return nil, err
	}
	order := e.r.shuffle(len(names))
	changes, renames := len(names)/perChange, len(names)/perRename
	for _, edit := range []struct {
		count int
		apply func(name string) error
	}{{changes, e.change}, {changes, e.remove}, {changes, e.create}, {renames, e.rename}} {
		for _, i := range order[:edit.count] {
			if err := edit.apply(names[i]); err != nil {
				return nil, err
			}
		}
		order = order[edit.count:]
	}
	c.About = fmt.Sprintf("files of at most %d KiB from the Go tree, `/usr/share`, `/usr/include` and `/usr/lib`, chosen by directory; "+
		"the next day has %d files changed, %d new, %d removed and %d moved to another directory", maxTreeFile>>10, changes, changes, changes, renames)
	return c, nil
}

// editor prepares the second day of a tree as moves.
type editor struct {
	corpus *corpus
	stage  string
	r      rng
	count  int    // names given out
	beside string // a file whose directory the next renamed file goes to
}

// stagePath returns a new path in the stage.
func (e *editor) stagePath() string {
	e.count++
	return filepath.Join(e.stage, fmt.Sprint(e.count))
}

func (e *editor) path(name string) string { return filepath.Join(e.corpus.source, name) }

func (e *editor) move(from, to string) { e.corpus.moves = append(e.corpus.moves, move{from, to}) }

// edited writes an edited copy of a file to the stage, dated an hour after it.
func (e *editor) edited(name string) (path string, size int64, err error) {
	info, err := os.Stat(e.path(name))
	if err != nil {
		return "", 0, err
	}
	data, err := os.ReadFile(e.path(name))
	if err != nil {
		return "", 0, err
	}
	data = mutate(data, &e.r)
	path = e.stagePath()
	return path, int64(len(data)), writeFile(path, data, info.Mode().Perm(), info.ModTime().Add(time.Hour))
}

// change replaces a file by an edited copy.
func (e *editor) change(name string) error {
	staged, size, err := e.edited(name)
	if err != nil {
		return err
	}
	if err := e.remove(name); err != nil {
		return err
	}
	e.move(staged, e.path(name))
	e.corpus.Next += size
	return nil
}

// remove takes a file out of the tree.
func (e *editor) remove(name string) error {
	info, err := os.Stat(e.path(name))
	if err != nil {
		return err
	}
	e.corpus.Next -= info.Size()
	e.move(e.path(name), e.stagePath())
	return nil
}

// create puts an edited copy of a file next to it.
func (e *editor) create(like string) error {
	staged, size, err := e.edited(like)
	if err != nil {
		return err
	}
	dir, base := filepath.Split(e.path(like))
	e.move(staged, filepath.Join(dir, fmt.Sprintf("new-%d-%s", e.count, base)))
	e.corpus.Next += size
	return nil
}

// rename moves a file to the directory of the one renamed before, under a new name.
func (e *editor) rename(name string) error {
	e.count++
	if e.beside == "" { // the first one stays in its directory
		e.beside = e.path(name)
	}
	to := filepath.Join(filepath.Dir(e.beside), fmt.Sprintf("moved-%d%s", e.count, filepath.Ext(name)))
	e.move(e.path(name), to)
	e.beside = e.path(name)
	return nil
}

// dumpCorpus makes a database dump of about this size in dir/source and that of its
// next day in dir/stage.
func dumpCorpus(ctx context.Context, dir string, size int64, seed uint64) (*corpus, error) {
	c := &corpus{Name: "dump", Files: 1, source: filepath.Join(dir, "source", "shop.sql")}
	stage := filepath.Join(dir, "stage")
	for _, d := range []string{filepath.Dir(c.source), stage} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	next := filepath.Join(stage, "next.sql")
	c.moves = []move{{c.source, filepath.Join(stage, "first.sql")}, {next, c.source}}
	var diff dumpDiff
	var err error
	if c.Bytes, _, err = writeDump(ctx, c.source, dumpDay{seed, size, false}); err != nil {
		return nil, err
	}
	if c.Next, diff, err = writeDump(ctx, next, dumpDay{seed, size, true}); err != nil {
		return nil, err
	}
	share := func(n int) float64 { return 100 * float64(n) / float64(diff.rows) }
	c.About = fmt.Sprintf("one PostgreSQL dump in `COPY` form, made by a seeded generator, %d rows; the next day has %.2f %% of the rows updated, "+
		"%.2f %% deleted and %.2f %% inserted: most of them among the recent rows, some in runs, 1 row in %d anywhere",
		diff.rows, share(diff.updated), share(diff.deleted), share(diff.inserted), scatter)
	return c, nil
}
