package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// Ops are the operations of one commit, beside the packs that its session finished.
type Ops struct {
	Buckets        []string
	Versions       []index.Version
	Removals       []index.Removal
	BucketsRemoved []string
	Rows           []index.Row
	Admitted       []index.Certificate
	Revoked        []index.WriterKey
	Edits          []index.Edit
	Dropped        []pack.ID      // packs that nothing needs any more
	Seals          []pack.Session // sessions of others that are taken for dead

	packs []finished // beside those of the session: packs that come back

	// Prepare, when set, is called with every earlier commit folded, and again each
	// time that another writer came first. It may change the operations. Its error
	// refuses the commit.
	Prepare func(*Ops) error
}

// maxTries bounds how often a commit makes way for those of others.
const maxTries = 1000

// Session is one writer's stretch of work. It is safe for concurrent use.
type Session struct {
	r       *Repository
	id      pack.Session
	counter atomic.Uint32

	mu      sync.Mutex
	done    []finished // packs that are durable and in no commit yet
	doneLen int64      // their sealed bytes
	doneN   int        // the bytes of their directories
	last    time.Time  // of the last commit
	sealed  bool
	over    bool // by Abandon: nothing is committed any more that could rely on a chunk

	relied reliance
	added  atomic.Int64 // sealed bytes of finished packs
	claims [claimShards]claimShard
	guard  *guard
}

// finished is a pack that a commit may announce.
type finished struct {
	record index.PackRecord
	blob   []byte // its bytes, when it is small enough to travel in the commit
}

// Begin opens a session, durably. A process may have several: each knows of what the
// others store when it is committed.
func (r *Repository) Begin(ctx context.Context) (*Session, error) {
	id, err := newSession(r.opt.Rand)
	if err != nil {
		return nil, err
	}
	s := &Session{r: r, id: id, last: r.opt.Now(), guard: newGuard(ctx, r)}
	for i := range s.claims {
		s.claims[i].ids = map[chunk.ID]struct{}{}
	}
	r.logMu.Lock()
	defer r.logMu.Unlock()
	if err := r.commit(ctx, s, index.Begin, &Ops{}, nil); err != nil {
		return nil, fmt.Errorf("begin session: %w", err)
	}
	r.sessions = append(r.sessions, s)
	return s, nil
}

// ID of the session.
func (s *Session) ID() pack.Session { return s.id }

// Distrust looks for packs whose files are missing or have another length than their
// commit says, and reports them. The session stores again what only they hold. What a repair
// declared lost and nobody has stored since is found, too, but not reported.
func (s *Session) Distrust(ctx context.Context, problem func(file string, err error)) (found int, err error) {
	var packs, dropped, orphans int64
	err = s.r.VerifyPacks(ctx, &packs, &dropped, &orphans, func(file string, id pack.ID, err error) {
		p, perr := s.r.index.PackByID(id)
		if perr != nil {
			return
		}
		s.relied.distrust(p.Num)
		found++
		problem(file, err)
	})
	if err != nil {
		return found, err
	}
	missing, err := s.r.missing()
	if len(missing) > 0 {
		s.r.opt.Warn(fmt.Sprintf("a repair declared %d chunks lost; every file is read, so that those that are still there are stored again", len(missing)))
	}
	return found + len(missing), err
}

// Added is how many sealed bytes the finished packs of the session have.
func (s *Session) Added() int64 { return s.added.Load() }

// Commit makes ops durable, and every pack finished before the call with them. When
// it returns nil they are; when it fails they are not, except for errors of the
// store, after which nobody can know (but see invariant 6).
func (s *Session) Commit(ctx context.Context, ops Ops) error { return s.commit(ctx, 0, &ops) }

// End is Commit that also ends the session. After an error that is not final, it may
// be called again.
func (s *Session) End(ctx context.Context, ops Ops) error {
	if err := s.commit(ctx, index.End, &ops); err != nil {
		return err
	}
	s.r.leave(s)
	if err := s.r.Checkpoint(ctx, false); err != nil {
		s.r.opt.Warn(fmt.Sprintf("no checkpoint was written: %v", err)) // the log has everything
	}
	s.guard.finish(ctx)
	return nil
}

