package chunk

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// countingData is the input of the BLAKE3 test vectors: 0, 1, … 250, 0, 1, …
func countingData(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i % 251)
	}
	return data
}

// The expected values are the first 32 bytes of keyed_hash in the BLAKE3 team's
// test_vectors.json.
func TestInvariant5IDIsKeyedBLAKE3(t *testing.T) {
	t.Parallel()
	hasher := NewHasher(Key([]byte("whats the Elvish word for friend")))
	for _, test := range []struct {
		size int
		want string
	}{
		{1025, "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69"},
		{0, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"},
		{1, "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"},
		{1023, "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e"},
		{1024, "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4"},
		{7169, "ed9b1a922c046fdb3d423ae34e143b05ca1bf28b710432857bf738bcedbfa511"},
	} {
		if got := hasher.ID(countingData(test.size)).String(); got != test.want {
			t.Errorf("ID of %d bytes = %s, want %s", test.size, got, test.want)
		}
	}
}

func TestInvariant5KeysGiveDifferentIDs(t *testing.T) {
	t.Parallel()
	data := countingData(100)
	if a, b := NewHasher(Key{}).ID(data), NewHasher(Key{31: 1}).ID(data); a == b {
		t.Errorf("two keys give the same ID %v", a)
	}
}

func TestHasherDoesNotAllocate(t *testing.T) {
	hasher, data := NewHasher(Key{1}), countingData(64<<10)
	var id ID
	if n := testing.AllocsPerRun(20, func() { id = hasher.ID(data) }); n != 0 {
		t.Errorf("ID allocates %v times, last %v", n, id)
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("0123456789abcdef", 4)
	for _, test := range []struct {
		name, in, want string // want: part of the error, empty for success
	}{
		{"good", good, ""},
		{"zero", strings.Repeat("0", 64), ""},
		{"empty", "", "0 digits"},
		{"short", good[:63], "63 digits"},
		{"long", good + "0", "65 digits"},
		{"upper case", strings.ToUpper(good), "'A' at offset 10"},
		{"not hex", good[:63] + "g", "'g' at offset 63"},
		{"between the ranges", ":" + good[1:], "':' at offset 0"},
	} {
		id, err := ParseID(test.in)
		switch {
		case test.want == "" && (err != nil || id.String() != test.in):
			t.Errorf("%s: ParseID(%q) = %v, %v", test.name, test.in, id, err)
		case test.want != "" && (err == nil || !id.IsZero() || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: ParseID(%q) = %v, %v; want an error with %q", test.name, test.in, id, err, test.want)
		}
	}
}

func TestIDForms(t *testing.T) {
	t.Parallel()
	id := ID{0xab, 0x0c, 3, 4, 5}
	if got, want := id.Short(), "ab0c0304"; got != want {
		t.Errorf("Short = %s, want %s", got, want)
	}
	if id.IsZero() || !(ID{}).IsZero() || (ID{31: 1}).IsZero() {
		t.Error("IsZero is wrong")
	}
	if got, want := fmt.Sprint(id), "ab0c030405"+strings.Repeat("0", 54); got != want {
		t.Errorf("fmt prints %s, want %s", got, want)
	}
	text, err := json.Marshal(map[ID]ID{id: {31: 9}})
	if err != nil {
		t.Fatal(err)
	}
	var back map[ID]ID
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back[id] != (ID{31: 9}) {
		t.Errorf("JSON form %s reads as %v", text, back)
	}
	kept := id
	if err := kept.UnmarshalText([]byte(strings.Repeat("f", 63) + "X")); err == nil || kept != id {
		t.Errorf("UnmarshalText of bad text: error %v, ID %v; want an error and no change", err, kept)
	}
}

func TestIDOrder(t *testing.T) {
	t.Parallel()
	sorted := []ID{{}, {31: 1}, {0: 1}, {0: 1, 1: 5}, {0: 0xff}}
	shuffled := []ID{sorted[3], sorted[0], sorted[4], sorted[2], sorted[1]}
	slices.SortFunc(shuffled, ID.Compare)
	if !slices.Equal(shuffled, sorted) {
		t.Errorf("sorted: %v, want %v", shuffled, sorted)
	}
	if got := sorted[1].Compare(sorted[1]); got != 0 {
		t.Errorf("Compare with itself = %d", got)
	}
}

func BenchmarkHasher(b *testing.B) {
	hasher, data := NewHasher(Key{1}), randomData(21, 64<<10)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		hasher.ID(data)
	}
}
