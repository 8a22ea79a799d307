package index

import (
	"testing"
)

// FuzzRows gives the rows of a damaged index to their decoders. Each row has a check of its
// own, but a decoder must not depend on that.
func FuzzRows(f *testing.F) {
	v, err := Marshal(&packRow{Record: fullCommit().Body.Packs[0], Seq: 3, Offset: 7})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0, 0, 0, 1}, v)
	f.Add(make([]byte, 16), append(make([]byte, 16), 0xa0))
	f.Add([]byte{}, []byte{0x80})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if p, err := decodePack(k, v); (p == nil) == (err == nil) {
			t.Errorf("pack %v and %v", p, err)
		}
		if d, err := decodeVersion(v); (d == nil) == (err == nil) {
			t.Errorf("version %v and %v", d, err)
		}
		if w, err := decodeWriter(v); (w == nil) == (err == nil) {
			t.Errorf("writer %v and %v", w, err)
		}
	})
}

// FuzzNames: a name that is accepted is the one that would be given.
func FuzzNames(f *testing.F) {
	f.Add(CommitName(1))
	f.Add(CommitName(1 << 62))
	f.Add(CheckpointName(4096, 7))
	f.Add("log/000000/1")
	f.Fuzz(func(t *testing.T, name string) {
		if seq, ok := ParseCommitName(name); ok && CommitName(seq) != name {
			t.Errorf("%q is commit %d", name, seq)
		}
		if seq, random, ok := ParseCheckpointName(name); ok && CheckpointName(seq, random) != name {
			t.Errorf("%q is checkpoint %d, %d", name, seq, random)
		}
	})
}
