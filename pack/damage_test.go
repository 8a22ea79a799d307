package pack

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// readDamaged reads all chunks of a file that may be damaged and fails the test
// unless that is a proper error or gives the right chunks.
func readDamaged(t *testing.T, what string, file []byte, want []testChunk, id age.Identity, dec *Decompressor) error {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file), int64(len(file)), id)
	if err == nil {
		var got []testChunk
		if got, err = unpack(r, dec); err == nil {
			if err := sameChunks(got, want); err != nil {
				t.Fatalf("%s: wrong chunks: %v", what, err)
			}
			return nil
		}
	}
	if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrWrongKey) {
		t.Fatalf("%s: %v, want ErrCorrupt or ErrWrongKey", what, err)
	}
	return err
}

// smallPack returns a sealed pack of a raw and a zstd frame.
func smallPack(t *testing.T, id *age.X25519Identity) ([]byte, []testChunk) {
	t.Helper()
	chunks := []testChunk{
		chunkNo(0, noise(100, 1)), chunkNo(1, noise(10, 2)),
		chunkNo(2, prose(600, 3)), chunkNo(3, prose(700, 4)),
	}
	var out bytes.Buffer
	sealPack(t, &out, Options{Recipient: id.Recipient(), FrameSize: 1000}, chunks)
	return out.Bytes(), chunks
}

// Invariant 5, for a bit of every byte.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, chunks := smallPack(t, id)
	dec := newDecompressor(t)
	for i := range file {
		mask := byte(1 << (i % 8))
		file[i] ^= mask
		if readDamaged(t, fmt.Sprintf("byte %d", i), file, chunks, id, dec) == nil {
			t.Errorf("byte %d changed by %02x went unnoticed", i, mask)
		}
		file[i] ^= mask
	}
	if err := readDamaged(t, "undamaged", file, chunks, id, dec); err != nil {
		t.Fatal(err)
	}
}

// Invariant 5: inside the seal, where only chunk IDs would notice wrong bytes,
// nothing panics and the sizes are right.
func TestFlippedBytesOfPlaintext(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, _ := smallPack(t, id)
	plain := stockDecrypt(t, file, id)
	dec := newDecompressor(t)
	for i := range plain {
		for bit := range 8 {
			plain[i] ^= 1 << bit
			if err := readPlain(plain, dec); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
			plain[i] ^= 1 << bit
		}
	}
	if err := readPlain(plain, dec); err != nil {
		t.Fatal(err)
	}
}

