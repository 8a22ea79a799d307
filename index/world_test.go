package index

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/pack"
)

// A committed identity, which seals nothing but the files in testdata.
const testIdentity = "AGE-SECRET-KEY-1A879GFP2HLUP79GMRR0Y9AY25T7Q7ANZ2S83CRXPWMWAZ4AHDU0QJS7UQT"

func metaIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.ParseX25519Identity(testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func publicKey(k ed25519.PrivateKey) WriterKey { return WriterKey(k.Public().(ed25519.PublicKey)) }

// Writers of every world; the founder is admitted by commit 1, the others at random.
var (
	founderKey = testKey(1)
	worldKeys  = []ed25519.PrivateKey{founderKey, testKey(2), testKey(3), testKey(4), testKey(5)}
	worldRoles = []Role{Full, Meta, Write, Write, Full}
)

const worldChunks = 600 // different chunks in a world

func worldChunk(n int) chunk.ID {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return blake3.Sum256(b[:])
}

// world makes a log of random commits, some of which ask for what has no effect.
type world struct {
	rng      *rand.Rand
	seq      uint64
	hash     Hash
	packs    uint32
	sessions []pack.Session
	model    *model
	ids      []pack.ID
	put      []Removal
	names    []string
}

func newWorld(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 77)), model: newModel(),
		names: []string{"host", "photos", "mail", "a\u00e9"}}
}

// genesis is commit 1; it admits everyone so that ordinary commits have effects.
func (w *world) genesis() *Commit {
	c := w.commit(0)
	c.Header.Step = Begin
	c.Header.Admitted = []Certificate{NewCertificate(publicKey(founderKey), Full, founderKey)}
	for i := 1; i < 4; i++ {
		c.Header.Admitted = append(c.Header.Admitted, NewCertificate(publicKey(worldKeys[i]), worldRoles[i], founderKey))
	}
	c.Body.Buckets = w.names[:2]
	return c
}

