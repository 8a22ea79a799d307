package repo

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// keyLost + pack ID, of table job: a lostPack.
const keyLost = "lost/"

// lostPack remembers a pack that was dropped because it is damaged or missing, and which of
// its chunks were nowhere else then. So the next backup stores them again, and the pack
// comes back if its file does.
type lostPack struct {
	Was    tombstone `cbor:"0,keyasint"`
	Chunks []byte    `cbor:"1,keyasint"` // their IDs, one behind the other
}

func lostKey(id pack.ID) []byte { return append([]byte(keyLost), id[:]...) }

func lostRow(p *index.Pack, chunks []chunk.ID, now time.Time) (index.Row, error) {
	l := lostPack{Was: tombstone{Time: now.UnixNano(), Pack: p.Record, Seq: p.Seq, Offset: p.Offset}}
	l.Was.Pack.Directory = []byte{}
	for _, id := range chunks {
		l.Chunks = append(l.Chunks, id[:]...)
	}
	v, err := index.Marshal(&l)
	return index.Row{Table: tableJob, Key: lostKey(p.Record.ID), Value: v}, err
}

// lostPacks calls f for the packs that were declared lost.
func (r *Repository) lostPacks(f func(*lostPack) error) error {
	return r.index.Rows(tableJob, []byte(keyLost), nil, func(k, v []byte) error {
		l := &lostPack{}
		if err := index.Unmarshal(v, l); err != nil || !bytes.Equal(k, lostKey(l.Was.Pack.ID)) || len(l.Chunks)%len(chunk.ID{}) != 0 {
			return fmt.Errorf("%s %q: %w: not a lost pack", tableJob, k, ErrDamaged)
		}
		return f(l)
	})
}

func (l *lostPack) ids() (ids []chunk.ID) {
	for b := l.Chunks; len(b) > 0; b = b[len(chunk.ID{}):] {
		ids = append(ids, chunk.ID(b[:len(chunk.ID{})]))
	}
	return ids
}

// missing returns the chunks of lost packs that are still in no pack.
func (r *Repository) missing() (map[chunk.ID]struct{}, error) {
	var all []chunk.ID
	err := r.lostPacks(func(l *lostPack) error {
		all = append(all, l.ids()...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.nowhere(all)
}

// nowhere returns those of the chunks that are in no pack.
func (r *Repository) nowhere(ids []chunk.ID) (map[chunk.ID]struct{}, error) {
	set := map[chunk.ID]struct{}{}
	locs := make([]index.Location, min(len(ids), markBatch))
	for len(ids) > 0 {
		n := min(len(ids), markBatch)
		if err := r.index.Locate(ids[:n], locs[:n]); err != nil {
			return nil, err
		}
		for i, id := range ids[:n] {
			if locs[i].Pack == 0 {
				set[id] = struct{}{}
			}
		}
		ids = ids[n:]
	}
	return set, nil
}

// lostSettled returns the rows of lost packs to be removed: no chunk of them is both needed and
// nowhere. needed are the chunks of which this is known. The IDs of the other packs are
// added to stays.
func (r *Repository) lostSettled(needed map[chunk.ID]struct{}, stays map[pack.ID]bool) (rows []index.Row, err error) {
	err = r.lostPacks(func(l *lostPack) error {
		for _, id := range l.ids() {
			if _, ok := needed[id]; ok {
				stays[l.Was.Pack.ID] = true
				return nil
			}
		}
		rows = append(rows, index.Row{Table: tableJob, Key: lostKey(l.Was.Pack.ID)})
		return nil
	})
	return rows, err
}

// isLost reports whether there is a row for the pack.
func (r *Repository) isLost(id pack.ID) (bool, error) {
	_, err := r.index.Row(tableJob, lostKey(id))
	if errors.Is(err, index.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
