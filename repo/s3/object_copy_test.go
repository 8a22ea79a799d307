package s3

import (
	"net/url"
	"testing"
	"unicode/utf8"
)

func TestParseCopySource(t *testing.T) {
	for _, c := range []struct {
		header string
		want   copySource
		ok     bool
	}{
		{"b/k", copySource{"b", "k", ""}, true},
		{"/b/k", copySource{"b", "k", ""}, true},
		{"b//k", copySource{"b", "/k", ""}, true},
		{"b/a/../c/", copySource{"b", "a/../c/", ""}, true},
		{"b%2Fk%2Fl", copySource{"b", "k/l", ""}, true},
		{"b/k%20l%2Bm+n", copySource{"b", "k l+m n", ""}, true},
		{"b/k?versionId=v", copySource{"b", "k", "v"}, true},
		{"b/k%3FversionId=v", copySource{"b", "k?versionId=v", ""}, true},
		{"b/k?x?versionId=v", copySource{"b", "k?x", "v"}, true},
		{"b/foo?bar", copySource{"b", "foo?bar", ""}, true},
		{"b/%E2%82%AC", copySource{"b", "€", ""}, true},
		{"b/k%zz", copySource{}, false},
		{"b/%ff", copySource{}, false},
		{"b", copySource{}, false},
		{"b/", copySource{}, false},
		{"/k", copySource{}, false},
		{"", copySource{}, false},
		{"b/k?versionId=", copySource{}, false},
	} {
		got, err := parseCopySource(c.header)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%q: got %+v, %v", c.header, got, err)
		}
		if !c.ok {
			wantCode(t, err, "InvalidArgument")
		}
	}
}

func FuzzCopySource(f *testing.F) {
	f.Add("/b/k?versionId=null")
	f.Add("b%2f%00?versionId=%")
	f.Fuzz(func(t *testing.T, header string) {
		s, err := parseCopySource(header)
		if err != nil {
			return
		}
		if s.bucket == "" || s.key == "" || len(s.key) > maxKey || !utf8.ValidString(s.key) {
			t.Fatalf("%q: %+v", header, s)
		}
		again := url.QueryEscape(s.bucket) + "/" + url.QueryEscape(s.key)
		if s.version != "" {
			again += "?versionId=" + url.QueryEscape(s.version)
		}
		if got, err := parseCopySource(again); err != nil || got != s {
			t.Errorf("%q gives %+v, which is not read back: %+v, %v", header, s, got, err)
		}
	})
}
