package index

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/pack"
)

func load(t testing.TB, x *Index, file []byte) error {
	t.Helper()
	return x.LoadCheckpoint(bytes.NewReader(file), int64(len(file)), publicKey(founderKey), metaIdentity(t))
}

func TestCheckpointOfManySections(t *testing.T) {
	x := openTest(t)
	l, first := newBenchLog()
	first.Body.Buckets = []string{"host"}
	apply(t, x, first)
	const packs = 240 // in directories of 25 KiB: 6 MiB
	for range packs / 8 {
		c := l.next(8)
		c.Body.Versions = append(c.Body.Versions, Version{Bucket: "host", Key: []byte("k"), Kind: DeleteMarker,
			Class: "S", User: map[string]string{"a": string(bytes.Repeat([]byte("x"), 300_000))}})
		apply(t, x, c)
	}
	var body bytes.Buffer
	founder := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	_, head, err := x.WriteCheckpoint(&body, founder, metaIdentity(t).Recipient())
	if err != nil {
		t.Fatal(err)
	}
	y, file := openTest(t), append(head, body.Bytes()...)
	if err := y.LoadCheckpoint(bytes.NewReader(file), int64(len(file)), publicKey(founder), metaIdentity(t)); err != nil {
		t.Fatal(err)
	}
	compareDumps(t, "loaded", dump(t, y), dump(t, x))
	if n := runsOf(t, y).entries; n != packs*benchPackChunks {
		t.Errorf("%d chunks, want %d", n, packs*benchPackChunks)
	}
}

func TestCheckpointSigners(t *testing.T) {
	x, l := ruled(t)
	late := l.next(founderKey, 1, 0, func(c *Commit) {
		c.Header.Admitted = []Certificate{NewCertificate(publicKey(lateKey), Full, founderKey)}
	})
	grandchild := testKey(6)
	apply(t, x, late, l.next(lateKey, 7, Begin, func(c *Commit) {
		c.Header.Admitted = []Certificate{NewCertificate(publicKey(grandchild), Meta, lateKey)}
	}))
	want := dump(t, x)
	for name, c := range map[string]struct {
		key   ed25519.PrivateKey
		chain int // certificates; 0: refused
	}{
		"founder": {founderKey, 1}, "meta": {metaKey, 1}, "another full": {lateKey, 1},
		"admitted by another full": {grandchild, 2}, "write": {writeKey, 0}, "stranger": {strangers, 0},
	} {
		var body bytes.Buffer
		seq, head, err := x.WriteCheckpoint(&body, c.key, metaIdentity(t).Recipient())
		if c.chain == 0 {
			if !errors.Is(err, ErrForged) {
				t.Errorf("%s: write: %v, want ErrForged", name, err)
			}
			continue
		}
		if err != nil || seq != l.seq {
			t.Errorf("%s: write: commit %d, %v", name, seq, err)
			continue
		}
		file := append(head, body.Bytes()...)
		h, _, err := openCheckpoint(bytes.NewReader(file), int64(len(file)), publicKey(founderKey))
		if err != nil || len(h.Chain) != c.chain {
			t.Errorf("%s: %+v, %v, want %d certificates", name, h, err, c.chain)
		}
		y := openTest(t)
		if err := load(t, y, file); err != nil {
			t.Errorf("%s: load: %v", name, err)
			continue
		}
		compareDumps(t, name, dump(t, y), want)
	}
	apply(t, x, l.next(founderKey, 1, 0, func(c *Commit) { c.Header.Revoked = []WriterKey{publicKey(metaKey)} }))
	if _, _, err := x.WriteCheckpoint(io.Discard, metaKey, metaIdentity(t).Recipient()); !errors.Is(err, ErrForged) {
		t.Errorf("revoked: %v, want ErrForged", err)
	}
	if _, _, err := openTest(t).WriteCheckpoint(io.Discard, founderKey, metaIdentity(t).Recipient()); err == nil {
		t.Error("a checkpoint of an empty index was written")
	}
}

// forgery makes checkpoints of chosen sections and headers.
type forgery struct {
	key      ed25519.PrivateKey
	header   checkpointHeader
	sections []any
	body     []byte // in place of sections
}

