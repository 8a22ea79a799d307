package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

// VerifyBeside checks what lies beside the log and the packs that it names: the file
// config, the key slots, the checkpoints, and the packs that were dropped and can come back,
// whole with readData. None of it is needed by a snapshot, but each is wanted some day.
func (r *Repository) VerifyBeside(ctx context.Context, readData bool, problem func(file string, err error)) error {
	if id, err := ReadID(ctx, r.store); err != nil || id != r.id {
		problem(configName, fmt.Errorf("%w: it is not that of repository %s: %v", ErrDamaged, r.id, err))
	}
	if err := r.verifySlots(ctx, problem); err != nil {
		return err
	}
	if err := r.verifyCheckpoints(ctx, problem); err != nil {
		return err
	}
	return r.verifyDropped(ctx, readData, problem)
}

// slotRow is the key of the setting that remembers the BLAKE3 of the file of a key slot:
// nobody but its holder can open it to see whether it is whole.
const slotRows = "slot/"

func slotRow(role, name string) []byte { return []byte(slotRows + role + "/" + name) }

// slotDigest returns the row for a key slot that is in the store.
func slotDigest(ctx context.Context, store tier.Store, role, name string) (index.Row, error) {
	b, err := tier.Read(ctx, store, slotPath(role, name), maxSlot)
	if err != nil {
		return index.Row{}, fmt.Errorf("read key slot: %w", err)
	}
	sum := blake3.Sum256(b)
	return index.Row{Table: tableSetting, Key: slotRow(role, name), Value: sum[:]}, nil
}

// slotDigest returns the digest of the key slot in a file, if the log knows it.
func (r *Repository) slotDigest(name string) (digest [32]byte, known bool) {
	role, slot, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(name, "keys/"), ".age"), "/")
	v, err := r.index.Row(tableSetting, slotRow(role, slot))
	if err != nil || len(v) != len(digest) {
		return digest, false
	}
	return [32]byte(v), true
}

// verifySlots compares key slots with their digests. Slots that the log does not know, and
// the one that init made while it is the only one, have none.
func (r *Repository) verifySlots(ctx context.Context, problem func(file string, err error)) error {
	names, err := listNames(ctx, r.store, "keys/")
	if err != nil {
		return fmt.Errorf("list key slots: %w", err)
	}
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
		role, slot, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(name, "keys/"), ".age"), "/")
		if !ok || slotPath(role, slot) != name {
			problem(name, fmt.Errorf("%w: it is no key slot", ErrDamaged))
			continue
		}
		want, err := r.index.Row(tableSetting, slotRow(role, slot))
		if errors.Is(err, index.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		row, err := slotDigest(ctx, r.store, role, slot)
		if err == nil && string(row.Value) != string(want) {
			err = errors.New("its bytes are not those that were written")
		}
		if err != nil {
			problem(name, fmt.Errorf("%w: %w; remove the key slot and add it again", ErrDamaged, err))
		}
	}
	return r.index.Rows(tableSetting, []byte(slotRows), nil, func(k, _ []byte) error {
		role, slot, _ := strings.Cut(strings.TrimPrefix(string(k), slotRows), "/")
		if name := slotPath(role, slot); !there[name] {
			problem(name, fmt.Errorf("%w: the key slot is missing; add it again", ErrDamaged))
		}
		return nil
	})
}

// verifyCheckpoints checks that each checkpoint is whole and of this log.
func (r *Repository) verifyCheckpoints(ctx context.Context, problem func(file string, err error)) error {
	var list []tier.Info
	err := r.store.List(ctx, "checkpoints/", "", func(fi tier.Info) error {
		list = append(list, fi)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list checkpoints: %w", err)
	}
	for _, fi := range list {
		err := r.verifyCheckpoint(ctx, fi)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, tier.ErrNotExist) {
			continue // a writer has put a newer one in its place
		}
		if err != nil {
			problem(fi.Name, fmt.Errorf("%w: %w; firn repair says if the log has all that it said; only then delete the file", ErrDamaged, err))
		}
	}
	return nil
}

func (r *Repository) verifyCheckpoint(ctx context.Context, fi tier.Info) error {
	named, _, ok := index.ParseCheckpointName(fi.Name)
	if !ok {
		return errors.New("it has not the name of a checkpoint")
	}
	seq, hash, err := index.VerifyCheckpoint(fileAt{ctx, r.store, fi.Name}, fi.Size, index.WriterKey(r.ring.Founder))
	if err != nil {
		return err
	}
	if seq != named {
		return fmt.Errorf("it is of commit %d", seq)
	}
	found, err := r.commitHash(ctx, seq)
	if errors.Is(err, tier.ErrNotExist) {
		return fmt.Errorf("%w: it is of commit %d, which is missing: %v", ErrRolledBack, seq, err)
	}
	if err == nil && found != hash {
		return fmt.Errorf("%w: commit %d is not the one that it was made from", ErrRolledBack, seq)
	}
	if err != nil && !errors.Is(err, ErrDamaged) { // which VerifyLog tells
		return err
	}
	return nil
}

// verifyDropped checks the files of packs that were dropped: undelete would bring them back.
func (r *Repository) verifyDropped(ctx context.Context, readData bool, problem func(file string, err error)) error {
	var files []*tombstone
	err := r.tombstones(func(t *tombstone) error {
		if t.Seq == 0 {
			files = append(files, t)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, t := range files {
		err := r.verifyTombstone(ctx, t, readData)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			continue
		}
		// A prune removes the row before the file.
		if rerr := r.Refresh(ctx); rerr != nil {
			return rerr
		}
		if _, rerr := r.index.Row(tableJob, droppedKey(t.Pack.ID)); rerr == nil {
			problem(t.Pack.ID.Name(), fmt.Errorf("%w: the pack was dropped, and cannot come back: %w", ErrDamaged, err))
		}
	}
	return nil
}

func (r *Repository) verifyTombstone(ctx context.Context, t *tombstone, readData bool) error {
	name := t.Pack.ID.Name()
	fi, err := r.store.Stat(ctx, name)
	if err != nil {
		return err
	}
	if fi.Size != t.Pack.Size {
		return fmt.Errorf("it has %d bytes instead of %d", fi.Size, t.Pack.Size)
	}
	if !readData {
		return nil
	}
	h := blake3.New()
	if _, err := io.Copy(h, io.NewSectionReader(fileAt{ctx, r.store, name}, 0, fi.Size)); err != nil {
		return err
	}
	if [32]byte(h.Sum(nil)) != t.Pack.Digest {
		return errors.New("its bytes are not those that were written")
	}
	return nil
}
