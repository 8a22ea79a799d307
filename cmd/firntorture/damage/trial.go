package damage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// trialLimit is after how long a trial hangs. They take milliseconds.
const trialLimit = time.Minute

// trial puts one damaged repository before firn.
type trial struct {
	fix     *fixture
	fault   *fault
	warm    bool   // with an index that has seen the repository whole
	dir     string // for index and restored files; emptied before
	restore bool   // also restore into a directory

	open     error // of Open
	check    error // of Check, when it could not be ended
	findings []snapshot.Finding
	unread   []string // what is lost: snapshot ID, ":" and path, or the name of the object
	wrong    []string // what was given and is not what it was, or is missing without a word
	panicked string
	hung     bool
}

// run does all of it. A panic of firn is a result, and so is taking too long.
func (t *trial) run(ctx context.Context) error { return t.guard(ctx, t.steps) }

// guard runs steps, notes a panic, and gives up after a while with errHung.
func (t *trial) guard(ctx context.Context, steps func(context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, 2*trialLimit)
	defer stop()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				t.panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
				done <- nil
			}
		}()
		done <- steps(ctx)
	}()
	timer := time.NewTimer(trialLimit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errHung
	}
}

var errHung = errors.New("it hangs")

// steps opens, checks and reads. Its error is of the harness.
func (t *trial) steps(ctx context.Context) error {
	cache := filepath.Join(t.dir, "cache")
	if err := errors.Join(os.RemoveAll(t.dir), os.MkdirAll(cache, 0o700)); err != nil {
		return err
	}
	if t.warm {
		if err := os.WriteFile(filepath.Join(cache, "index-0.db"), t.fix.warm, 0o600); err != nil {
			return err
		}
	}
	r, err := repo.Open(ctx, frozen{t.fault.apply(t.fix.files)}, []age.Identity{t.fix.id}, repo.Options{CacheDir: cache, BootID: bootID})
	if err != nil {
		t.open = err
		return nil
	}
	_, t.check = snapshot.Check(ctx, r, snapshot.CheckOptions{ReadData: true, Workers: 1, Problem: func(f snapshot.Finding) {
		if f.Kind != "note" {
			t.findings = append(t.findings, f)
		}
	}})
	for id, want := range t.fix.truth {
		t.readSnapshot(ctx, r, id, want)
	}
	t.readObject(ctx, r)
	return r.Close()
}

// detected reports whether firn noticed the fault.
func (t *trial) detected() bool { return t.open != nil || t.check != nil || len(t.findings) > 0 }

func (t *trial) lose(id, p string) { t.unread = append(t.unread, id+":"+p) }

// readSnapshot reads a snapshot file by file, and restores it where asked.
func (t *trial) readSnapshot(ctx context.Context, r *repo.Repository, id string, want contents) {
	s, err := snapshot.Find(r, id, snapshot.Filter{})
	if err != nil {
		t.lose(id, "/")
		return
	}
	w := &walk{t: t, ctx: ctx, r: r, id: id, want: want, seen: map[string]bool{}}
	w.read(s.Root, "/")
	for p := range want {
		if !w.seen[p] && !w.below(p) {
			t.wrong = append(t.wrong, id+":"+p+" is missing without a word")
		}
	}
	if t.restore {
		t.restoreSnapshot(ctx, r, s, want)
	}
}

// walk reads the files of a snapshot.
type walk struct {
	t    *trial
	ctx  context.Context
	r    *repo.Repository
	id   string
	want contents
	seen map[string]bool
	lost []string
}

func (w *walk) lose(p string) {
	w.lost = append(w.lost, p)
	w.t.lose(w.id, p)
}

// below reports whether p is, or lies in, something that is lost.
func (w *walk) below(p string) bool {
	return slices.ContainsFunc(w.lost, func(dir string) bool { return within(p, dir) })
}

func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

