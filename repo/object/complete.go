package object

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// CompleteRequest joins parts to a version.
type CompleteRequest struct {
	Bucket, Key, ID string
	Parts           []CompletePart // ascending numbers
	MinPart         int64          // least size of all parts but the last

	// Check is as in PutRequest. Finish is called with the version to be stored and its
	// parts, before the commit; it may be called more than once.
	Check  func(b *Bucket, current *index.Version) error
	Finish func(v *index.Version, parts []*Part) error

	Tell Teller // as in PutRequest; once, however often the upload is completed
}

// CompletePart names a part of an upload, 1 to 10 000. What is in System has to be in that
// of the part, too: its ETag, so that a part that was sent again is not taken for another.
type CompletePart struct {
	Number int
	System map[string]string
}

// digest identifies a list of parts.
func (r *CompleteRequest) digest() [32]byte {
	h := sha256.New()
	text := func(s string) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	for _, p := range r.Parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(p.Number)))
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p.System))))
		for _, k := range slices.Sorted(maps.Keys(p.System)) {
			text(k)
			text(p.System[k])
		}
	}
	return [32]byte(h.Sum(nil))
}

// maxRejoin bounds how often parts that are replaced meanwhile are joined again.
const maxRejoin = 10

// errChanged: a part was replaced while it was being joined.
var errChanged = errors.New("a part has changed")

// Complete makes a version out of the parts without reading them: it joins their chunk
// lists. Version.Parts holds their sizes as the client sees them. A second call with the
// same parts returns the same version for a week. *PartError, ErrNoUpload, those of Put, and
// those of Check and Finish as they are.
func (e *Engine) Complete(ctx context.Context, req *CompleteRequest) (*index.Version, error) {
	digest := req.digest()
	for range maxRejoin {
		u, raw, err := e.upload(req.Bucket, req.Key, req.ID)
		if err != nil {
			return nil, err
		}
		if u.Done != nil {
			return e.completedVersion(u, digest)
		}
		parts, err := e.chosen(req, u)
		if err != nil {
			return nil, err
		}
		put := &PutRequest{Bucket: req.Bucket, Key: req.Key, Version: u.Version, Check: req.Check, Tell: req.Tell}
		if err := e.mayPut(put); err != nil {
			return nil, err
		}
		st, err := e.join(parts)
		if err != nil {
			return nil, err
		}
		v, err := e.finishUpload(ctx, put, req, u, raw, parts, st, digest)
		st.release()
		if !errors.Is(err, errChanged) {
			return v, err
		}
	}
	return nil, fmt.Errorf("parts of upload %s keep changing: %w", req.ID, ErrBusy)
}

// completedVersion answers again what was answered before.
func (e *Engine) completedVersion(u *Upload, digest [32]byte) (*index.Version, error) {
	if u.Done.Parts != digest {
		return nil, fmt.Errorf("upload %s is completed: %w", u.ID, ErrNoUpload)
	}
	v, _, err := e.r.Index().VersionOf(u.Version.Bucket, u.Version.Key, func(v *index.Version) bool { return v.ID == u.Done.Version })
	if err != nil {
		return nil, bucketError(u.Version.Bucket, err)
	}
	if v == nil {
		return nil, fmt.Errorf("upload %s is completed, and its version removed: %w", u.ID, ErrNoUpload)
	}
	return v, nil
}

// chosen returns the parts that the request names.
func (e *Engine) chosen(req *CompleteRequest, u *Upload) (parts []*Part, err error) {
	want := req.Parts
	err = e.Parts(u, 0, func(p *Part) bool {
		if len(want) > 0 && want[0].Number == p.Number {
			if !p.holds(want[0].System) {
				return false
			}
			parts = append(parts, p)
			want = want[1:]
		}
		return len(want) > 0 && want[0].Number > p.Number
	})
	if err != nil {
		return nil, err
	}
	if len(want) > 0 {
		return nil, &PartError{Number: want[0].Number, Reason: PartMissing}
	}
	for _, p := range parts[:max(len(parts)-1, 0)] {
		if p.Size < req.MinPart {
			return nil, &PartError{Number: p.Number, Reason: PartTooSmall, Size: p.Size, ETag: p.System["etag"]}
		}
	}
	return parts, nil
}

