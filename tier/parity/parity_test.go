package parity

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/zeebo/blake3"
)

// random returns n reproducible bytes.
func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(p)
	return p
}

func sourcesOf(files [][]byte) (list []Source) {
	for i, f := range files {
		list = append(list, Source{Name: fmt.Sprintf("file/%d", i), Size: int64(len(f)), Data: bytes.NewReader(f)})
	}
	return list
}

func encode(t testing.TB, files [][]byte, percent int) []byte {
	t.Helper()
	e, err := Encode(sourcesOf(files), percent)
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	var buf bytes.Buffer
	if n, err := e.WriteTo(&buf); err != nil || n != e.Size() || int64(buf.Len()) != n {
		t.Fatalf("WriteTo = %d, %v; %d bytes, Size says %d", n, err, buf.Len(), e.Size())
	}
	return buf.Bytes()
}

func open(t testing.TB, parity []byte) *Set {
	t.Helper()
	s, err := Open(bytes.NewReader(parity), int64(len(parity)))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// heal returns the files as they come back, nil for one that does not.
func heal(t testing.TB, s *Set, files [][]byte) (back [][]byte) {
	t.Helper()
	data := make([]io.ReaderAt, len(files))
	for i, f := range files {
		if f != nil {
			data[i] = bytes.NewReader(f)
		}
	}
	h, err := s.Heal(data)
	if err != nil {
		t.Fatalf("Heal: %v", err)
	}
	for i := range files {
		var buf bytes.Buffer
		err := h.Write(i, &buf)
		switch {
		case errors.Is(err, ErrLost):
			back = append(back, nil)
		case err != nil:
			t.Fatalf("Write: %v", err)
		default:
			back = append(back, buf.Bytes())
		}
	}
	return back
}

func clone(files [][]byte) (c [][]byte) {
	for _, f := range files {
		c = append(c, bytes.Clone(f))
	}
	return c
}

var sizes = []int{1, 70, 255, 256, 257, 1500, 4096, 5000, 65536, 65537, 300_000, 1 << 20, 3<<20 + 17}

func TestWholeFilesNeedNothing(t *testing.T) {
	for _, n := range sizes {
		for _, percent := range []int{1, 10, 50, 100} {
			files := [][]byte{random(n)}
			p := encode(t, files, percent)
			if again := encode(t, files, percent); !bytes.Equal(p, again) {
				t.Errorf("%d bytes, %d%%: not the same parity again (invariant 3)", n, percent)
			}
			s := open(t, p)
			if err := s.Verify(); err != nil {
				t.Errorf("%d bytes, %d%%: Verify: %v", n, percent, err)
			}
			if f := s.Files(); len(f) != 1 || f[0] != (File{"file/0", int64(n), blake3.Sum256(files[0])}) {
				t.Errorf("%d bytes: Files = %v", n, f)
			}
			if !s.HasPercent(percent) || percent == 10 && n > 1<<20 && s.HasPercent(11) {
				t.Errorf("%d bytes: HasPercent is wrong for %d", n, percent)
			}
			h, err := s.Heal([]io.ReaderAt{bytes.NewReader(files[0])})
			if err != nil || h.State(0) != Whole || h.Damaged() != 0 {
				t.Errorf("%d bytes: Heal of a whole file: %v, state %d", n, err, h.State(0))
			}
			budget := int64(n*percent/100) + 2*s.g.block*s.g.width
			if n <= smallFile {
				budget = int64(n) + 2*s.g.block
			}
			if got := s.g.parityBlocks() * s.g.block; got > budget || got < int64(n*percent/100) {
				t.Errorf("%d bytes, %d%%: %d bytes of parity, want about %d", n, percent, got, budget)
			}
		}
	}
}

// The code is the one that docs/format.md gives, computed here in the slow and plain way.
func TestCodeIsCauchy(t *testing.T) {
	mul := func(a, b byte) (p byte) {
		for ; b > 0; b >>= 1 {
			if b&1 != 0 {
				p ^= a
			}
			carry := a & 0x80
			if a <<= 1; carry != 0 {
				a ^= 0x1d
			}
		}
		return p
	}
	inverse := func(a byte) byte {
		for b := range 256 {
			if mul(a, byte(b)) == 1 {
				return byte(b)
			}
		}
		panic("no inverse")
	}
	file := random(200_000)
	s := open(t, encode(t, [][]byte{file}, 10))
	g := s.g
	shard := int(g.width * g.block)
	padded := append(bytes.Clone(file), make([]byte, g.data*shard-len(file))...)
	got := make([]byte, 1)
	for j := range g.parity {
		for _, at := range []int{0, 1, 777, shard - 1} {
			var want byte
			for q := range g.data {
				want ^= mul(padded[q*shard+at], inverse(byte((g.data+j)^q)))
			}
			if _, err := s.r.ReadAt(got, s.parityAt()+int64(j*shard+at)); err != nil || got[0] != want {
				t.Fatalf("parity shard %d of %d+%d at %d is %02x, want %02x (%v)", j, g.data, g.parity, at, got[0], want, err)
			}
		}
	}
}

// hurt damages blocks of the data and of the parity file within the budget of each stripe.
func hurt(r *rand.Rand, s *Set, files [][]byte, parity []byte) {
	g := s.g
	blocks := g.blocks(s.total)
	for c := range g.width {
		lost := map[int]bool{}
		for range r.IntN(g.parity + 1) {
			lost[r.IntN(g.data+g.parity)] = true
		}
		for q := range lost {
			i := int64(q)*g.width + c
			if q >= g.data {
				at := s.parityAt() + (i-int64(g.data)*g.width)*g.block
				spoil(r, parity[at:at+g.block])
			} else if i < blocks {
				spoilAt(r, files, i*g.block, g.block)
			}
		}
	}
}

// spoil changes at least one byte, in one of the ways that happen.
func spoil(r *rand.Rand, b []byte) {
	switch r.IntN(4) {
	case 0:
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	case 1:
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	case 2:
		clear(b)
	case 3:
		for range 5 {
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
		}
	}
}

// spoilAt spoils the bytes at off of the files laid end to end.
func spoilAt(r *rand.Rand, files [][]byte, off, n int64) {
	for _, f := range files {
		if off >= int64(len(f)) {
			off -= int64(len(f))
			continue
		}
		m := min(n, int64(len(f))-off)
		spoil(r, f[off:off+m])
		if n -= m; n == 0 {
			return
		}
		off = 0
	}
}

func someFiles(r *rand.Rand) (files [][]byte) {
	if r.IntN(2) == 0 {
		return [][]byte{random(1 + r.IntN(1<<uint(4+r.IntN(17))))}
	}
	for range 1 + r.IntN(20) {
		files = append(files, random(1+r.IntN(1<<uint(1+r.IntN(14)))))
	}
	return files
}

// Invariants 1, 2 and 5.
func TestDamageWithinTheBudgetAlwaysHeals(t *testing.T) {
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 1))
		files := someFiles(r)
		parity := encode(t, files, 1+r.IntN(100))
		left := clone(files)
		hurt(r, open(t, parity), left, parity)
		if r.IntN(2) == 0 { // one of the headers, too
			n := len(open(t, parity).header)
			if r.IntN(2) == 0 {
				spoil(r, parity[:n])
			} else {
				spoil(r, parity[len(parity)-n-trailerSize:])
			}
		}
		back := heal(t, open(t, parity), left)
		for i := range files {
			if !bytes.Equal(back[i], files[i]) {
				t.Fatalf("seed %d: file %d of %d did not come back", seed, i, len(files))
			}
		}
	}
}

