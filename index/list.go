package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// ListQuery asks for a page of the keys or versions of a bucket.
type ListQuery struct {
	Prefix    string // only keys that begin with it
	Delimiter string // keys that have it behind the prefix are rolled up; "": none are

	// After is where the page before ended: only keys, and common prefixes, behind it in
	// byte order are listed. A common prefix that After begins with is behind it as a whole.
	After string
	From  string // without After: only keys from this one on, in byte order

	// AfterVersion, with Versions, continues within the key After, behind that version;
	// when it is gone, behind where it was if its first eight bytes are its time, as those
	// of package object are. nil continues behind the key.
	AfterVersion *VersionID
	AfterNull    bool // instead of AfterVersion: behind the null version

	Versions  bool // every version and delete marker, not just newest versions of keys that are there
	Snapshots bool // with Versions: snapshots, too
	Max       int  // entries and common prefixes together, at least 1
}

// ListEntry is a version in a Listing.
type ListEntry struct {
	Version *Version
	Latest  bool // it is the newest of its key
}

// Listing is a page. Snapshots are in it only if asked for.
type Listing struct {
	Entries   []ListEntry
	Prefixes  []string // common prefixes, each ending with the delimiter
	Truncated bool     // there is more

	// NextAfter and NextVersion continue a truncated listing: the last key or common
	// prefix in it, and the version.
	NextAfter   string
	NextVersion *Version // nil after a common prefix
}

// List returns a page of a bucket. It reads what it lists and, for each common prefix, one
// row more. ErrNotFound without such a bucket.
func (x *Index) List(bucket string, q ListQuery) (*Listing, error) {
	var l *lister
	err := x.view(func(tx *bolt.Tx) error {
		num, err := bucketNum(tx, bucket)
		if err != nil {
			return err
		}
		if num == 0 {
			return fmt.Errorf("bucket %s: %w", bucket, ErrNotFound)
		}
		l = &lister{q: &q, head: binary.BigEndian.AppendUint32(nil, num)}
		if q.AfterVersion != nil {
			k, _, err := find(tx, bucket, []byte(q.After), *q.AfterVersion)
			if err != nil {
				return err
			}
			l.gone = k == nil
		}
		return l.run(in(tx, tableVersions))
	})
	if err != nil {
		return nil, err
	}
	return &l.page, nil
}

// lister is one run of List.
type lister struct {
	q    *ListQuery
	head []byte // number of the bucket
	page Listing

	next    []byte // where to go on when step asks for a jump
	lastKey []byte // escaped key of the row before
	within  bool   // still looking for the place of AfterVersion
	gone    bool   // which does not exist any more
}

// behindKey is the first place behind all rows of a key.
func (l *lister) behindKey(key string) []byte {
	return append(appendKey(bytes.Clone(l.head), []byte(key)), 0, 2)
}

// behindPrefix is the first place behind all keys with a prefix, or nil if there is none.
func (l *lister) behindPrefix(prefix string) []byte {
	b := appendKey(bytes.Clone(l.head), []byte(prefix))
	for len(b) > len(l.head) {
		if b[len(b)-1]++; b[len(b)-1] != 0 {
			return b
		}
		b = b[:len(b)-1]
	}
	return nil
}

func (l *lister) start() []byte {
	q := l.q
	if q.After == "" && q.From != "" {
		return appendKey(bytes.Clone(l.head), []byte(q.From))
	}
	if q.After == "" {
		return nil
	}
	if cp := l.commonPrefix(q.After); cp != "" {
		return l.behindPrefix(cp)
	}
	if q.Versions && (q.AfterVersion != nil || q.AfterNull) {
		l.within = true
		return versionPrefix(binary.BigEndian.Uint32(l.head), []byte(q.After))
	}
	return l.behindKey(q.After)
}

// commonPrefix of a key, or "".
func (l *lister) commonPrefix(key string) string {
	q := l.q
	rest, ok := strings.CutPrefix(key, q.Prefix)
	if q.Delimiter == "" || !ok {
		return ""
	}
	i := strings.Index(rest, q.Delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(q.Prefix)+i+len(q.Delimiter)]
}

