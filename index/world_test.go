package index

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"math/rand/v2"
	"slices"
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
	for w.rng.IntN(3) == 0 && len(w.put) > 0 {
		p := pick(w.rng, w.put)
		b.Edits = append(b.Edits, Edit{Bucket: p.Bucket, Key: p.Key, ID: p.ID, Class: "GLACIER",
			System: map[string]string{"etag": "x"}, Lock: &Lock{Mode: 1, Until: w.rng.Int64()}})
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
	}
	if w.rng.IntN(6) == 0 {
		v.ID = VersionID{1} // one that others have, too
	}
	return v
}
