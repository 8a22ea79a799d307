//go:build unix

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
	"github.com/firnstore/firn/tier"
)

// forged is a node of a tree that no Save would write.
type forged struct {
	Node
	data  []byte
	below []forged
}

// forge stores a tree as it is told, in the order given, and returns a snapshot of it.
func forge(t testing.TB, r *repo.Repository, root ...forged) *Snapshot {
	t.Helper()
	sess, err := r.Begin(t.Context())
	must(t, err)
	in, err := sess.Ingest(t.Context(), repo.IngestOptions{Stream: "test"})
	must(t, err)
	var store func(entries []forged) []byte
	store = func(entries []forged) []byte {
		block := []byte{'T', 1, 0, 0}
		for _, e := range entries {
			n := e.Node
			if n.Type == File {
				c, err := in.Stream(bytes.NewReader(e.data), nil, nil)
				must(t, err)
				n.Content, n.Size = c[:], int64(len(e.data))
			}
			if n.Type == Dir {
				n.Tree = store(e.below)
			}
			if n.Mode == 0 {
				n.Mode = 0o755
			}
			raw, err := index.Marshal(&n)
			must(t, err)
			block = append(block, raw...)
		}
		id, err := in.Meta(block)
		must(t, err)
		return append([]byte{0}, id[:]...)
	}
	n := &Node{Name: []byte("/"), Type: Dir, Mode: 0o755, Tree: store(root)}
	must(t, in.Close())
	must(t, sess.End(t.Context(), repo.Ops{}))
	return &Snapshot{Version: &index.Version{Snapshot: &index.Snapshot{Paths: [][]byte{[]byte("/")}}}, Root: n}
}

func fileNode(name, data string) forged {
	return forged{Node: Node{Name: []byte(name)}, data: []byte(data)}
}

func dirNode(name string, below ...forged) forged {
	return forged{Node: Node{Name: []byte(name), Type: Dir}, below: below}
}

func linkNode(name, target string) forged {
	return forged{Node: Node{Name: []byte(name), Type: Symlink, Target: []byte(target)}}
}

// arena is a directory with a target in it and a guard around the target.
func arena(t testing.TB) (target string, intact func()) {
	t.Helper()
	dir := t.TempDir()
	target = dir + "/outer/target"
	put(t, dir+"/outer/secret", []byte("untouched"))
	put(t, dir+"/outer/private/file", []byte("untouched"))
	must(t, os.MkdirAll(target, 0o755))
	outside := func() map[string]string {
		all := describe(t, dir)
		for p := range all {
			if p == "outer/target" || strings.HasPrefix(p, "outer/target/") {
				delete(all, p)
			}
		}
		return all
	}
	before := outside()
	return target, func() { t.Helper(); same(t, before, outside()) }
}

// Invariant 2: names are single components, and a directory with others is not
// believed.
func TestRestoreRefusesHostileNames(t *testing.T) {
	for _, name := range []string{"..", ".", "", "a/b", "../secret", "/etc/x", "nul\x00byte", strings.Repeat("n", tree.MaxName+1)} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			r := restoreRepo(t, tier.NewMemory())
			for kind, evil := range map[string]forged{
				"file": fileNode(name, "evil"),
				"dir":  dirNode(name, fileNode("secret", "evil")),
				"link": linkNode(name, "/"),
			} {
				s := forge(t, r, dirNode("bad", evil), fileNode("good", "good"))
				target, intact := arena(t)
				p := &problems{target: target}
				res, err := Restore(t.Context(), r, s, RestoreOptions{Target: target, Problem: p.add})
				must(t, err)
				if !slices.Equal(p.paths(), []string{"bad"}) || !errors.Is(p.found["bad"], repo.ErrDamaged) || res.Files != 1 {
					t.Errorf("%s: problems %v, %+v", kind, p.found, res)
				}
				if got := len(describe(t, target)); got != 3 {
					t.Errorf("%s: %d names in the target, want it, bad and good", kind, got)
				}
				intact()
			}
		})
	}
}

// Invariant 2: of two nodes of one name the second is not believed, so a directory
// cannot go through a link that the same tree made.
func TestRestoreRefusesDuplicateNames(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	target, intact := arena(t)
	tests := map[string][]forged{
		"link, then directory": {linkNode("x", ".."), dirNode("x", fileNode("secret", "evil"))},
		"link, then file":      {linkNode("x", "../secret"), fileNode("x", "evil")},
		"order":                {linkNode("y", ".."), dirNode("x", fileNode("secret", "evil"))},
	}
	for name, tree := range tests {
		p := &problems{target: target}
		_, err := Restore(t.Context(), r, forge(t, r, dirNode("d", tree...)), RestoreOptions{Target: target, Problem: p.add})
		must(t, err)
		if !slices.Equal(p.paths(), []string{"d"}) {
			t.Errorf("%s: problems %v", name, p.found)
		}
		intact()
	}
}

