package index

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/firnstore/firn/pack"
)

// model folds a log into maps, by docs/format.md alone.
type model struct {
	seq      uint64
	writers  map[WriterKey]*writerRow
	sessions map[pack.Session]*sessionRecord
	packs    map[pack.ID]placedPack
	buckets  map[string]bool
	versions []orderedVersion
	rows     map[string]string
}

func newModel() *model {
	return &model{writers: map[WriterKey]*writerRow{}, sessions: map[pack.Session]*sessionRecord{},
		packs: map[pack.ID]placedPack{}, buckets: map[string]bool{}, rows: map[string]string{}}
}

func (m *model) apply(c *Commit) {
	h := &c.Header
	m.seq = h.Seq
	role := Full
	if h.Seq > 1 {
		w := m.writers[h.Writer]
		if w.Revoked {
			return
		}
		role = w.Role
	}
	s, begin := m.sessions[h.Session], h.Step&Begin != 0
	if begin == (s != nil) || s != nil && (s.Writer != h.Writer || s.State != SessionOpen) {
		return
	}
	if begin {
		s = &sessionRecord{Session: h.Session, State: SessionOpen, Writer: h.Writer}
		m.sessions[h.Session] = s
	}
	for _, cert := range h.Admitted {
		if role == Full && cert.Issuer == h.Writer && m.writers[cert.Writer] == nil {
			m.writers[cert.Writer] = &writerRow{Certificate: cert}
		}
	}
	for _, k := range h.Revoked {
		if w := m.writers[k]; role == Full && w != nil {
			w.Revoked = true
		}
	}
	for _, id := range h.Seals {
		if o := m.sessions[id]; role <= Meta && o != nil && o.State == SessionOpen {
			o.State = SessionSealed
		}
	}
	m.body(c, role)
	if h.Step&End != 0 && s.State == SessionOpen {
		s.State = SessionEnded
	}
}

func (m *model) body(c *Commit, role Role) {
	for _, name := range c.Body.Buckets {
		m.buckets[name] = true
	}
	m.addPacks(c)
	for _, id := range c.Header.Dropped {
		if role <= Meta {
			delete(m.packs, id)
		}
	}
	for _, r := range c.Body.Removals {
		// The newest version of that ID.
		for i := len(m.versions) - 1; i >= 0 && role <= Meta; i-- {
			v := &m.versions[i].Version
			if v.Bucket == r.Bucket && bytes.Equal(v.Key, r.Key) && v.ID == r.ID {
				m.versions = slices.Delete(m.versions, i, i+1)
				break
			}
		}
	}
	for i, v := range c.Body.Versions {
		taken := v.Kind == TreePayload && slices.ContainsFunc(m.versions, func(o orderedVersion) bool {
			return o.Version.Kind == TreePayload && o.Version.ID == v.ID
		})
		if m.buckets[v.Bucket] && !taken {
			m.versions = append(m.versions, orderedVersion{Version: v, Seq: c.Header.Seq, Pos: uint32(i)})
		}
	}
	for _, e := range c.Body.Edits {
		for i := len(m.versions) - 1; i >= 0 && role <= Meta; i-- {
			v := &m.versions[i].Version
			if v.Bucket == e.Bucket && bytes.Equal(v.Key, e.Key) && v.ID == e.ID {
				v.Class, v.User, v.System, v.Lock, v.Tags = e.Class, e.User, e.System, e.Lock, e.Tags
				break
			}
		}
	}
	for _, name := range c.Body.BucketsRemoved {
		full := slices.ContainsFunc(m.versions, func(o orderedVersion) bool { return o.Version.Bucket == name })
		if role <= Meta && !full {
			delete(m.buckets, name)
		}
	}
	for _, r := range c.Body.Rows {
		if role > Meta {
			continue
		}
		if delete(m.rows, r.Table+" "+string(r.Key)); r.Value != nil {
			m.rows[r.Table+" "+string(r.Key)] = string(r.Value)
		}
	}
}

func (m *model) addPacks(c *Commit) {
	off := uint64(c.BlobOffset)
	places := map[pack.ID]uint64{}
	for _, e := range c.Header.Embedded {
		places[e.Pack] = off
		off += e.Size
	}
	for _, p := range c.Body.Packs {
		if _, ok := m.packs[p.ID]; ok {
			continue
		}
		placed := placedPack{Pack: p}
		if at, ok := places[p.ID]; ok {
			placed.Seq, placed.Offset = c.Header.Seq, at
		}
		m.packs[p.ID] = placed
	}
}

// dump is one line for each fact.
func (m *model) dump(t testing.TB) []string {
	t.Helper()
	lines := []string{fmt.Sprintf("applied %d", m.seq)}
	for k, w := range m.writers {
		lines = append(lines, fmt.Sprintf("writer %s %s %t", k, w.Role, w.Revoked))
	}
	for id, s := range m.sessions {
		lines = append(lines, fmt.Sprintf("session %s %d %s", id, s.State, s.Writer))
	}
	for _, p := range m.packs {
		lines = append(lines, packLine(t, &p))
		d, err := pack.ParseDirectory(p.Pack.Directory)
		if err != nil {
			t.Fatal(err)
		}
		for slot, e := range d.Entries {
			lines = append(lines, chunkLine(e.ID, p.Pack.ID, &Location{
				Slot: slot, FrameNo: e.Frame, Frame: d.Frames[e.Frame], Offset: e.Offset, Length: e.Length}))
		}
	}
	slices.SortFunc(m.versions, func(a, b orderedVersion) int {
		if c := strings.Compare(a.Version.Bucket, b.Version.Bucket); c != 0 {
			return c
		}
		if c := bytes.Compare(a.Version.Key, b.Version.Key); c != 0 {
			return c
		}
		return -slices.Compare([]uint64{a.Seq, uint64(a.Pos)}, []uint64{b.Seq, uint64(b.Pos)})
	})
	last, n := "", 0
	for _, o := range m.versions {
		if o.Version.Bucket != last {
			last, n = o.Version.Bucket, 0
		}
		lines = append(lines, versionLine(t, n, &o.Version))
		if n++; o.Version.Kind == TreePayload {
			lines = append(lines, fmt.Sprintf("snapshot %s", o.Version.ID))
		}
	}
	slices.SortFunc(m.versions, func(a, b orderedVersion) int {
		return slices.Compare([]uint64{a.Seq, uint64(a.Pos)}, []uint64{b.Seq, uint64(b.Pos)})
	})
	for name := range m.buckets {
		lines = append(lines, "bucket "+name)
	}
	for k, v := range m.rows {
		lines = append(lines, fmt.Sprintf("row %q %x", k, v))
	}
	slices.Sort(lines)
	return lines
}
