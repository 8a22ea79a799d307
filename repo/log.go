package repo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

// maxCommit bounds a commit file: header, body and embedded packs.
const maxCommit = 512 << 20

// indexSlots is how many processes may have an index of one repository at a time;
// each has a file of its own, since bbolt gives one process a file at a time.
const indexSlots = 16

// An index made without the metadata identity lacks what others committed, so it is kept
// apart from those that have everything.
func (r *Repository) indexPath(slot int) string {
	if r.ring.metaID == nil {
		return filepath.Join(r.opt.CacheDir, fmt.Sprintf("index-write-%d.db", slot))
	}
	return filepath.Join(r.opt.CacheDir, fmt.Sprintf("index-%d.db", slot))
}

// openIndex takes the first index file that no other process holds.
func (r *Repository) openIndex(ctx context.Context) error {
	if r.opt.NoIndex {
		r.opt.NoIndex = false // once is enough
		if err := r.rebuildIndex(ctx); err != nil {
			return err
		}
	}
	var err error
	for slot := range indexSlots {
		path := r.indexPath(slot)
		opt := index.Options{Repository: r.id, BootID: r.opt.BootID, Partial: r.ring.metaID == nil}
		r.index, err = index.Open(path, opt)
		switch {
		case errors.Is(err, index.ErrBusy):
			continue
		case errors.Is(err, index.ErrDamaged), errors.Is(err, index.ErrForeign), errors.Is(err, index.ErrStale):
			r.opt.Warn(fmt.Sprintf("%v; making it anew from the log", err))
			if err := removeIndex(path); err != nil {
				return err
			}
			r.index, err = index.Open(path, opt)
		}
		if err != nil {
			return err
		}
		if err := r.begin(ctx, false); err != nil {
			return errors.Join(err, r.index.Close())
		}
		return nil
	}
	return err
}

// begin fills an empty index as far as a checkpoint goes, after comparing commit 1
// with what config and key slot say.
func (r *Repository) begin(ctx context.Context, logAlone bool) error {
	seq, _, err := r.index.Applied()
	if err != nil || seq > 0 {
		return err
	}
	if err := r.checkGenesis(ctx); err != nil || logAlone {
		return err
	}
	return r.loadCheckpoint(ctx)
}

// resetIndex replaces an index that cannot be believed.
func (r *Repository) resetIndex(ctx context.Context) error {
	path := r.index.Path()
	if err := r.index.Close(); err != nil {
		r.opt.Warn(err.Error())
	}
	if err := removeIndex(path); err != nil {
		return err
	}
	return r.openIndex(ctx)
}

// removeIndexes removes the index files that no other process holds.
func (r *Repository) removeIndexes() error {
	for slot := range indexSlots {
		path := r.indexPath(slot)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		x, err := index.Open(path, index.Options{Repository: r.id, BootID: r.opt.BootID, Partial: r.ring.metaID == nil})
		if errors.Is(err, index.ErrBusy) {
			continue
		}
		if err == nil {
			err = x.Close()
		}
		if rerr := removeIndex(path); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	return nil
}

func removeIndex(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove index: %w", err)
	}
	return nil
}

// readCommit returns commit seq, or tier.ErrNotExist.
func (r *Repository) readCommit(ctx context.Context, seq uint64) (*index.Commit, error) {
	name := index.CommitName(seq)
	b, err := tier.Read(ctx, r.store, name, maxCommit)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	c, err := index.ParseCommit(b, r.ring.metaID)
	if err == nil && c.Header.Seq != seq {
		err = fmt.Errorf("it says that it is commit %d: %w", c.Header.Seq, index.ErrCorrupt)
	}
	if err != nil {
		return nil, logError(r.store, name, err)
	}
	return c, nil
}