// Invariant 2: what lies in the target is not followed, whether it was there before or
// appears while the restore works.
func TestRestoreFollowsNoLinks(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	s := forge(t, r, dirNode("dir", dirNode("private", fileNode("file", "evil")), fileNode("secret", strings.Repeat("evil", 100))))
	plant := map[string]func(target string){
		"directory": func(target string) {
			must(t, os.Symlink("..", target+"/dir"))
		},
		"inner directory": func(target string) {
			must(t, os.MkdirAll(target+"/dir", 0o755))
			must(t, os.Symlink("../../private", target+"/dir/private"))
		},
		"file": func(target string) {
			must(t, os.MkdirAll(target+"/dir", 0o755))
			must(t, os.Symlink("../../secret", target+"/dir/secret"))
		},
	}
	for name, f := range plant {
		target, intact := arena(t)
		f(target)
		restoring(t, r, s, RestoreOptions{Target: target, Verify: true})
		intact()
		if got, err := os.ReadFile(target + "/dir/private/file"); err != nil || string(got) != "evil" {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	// While it works: the directory was made, then someone puts a link in its place, or
	// into it.
	for _, at := range []string{"/dir", "/dir/private"} {
		for _, inner := range []bool{false, true} {
			target, intact := arena(t)
			opt := RestoreOptions{Target: target, Workers: 1, Problem: func(string, error) {}}
			opt.step = func(p string) {
				if p != at {
					return
				}
				if inner {
					_ = os.Symlink(filepath.Dir(target)+"/secret", target+at+"/file")
					_ = os.Symlink(filepath.Dir(target)+"/secret", target+at+"/secret")
					return
				}
				must(t, os.Rename(target+at, target+at+".moved"))
				must(t, os.Symlink(filepath.Dir(target), target+at))
			}
			if _, err := Restore(t.Context(), r, s, opt); err != nil {
				t.Fatal(err)
			}
			intact()
		}
	}
}

// A name that differs from another in case only, on a system that does not tell them
// apart, meets what the first one made. The planted link stands for the first.
func TestRestoreReportsWhatAppearsInNewDirectories(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	s := forge(t, r, dirNode("new", dirNode("dir", fileNode("f", "x")), fileNode("file", "x"), linkNode("link", "x")))
	target, intact := arena(t)
	p := &problems{target: target}
	opt := RestoreOptions{Target: target, Workers: 1, Problem: p.add}
	opt.step = func(at string) {
		if at == "/new" {
			for _, name := range []string{"dir", "file", "link"} {
				must(t, os.Symlink("../..", target+"/new/"+name))
			}
		}
	}
	_, err := Restore(t.Context(), r, s, opt)
	must(t, err)
	if want := []string{"new/dir", "new/file", "new/link"}; !slices.Equal(p.paths(), want) {
		t.Errorf("problems %v, want %q", p.found, want)
	}
	for path, err := range p.found {
		if !errors.Is(err, errInTheWay) {
			t.Errorf("%s: %v", path, err)
		}
	}
	intact()
}

// A file in the target that is also known outside of it is replaced, not written to.
func TestRestoreWritesToNoHardLinkToOutside(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	evil := fileNode("file", strings.Repeat("evil", 100))
	evil.Links, evil.Inode, evil.Device = 2, 7, 7
	for name, n := range map[string]forged{"file": fileNode("file", strings.Repeat("evil", 100)), "linked": evil} {
		for _, equal := range []bool{false, true} {
			target, _ := arena(t)
			victim := filepath.Dir(target) + "/victim"
			put(t, victim, []byte(strings.Repeat("good", 100)))
			if equal { // size and time equal those of the node
				setTime(t, victim, 0)
			}
			must(t, os.Chmod(victim, 0o600))
			must(t, os.Link(victim, target+"/file"))
			restoring(t, r, forge(t, r, n), RestoreOptions{Target: target})
			got, err := os.ReadFile(victim)
			fi, serr := os.Stat(victim)
			if err != nil || serr != nil || string(got) != strings.Repeat("good", 100) || fi.Mode() != 0o600 {
				t.Errorf("%s, equal %v: the file outside was changed: %.20q %v %v", name, equal, got, fi.Mode(), err)
			}
			if got, _ := os.ReadFile(target + "/file"); string(got) != strings.Repeat("evil", 100) {
				t.Errorf("%s, equal %v: the file inside was not restored: %.20q", name, equal, got)
			}
		}
	}
}

func TestRestoreReplacesOtherTypes(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	s := forge(t, r, dirNode("d", fileNode("f", "x")), fileNode("e", "content"), linkNode("l", "x"))
	s2 := forge(t, r, fileNode("d", "now a file"), dirNode("e"), fileNode("l", "a file too"))
	target := t.TempDir()
	restoring(t, r, s, RestoreOptions{Target: target})
	p := &problems{target: target}
	_, err := Restore(t.Context(), r, s2, RestoreOptions{Target: target, Problem: p.add})
	must(t, err)
	if !slices.Equal(p.paths(), []string{"d"}) || !strings.Contains(p.found["d"].Error(), "--delete") {
		t.Errorf("problems %v: a directory with something in it goes only with Delete", p.found)
	}
	restoring(t, r, s2, RestoreOptions{Target: target, Delete: true})
	for name, want := range map[string]string{"d": "file", "e": "dir", "l": "file"} {
		if got := describe(t, target)[name]; !strings.HasPrefix(got, want) {
			t.Errorf("%s is %s, want a %s", name, got, want)
		}
	}
}

// Delete keeps to directories that were backed up whole and are restored whole.
func TestRestoreDelete(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	put(t, src+"/a/file", []byte("a"))
	put(t, src+"/b/file", []byte("b"))
	put(t, src+"/b/cache/x", []byte("b"))
	extras := []string{"extra", "a/extra", "b/extra.o", "b/dir/x.o", "b/dir/y", "b/empty/"}
	tests := []struct {
		name string
		opt  RestoreOptions
		gone []string
	}{
		{"whole", RestoreOptions{}, []string{"extra", "a/extra", "b/extra.o", "b/dir/x.o", "b/dir/y", "b/dir", "b/empty"}},
		{"excluded names stay", RestoreOptions{Exclude: matcher(t, []string{"*.o"})}, []string{"extra", "a/extra", "b/dir/y", "b/empty"}},
		{"path", RestoreOptions{Path: src + "/a"}, []string{"a/extra"}},
		{"directory included", RestoreOptions{Include: matcher(t, []string{"/**/a"})}, []string{"a/extra"}},
		{"files included", RestoreOptions{Include: matcher(t, []string{"file"})}, nil},
	}
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			target := t.TempDir()
			restoring(t, r, s, RestoreOptions{Target: target})
			for _, e := range extras {
				if dir, ok := strings.CutSuffix(e, "/"); ok {
					must(t, os.MkdirAll(below(target, s)+"/"+dir, 0o755))
				} else {
					put(t, below(target, s)+"/"+e, nil)
				}
			}
			beside := filepath.Dir(below(target, s)) + "/beside"
			put(t, beside, nil)
			before := describe(t, below(target, s))
			c.opt.Target, c.opt.Delete = target, true
			c.opt.DryRun = true
			dry := restoring(t, r, s, c.opt)
			c.opt.DryRun = false
			res := restoring(t, r, s, c.opt)
			after := describe(t, below(target, s))
			for _, p := range c.gone {
				if _, there := after[p]; there {
					t.Errorf("%s is still there", p)
				}
				delete(before, p)
			}
			for p := range before {
				if _, there := after[p]; !there {
					t.Errorf("%s is gone", p)
				}
			}
			if _, err := os.Lstat(beside); err != nil {
				t.Errorf("what lies beside the backup was deleted: %v", err)
			}
			if int(res.Deleted) != len(c.gone) || dry.Deleted != res.Deleted {
				t.Errorf("deleted %d, in the dry run %d, want %d", res.Deleted, dry.Deleted, len(c.gone))
			}
		})
	}
}