func (f *forgery) file(t *testing.T) []byte {
	t.Helper()
	body := bytes.NewBuffer(nil)
	sealed, err := age.Encrypt(body, metaIdentity(t).Recipient())
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(sealed)
	if err != nil {
		t.Fatal(err)
	}
	plain := f.body
	for _, s := range f.sections {
		b, err := Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		plain = append(plain, b...)
	}
	_, err = z.Write(plain)
	if err := errors.Join(err, z.Close(), sealed.Close()); err != nil {
		t.Fatal(err)
	}
	h := f.header
	h.Writer = publicKey(f.key)
	h.Body = Section{Size: uint64(body.Len()), Digest: blake3.Sum256(body.Bytes())}
	head, err := appendSigned(checkpointMagic, &h, f.key)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, body.Bytes()...)
}

// honest is a forgery that is none.
func honest() *forgery {
	founder := NewCertificate(publicKey(founderKey), Full, founderKey)
	writer := NewCertificate(publicKey(writeKey), Write, founderKey)
	version := Version{Bucket: "host", Key: []byte("k"), ID: VersionID{1}, Kind: TreePayload, Root: []byte{0xa0}, Class: "S"}
	return &forgery{key: founderKey, header: checkpointHeader{Seq: 9, Hash: Hash{9}, Chain: []Certificate{founder}},
		sections: []any{
			&tableSection{Writers: []Certificate{founder, writer}},
			&tableSection{Revoked: []WriterKey{publicKey(writeKey)}, Sessions: []sessionRecord{{Session: pack.Session{1}, State: SessionOpen}}},
			&tableSection{Packs: []placedPack{{Pack: newWorld(1).pack(pack.ID{1}), Seq: 3, Offset: 4}}},
			&tableSection{Buckets: []string{"host"}, Versions: []orderedVersion{{Version: version, Seq: 2}}},
			&tableSection{Rows: []Row{{Table: "job", Key: []byte("k"), Value: []byte{}}}, Notes: []string{"a note"}},
		}}
}

func (f *forgery) section(i int) *tableSection { return f.sections[i].(*tableSection) }

var (
	metaCert  = NewCertificate(publicKey(metaKey), Meta, founderKey)
	writeCert = NewCertificate(publicKey(writeKey), Write, founderKey)
)

