package object

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/lifecycle"
)

// metaRestore is the name in Version.System of the copy that was asked for of an archived
// version; its value is in the form of lifecycle.Restore.
const metaRestore = "restore"

// Rows of table job with the key restore/, the second (u64) at which something happens next
// to a copy, and the ID of the version, have as value where that is. They let it be told when
// a copy is there, and when it is gone again.
const keyRestore = "restore/"

type restorePlace struct {
	Bucket string `cbor:"0,keyasint"`
	Key    []byte `cbor:"1,keyasint"`
}

func restoreKey(at time.Time, id index.VersionID) []byte {
	b := binary.BigEndian.AppendUint64([]byte(keyRestore), uint64(at.Unix()))
	return append(b, id[:]...)
}

// RestoreOf returns the copy that was asked for last of a version, nil if there was none. It
// may be over.
func RestoreOf(v *index.Version) *lifecycle.Restore {
	r, err := lifecycle.ParseRestore(v.System[metaRestore])
	if err != nil {
		return nil // as unreadable as one that is over
	}
	return r
}

// Readable reports whether the bytes of a version can be read: it is in no archive, or was
// restored.
func Readable(v *index.Version, now time.Time) bool {
	return !lifecycle.Archived(v.Class) || RestoreOf(v).Readable(now)
}

// RestoreRequest asks for a copy of an archived version.
type RestoreRequest struct {
	Bucket, Key string
	Ref         Ref
	Tier        string // a speed of package lifecycle
	Days        int
	Calendar    lifecycle.Calendar
	Tell        Teller // of the version, when a job was begun
}

// Restore asks for a copy of an archived version, or for another expiry of one that is
// there; begun tells which. Errors of lifecycle.Ask; ErrNoBucket, ErrNoKey, ErrNoVersion.
func (e *Engine) Restore(ctx context.Context, req *RestoreRequest) (v *index.Version, begun bool, err error) {
	err = e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(req.Bucket).share(), keyScope(req.Bucket, req.Key)},
		decide: func(d *decision) error {
			b, err := e.bucketAt(req.Bucket)
			if err != nil {
				return err
			}
			old, _, err := e.Version(req.Bucket, req.Key, req.Ref)
			if err != nil {
				return err
			}
			before, now := RestoreOf(old), time.Unix(0, d.now)
			var r *lifecycle.Restore
			if r, begun, err = lifecycle.Ask(req.Calendar, old.Class, before, req.Tier, req.Days, now); err != nil {
				return fmt.Errorf("restore version %s of %s in bucket %s: %w", old.ID, old.Key, old.Bucket, err)
			}
			next := r.Ready
			if !begun {
				next = r.Until // and a row that tells that the copy is there may stay
			}
			if err := d.unplanRestore(before, old.ID, begun); err != nil {
				return err
			}
			copied := *old
			v = &copied
			v.System = cloned(old.System)
			v.System[metaRestore] = r.String()
			d.edit(v)
			if err := d.planRestore(v, next); err != nil || !begun {
				return err
			}
			return d.tell(req.Tell, b, Edited, v)
		},
	})
	return v, begun, err
}

// planRestore puts the row of what happens next to a copy.
func (d *decision) planRestore(v *index.Version, at time.Time) error {
	value, err := index.Marshal(&restorePlace{v.Bucket, v.Key})
	if err != nil {
		return fmt.Errorf("restore of %s: %w", v.Key, err)
	}
	d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableJob, Key: restoreKey(at, v.ID), Value: value})
	return nil
}

// unplanRestore removes what was to happen to a copy: its end, and with ready also its
// beginning.
func (d *decision) unplanRestore(r *lifecycle.Restore, id index.VersionID, ready bool) error {
	if r == nil {
		return nil
	}
	keys := [][]byte{restoreKey(r.Until, id)}
	if ready {
		keys = append(keys, restoreKey(r.Ready, id))
	}
	for _, key := range keys {
		_, err := d.ix.Row(tableJob, key)
		if errors.Is(err, index.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableJob, Key: key})
	}
	return nil
}

