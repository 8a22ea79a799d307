package object

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// Upload is an object that is being uploaded in parts.
type Upload struct {
	ID      string        `cbor:"-"`          // 32 hexadecimal digits; those of one key are in the order of Version.Time
	Version index.Version `cbor:"0,keyasint"` // Bucket, Key, Time of initiation, Class, User, System, Tags, Lock
	Done    *completed    `cbor:"1,keyasint,omitempty"`
}

// completed is kept of an upload for a while, so that completing it again has the same
// answer.
type completed struct {
	Version index.VersionID `cbor:"0,keyasint"`
	Time    int64           `cbor:"1,keyasint"`
	Parts   [32]byte        `cbor:"2,keyasint"` // digest of the list that was given
}

// keepCompleted is how long a completed upload is remembered.
const keepCompleted = 7 * 24 * time.Hour

// Part of an upload.
type Part struct {
	Number  int               `cbor:"-"`                    // 1 to 10 000
	Content []byte            `cbor:"0,keyasint"`           // handle
	Size    int64             `cbor:"1,keyasint"`           // as the client sees it; finish sets it when it differs from the content's
	Time    int64             `cbor:"2,keyasint"`           // ns since 1970
	System  map[string]string `cbor:"3,keyasint,omitempty"` // etag, checksums, as the face wrote them

	row []byte // as it lies in the table
}

// Rows of table upload have the key bucket, 0x00, key with 0x00 written as 0x00 0xff, 0x00
// 0x01, ID of the upload; those of table part the ID of the upload and the number u16.
const (
	tableUpload = "upload"
	tablePart   = "part"
	uploadID    = 16
)

func uploadPrefix(bucket, key string) []byte {
	b := append([]byte(bucket), 0)
	for i := range len(key) {
		if b = append(b, key[i]); key[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return b
}

func uploadKey(bucket, key string, id []byte) []byte {
	return append(append(uploadPrefix(bucket, key), 0, 1), id...)
}

func partKey(id []byte, number int) []byte {
	return binary.BigEndian.AppendUint16(bytes.Clone(id), uint16(number))
}

// CreateUpload begins an upload. Version carries what PutRequest.Version does, and Bucket
// and Key; the engine sets ID and Time of u. ErrNoBucket, ErrSnapshot.
func (e *Engine) CreateUpload(ctx context.Context, u *Upload) error {
	return e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(u.Version.Bucket).share()},
		decide: func(d *decision) error {
			if _, err := e.bucketAt(u.Version.Bucket); err != nil {
				return err
			}
			if err := e.mayWrite(u.Version.Bucket, string(u.Version.Key)); err != nil {
				return err
			}
			v := u.Version
			if err := d.stamp(&v); err != nil {
				return err
			}
			id := v.ID
			v.ID = index.VersionID{}
			u.ID, u.Version = hex.EncodeToString(id[:]), v
			return u.put(d, id[:])
		},
	})
}

func (u *Upload) put(d *decision, id []byte) error {
	value, err := index.Marshal(u)
	if err != nil {
		return fmt.Errorf("upload %s: %w", u.ID, err)
	}
	key := uploadKey(u.Version.Bucket, string(u.Version.Key), id)
	d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableUpload, Key: key, Value: value})
	return nil
}

