package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/restic/chunker"
)

// testSecret is the secret behind every golden value: bytes 1 to 32.
func testSecret() []byte {
	secret := make([]byte, secretSize)
	for i := range secret {
		secret[i] = byte(i + 1)
	}
	return secret
}

func testPolynomial(t testing.TB) Polynomial {
	t.Helper()
	_, pol, err := Derive(testSecret())
	if err != nil {
		t.Fatal(err)
	}
	return pol
}

// mustCutter also takes profiles below the limits of Validate.
func mustCutter(t testing.TB, profile Profile, pol Polynomial) *Cutter {
	t.Helper()
	c, err := newCutter(profile, pol)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// randomData returns n bytes of a generator whose output Go promises to keep.
func randomData(seed byte, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// textData returns n bytes of lines of words, with far more repetition than
// random data.
func textData(seed byte, n int) []byte {
	words := strings.Fields("snow falls on the upper glacier and turns to firn before it turns to ice")
	source := rand.NewChaCha8([32]byte{seed})
	var b bytes.Buffer
	for b.Len() < n {
		r := source.Uint64()
		b.WriteString(words[r%uint64(len(words))])
		b.WriteByte(" \n"[r>>40%9/8])
	}
	return b.Bytes()[:n]
}

// cutAll returns the lengths of all chunks of a stream that is at hand.
func cutAll(t testing.TB, c *Cutter, data []byte) []int {
	t.Helper()
	var lengths []int
	for len(data) > 0 {
		n := c.Next(data, true)
		if n <= 0 || n > len(data) {
			t.Fatalf("Next of %d final bytes = %d", len(data), n)
		}
		lengths = append(lengths, n)
		data = data[n:]
	}
	return lengths
}

// libraryCuts returns the lengths of the chunks that chunker.Chunker reads from r.
func libraryCuts(t testing.TB, r io.Reader, profile Profile, pol Polynomial) []int {
	t.Helper()
	lib := chunker.New(r, chunker.Pol(pol),
		chunker.WithAverageBits(profile.Bits),
		chunker.WithBoundaries(uint(profile.Min), uint(profile.Max)))
	var lengths []int
	var buf []byte
	for {
		got, err := lib.Next(buf)
		if errors.Is(err, io.EOF) {
			return lengths
		}
		if err != nil {
			t.Fatal(err)
		}
		buf = got.Data
		lengths = append(lengths, int(got.Length))
	}
}

// baseCuts is libraryCuts with chunker.BaseChunker, fed at most step bytes at a time.
func baseCuts(data []byte, step int, profile Profile, pol Polynomial) []int {
	base := chunker.NewBase(chunker.Pol(pol),
		chunker.WithBaseAverageBits(profile.Bits),
		chunker.WithBaseBoundaries(uint(profile.Min), uint(profile.Max)))
	var lengths []int
	length := 0
	for len(data) > 0 {
		piece := data[:min(step, len(data))]
		split := base.NextSplitPoint(piece)
		if split < 0 {
			length += len(piece)
			data = data[len(piece):]
			continue
		}
		lengths = append(lengths, length+split)
		length = 0
		data = data[split:]
	}
	if length > 0 {
		lengths = append(lengths, length)
	}
	return lengths
}

func checkLengths(t testing.TB, what string, got, want []int) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: chunk %d has %d bytes, want %d", what, i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d chunks, want %d", what, len(got), len(want))
	}
}

// testProfiles mixes valid profiles with ones below the limits of Validate, which
// cut often enough to reach every branch with little data.
func testProfiles() []Profile {
	return []Profile{
		DefaultProfile(),
		LargeProfile(),
		{Name: "smallest", Bits: 10, Min: 1 << 10, Max: 16 << 10},
		{Name: "rare", Bits: 16, Min: 1 << 10, Max: 128 << 10},
		{Name: "window", Bits: 8, Min: 64, Max: 4096},
		{Name: "window and one", Bits: 5, Min: 65, Max: 200},
		{Name: "one lane set", Bits: 14, Min: 64, Max: 64 + lanesSize},
		{Name: "fixed", Bits: 10, Min: 4096, Max: 4096},
		{Name: "every byte", Bits: 1, Min: 64, Max: 70},
		{Name: "no cuts", Bits: 24, Min: 1 << 16, Max: 1<<19 + 1},
	}
}