// forgeries are what LoadCheckpoint says to checkpoints that were changed and sealed again.
var forgeries = []struct {
	name   string
	change func(f *forgery)
	want   error
}{
	{"nothing wrong", func(f *forgery) {}, nil},
	{"signed by meta", func(f *forgery) {
		f.key, f.header.Chain = metaKey, []Certificate{metaCert}
		f.section(0).Writers = append(f.section(0).Writers, metaCert)
	}, nil},
	{"signed by write", func(f *forgery) { f.key, f.header.Chain = writeKey, []Certificate{writeCert} }, ErrForged},
	{"signed by a stranger", func(f *forgery) { f.key = strangers }, ErrForged},
	{"stranger as founder", func(f *forgery) {
		f.key, f.header.Chain = strangers, []Certificate{NewCertificate(publicKey(strangers), Full, strangers)}
	}, ErrForged},
	{"no certificate", func(f *forgery) { f.header.Chain = nil }, ErrForged},
	{"issued by meta", func(f *forgery) {
		f.key, f.header.Chain = lateKey, []Certificate{NewCertificate(publicKey(lateKey), Full, metaKey), metaCert}
	}, ErrForged},
	{"certificate with a wrong signature", func(f *forgery) { f.header.Chain[0].Sig[1] ^= 1 }, ErrForged},
	{"signer that is not a writer", func(f *forgery) {
		f.key, f.header.Chain = metaKey, []Certificate{metaCert}
	}, ErrForged},
	{"signer that is revoked", func(f *forgery) {
		f.key, f.header.Chain = metaKey, []Certificate{metaCert}
		f.section(0).Writers = append(f.section(0).Writers, metaCert)
		f.section(1).Revoked = append(f.section(1).Revoked, publicKey(metaKey))
	}, ErrForged},
	{"writer admitted by meta", func(f *forgery) {
		f.section(0).Writers = append(f.section(0).Writers, metaCert, NewCertificate(publicKey(lateKey), Full, metaKey))
	}, ErrForged},
	{"writer that admitted itself", func(f *forgery) {
		f.section(0).Writers = append(f.section(0).Writers, NewCertificate(publicKey(lateKey), Full, lateKey))
	}, ErrForged},
	{"writer with a wrong signature", func(f *forgery) { f.section(0).Writers[1].Sig[0] ^= 1 }, ErrForged},
	{"writer twice", func(f *forgery) { f.section(0).Writers = append(f.section(0).Writers, writeCert) }, ErrCorrupt},
	{"unknown writer revoked", func(f *forgery) { f.section(1).Revoked[0][0] ^= 1 }, ErrCorrupt},
	{"commit 0", func(f *forgery) { f.header.Seq = 0 }, ErrCorrupt},
	{"state of a session", func(f *forgery) { f.section(1).Sessions[0].State = 4 }, ErrCorrupt},
	{"session twice", func(f *forgery) {
		f.section(1).Sessions = append(f.section(1).Sessions, f.section(1).Sessions[0])
	}, ErrCorrupt},
	{"directory", func(f *forgery) { f.section(2).Packs[0].Pack.Directory = []byte("x") }, ErrCorrupt},
	{"pack of a later commit", func(f *forgery) { f.section(2).Packs[0].Seq = 10 }, ErrCorrupt},
	{"pack twice", func(f *forgery) { f.section(2).Packs = append(f.section(2).Packs, f.section(2).Packs[0]) }, ErrCorrupt},
	{"bucket", func(f *forgery) { f.section(3).Buckets = []string{""} }, ErrCorrupt},
	{"bucket twice", func(f *forgery) { f.section(3).Buckets = []string{"host", "host"} }, ErrCorrupt},
	{"version of no bucket", func(f *forgery) { f.section(3).Buckets = nil }, ErrCorrupt},
	{"version of a later commit", func(f *forgery) { f.section(3).Versions[0].Seq = 10 }, ErrCorrupt},
	{"snapshot twice", func(f *forgery) {
		f.section(3).Versions = append(f.section(3).Versions, f.section(3).Versions[0])
	}, ErrCorrupt},
	{"invalid version", func(f *forgery) { f.section(3).Versions[0].Version.Class = "" }, ErrCorrupt},
	{"row without value", func(f *forgery) { f.section(4).Rows[0].Value = nil }, ErrCorrupt},
	{"row twice", func(f *forgery) { f.section(4).Rows = append(f.section(4).Rows, f.section(4).Rows[0]) }, ErrCorrupt},
	{"sections out of order", func(f *forgery) { f.sections[1], f.sections[2] = f.sections[2], f.sections[1] }, ErrCorrupt},
	{"unknown key", func(f *forgery) { f.sections = append(f.sections, map[int]int{8: 1}) }, ErrCorrupt},
	{"half a section", func(f *forgery) { f.sections, f.body = nil, []byte{0xa1, 0x04} }, ErrCorrupt},
	{"no sections", func(f *forgery) { f.sections = nil }, ErrForged},
}

func TestLoadCheckpointRefuses(t *testing.T) {
	for _, c := range forgeries {
		t.Run(c.name, func(t *testing.T) {
			f := honest()
			c.change(f)
			x := openTest(t)
			empty := dump(t, x)
			err := load(t, x, f.file(t))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want == nil {
				if seq, hash, err := x.Applied(); seq != 9 || hash != f.header.Hash || err != nil {
					t.Errorf("applied %d %s, %v", seq, hash, err)
				}
				return
			}
			compareDumps(t, "after a refusal", dump(t, x), empty)
			apply(t, x, worldLog(1, 20)...) // it is as good as new
		})
	}
}

