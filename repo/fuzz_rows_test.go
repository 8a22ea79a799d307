package repo

import (
	"testing"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

// FuzzRows gives the values of rows that another writer may have committed to what reads
// them, and encodes again what was accepted.
func FuzzRows(f *testing.F) {
	for _, v := range []any{&tombstone{Time: 1, Pack: index.PackRecord{Directory: []byte{}, AgeHeader: []byte{}}}, &Forgotten{Time: 1}, &scrubState{}, uint8(10), int64(-1)} {
		b, err := index.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{&tombstone{}, &Forgotten{}, &scrubState{}, new(uint8), new(int64)} {
			if index.Unmarshal(b, v) != nil {
				continue
			}
			if _, err := index.Marshal(v); err != nil {
				t.Errorf("%T of %x: %v", v, b, err)
			}
		}
	})
}

// FuzzFileNames: what is taken for a pack, or for parity of the log, has exactly that name.
func FuzzFileNames(f *testing.F) {
	f.Add("packs/9c/9c41d05e7a1b22c384f609ed00000001")
	f.Add(stretch{first: 1, last: 20}.parityName())
	f.Add("packs/")
	f.Fuzz(func(t *testing.T, name string) {
		if id, ok := packFile(name); ok && id.Name() != name {
			t.Errorf("%q is taken for %s", name, id.Name())
		}
		if g, ok := parseLogGroup(tier.Info{Name: name}); ok && (g.parityName() != name || g.first > g.last) {
			t.Errorf("%q is taken for %+v", name, g)
		}
	})
}
