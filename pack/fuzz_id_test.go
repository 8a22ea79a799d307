package pack

import "testing"

// FuzzParseID: what is accepted is written the same way again.
func FuzzParseID(f *testing.F) {
	f.Add("9c41d05e7a1b22c384f609ed00000001")
	f.Add("9C41")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && id.String() != s {
			t.Errorf("%q is %s", s, id)
		}
	})
}
