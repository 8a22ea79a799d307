package object

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/tree"
)

// Page is List for all that a bucket shows: the files of snapshots stand between the
// objects, in the order of the bytes of keys. Of each key that holds snapshots the newest
// is shown; with q.Versions, each file once for every snapshot in which it is another than
// in the one before, and a delete marker where it is gone. A page costs what is on it, and
// a block for each directory on the way to its first key; with q.Versions, as often as
// these directories differ between snapshots.
func (e *Engine) Page(ctx context.Context, bucket string, q index.ListQuery) (*index.Listing, error) {
	keys, err := e.snapshotKeys(bucket)
	if err != nil {
		return nil, err
	}
	keys = overlapping(keys, q.Prefix)
	if len(keys) == 0 {
		return e.List(bucket, q)
	}
	if _, err := e.bucketAt(bucket); err != nil {
		return nil, err
	}
	p := &pager{q: &q}
	p.rows = &rowSource{e: e, bucket: bucket, q: q}
	p.files = &fileSource{e: e, ctx: ctx, bucket: bucket, keys: keys, q: &q}
	if err := p.run(); err != nil {
		return nil, err
	}
	return &p.page, nil
}

// overlapping returns the keys whose snapshots may show keys with a prefix.
func overlapping(keys []string, prefix string) (list []string) {
	for _, k := range keys {
		if strings.HasPrefix(k+"/", prefix) || strings.HasPrefix(prefix, k+"/") {
			list = append(list, k)
		}
	}
	return list
}

// behind is the first string behind all that begin with a prefix; ok is false when there is
// none.
func behind(prefix string) (s string, ok bool) {
	b := []byte(prefix)
	for len(b) > 0 {
		if b[len(b)-1]++; b[len(b)-1] != 0 {
			return string(b), true
		}
		b = b[:len(b)-1]
	}
	return "", false
}

// rolledUp is the common prefix that a key counts as, or "".
func rolledUp(q *index.ListQuery, key string) string {
	rest, ok := strings.CutPrefix(key, q.Prefix)
	if !ok || q.Delimiter == "" {
		return ""
	}
	i := strings.Index(rest, q.Delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(q.Prefix)+i+len(q.Delimiter)]
}

// pager makes one page of rows and files.
type pager struct {
	q     *index.ListQuery
	rows  *rowSource
	files *fileSource
	page  index.Listing
}

// start is the first key that can be on the page.
func (p *pager) start() (from string, ok bool) {
	q := p.q
	from, ok = q.Prefix, true
	switch cp := rolledUp(q, q.After); {
	case q.After == "":
	case cp != "":
		from, ok = behind(cp)
	case q.Versions && (q.AfterVersion != nil || q.AfterNull):
		from = q.After
	default:
		from = q.After + "\x00"
	}
	return max(from, q.Prefix), ok
}

func (p *pager) full() bool { return len(p.page.Entries)+len(p.page.Prefixes) >= p.q.Max }

func (p *pager) run() error {
	from, ok := p.start()
	if !ok {
		return nil // nothing is behind a prefix of 0xff bytes
	}
	err := p.seek(from)
	for err == nil {
		key, found := p.least()
		if !found || !strings.HasPrefix(key, p.q.Prefix) {
			return nil
		}
		if cp := rolledUp(p.q, key); cp != "" {
			if p.full() {
				p.page.Truncated = true
				return nil
			}
			p.page.Prefixes = append(p.page.Prefixes, cp)
			p.page.NextAfter, p.page.NextVersion = cp, nil
			if from, ok = behind(cp); !ok {
				return nil
			}
			err = p.seek(from)
			continue
		}
		var entries []index.ListEntry
		if entries, err = p.take(key); err != nil {
			return err
		}
		for _, entry := range p.behindMarker(key, entries) {
			if p.full() {
				p.page.Truncated = true
				return nil
			}
			p.page.Entries = append(p.page.Entries, entry)
			p.page.NextAfter, p.page.NextVersion = key, entry.Version
		}
	}
	return err
}

func (p *pager) seek(from string) error {
	if err := p.rows.seek(from); err != nil {
		return err
	}
	return p.files.seek(from)
}

