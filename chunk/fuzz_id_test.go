package chunk

import "testing"

// FuzzParseID: what is accepted is written the same way again.
func FuzzParseID(f *testing.F) {
	f.Add("54ecdc9e28b9367329be2bc473 1b8193")
	f.Add("54ecdc9e28b9367329be2bc4731b819355c0d79d03bbe749dd2732ece68324ab")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && id.String() != s {
			t.Errorf("%q is %s", s, id)
		}
	})
}