// Abandon ends the session after a failure. Packs that are durable stay for the next
// session to find. A session that was sealed is over already.
func (s *Session) Abandon(ctx context.Context) error {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.guard.stop()
	err := s.End(ctx, Ops{})
	if errors.Is(err, ErrSealed) {
		err = nil
	}
	s.r.leave(s)
	return err
}

// leave forgets a session that is over.
func (r *Repository) leave(s *Session) {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	r.sessions = slices.DeleteFunc(r.sessions, func(o *Session) bool { return o == s })
}

func (s *Session) commit(ctx context.Context, step index.Step, ops *Ops) error {
	s.r.logMu.Lock()
	defer s.r.logMu.Unlock()
	s.mu.Lock()
	packs := s.done
	s.done, s.doneLen, s.doneN, s.last = nil, 0, 0, s.r.opt.Now()
	s.mu.Unlock()
	if err := s.r.commit(ctx, s, step, ops, packs); err != nil {
		s.mu.Lock()
		s.done = append(packs, s.done...)
		s.mu.Unlock()
		return err
	}
	s.unclaim(packs)
	s.guard.add(packs)
	return nil
}

// commit creates the next commit of the log. r.logMu is held.
func (r *Repository) commit(ctx context.Context, s *Session, step index.Step, ops *Ops, packs []finished) error {
	for range maxTries {
		seq, head, err := r.follow(ctx)
		if err != nil {
			return err
		}
		if err := r.mayWrite(ops); err != nil {
			return err
		}
		if err := s.mayCommit(); err != nil {
			return err
		}
		if ops.Prepare != nil {
			if err := ops.Prepare(ops); err != nil {
				return err
			}
		}
		c, err := r.build(s, step, ops, append(packs[:len(packs):len(packs)], ops.packs...))
		if err != nil {
			return err
		}
		c.Header.Seq, c.Header.Prev = seq+1, head
		if err := r.settleTo(ctx, seq); err != nil {
			return err
		}
		won, err := r.create(ctx, c)
		if err != nil {
			return err
		}
		if won {
			if err := r.fold([]*index.Commit{c}); err != nil {
				// The commit is durable, and the next one has to fold it first.
				r.behind = err
				r.opt.Warn(fmt.Sprintf("commit %d is done, but %v", c.Header.Seq, err))
			}
			r.settled = c.Header.Seq
			r.gapless = c.Header.Seq // looking at every commit would cost more than the commit
			return nil
		}
	}
	return fmt.Errorf("commit after %d tries: %w", maxTries, ErrBusy)
}

// mayWrite refuses to write commits that everyone else would take as void or forged, or
// parts of which would have no effect.
func (r *Repository) mayWrite(ops *Ops) error {
	if r.ring.role != index.Full && len(ops.Admitted)+len(ops.Revoked) > 0 ||
		r.ring.role == index.Write && len(ops.Removals)+len(ops.BucketsRemoved)+len(ops.Rows)+len(ops.Edits)+
			len(ops.Dropped)+len(ops.Seals) > 0 {
		return fmt.Errorf("key slot %s/%s: %w", r.ring.Role, r.ring.Name, ErrRole)
	}
	_, revoked, err := r.index.Writer(r.ring.public())
	switch {
	case errors.Is(err, index.ErrNotFound):
		return fmt.Errorf("key slot %s/%s was never admitted as a writer, since adding it was interrupted; "+
			"remove it and add it again: %w", r.ring.Role, r.ring.Name, ErrRole)
	case err != nil:
		return err
	case revoked:
		return fmt.Errorf("key slot %s/%s was removed from this repository: %w", r.ring.Role, r.ring.Name, ErrRole)
	}
	return nil
}

