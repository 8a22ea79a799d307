package object

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/lifecycle"
)

// Sizes of what a run does at a time.
const (
	lifecyclePage    = 1000 // versions that are read
	lifecycleBatch   = 250  // versions that a commit changes: clients wait for it
	lifecycleUploads = 16   // uploads that a commit aborts, each with up to 10 000 parts
)

// bucket carries out the rules of one bucket, from where the run was cut off.
func (w *lifecycleWork) bucket(ctx context.Context, b *Bucket, rules *lifecycle.Rules) error {
	from := ""
	if w.run.Bucket == b.Name {
		from = string(w.run.Key)
	}
	for _, prefix := range rules.Prefixes() {
		if from > prefix && !strings.HasPrefix(from, prefix) {
			continue
		}
		if err := w.versions(ctx, b, rules, prefix, from); err != nil {
			return err
		}
	}
	for _, prefix := range rules.UploadPrefixes() {
		if err := w.uploads(ctx, b, rules, prefix); err != nil {
			return err
		}
	}
	return nil
}

// versions goes through the versions of keys with a prefix, behind the key from.
func (w *lifecycleWork) versions(ctx context.Context, b *Bucket, rules *lifecycle.Rules, prefix, from string) error {
	q := index.ListQuery{Prefix: prefix, Versions: true, Snapshots: true, Max: lifecyclePage, After: from}
	t := &rankTeller{size: w.opt.Size}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		page, err := w.e.List(b.Name, q)
		if err != nil {
			return err
		}
		w.run.Counts.Looked += uint64(len(page.Entries))
		var due []lifecycleCandidate
		now := w.e.r.Now()
		for _, entry := range page.Entries {
			f := t.facts(entry.Version, now)
			if f.Current && f.Marker {
				if f.Only, err = w.e.single(b.Name, entry.Version.Key); err != nil {
					return err
				}
			}
			if d := rules.Decide(w.opt.Calendar, b.Versioning.forRules(), f, now); d.Deed != lifecycle.Nothing {
				due = append(due, lifecycleCandidate{entry.Version, d})
			}
		}
		if err := w.carryOut(b, due); err != nil {
			return err
		}
		if !page.Truncated {
			return nil
		}
		q.After = page.NextAfter
		q.AfterVersion = &page.NextVersion.ID
		if page.NextVersion.Kind == index.TreePayload { // which may be gone now, and its ID has no time
			q.AfterVersion = &index.VersionID{}
			binary.BigEndian.PutUint64(q.AfterVersion[:], uint64(page.NextVersion.Time))
		}
		if err := w.passed(b.Name, page); err != nil {
			return err
		}
	}
}

// lifecycleCandidate is a version for which something was due when it was read.
type lifecycleCandidate struct {
	v *index.Version
	d lifecycle.Decision
}

// carryOut carries out what is due, in small commits that decide again.
func (w *lifecycleWork) carryOut(b *Bucket, due []lifecycleCandidate) error {
	if w.opt.DryRun {
		for _, c := range due {
			w.done(&LifecycleDeed{Decision: c.d, Bucket: b, Version: c.v})
		}
		return nil
	}
	for batch := range slices.Chunk(due, lifecycleBatch) {
		var deeds []LifecycleDeed
		scopes := []scope{bucketScope(b.Name).share()}
		for i, c := range batch {
			if i == 0 || string(c.v.Key) != string(batch[i-1].v.Key) {
				scopes = append(scopes, keyScope(b.Name, string(c.v.Key)))
			}
		}
		err := w.e.propose(w.e.ctx, &proposal{scopes: scopes, weight: deleteWeight * int64(len(batch)), decide: func(d *decision) (err error) {
			deeds, err = d.lifecycle(w.opt, b.Name, batch)
			return err
		}})
		if err != nil {
			return err
		}
		for i := range deeds {
			w.done(&deeds[i])
		}
	}
	return nil
}

// done counts a deed and tells of it.
func (w *lifecycleWork) done(deed *LifecycleDeed) {
	w.run.Counts.Count(deed)
	if w.opt.Done != nil {
		w.opt.Done(deed)
	}
}

func (v Versioning) forRules() lifecycle.Versioning {
	switch v {
	case Enabled:
		return lifecycle.Enabled
	case Suspended:
		return lifecycle.Suspended
	}
	return lifecycle.Unversioned
}