// commit makes an empty commit of writer i in a session of its own.
func (w *world) commit(i int) *Commit {
	w.seq++
	c := &Commit{Header: Header{Seq: w.seq, Prev: w.hash, Writer: publicKey(worldKeys[i]), Time: int64(w.seq)}}
	binary.BigEndian.PutUint64(c.Header.Session[:], w.seq)
	c.Header.Session[11] = byte(i)
	c.BlobOffset = 500
	binary.BigEndian.PutUint64(c.Hash[:], w.seq)
	c.Hash[31] = byte(w.rng.Uint32())
	w.hash = c.Hash
	return c
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

func (w *world) next() *Commit {
	var c *Commit
	if w.seq == 0 {
		c = w.genesis()
		w.sessions = append(w.sessions, c.Header.Session)
	} else {
		c = w.random()
	}
	w.model.apply(c)
	return c
}

func (w *world) random() *Commit {
	i := w.rng.IntN(len(worldKeys))
	for w.model.writers[publicKey(worldKeys[i])] == nil {
		i = w.rng.IntN(len(worldKeys))
	}
	c := w.commit(i)
	if w.rng.IntN(3) == 0 {
		c.Header.Session = pick(w.rng, w.sessions) // perhaps another writer's, or ended
	} else {
		c.Header.Step = Begin
		w.sessions = append(w.sessions, c.Header.Session)
	}
	if w.rng.IntN(3) == 0 {
		c.Header.Step |= End
	}
	w.headerOps(c, i)
	w.packOps(c)
	w.bodyOps(c)
	return c
}

func (w *world) headerOps(c *Commit, writer int) {
	if w.rng.IntN(12) == 0 {
		c.Header.Seals = append(c.Header.Seals, pick(w.rng, w.sessions))
	}
	if w.rng.IntN(20) == 0 {
		n := w.rng.IntN(len(worldKeys))
		c.Header.Admitted = append(c.Header.Admitted, NewCertificate(publicKey(worldKeys[n]), worldRoles[n], worldKeys[writer]))
	}
	if w.rng.IntN(60) == 0 {
		c.Header.Revoked = append(c.Header.Revoked, publicKey(worldKeys[1+w.rng.IntN(4)]))
	}
}

func (w *world) packOps(c *Commit) {
	for range w.rng.IntN(4) {
		w.packs++
		p := w.pack(pack.NewID(c.Header.Session, w.packs))
		if w.rng.IntN(15) == 0 && len(w.ids) > 0 {
			p.ID = pick(w.rng, w.ids) // there already, or dropped and brought back
		}
		if slices.Contains(c.Header.Added, p.ID) {
			continue
		}
		c.Body.Packs, c.Header.Added = append(c.Body.Packs, p), append(c.Header.Added, p.ID)
		if w.rng.IntN(3) == 0 {
			c.Header.Embedded = append(c.Header.Embedded, Embedded{Pack: p.ID, Size: uint64(p.Size)})
		}
		w.ids = append(w.ids, p.ID)
	}
	for w.rng.IntN(3) == 0 && len(w.ids) > 0 {
		c.Header.Dropped = append(c.Header.Dropped, pick(w.rng, w.ids))
	}
}

func (w *world) pack(id pack.ID) PackRecord {
	d := pack.Directory{}
	for range 1 + w.rng.IntN(3) {
		f := pack.Frame{Codec: pack.Zstd, Stored: 1 + w.rng.IntN(5000), Chunks: 1 + w.rng.IntN(6)}
		for range f.Chunks {
			n := 1 + w.rng.IntN(9000)
			f.Plain += n
			d.Entries = append(d.Entries, pack.Entry{ID: worldChunk(w.rng.IntN(worldChunks)), Length: n})
		}
		d.Frames = append(d.Frames, f)
	}
	return PackRecord{ID: id, Kind: pack.Kind(w.rng.IntN(2)), Stream: pick(w.rng, w.names), Tier: w.rng.Uint64N(3),
		Size: 1 + w.rng.Int64N(1<<20), AgeHeader: []byte("age header"), Directory: d.Append(nil), Days: w.rng.Uint64N(2)}
}

func (w *world) bodyOps(c *Commit) {
	b := &c.Body
	if w.rng.IntN(10) == 0 {
		b.Buckets = append(b.Buckets, pick(w.rng, w.names))
	}
	if w.rng.IntN(12) == 0 {
		b.BucketsRemoved = append(b.BucketsRemoved, pick(w.rng, w.names))
	}
	for range w.rng.IntN(4) {
		v := w.version()
		b.Versions = append(b.Versions, v)
		w.put = append(w.put, Removal{Bucket: v.Bucket, Key: v.Key, ID: v.ID})
	}
	for w.rng.IntN(2) == 0 && len(w.put) > 0 {
		b.Removals = append(b.Removals, pick(w.rng, w.put))
	}
	for range w.rng.IntN(3) {
		r := Row{Table: pick(w.rng, []string{"setting", "job"}), Key: []byte{byte(w.rng.IntN(20))}}
		if w.rng.IntN(3) != 0 {
			r.Value = bytes.Repeat([]byte{7}, w.rng.IntN(30))
		}
		b.Rows = append(b.Rows, r)
	}
}

func (w *world) version() Version {
	key := pick(w.rng, []string{"a", "a\x00", "a\x00b", "a/b", "b", "\x00", "\xff\xff", "deep/er/key"})
	v := Version{Bucket: pick(w.rng, w.names), Key: []byte(key), Time: w.rng.Int64(), Class: "STANDARD"}
	binary.BigEndian.PutUint64(v.ID[:], w.rng.Uint64())
	switch v.Kind = PayloadKind(w.rng.IntN(3)); v.Kind {
	case ContentPayload:
		v.Content = make([]byte, contentSize)
		v.User = map[string]string{"b": "2", "a": strings.Repeat("x", w.rng.IntN(300))}
	case TreePayload:
		v.Root = []byte{0xa1, 0x00, 0x41, '/'}
		v.Snapshot = &Snapshot{Host: "h", Paths: [][]byte{[]byte("/etc")}}
		if w.rng.IntN(8) == 0 {
			v.ID = VersionID{1} // one that others have, too
		}
	}
	return v
}

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
			lines = append(lines, chunkLine(e.ID, p.Pack.ID, &Location{Slot: slot, FrameNo: e.Frame, Frame: d.Frames[e.Frame], Offset: e.Offset, Length: e.Length}))
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

func versionLine(t testing.TB, n int, v *Version) string {
	t.Helper()
	b, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("version %s %04d %x", v.Bucket, n, b)
}

// query is a question to an index; its answer is lines without an order.
type query struct {
	name string
	ask  func(t testing.TB, x *Index) ([]string, error)
}

// queries ask for everything that is in a world.
var queries = []query{
	{"Applied", func(t testing.TB, x *Index) ([]string, error) {
		seq, _, err := x.Applied()
		return []string{fmt.Sprintf("applied %d", seq)}, err
	}},
	{"Writer", func(t testing.TB, x *Index) (lines []string, err error) {
		for _, k := range worldKeys {
			role, revoked, err := x.Writer(publicKey(k))
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			lines = append(lines, fmt.Sprintf("writer %s %s %t", publicKey(k), role, revoked))
		}
		return lines, nil
	}},
	{"Sessions", func(t testing.TB, x *Index) (lines []string, err error) {
		err = x.Sessions(func(s pack.Session, state SessionState, by WriterKey) error {
			lines = append(lines, fmt.Sprintf("session %s %d %s", s, state, by))
			return nil
		})
		return lines, err
	}},
	{"Packs", askPacks},
	{"Locations", askLocations},
	{"Locate", askLocate},
	{"Versions", askVersions},
	{"Snapshots", func(t testing.TB, x *Index) (lines []string, err error) {
		err = x.Snapshots("", func(v *Version) error {
			lines = append(lines, fmt.Sprintf("snapshot %s", v.ID))
			return nil
		})
		return lines, err
	}},
	{"Rows", func(t testing.TB, x *Index) (lines []string, err error) {
		for _, name := range []string{"setting", "job"} {
			err := x.Rows(name, nil, nil, func(k, v []byte) error {
				lines = append(lines, fmt.Sprintf("row %q %x", name+" "+string(k), v))
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		return lines, nil
	}},
}

func askPacks(t testing.TB, x *Index) (lines []string, err error) {
	var packs []*Pack
	err = x.Packs(func(p *Pack) error {
		packs = append(packs, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, p := range packs {
		d, err := x.Directory(p.Num)
		if err != nil {
			return nil, err
		}
		p.Record.Directory = d.Append(nil)
		lines = append(lines, packLine(t, &placedPack{Pack: p.Record, Seq: p.Seq, Offset: uint64(p.Offset)}))
		q, err := x.PackByID(p.Record.ID)
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", p.Record.ID, err)
		}
		if q.Num != p.Num {
			return nil, fmt.Errorf("pack %s has numbers %d and %d", p.Record.ID, p.Num, q.Num)
		}
	}
	return lines, nil
}

func packLine(t testing.TB, p *placedPack) string {
	t.Helper()
	b, err := Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("pack %s %x", p.Pack.ID, b)
}

func chunkLine(id chunk.ID, p pack.ID, l *Location) string {
	f := &l.Frame
	b := append([]byte("chunk "), hex.EncodeToString(id[:8])+" in "+p.String()...)
	for _, n := range []int64{int64(l.Slot), int64(l.Offset), int64(l.Length), int64(l.FrameNo), f.Offset,
		int64(f.Stored), int64(f.Plain), int64(f.Codec), int64(f.First), int64(f.Chunks)} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	return string(b)
}

func askLocations(t testing.TB, x *Index) (lines []string, err error) {
	names := map[PackNum]pack.ID{}
	for n := range worldChunks {
		locs, err := x.Locations(worldChunk(n))
		if err != nil {
			return nil, err
		}
		for i := range locs {
			num := locs[i].Pack
			if _, ok := names[num]; !ok {
				p, err := x.Pack(num)
				if err != nil {
					return nil, fmt.Errorf("location of chunk %d: %w", n, err)
				}
				names[num] = p.Record.ID
			}
			lines = append(lines, chunkLine(worldChunk(n), names[num], &locs[i]))
		}
	}
	return lines, nil
}

// askLocate says of each chunk whether it is there, and looks at what Locate found.
func askLocate(t testing.TB, x *Index) (lines []string, err error) {
	ids, out := make([]chunk.ID, worldChunks), make([]Location, worldChunks)
	for n := range ids {
		ids[n] = worldChunk(n)
	}
	if err := x.Locate(ids, out); err != nil {
		return nil, err
	}
	for n := range ids {
		lines = append(lines, fmt.Sprintf("located %d %t", n, out[n].Pack != 0))
		if out[n].Pack == 0 {
			continue
		}
		d, err := x.Directory(out[n].Pack)
		if err != nil {
			return nil, err
		}
		if got := d.Entries[out[n].Slot]; got.ID != ids[n] || got.Offset != out[n].Offset || got.Length != out[n].Length {
			return nil, fmt.Errorf("chunk %s located at %+v, where the directory has %+v", ids[n], out[n], got)
		}
	}
	return lines, nil
}

func askVersions(t testing.TB, x *Index) (lines []string, err error) {
	names, err := x.Buckets()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		lines = append(lines, "bucket "+name)
		n := 0
		err := x.Versions(name, nil, nil, func(v *Version) error {
			lines = append(lines, versionLine(t, n, v))
			n++
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// dump is what model.dump gives, from an index.
func dump(t testing.TB, x *Index) (lines []string) {
	t.Helper()
	for _, q := range queries {
		answer, err := q.ask(t, x)
		if err != nil {
			t.Fatalf("%s: %v", q.name, err)
		}
		if q.name != "Locate" {
			lines = append(lines, answer...)
		}
	}
	slices.Sort(lines)
	return lines
}

func compareDumps(t testing.TB, what string, got, want []string) {
	t.Helper()
	shown := 0
	for _, pair := range []struct {
		sign       string
		list, from []string
	}{{"unexpected", got, want}, {"missing", want, got}} {
		for _, line := range pair.list {
			if _, ok := slices.BinarySearch(pair.from, line); !ok && shown < 10 {
				t.Errorf("%s: %s: %s", what, pair.sign, line)
				shown++
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d facts, want %d", what, len(got), len(want))
	}
}

func openTest(t testing.TB) *Index {
	t.Helper()
	x, err := Open(filepath.Join(t.TempDir(), "index"), Options{Repository: "test", BootID: "boot"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return x
}

func apply(t testing.TB, x *Index, commits ...*Commit) {
	t.Helper()
	if err := x.Apply(commits...); err != nil {
		t.Fatal(err)
	}
}

// log makes n commits of a world.
func worldLog(seed uint64, n int) []*Commit {
	w, list := newWorld(seed), []*Commit(nil)
	for range n {
		list = append(list, w.next())
	}
	return list
}
