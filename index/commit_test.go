package index

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/pack"
)

// fullCommit uses every field of the format.
func fullCommit() *Commit {
	w := newWorld(9)
	session := pack.Session{1, 2, 3}
	blob := []byte("an embedded pack, not that anyone looks")
	loose, embedded := w.pack(pack.NewID(session, 1)), w.pack(pack.NewID(session, 2))
	embedded.Size = int64(len(blob))
	version := Version{Bucket: "host", Key: []byte("k"), ID: VersionID{4}, Time: -5, Kind: TreePayload,
		Root: []byte{0xa1, 0x00, 0x41, '/'}, Class: "STANDARD", User: map[string]string{"z": "1", "aa": "2"},
		System: map[string]string{"etag": "e"}, Tags: map[string]string{"t": "u"}, Parts: []uint64{5, 6}, Null: true,
		Lock: &Lock{Mode: 2, Until: 9, Hold: true, EventHold: true, EventDays: 3},
		Snapshot: &Snapshot{Host: "h", User: "u", Paths: [][]byte{[]byte("/")}, Tags: []string{"x"}, Parent: &VersionID{8},
			Start: 1, End: 2, Files: 3, Bytes: 4, BytesNew: 5, BytesAdded: 6, Unreadable: 7, Program: "firn"}}
	return &Commit{
		Header: Header{Seq: 7, Prev: Hash{1}, Nonce: [16]byte{2}, Session: session, Time: -1, Step: Begin | End,
			Seals: []pack.Session{{5}}, Dropped: []pack.ID{{6}}, Embedded: []Embedded{{Pack: embedded.ID}},
			Admitted: []Certificate{NewCertificate(publicKey(testKey(2)), Meta, founderKey)}, Revoked: []WriterKey{{7}}},
		Body: Body{Packs: []PackRecord{loose, embedded}, Buckets: []string{"host"},
			Versions:       []Version{version, {Bucket: "b", Key: []byte{0}, Class: "GLACIER", Content: make([]byte, contentSize)}},
			Removals:       []Removal{{Bucket: "host", Key: []byte("k"), ID: VersionID{3}}},
			BucketsRemoved: []string{"old"},
			Rows:           []Row{{Table: "job", Key: []byte("a")}, {Table: "job", Key: []byte{}, Value: []byte{}}}},
		Blobs: [][]byte{blob},
	}
}

func seal(t testing.TB, c *Commit, key ed25519.PrivateKey) []byte {
	t.Helper()
	b, err := c.Seal(key, metaIdentity(t).Recipient())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseCommitGivesWhatWasSealed(t *testing.T) {
	want := fullCommit()
	b := seal(t, want, founderKey)
	got, err := ParseCommit(b, metaIdentity(t))
	if err != nil {
		t.Fatal(err)
	}
	blob := want.Blobs[0]
	if !bytes.Equal(b[got.BlobOffset:], blob) || got.Size != int64(len(b)) {
		t.Errorf("blob at %d of %d, want %d of %d", got.BlobOffset, got.Size, len(b)-len(blob), len(b))
	}
	want.Blobs = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	signed := preambleSize + int(binary.BigEndian.Uint32(b[12:])) + sigSize
	if got.Hash != blake3.Sum256(b[:signed]) {
		t.Error("hash is not that of preamble, header and signature")
	}
}

func TestParseCommitWithoutIdentityIsOpaque(t *testing.T) {
	c := fullCommit()
	got, err := ParseCommit(seal(t, c, founderKey), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Opaque || !reflect.DeepEqual(got.Header, c.Header) || !reflect.DeepEqual(got.Body, Body{}) {
		t.Errorf("got %+v", got)
	}
	if err := openTest(t).Apply(got); err == nil {
		t.Error("an opaque commit was applied")
	}
}

func TestParseHeaderNeedsOnlyTheFirstBytes(t *testing.T) {
	c := fullCommit()
	b := seal(t, c, founderKey)
	signed := preambleSize + int(binary.BigEndian.Uint32(b[12:])) + sigSize
	for n := range b {
		h, hash, size, err := ParseHeader(b[:n])
		switch {
		case n < preambleSize:
			if h != nil || !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%d bytes: %v, %v", n, h, err)
			}
		case n < signed:
			if h != nil || err != nil {
				t.Fatalf("%d bytes of %d: %v, %v", n, signed, h, err)
			}
		default:
			if err != nil || !reflect.DeepEqual(*h, c.Header) || hash != c.Hash || size != int64(len(b)) {
				t.Fatalf("%d bytes: %+v, %s, %d, %v", n, h, hash, size, err)
			}
		}
	}
	huge := reseal(t, b, founderKey, func(h *Header) { h.Body.Size = 1<<63 - 1 })
	if _, _, size, err := ParseHeader(huge); !errors.Is(err, ErrCorrupt) {
		t.Errorf("huge body: size %d, %v", size, err)
	}
}

// reseal changes the header of a sealed commit and signs it again with key.
func reseal(t *testing.T, b []byte, key ed25519.PrivateKey, change func(*Header)) []byte {
	t.Helper()
	hdr, n, err := splitSigned(b, commitMagic)
	if err != nil {
		t.Fatal(err)
	}
	var h Header
	if err := Unmarshal(hdr, &h); err != nil {
		t.Fatal(err)
	}
	change(&h)
	head, err := appendSigned(commitMagic, &h, key)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, b[n:]...)
}