func (r *Repository) build(s *Session, step index.Step, ops *Ops, packs []finished) (*index.Commit, error) {
	c := &index.Commit{
		Header: index.Header{
			Session: s.id, Step: step, Time: r.opt.Now().UnixNano(),
			Admitted: ops.Admitted, Revoked: ops.Revoked, Dropped: ops.Dropped, Seals: ops.Seals,
		},
		Body: index.Body{
			Buckets: ops.Buckets, Versions: ops.Versions, Removals: ops.Removals,
			BucketsRemoved: ops.BucketsRemoved, Rows: ops.Rows, Edits: ops.Edits,
		},
	}
	if _, err := io.ReadFull(r.opt.Rand, c.Header.Nonce[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	for i := range packs {
		c.Body.Packs = append(c.Body.Packs, packs[i].record)
		if packs[i].blob != nil {
			c.Header.Embedded = append(c.Header.Embedded, index.Embedded{Pack: packs[i].record.ID})
			c.Blobs = append(c.Blobs, packs[i].blob)
		}
	}
	return c, nil
}

// create writes the commit file if its place is free. An error of the store may hide
// that it was written: then the nonce tells (invariant 6). That it can be read does not
// say that it is durable; that its name is found taken does.
func (r *Repository) create(ctx context.Context, c *index.Commit) (won bool, err error) {
	file, err := c.Seal(r.ring.signer, r.ring.metaRcpt)
	if err != nil {
		return false, err
	}
	name := index.CommitName(c.Header.Seq)
	err = tier.Put(ctx, r.store, name, file)
	if err == nil {
		return true, nil
	}
	there, readErr := r.readCommit(context.WithoutCancel(ctx), c.Header.Seq)
	switch {
	case readErr == nil && there.Header.Nonce == c.Header.Nonce:
		if errors.Is(err, tier.ErrExist) {
			return true, nil
		}
		again := tier.Put(context.WithoutCancel(ctx), r.store, name, file)
		if errors.Is(again, tier.ErrExist) {
			return true, nil
		}
		return false, fmt.Errorf("write %s: it is there, but may be gone after a power failure: %w", name, errors.Join(err, again))
	case readErr == nil && errors.Is(err, tier.ErrExist):
		return false, nil
	}
	return false, fmt.Errorf("write %s: %w", name, err)
}

// mayCommit refuses to commit for a sealed session, or one that relies on a chunk that
// is gone (invariant 5). r.logMu is held.
func (s *Session) mayCommit() error {
	s.mu.Lock()
	sealed, over := s.sealed, s.over
	s.mu.Unlock()
	switch {
	case sealed:
		return ErrSealed
	case over:
		return nil
	}
	return s.relied.settle(s.r.index)
}

// finish takes in a pack that is durable, or small enough to travel in the commit, and
// reports whether so much waits that it should be committed.
func (s *Session) finish(f finished) (due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, f)
	s.doneLen += f.record.Size
	s.doneN += len(f.record.Directory)
	s.added.Add(f.record.Size)
	return s.doneLen >= commitEvery || s.doneN >= commitChunks*36 || s.r.opt.Now().Sub(s.last) >= commitAfter
}

// claimShards spreads claims over locks.
const claimShards = 64

// claimShard holds the chunks of the session that no commit announces yet.
type claimShard struct {
	mu  sync.Mutex
	ids map[chunk.ID]struct{}
	_   [40]byte // a cache line each
}

// claim says which chunks the caller has to store: those that neither the index nor
// another caller of this session has. locs is scratch of the length of ids.
func (s *Session) claim(ids []chunk.ID, locs []index.Location, store []bool) error {
	if err := s.relied.locate(s.r.index, ids, locs); err != nil {
		return err
	}
	for i, id := range ids {
		store[i] = false
		if locs[i].Pack != 0 {
			continue
		}
		sh := &s.claims[id[31]%claimShards]
		sh.mu.Lock()
		if _, ok := sh.ids[id]; !ok {
			sh.ids[id] = struct{}{}
			store[i] = true
		}
		sh.mu.Unlock()
	}
	return nil
}

// unclaim forgets the chunks of packs that the index knows now.
func (s *Session) unclaim(packs []finished) {
	for i := range packs {
		d, err := pack.ParseDirectory(packs[i].record.Directory)
		if err != nil {
			panic("repo: own pack directory does not parse: " + err.Error())
		}
		for j := range d.Entries {
			id := d.Entries[j].ID
			sh := &s.claims[id[31]%claimShards]
			sh.mu.Lock()
			delete(sh.ids, id)
			sh.mu.Unlock()
		}
	}
}
