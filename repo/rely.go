package repo

import (
	"errors"
	"fmt"
	"sync"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// reliance is what a session needs of packs that it found: a bit for each chunk that it
// did not store because it was there. When a pack is dropped, the chunks relied on in it
// are looked for elsewhere before the next commit.
type reliance struct {
	// steady is held for reading from a look-up until what it found is noted, and for
	// writing while packs are dropped. So no chunk is noted in a pack that is gone.
	steady sync.RWMutex

	mu     sync.Mutex
	slots  map[index.PackNum]bitmap
	broken map[index.PackNum]struct{} // not to be relied on
	moved  []chunk.ID                 // relied on, in packs dropped since the last settle
}

// distrust makes the session store again what only this pack holds.
func (l *reliance) distrust(num index.PackNum) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = map[index.PackNum]struct{}{}
	}
	l.broken[num] = struct{}{}
}

// locate is Index.Locate, and notes that what it finds is relied on.
func (l *reliance) locate(x *index.Index, ids []chunk.ID, locs []index.Location) error {
	l.steady.RLock()
	defer l.steady.RUnlock()
	if err := x.Locate(ids, locs); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots == nil {
		l.slots = map[index.PackNum]bitmap{}
	}
	for i := range locs {
		if _, bad := l.broken[locs[i].Pack]; bad {
			locs[i] = index.Location{} // stored again, which heals
		}
		if num := locs[i].Pack; num != 0 {
			l.slots[num] = l.slots[num].set(locs[i].Slot)
		}
	}
	return nil
}

// release takes the reliance off a pack that is about to be dropped. own: the session
// wrote it, and relies on all of it. l.steady is held for writing.
func (l *reliance) release(x *index.Index, id pack.ID, own bool) error {
	p, err := x.PackByID(id)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	slots := l.slots[p.Num]
	if slots == nil && !own {
		return nil
	}
	d, err := x.Directory(p.Num)
	if err != nil {
		return err
	}
	for i := range d.Entries {
		if own || slots.has(i) {
			l.moved = append(l.moved, d.Entries[i].ID)
		}
	}
	delete(l.slots, p.Num)
	return nil
}

// settle finds the chunks of dropped packs elsewhere, and relies on them there. ErrDropped
// when one is nowhere.
func (l *reliance) settle(x *index.Index) error {
	l.mu.Lock()
	moved := l.moved
	l.mu.Unlock()
	if len(moved) == 0 {
		return nil
	}
	locs := make([]index.Location, len(moved))
	if err := l.locate(x, moved, locs); err != nil {
		return err
	}
	for i := range locs {
		if locs[i].Pack == 0 {
			return fmt.Errorf("chunk %s: %w", moved[i], ErrDropped)
		}
	}
	l.mu.Lock()
	l.moved = nil
	l.mu.Unlock()
	return nil
}

// before is called with commits that are about to be folded, while the packs that they
// drop can still be looked up. done is called when they are folded.
func (s *Session) before(batch []*index.Commit) (done func(), err error) {
	drops := false
	for _, c := range batch {
		drops = drops || len(c.Header.Dropped) > 0
	}
	if !drops {
		return func() {}, nil
	}
	s.relied.steady.Lock()
	for _, c := range batch {
		for _, id := range c.Header.Dropped {
			if err == nil {
				err = s.relied.release(s.r.index, id, id.Session() == s.id)
			}
		}
	}
	return s.relied.steady.Unlock, err
}

// after notes whether one of the commits sealed the session.
func (s *Session) after(batch []*index.Commit) error {
	for _, c := range batch {
		for _, id := range c.Header.Seals {
			if id != s.id {
				continue
			}
			state, err := s.r.index.SessionState(id) // a void commit seals nothing
			if err != nil {
				return err
			}
			s.mu.Lock()
			s.sealed = s.sealed || state == index.SessionSealed
			s.mu.Unlock()
		}
	}
	return nil
}