// Deleting a link does not touch what it leads to.
func TestRestoreDeletesLinksNotTheirTargets(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	s := forge(t, r, dirNode("d", fileNode("f", "x")))
	target, intact := arena(t)
	restoring(t, r, s, RestoreOptions{Target: target})
	must(t, os.Symlink("../../private", target+"/d/link"))
	put(t, target+"/d/sub/file", nil)
	must(t, os.Symlink("../../../private", target+"/d/sub/link"))
	res := restoring(t, r, s, RestoreOptions{Target: target, Delete: true})
	if res.Deleted != 4 {
		t.Errorf("%d deleted, want 4", res.Deleted)
	}
	intact()
}

func TestWholePaths(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	tree := []forged{dirNode("home", dirNode("home"), dirNode("u", fileNode("f", "x"))), fileNode("single", "x"), dirNode("src", fileNode("f", "x"))}
	tests := []struct {
		paths []string
		tree  []forged
		want  []string
	}{
		{[]string{"/"}, tree, []string{"/"}},
		{[]string{"/home/u"}, tree, []string{"/home/u"}},
		{[]string{"/home/gone"}, tree, nil},
		{[]string{"/given/src"}, tree, []string{"/src"}},         // given as src
		{[]string{"/given/src", "/x/y"}, tree, []string{"/src"}}, // the other could not be read
		{[]string{"/given"}, tree, []string{"/"}},                // given as .
		{[]string{"/given"}, nil, nil},                           // gone, perhaps
		{[]string{"/single"}, tree, nil},                         // a file
		{[]string{"/given/single"}, tree, nil},                   // a file
		{[]string{"/home/home"}, tree, []string{"/home/home"}},   // absolute
		{[]string{"/home", "/src"}, tree, []string{"/home", "/src"}},
	}
	for _, c := range tests {
		s := forge(t, r, c.tree...)
		s.Root.Below = &Totals{Files: int64(len(c.tree))}
		s.Version.Snapshot.Paths = nil
		for _, p := range c.paths {
			s.Version.Snapshot.Paths = append(s.Version.Snapshot.Paths, []byte(p))
		}
		if got := s.wholePaths(t.Context(), r); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.paths, got, c.want)
		}
	}
}