// least is the next key of both.
func (p *pager) least() (key string, ok bool) {
	row, rok := p.rows.peek()
	file, fok := p.files.key, p.files.ok
	switch {
	case !rok:
		return file, fok
	case !fok:
		return row, rok
	}
	return min(row, file), true
}

// take returns the entries of a key. An object hides a file; its delete marker does not.
func (p *pager) take(key string) (entries []index.ListEntry, err error) {
	if row, ok := p.rows.peek(); ok && row == key {
		if entries, err = p.rows.take(); err != nil {
			return nil, err
		}
	}
	if !p.files.ok || p.files.key != key {
		return entries, nil
	}
	files := p.files.entries()
	if err := p.files.next(); err != nil {
		return nil, err
	}
	switch {
	case len(entries) == 0:
		return files, nil
	case len(files) == 0 || !p.q.Versions:
		return entries, nil
	case entries[0].Version.Kind == index.DeleteMarker && files[0].Version.Kind != index.DeleteMarker:
		entries[0].Latest = false
		return append(files, entries...), nil
	}
	files[0].Latest = false
	return append(entries, files...), nil
}

// behindMarker cuts off the versions up to the one after which the page begins.
func (p *pager) behindMarker(key string, entries []index.ListEntry) []index.ListEntry {
	q := p.q
	if !q.Versions || key != q.After || q.AfterVersion == nil && !q.AfterNull {
		return entries
	}
	i := slices.IndexFunc(entries, func(e index.ListEntry) bool {
		if q.AfterNull {
			return e.Version.Null
		}
		return e.Version.ID == *q.AfterVersion
	})
	if i >= 0 {
		return entries[i+1:]
	}
	if q.AfterNull {
		return nil
	}
	i = slices.IndexFunc(entries, func(e index.ListEntry) bool {
		return !InSnapshot(e.Version) && uint64(e.Version.Time) <= binary.BigEndian.Uint64(q.AfterVersion[:])
	})
	if i < 0 {
		return nil
	}
	return entries[i:]
}

// rowSource reads the objects of a bucket in pages that grow.
type rowSource struct {
	e      *Engine
	bucket string
	q      index.ListQuery

	page *index.Listing
	i    int // the next entry
	max  int
}

const (
	firstRows = 8
	mostRows  = 1000
)

func (s *rowSource) seek(from string) error {
	if s.page != nil { // often it is there already
		for s.i < len(s.page.Entries) {
			if string(s.page.Entries[s.i].Version.Key) >= from {
				return nil
			}
			s.i++
		}
		if !s.page.Truncated {
			return nil
		}
	}
	s.max = firstRows
	return s.load(index.ListQuery{From: from})
}

// load reads the page that q begins.
func (s *rowSource) load(q index.ListQuery) (err error) {
	q.Prefix, q.Versions, q.Max = s.q.Prefix, s.q.Versions, s.max
	s.i = 0
	s.max = min(4*s.max, mostRows)
	s.page, err = s.e.List(s.bucket, q)
	return err
}

func (s *rowSource) peek() (key string, ok bool) {
	if s.i == len(s.page.Entries) {
		return "", false
	}
	return string(s.page.Entries[s.i].Version.Key), true
}

// take returns the entries of the next key.
func (s *rowSource) take() (entries []index.ListEntry, err error) {
	key, _ := s.peek()
	for {
		for s.i < len(s.page.Entries) && string(s.page.Entries[s.i].Version.Key) == key {
			entries = append(entries, s.page.Entries[s.i])
			s.i++
		}
		if s.i < len(s.page.Entries) || !s.page.Truncated {
			return entries, nil
		}
		next := index.ListQuery{After: s.page.NextAfter}
		if s.q.Versions {
			next.AfterVersion = &s.page.NextVersion.ID
		}
		if err := s.load(next); err != nil {
			return nil, err
		}
	}
}

// fileSource reads the files of all snapshots of a bucket.
type fileSource struct {
	e      *Engine
	ctx    context.Context
	bucket string
	keys   []string // that hold snapshots
	q      *index.ListQuery

	open   []*openWalk
	unseen int // the first of keys that is behind all that were looked at

	key string // where the least of open is
	ok  bool
	at  *openWalk
}

// openWalk is a walk and where it is.
type openWalk struct {
	treeWalk
	at string
	ok bool
}

