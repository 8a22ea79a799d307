package index

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/firnstore/firn/pack"
)

// writerRow is a row of table writers: public key -> CBOR.
type writerRow struct {
	Certificate
	Revoked bool `cbor:"4,keyasint,omitempty"`
}

func writerOf(tx *bolt.Tx, k WriterKey) (*writerRow, error) {
	v, err := in(tx, tableWriters).get(k[:])
	if err != nil || v == nil {
		return nil, err
	}
	return decodeWriter(v)
}

func decodeWriter(v []byte) (*writerRow, error) {
	w := &writerRow{}
	if err := decMode.Unmarshal(v, w); err != nil {
		return nil, fmt.Errorf("%w: row of table writers: %v", ErrDamaged, err)
	}
	return w, nil
}

func putWriter(tx *bolt.Tx, w *writerRow) error {
	v, err := Marshal(w)
	if err != nil {
		return err
	}
	return in(tx, tableWriters).put(w.Writer[:], v)
}

// applied returns zeros for an empty index.
func applied(tx *bolt.Tx) (seq uint64, hash Hash, err error) {
	v, err := in(tx, tableState).get(keyApplied)
	if err != nil || v == nil {
		return 0, hash, err
	}
	if len(v) != 8+len(hash) {
		return 0, hash, fmt.Errorf("%w: row applied", ErrDamaged)
	}
	copy(hash[:], v[8:])
	return binary.BigEndian.Uint64(v), hash, nil
}

func setApplied(tx *bolt.Tx, seq uint64, hash Hash) error {
	return in(tx, tableState).put(keyApplied, append(binary.BigEndian.AppendUint64(nil, seq), hash[:]...))
}

// Applied returns sequence and hash of the commit applied last; 0 for an empty index.
func (x *Index) Applied() (seq uint64, hash Hash, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		seq, hash, err = applied(tx)
		return err
	})
	return seq, hash, err
}

// Writer returns the role of a writer and whether it was revoked, or ErrNotFound.
func (x *Index) Writer(k WriterKey) (role Role, revoked bool, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		w, err := writerOf(tx, k)
		if err != nil {
			return err
		}
		if w == nil {
			return fmt.Errorf("writer %s: %w", k, ErrNotFound)
		}
		role, revoked = w.Role, w.Revoked
		return nil
	})
	return role, revoked, err
}

// sessionRow is a row of table sessions: session -> state u8, key of the writer.
func sessionRow(state SessionState, by WriterKey) []byte {
	return append([]byte{byte(state)}, by[:]...)
}

// Sessions calls f for every session ever begun.
func (x *Index) Sessions(f func(s pack.Session, state SessionState, by WriterKey) error) error {
	return x.view(func(tx *bolt.Tx) error {
		return in(tx, tableSessions).scan(nil, nil, func(k, v []byte) error {
			return f(pack.Session(k), SessionState(v[0]), WriterKey(v[1:]))
		})
	})
}

// SessionState returns the state of a session, or ErrNotFound.
func (x *Index) SessionState(s pack.Session) (state SessionState, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		v, err := in(tx, tableSessions).get(s[:])
		if err != nil {
			return err
		}
		if v == nil {
			return fmt.Errorf("session %s: %w", s, ErrNotFound)
		}
		state = SessionState(v[0])
		return nil
	})
	return state, err
}

// Notes returns what commits asked for in vain: void commits and operations without
// effect (docs/format.md, section 10), oldest first.
func (x *Index) Notes() (notes []string, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		return in(tx, tableNotes).scan(nil, nil, func(_, v []byte) error {
			notes = append(notes, string(v))
			return nil
		})
	})
	return notes, err
}
