package pack

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/chunk"
)

// The files in testdata were written once and are never made again. A new
// version of the format gets new files beside them.

// exampleChunks are the chunks of the worked example, with their real IDs under
// the secret 00 01 … 1f.
func exampleChunks(t testing.TB) []testChunk {
	t.Helper()
	secret, key := make([]byte, 32), make([]byte, 32)
	for i := range secret {
		secret[i] = byte(i)
	}
	blake3.DeriveKey("firn v1 chunk id key", secret, key)
	var chunks []testChunk
	for _, data := range [][]byte{[]byte("firn is old snow\n"), bytes.Repeat([]byte("a"), 200)} {
		h, err := blake3.NewKeyed(key)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = h.Write(data)
		chunks = append(chunks, testChunk{chunk.ID(h.Sum(nil)), data})
	}
	return chunks
}

// Invariant 3: the layout of given frames is fixed. The zstd frame is given too,
// because another release of the library may encode it otherwise.
func TestLayoutOfExampleIsGolden(t *testing.T) {
	chunks := exampleChunks(t)
	run, err := hex.DecodeString("28b52ffd20c843060061")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l := layout{out: &out, limit: maxSealed}
	steps := []func() error{
		func() error { return l.start(NewID(testSession, 1), Data) },
		func() error { return l.note(chunks[0].id, len(chunks[0].data)) },
		func() error { return l.frame(chunks[0].data, Raw) },
		func() error { return l.note(chunks[1].id, len(chunks[1].data)) },
		func() error { return l.frame(run, Zstd) },
		func() error { _, err := l.finish(); return err },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if want := readTestdata(t, "example.plain"); !bytes.Equal(out.Bytes(), want) {
		t.Errorf("plaintext is\n%x\nwant\n%x", out.Bytes(), want)
	}
}

// Invariant 3: where no compression is involved, the whole Writer is pinned.
func TestWriterPlaintextIsGolden(t *testing.T) {
	id := newIdentity(t)
	var out bytes.Buffer
	w, err := NewWriter(&out, Options{ID: NewID(testSession, 2), Kind: Meta, Recipient: id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range []string{"chunk 1", "chunk 2", "chunk 3"} {
		if err := w.Add(chunk.ID{byte(i + 1)}, []byte(data)); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, want := stockDecrypt(t, out.Bytes(), id), readTestdata(t, "writer.plain")
	if !bytes.Equal(got, want) {
		t.Errorf("plaintext is\n%x\nwant\n%x", got, want)
	}
}

// Invariant 3: sealed packs of version 1 open forever.
func TestSealedGoldenPacksOpen(t *testing.T) {
	ids, err := age.ParseIdentities(bytes.NewReader(readTestdata(t, "identities.txt")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"example-x25519.pack", "example-hybrid.pack"} {
		t.Run(name, func(t *testing.T) {
			sealed := readTestdata(t, name)
			r := openPack(t, sealed, ids...)
			if r.ID() != NewID(testSession, 1) || r.Kind() != Data {
				t.Errorf("pack is %v, %v", r.ID(), r.Kind())
			}
			got, err := unpack(r, newDecompressor(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := sameChunks(got, exampleChunks(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Invariant 3: the page that describes the format shows the golden file.
func TestWorkedExampleOfFormatPage(t *testing.T) {
	page, err := os.ReadFile("../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## 16. Worked example\n")
	if !found {
		t.Fatal("docs/format.md has no section 16")
	}
	row := regexp.MustCompile(`^ {4} *(\d+)  ((?:[0-9a-f]{2} ?){1,8})(?:  |$)`)
	var got []byte
	for line := range strings.Lines(section) {
		m := row.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		if off, err := strconv.Atoi(m[1]); err != nil || off != len(got) {
			t.Fatalf("%q stands at offset %d", line, len(got))
		}
		b, err := hex.DecodeString(strings.ReplaceAll(m[2], " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, b...)
	}
	if want := readTestdata(t, "example.plain"); !bytes.Equal(got, want) {
		t.Errorf("docs/format.md shows\n%x\nwant\n%x", got, want)
	}
}