// Files with a good seal around a bad plaintext.
func TestSealedNonsense(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	good := readTestdata(t, "example.plain")
	patch := func(off int, b ...byte) []byte {
		p := bytes.Clone(good)
		copy(p[off:], b)
		return p
	}
	tests := []struct {
		name  string
		plain []byte
		want  error
		text  string
	}{
		{"empty", nil, ErrCorrupt, "payload"},
		{"one byte short of the least", good[:minPlain-1], ErrCorrupt, "plaintext of 108 bytes"},
		{"other magic", patch(7, 'K'), ErrCorrupt, "magic"},
		{"version 0", patch(8, 0, 0), ErrVersion, "version is 0"},
		{"version 2", patch(8, 0, 2), ErrVersion, "version is 2"},
		{"version 257", patch(8, 1, 1), ErrVersion, "version is 257"},
		{"unknown kind", patch(10, 2), ErrCorrupt, "kind 2"},
		{"reserved byte", patch(11, 1), ErrCorrupt, "reserved"},
		{"reserved word", patch(31, 1), ErrCorrupt, "reserved"},
		{"other trailer magic", patch(186, 'R'), ErrCorrupt, "magic of the trailer"},
		{"reserved in the trailer", patch(178, 1), ErrCorrupt, "reserved bytes of the trailer"},
		{"directory of no bytes", patch(171, 0, 0, 0, 0), ErrCorrupt, "directory of 0 bytes"},
		{"directory of 4 GiB", patch(171, 255, 255, 255, 255), ErrCorrupt, "directory of 4294967295"},
		{"directory over all", patch(171, 0, 0, 0, 139), ErrCorrupt, "directory of 139 bytes in 187"},
		{"shorter directory", patch(171, 0, 0, 0, 111), ErrCorrupt, "directory"},
		{"frames do not reach the directory", patch(83, 0, 0, 0, 9), ErrCorrupt, "describes a plaintext of 186"},
		{"frames reach into the directory", patch(83, 0, 0, 0, 11), ErrCorrupt, "describes a plaintext of 188"},
		{"zstd frame is none", patch(49, 0), ErrCorrupt, "zstd"},
		{"zstd frame is skippable", patch(49, 0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0), ErrCorrupt, "skippable"},
		{"zstd frame of other size", patch(54, 199), ErrCorrupt, "claims 199"},
		{"zstd block of other size", patch(55, 0x3b), ErrCorrupt, "zstd"},
		{"zstd frame without end", patch(55, 0x42), ErrCorrupt, "inside a block"},
		{"zstd block too long", patch(55, 0x41), ErrCorrupt, "inside a block"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := seal(t, tt.plain, id)
			r, err := NewReader(bytes.NewReader(file), int64(len(file)), id)
			if err == nil {
				_, err = unpack(r, newDecompressor(t))
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

// seal wraps any plaintext as age does.
func seal(t testing.TB, plain []byte, id *age.X25519Identity) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// readPlain reads the plaintext of a pack with the functions that Reader uses
// behind age.
func readPlain(b []byte, dec *Decompressor) error {
	if len(b) < minPlain {
		return ErrCorrupt
	}
	if _, _, err := parseHeader(b[:headerSize]); err != nil {
		return err
	}
	dir, _, err := parseEnd(b[headerSize:], int64(len(b)))
	if err != nil {
		return err
	}
	for _, f := range dir.Frames {
		if f.Codec == Raw {
			continue
		}
		got, err := dec.decode(nil, b[f.Offset:][:f.Stored], f.Plain)
		if err != nil {
			return err
		}
		if len(got) != f.Plain {
			return errors.New("frame has another size than the directory says")
		}
	}
	return nil
}

// Invariants 5 and 6 behind age.
func FuzzReader(f *testing.F) {
	f.Add(readTestdata(f, "example.plain"))
	f.Add(readTestdata(f, "writer.plain"))
	id := newIdentity(f)
	var out bytes.Buffer
	sealPack(f, &out, Options{Recipient: id.Recipient(), FrameSize: 1000}, []testChunk{
		chunkNo(0, prose(3000, 3)), chunkNo(1, prose(300, 4)), chunkNo(2, noise(100, 1)),
	})
	f.Add(stockDecrypt(f, out.Bytes(), id))
	dec := newDecompressor(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := readPlain(b, dec); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
	})
}

// Invariant 5: a pack that was cut, or got something appended.
func TestTruncatedPack(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	file, chunks := smallPack(t, id)
	dec := newDecompressor(t)
	for n := range file {
		if readDamaged(t, "cut", file[:n], chunks, id, dec) == nil {
			t.Errorf("cut to %d of %d bytes went unnoticed", n, len(file))
		}
	}
	if readDamaged(t, "longer", append(bytes.Clone(file), 0), chunks, id, dec) == nil {
		t.Error("an appended byte went unnoticed")
	}

	long, sealed, chunks := manyFrames(t, id)
	for _, piece := range []int{1, 2, 3, 5} {
		for _, delta := range []int{-1, 0, 1, tagSize, tagSize + 1} {
			n := len(sealed.AgeHeader) + nonceSize + piece*sealedPiece + delta
			if readDamaged(t, "cut", long[:n], chunks, id, dec) == nil {
				t.Errorf("cut to %d of %d bytes went unnoticed", n, len(long))
			}
		}
	}
	if _, err := NewReader(bytes.NewReader(long), int64(len(long))+1, id); !errors.Is(err, ErrCorrupt) {
		t.Errorf("size above that of the source: %v, want ErrCorrupt", err)
	}
	for _, size := range []int64{-1, 0, maxSealed + 1} {
		if _, err := NewReader(bytes.NewReader(long), size, id); !errors.Is(err, ErrCorrupt) {
			t.Errorf("size %d: %v, want ErrCorrupt", size, err)
		}
	}
}

// Invariant 2: the programs that anyone can install read what a Writer made,
// without options. Frames go up to the limit of the format.
func TestStockPrograms(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"age", "zstd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	id := newIdentity(t)
	dir := t.TempDir()
	keyFile, packFile := filepath.Join(dir, "key"), filepath.Join(dir, "pack")
	if err := os.WriteFile(keyFile, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, level := range []Level{Fastest, Better} {
		c, err := NewCompressor(level)
		if err != nil {
			t.Fatal(err)
		}
		// The large chunk ends as it begins, with bytes that are nowhere between.
		large := bytes.Repeat(prose(100_000, 5), maxFrame/100_000+1)[:maxFrame]
		copy(large, noise(1000, 9))
		copy(large[maxFrame-1000:], noise(1000, 9))
		chunks := []testChunk{chunkNo(0, prose(300_000, 6)), chunkNo(1, prose(100, 7)), chunkNo(2, large), chunkNo(3, noise(99, 8))}
		var out bytes.Buffer
		sealed := sealPack(t, &out, Options{Recipient: id.Recipient(), Compressor: c}, chunks)
		if err := os.WriteFile(packFile, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		plain, err := exec.Command("age", "-d", "-i", keyFile, packFile).Output()
		if err != nil {
			t.Fatalf("age -d: %v", err)
		}
		var got, want []byte
		for _, f := range parsed(t, sealed).Frames {
			stored := plain[f.Offset:][:f.Stored]
			if f.Codec == Zstd {
				cmd := exec.Command("zstd", "-d", "-c")
				cmd.Stdin = bytes.NewReader(stored)
				if stored, err = cmd.Output(); err != nil {
					t.Fatalf("zstd -d: %v", err)
				}
			}
			got = append(got, stored...)
		}
		for _, c := range chunks {
			want = append(want, c.data...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%v: age and zstd gave %d other bytes, want %d", level, len(got), len(want))
		}
	}
}

// Invariant 2, the other way: frames of the zstd program, with checksum and
// without a size in the header, are read.
func TestFramesOfStockZstd(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("zstd"); err != nil {
		t.Skip("zstd is not installed")
	}
	dec := newDecompressor(t)
	want := prose(700_000, 1)
	for _, args := range [][]string{{"-1"}, {"-19"}, {"-3", "--no-check"}} {
		cmd := exec.Command("zstd", append(args, "-c")...)
		cmd.Stdin = bytes.NewReader(want)
		stored, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got, err := dec.decode(nil, stored, len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("zstd %v: got %d bytes, %v", args, len(got), err)
		}
		for what, bad := range map[string][]byte{
			"two frames":    append(bytes.Clone(stored), stored...),
			"trailing byte": append(bytes.Clone(stored), 0),
			"empty frame":   append(bytes.Clone(stored), 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0),
			"cut":           stored[:len(stored)-1],
		} {
			if _, err := dec.decode(nil, bad, len(want)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("zstd %v, %s: %v, want ErrCorrupt", args, what, err)
			}
		}
	}
}