// rankTeller finds out what decides about versions from their order: keys together, the
// newest version first. Objects and snapshots under one key do not see each other.
type rankTeller struct {
	size func(*index.Version) int64
	key  string
	last [2]struct { // of the key: objects, snapshots
		n    int   // versions so far
		time int64 // of the one before
	}
}

func (t *rankTeller) facts(v *index.Version, now time.Time) *lifecycle.Version {
	f := &lifecycle.Version{
		Key: string(v.Key), Tags: v.Tags, Class: v.Class, Created: time.Unix(0, v.Time),
		Marker: v.Kind == index.DeleteMarker, Snapshot: v.Kind == index.TreePayload, Locked: Removable(v.Lock, now, false) != nil,
	}
	switch {
	case f.Snapshot && v.Snapshot != nil:
		f.Size = int64(v.Snapshot.Bytes)
	case !f.Marker && !f.Snapshot:
		f.Size = t.size(v)
	}
	if f.Key != t.key {
		*t = rankTeller{size: t.size, key: f.Key}
	}
	last := &t.last[0]
	if f.Snapshot {
		last = &t.last[1]
	}
	// A snapshot that came back lies above newer ones. It replaces none of those.
	if f.Current = last.n == 0 || f.Snapshot && v.Time >= last.time; !f.Current {
		f.Replaced, f.Rank = time.Unix(0, last.time), last.n
	}
	last.n++
	last.time = v.Time
	return f
}

// single reports whether a key has one version only, snapshots apart.
func (e *Engine) single(bucket string, key []byte) (bool, error) {
	n := 0
	v, _, err := e.r.Index().VersionOf(bucket, key, func(v *index.Version) bool {
		if v.Kind != index.TreePayload {
			n++
		}
		return n == 2
	})
	return v == nil, bucketError(bucket, err)
}

// lifecycle decides again about versions and carries out what is due still.
func (d *decision) lifecycle(opt *Lifecycle, bucket string, batch []lifecycleCandidate) (deeds []LifecycleDeed, err error) {
	b, err := d.e.bucketAt(bucket)
	if err != nil {
		return nil, err
	}
	rules, err := opt.Rules(b)
	if err != nil || rules == nil {
		return nil, err
	}
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && string(batch[n].v.Key) == string(batch[0].v.Key) {
			n++
		}
		due, err := d.dueOf(opt, b, rules, batch[:n])
		if err != nil {
			return nil, err
		}
		for i := range due {
			if err := d.doRule(opt, b, &due[i]); err != nil {
				return nil, err
			}
		}
		deeds = append(deeds, due...)
		batch = batch[n:]
	}
	return deeds, d.broken
}

// dueOf returns what is due for some versions of one key.
func (d *decision) dueOf(opt *Lifecycle, b *Bucket, rules *lifecycle.Rules, batch []lifecycleCandidate) (deeds []LifecycleDeed, err error) {
	now := time.Unix(0, d.now)
	wanted := map[index.VersionID]bool{}
	for _, c := range batch {
		wanted[c.v.ID] = true
	}
	type known struct {
		v *index.Version
		f *lifecycle.Version
	}
	var found []known
	t := &rankTeller{size: opt.Size}
	_, _, err = d.ix.VersionOf(b.Name, batch[0].v.Key, func(v *index.Version) bool {
		if f := t.facts(v, now); wanted[v.ID] {
			found = append(found, known{v, f})
		}
		return len(found) == len(wanted)
	})
	if err != nil {
		return nil, bucketError(b.Name, err)
	}
	replaces := false // the null version, with a marker
	for _, k := range found {
		if k.f.Current && k.f.Marker {
			if k.f.Only, err = d.e.single(b.Name, k.v.Key); err != nil {
				return nil, err
			}
		}
		decided := rules.Decide(opt.Calendar, b.Versioning.forRules(), k.f, now)
		if decided.Deed == lifecycle.PutMarker && b.Versioning == Suspended {
			replaces = true
		} else if decided.Deed == lifecycle.Nothing || replaces && k.v.Null {
			continue
		}
		deeds = append(deeds, LifecycleDeed{Decision: decided, Bucket: b, Version: k.v})
	}
	return deeds, nil
}

