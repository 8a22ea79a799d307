package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/firnstore/firn/pack"
)

// counters hand out local numbers; row counters of table state.
type counters struct {
	Pack, Run, Bucket uint32
	Drops             uint64 // packs ever dropped
}

func loadCounters(tx *bolt.Tx) (*counters, error) {
	v, err := in(tx, tableState).get(keyCounters)
	if err != nil {
		return nil, err
	}
	c := &counters{Pack: 1, Run: 1, Bucket: 1}
	if v == nil {
		return c, nil
	}
	if len(v) != 20 {
		return nil, fmt.Errorf("%w: counters", ErrDamaged)
	}
	c.Pack, c.Run, c.Bucket = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:]), binary.BigEndian.Uint32(v[8:])
	c.Drops = binary.BigEndian.Uint64(v[12:])
	return c, nil
}

func (c *counters) store(tx *bolt.Tx) error {
	v := binary.BigEndian.AppendUint32(nil, c.Pack)
	v = binary.BigEndian.AppendUint32(v, c.Run)
	v = binary.BigEndian.AppendUint32(v, c.Bucket)
	return in(tx, tableState).put(keyCounters, binary.BigEndian.AppendUint64(v, c.Drops))
}

// SessionState says how far a session is.
type SessionState uint8

// The states of a session; its row is the state and the key of its writer.
const (
	SessionOpen   SessionState = 1
	SessionEnded  SessionState = 2
	SessionSealed SessionState = 3
)

// Apply folds commits, which ParseCommit has returned with their bodies and which follow
// one another and the commit applied last, into the index, all or none. Errors wrap
// ErrChain, ErrForged, ErrCorrupt or ErrDamaged. Nothing is durable when it returns.
func (x *Index) Apply(commits ...*Commit) error {
	x.apply.Lock()
	defer x.apply.Unlock()
	for _, c := range commits {
		if c.Opaque && !x.partial {
			return fmt.Errorf("apply commit %d: its body is sealed", c.Header.Seq)
		}
	}
	return x.fold(func(f *fold) error {
		for _, c := range commits {
			if err := f.commit(c); err != nil {
				return fmt.Errorf("apply commit %d: %w", c.Header.Seq, err)
			}
		}
		return nil
	})
}