func TestLoadCheckpointRefusesBytes(t *testing.T) {
	whole := honest().file(t)
	head := preambleSize + int(binary.BigEndian.Uint32(whole[12:])) + sigSize
	x := openTest(t)
	for n := range whole {
		flipped := bytes.Clone(whole)
		flipped[n] ^= 1 << (n % 8)
		for what, b := range map[string][]byte{"changed at": flipped, "cut to": whole[:n]} {
			err := load(t, x, b)
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrForged) {
				t.Fatalf("%s %d of %d: %v", what, n, len(whole), err)
			}
			if n >= head && !errors.Is(err, ErrCorrupt) {
				t.Errorf("body %s %d: %v, want ErrCorrupt", what, n, err)
			}
		}
	}
	if err := load(t, x, append(bytes.Clone(whole), 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
	if err := load(t, x, whole); err != nil {
		t.Error(err)
	}
	if err := load(t, x, whole); err == nil {
		t.Error("a checkpoint was loaded into an index that is not empty")
	}
}

// fickle gives other bytes from the second reading on, or an error.
type fickle struct {
	first, second []byte
	left          int64 // bytes until then
	err           error
}

func (f *fickle) ReadAt(p []byte, off int64) (int, error) {
	b := f.first
	if f.left <= 0 {
		if b = f.second; f.err != nil {
			return 0, f.err
		}
	}
	n, err := bytes.NewReader(b).ReadAt(p, off)
	f.left -= int64(n)
	return n, err
}

func TestLoadCheckpointBelievesOnlyWhatItHashed(t *testing.T) {
	whole := honest().file(t)
	h, at, err := openCheckpoint(bytes.NewReader(whole), int64(len(whole)), publicKey(founderKey))
	if err != nil {
		t.Fatal(err)
	}
	// Another body of the same size that is well sealed.
	other := honest()
	other.section(4).Notes[0] = "A NOTE"
	second := other.file(t)
	if len(second) != len(whole) {
		t.Fatalf("%d and %d bytes", len(second), len(whole))
	}
	copy(second[:at], whole)
	x := openTest(t)
	once := preambleSize + int64(len(whole)) // of reading the preamble, and all
	src := &fickle{first: whole, second: second, left: once}
	err = x.LoadCheckpoint(src, int64(len(whole)), publicKey(founderKey), metaIdentity(t))
	if !errors.Is(err, ErrCorrupt) || src.left != -int64(h.Body.Size) {
		t.Errorf("got %v with %d bytes left, want ErrCorrupt", err, src.left)
	}
	if seq, _, err := x.Applied(); seq != 0 || err != nil {
		t.Errorf("applied %d, %v", seq, err)
	}
	broken := errors.New("broken")
	src = &fickle{first: whole, err: broken, left: once}
	err = x.LoadCheckpoint(src, int64(len(whole)), publicKey(founderKey), metaIdentity(t))
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want that of the reader", err)
	}
	if err := load(t, x, whole); err != nil {
		t.Error(err)
	}
}

// TestInterruptedLoadIsNotBelieved stops after the first sections, as a killed process does.
func TestInterruptedLoadIsNotBelieved(t *testing.T) {
	f := honest()
	whole := f.file(t)
	h, _, err := openCheckpoint(bytes.NewReader(whole), int64(len(whole)), publicKey(founderKey))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "index")
	opt := Options{Repository: "test", BootID: "boot"}
	x, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.markLoading(); err != nil {
		t.Fatal(err)
	}
	l := &loader{x: x, header: h}
	for i := range 3 {
		if err := l.section(f.section(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := killed(x); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, opt); !errors.Is(err, ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
}

func TestCheckpointName(t *testing.T) {
	const name = "checkpoints/0000000000000400-1f0a000000000002"
	if got := CheckpointName(0x400, 0x1f0a000000000002); got != name {
		t.Errorf("got %s, want %s", got, name)
	}
	seq, random, ok := ParseCheckpointName(name)
	if seq != 0x400 || random != 0x1f0a000000000002 || !ok {
		t.Errorf("got %x, %x, %t", seq, random, ok)
	}
	for _, name := range []string{"", "checkpoints/400-1", name + "0", "checkpoints/000000000000040A-1f0a000000000002"} {
		if _, _, ok := ParseCheckpointName(name); ok {
			t.Errorf("ParseCheckpointName(%q) takes it", name)
		}
	}
}

// plainBody returns the sections of a checkpoint file.
func plainBody(t *testing.T, file []byte) []byte {
	t.Helper()
	_, at, err := openCheckpoint(bytes.NewReader(file), int64(len(file)), publicKey(founderKey))
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(file[at:]), metaIdentity(t))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGoldenCheckpoint loads a checkpoint that was written when the format was made. One that is
// written from that says the same.
func TestGoldenCheckpoint(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("testdata", "checkpoint-v1"))
	if err != nil {
		t.Fatal(err)
	}
	x := openTest(t)
	if err := load(t, x, file); err != nil {
		t.Fatal(err)
	}
	body := plainBody(t, file)
	const want = "8975c646317b44b8d47ec6ebad09893f1140620c11f60822298f71b24da10fbc"
	if sum := blake3.Sum256(body); Hash(sum).String() != want {
		t.Errorf("body with BLAKE3 %s, want %s", Hash(sum), want)
	}
	if !bytes.Equal(plainBody(t, checkpointOf(t, x)), body) {
		t.Error("another checkpoint of the index says something else")
	}
}