// Upload returns an upload that is neither completed nor aborted, or ErrNoUpload.
func (e *Engine) Upload(bucket, key, id string) (*Upload, error) {
	u, _, err := e.upload(bucket, key, id)
	if err == nil && u.Done != nil {
		err = fmt.Errorf("upload %s is completed: %w", id, ErrNoUpload)
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (e *Engine) upload(bucket, key, id string) (*Upload, []byte, error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != uploadID {
		return nil, nil, fmt.Errorf("upload %q: %w", id, ErrNoUpload)
	}
	row, err := e.r.Index().Row(tableUpload, uploadKey(bucket, key, raw))
	if errors.Is(err, index.ErrNotFound) {
		return nil, nil, fmt.Errorf("upload %s of %s in bucket %s: %w", id, key, bucket, ErrNoUpload)
	}
	if err != nil {
		return nil, nil, err
	}
	u := &Upload{ID: id}
	if err := index.Unmarshal(row, u); err != nil {
		return nil, nil, fmt.Errorf("upload %s: %w", id, err)
	}
	return u, raw, nil
}

// errEnough ends a scan of rows.
var errEnough = errors.New("enough")

// Uploads calls f for the uploads of a bucket whose keys begin with prefix, behind
// (afterKey, afterID) in the order of keys, then of IDs; afterID "" means behind all
// uploads of afterKey. f returns false to stop.
func (e *Engine) Uploads(bucket, prefix, afterKey, afterID string, f func(*Upload) bool) error {
	var from []byte
	if afterKey != "" {
		from = append(uploadPrefix(bucket, afterKey), 0, 2)
		if raw, err := hex.DecodeString(afterID); err == nil && len(raw) == uploadID {
			from = append(uploadKey(bucket, afterKey, raw), 0)
		}
	}
	err := e.r.Index().Rows(tableUpload, uploadPrefix(bucket, prefix), from, func(k, row []byte) error {
		u := &Upload{ID: hex.EncodeToString(k[len(k)-uploadID:])}
		if err := index.Unmarshal(row, u); err != nil {
			return fmt.Errorf("upload %s: %w", u.ID, err)
		}
		if u.Done == nil && !f(u) {
			return errEnough
		}
		return nil
	})
	return stopped(err)
}

// PutPart stores body to its end as a part, instead of one of the same number. finish is
// as with Put and sets System, the ETag for one.
func (e *Engine) PutPart(ctx context.Context, u *Upload, number int, body io.Reader, finish func(*Part) error) (*Part, error) {
	raw, err := hex.DecodeString(u.ID)
	if err != nil || len(raw) != uploadID || number < 1 || number > 1<<16-1 {
		return nil, fmt.Errorf("part %d of upload %q: %w", number, u.ID, ErrNoUpload)
	}
	bucket, key := u.Version.Bucket, string(u.Version.Key)
	st, err := e.stage(ctx, body)
	if err != nil {
		return nil, err
	}
	defer st.release()
	p := &Part{Number: number, Content: bytes.Clone(st.content[:]), Size: st.content.Size()}
	if finish != nil {
		if err := finish(p); err != nil {
			return nil, err
		}
	}
	err = e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(bucket).share(), uploadScope(u.ID).share(), {name: "p" + string(partKey(raw, number))}},
		small:  st.small, gen: st.gen,
		decide: func(d *decision) error {
			if _, err := e.Upload(bucket, key, u.ID); err != nil {
				return err
			}
			p.Time = d.now
			value, err := index.Marshal(p)
			if err != nil {
				return fmt.Errorf("part %d of upload %s: %w", number, u.ID, err)
			}
			d.ops.Rows = append(d.ops.Rows, index.Row{Table: tablePart, Key: partKey(raw, number), Value: value})
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Parts calls f for the parts of an upload with numbers above after, in their order. f
// returns false to stop.
func (e *Engine) Parts(u *Upload, after int, f func(*Part) bool) error {
	raw, err := hex.DecodeString(u.ID)
	if err != nil || after < 0 || after >= 1<<16-1 {
		return fmt.Errorf("parts of upload %q: %w", u.ID, ErrNoUpload)
	}
	err = e.r.Index().Rows(tablePart, raw, partKey(raw, after+1), func(k, row []byte) error {
		p, err := parsePart(k, row)
		if err != nil {
			return err
		}
		if !f(p) {
			return errEnough
		}
		return nil
	})
	return stopped(err)
}

func parsePart(k, row []byte) (*Part, error) {
	p := &Part{Number: int(binary.BigEndian.Uint16(k[len(k)-2:])), row: slices.Clone(row)}
	if err := index.Unmarshal(row, p); err != nil {
		return nil, fmt.Errorf("part %d of upload %x: %w", p.Number, k[:len(k)-2], err)
	}
	if _, err := repo.ParseContent(p.Content); err != nil {
		return nil, fmt.Errorf("part %d of upload %x: %w", p.Number, k[:len(k)-2], err)
	}
	return p, nil
}

// Abort forgets an upload and its parts. ErrNoUpload.
func (e *Engine) Abort(ctx context.Context, bucket, key, id string) error {
	return e.propose(ctx, &proposal{
		scopes: []scope{bucketScope(bucket).share(), uploadScope(id)},
		decide: func(d *decision) error {
			u, raw, err := e.upload(bucket, key, id)
			if err != nil {
				return err
			}
			if u.Done != nil {
				return fmt.Errorf("upload %s is completed: %w", id, ErrNoUpload)
			}
			return dropUpload(d, uploadKey(bucket, key, raw))
		},
	})
}

// dropUpload removes the rows of an upload.
func dropUpload(d *decision, key []byte) error {
	d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableUpload, Key: key})
	return dropParts(d, key[len(key)-uploadID:])
}

func dropParts(d *decision, id []byte) error {
	return d.ix.Rows(tablePart, id, nil, func(k, _ []byte) error {
		d.ops.Rows = append(d.ops.Rows, index.Row{Table: tablePart, Key: slices.Clone(k)})
		return nil
	})
}

// PartContents calls f for the contents of the parts of all uploads: with versions, they
// are what a repository has to keep.
func PartContents(r *repo.Repository, f func(repo.Content) error) error {
	return r.Index().Rows(tablePart, nil, nil, func(k, row []byte) error {
		c, err := partContent(k, row)
		if err != nil {
			return err
		}
		return f(c)
	})
}

// PartsIn calls f for the contents of the parts that a commit put and that are still there.
func PartsIn(r *repo.Repository, c *index.Commit, f func(repo.Content) error) error {
	for i := range c.Body.Rows {
		row := &c.Body.Rows[i]
		if row.Table != tablePart || row.Value == nil {
			continue
		}
		now, err := r.Index().Row(tablePart, row.Key)
		if errors.Is(err, index.ErrNotFound) || err == nil && !bytes.Equal(now, row.Value) {
			continue
		}
		if err != nil {
			return err
		}
		content, err := partContent(row.Key, row.Value)
		if err == nil {
			err = f(content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func partContent(k, row []byte) (c repo.Content, err error) {
	if len(k) != uploadID+2 {
		return c, fmt.Errorf("row of table part with a key of %d bytes: %w", len(k), repo.ErrDamaged)
	}
	p, err := parsePart(k, row)
	if err != nil {
		return c, err
	}
	return repo.Content(p.Content), nil
}