// RestoreCounts are what FinishRestores found.
type RestoreCounts struct {
	Ready uint64 // copies that became readable
	Over  uint64 // copies that are gone
}

// FinishRestores notes which copies have become readable and which are gone, and tells of
// them by ready and over. Reads do not wait for it: they go by the clock. Several servers may
// call it; each copy is told of once.
func (e *Engine) FinishRestores(ctx context.Context, ready, over Teller) (c RestoreCounts, err error) {
	for ctx.Err() == nil {
		list, err := e.restoresDue()
		if err != nil || len(list) == 0 {
			return c, err
		}
		scopes := []scope{}
		for i, r := range list {
			if s := keyScope(r.Bucket, string(r.Key)); !slices.ContainsFunc(list[:i], func(o restoreRow) bool { return o.Bucket == r.Bucket && bytes.Equal(o.Key, r.Key) }) {
				scopes = append(scopes, bucketScope(r.Bucket).share(), s)
			}
		}
		var n RestoreCounts
		err = e.propose(ctx, &proposal{scopes: scopes, weight: int64(len(list)) * deleteWeight, decide: func(d *decision) error {
			n = RestoreCounts{}
			for i := range list {
				if err := d.finishRestore(&list[i], &n, ready, over); err != nil {
					return err
				}
			}
			return d.broken
		}})
		if err != nil {
			return c, err
		}
		c.Ready += n.Ready
		c.Over += n.Over
	}
	return c, ctx.Err()
}

type restoreRow struct {
	restorePlace
	row []byte // its key
}

func (r *restoreRow) at() time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(r.row[len(keyRestore):])), 0)
}

func (r *restoreRow) id() index.VersionID { return index.VersionID(r.row[len(keyRestore)+8:]) }

// restoresDue returns some of the rows whose time has come. No version is in it twice.
func (e *Engine) restoresDue() (list []restoreRow, err error) {
	now := e.r.Now()
	seen := map[index.VersionID]bool{}
	err = e.r.Index().Rows(tableJob, []byte(keyRestore), nil, func(k, value []byte) error {
		r := restoreRow{row: slices.Clone(k)}
		if len(k) != len(keyRestore)+8+len(index.VersionID{}) {
			return fmt.Errorf("row of table job with a key of %d bytes: %w", len(k), index.ErrDamaged)
		}
		if r.at().After(now) || len(list) == lifecycleBatch {
			return errEnough
		}
		if err := index.Unmarshal(value, &r.restorePlace); err != nil {
			return fmt.Errorf("row of a restore: %w", err)
		}
		if !seen[r.id()] {
			list = append(list, r)
		}
		seen[r.id()] = true
		return nil
	})
	return list, stopped(err)
}

// finishRestore carries out one row.
func (d *decision) finishRestore(row *restoreRow, n *RestoreCounts, ready, over Teller) error {
	if _, err := d.ix.Row(tableJob, row.row); errors.Is(err, index.ErrNotFound) {
		return nil // another server was faster
	} else if err != nil {
		return err
	}
	d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableJob, Key: row.row})
	b, err := d.e.bucketAt(row.Bucket)
	if errors.Is(err, ErrNoBucket) {
		return nil
	}
	if err != nil {
		return err
	}
	id := row.id()
	v, _, err := d.ix.VersionOf(row.Bucket, row.Key, func(v *index.Version) bool { return v.ID == id })
	if err != nil || v == nil {
		return err
	}
	r := RestoreOf(v)
	switch {
	case r == nil:
		return nil
	case row.at().Equal(r.Ready):
		n.Ready++
		if err := d.planRestore(v, r.Until); err != nil {
			return err
		}
		return d.tell(ready, b, Edited, v)
	case !row.at().Equal(r.Until):
		return nil
	}
	n.Over++
	v.System = maps.Clone(v.System)
	delete(v.System, metaRestore)
	d.edit(v)
	return d.tell(over, b, Edited, v)
}