// logError names the file and the next step for a commit that cannot be believed.
func logError(store tier.Store, name string, err error) error {
	switch {
	case errors.Is(err, index.ErrVersion):
		return fmt.Errorf("%s in %s: %w: %w", name, store, ErrVersion, err)
	case errors.Is(err, index.ErrDamaged):
		return err
	case !errors.Is(err, index.ErrCorrupt) && !errors.Is(err, index.ErrForged) && !errors.Is(err, index.ErrChain):
		// It is of this machine, not of the repository.
		return fmt.Errorf("fold the log into the local index: %w; the repository is not affected: "+
			"free space there, or let XDG_CACHE_HOME name another directory", err)
	}
	return fmt.Errorf("%s in %s: %w: %w; run firn check, and bring the file back from a copy of the repository, or run firn repair", name, store, ErrDamaged, err)
}

// checkGenesis compares commit 1 with config and key slot: all three name the same
// repository and founder.
func (r *Repository) checkGenesis(ctx context.Context) error {
	c, err := r.readCommit(ctx, 1)
	if errors.Is(err, tier.ErrNotExist) {
		return fmt.Errorf("%s: %w: commit 1 is missing: %w", r.store, ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	if hex.EncodeToString(c.Hash[:16]) != r.id || c.Header.Writer != index.WriterKey(r.ring.Founder) {
		return fmt.Errorf("%s in %s: %w: it is of another repository", index.CommitName(1), r.store, ErrDamaged)
	}
	return nil
}

// checkHead refuses a log that is not the one the index was made from (invariant 7).
func (r *Repository) checkHead(ctx context.Context) error {
	seq, hash, err := r.index.Applied()
	if err != nil || seq == 0 {
		return err
	}
	found, err := r.commitHash(ctx, seq)
	if errors.Is(err, tier.ErrNotExist) {
		return fmt.Errorf("%s: %w: commit %d, which this machine has seen, is gone: firn repair makes it "+
			"anew if there is parity; if an older copy was brought back on purpose, delete %s and run again, which gives up what came after it",
			r.store, ErrRolledBack, seq, r.opt.CacheDir)
	}
	if err != nil {
		return err
	}
	if found != hash {
		return fmt.Errorf("%s: %w: commit %d is not the one that this machine has seen; if that is on purpose, delete %s and run again",
			r.store, ErrRolledBack, seq, r.opt.CacheDir)
	}
	return nil
}

// commitHash returns the hash of commit seq and checks the length of its file. Of most
// commits it reads only the header.
func (r *Repository) commitHash(ctx context.Context, seq uint64) (hash index.Hash, err error) {
	name := index.CommitName(seq)
	fi, err := r.store.Stat(ctx, name)
	if err != nil {
		return hash, fmt.Errorf("read log: %w", err)
	}
	b := make([]byte, min(fi.Size, 16<<10))
	if n, err := r.store.ReadAt(ctx, name, b, 0); err != nil && n < len(b) {
		return hash, fmt.Errorf("read log: %w", err)
	}
	h, hash, size, err := index.ParseHeader(b)
	switch {
	case err == nil && h == nil:
		c, err := r.readCommit(ctx, seq)
		if err != nil {
			return hash, err
		}
		return c.Hash, nil
	case err == nil && size != fi.Size:
		err = fmt.Errorf("%w: it has %d bytes instead of %d", index.ErrCorrupt, fi.Size, size)
	}
	if err != nil {
		return hash, logError(r.store, name, err)
	}
	return hash, nil
}

// Refresh folds what other writers committed since.
func (r *Repository) Refresh(ctx context.Context) error {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	_, _, err := r.follow(ctx)
	return err
}

// foldBatch bounds how many commits are folded in one transaction of the index, and
// foldBytes their size.
const (
	foldBatch = 256
	foldBytes = 16 << 20
)

// follow folds the log to its end and returns where that is. r.logMu is held.
func (r *Repository) follow(ctx context.Context) (seq uint64, head index.Hash, err error) {
	seq, head, err = r.index.Applied()
	if err != nil {
		return 0, head, err
	}
	for {
		var batch []*index.Commit
		var size int64
		end := false
		for len(batch) < foldBatch && size < foldBytes {
			c, err := r.readCommit(ctx, seq+uint64(len(batch))+1)
			if errors.Is(err, tier.ErrNotExist) {
				end = true
				break
			}
			if err != nil {
				return 0, head, err
			}
			batch, size = append(batch, c), size+c.Size
		}
		if err := r.fold(batch); err != nil {
			return 0, head, err
		}
		if n := len(batch); n > 0 {
			seq, head = batch[n-1].Header.Seq, batch[n-1].Hash
			if r.opt.Progress != nil {
				r.opt.Progress(seq)
			}
		}
		if end {
			r.behind = nil
			if seq == r.gapless {
				return seq, head, nil
			}
			err := r.refuseGap(ctx, seq)
			if err == nil {
				r.gapless = seq
			}
			return seq, head, err
		}
	}
}

// settle makes the log durable as far as it is folded. A commit of another process can be
// seen shortly before it is durable, and nothing that outlasts a power failure may be built
// on it until then. The folder of a commit is enough: whoever began it had settled the one
// before. r.logMu is held.
func (r *Repository) settle(ctx context.Context) error {
	seq, _, err := r.index.Applied()
	if err != nil {
		return err
	}
	return r.settleTo(ctx, seq)
}

func (r *Repository) settleTo(ctx context.Context, seq uint64) error {
	if seq <= r.settled {
		return nil
	}
	if err := tier.Settle(ctx, r.store, index.CommitName(seq)); err != nil {
		return fmt.Errorf("make the log durable up to commit %d: %w", seq, err)
	}
	r.settled = seq
	return nil
}

func (r *Repository) fold(batch []*index.Commit) error {
	if len(batch) == 0 {
		return nil
	}
	for _, s := range r.sessions {
		done, err := s.before(batch)
		defer done()
		if err != nil {
			return logError(r.store, fmt.Sprintf("log from commit %d on", batch[0].Header.Seq), err)
		}
	}
	if err := r.index.Apply(batch...); err != nil {
		return logError(r.store, fmt.Sprintf("log from commit %d on", batch[0].Header.Seq), err)
	}
	for _, s := range r.sessions {
		if err := s.after(batch); err != nil {
			return err
		}
	}
	if r.folded != nil {
		for _, c := range batch {
			r.folded(c)
		}
	}
	return nil
}

// refuseGap looks for a commit behind a missing one.
func (r *Repository) refuseGap(ctx context.Context, last uint64) error {
	var behind string
	err := r.store.List(ctx, "log/", index.CommitName(last), func(fi tier.Info) error {
		behind = fi.Name
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("list log: %w", err)
	}
	seq, ok := index.ParseCommitName(behind)
	if !ok {
		return r.refuseLostTail(ctx, last)
	}
	if seq <= last+1 {
		return nil // one that was created just now
	}
	// It may have been created, with the one before it, while we looked.
	if _, err := r.store.Stat(ctx, index.CommitName(last+1)); err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: the log has a gap: %s is missing, but %s is there; bring the file back from a copy of the repository, or run firn repair",
		r.store, ErrDamaged, index.CommitName(last+1), behind)
}

// refuseLostTail looks, once, for parity of commits behind the last one: then these were
// there, and repair makes them anew. A commit in their place would lose them for good.
func (r *Repository) refuseLostTail(ctx context.Context, last uint64) error {
	if percent, err := r.Parity(); err != nil || percent == 0 || r.gapless > 0 {
		return err
	}
	var lost uint64
	err := r.store.List(ctx, parityFolder+"log/", "", func(fi tier.Info) error {
		if g, ok := parseLogGroup(fi); ok {
			lost = max(lost, g.last)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list parity of the log: %w", err)
	}
	if lost <= last {
		return nil
	}
	if _, err := r.store.Stat(ctx, index.CommitName(last+1)); err == nil {
		return nil // created while we looked
	}
	return fmt.Errorf("%s: %w: the log ends with commit %d, but there is parity of commits up to %d: run firn repair, which makes them anew",
		r.store, ErrDamaged, last, lost)
}

var errStop = errors.New("stop")