// fold runs one transaction of the fold, and what follows from it. x.apply is held.
func (x *Index) fold(do func(*fold) error) error {
	var entries []runEntry
	snapshots := false
	err := x.update(func(tx *bolt.Tx) error {
		c, err := loadCounters(tx)
		if err != nil {
			return err
		}
		f := &fold{tx: tx, counters: c}
		if err := do(f); err != nil {
			return err
		}
		if !x.swept {
			if err := sweepParts(tx); err != nil {
				return err
			}
		}
		entries, snapshots = f.entries, f.snapshots
		return f.finish()
	})
	if err != nil {
		return err
	}
	if snapshots {
		x.snapshots.Add(1) // behind the transaction: who saw the new number sees the new rows
	}
	x.swept = true
	if f := x.chunks.filter.Load(); f != nil {
		for _, e := range entries {
			f.add(e.prefix())
		}
		if f.keys > f.limit {
			x.forgetFilter() // made anew when misses pay for it
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return x.merge()
}

// fold is one transaction of applying commits.
type fold struct {
	tx       *bolt.Tx
	counters *counters
	entries  []runEntry // of packs added
	header   *Header
	role     Role

	snapshots bool // some came or went
}

func (f *fold) finish() error {
	if len(f.entries) > 0 {
		slices.SortFunc(f.entries, runEntry.compare)
		if err := putRun(f.tx, f.counters.Run, f.entries); err != nil {
			return err
		}
		f.counters.Run++
	}
	return f.counters.store(f.tx)
}

func (f *fold) note(format string, args ...any) error {
	return f.addNote(fmt.Sprintf("commit %d: %s", f.header.Seq, fmt.Sprintf(format, args...)))
}

func (f *fold) addNote(text string) error {
	t := in(f.tx, tableNotes)
	n, err := t.b.NextSequence()
	if err != nil {
		return err
	}
	return t.put(binary.BigEndian.AppendUint64(nil, n), []byte(text))
}

func (f *fold) commit(c *Commit) error {
	f.header = &c.Header
	if err := f.follows(c); err != nil {
		return err
	}
	void, err := f.session()
	if err != nil {
		return err
	}
	if void != "" {
		err = f.note("void: %s", void)
	} else {
		err = f.operations(c)
	}
	if err != nil {
		return err
	}
	return setApplied(f.tx, c.Header.Seq, c.Hash)
}

// follows checks the chain and finds the writer's role.
func (f *fold) follows(c *Commit) error {
	h := f.header
	seq, hash, err := applied(f.tx)
	if err != nil {
		return err
	}
	if h.Seq != seq+1 || h.Prev != hash {
		return fmt.Errorf("%w: after commit %d (%s) comes %d, which follows %s", ErrChain, seq, hash, h.Seq, h.Prev)
	}
	if h.Seq == 1 {
		if len(h.Admitted) == 0 || !h.Admitted[0].founds(h.Writer) {
			return fmt.Errorf("%w: the first commit does not admit its writer", ErrForged)
		}
		f.role = Full
		return nil
	}
	w, err := writerOf(f.tx, h.Writer)
	if err != nil {
		return err
	}
	if w == nil {
		return fmt.Errorf("%w: writer %s was never admitted", ErrForged, h.Writer)
	}
	f.role = w.Role
	if w.Revoked {
		f.role = 0
	}
	return nil
}

// session follows the steps of sessions and says why the commit is void, if it is.
func (f *fold) session() (void string, err error) {
	h, t := f.header, in(f.tx, tableSessions)
	if f.role == 0 {
		return "its writer was revoked", nil
	}
	row, err := t.get(h.Session[:])
	if err != nil {
		return "", err
	}
	switch {
	case h.Step&Begin != 0 && row != nil:
		return "begins a session that exists", nil
	case h.Step&Begin == 0 && row == nil:
		return "its session was never begun", nil
	case row != nil && !bytes.Equal(row[1:], h.Writer[:]):
		return "its session belongs to another writer", nil
	case row != nil && SessionState(row[0]) == SessionEnded:
		return "its session has ended", nil
	case row != nil && SessionState(row[0]) == SessionSealed:
		return "its session was sealed", nil
	}
	if h.Step&Begin == 0 {
		return "", nil
	}
	return "", t.put(h.Session[:], sessionRow(SessionOpen, h.Writer))
}

// endSession ends the session of the commit, unless the same commit sealed it.
func (f *fold) endSession() error {
	t := in(f.tx, tableSessions)
	row, err := t.get(f.header.Session[:])
	if err != nil || f.header.Step&End == 0 || SessionState(row[0]) != SessionOpen {
		return err
	}
	return t.put(f.header.Session[:], append([]byte{byte(SessionEnded)}, row[1:]...))
}

// operations carries out a commit in the order of docs/format.md, section 10.
func (f *fold) operations(c *Commit) error {
	h, b := &c.Header, &c.Body
	for i := range h.Admitted {
		if err := f.admit(&h.Admitted[i]); err != nil {
			return err
		}
	}
	steps := []func() error{
		func() error { return each(h.Revoked, f.revoke) },
		func() error { return each(h.Seals, f.seal) },
		func() error { return each(b.Buckets, f.addBucket) },
		func() error { return f.addPacks(c) },
		func() error { return each(h.Dropped, f.drop) },
		func() error { return each(b.Removals, f.remove) },
		func() error {
			for i := range b.Versions {
				if _, err := f.putVersion(&b.Versions[i], h.Seq, uint32(i)); err != nil {
					return err
				}
			}
			return nil
		},
		func() error { return each(b.Edits, f.edit) },
		func() error { return each(b.BucketsRemoved, f.removeBucket) },
		func() error { return each(b.Rows, f.setRow) },
		f.endSession,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func each[T any](list []T, do func(T) error) error {
	for _, v := range list {
		if err := do(v); err != nil {
			return err
		}
	}
	return nil
}

// may reports whether the writer's role allows what; a refusal is noted.
func (f *fold) may(least Role, what string) (bool, error) {
	if f.role <= least {
		return true, nil
	}
	return false, f.note("no effect: a %s key may not %s", f.role, what)
}

func (f *fold) admit(c *Certificate) error {
	if ok, err := f.may(Full, "admit writers"); !ok {
		return err
	}
	if !c.Verify() || c.Issuer != f.header.Writer {
		return f.note("no effect: certificate of writer %s is not signed by this writer", c.Writer)
	}
	w, err := writerOf(f.tx, c.Writer)
	if err != nil {
		return err
	}
	if w != nil {
		return f.note("no effect: writer %s is admitted already", c.Writer)
	}
	return putWriter(f.tx, &writerRow{Certificate: *c})
}

func (f *fold) revoke(k WriterKey) error {
	if ok, err := f.may(Full, "revoke writers"); !ok {
		return err
	}
	w, err := writerOf(f.tx, k)
	if err != nil {
		return err
	}
	if w == nil {
		return f.note("no effect: writer %s to be revoked is unknown", k)
	}
	w.Revoked = true
	return putWriter(f.tx, w)
}

func (f *fold) seal(s pack.Session) error {
	if ok, err := f.may(Meta, "seal sessions"); !ok {
		return err
	}
	t := in(f.tx, tableSessions)
	row, err := t.get(s[:])
	if err != nil {
		return err
	}
	if row == nil || SessionState(row[0]) != SessionOpen {
		return f.note("no effect: session %s to be sealed is not open", s)
	}
	return t.put(s[:], append([]byte{byte(SessionSealed)}, row[1:]...))
}

func (f *fold) addBucket(name string) error {
	t := in(f.tx, tableBuckets)
	row, err := t.get([]byte(name))
	if err != nil {
		return err
	}
	if row != nil && f.role == Write {
		return nil // who cannot read the log cannot know
	}
	if row != nil {
		return f.note("no effect: bucket %s exists", name)
	}
	f.counters.Bucket++
	return t.put([]byte(name), binary.BigEndian.AppendUint32(nil, f.counters.Bucket-1))
}

func (f *fold) removeBucket(name string) error {
	if ok, err := f.may(Meta, "remove buckets"); !ok {
		return err
	}
	num, err := bucketNum(f.tx, name)
	if err != nil {
		return err
	}
	if num == 0 {
		return f.note("no effect: there is no bucket %s to remove", name)
	}
	full, err := in(f.tx, tableVersions).has(binary.BigEndian.AppendUint32(nil, num))
	if err != nil {
		return err
	}
	if full {
		return f.note("no effect: bucket %s to be removed is not empty", name)
	}
	return in(f.tx, tableBuckets).delete([]byte(name))
}

func rowKey(tableName string, key []byte) []byte {
	return append(append([]byte(tableName), 0), key...)
}

func (f *fold) setRow(r Row) error {
	if ok, err := f.may(Meta, "set rows"); !ok {
		return err
	}
	t, key := in(f.tx, tableRows), rowKey(r.Table, r.Key)
	if r.Value != nil {
		return t.put(key, r.Value)
	}
	v, err := t.get(key)
	if err != nil {
		return err
	}
	if v == nil {
		return f.note("no effect: there is no %s %q to remove", r.Table, r.Key)
	}
	return t.delete(key)
}
