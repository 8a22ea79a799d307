package snapshot

import (
	"testing"
	"time"

	"github.com/firnstore/firn/index"
)

// FuzzParseSpan: what is accepted leads back in time, never forward.
func FuzzParseSpan(f *testing.F) {
	for _, s := range []string{"1y6m", "14d", "36h", "0d", "1000000y", "", "1h1y"} {
		f.Add(s)
	}
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, s string) {
		span, err := ParseSpan(s)
		if err == nil && span.before(now).After(now) {
			t.Errorf("%q before %s is %s", s, now, span.before(now))
		}
	})
}

// FuzzRoot gives the root node of a snapshot as another writer may have committed it.
func FuzzRoot(f *testing.F) {
	b, err := index.Marshal(&Node{Name: []byte("/"), Type: Dir, Tree: make([]byte, 33)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, root []byte) {
		s, err := fromVersion(&index.Version{Kind: index.TreePayload, Root: root})
		if err == nil && (s.Root.Type != Dir || len(s.Root.Tree) != 33) {
			t.Errorf("root %+v", s.Root)
		}
	})
}
