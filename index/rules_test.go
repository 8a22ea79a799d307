package index

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/firnstore/firn/pack"
)

var (
	metaKey   = worldKeys[1]
	writeKey  = worldKeys[2]
	otherKey  = worldKeys[3]
	lateKey   = worldKeys[4] // not admitted by the genesis
	strangers = testKey(99)
)

// chain makes the commits of a table test, one after another.
type chain struct {
	seq  uint64
	hash Hash
}

func (l *chain) next(key ed25519.PrivateKey, session byte, step Step, change func(*Commit)) *Commit {
	l.seq++
	c := &Commit{Header: Header{Seq: l.seq, Prev: l.hash, Writer: publicKey(key), Session: pack.Session{session}, Step: step}}
	c.Hash = Hash{byte(l.seq), 1}
	l.hash = c.Hash
	if change != nil {
		change(c)
	}
	return c
}

// ruled is an index with a bucket, a pack, a version and a row, and open sessions 1 (founder), 2 (meta)
// and 3 (write).
func ruled(t *testing.T) (*Index, *chain) {
	t.Helper()
	x, l, w := openTest(t), &chain{}, newWorld(1)
	apply(t, x,
		l.next(founderKey, 1, Begin, func(c *Commit) {
			c.Header.Admitted = newWorld(0).genesis().Header.Admitted
			c.Body.Buckets = []string{"host", "empty"}
			p := w.pack(pack.ID{1})
			c.Header.Added, c.Body.Packs = []pack.ID{p.ID}, []PackRecord{p}
			c.Body.Versions = []Version{{Bucket: "host", Key: []byte("k"), ID: VersionID{1}, Kind: TreePayload, Root: []byte{0xa0}, Class: "STANDARD"}}
			c.Body.Rows = []Row{{Table: "job", Key: []byte("a"), Value: []byte("1")}}
		}),
		l.next(metaKey, 2, Begin, nil), l.next(writeKey, 3, Begin, nil))
	return x, l
}

// Changes that a writer may be too low for.
var (
	revokeOther = func(c *Commit) { c.Header.Revoked = []WriterKey{publicKey(otherKey)} }
	admitLate   = func(c *Commit) {
		c.Header.Admitted = []Certificate{NewCertificate(publicKey(lateKey), Write, metaKey)}
		c.Header.Admitted[0].Issuer = c.Header.Writer
	}
	dropPack      = func(c *Commit) { c.Header.Dropped = []pack.ID{{1}} }
	sealSession   = func(c *Commit) { c.Header.Seals = []pack.Session{{1}} }
	removeVersion = func(c *Commit) { c.Body.Removals = []Removal{{Bucket: "host", Key: []byte("k"), ID: VersionID{1}}} }
	editVersion   = func(c *Commit) {
		c.Body.Edits = []Edit{{Bucket: "host", Key: []byte("k"), ID: VersionID{1}, Class: "GLACIER"}}
	}
	removeRow    = func(c *Commit) { c.Body.Rows = []Row{{Table: "job", Key: []byte("a")}} }
	removeBucket = func(name string) func(*Commit) {
		return func(c *Commit) { c.Body.BucketsRemoved = []string{name} }
	}
	emptyBucket = func(c *Commit) {
		removeVersion(c)
		removeBucket("host")(c)
	}
)