// testInputs returns named streams made for a profile.
func testInputs(p Profile) map[string][]byte {
	n := min(6*p.Max, 3<<19) + 12345
	random := randomData(1, n)
	mixed := slices.Clone(random)
	clear(mixed[n/5 : n/2])
	period := randomData(2, 1021)
	inputs := map[string][]byte{
		"empty":         nil,
		"one byte":      {7},
		"random":        random,
		"text":          textData(3, n),
		"zeros":         make([]byte, n),
		"ones":          bytes.Repeat([]byte{0xff}, n),
		"zeros between": mixed,
		"repeating":     bytes.Repeat(period, n/len(period)),
	}
	for _, near := range []int{p.Min - 1, p.Min, p.Min + 1, p.Min + lanesSize, p.Max - 1, p.Max, p.Max + 1} {
		if near > 1<<20 {
			continue // takes long, and nothing in the code depends on the order of magnitude
		}
		inputs[fmt.Sprintf("%d random", near)] = randomData(4, near)
	}
	return inputs
}

func TestInvariant1CutsAreThoseOfTheLibrary(t *testing.T) {
	t.Parallel()
	pol := testPolynomial(t)
	for _, profile := range testProfiles() {
		t.Run(profile.Name, func(t *testing.T) {
			t.Parallel()
			cutter := mustCutter(t, profile, pol)
			for name, data := range testInputs(profile) {
				got := cutAll(t, cutter, data)
				checkLengths(t, name, got, libraryCuts(t, bytes.NewReader(data), profile, pol))
				checkLengths(t, name+" with BaseChunker", got, baseCuts(data, 7001, profile, pol))
			}
		})
	}
}

func TestInvariant1CutsAreThoseOfTheLibraryForManyPolynomials(t *testing.T) {
	t.Parallel()
	profile := Profile{Bits: 12, Min: 64, Max: 64 << 10}
	for seed := range byte(8) {
		lib, err := chunker.DerivePolynomial(rand.NewChaCha8([32]byte{seed}))
		if err != nil {
			t.Fatal(err)
		}
		data := randomData(seed, 1<<20)
		got := cutAll(t, mustCutter(t, profile, Polynomial(lib)), data)
		checkLengths(t, lib.String(), got, baseCuts(data, len(data), profile, Polynomial(lib)))
	}
}

func TestInvariant1OtherDegreesUseTheLibrary(t *testing.T) {
	t.Parallel()
	profile := Profile{Bits: 10, Min: 1 << 10, Max: 16 << 10}
	data := randomData(5, 256<<10)
	for _, pol := range []Polynomial{0x3DA3358B4DC173, 0x1fffffffffffff, 1<<32 | 0x8d, 0x11b} {
		cutter, err := NewCutter(profile, pol)
		if err != nil {
			t.Fatal(err)
		}
		want := libraryCuts(t, bytes.NewReader(data), profile, pol)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				var got []int
				for rest := data; len(rest) > 0; rest = rest[got[len(got)-1]:] {
					got = append(got, cutter.Next(rest, true))
				}
				if !slices.Equal(got, want) {
					t.Errorf("degree %d: lengths %v, want %v", chunker.Pol(pol).Deg(), got, want)
				}
			})
		}
		group.Wait()
	}
}

func TestNewCutterRefuses(t *testing.T) {
	t.Parallel()
	pol := testPolynomial(t)
	bad := DefaultProfile()
	bad.Bits = 25
	for _, test := range []struct {
		name    string
		profile Profile
		pol     Polynomial
		want    string
	}{
		{"no polynomial", DefaultProfile(), 0, "degree -1"},
		{"degree 7", DefaultProfile(), 0xff, "degree 7"},
		{"degree 54", DefaultProfile(), 1<<54 | 1, "degree 54"},
		{"bad profile", bad, pol, "bits is 25"},
	} {
		c, err := NewCutter(test.profile, test.pol)
		if err == nil || c != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: NewCutter = %v, %v; want an error with %q", test.name, c, err, test.want)
		}
	}
}

