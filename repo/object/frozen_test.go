package object

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/firnstore/firn/repo/tree"
)

// Names of frozen objects are names that a tree takes, in the order of keys, and lead back.
func TestFrozenNames(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	letters := []string{"a", ".", "/", "\x00", "\x01", "\x02", "0", "é", "-", "\U0010ffff"}
	key := func() string {
		k := ""
		for range 1 + rnd.IntN(4) {
			k += letters[rnd.IntN(len(letters))]
		}
		return k
	}
	for range 100_000 {
		a, b := key(), key()
		x, y := FrozenName(a), FrozenName(b)
		if FrozenKey(x) != a {
			t.Fatalf("%q becomes %q and %q", a, x, FrozenKey(x))
		}
		if err := tree.CheckName(x); err != nil {
			t.Fatalf("%q becomes %q: %v", a, x, err)
		}
		if strings.Compare(a, b) != bytes.Compare(x, y) {
			t.Fatalf("order of %q and %q, which become %q and %q", a, b, x, y)
		}
	}
}
