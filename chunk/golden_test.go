package chunk

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each golden file lists the chunks of one stream, a line with length and ID for
// each. The files were written once. If a test fails, the code is wrong, not the
// file: with other cuts or IDs no new backup would find the chunks of an old one.
func TestInvariant6CutsAndIDsAreGolden(t *testing.T) {
	t.Parallel()
	key, pol, err := Derive(testSecret())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		file    string
		profile Profile
		data    []byte
	}{
		{"default-random.txt", DefaultProfile(), randomData(100, 4<<20)},
		{"default-text.txt", DefaultProfile(), textData(101, 2<<20)},
		{"large-random.txt", LargeProfile(), randomData(102, 16<<20)},
	} {
		t.Run(test.file, func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(filepath.Join("testdata", test.file))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSuffix(string(golden), "\n"), "\n")
			var got []string
			cutter, hasher := mustCutter(t, test.profile, pol), NewHasher(key)
			for rest := test.data; len(rest) > 0; {
				n := cutter.Next(rest, true)
				got = append(got, fmt.Sprintf("%d %v", n, hasher.ID(rest[:n])))
				rest = rest[n:]
			}
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("chunk %d is %s, want %s", i, got[i], want[i])
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d chunks, want %d", len(got), len(want))
			}
		})
	}
}