// Invariant 2: whatever happens to data and parity, what comes back is right or an error.
func TestDamageBeyondTheBudgetIsAnError(t *testing.T) {
	lost, healed := 0, 0
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 2))
		files := someFiles(r)
		parity := encode(t, files, 1+r.IntN(30))
		left := clone(files)
		for range 1 + r.IntN(40) {
			n := 1 + r.IntN(1<<uint(r.IntN(17)))
			switch r.IntN(4) {
			case 0:
				at := r.IntN(len(parity))
				spoil(r, parity[at:min(at+n, len(parity))])
			case 1:
				i := r.IntN(len(left))
				if left[i] = left[i][:r.IntN(len(left[i])+1)]; len(left[i]) == 0 {
					left[i] = nil
				}
			case 2:
				i := r.IntN(len(left))
				left[i] = append(random(r.IntN(100)), left[i]...)
			default:
				i := r.IntN(len(left))
				if at := len(left[i]); at > 0 {
					at = r.IntN(at)
					spoil(r, left[i][at:min(at+n, len(left[i]))])
				}
			}
			if l := len(left); left[l-1] == nil && r.IntN(2) == 0 {
				break
			}
			for i := range left {
				if left[i] == nil {
					left[i] = []byte{0}
				}
			}
		}
		s, err := Open(bytes.NewReader(parity), int64(len(parity)))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("seed %d: Open: %v", seed, err)
			}
			continue
		}
		for i, b := range heal(t, s, left) {
			switch {
			case b == nil:
				lost++
			case bytes.Equal(b, files[i]):
				healed++
			default:
				t.Fatalf("seed %d: file %d came back with other bytes", seed, i)
			}
		}
	}
	if lost == 0 || healed == 0 {
		t.Errorf("%d lost, %d healed: the test tests nothing", lost, healed)
	}
}

func TestOneStretchHeals(t *testing.T) {
	for _, n := range sizes {
		file := random(n)
		parity := encode(t, [][]byte{file}, 10)
		s := open(t, parity)
		burst := max(1, int((s.g.parityBlocks()-1)*s.g.block)+1)
		for _, at := range []int{0, 1, n / 3, n / 2, n - min(n, burst)} {
			left := bytes.Clone(file)
			b := left[at:min(n, at+burst)]
			for i := range b {
				b[i] ^= 0x5a
			}
			if back := heal(t, s, [][]byte{left}); !bytes.Equal(back[0], file) {
				t.Errorf("%d bytes, %d of them damaged at %d: did not come back (invariant 1)", n, burst, at)
			}
		}
	}
}

