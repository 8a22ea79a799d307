package repo

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// droppedPacks finds chunks in packs that a prune dropped, whose files stay for a grace.
// Those need them who began to read before the prune: a restore, or the download of an
// object that was deleted meanwhile. Such reads are slower than others, and one at a time.
type droppedPacks struct {
	mu      sync.Mutex
	seq     uint64 // of the state that the following is of
	stones  []*tombstone
	opened  []*droppedPack // the one used last first
	nowhere map[chunk.ID]struct{}
}

type droppedPack struct {
	id     pack.ID
	reader *pack.Reader
	slots  map[chunk.ID]int
	dir    *pack.Directory

	no    int // of the frame decoded last; -1: none
	frame []byte
}

// Bounds of what is kept in memory.
const (
	openDropped = 64
	maxNowhere  = 1 << 16
)

// readDropped returns a chunk from a pack that was dropped, or nil when it is in none.
func (r *Repository) readDropped(id chunk.ID, key chunk.Key) ([]byte, error) {
	d := &r.dropped
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.follow(r); err != nil {
		return nil, err
	}
	if _, ok := d.nowhere[id]; ok {
		return nil, nil
	}
	for i, p := range d.opened {
		if slot, ok := p.slots[id]; ok {
			copy(d.opened[1:i+1], d.opened[:i])
			d.opened[0] = p
			return p.read(id, slot, chunk.NewHasher(key))
		}
	}
	for _, t := range d.stones {
		if slices.ContainsFunc(d.opened, func(p *droppedPack) bool { return p.id == t.Pack.ID }) {
			continue
		}
		p, err := r.openDropped(t)
		if errors.Is(err, ErrDamaged) || errors.Is(err, ErrRole) || errors.Is(err, tier.ErrNotExist) {
			continue // another may have the chunk
		}
		if err != nil {
			return nil, err
		}
		slot, ok := p.slots[id]
		if !ok {
			continue
		}
		d.opened = slices.Insert(d.opened, 0, p)
		d.opened = d.opened[:min(len(d.opened), openDropped)]
		return p.read(id, slot, chunk.NewHasher(key))
	}
	if len(d.nowhere) < maxNowhere {
		d.nowhere[id] = struct{}{}
	}
	return nil, nil
}

// follow learns which packs were dropped, when the log has grown.
func (d *droppedPacks) follow(r *Repository) error {
	seq, _, err := r.index.Applied()
	if err != nil || d.nowhere != nil && seq == d.seq {
		return err
	}
	d.seq, d.stones, d.nowhere = seq, nil, map[chunk.ID]struct{}{}
	return r.tombstones(func(t *tombstone) error {
		d.stones = append(d.stones, t)
		return nil
	})
}

func (r *Repository) openDropped(t *tombstone) (*droppedPack, error) {
	reader, dir, err := r.openTombstone(t)
	if err != nil {
		return nil, err
	}
	p := &droppedPack{id: t.Pack.ID, reader: reader, dir: dir, slots: make(map[chunk.ID]int, len(dir.Entries)), no: -1}
	for i := range dir.Entries {
		p.slots[dir.Entries[i].ID] = i
	}
	return p, nil
}

// read returns a chunk after checking its ID.
func (p *droppedPack) read(id chunk.ID, slot int, h *chunk.Hasher) ([]byte, error) {
	no := slices.IndexFunc(p.dir.Frames, func(f pack.Frame) bool { return f.First <= slot && slot < f.First+f.Chunks })
	if no < 0 {
		return nil, fmt.Errorf("chunk %s: %w: dropped pack %s has no frame for it", id, ErrDamaged, p.id)
	}
	if no != p.no {
		dec := decompressors.Get().(*pack.Decompressor)
		frame, err := p.reader.ReadFrame(nil, p.dir.Frames[no], dec)
		decompressors.Put(dec)
		if err != nil {
			return nil, fmt.Errorf("dropped pack %s: %w: %w", p.id, ErrDamaged, err)
		}
		p.no, p.frame = no, frame
	}
	e := &p.dir.Entries[slot]
	if e.Offset+e.Length > len(p.frame) {
		return nil, fmt.Errorf("chunk %s: %w: it lies outside of its frame", id, ErrDamaged)
	}
	data := p.frame[e.Offset : e.Offset+e.Length : e.Offset+e.Length]
	if h.ID(data) != id {
		return nil, fmt.Errorf("chunk %s: %w: it hashes to something else in dropped pack %s", id, ErrDamaged, p.id)
	}
	return data, nil
}

// nowhereError is the answer when no pack has a chunk.
func nowhereError(id chunk.ID) error {
	return fmt.Errorf("chunk %s: %w: no pack holds it", id, ErrDamaged)
}