func TestInvariant2LengthsAreWithinBounds(t *testing.T) {
	t.Parallel()
	pol := testPolynomial(t)
	for _, profile := range testProfiles() {
		cutter := mustCutter(t, profile, pol)
		for name, data := range testInputs(profile) {
			total := 0
			lengths := cutAll(t, cutter, data)
			for i, n := range lengths {
				total += n
				if last := i == len(lengths)-1; n > profile.Max || n < profile.Min && !last {
					t.Errorf("%s, %s: chunk %d of %d has %d bytes", profile.Name, name, i, len(lengths), n)
				}
			}
			if total != len(data) {
				t.Errorf("%s, %s: chunks have %d bytes, stream has %d", profile.Name, name, total, len(data))
			}
		}
	}
}

func TestNextAtTheEdges(t *testing.T) {
	t.Parallel()
	profile := Profile{Bits: 24, Min: 1 << 10, Max: 40 << 10}
	cutter := mustCutter(t, profile, testPolynomial(t))
	random := randomData(6, 2*profile.Max) // 24 bits: no cut in so little data
	zeros := make([]byte, 2*profile.Max)   // every position is a cut
	for _, test := range []struct {
		name  string
		data  []byte
		final bool
		want  int
	}{
		{"nothing, final", nil, true, 0},
		{"nothing yet", nil, false, -1},
		{"short", random[:1], false, -1},
		{"short, final", random[:1], true, 1},
		{"min", random[:profile.Min], false, -1},
		{"min, final", random[:profile.Min], true, profile.Min},
		{"min, a cut", zeros[:profile.Min], false, profile.Min},
		{"below min, zeros", zeros[:profile.Min-1], false, -1},
		{"below max", random[:profile.Max-1], false, -1},
		{"below max, final", random[:profile.Max-1], true, profile.Max - 1},
		{"max", random[:profile.Max], false, profile.Max},
		{"beyond max", random, false, profile.Max},
		{"beyond max, final", random, true, profile.Max},
		{"beyond min, a cut", zeros, true, profile.Min},
	} {
		if got := cutter.Next(test.data, test.final); got != test.want {
			t.Errorf("%s: Next = %d, want %d", test.name, got, test.want)
		}
	}
	if got := cutter.Profile(); got != profile {
		t.Errorf("Profile = %v, want %v", got, profile)
	}
}

func TestInvariant3OddPiecesGiveTheSameCuts(t *testing.T) {
	t.Parallel()
	pol := testPolynomial(t)
	data := append(randomData(7, 700<<10), textData(8, 700<<10)...)
	for _, profile := range []Profile{DefaultProfile(), {Bits: 9, Min: 64, Max: 3000}} {
		cutter := mustCutter(t, profile, pol)
		want := cutAll(t, cutter, data)
		sizes := rand.New(rand.NewPCG(1, 2))
		var got []int
		var held, rest = []byte(nil), data
		for len(rest) > 0 || len(held) > 0 {
			n := cutter.Next(held, len(rest) == 0)
			if n == 0 {
				t.Fatal("Next = 0 although data is left")
			}
			if n > 0 {
				got = append(got, n)
				held = held[n:]
				continue
			}
			if len(held) >= profile.Max || len(rest) == 0 {
				t.Fatalf("Next wants more than %d bytes, %d are left", len(held), len(rest))
			}
			piece := min(1+sizes.IntN(profile.Max/2), len(rest))
			held = append(held, rest[:piece]...)
			rest = rest[piece:]
		}
		checkLengths(t, "odd pieces", got, want)
		odd := iotest.HalfReader(bytes.NewReader(data))
		checkLengths(t, "library with odd reads", libraryCuts(t, odd, profile, pol), want)
	}
}