// operations say which of them leave a note instead of an effect, in an index as of ruled.
var operations = []struct {
	name   string
	key    ed25519.PrivateKey
	change func(*Commit)
	note   string // nothing: it has an effect
}{
	{"write revokes", writeKey, revokeOther, "a write key may not revoke"},
	{"meta revokes", metaKey, revokeOther, "a meta key may not revoke"},
	{"full revokes", founderKey, revokeOther, ""},
	{"write admits", writeKey, admitLate, "a write key may not admit"},
	{"meta admits", metaKey, admitLate, "a meta key may not admit"},
	{"full admits on another's word", founderKey, admitLate, "is not signed by this writer"},
	{"admits twice", founderKey, func(c *Commit) {
		c.Header.Admitted = []Certificate{NewCertificate(publicKey(writeKey), Full, founderKey)}
	}, "is admitted already"},
	{"full admits", founderKey, func(c *Commit) {
		c.Header.Admitted = []Certificate{NewCertificate(publicKey(lateKey), Full, founderKey)}
	}, ""},
	{"revokes a stranger", founderKey, func(c *Commit) { c.Header.Revoked = []WriterKey{{9}} }, "is unknown"},
	{"write drops", writeKey, dropPack, "a write key may not drop packs"},
	{"meta drops", metaKey, dropPack, ""},
	{"drops what is not there", metaKey, func(c *Commit) { c.Header.Dropped = []pack.ID{{9}} }, "there is no pack"},
	{"write seals", writeKey, sealSession, "a write key may not seal sessions"},
	{"meta seals", metaKey, sealSession, ""},
	{"seals what is not there", metaKey, func(c *Commit) { c.Header.Seals = []pack.Session{{9}} }, "is not open"},
	{"write removes a version", writeKey, removeVersion, "a write key may not remove versions"},
	{"meta removes a version", metaKey, removeVersion, ""},
	{"removes what is not there", metaKey, func(c *Commit) {
		c.Body.Removals = []Removal{{Bucket: "host", Key: []byte("k"), ID: VersionID{2}}}
	}, "there is no version"},
	{"write edits a version", writeKey, editVersion, "a write key may not edit versions"},
	{"meta edits a version", metaKey, editVersion, ""},
	{"edits what is not there", metaKey, func(c *Commit) {
		c.Body.Edits = []Edit{{Bucket: "host", Key: []byte("k"), ID: VersionID{2}, Class: "S"}}
	}, "there is no version"},
	{"write sets a row", writeKey, removeRow, "a write key may not set rows"},
	{"meta sets a row", metaKey, removeRow, ""},
	{"removes a row that is not there", metaKey, func(c *Commit) {
		c.Body.Rows = []Row{{Table: "job", Key: []byte("b")}}
	}, "there is no job"},
	{"write removes a bucket", writeKey, removeBucket("empty"), "a write key may not remove buckets"},
	{"meta removes a bucket", metaKey, removeBucket("empty"), ""},
	{"removes a bucket that is not empty", metaKey, removeBucket("host"), "is not empty"},
	{"empties and removes a bucket", metaKey, emptyBucket, ""},
	{"removes a bucket that is not there", metaKey, removeBucket("x"), "there is no bucket"},
	{"write makes a bucket", writeKey, func(c *Commit) { c.Body.Buckets = []string{"new"} }, ""},
	{"makes a bucket twice", metaKey, func(c *Commit) { c.Body.Buckets = []string{"host"} }, "exists"},
	{"puts into no bucket", writeKey, func(c *Commit) {
		c.Body.Versions = []Version{{Bucket: "x", Key: []byte("k"), Kind: DeleteMarker, Class: "S"}}
	}, "does not exist"},
	{"puts a snapshot twice", writeKey, func(c *Commit) {
		c.Body.Versions = []Version{{Bucket: "empty", Key: []byte("l"), ID: VersionID{1}, Kind: TreePayload, Root: []byte{0xa0}, Class: "S"}}
	}, "is there already"},
	{"adds a pack twice", writeKey, func(c *Commit) {
		c.Header.Added, c.Body.Packs = []pack.ID{{1}}, []PackRecord{newWorld(5).pack(pack.ID{1})}
	}, "is there already"},
}

func TestOperationsWithoutEffect(t *testing.T) {
	for _, c := range operations {
		t.Run(c.name, func(t *testing.T) {
			x, l := ruled(t)
			before := dump(t, x)
			session := 1 + slices.IndexFunc(worldKeys, func(k ed25519.PrivateKey) bool { return k.Equal(c.key) })
			apply(t, x, l.next(c.key, byte(session), 0, c.change))
			checkNote(t, x, before, c.note)
		})
	}
}

// checkNote checks that the last commit left one note, and no other trace; or an effect
// and no note.
func checkNote(t *testing.T, x *Index, before []string, note string) {
	t.Helper()
	notes, err := x.Notes()
	if err != nil {
		t.Fatal(err)
	}
	ignoreSeq := func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, "applied") })
	}
	same := slices.Equal(ignoreSeq(dump(t, x)), ignoreSeq(before))
	switch {
	case note == "" && (len(notes) > 0 || same):
		t.Errorf("no effect: %q", notes)
	case note != "" && (len(notes) != 1 || !strings.Contains(notes[0], note) || !same):
		t.Errorf("notes %q, want %q; index unchanged: %t", notes, note, same)
	}
}

func TestVoidCommits(t *testing.T) {
	put := func(c *Commit) { c.Body.Buckets = []string{"new"} }
	for _, c := range []struct {
		name  string
		steps func(l *chain) []*Commit
		last  func(l *chain) *Commit
		note  string
	}{
		{"revoked writer", func(l *chain) []*Commit {
			return []*Commit{l.next(founderKey, 1, 0, func(c *Commit) { c.Header.Revoked = []WriterKey{publicKey(writeKey)} })}
		}, func(l *chain) *Commit { return l.next(writeKey, 3, 0, put) }, "its writer was revoked"},
		{"session of another", nil,
			func(l *chain) *Commit { return l.next(metaKey, 3, 0, put) }, "its session belongs to another writer"},
		{"session that ended", func(l *chain) []*Commit { return []*Commit{l.next(writeKey, 3, End, nil)} },
			func(l *chain) *Commit { return l.next(writeKey, 3, 0, put) }, "its session has ended"},
		{"session of one commit", func(l *chain) []*Commit { return []*Commit{l.next(writeKey, 4, Begin|End, nil)} },
			func(l *chain) *Commit { return l.next(writeKey, 4, 0, put) }, "its session has ended"},
		{"session that was sealed", func(l *chain) []*Commit {
			return []*Commit{l.next(metaKey, 2, 0, func(c *Commit) { c.Header.Seals = []pack.Session{{3}} })}
		}, func(l *chain) *Commit { return l.next(writeKey, 3, 0, put) }, "its session was sealed"},
		{"session that was not begun", nil,
			func(l *chain) *Commit { return l.next(writeKey, 9, 0, put) }, "its session was never begun"},
		{"session begun twice", nil,
			func(l *chain) *Commit { return l.next(writeKey, 3, Begin, put) }, "begins a session that exists"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, l := ruled(t)
			if c.steps != nil {
				apply(t, x, c.steps(l)...)
			}
			before := dump(t, x)
			last := c.last(l)
			apply(t, x, last)
			checkNote(t, x, before, "void: "+c.note)
			if seq, hash, err := x.Applied(); seq != l.seq || hash != last.Hash || err != nil {
				t.Errorf("a void commit keeps its place: applied %d %s, %v", seq, hash, err)
			}
		})
	}
}

