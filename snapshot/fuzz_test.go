package snapshot

import (
	"bytes"
	"testing"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/tree"
)

// A node that is accepted has a name that cannot lead out of a directory, and is
// written as something that is read as the same node.
func FuzzDecodeNode(f *testing.F) {
	for _, n := range []*Node{
		{Name: []byte("file"), Type: File, Mode: 0o644, Content: make([]byte, 41)},
		{Name: []byte("dir"), Type: Dir, Tree: make([]byte, 33), Below: &Totals{Files: 1}},
		{Name: []byte("link"), Type: Symlink, Target: []byte("../x"), Xattrs: []Xattr{{Name: []byte("user.a"), Value: []byte("b")}}},
	} {
		b, err := index.Marshal(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var n Node
		raw, rest, err := tree.Decode(b, &n)
		if err != nil {
			return
		}
		if len(raw)+len(rest) != len(b) {
			t.Fatalf("%d and %d bytes of %d", len(raw), len(rest), len(b))
		}
		if name := string(n.Name); name == "." || name == ".." || bytes.ContainsAny(n.Name, "/\x00") || name == "" {
			t.Fatalf("name %q is accepted", name)
		}
		again, err := index.Marshal(&n)
		if err != nil {
			t.Fatal(err)
		}
		var m Node
		if _, _, err := tree.Decode(again, &m); err != nil {
			t.Fatalf("node %q is not read back: %v", n.Name, err)
		}
	})
}

func FuzzDecodeBlockRef(f *testing.F) {
	b, err := index.Marshal(&tree.BlockRef{Last: []byte("z"), Nodes: 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var ref tree.BlockRef
		if rest, err := tree.DecodeRef(b, &ref); err == nil && len(rest) >= len(b) {
			t.Fatal("a reference of no bytes")
		}
	})
}

func FuzzMatcher(f *testing.F) {
	f.Add("a/**/*.o", "/x/a/b/c.o")
	f.Add("!/x/[ab]", "/x/a")
	f.Fuzz(func(t *testing.T, pattern, p string) {
		m, err := NewMatcher([]string{pattern})
		if err != nil || len(p) > 200 || len(pattern) > 60 {
			return
		}
		if match, may := m.Match(p, true); match && !may {
			t.Errorf("pattern %q fits %q, but nothing below it", pattern, p)
		}
	})
}