// A directory that cannot be read deletes nothing, and the rest is restored.
func TestRestoreWithDamagedDirectory(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	bad := dirNode("a", fileNode("y", "1"), fileNode("x", "2")) // out of order
	s := forge(t, r, bad, dirNode("b", fileNode("f", "x")))
	target := t.TempDir()
	put(t, target+"/a/extra", nil)
	p := &problems{target: target}
	_, err := Restore(t.Context(), r, s, RestoreOptions{Target: target, Delete: true, Problem: p.add})
	must(t, err)
	if !errors.Is(p.found["a"], repo.ErrDamaged) {
		t.Errorf("problems %v", p.found)
	}
	for _, name := range []string{"a/extra", "b/f"} {
		if _, err := os.Lstat(target + "/" + name); err != nil {
			t.Error(err)
		}
	}
}

func TestRestoreNested(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	deep := dirNode("d", fileNode("f", "x"))
	for range 300 {
		deep = dirNode("d", deep)
	}
	target := t.TempDir()
	res := restoring(t, r, forge(t, r, deep), RestoreOptions{Target: target, Verify: true})
	if res.Dirs != 302 || res.Verified != 1 { // the root among them
		t.Errorf("%+v", res)
	}
}

// More directories and files than are kept open: all files begin with the same chunk, so
// all of them wait for the rest at the same time.
func TestRestoreWithFewDescriptors(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	src := filepath.Join(memory(t), "src")
	shared := noise(1, 200_000)
	for i := range 2 * maxOpenFiles {
		put(t, fmt.Sprintf("%s/d%03d/file", src, i), append(bytes.Clone(shared), fmt.Appendf(noise(2, 5000), "%d", i)...))
	}
	s := saved(t, r, src)
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	few := old
	few.Cur = maxOpenFiles + openDirs + 64
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()
	target := memory(t)
	restoring(t, r, s, RestoreOptions{Target: target})
	same(t, describe(t, src), describe(t, below(target, s)))
	// And once more, with all of them to be compared.
	restoring(t, r, s, RestoreOptions{Target: target, Overwrite: OverwriteAlways})
}

func TestRestoreToReadOnlyTarget(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	s := forge(t, r, fileNode("f", "x"))
	target := filepath.Join(t.TempDir(), "file")
	put(t, target, nil)
	if _, err := Restore(t.Context(), r, s, RestoreOptions{Target: target}); err == nil || !strings.Contains(err.Error(), target) {
		t.Errorf("a target that is a file: %v", err)
	}
	if os.Geteuid() == 0 {
		return
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o500))
	if _, err := Restore(t.Context(), r, s, RestoreOptions{Target: dir}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a target without write permission: %v", err)
	}
}