func TestOneSmallFileOfManyComesBackWhole(t *testing.T) {
	var files [][]byte
	for i := range 60 {
		files = append(files, random(500+i*37))
	}
	s := open(t, encode(t, files, 10))
	for i := range files {
		left := clone(files)
		left[i] = nil
		if back := heal(t, s, left); !bytes.Equal(back[i], files[i]) {
			t.Errorf("file %d with %d bytes is lost", i, len(files[i]))
		}
	}
}

// A disk that cannot read a sector says so.
type unreadable struct {
	io.ReaderAt
	from, to int64
}

func (u unreadable) ReadAt(p []byte, off int64) (int, error) {
	if off < u.to && off+int64(len(p)) > u.from {
		return 0, errors.New("input/output error")
	}
	return u.ReaderAt.ReadAt(p, off)
}

func TestUnreadableSectorsHeal(t *testing.T) {
	file := random(2 << 20)
	s := open(t, encode(t, [][]byte{file}, 10))
	h, err := s.Heal([]io.ReaderAt{unreadable{bytes.NewReader(file), 700_000, 800_000}})
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	err = h.Write(0, &buf)
	if h.State(0) != Healed || err != nil || !bytes.Equal(buf.Bytes(), file) {
		t.Errorf("state %d, %d of %d bytes damaged, %v", h.State(0), h.Damaged(), len(file), err)
	}
}

func TestVerifyNoticesEveryFlip(t *testing.T) {
	parity := encode(t, [][]byte{random(1500), random(30)}, 10)
	for i := range parity {
		parity[i] ^= 1 << (i % 8)
		s, err := Open(bytes.NewReader(parity), int64(len(parity)))
		if err != nil {
			t.Errorf("a flip at %d: Open: %v (invariant 5)", i, err)
		} else if err := s.Verify(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a flip at %d is not noticed: %v", i, err)
		}
		parity[i] ^= 1 << (i % 8)
	}
	for n := range parity {
		s, err := Open(bytes.NewReader(parity[:n]), int64(n))
		if err == nil {
			err = s.Verify()
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files that are missing")

// Old golden files are never written again, only added to.
func TestGolden(t *testing.T) {
	for name, c := range map[string]struct {
		files   [][]byte
		percent int
	}{
		"one.parity":   {[][]byte{random(3000)}, 10},
		"group.parity": {[][]byte{random(700), random(70_000), random(1)}, 20},
	} {
		name := filepath.Join("testdata", name)
		got := encode(t, c.files, c.percent)
		if _, err := os.Stat(name); *update && errors.Is(err, os.ErrNotExist) {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the bytes have changed", name)
		}
		left := clone(c.files)
		left[0] = nil
		if back := heal(t, open(t, want), left); !bytes.Equal(back[0], c.files[0]) {
			t.Errorf("%s does not heal", name)
		}
	}
}

func FuzzHeal(f *testing.F) {
	file := random(3000)
	f.Add(encode(f, [][]byte{file}, 10), file)
	f.Add(encode(f, [][]byte{random(100), random(600)}, 50), file)
	f.Add([]byte(magic), []byte{})
	f.Fuzz(func(t *testing.T, parity, data []byte) {
		s, err := Open(bytes.NewReader(parity), int64(len(parity)))
		if err != nil {
			return
		}
		_ = s.Verify()
		_ = s.HasPercent(10)
		if s.total > 1<<22 { // what is missing would have to be read as zeros for long
			return
		}
		left := make([][]byte, len(s.Files()))
		left[0] = data
		for i, b := range heal(t, s, left) {
			if f := s.Files()[i]; b != nil && (int64(len(b)) != f.Size || blake3.Sum256(b) != f.Digest) {
				t.Errorf("file %d came back with another digest (invariant 2)", i)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	file := random(32 << 20)
	for _, percent := range []int{5, 10, 20} {
		b.Run(fmt.Sprintf("%d%%", percent), func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				e, err := Encode(sourcesOf([][]byte{file}), percent)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(e.Size())/float64(len(file))*1000, "MB/GB")
			}
		})
	}
}

func BenchmarkHeal(b *testing.B) {
	file := random(32 << 20)
	s := open(b, encode(b, [][]byte{file}, 10))
	for name, n := range map[string]int{"flip": 1, "burst-3MB": 3 << 20} {
		b.Run(name, func(b *testing.B) {
			left := bytes.Clone(file)
			for i := range n {
				left[1<<20+i] ^= 1
			}
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				if h, err := s.Heal([]io.ReaderAt{bytes.NewReader(left)}); err != nil || h.Write(0, io.Discard) != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
