package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/parity"
)

// Parity is made of files that are durable, by reading them again: from memory where they
// were just written, and only of bytes that have the digest they should. That a file lacks
// it is never an error: Scrub adds it.

// putParity writes a parity file, in the place of an older one if replace is set. It
// returns its size.
func putParity(ctx context.Context, store tier.Store, name string, e *parity.Encoded, replace bool) (int64, error) {
	create := store.Create
	if replace {
		create = func(ctx context.Context, name string) (tier.Writer, error) {
			w, err := tier.Replace(ctx, store, name)
			if errors.Is(err, errors.ErrUnsupported) { // it can be made again at any time
				if err := store.Delete(ctx, name); err != nil && !errors.Is(err, tier.ErrNotExist) {
					return nil, err
				}
				return store.Create(ctx, name)
			}
			return w, err
		}
	}
	w, err := create(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := e.WriteTo(w); err != nil {
		return 0, errors.Join(fmt.Errorf("write %s: %w", name, err), w.Abort())
	}
	if err := w.Commit(); err != nil && !(errors.Is(err, tier.ErrExist) && !replace) {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	return e.Size(), nil
}

// protectPack gives parity to the file of a pack. ErrDamaged when that is not what was
// written.
func protectPack(ctx context.Context, store tier.Store, rec *index.PackRecord, percent int, replace bool) (int64, error) {
	name := rec.ID.Name()
	e, err := parity.Encode([]parity.Source{{Name: name, Size: rec.Size, Data: fileAt{ctx, store, name}}}, packPercent(rec, percent))
	if err != nil {
		return 0, fmt.Errorf("parity of %s: %w", name, err)
	}
	if e.Files()[0].Digest != rec.Digest {
		return 0, fmt.Errorf("parity of %s: %w: its bytes are not those that were written", name, ErrDamaged)
	}
	return putParity(ctx, store, parityName(name), e, replace)
}

// protectSmall gives parity to a file that is small, if it has none and good says that it
// is what it should be.
func protectSmall(ctx context.Context, store tier.Store, name string, percent int, good func([]byte) error) (int64, error) {
	if _, err := store.Stat(ctx, parityName(name)); !errors.Is(err, tier.ErrNotExist) {
		return 0, err
	}
	b, err := tier.Read(ctx, store, name, maxSlot)
	if err == nil {
		err = good(b)
	}
	if err != nil {
		return 0, fmt.Errorf("parity of %s: %w", name, err)
	}
	e, err := parity.Encode([]parity.Source{{Name: name, Size: int64(len(b)), Data: bytes.NewReader(b)}}, percent)
	if err != nil {
		return 0, err
	}
	return putParity(ctx, store, parityName(name), e, false)
}

// protectEntrance gives parity to config and key slots.
func protectEntrance(ctx context.Context, store tier.Store, percent int) (added int64, err error) {
	names, err := listNames(ctx, store, "keys/")
	if err != nil {
		return 0, fmt.Errorf("list key slots: %w", err)
	}
	var errs []error
	for _, name := range append(names, configName) {
		n, err := protectSmall(ctx, store, name, percent, entranceCheck(name))
		added += n
		errs = append(errs, err)
	}
	return added, errors.Join(errs...)
}

// dropParity removes the parity of a file, if it has any.
func dropParity(ctx context.Context, store tier.Store, name string) error {
	if err := store.Delete(ctx, parityName(name)); err != nil && !errors.Is(err, tier.ErrNotExist) {
		return fmt.Errorf("remove parity of %s: %w", name, err)
	}
	return nil
}

// entranceCheck says whether bytes can be those of config or a key slot.
func entranceCheck(name string) func([]byte) error {
	if name == configName {
		return func(b []byte) error {
			_, err := parseConfig(b)
			return err
		}
	}
	return func(b []byte) error {
		if _, err := age.ExtractHeader(bytes.NewReader(b)); err != nil {
			return fmt.Errorf("key slot %s: %w: %v", strings.TrimPrefix(name, "keys/"), ErrDamaged, err)
		}
		return nil
	}
}

// protectLog gives parity to the commits that have none. A short stretch at the end of the
// log is protected anew together with what follows it. Commits that cannot be believed are
// left out and returned as an error.
func (r *Repository) protectLog(ctx context.Context, percent int) (added int64, err error) {
	r.parityMu.Lock()
	defer r.parityMu.Unlock()
	groups, err := logGroups(ctx, r.store)
	if err != nil {
		return 0, err
	}
	head, _, err := r.index.Applied()
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, gap := range uncovered(groups, head) {
		for i := range groups {
			if g := &groups[i]; g.last+1 == gap.first && gap.last == head && g.open() {
				gap.first = min(gap.first, g.first)
			}
		}
		made, n, err := protectStretch(ctx, r.store, gap, percent)
		groups, added = append(groups, made...), added+n
		if err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return added, context.Cause(ctx)
		}
	}
	for _, g := range superseded(groups) {
		if err := r.store.Delete(ctx, g.name); err != nil && !errors.Is(err, tier.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove %s: %w", g.name, err))
		}
	}
	return added, errors.Join(errs...)
}

// protectStretch makes parity for commits, in as many files as that takes.
func protectStretch(ctx context.Context, store tier.Store, s stretch, percent int) (made []logGroup, added int64, err error) {
	var errs []error
	var set []parity.Source
	size, first := int64(0), s.first
	flush := func(last uint64) {
		if len(set) == 0 {
			return
		}
		g := logGroup{stretch: stretch{first, last}}
		g.name = g.parityName()
		e, err := parity.Encode(set, logPercent(percent))
		if err == nil {
			g.size, err = putParity(ctx, store, g.name, e, false)
		}
		if err != nil {
			errs = append(errs, err)
		} else {
			made, added = append(made, g), added+g.size
		}
		set, size = nil, 0
	}
	for seq := s.first; seq <= s.last; seq++ {
		b, err := readCommitFile(ctx, store, seq)
		if ctx.Err() != nil {
			return made, added, context.Cause(ctx)
		}
		if err != nil {
			errs = append(errs, err)
			flush(seq - 1)
			continue
		}
		if len(set) == 0 {
			first = seq
		}
		set = append(set, parity.Source{Name: index.CommitName(seq), Size: int64(len(b)), Data: bytes.NewReader(b)})
		if size += int64(len(b)); len(set) == groupCommits || size >= groupBytes {
			flush(seq)
		}
	}
	flush(s.last)
	return made, added, errors.Join(errs...)
}

// readCommitFile returns the bytes of a commit that is whole and signed by whom it says.
func readCommitFile(ctx context.Context, store tier.Store, seq uint64) ([]byte, error) {
	name := index.CommitName(seq)
	b, err := tier.Read(ctx, store, name, maxCommit)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	if _, err := parseCommitFile(b, seq); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func parseCommitFile(b []byte, seq uint64) (*index.Commit, error) {
	c, err := index.ParseCommit(b, nil)
	if err == nil && c.Header.Seq != seq {
		err = fmt.Errorf("it says that it is commit %d: %w", c.Header.Seq, index.ErrCorrupt)
	}
	return c, err
}

// guard gives parity to the packs of a session, after they were committed and beside the
// work.
type guard struct {
	r      *Repository
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	queue   []index.PackRecord // of which only ID, kind, size and digest are kept
	commits int
	logDue  bool
	runs    bool
	warned  bool
}

// guardCommits is after how many commits of a session the log gets parity before the
// session ends: that of a server lasts for long.
const guardCommits = 8 * groupCommits

func newGuard(ctx context.Context, r *Repository) *guard {
	g := &guard{r: r}
	g.ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return g
}

// add is called after each commit with its packs. It puts them into the queue if the
// repository has parity.
func (g *guard) add(packs []finished) {
	percent, err := g.r.Parity()
	if err != nil || percent == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range packs {
		if rec := &packs[i].record; packs[i].blob == nil {
			g.queue = append(g.queue, index.PackRecord{ID: rec.ID, Kind: rec.Kind, Size: rec.Size, Digest: rec.Digest})
		}
	}
	if g.commits++; g.commits%guardCommits == 0 {
		g.logDue = true
	}
	if (len(g.queue) > 0 || g.logDue) && !g.runs {
		g.runs = true
		g.work.Go(func() { g.run(percent) })
	}
}

func (g *guard) run(percent int) {
	for {
		g.mu.Lock()
		var err error
		switch {
		case g.ctx.Err() != nil || len(g.queue) == 0 && !g.logDue:
			g.runs = false
			g.mu.Unlock()
			return
		case len(g.queue) > 0:
			rec := g.queue[0]
			g.queue = g.queue[1:]
			g.mu.Unlock()
			_, err = protectPack(g.ctx, g.r.store, &rec, percent, false)
		default:
			g.logDue = false
			g.mu.Unlock()
			_, err = g.r.protectLog(g.ctx, percent)
		}
		if err != nil {
			g.warn(err)
		}
	}
}

// warn tells of the first failure.
func (g *guard) warn(err error) {
	g.mu.Lock()
	first := !g.warned
	g.warned = true
	g.mu.Unlock()
	if first && g.ctx.Err() == nil {
		g.r.opt.Warn(fmt.Sprintf("some files have no parity yet, firn scrub will add it: %v", err))
	}
}

// finish waits for the packs, then protects the log. It stops early when ctx ends.
func (g *guard) finish(ctx context.Context) {
	stop := context.AfterFunc(ctx, g.cancel)
	defer stop()
	g.work.Wait()
	percent, err := g.r.Parity()
	if err == nil && percent > 0 && g.ctx.Err() == nil {
		if _, err = g.r.protectLog(g.ctx, percent); err == nil {
			_, err = protectEntrance(g.ctx, g.r.store, percent)
		}
	}
	if err != nil {
		g.warn(err)
	}
	g.cancel()
}

// stop ends the work.
func (g *guard) stop() {
	g.cancel()
	g.work.Wait()
}