// TestApplyRefusesWhatDoesNotFollow covers invariant 2.
func TestApplyRefusesWhatDoesNotFollow(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(l *chain) []*Commit
		want error
	}{
		{"sequence", func(l *chain) []*Commit {
			return []*Commit{l.next(founderKey, 1, 0, func(c *Commit) { c.Header.Seq++ })}
		}, ErrChain},
		{"applied already", func(l *chain) []*Commit {
			return []*Commit{l.next(founderKey, 1, 0, func(c *Commit) { c.Header.Seq-- })}
		}, ErrChain},
		{"hash of the one before", func(l *chain) []*Commit {
			return []*Commit{l.next(founderKey, 1, 0, func(c *Commit) { c.Header.Prev[3] ^= 1 })}
		}, ErrChain},
		{"stranger", func(l *chain) []*Commit { return []*Commit{l.next(strangers, 7, Begin, nil)} }, ErrForged},
		{"second of two", func(l *chain) []*Commit {
			return []*Commit{l.next(founderKey, 1, 0, func(c *Commit) { c.Body.Buckets = []string{"new"} }), l.next(strangers, 7, Begin, nil)}
		}, ErrForged},
		{"admitted without effect", func(l *chain) []*Commit {
			return []*Commit{l.next(writeKey, 3, 0, func(c *Commit) {
				c.Header.Admitted = []Certificate{NewCertificate(publicKey(strangers), Write, writeKey)}
			}), l.next(strangers, 7, Begin, nil)}
		}, ErrForged},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, l := ruled(t)
			before := dump(t, x)
			if err := x.Apply(c.make(l)...); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			compareDumps(t, "after a refusal", dump(t, x), before)
			if notes, err := x.Notes(); err != nil || len(notes) != 0 {
				t.Errorf("notes %q, %v", notes, err)
			}
		})
	}
}

// TestFirstCommitFounds covers invariant 2 for commit 1.
func TestFirstCommitFounds(t *testing.T) {
	cert := NewCertificate(publicKey(founderKey), Full, founderKey)
	forged := cert
	forged.Sig[5] ^= 1
	for name, admitted := range map[string][]Certificate{
		"none":            nil,
		"another":         {NewCertificate(publicKey(metaKey), Full, founderKey)},
		"other role":      {NewCertificate(publicKey(founderKey), Meta, founderKey)},
		"other issuer":    {NewCertificate(publicKey(founderKey), Full, metaKey)},
		"wrong signature": {forged},
	} {
		x, l := openTest(t), &chain{}
		c := l.next(founderKey, 1, Begin, func(c *Commit) { c.Header.Admitted = admitted })
		if err := x.Apply(c); !errors.Is(err, ErrForged) {
			t.Errorf("%s: got %v, want ErrForged", name, err)
		}
		if seq, _, err := x.Applied(); seq != 0 || err != nil {
			t.Errorf("%s: applied %d, %v", name, seq, err)
		}
	}
}

// TestForgedCommitFile covers invariant 2 with real signatures: a stranger signs a commit that
// ParseCommit finds whole.
func TestForgedCommitFile(t *testing.T) {
	x, l := ruled(t)
	c := l.next(strangers, 1, 0, nil)
	parsed, err := ParseCommit(seal(t, c, strangers), metaIdentity(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Apply(parsed); !errors.Is(err, ErrForged) {
		t.Errorf("got %v, want ErrForged", err)
	}
	c = l.next(founderKey, 1, 0, nil)
	c.Header.Seq, c.Header.Prev = parsed.Header.Seq, parsed.Header.Prev
	parsed, err = ParseCommit(seal(t, c, founderKey), metaIdentity(t))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, x, parsed)
	if _, hash, err := x.Applied(); hash != parsed.Hash || err != nil {
		t.Errorf("applied %s, %v, want %s", hash, err, parsed.Hash)
	}
}
