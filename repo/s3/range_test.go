package s3

import (
	"testing"

	"github.com/firnstore/firn/index"
)

func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		header  string
		size    int64
		off, n  int64
		partial bool
		code    string
	}{
		{"bytes=4-7", 11, 4, 4, true, ""},
		{"bytes=4-", 11, 4, 7, true, ""},
		{"bytes=-7", 11, 4, 7, true, ""},
		{"bytes=-70", 11, 0, 11, true, ""},
		{"bytes=0-0", 11, 0, 1, true, ""},
		{"bytes=0-99999999999999999999", 11, 0, 11, true, ""},
		{"bytes=-99999999999999999999", 11, 0, 11, true, ""},
		{" Bytes = 4 - 7 ", 11, 4, 4, true, ""},
		{"bytes=40-50", 11, 0, 0, false, "InvalidRange"},
		{"bytes=11-", 11, 0, 0, false, "InvalidRange"},
		{"bytes=99999999999999999999-", 11, 0, 0, false, "InvalidRange"},
		{"bytes=-0", 11, 0, 0, false, "InvalidRange"},
		{"bytes=40-50", 0, 0, 0, false, "InvalidRange"},
		{"bytes=0-", 0, 0, 0, false, "InvalidRange"},
		{"bytes=-5", 0, 0, 0, false, "InvalidRange"},
		{"bytes=7-4", 11, 0, 11, false, ""},
		{"bytes=0-1,3-4", 11, 0, 11, false, ""},
		{"bytes=-", 11, 0, 11, false, ""},
		{"bytes=a-b", 11, 0, 11, false, ""},
		{"bytes=--1", 11, 0, 11, false, ""},
		{"bytes=+1-2", 11, 0, 11, false, ""},
		{"bytes=4", 11, 0, 11, false, ""},
		{"bytes", 11, 0, 11, false, ""},
		{"rows=1-2", 11, 0, 11, false, ""},
		{"", 11, 0, 11, false, ""},
	} {
		off, n, partial, err := parseRange(c.header, c.size)
		wantCode(t, err, c.code)
		if err == nil && (off != c.off || n != c.n || partial != c.partial) {
			t.Errorf("%q of %d: got %d+%d %v", c.header, c.size, off, n, partial)
		}
	}
}

func TestPartRange(t *testing.T) {
	whole := &index.Version{System: map[string]string{metaETag: "abc", metaSSEC: "x"}, Parts: []uint64{11}}
	parts := &index.Version{System: map[string]string{metaETag: "abc-3"}, Parts: []uint64{5, 0, 7}}
	for _, c := range []struct {
		v      *index.Version
		number int
		off, n int64
		code   string
	}{
		{whole, 1, 0, 11, ""}, {whole, 2, 0, 0, "InvalidPartNumber"},
		{parts, 1, 0, 5, ""}, {parts, 2, 5, 0, ""}, {parts, 3, 5, 7, ""}, {parts, 4, 0, 0, "InvalidPartNumber"},
	} {
		off, n, err := partRange(c.v, c.number)
		wantCode(t, err, c.code)
		if off != c.off || n != c.n {
			t.Errorf("part %d: got %d+%d", c.number, off, n)
		}
	}
	for _, s := range []string{"0", "10001", "-1", "x", ""} {
		_, err := parsePartNumber(s)
		wantCode(t, err, "InvalidArgument")
	}
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=4-7", int64(11))
	f.Add("bytes=-0", int64(0))
	f.Add("bytes=9223372036854775807-9223372036854775808", int64(1)<<62)
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		off, n, partial, err := parseRange(header, size)
		if err != nil {
			return
		}
		if off < 0 || n < 0 || off > size-n || partial && n == 0 || !partial && n != size {
			t.Errorf("%q of %d: %d+%d %v", header, size, off, n, partial)
		}
	})
}