func (l *lister) run(t table) error {
	prefix := appendKey(bytes.Clone(l.head), []byte(l.q.Prefix))
	from := l.start()
	if from == nil && l.q.After != "" {
		return nil // behind a prefix of 0xff bytes there is nothing
	}
	for {
		l.next = nil
		err := t.scan(prefix, from, l.step)
		if err == errStop && l.next != nil {
			from = l.next
			continue
		}
		if err == errStop {
			err = nil
		}
		return err
	}
}

// step looks at one row. errStop with next set means: go on there; without: enough.
func (l *lister) step(k, row []byte) error {
	if len(k) < len(l.head)+14 {
		return fmt.Errorf("%w: key of table versions", ErrDamaged)
	}
	escaped := k[len(l.head) : len(k)-14]
	latest := !bytes.Equal(escaped, l.lastKey) || l.lastKey == nil
	if !latest && !l.q.Versions {
		l.next = append(append(bytes.Clone(l.head), escaped...), 0, 2)
		return errStop
	}
	l.lastKey = append(l.lastKey[:0], escaped...)
	key := string(unescape(escaped))
	if l.within && key == l.q.After {
		return l.findAfter(row, latest)
	}
	l.within = false
	return l.take(key, row, latest)
}

// findAfter passes over the versions up to the one after which the page begins.
func (l *lister) findAfter(row []byte, latest bool) error {
	v, err := decodeVersion(row)
	if err != nil {
		return err
	}
	switch {
	case l.q.AfterNull && v.Null, l.q.AfterVersion != nil && v.ID == *l.q.AfterVersion:
		l.within = false
		return nil
	case l.gone && uint64(v.Time) <= binary.BigEndian.Uint64(l.q.AfterVersion[:]):
		l.within = false // here is what was behind it
		return l.take(string(v.Key), row, latest)
	}
	return nil
}

func (l *lister) take(key string, row []byte, latest bool) error {
	v, err := decodeVersion(row)
	if err != nil {
		return err
	}
	if v.Kind == TreePayload && latest {
		l.lastKey = nil // the next one is the newest that is no snapshot
	}
	if v.Kind == TreePayload && !l.q.Snapshots || v.Kind == DeleteMarker && !l.q.Versions {
		return nil
	}
	if len(l.page.Entries)+len(l.page.Prefixes) >= l.q.Max {
		l.page.Truncated = true
		return errStop
	}
	if cp := l.commonPrefix(key); cp != "" {
		l.page.Prefixes = append(l.page.Prefixes, cp)
		l.page.NextAfter, l.page.NextVersion = cp, nil
		l.next = l.behindPrefix(cp)
		return errStop
	}
	l.page.Entries = append(l.page.Entries, ListEntry{v, latest})
	l.page.NextAfter, l.page.NextVersion = key, v
	return nil
}

// unescape is the inverse of appendKey.
func unescape(b []byte) []byte {
	if bytes.IndexByte(b, 0) < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		out = append(out, b[i])
		if b[i] == 0 {
			i++ // 0x00 is written as 0x00 0xff
		}
	}
	return out
}

// VersionOf returns the newest version of a key for which match is true (nil: the newest
// that is no snapshot), and whether it is the newest but for snapshots; or nil if there is
// none. ErrNotFound without such a bucket.
func (x *Index) VersionOf(bucket string, key []byte, match func(*Version) bool) (found *Version, latest bool, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		num, err := bucketNum(tx, bucket)
		if err != nil {
			return err
		}
		if num == 0 {
			return fmt.Errorf("bucket %s: %w", bucket, ErrNotFound)
		}
		first := true
		err = in(tx, tableVersions).scan(versionPrefix(num, key), nil, func(_, row []byte) error {
			v, err := decodeVersion(row)
			if err != nil {
				return err
			}
			tree := v.Kind == TreePayload
			if match == nil && !tree || match != nil && match(v) {
				found, latest = v, first
				return errStop
			}
			first = first && tree
			return nil
		})
		if err == errStop {
			err = nil
		}
		return err
	})
	return found, latest, err
}

// Empty reports whether a bucket has no versions. ErrNotFound without such a bucket.
func (x *Index) Empty(bucket string) (empty bool, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		num, err := bucketNum(tx, bucket)
		if err != nil {
			return err
		}
		if num == 0 {
			return fmt.Errorf("bucket %s: %w", bucket, ErrNotFound)
		}
		full, err := in(tx, tableVersions).has(binary.BigEndian.AppendUint32(nil, num))
		empty = !full
		return err
	})
	return empty, err
}