// seek goes to the first key that is at least from.
func (s *fileSource) seek(from string) error {
	for _, o := range s.open {
		if o.ok && o.at < from {
			if err := s.move(o, func() (string, bool, bool, error) { return o.advance(from) }); err != nil {
				return err
			}
		}
	}
	// Those that begin before from and may reach behind it.
	for i := 1; i <= len(from); i++ {
		if i < len(from) && from[i] > '/' {
			continue
		}
		n, found := slices.BinarySearch(s.keys, from[:i])
		if !found || n < s.unseen {
			continue
		}
		if err := s.begin(s.keys[n], from); err != nil {
			return err
		}
	}
	n, found := slices.BinarySearch(s.keys, from)
	if found {
		n++
	}
	s.unseen = max(s.unseen, n)
	return s.settle()
}

// begin opens the walk of a key.
func (s *fileSource) begin(key, from string) (err error) {
	o := &openWalk{treeWalk: treeWalk{ctx: s.ctx, r: s.e.r, key: key, rolled: s.rolled(key)}}
	if o.list, err = s.e.shownAt(s.ctx, s.bucket, key, s.q.Versions); err != nil {
		return err
	}
	if err := o.seek(from); err != nil {
		return err
	}
	s.open = append(s.open, o)
	return s.move(o, o.next)
}

// rolled reports of prefixes whether all below is on the page as one common prefix, and
// there is nothing of another snapshot there.
func (s *fileSource) rolled(key string) func(prefix string) bool {
	return func(prefix string) bool {
		if rolledUp(s.q, prefix) == "" {
			return false
		}
		n, _ := slices.BinarySearch(s.keys, prefix)
		if n < len(s.keys) && strings.HasPrefix(s.keys[n], prefix) {
			return false
		}
		at, _ := holder(s.keys, prefix)
		return at == key
	}
}

// move takes a walk on until it is at a key that it shows.
func (s *fileSource) move(o *openWalk, step func() (string, bool, bool, error)) error {
	for {
		key, dir, ok, err := step()
		o.at, o.ok = key, ok
		if err != nil || !ok {
			return err
		}
		step = o.next
		at, _ := holder(s.keys, key)
		switch {
		case at == o.key && (dir || s.q.Versions || o.nodes[0] != nil):
			return nil
		case at != o.key && key != at: // all below belongs to a longer key
			from, _ := behind(at + "/")
			step = func() (string, bool, bool, error) { return o.advance(from) }
		}
	}
}

// settle finds the least key, and opens what may come before it.
func (s *fileSource) settle() error {
	for {
		s.at, s.ok = nil, false
		for _, o := range s.open {
			if o.ok && (s.at == nil || o.at < s.at.at) {
				s.at, s.ok = o, true
			}
		}
		if s.at != nil {
			s.key = s.at.at
		}
		if s.unseen == len(s.keys) || s.ok && s.keys[s.unseen] > s.key {
			s.open = slices.DeleteFunc(s.open, func(o *openWalk) bool { return !o.ok })
			return nil
		}
		s.unseen++
		if err := s.begin(s.keys[s.unseen-1], s.keys[s.unseen-1]); err != nil {
			return err
		}
	}
}

func (s *fileSource) next() error {
	if err := s.move(s.at, s.at.next); err != nil {
		return err
	}
	return s.settle()
}

// entries returns the versions of the file at hand, the newest first.
func (s *fileSource) entries() (list []index.ListEntry) {
	o := s.at
	if !s.q.Versions {
		return []index.ListEntry{{Version: o.list[0].version(o.at, o.nodes[0]), Latest: true}}
	}
	var before *tree.Node
	for i := len(o.nodes) - 1; i >= 0; i-- {
		n := o.nodes[i]
		if n != nil && (before == nil || !alike(before, n)) || n == nil && before != nil {
			list = append(list, index.ListEntry{Version: o.list[i].version(o.at, n)})
		}
		before = n
	}
	slices.Reverse(list)
	list[0].Latest = true
	return list
}

// alike reports whether two states of a file look the same.
func alike(a, b *tree.Node) bool {
	return a == b || string(a.Content) == string(b.Content) && a.ModTime == b.ModTime &&
		a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID
}
