package index

import (
	"fmt"
	"strings"

	"github.com/firnstore/firn/pack"
)

// Limits of names. They keep every key well below what bbolt takes, so that no valid
// commit fails to apply.
const (
	maxName        = 255         // bytes of the name of a bucket or table
	maxVersionKey  = 1024        // bytes
	maxRowKey      = 4096        // bytes
	maxEmbedded    = 1 << 20     // bytes, sealed
	maxSealedBody  = 2 * maxBody // bytes; compression and sealing never double what they take
	contentSize    = 41          // bytes of a content handle
	maxLockMode    = 2
	maxSessionStep = Begin | End
)

func (h *Header) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("commit %d: %w: %s", h.Seq, ErrCorrupt, fmt.Sprintf(format, args...))
	}
	if h.Seq == 0 {
		return bad("sequences begin at 1")
	}
	if h.Body.Size > maxSealedBody {
		return bad("body of %d bytes", h.Body.Size)
	}
	if h.Step > maxSessionStep {
		return bad("session step %d", h.Step)
	}
	added := map[pack.ID]bool{}
	for _, id := range h.Added {
		added[id] = true
	}
	for _, e := range h.Embedded {
		if !added[e.Pack] {
			return bad("embedded pack %s is not among the packs added, or embedded twice", e.Pack)
		}
		if e.Size > maxEmbedded {
			return bad("embedded pack %s of %d bytes", e.Pack, e.Size)
		}
		delete(added, e.Pack)
	}
	return nil
}

// validate checks what the CBOR types do not say.
func (c *Commit) validate() error {
	h, b := &c.Header, &c.Body
	if err := h.validate(); err != nil {
		return err
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("commit %d: %w: %s", h.Seq, ErrCorrupt, fmt.Sprintf(format, args...))
	}
	if len(b.Packs) != len(h.Added) {
		return bad("%d packs in the body, %d in the header", len(b.Packs), len(h.Added))
	}
	embedded := map[pack.ID]int64{}
	for _, e := range h.Embedded {
		embedded[e.Pack] = int64(e.Size)
	}
	for i := range b.Packs {
		p := &b.Packs[i]
		if p.ID != h.Added[i] {
			return bad("pack %s in the body is %s in the header", p.ID, h.Added[i])
		}
		if size, ok := embedded[p.ID]; ok && size != p.Size {
			return bad("embedded pack %s has two sizes", p.ID)
		}
		if err := p.validate(); err != nil {
			return bad("pack %s: %v", p.ID, err)
		}
	}
	for i := range b.Versions {
		if err := b.Versions[i].validate(); err != nil {
			return bad("version %s: %v", b.Versions[i].ID, err)
		}
	}
	for _, list := range [][]string{b.Buckets, b.BucketsRemoved} {
		for _, name := range list {
			if !validName(name) {
				return bad("bucket %q", name)
			}
		}
	}
	for i := range b.Edits {
		if err := b.Edits[i].validate(); err != nil {
			return bad("edit of version %s: %v", b.Edits[i].ID, err)
		}
	}
	for i := range b.Rows {
		if err := b.Rows[i].validate(); err != nil {
			return bad("row: %v", err)
		}
	}
	return nil
}

func (p *PackRecord) validate() error {
	if p.Kind > pack.Meta || p.Size <= 0 {
		return fmt.Errorf("kind %d, size %d", p.Kind, p.Size)
	}
	_, err := pack.ParseDirectory(p.Directory)
	return err
}

func (v *Version) validate() error {
	switch {
	case !validName(v.Bucket):
		return fmt.Errorf("bucket %q", v.Bucket)
	case len(v.Key) == 0 || len(v.Key) > maxVersionKey:
		return fmt.Errorf("key of %d bytes", len(v.Key))
	case v.Kind > DeleteMarker:
		return fmt.Errorf("payload kind %d", v.Kind)
	case (v.Kind == ContentPayload) != (len(v.Content) == contentSize) || v.Kind != ContentPayload && len(v.Content) > 0:
		return fmt.Errorf("content handle of %d bytes for payload kind %d", len(v.Content), v.Kind)
	case (v.Kind == TreePayload) != (len(v.Root) > 0):
		return fmt.Errorf("root node for payload kind %d", v.Kind)
	case v.Class == "":
		return fmt.Errorf("no storage class")
	case v.Lock != nil && v.Lock.Mode > maxLockMode:
		return fmt.Errorf("lock mode %d", v.Lock.Mode)
	}
	return nil
}

func (e *Edit) validate() error {
	switch {
	case !validName(e.Bucket):
		return fmt.Errorf("bucket %q", e.Bucket)
	case len(e.Key) == 0 || len(e.Key) > maxVersionKey:
		return fmt.Errorf("key of %d bytes", len(e.Key))
	case e.Class == "":
		return fmt.Errorf("no storage class")
	case e.Lock != nil && e.Lock.Mode > maxLockMode:
		return fmt.Errorf("lock mode %d", e.Lock.Mode)
	}
	return nil
}

func (r *Row) validate() error {
	if !validName(r.Table) || len(r.Key) > maxRowKey {
		return fmt.Errorf("table %q, key of %d bytes", r.Table, len(r.Key))
	}
	return nil
}

// validName excludes NUL, which ends names in keys of the index.
func validName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.Contains(s, "\x00")
}
