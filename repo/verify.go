package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// VerifyLog reads every commit and checks that the chain is whole, signed, and the one
// that the index was folded from. It returns how many commits there are.
func (r *Repository) VerifyLog(ctx context.Context, problem func(file string, err error)) (commits uint64, err error) {
	last, head, err := r.index.Applied()
	if err != nil {
		return 0, err
	}
	var prev index.Hash
	for seq := uint64(1); seq <= last; seq++ {
		c, err := r.readCommit(ctx, seq)
		if ctx.Err() != nil {
			return commits, context.Cause(ctx)
		}
		if err != nil {
			problem(index.CommitName(seq), err)
			prev = index.Hash{} // the next one cannot be compared
			continue
		}
		commits++
		if seq > 1 && prev != (index.Hash{}) && c.Header.Prev != prev {
			problem(index.CommitName(seq), fmt.Errorf("%w: it does not follow the commit before it", ErrDamaged))
		}
		if _, _, err := r.index.Writer(c.Header.Writer); err != nil {
			problem(index.CommitName(seq), fmt.Errorf("%w: %w", ErrDamaged, err))
		}
		prev = c.Hash
	}
	if prev != head && prev != (index.Hash{}) {
		problem(index.CommitName(last), fmt.Errorf("%w: it is not the commit that this machine has seen", ErrRolledBack))
	}
	return commits, nil
}

// VerifyPacks compares the packs that the log names with the files in the store, by
// name and size. It counts packs, files of packs that were dropped and can come back, and
// files that no commit names: those of sessions that were interrupted.
func (r *Repository) VerifyPacks(ctx context.Context, packs, dropped, orphans *int64, problem func(file string, id pack.ID, err error)) error {
	there := map[pack.ID]struct{}{}
	err := r.store.List(ctx, "packs/", "", func(fi tier.Info) error {
		id, ok := packFile(fi.Name)
		if !ok {
			*orphans++
			return nil
		}
		there[id] = struct{}{}
		p, err := r.index.PackByID(id)
		if errors.Is(err, index.ErrNotFound) {
			_, derr := r.index.Row(tableJob, droppedKey(id))
			if lost, lerr := r.isLost(id); derr == nil || lerr == nil && lost {
				*dropped++
			} else {
				*orphans++
			}
			return nil
		}
		if err == nil && p.Record.Size != fi.Size {
			problem(fi.Name, id, fmt.Errorf("%w: it has %d bytes, its commit says %d", ErrDamaged, fi.Size, p.Record.Size))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list packs: %w", err)
	}
	var missing []*index.Pack
	err = r.index.Packs(func(p *index.Pack) error {
		*packs++
		if p.Seq != 0 {
			return nil // in a commit, which was read
		}
		if _, ok := there[p.Record.ID]; !ok {
			missing = append(missing, p)
		}
		return nil
	})
	for _, p := range missing {
		problem(p.Record.ID.Name(), p.Record.ID, fmt.Errorf("%w: the file is missing", ErrDamaged))
	}
	return err
}

// ReadStats of ReadPacks.
type ReadStats struct{ Packs, Bytes int64 }

// ReadPacks reads the packs that choose picks, whole, and compares their digests, and,
// as far as the key slot in use can open them, every chunk with its ID. problem is
// called for one pack at a time.
func (r *Repository) ReadPacks(ctx context.Context, workers int, choose func(pack.ID) bool, bytes *atomic.Int64, problem func(file string, id pack.ID, err error)) (ReadStats, error) {
	var chosen []*index.Pack
	err := r.index.Packs(func(p *index.Pack) error {
		if choose(p.Record.ID) {
			p.Record.AgeHeader = nil
			chosen = append(chosen, p)
		}
		return nil
	})
	if err != nil {
		return ReadStats{}, err
	}
	var (
		next  atomic.Int64
		stats ReadStats
		mu    sync.Mutex
		wg    sync.WaitGroup
	)
	for range max(workers, 2) {
		wg.Go(func() {
			v := packVerifier{r: r, data: chunk.NewHasher(r.ring.dataKey), meta: chunk.NewHasher(r.ring.metaKey)}
			for {
				i := int(next.Add(1)) - 1
				if i >= len(chosen) || ctx.Err() != nil {
					return
				}
				p := chosen[i]
				err := v.verify(ctx, p)
				bytes.Add(p.Record.Size)
				mu.Lock()
				stats.Packs++
				stats.Bytes += p.Record.Size
				if err != nil && ctx.Err() == nil {
					name, _ := p.Name()
					problem(name, p.Record.ID, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return stats, context.Cause(ctx)
}

// packVerifier reads packs whole, with buffers that it keeps.
type packVerifier struct {
	r          *Repository
	data, meta *chunk.Hasher
	buf        []byte
	frame      []byte
}

func (v *packVerifier) verify(ctx context.Context, p *index.Pack) error {
	name, base := p.Name()
	h := blake3.New()
	if cap(v.buf) < 1<<20 {
		v.buf = make([]byte, 1<<20)
	}
	for off := int64(0); off < p.Record.Size; {
		b := v.buf[:min(1<<20, p.Record.Size-off)]
		n, err := v.r.store.ReadAt(ctx, name, b, base+off)
		if err != nil && !(errors.Is(err, io.EOF) && n == len(b)) {
			return fmt.Errorf("%w: read at %d: %w", ErrDamaged, off, err)
		}
		_, _ = h.Write(b)
		off += int64(n)
	}
	if [32]byte(h.Sum(nil)) != p.Record.Digest {
		return fmt.Errorf("%w: its bytes are not those that were written", ErrDamaged)
	}
	if _, err := v.r.ring.identity(p.Record.Kind); err != nil {
		return nil // not to be opened with this key; the digest was right
	}
	return v.chunks(p)
}

func (v *packVerifier) chunks(p *index.Pack) error {
	d, err := v.r.index.Directory(p.Num)
	if err != nil {
		return err
	}
	reader, err := v.r.packs.get(p.Num)
	if err != nil {
		return err
	}
	hasher := v.data
	if p.Record.Kind == pack.Meta {
		hasher = v.meta
	}
	dec := decompressors.Get().(*pack.Decompressor)
	defer decompressors.Put(dec)
	own, err := reader.Directory()
	if err != nil {
		return fmt.Errorf("%w: its own directory: %w", ErrDamaged, err)
	}
	if len(own.Entries) != len(d.Entries) {
		return fmt.Errorf("%w: its own directory differs from its commit", ErrDamaged)
	}
	for i, f := range d.Frames {
		if v.frame, err = reader.ReadFrame(v.frame[:0], f, dec); err != nil {
			return fmt.Errorf("%w: frame %d: %w", ErrDamaged, i, err)
		}
		for _, e := range d.Entries[f.First : f.First+f.Chunks] {
			if hasher.ID(v.frame[e.Offset:e.Offset+e.Length]) != e.ID {
				return fmt.Errorf("%w: chunk %s hashes to something else", ErrDamaged, e.ID)
			}
		}
	}
	return nil
}
