package damage

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/snapshot"
	"github.com/firnstore/firn/tier"
)

// fixture is a whole repository in memory, what is in it, and other files that were once or
// might have been in the place of its own.
type fixture struct {
	files files
	older []files // of the same repository: before the last commits, and another end of its log
	warm  []byte  // an index that has seen everything
	id    *age.X25519Identity
	truth map[string]contents // by snapshot ID
	key   string              // of the object, and what it holds
	value []byte
}

// contents are the files and links of a snapshot by path; directories are "".
type contents map[string]string

const (
	bootID  = "torture"
	host    = "torture"
	bktName = "objects"
)

// builder makes a fixture in the directory dir.
type builder struct {
	*fixture
	ctx   context.Context
	dir   string
	rng   *rand.Rand
	store *tier.Memory
	r     *repo.Repository

	parity int
}

// newFixture makes one with a percentage of parity beside its files, 0 for none.
func newFixture(ctx context.Context, dir string, seed uint64, parity int) (*fixture, error) {
	b := &builder{
		fixture: &fixture{truth: map[string]contents{}}, ctx: ctx, dir: dir, parity: parity,
		rng: rand.New(rand.NewPCG(seed, 0)), store: tier.NewMemory(),
	}
	var err error
	for _, step := range []func() error{b.begin, b.save, b.change, b.save, b.keep, b.another, b.checkpoint, b.prune, b.object, b.checkpoint, b.end} {
		if err = step(); err != nil {
			return nil, fmt.Errorf("make a repository to be damaged: %w", err)
		}
	}
	return b.fixture, nil
}

func (b *builder) options(cache string) repo.Options {
	return repo.Options{CacheDir: cache, BootID: bootID}
}

func (b *builder) cache() string { return filepath.Join(b.dir, "cache") }