// doRule carries out one deed.
func (d *decision) doRule(opt *Lifecycle, b *Bucket, deed *LifecycleDeed) error {
	v := deed.Version
	switch deed.Deed {
	case lifecycle.Remove:
		if v.Kind == index.TreePayload {
			return d.forget(v)
		}
		if err := d.remove(v, false); err != nil {
			return err
		}
		return d.tell(opt.Tell, b, Removed, v)
	case lifecycle.Transit:
		moved := *v
		moved.Class = deed.Class
		d.edit(&moved)
		deed.Version = &moved
		return d.tell(opt.Tell, b, Edited, &moved)
	case lifecycle.PutMarker:
		res := d.mark(b, &DeleteRequest{Key: string(v.Key), System: opt.Marker(b), Tell: opt.Tell})
		if errors.Is(res.Err, ErrLocked) { // the null version it would replace
			deed.Deed = lifecycle.Nothing
			return nil
		}
		deed.Marker = res.Marker
		return res.Err
	}
	return nil
}

// edit sets what may change of a version.
func (d *decision) edit(v *index.Version) {
	d.ops.Edits = append(d.ops.Edits, index.Edit{Bucket: v.Bucket, Key: v.Key, ID: v.ID,
		Class: v.Class, User: v.User, System: v.System, Lock: v.Lock, Tags: v.Tags})
}

// forget removes a snapshot in a way that it can come back from, like firn forget.
func (d *decision) forget(v *index.Version) error {
	row, err := (&repo.Forgotten{Time: d.now, Version: *v}).Row()
	if err != nil {
		return err
	}
	d.ops.Removals = append(d.ops.Removals, index.Removal{Bucket: v.Bucket, Key: v.Key, ID: v.ID})
	d.ops.Rows = append(d.ops.Rows, row)
	return nil
}

// uploads aborts those to keys with a prefix that are due.
func (w *lifecycleWork) uploads(ctx context.Context, b *Bucket, rules *lifecycle.Rules, prefix string) error {
	afterKey, afterID := "", ""
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := 0
		var due []*Upload
		now := w.e.r.Now()
		err := w.e.Uploads(b.Name, prefix, afterKey, afterID, func(u *Upload) bool {
			n++
			afterKey, afterID = string(u.Version.Key), u.ID
			if at, r := rules.Abort(w.opt.Calendar, afterKey, time.Unix(0, u.Version.Time)); r != nil && !now.Before(at) {
				due = append(due, u)
			}
			return n < lifecyclePage
		})
		if err != nil {
			return err
		}
		w.run.Counts.Looked += uint64(n)
		for batch := range slices.Chunk(due, lifecycleUploads) {
			if err := w.abort(b, rules, batch); err != nil {
				return err
			}
		}
		if n < lifecyclePage {
			return nil
		}
	}
}

// abort aborts uploads in one commit.
func (w *lifecycleWork) abort(b *Bucket, rules *lifecycle.Rules, batch []*Upload) error {
	var deeds []LifecycleDeed
	scopes := []scope{bucketScope(b.Name).share()}
	for _, u := range batch {
		scopes = append(scopes, uploadScope(u.ID))
	}
	decide := func(d *decision) error {
		deeds = nil
		b, err := w.e.bucketAt(b.Name)
		if err != nil {
			return err
		}
		if rules, err = w.opt.Rules(b); err != nil {
			return err
		}
		for _, u := range batch {
			key := string(u.Version.Key)
			at, r := rules.Abort(w.opt.Calendar, key, time.Unix(0, u.Version.Time))
			now, raw, err := w.e.upload(b.Name, key, u.ID)
			if err != nil && !errors.Is(err, ErrNoUpload) {
				return err
			}
			if err != nil || now.Done != nil || r == nil || time.Unix(0, d.now).Before(at) {
				continue
			}
			if err := dropUpload(d, uploadKey(b.Name, key, raw)); err != nil {
				return err
			}
			deeds = append(deeds, LifecycleDeed{Decision: lifecycle.Decision{Deed: lifecycle.Remove, Rule: r.ID}, Bucket: b, Version: &u.Version, Upload: u.ID})
		}
		return nil
	}
	var err error
	if w.opt.DryRun {
		err = decide(&decision{e: w.e, ix: w.e.r.Index(), now: w.e.r.Now().UnixNano(), ops: &repo.Ops{}})
	} else {
		err = w.e.propose(w.e.ctx, &proposal{scopes: scopes, decide: decide})
	}
	if err != nil {
		return fmt.Errorf("abort uploads: %w", err)
	}
	for i := range deeds {
		w.done(&deeds[i])
	}
	return nil
}
