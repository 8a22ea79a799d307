//go:build unix

package snapshot

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// Invariant 2, at its root: no operation on a name goes through a link of that name.
func TestHandlesFollowNoLinks(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/outside/file", []byte("untouched"))
	put(t, dir+"/target/file", []byte("inside"))
	must(t, os.Symlink("../outside", dir+"/target/dirlink"))
	must(t, os.Symlink("../outside/file", dir+"/target/link"))
	must(t, os.Symlink("../outside/new", dir+"/target/dangling"))
	before := describe(t, dir+"/outside")
	h, err := openTarget(dir + "/target")
	must(t, err)
	defer h.close()
	refused := map[string]func() error{
		"sub":            func() error { _, err := h.sub("dirlink"); return err },
		"sub of a file":  func() error { _, err := h.sub("file"); return err },
		"mkdir":          func() error { return h.mkdir("dirlink") },
		"open":           func() error { _, err := h.open("link", false); return err },
		"open to write":  func() error { _, err := h.open("link", true); return err },
		"create":         func() error { _, err := h.create("link"); return err },
		"create, absent": func() error { _, err := h.create("dangling"); return err },
		"link":           func() error { return h.link(h, "file", "link") },
		"rmdir":          func() error { return h.remove("dirlink", true) },
	}
	for name, f := range refused {
		if err := f(); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
	// These are done to the link itself.
	must(t, h.setTime("link", 1e9))
	_ = h.inodeOf("link", File).chmod(0o777)
	_ = h.inodeOf("link", File).chown(os.Geteuid(), os.Getegid())
	_ = h.inodeOf("link", File).setXattr("user.x", []byte("x"))
	must(t, h.link(h, "link", "link2"))
	must(t, h.remove("link", false))
	n := &Node{}
	must(t, h.stat("link2", n))
	if n.Type != Symlink || n.ModTime != 1e9 {
		t.Errorf("the link is a %s of time %d", n.Type, n.ModTime)
	}
	same(t, before, describe(t, dir+"/outside"))
}

// Directories are closed and opened again, and no more of them are open than allowed.
func TestOutDirsAreReopened(t *testing.T) {
	dir := t.TempDir()
	tree, err := openOutTree(dir)
	must(t, err)
	ended := map[string]int{}
	var mu sync.Mutex
	tree.root.done = func(d *outDir) { mu.Lock(); defer mu.Unlock(); ended[d.inner("")]++ }
	var dirs []*outDir
	for i := range 3 * openDirs {
		d := tree.root.enter(&Node{Name: fmt.Appendf(nil, "d%d", i)})
		must(t, tree.root.use(func(h dirHandle) error { return h.mkdir(d.name) }))
		inner := d.enter(&Node{Name: []byte("inner")})
		must(t, d.use(func(h dirHandle) error { return h.mkdir(inner.name) }))
		dirs = append(dirs, inner)
		d.release()
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, d := range dirs {
				if err := d.use(func(h dirHandle) error { return h.self(&Node{}) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := tree.open.Len(); n > openDirs+8 {
		t.Errorf("%d directories are open", n)
	}
	if got := dirs[7].path("x"); got != dir+"/d7/inner/x" {
		t.Errorf("path %s", got)
	}
	for _, d := range dirs {
		d.release()
	}
	tree.root.release()
	for _, d := range dirs {
		if ended[d.inner("")] != 1 || ended[d.up.inner("")] != 1 {
			t.Fatalf("%s ended %d times, the one above %d times", d.inner(""), ended[d.inner("")], ended[d.up.inner("")])
		}
	}
	if tree.open.Len() != 0 {
		t.Errorf("%d directories stay open", tree.open.Len())
	}
	tree.close()
}
