package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/tree"
)

// CheckOptions of Check.
type CheckOptions struct {
	ReadData bool    // read every pack and every chunk in it
	Percent  float64 // or so much of the packs, chosen at random; 0: none
	Workers  int
	Progress *Progress
	Problem  func(Finding) // told of each finding as it is made, one at a time
}

// Finding is something that is not as it should be.
type Finding struct {
	File      string   `json:"file,omitempty"` // of the repository
	Kind      string   `json:"kind"`           // log, pack, config, key, checkpoint, snapshot, content, note
	Err       error    `json:"-"`
	Message   string   `json:"message"`
	Snapshots []string `json:"snapshots,omitempty"` // that it affects
	Paths     []string `json:"paths,omitempty"`     // in them
}

// CheckResult sums up a check.
type CheckResult struct {
	Commits   uint64  `json:"commits"`
	Packs     int64   `json:"packs"`
	PacksRead int64   `json:"packs_read"`
	BytesRead int64   `json:"bytes_read"`
	Snapshots int64   `json:"snapshots"`
	Versions  int64   `json:"versions"`
	Trees     int64   `json:"tree_blocks"`
	Contents  int64   `json:"contents"`
	Chunks    int64   `json:"chunks"`
	Dropped   int64   `json:"dropped"` // packs in the store that were dropped and can come back
	Orphans   int64   `json:"orphans"` // packs in the store that no commit names
	Findings  int64   `json:"findings"`
	Notes     int64   `json:"notes"` // commits or operations without effect
	Seconds   float64 `json:"seconds"`
}

// checker is one run of Check.
type checker struct {
	ctx  context.Context
	r    *repo.Repository
	opt  *CheckOptions
	res  CheckResult
	seen map[chunk.ID]struct{} // tree blocks and lists that were walked and are whole

	snap  string // being walked
	path  string
	wants []chunk.ID
	lens  []int64
}

// Check proves that the log is whole and every version complete: each commit, each
// pack with the size that its commit says, each tree block, each list, and a location
// for each chunk; and that config, key slots and checkpoints are what was written, and
// dropped packs can come back. With ReadData, or for a part of the packs, it also reads packs and
// compares every chunk with its ID. Findings are reported, not returned as an error;
// the error says why the check itself could not go on.
func Check(ctx context.Context, r *repo.Repository, opt CheckOptions) (*CheckResult, error) {
	start := time.Now()
	if opt.Progress == nil {
		opt.Progress = &Progress{}
	}
	c := &checker{ctx: ctx, r: r, opt: &opt, seen: map[chunk.ID]struct{}{}}
	for _, step := range []func() error{c.log, c.packs, c.beside, c.versions, c.data, c.notes} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	c.res.Seconds = time.Since(start).Seconds()
	return &c.res, nil
}

func (c *checker) find(f Finding) {
	c.res.Findings++
	f.Message = f.Err.Error()
	if c.snap != "" {
		f.Snapshots = append(f.Snapshots, c.snap)
		if c.path != "" {
			f.Paths = append(f.Paths, c.path)
		}
	}
	c.opt.Progress.Problems.Add(1)
	if c.opt.Problem != nil {
		c.opt.Problem(f)
	}
}

func (c *checker) log() error {
	n, err := c.r.VerifyLog(c.ctx, func(file string, err error) { c.find(Finding{File: file, Kind: "log", Err: err}) })
	c.res.Commits = n
	return err
}

// packs compares the packs that the log names with the files there are.
func (c *checker) packs() error {
	return c.r.VerifyPacks(c.ctx, &c.res.Packs, &c.res.Dropped, &c.res.Orphans, func(file string, id pack.ID, err error) {
		f := Finding{File: file, Kind: "pack", Err: err}
		if aerr := c.affected(&f, id); aerr != nil {
			f.Err = errors.Join(err, aerr)
		}
		c.find(f)
	})
}

// beside checks what no version needs now.
func (c *checker) beside() error {
	return c.r.VerifyBeside(c.ctx, c.opt.ReadData, func(file string, err error) {
		kind, _, _ := strings.Cut(file, "/")
		c.find(Finding{File: file, Kind: strings.TrimSuffix(kind, "s"), Err: err})
	})
}

// versions walks everything that a version leads to.
func (c *checker) versions() error {
	if err := eachVersion(c.r, c.version); err != nil {
		return err
	}
	if err := c.parts(); err != nil {
		return err
	}
	c.snap, c.path = "", ""
	return c.flush()
}

