package repo

import (
	"context"
	"fmt"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
)

// Marks are the chunks that are needed: a bit for each chunk of each pack, and the IDs of
// the lists and tree blocks that were walked.
type Marks struct {
	r      *Repository
	packs  map[index.PackNum]*packMarks
	broken map[index.PackNum]struct{} // packs that no chunk should be left in
	lost   map[chunk.ID]struct{}      // chunks that were declared lost, and may be nowhere
	missed map[chunk.ID]struct{}      // those of them that are needed
	walked map[chunk.ID]struct{}
	wants  []chunk.ID
	places []place
	rely   *Session // if not nil, it relies on what is marked, and nothing else is noted
	chunks int64
}

// packMarks are the needed chunks of one pack. A chunk that lies in several packs is live
// in one of them and spare in the others.
type packMarks struct{ live, spare bitmap }

type place struct {
	want, slot int
	num        index.PackNum
}

// markBatch is how many chunks are looked up in one transaction.
const markBatch = 4096

func newMarks(r *Repository, broken map[index.PackNum]struct{}) *Marks {
	return &Marks{r: r, packs: map[index.PackNum]*packMarks{}, broken: broken, walked: map[chunk.ID]struct{}{}, missed: map[chunk.ID]struct{}{}}
}

// Marks makes the session rely on what is marked: it can commit what refers to that only
// while all of it is there.
func (s *Session) Marks() *Marks {
	m := newMarks(s.r, nil)
	m.rely = s
	return m
}

// Chunk marks a chunk. That it is nowhere may be told by a later call.
func (m *Marks) Chunk(id chunk.ID) error {
	if m.wants = append(m.wants, id); len(m.wants) < markBatch {
		return nil
	}
	return m.Flush()
}

// Walk marks a metadata chunk, and reports whether this is the first time, so that what
// it leads to has to be marked, too.
func (m *Marks) Walk(id chunk.ID) (first bool, err error) {
	if _, ok := m.walked[id]; ok {
		return false, nil
	}
	m.walked[id] = struct{}{}
	return true, m.Chunk(id)
}

// Content marks the lists and chunks of a content.
func (m *Marks) Content(ctx context.Context, c Content) error {
	switch {
	case c[0] == formInline:
		return nil
	case c[0] == formChunk:
		return m.Chunk(c.id())
	}
	return m.list(ctx, c.id(), int(c[0]-formList), c.Size())
}

func (m *Marks) list(ctx context.Context, id chunk.ID, level int, span int64) error {
	first, err := m.Walk(id)
	if err != nil || !first {
		return err
	}
	entries, err := m.r.readList(ctx, id, level, span)
	if err != nil {
		return err
	}
	for ; len(entries) > 0; entries = entries[listEntry:] {
		switch child := entryID(entries); {
		case level > 0:
			err = m.list(ctx, child, level-1, entrySpan(entries))
		case !child.IsZero():
			err = m.Chunk(child)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Flush makes sure that every chunk marked so far is in some pack; ErrDamaged if not.
func (m *Marks) Flush() error {
	if len(m.wants) == 0 {
		return nil
	}
	if m.rely != nil {
		return m.flushRelying()
	}
	m.places = m.places[:0]
	err := m.r.index.LocateAll(m.wants, func(i int, loc *index.Location) {
		m.places = append(m.places, place{i, loc.Slot, loc.Pack})
	})
	if err != nil {
		return err
	}
	next := 0
	for i, id := range m.wants {
		from := next
		for next < len(m.places) && m.places[next].want == i {
			next++
		}
		if _, lost := m.lost[id]; lost && from == next {
			m.missed[id] = struct{}{}
			continue
		}
		if from == next {
			return nowhere(id)
		}
		m.mark(m.places[from:next])
	}
	m.chunks += int64(len(m.wants))
	m.wants = m.wants[:0]
	return nil
}

func nowhere(id chunk.ID) error {
	return fmt.Errorf("chunk %s: %w: no pack holds it; run firn check to see what it belongs to, and forget that or bring it back", id, ErrDamaged)
}

func (m *Marks) flushRelying() error {
	wants := m.wants
	m.wants = m.wants[:0]
	locs := make([]index.Location, len(wants))
	if err := m.rely.relied.locate(m.r.index, wants, locs); err != nil {
		return err
	}
	for i := range locs {
		if locs[i].Pack == 0 {
			return nowhere(wants[i])
		}
	}
	m.chunks += int64(len(wants))
	return nil
}

// mark notes a needed chunk: it is kept where it was before, or else in the first place
// that can be read.
func (m *Marks) mark(places []place) {
	keep, rank := 0, 0
	for i, p := range places {
		_, broken := m.broken[p.num]
		r := 1
		switch pm := m.packs[p.num]; {
		case broken:
		case pm != nil && pm.live.has(p.slot):
			r = 3
		default:
			r = 2
		}
		if r > rank {
			keep, rank = i, r
		}
	}
	for i, p := range places {
		pm := m.packs[p.num]
		if pm == nil {
			pm = &packMarks{}
			m.packs[p.num] = pm
		}
		if i == keep {
			pm.live = pm.live.set(p.slot)
		} else {
			pm.spare = pm.spare.set(p.slot)
		}
	}
}

func (m *Marks) of(num index.PackNum) packMarks {
	if pm := m.packs[num]; pm != nil {
		return *pm
	}
	return packMarks{}
}
