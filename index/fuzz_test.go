package index

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func golden(f *testing.F, name string) []byte {
	f.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	return b
}

func FuzzParseCommit(f *testing.F) {
	b := golden(f, "commit-v1")
	f.Add(b)
	f.Add(b[:100])
	f.Add([]byte(commitMagic))
	id := metaIdentity(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		sealed, err := ParseCommit(b, nil)
		if (sealed == nil) == (err == nil) {
			t.Fatalf("%v and %v", sealed, err)
		}
		opened, openErr := ParseCommit(b, id)
		if openErr == nil && (err != nil || opened.Hash != sealed.Hash) {
			t.Fatalf("opened, but sealed it is %v", err)
		}
	})
}

func FuzzUnmarshalBody(f *testing.F) {
	b, err := Marshal(&fullCommit().Body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Add([]byte{0xa1, 0x05, 0x81, 0x83, 0x61, 'a', 0x41, 'b', 0xf6})
	f.Fuzz(func(t *testing.T, b []byte) {
		var body Body
		if Unmarshal(b, &body) != nil {
			return
		}
		again, err := Marshal(&body)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is encoded to %x, %v", b, again, err)
		}
		c := Commit{Header: Header{Seq: 1}, Body: body}
		for i := range body.Packs {
			c.Header.Added = append(c.Header.Added, body.Packs[i].ID)
		}
		_ = c.validate()
	})
}

// FuzzOpenCheckpoint also decodes what it is given as a header and as a section.
func FuzzOpenCheckpoint(f *testing.F) {
	b := golden(f, "checkpoint-v1")
	hdr, _, err := splitSigned(b, checkpointMagic)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:40])
	f.Add(hdr)
	for i := range honest().sections {
		s, err := Marshal(honest().section(i))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, at, err := openCheckpoint(bytes.NewReader(b), int64(len(b)), publicKey(founderKey))
		if err == nil && (h.Seq == 0 || at > int64(len(b))) {
			t.Fatalf("commit %d, body at %d of %d", h.Seq, at, len(b))
		}
		for _, v := range []any{&checkpointHeader{}, &tableSection{}} {
			if Unmarshal(b, v) != nil {
				continue
			}
			if again, err := Marshal(v); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%x is encoded to %x, %v", b, again, err)
			}
		}
	})
}