// parts looks up what uploads hold that are not completed yet.
func (c *checker) parts() error {
	var all []repo.Content
	err := object.PartContents(c.r, func(h repo.Content) error {
		all = append(all, h)
		return nil
	})
	if err != nil {
		return err
	}
	c.path = "(parts of unfinished uploads)"
	for _, h := range all {
		if err := c.content(h); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) version(v *index.Version) error {
	c.res.Versions++
	c.snap, c.path = v.ID.String(), ""
	defer func() { c.snap, c.path = "", "" }()
	switch v.Kind {
	case index.ContentPayload:
		h, err := repo.ParseContent(v.Content)
		if err != nil {
			c.find(Finding{Kind: "content", Err: err})
			return nil
		}
		c.path = string(v.Key)
		return c.content(h)
	case index.TreePayload:
		c.res.Snapshots++
		s, err := fromVersion(v)
		if err != nil {
			c.find(Finding{Kind: "snapshot", Err: err})
			return nil
		}
		return c.tree(tree.Handle(s.Root.Tree), "/")
	}
	return nil
}

// tree walks a directory that was not walked yet. Blocks are remembered by ID, so that
// snapshots that share directories are not walked twice.
func (c *checker) tree(t tree.Handle, at string) error {
	if _, ok := c.seen[t.ID()]; ok {
		return nil
	}
	before := c.res.Findings
	cur, err := tree.Open(c.ctx, c.r, t, nil)
	for err == nil {
		var n Node
		if _, err = cur.Next(c.ctx, &n); err != nil {
			break
		}
		c.path = tree.Join(at, n.Name)
		switch n.Type {
		case Dir:
			err = c.tree(tree.Handle(n.Tree), c.path)
		case File:
			c.opt.Progress.Files.Add(1)
			err = c.content(n.Data())
		}
	}
	c.res.Trees++
	c.path = at
	if !errors.Is(err, io.EOF) {
		if endsCheck(c.ctx, err) {
			return err
		}
		c.find(Finding{Kind: "snapshot", Err: err})
	}
	if c.res.Findings == before {
		c.seen[t.ID()] = struct{}{}
	}
	return nil
}

// endsCheck tells errors of the check itself from those of the files it reads.
func endsCheck(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, index.ErrDamaged) || errors.Is(err, repo.ErrRole)
}

// content looks up the chunks of a content.
func (c *checker) content(h repo.Content) error {
	if _, ok := h.Inline(); ok {
		return nil
	}
	c.res.Contents++
	x, err := c.r.Extents(c.ctx, h, 0)
	for err == nil {
		var e repo.Extent
		if e, err = x.Next(c.ctx); err == nil && !e.Hole() {
			c.wants, c.lens = append(c.wants, e.ID), append(c.lens, e.Len)
		}
	}
	if !errors.Is(err, io.EOF) {
		if endsCheck(c.ctx, err) {
			return err
		}
		c.find(Finding{Kind: "content", Err: err})
	}
	return c.flush() // one content at a time, so that findings have a path
}

func (c *checker) flush() error {
	if len(c.wants) == 0 {
		return nil
	}
	locs := make([]index.Location, len(c.wants))
	if err := c.r.Index().Locate(c.wants, locs); err != nil {
		return err
	}
	c.res.Chunks += int64(len(c.wants))
	for i, id := range c.wants {
		switch {
		case locs[i].Pack == 0:
			c.find(Finding{Kind: "content", Err: fmt.Errorf("chunk %s: %w: no pack holds it", id, repo.ErrDamaged)})
		case int64(locs[i].Length) != c.lens[i]:
			c.find(Finding{Kind: "content", Err: fmt.Errorf("chunk %s: %w: it has %d bytes, its list says %d", id, repo.ErrDamaged, locs[i].Length, c.lens[i])})
		}
	}
	c.wants, c.lens = c.wants[:0], c.lens[:0]
	return nil
}