// begin makes a repository with slots of all roles, and a tree: two files of more than a
// small pack, small ones, and long links, which make a metadata pack.
func (b *builder) begin() error {
	var err error
	if b.id, err = age.GenerateX25519Identity(); err != nil {
		return err
	}
	if err := os.MkdirAll(b.cache(), 0o700); err != nil {
		return err
	}
	if _, err := repo.Init(b.ctx, b.store, b.id.Recipient(), b.options(""), repo.InitOptions{Parity: b.parity}); err != nil {
		return err
	}
	if b.r, err = repo.Open(b.ctx, b.store, []age.Identity{b.id}, b.options(b.cache())); err != nil {
		return err
	}
	for role, name := range map[index.Role]string{index.Meta: "auditor", index.Write: "host"} {
		if err := b.addKey(role, name); err != nil {
			return err
		}
	}
	for name, size := range map[string]int{"a.bin": 90_000, "small.txt": 100, "empty": 0, "dir/b.bin": 80_000, "dir/deep/c.txt": 3000} {
		if err := b.write(name, size); err != nil {
			return err
		}
	}
	for i := range 30 {
		if err := os.MkdirAll(filepath.Join(b.tree(), "links"), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(hex.EncodeToString(b.random(2000)), filepath.Join(b.tree(), "links", fmt.Sprint(i))); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) addKey(role index.Role, name string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	return repo.AddKey(b.ctx, b.r, role, name, id.Recipient())
}

func (b *builder) tree() string { return filepath.Join(b.dir, "tree") }

func (b *builder) random(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(b.rng.Uint32())
	}
	return p
}

func (b *builder) write(name string, size int) error {
	p := filepath.Join(b.tree(), name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	return os.WriteFile(p, b.random(size), 0o644)
}

func (b *builder) save() error {
	res, err := snapshot.Save(b.ctx, b.r, snapshot.SaveOptions{Paths: []string{b.tree()}, Host: host, Workers: 1})
	if err != nil {
		return err
	}
	b.truth[res.ID], err = scan(b.tree())
	return err
}

func (b *builder) change() error { return b.write("dir/b.bin", 75_000) }

// keep remembers the repository as it is, for rollbacks.
func (b *builder) keep() (err error) {
	now, err := copyOf(b.ctx, b.store)
	b.older = append(b.older, now)
	return err
}

// another goes on from here in another way: a new slot in the place of an old one, and a
// backup of something else.
func (b *builder) another() error {
	here, store, dir := b.r, b.store, b.dir
	defer func() { b.r, b.store, b.dir = here, store, dir }()
	b.store, b.dir = b.older[0].memory(b.ctx), filepath.Join(dir, "another")
	if err := os.MkdirAll(b.cache(), 0o700); err != nil {
		return err
	}
	var err error
	if b.r, err = repo.Open(b.ctx, b.store, []age.Identity{b.id}, b.options(b.cache())); err != nil {
		return err
	}
	defer b.r.Close()
	if err := b.r.RemoveKey(b.ctx, "write", "host"); err != nil {
		return err
	}
	if err := b.addKey(index.Write, "host"); err != nil {
		return err
	}
	if err := b.write("else.bin", 70_000); err != nil {
		return err
	}
	if _, err := snapshot.Save(b.ctx, b.r, snapshot.SaveOptions{Paths: []string{b.tree()}, Host: host, Workers: 1}); err != nil {
		return err
	}
	return b.keep()
}

func (b *builder) checkpoint() error { return b.r.Checkpoint(b.ctx, true) }

// prune leaves a pack that was dropped and can come back.
func (b *builder) prune() error {
	name := filepath.Join(b.tree(), "old.bin")
	if err := b.write("old.bin", 100_000); err != nil {
		return err
	}
	res, err := snapshot.Save(b.ctx, b.r, snapshot.SaveOptions{Paths: []string{name}, Host: host, Workers: 1})
	if err != nil {
		return err
	}
	if _, err := snapshot.Forget(b.ctx, b.r, snapshot.ForgetOptions{Snapshots: []string{res.ID}}); err != nil {
		return err
	}
	pruned, err := snapshot.Prune(b.ctx, b.r, repo.PruneOptions{Grace: 1000 * time.Hour, MaxUnused: 1})
	if err == nil && pruned.Dropped.Packs == 0 {
		err = fmt.Errorf("the prune dropped nothing: %+v", pruned)
	}
	return err
}

func (b *builder) object() error {
	e, err := object.Open(b.ctx, b.r, object.Options{Refresh: -1})
	if err != nil {
		return err
	}
	b.key, b.value = "key", b.random(70_000)
	err = e.CreateBucket(b.ctx, &object.Bucket{Name: bktName})
	if err == nil {
		_, err = e.Put(b.ctx, &object.PutRequest{Bucket: bktName, Key: b.key}, bytes.NewReader(b.value), nil)
	}
	if cerr := e.Close(b.ctx); err == nil {
		err = cerr
	}
	return err
}

// end closes the repository, whose index is the warm one then.
func (b *builder) end() error {
	name := b.r.Index().Path()
	if b.parity > 0 { // for what has none yet
		if _, err := b.r.Scrub(b.ctx, repo.ScrubOptions{}); err != nil {
			return err
		}
	}
	err := b.r.Close()
	if err == nil {
		b.warm, err = os.ReadFile(name)
	}
	if err == nil {
		b.files, err = copyOf(b.ctx, b.store)
	}
	if err == nil {
		err = os.RemoveAll(b.dir)
	}
	return err
}

// scan reads a tree.
func scan(root string) (contents, error) {
	c := contents{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var data []byte
		switch {
		case d.Type().IsRegular():
			data, err = os.ReadFile(p)
		case d.Type()&fs.ModeSymlink != 0:
			var to string
			to, err = os.Readlink(p)
			data = []byte(to)
		}
		c[filepath.ToSlash(p)] = string(data)
		return err
	})
	for p := filepath.ToSlash(filepath.Dir(root)); strings.Trim(p, "/.") != ""; p = filepath.ToSlash(filepath.Dir(p)) {
		c[p] = ""
	}
	return c, err
}