func TestParseCommitRefuses(t *testing.T) {
	whole := seal(t, fullCommit(), founderKey)
	set := func(at int, v byte) func(*testing.T, []byte) []byte {
		return func(_ *testing.T, b []byte) []byte {
			b[at] = v
			return b
		}
	}
	header := func(change func(*Header)) func(*testing.T, []byte) []byte {
		return func(t *testing.T, b []byte) []byte { return reseal(t, b, founderKey, change) }
	}
	for _, c := range []struct {
		name   string
		change func(*testing.T, []byte) []byte
		want   error
	}{
		{"magic", set(0, 'F'), ErrCorrupt},
		{"version", set(9, 2), ErrVersion},
		{"reserved", set(11, 1), ErrVersion},
		{"length of the header", set(12, 0xff), ErrCorrupt},
		{"signature", set(len(whole)-1, whole[len(whole)-1]^1), ErrCorrupt},
		{"signed by another", func(t *testing.T, b []byte) []byte {
			return reseal(t, b, testKey(99), func(*Header) {})
		}, ErrForged},
		{"digest of the body", header(func(h *Header) { h.Body.Digest[0] ^= 1 }), ErrCorrupt},
		{"size of the body", header(func(h *Header) { h.Body.Size++ }), ErrCorrupt},
		{"huge body", header(func(h *Header) { h.Body.Size = 1 << 63 }), ErrCorrupt},
		{"digest of an embedded pack", header(func(h *Header) { h.Embedded[0].Digest[0] ^= 1 }), ErrCorrupt},
		{"size of an embedded pack", header(func(h *Header) { h.Embedded[0].Size-- }), ErrCorrupt},
		{"embedded pack that is not added", header(func(h *Header) { h.Embedded[0].Pack[0] ^= 1 }), ErrCorrupt},
		{"packs that are not in the body", header(func(h *Header) { h.Added = append(h.Added, pack.ID{1}) }), ErrCorrupt},
		{"packs in another order", header(func(h *Header) { slices.Reverse(h.Added) }), ErrCorrupt},
		{"commit 0", header(func(h *Header) { h.Seq = 0 }), ErrCorrupt},
		{"session step", header(func(h *Header) { h.Step = 4 }), ErrCorrupt},
		{"bytes behind the end", func(_ *testing.T, b []byte) []byte { return append(b, 0) }, ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseCommit(c.change(t, bytes.Clone(whole)), metaIdentity(t))
			if got != nil || !errors.Is(err, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestSealRefusesWhatParseWould(t *testing.T) {
	for name, change := range map[string]func(*Commit){
		"no sequence":           func(c *Commit) { c.Header.Seq = 0 },
		"directory":             func(c *Commit) { c.Body.Packs[0].Directory = nil },
		"pack kind":             func(c *Commit) { c.Body.Packs[0].Kind = 2 },
		"pack size":             func(c *Commit) { c.Body.Packs[0].Size = 0 },
		"size of embedded pack": func(c *Commit) { c.Body.Packs[1].Size++ },
		"version without key":   func(c *Commit) { c.Body.Versions[0].Key = nil },
		"long key":              func(c *Commit) { c.Body.Versions[0].Key = make([]byte, maxVersionKey+1) },
		"version of no bucket":  func(c *Commit) { c.Body.Versions[0].Bucket = "" },
		"payload kind":          func(c *Commit) { c.Body.Versions[0].Kind = 3 },
		"tree without node":     func(c *Commit) { c.Body.Versions[0].Root = nil },
		"tree with content":     func(c *Commit) { c.Body.Versions[0].Content = make([]byte, contentSize) },
		"short content":         func(c *Commit) { c.Body.Versions[1].Content = make([]byte, contentSize-1) },
		"no class":              func(c *Commit) { c.Body.Versions[0].Class = "" },
		"lock mode":             func(c *Commit) { c.Body.Versions[0].Lock.Mode = 3 },
		"bucket without name":   func(c *Commit) { c.Body.Buckets = []string{""} },
		"bucket with NUL":       func(c *Commit) { c.Body.Buckets = []string{"a\x00"} },
		"removed bucket":        func(c *Commit) { c.Body.BucketsRemoved = []string{string(make([]byte, 300))} },
		"row of no table":       func(c *Commit) { c.Body.Rows[0].Table = "" },
		"long key of a row":     func(c *Commit) { c.Body.Rows[0].Key = make([]byte, maxRowKey+1) },
	} {
		c := fullCommit()
		change(c)
		if _, err := c.Seal(founderKey, metaIdentity(t).Recipient()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
}

func TestParseCommitNoticesEveryByte(t *testing.T) {
	b := seal(t, fullCommit(), founderKey)
	id := metaIdentity(t)
	known := func(err error) bool {
		return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) || errors.Is(err, ErrForged)
	}
	for n := range b {
		if c, err := ParseCommit(b[:n:n], id); c != nil || !known(err) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(b), err)
		}
		flipped := bytes.Clone(b)
		flipped[n] ^= 1 << (n % 8)
		if c, err := ParseCommit(flipped, id); c != nil || !known(err) {
			t.Errorf("byte %d of %d changed: %v", n, len(b), err)
		}
	}
}

func TestUnmarshalTakesOneEncoding(t *testing.T) {
	for name, c := range map[string]struct {
		hex string
		to  any
	}{
		"unknown key":          {"a204a0187b00", &Version{}},
		"duplicate key":        {"a2000100" + "01", &Lock{}},
		"longer integer":       {"a1001801", &Lock{}},
		"keys out of order":    {"a202f50001", &Lock{}},
		"zero for absent":      {"a10000", &Lock{}},
		"null for absent":      {"a100f6", &Lock{}},
		"short byte string":    {"834161410142" + "0102", &Removal{}},
		"null for bytes":       {"8361" + "61f650" + "00000000000000000000000000000000", &Removal{}},
		"indefinite bytes":     {"8361615f4101ff50" + "00000000000000000000000000000000", &Removal{}},
		"tag":                  {"c1a10001", &Lock{}},
		"bytes behind":         {"a1000100", &Lock{}},
		"half":                 {"a100", &Lock{}},
		"array of other size":  {"82616141" + "01", &Removal{}},
		"nothing":              {"", &Lock{}},
		"text that is no text": {"8361ff4101f6", &Row{}},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(name, err)
		}
		if err := Unmarshal(b, c.to); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
	for name, c := range map[string]struct {
		hex  string
		want any
	}{
		"lock":      {"a2000102f5", &Lock{Mode: 1, Hold: true}},
		"row":       {"8361614101" + "4102", &Row{Table: "a", Key: []byte{1}, Value: []byte{2}}},
		"empty row": {"8361614101" + "40", &Row{Table: "a", Key: []byte{1}, Value: []byte{}}},
		"no row":    {"8361614101" + "f6", &Row{Table: "a", Key: []byte{1}}},
	} {
		b, _ := hex.DecodeString(c.hex)
		got := reflect.New(reflect.TypeOf(c.want).Elem()).Interface()
		if err := Unmarshal(b, got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

func TestCommitName(t *testing.T) {
	for seq, name := range map[uint64]string{
		1:              "log/000000/0000000000000001",
		4096:           "log/000001/0000000000001000",
		1<<64 - 1:      "log/fffffffffffff/ffffffffffffffff",
		4096 * 0x12345: "log/012345/0000000012345000",
	} {
		if got := CommitName(seq); got != name {
			t.Errorf("CommitName(%d) = %s, want %s", seq, got, name)
		}
		if got, ok := ParseCommitName(name); got != seq || !ok {
			t.Errorf("ParseCommitName(%s) = %d, %t", name, got, ok)
		}
	}
	for _, name := range []string{"", "log/000000/1", "log/000001/0000000000000001", "log/000000/0000000000000001x",
		"log/000000/000000000000000A", "packs/000000/0000000000000001"} {
		if _, ok := ParseCommitName(name); ok {
			t.Errorf("ParseCommitName(%q) takes it", name)
		}
	}
}

// Of testdata/commit-v1.
const (
	goldenHash = "59d3e07b0ec2f243a2b668c92f605461f576b32e158ab2c13edd3ef5fa9133d7"
	goldenBody = "25c828f0b184a63a01154f3138786d0c04826f607e404542cf9c0ba1290ab367" // BLAKE3 of the CBOR
)

// TestGoldenCommit decodes a commit that was sealed when the format was made.
func TestGoldenCommit(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "commit-v1"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseCommit(b, metaIdentity(t))
	if err != nil {
		t.Fatal(err)
	}
	want := fullCommit()
	seal(t, want, founderKey)
	// What differs from one sealing to the next is what age draws at random.
	want.Blobs, want.Hash, want.Header.Body, want.Size, want.BlobOffset = nil, got.Hash, got.Header.Body, got.Size, got.BlobOffset
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.Hash.String() != goldenHash {
		t.Errorf("hash %s, want %s", got.Hash, goldenHash)
	}
	body, err := Marshal(&got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if sum := blake3.Sum256(body); hex.EncodeToString(sum[:]) != goldenBody {
		t.Errorf("the body is encoded to BLAKE3 %x, want %s", sum, goldenBody)
	}
}