func TestInvariant3CutsDependOnTheChunkAlone(t *testing.T) {
	t.Parallel()
	cutter := mustCutter(t, DefaultProfile(), testPolynomial(t))
	data := randomData(9, 2<<20)
	for rest := data; len(rest) > 0; {
		n := cutter.Next(rest, true)
		if n < len(rest) {
			if got := cutter.Next(rest[:n], false); got != n {
				t.Fatalf("Next of the chunk alone = %d, want %d", got, n)
			}
			if got := cutter.Next(rest[:n-1], false); got != -1 {
				t.Fatalf("Next of the chunk without its last byte = %d, want -1", got)
			}
		}
		rest = rest[n:]
	}
}

func TestInvariant4InsertionChangesFewChunks(t *testing.T) {
	t.Parallel()
	key, pol, err := Derive(testSecret())
	if err != nil {
		t.Fatal(err)
	}
	cutter, hasher := mustCutter(t, DefaultProfile(), pol), NewHasher(key)
	old := randomData(10, 8<<20)
	known := map[ID]bool{}
	for rest := old; len(rest) > 0; {
		n := cutter.Next(rest, true)
		known[hasher.ID(rest[:n])] = true
		rest = rest[n:]
	}
	if len(known) < 80 || len(known) > 180 {
		t.Fatalf("8 MiB gave %d chunks, want about 128", len(known))
	}
	for _, at := range []int{0, 1, 1 << 20, 5<<20 + 333} {
		fresh := 0
		for rest := slices.Insert(slices.Clone(old), at, 'x'); len(rest) > 0; {
			n := cutter.Next(rest, true)
			if !known[hasher.ID(rest[:n])] {
				fresh++
			}
			rest = rest[n:]
		}
		if fresh < 1 || fresh > 6 {
			t.Errorf("a byte inserted at %d made %d chunks of %d new", at, fresh, len(known))
		}
	}
}

func FuzzCutter(f *testing.F) {
	f.Add([]byte("firn"), uint8(0), uint16(0), uint16(0), uint32(100))
	f.Add(make([]byte, 100), uint8(4), uint16(1), uint16(300), uint32(5000))
	f.Add(randomData(11, 3000), uint8(12), uint16(0), uint16(60000), uint32(200000))
	f.Add(randomData(12, 500), uint8(15), uint16(1000), uint16(40000), uint32(90000))
	pol := testPolynomial(f)
	f.Fuzz(func(t *testing.T, unit []byte, bits uint8, lo, span uint16, size uint32) {
		profile := Profile{Bits: int(bits % 20), Min: windowSize + int(lo)}
		profile.Max = profile.Min + int(span)
		// The input repeated, with noise in every third run, is long enough for
		// several rounds of lanes and still in the hands of the fuzzer.
		data := make([]byte, 0, 256<<10)
		noise := randomData(byte(len(unit)), 4099)
		for run := 0; len(unit) > 0 && len(data) < int(size%(256<<10)); run++ {
			data = append(data, unit...)
			if run%3 == 2 {
				data = append(data, noise...)
			}
		}
		cutter := mustCutter(t, profile, pol)
		got := cutAll(t, cutter, data)
		checkLengths(t, fmt.Sprint(profile), got, baseCuts(data, len(data)+1, profile, pol))
		if len(got) > 0 {
			part := data[:int(size)%got[0]]
			if n := cutter.Next(part, false); n != -1 {
				t.Fatalf("Next of %d bytes of a chunk of %d = %d, want -1", len(part), got[0], n)
			}
		}
	})
}

func BenchmarkCutter(b *testing.B) {
	data := randomData(20, 64<<20)
	for _, profile := range []Profile{DefaultProfile(), LargeProfile()} {
		b.Run(profile.Name, func(b *testing.B) {
			cutter := mustCutter(b, profile, testPolynomial(b))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				for rest := data; len(rest) > 0; {
					rest = rest[cutter.Next(rest, true):]
				}
			}
		})
	}
}

func BenchmarkLibraryCutter(b *testing.B) {
	data := randomData(20, 64<<20)
	for _, profile := range []Profile{DefaultProfile(), LargeProfile()} {
		b.Run(profile.Name, func(b *testing.B) {
			pol := testPolynomial(b)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				baseCuts(data, len(data), profile, pol)
			}
		})
	}
}