// data reads packs.
func (c *checker) data() error {
	if !c.opt.ReadData && c.opt.Percent <= 0 {
		return nil
	}
	choose := func(pack.ID) bool { return c.opt.ReadData || rand.Float64()*100 < c.opt.Percent }
	res, err := c.r.ReadPacks(c.ctx, c.opt.Workers, choose, &c.opt.Progress.Bytes, func(file string, id pack.ID, err error) {
		f := Finding{File: file, Kind: "pack", Err: err}
		if aerr := c.affected(&f, id); aerr != nil {
			f.Err = errors.Join(err, aerr)
		}
		c.find(f)
	})
	c.res.PacksRead, c.res.BytesRead = res.Packs, res.Bytes
	return err
}

func (c *checker) notes() error {
	notes, err := c.r.Index().Notes()
	for _, n := range notes {
		c.res.Notes++
		if c.opt.Problem != nil {
			c.opt.Problem(Finding{Kind: "note", Err: errors.New(n), Message: n})
		}
	}
	return err
}

// maxAffected bounds the paths that a finding names.
const maxAffected = 1000

func (c *checker) affected(f *Finding, id pack.ID) (err error) {
	f.Snapshots, f.Paths, err = Affected(c.ctx, c.r, id)
	return err
}

// Affected lists the snapshots and paths that need a pack: those with a chunk whose
// only location it is. A path has the first digits of its snapshot before it, that of an
// object its bucket. It names no more than 1000 paths.
func Affected(ctx context.Context, r *repo.Repository, id pack.ID) (snapshots, paths []string, err error) {
	p, err := r.Index().PackByID(id)
	if err != nil {
		return nil, nil, err
	}
	d, err := r.Index().Directory(p.Num)
	if err != nil {
		return nil, nil, err
	}
	lost := make(map[chunk.ID]struct{}, len(d.Entries))
	for _, e := range d.Entries {
		locs, err := r.Index().Locations(e.ID)
		if err != nil {
			return nil, nil, err
		}
		if len(locs) < 2 {
			lost[e.ID] = struct{}{}
		}
	}
	a := &affectedWalk{ctx: ctx, r: r, lost: lost, clean: map[chunk.ID]struct{}{}}
	if err := eachVersion(r, a.version); err != nil {
		return nil, nil, err
	}
	return a.snapshots, a.paths, ctx.Err()
}

// affectedWalk looks for what needs one of the lost chunks.
type affectedWalk struct {
	ctx   context.Context
	r     *repo.Repository
	lost  map[chunk.ID]struct{}
	clean map[chunk.ID]struct{} // directories without any

	snapshots, paths []string
}

func (a *affectedWalk) version(v *index.Version) error {
	n := len(a.paths)
	switch v.Kind {
	case index.ContentPayload:
		if h, err := repo.ParseContent(v.Content); (err != nil || a.file(h)) && n < maxAffected {
			a.paths = append(a.paths, v.Bucket+"/"+string(v.Key))
		}
	case index.TreePayload:
		s, err := fromVersion(v)
		if err != nil {
			return nil // which Check tells
		}
		a.dir(tree.Handle(s.Root.Tree), "/", s.Short())
	}
	if len(a.paths) > n {
		a.snapshots = append(a.snapshots, v.ID.String())
	}
	return nil
}

func (a *affectedWalk) dir(t tree.Handle, at, snap string) (hit bool) {
	if _, ok := a.clean[t.ID()]; ok || len(a.paths) >= maxAffected {
		return false
	}
	cur, err := tree.Open(a.ctx, a.r, t, nil)
	for err == nil {
		var n Node
		if _, err = cur.Next(a.ctx, &n); err != nil {
			break
		}
		p := tree.Join(at, n.Name)
		if n.Type == Dir && a.dir(tree.Handle(n.Tree), p, snap) {
			hit = true
		}
		if n.Type == File && len(a.paths) < maxAffected && a.file(n.Data()) {
			hit = true
			a.paths = append(a.paths, snap+":"+p)
		}
	}
	if !errors.Is(err, io.EOF) { // the directory itself cannot be read
		a.paths = append(a.paths, snap+":"+at)
		return true
	}
	if !hit {
		a.clean[t.ID()] = struct{}{}
	}
	return hit
}

func (a *affectedWalk) file(h repo.Content) bool {
	if _, ok := h.Inline(); ok {
		return false
	}
	x, err := a.r.Extents(a.ctx, h, 0)
	for err == nil {
		var e repo.Extent
		if e, err = x.Next(a.ctx); err == nil {
			if _, ok := a.lost[e.ID]; ok {
				return true
			}
		}
	}
	return !errors.Is(err, io.EOF)
}