func (p *Part) holds(system map[string]string) bool {
	for k, v := range system {
		if p.System[k] != v {
			return false
		}
	}
	return true
}

// join stores the lists of the whole.
func (e *Engine) join(parts []*Part) (*staged, error) {
	st := &staged{engine: e}
	if len(parts) == 1 {
		copy(st.content[:], parts[0].Content)
		return st, nil
	}
	g, err := e.acquire()
	if err != nil {
		return nil, err
	}
	st.gen = g
	st.content, err = g.in.Join(func(yield func(repo.Content) error) error {
		for _, p := range parts {
			if err := yield(repo.Content(p.Content)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		st.release()
		return nil, err
	}
	return st, nil
}

// finishUpload proposes the version, and the end of the upload.
func (e *Engine) finishUpload(ctx context.Context, put *PutRequest, req *CompleteRequest, u *Upload, raw []byte, parts []*Part, st *staged, digest [32]byte) (*index.Version, error) {
	var made *index.Version
	err := e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(req.Bucket).share(), keyScope(req.Bucket, req.Key), uploadScope(req.ID)},
		gen:    st.gen,
		decide: func(d *decision) error {
			now, _, err := e.upload(req.Bucket, req.Key, req.ID)
			if err != nil {
				return err
			}
			if now.Done != nil {
				return errChanged // by the same request, sent twice: look again
			}
			if err := d.unchanged(raw, parts); err != nil {
				return err
			}
			v := u.Version
			v.Kind, v.Content, v.Parts = index.ContentPayload, st.content[:], nil
			if v.Class == "" {
				v.Class = "STANDARD"
			}
			v.System = cloned(u.Version.System)
			for _, p := range parts {
				v.Parts = append(v.Parts, uint64(p.Size))
			}
			if req.Finish != nil {
				if err := req.Finish(&v, parts); err != nil {
					return err
				}
			}
			if made, err = d.put(put, &v); err != nil {
				return err
			}
			if err := dropParts(d, raw); err != nil {
				return err
			}
			done := &Upload{ID: u.ID, Version: index.Version{Bucket: req.Bucket, Key: []byte(req.Key), Class: v.Class, Time: u.Version.Time},
				Done: &completed{Version: made.ID, Time: d.now, Parts: digest}}
			if err := done.put(d, raw); err != nil {
				return err
			}
			return d.forgetCompleted(req.Bucket)
		},
	})
	return made, err
}

// unchanged returns errChanged unless the parts are still those that were joined.
func (d *decision) unchanged(id []byte, parts []*Part) error {
	for _, p := range parts {
		row, err := d.ix.Row(tablePart, partKey(id, p.Number))
		if errors.Is(err, index.ErrNotFound) || err == nil && !bytes.Equal(row, p.row) {
			return errChanged
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetCompleted removes some completed uploads of a bucket that are old enough. Each
// one that is completed looks at the next few, so they do not pile up.
func (d *decision) forgetCompleted(bucket string) error {
	old, seen, next := d.now-int64(keepCompleted), 0, []byte(nil)
	err := d.ix.Rows(tableUpload, append([]byte(bucket), 0), d.e.sweep[bucket], func(k, row []byte) error {
		if seen++; seen > forgetScan {
			next = slices.Clone(k)
			return errEnough
		}
		u := &Upload{}
		if err := index.Unmarshal(row, u); err != nil {
			return fmt.Errorf("upload %x: %w", k[len(k)-uploadID:], err)
		}
		if u.Done != nil && u.Done.Time < old {
			d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableUpload, Key: slices.Clone(k)})
		}
		return nil
	})
	if len(d.e.sweep) >= maxCached {
		clear(d.e.sweep)
	}
	d.e.sweep[bucket] = next // nil: from the beginning
	return stopped(err)
}

// forgetScan is how many uploads are looked at.
const forgetScan = 20

func stopped(err error) error {
	if err == errEnough {
		return nil
	}
	return err
}
