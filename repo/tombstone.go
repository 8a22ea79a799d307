package repo

import (
	"bytes"
	"fmt"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// Tables, and rows of table job, docs/format.md, section 10.
const (
	tableSetting = "setting"
	tableJob     = "job"
	keyDropped   = "dropped/"   // + pack ID: a tombstone
	keyForgotten = "forgotten/" // + snapshot ID: a Forgotten
	keyOpen      = "open/"      // + session: when a prune first found it open
)

// tombstone remembers a pack that was dropped, so that it can be brought back while its
// file is there.
type tombstone struct {
	Time   int64            `cbor:"0,keyasint"` // ns since 1970
	Pack   index.PackRecord `cbor:"1,keyasint"` // without its directory, which is in the pack
	Seq    uint64           `cbor:"2,keyasint,omitempty"`
	Offset int64            `cbor:"3,keyasint,omitempty"`
}

func tombstoneRow(p *index.Pack, now time.Time) (index.Row, error) {
	t := tombstone{Time: now.UnixNano(), Pack: p.Record, Seq: p.Seq, Offset: p.Offset}
	t.Pack.Directory = []byte{}
	v, err := index.Marshal(&t)
	return index.Row{Table: tableJob, Key: droppedKey(p.Record.ID), Value: v}, err
}

func droppedKey(id pack.ID) []byte { return append([]byte(keyDropped), id[:]...) }

// tombstones calls f for the packs that were dropped and could come back.
func (r *Repository) tombstones(f func(*tombstone) error) error {
	return r.index.Rows(tableJob, []byte(keyDropped), nil, func(k, v []byte) error {
		t := &tombstone{}
		if err := index.Unmarshal(v, t); err != nil || !bytes.Equal(k, droppedKey(t.Pack.ID)) {
			return fmt.Errorf("%s %q: %w: not a dropped pack", tableJob, k, ErrDamaged)
		}
		return f(t)
	})
}

// Forgotten is a version that was removed and can come back.
type Forgotten struct {
	Time    int64         `cbor:"0,keyasint"` // of its removal; ns since 1970
	Version index.Version `cbor:"1,keyasint"`
}

func forgottenKey(id index.VersionID) []byte { return append([]byte(keyForgotten), id[:]...) }

// Row of table job that remembers the version.
func (f *Forgotten) Row() (index.Row, error) {
	v, err := index.Marshal(f)
	return index.Row{Table: tableJob, Key: forgottenKey(f.Version.ID), Value: v}, err
}

// Forgotten calls f for the versions that were removed and can come back, in the order of
// their IDs.
func (r *Repository) Forgotten(f func(*Forgotten) error) error {
	return r.index.Rows(tableJob, []byte(keyForgotten), nil, func(k, v []byte) error {
		t := &Forgotten{}
		if err := index.Unmarshal(v, t); err != nil || !bytes.Equal(k, forgottenKey(t.Version.ID)) {
			return fmt.Errorf("%s %q: %w: not a forgotten version", tableJob, k, ErrDamaged)
		}
		return f(t)
	})
}

// dueSessions returns the sessions that were open when a prune looked at least after ago,
// and the changes to the rows that remember this. own is left out.
func (r *Repository) dueSessions(own pack.Session, after time.Duration) (seals []pack.Session, rows []index.Row, err error) {
	now := r.opt.Now().UnixNano()
	seen := map[pack.Session]int64{}
	err = r.index.Rows(tableJob, []byte(keyOpen), nil, func(k, v []byte) error {
		var since int64
		if err := index.Unmarshal(v, &since); err != nil || len(k) != len(keyOpen)+len(own) {
			return fmt.Errorf("%s %q: %w: not a session", tableJob, k, ErrDamaged)
		}
		seen[pack.Session(k[len(keyOpen):])] = since
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	set := func(s pack.Session, value []byte) {
		rows = append(rows, index.Row{Table: tableJob, Key: append([]byte(keyOpen), s[:]...), Value: value})
	}
	err = r.index.Sessions(func(s pack.Session, state index.SessionState, _ index.WriterKey) error {
		since, known := seen[s]
		switch {
		case s == own:
		case state != index.SessionOpen:
			if known {
				set(s, nil)
			}
		case after <= 0 || known && now-since >= int64(after):
			seals = append(seals, s)
			if known {
				set(s, nil)
			}
		case !known:
			v, err := index.Marshal(now)
			if err != nil {
				return err
			}
			set(s, v)
		}
		return nil
	})
	return seals, rows, err
}
