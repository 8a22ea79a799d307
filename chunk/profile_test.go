package chunk

import (
	"strings"
	"testing"
)

func TestInvariant6ProfilesAreGolden(t *testing.T) {
	t.Parallel()
	for _, want := range []Profile{
		{"default", 15, 32768, 262144},
		{"large", 20, 524288, 8388608},
	} {
		got, err := ProfileByName(want.Name)
		if err != nil || got != want {
			t.Errorf("ProfileByName(%q) = %v, %v; want %v", want.Name, got, err, want)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", want.Name, err)
		}
	}
	for _, name := range []string{"", "Default", "small"} {
		if p, err := ProfileByName(name); err == nil || p != (Profile{}) {
			t.Errorf("ProfileByName(%q) = %v, %v; want an error", name, p, err)
		}
	}
}

func TestProfileValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		bits, min, max int
		want           string // part of the error, empty for a valid profile
	}{
		{10, 1024, 1024, ""},
		{24, 1024, MaxSize, ""},
		{15, MaxSize, MaxSize, ""},
		{9, 1024, 4096, "bits is 9"},
		{25, 1024, 4096, "bits is 25"},
		{0, 0, 0, "bits is 0"},
		{15, 1023, 4096, "min is 1023"},
		{15, -1, 4096, "min is -1"},
		{15, 4097, 4096, "min is 4097, want at most max, 4096"},
		{15, 1024, MaxSize + 1, "max is 16777216"},
	} {
		err := Profile{"p", test.bits, test.min, test.max}.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%v: %v", test, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%v: error %v, want one with %q", test, err, test.want)
		}
	}
}
