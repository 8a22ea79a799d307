package object

import (
	"testing"

	"github.com/firnstore/firn/index"
)

// FuzzRows gives the values of rows that another writer may have committed to what reads
// them, and encodes again what was accepted.
func FuzzRows(f *testing.F) {
	for _, v := range []any{&Bucket{Name: "b", Owner: "o"}, &User{Name: "u"}, &Upload{}, &Part{}, &Event{Name: "n"}, &Delivery{}} {
		b, err := index.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{&Bucket{}, &User{}, &Upload{}, &Event{}, &Delivery{}} {
			if index.Unmarshal(b, v) != nil {
				continue
			}
			if _, err := index.Marshal(v); err != nil {
				t.Errorf("%T of %x: %v", v, b, err)
			}
		}
		if p, err := parsePart(make([]byte, 18), b); (p == nil) == (err == nil) {
			t.Errorf("part %v and %v", p, err)
		}
		if p, err := parsePlace(b); err == nil && string(b[len(b)-placeSize:]) != string(p.append(nil)) {
			t.Errorf("%x is place %v", b, p)
		}
	})
}