func (w *walk) read(n *snapshot.Node, at string) {
	want, known := w.want[at]
	w.seen[at] = true
	if !known && at != "/" {
		w.t.wrong = append(w.t.wrong, w.id+":"+at+" was never there")
		return
	}
	switch n.Type {
	case snapshot.Dir:
		err := n.Dir(w.ctx, w.r, func(child *snapshot.Node) error {
			w.read(child, path.Join(at, string(child.Name)))
			return nil
		})
		if err != nil {
			w.lose(at)
		}
	case snapshot.Symlink:
		if string(n.Target) != want {
			w.t.wrong = append(w.t.wrong, w.id+":"+at+" points elsewhere")
		}
	case snapshot.File:
		rd, err := n.Open(w.ctx, w.r)
		var buf bytes.Buffer
		if err == nil {
			_, err = rd.WriteTo(&buf)
		}
		switch {
		case err != nil:
			w.lose(at)
			if !strings.HasPrefix(want, buf.String()) {
				w.t.wrong = append(w.t.wrong, w.id+":"+at+" gave other bytes before its error")
			}
		case buf.String() != want:
			w.t.wrong = append(w.t.wrong, w.id+":"+at+" has other bytes")
		}
	}
}

// restoreSnapshot restores into a directory. Each path is as it was or named.
func (t *trial) restoreSnapshot(ctx context.Context, r *repo.Repository, s *snapshot.Snapshot, want contents) {
	target := filepath.Join(t.dir, "target")
	named := map[string]bool{}
	_, err := snapshot.Restore(ctx, r, s, snapshot.RestoreOptions{Target: target, Workers: 1, Problem: func(p string, _ error) { named[p] = true }})
	if err != nil {
		return // it says so; what it did until then is not finished
	}
	for p, data := range want {
		at := filepath.Join(target, filepath.FromSlash(p))
		if covers(named, at) {
			continue
		}
		fi, err := os.Lstat(at)
		got := []byte{}
		switch {
		case err == nil && fi.Mode().IsRegular():
			got, err = os.ReadFile(at)
		case err == nil && fi.Mode()&os.ModeSymlink != 0:
			var to string
			to, err = os.Readlink(at)
			got = []byte(to)
		}
		if err != nil || string(got) != data {
			t.wrong = append(t.wrong, fmt.Sprintf("%s:%s restored: %v, %d bytes", s.Short(), p, err, len(got)))
		}
	}
	if err := os.RemoveAll(target); err != nil {
		t.wrong = append(t.wrong, err.Error())
	}
}

// covers reports whether a path or a directory above it is named.
func covers(named map[string]bool, p string) bool {
	for ; len(p) > 1; p = filepath.Dir(p) {
		if named[p] {
			return true
		}
	}
	return false
}

// readObject reads what was put over S3.
func (t *trial) readObject(ctx context.Context, r *repo.Repository) {
	name := bktName + "/" + t.fix.key
	v, _, err := r.Index().VersionOf(bktName, []byte(t.fix.key), func(*index.Version) bool { return true })
	if err != nil {
		t.unread = append(t.unread, name)
		return
	}
	c, err := repo.ParseContent(v.Content)
	var buf bytes.Buffer
	if err == nil {
		_, err = r.OpenContent(ctx, c).WriteTo(&buf)
	}
	switch {
	case err != nil:
		t.unread = append(t.unread, name)
	case !bytes.Equal(buf.Bytes(), t.fix.value):
		t.wrong = append(t.wrong, name+" has other bytes")
	}
}

// unnamed returns what is lost although check did not name it.
func (t *trial) unnamed() (all []string) {
	for _, lost := range t.unread {
		if !slices.ContainsFunc(t.findings, func(f snapshot.Finding) bool { return names(&f, lost) }) {
			all = append(all, lost)
		}
	}
	return all
}

// names reports whether a finding names what is lost: the object, or the path, or a
// directory above it, in the snapshot.
func names(f *snapshot.Finding, lost string) bool {
	id, p, isPath := strings.Cut(lost, ":")
	for _, named := range f.Paths {
		short, below, ok := strings.Cut(named, ":")
		switch {
		case !isPath && (named == lost || strings.HasSuffix(lost, "/"+named)):
			return true
		case isPath && ok && strings.HasPrefix(id, short) && within(p, below):
			return true
		case isPath && !ok && slices.Contains(f.Snapshots, id) && within(p, named):
			return true
		}
	}
	return false
}
