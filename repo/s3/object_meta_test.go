package s3

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

func TestMetadataRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		want []string // "-" in place of a value: the header is not there
	}{
		{"type by default", nil, []string{"Content-Type", "binary/octet-stream", "Cache-Control", "-"}},
		{"empty type", []string{"Content-Type", ""}, []string{"Content-Type", "binary/octet-stream"}},
		{"headers of HTTP", []string{"Cache-Control", "public, max-age=14400", "Content-Language", "de", "Expires", "soon", "Content-Disposition", "inline", "Content-Encoding", "gzip, br"},
			[]string{"Cache-Control", "public, max-age=14400", "Content-Language", "de", "Expires", "soon", "Content-Disposition", "inline", "Content-Encoding", "gzip, br"}},
		{"coding of the transfer", []string{"Content-Encoding", "aws-chunked"}, []string{"Content-Encoding", "-"}},
		{"and twice", []string{"Content-Encoding", "aws-chunked, AWS-Chunked"}, []string{"Content-Encoding", "-"}},
		{"before another", []string{"Content-Encoding", "aws-chunked, gzip"}, []string{"Content-Encoding", "gzip"}},
		{"behind another", []string{"Content-Encoding", "gzip,aws-chunked"}, []string{"Content-Encoding", "gzip"}},
		{"user metadata", []string{"x-amz-meta-A-b", "v", "x-amz-meta-empty", ""}, []string{"x-amz-meta-a-b", "v", "x-amz-meta-empty", "", "x-amz-missing-meta", "-"}},
		{"sent twice", []string{"x-amz-meta-a", "1", "x-amz-meta-a", "2"}, []string{"x-amz-meta-a", "1,2"}},
		{"bytes beyond ASCII, as S3 documents it", []string{"x-amz-meta-nonascii", "ÄMÄZÕÑ S3"}, []string{"x-amz-meta-nonascii", "=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?="}},
		{"encoded word", []string{"x-amz-meta-a", "=?UTF-8?B?w6RiYw==?="}, []string{"x-amz-meta-a", "=?UTF-8?Q?=C3=A4bc?="}},
		{"not printable", []string{"x-amz-meta-a", "=?UTF-8?B?BA==?=", "x-amz-meta-b", "c"}, []string{"x-amz-meta-a", "-", "x-amz-meta-b", "c", "x-amz-missing-meta", "1"}},
		{"tags", []string{"x-amz-tagging", "a=b&c="}, []string{"x-amz-tagging-count", "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &index.Version{}
			if err := parseMetadata(headers(c.in...), v); err != nil {
				t.Fatal(err)
			}
			head := http.Header{}
			metadataHeaders(head, v, func(string) bool { return true })
			for i := 0; i < len(c.want); i += 2 {
				values := head.Values(c.want[i])
				if strings.HasPrefix(c.want[i], "x-amz-meta-") {
					values = head[c.want[i]] // lower case, too
				}
				if c.want[i+1] == "-" && len(values) > 0 || c.want[i+1] != "-" && (len(values) != 1 || values[0] != c.want[i+1]) {
					t.Errorf("%s: got %q, want %q", c.want[i], values, c.want[i+1])
				}
			}
		})
	}
}

func TestMetadataLimit(t *testing.T) {
	for n, code := range map[int]string{maxUserMeta - 1: "", maxUserMeta: "MetadataTooLarge"} {
		err := parseMetadata(headers("x-amz-meta-k", strings.Repeat("v", n)), &index.Version{})
		wantCode(t, err, code)
	}
}

func TestMetadataNamesAreThoseOfHeaders(t *testing.T) {
	for _, name := range []string{"x-amz-meta-a b", "x-amz-meta-a\r\nx", "X-AMZ-META-ä", "x-amz-meta-a:"} {
		_, err := parseUserMeta(map[string][]string{name: {"v"}})
		wantCode(t, err, "InvalidArgument")
	}
}

func TestParseClassAndRedirect(t *testing.T) {
	for class, code := range map[string]string{"": "", "STANDARD": "", "GLACIER": "", "GLACIER_IR": "", "SNOW": "InvalidStorageClass", "standard": "InvalidStorageClass"} {
		_, err := parseClass(headers("x-amz-storage-class", class))
		wantCode(t, err, code)
	}
	for to, code := range map[string]string{"": "", "/x": "", "https://x": "", "x": "InvalidRedirectLocation", "/" + strings.Repeat("x", 2048): "InvalidArgument"} {
		wantCode(t, parseRedirect(headers("x-amz-website-redirect-location", to), &index.Version{System: map[string]string{}}), code)
	}
}

func TestParseLock(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	locked, open := &object.Bucket{Lock: true}, &object.Bucket{}
	const both = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
	for _, c := range []struct {
		name          string
		b             *object.Bucket
		mode, until   string
		hold          string
		want          *index.Lock
		code, message string
	}{
		{name: "nothing", b: open},
		{name: "governance", b: locked, mode: "GOVERNANCE", until: "2026-11-20T10:00:01Z", want: &index.Lock{Mode: 1, Until: now.Add(time.Second).UnixNano()}},
		{name: "compliance and hold", b: locked, mode: "COMPLIANCE", until: "2026-11-21T12:00:00.000+02:00", hold: "ON",
			want: &index.Lock{Mode: 2, Until: now.Add(24 * time.Hour).UnixNano(), Hold: true}},
		{name: "hold off", b: locked, hold: "OFF", want: &index.Lock{}},
		{name: "mode alone", b: open, mode: "GOVERNANCE", code: "InvalidArgument", message: both},
		{name: "date alone", b: open, until: "2030-01-01T00:00:00Z", code: "InvalidArgument", message: both},
		{name: "other mode", b: open, mode: "governance", until: "2030-01-01T00:00:00Z", code: "InvalidArgument", message: "Unknown wormMode directive."},
		{name: "no date", b: open, mode: "GOVERNANCE", until: "abc", code: "InvalidArgument", message: "The retain until date must be provided in ISO 8601 format"},
		{name: "now", b: open, mode: "GOVERNANCE", until: "2026-11-20T10:00:00Z", code: "InvalidArgument", message: "The retain until date must be in the future!"},
		{name: "beyond all times", b: open, mode: "GOVERNANCE", until: "9999-01-01T00:00:00Z", code: "InvalidArgument", message: "The retain until date is too far in the future."},
		{name: "other hold", b: open, hold: "on", code: "InvalidArgument", message: "Legal Hold must be either of 'ON' or 'OFF'"},
		{name: "bucket without locks", b: open, hold: "ON", code: "InvalidRequest", message: "Bucket is missing ObjectLockConfiguration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := parseLock(headers(headLockMode, c.mode, headLockUntil, c.until, headHold, c.hold), c.b, now)
			if c.code != "" {
				wantMessage(t, err, c.code, c.message)
				return
			}
			if err != nil || (l == nil) != (c.want == nil) || l != nil && *l != *c.want {
				t.Errorf("got %+v, %v", l, err)
			}
		})
	}
}

func TestParseRetention(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	const date = "<RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>"
	for doc, code := range map[string]string{
		"<Retention><Mode>GOVERNANCE</Mode>" + date + "</Retention>": "",
		"<Retention/>": "",
		"<Retention><Mode>GOVERNANCE</Mode></Retention>":                                                        "MalformedXML",
		"<Retention>" + date + "</Retention>":                                                                   "MalformedXML",
		"<Retention><Mode>abc</Mode>" + date + "</Retention>":                                                   "MalformedXML",
		"<Retention><Mode></Mode>" + date + "</Retention>":                                                      "MalformedXML",
		"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>soon</RetainUntilDate></Retention>":                 "MalformedXML",
		"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2020-01-01T00:00:00Z</RetainUntilDate></Retention>": "InvalidArgument",
		"": "MalformedXML",
	} {
		_, _, err := parseRetention([]byte(doc), now)
		wantCode(t, err, code)
	}
}

func TestParseAttributes(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want map[string]bool
		code string
	}{
		{[]string{"ETag, Checksum", "ObjectSize"}, map[string]bool{"ETag": true, "Checksum": true, "ObjectSize": true}, ""},
		{[]string{"ETag,Colour"}, nil, "InvalidArgument"},
		{[]string{" , "}, nil, "InvalidArgument"},
		{nil, nil, "InvalidArgument"},
	} {
		got, err := parseAttributes(c.in)
		wantCode(t, err, c.code)
		if err == nil && !maps.Equal(got, c.want) {
			t.Errorf("%q: got %v", c.in, got)
		}
	}
	for _, c := range []struct {
		marker, max string
		want        partPage
		code        string
	}{
		{"", "", partPage{0, 1000}, ""}, {"3", "2", partPage{3, 2}, ""}, {"", "5000", partPage{0, 1000}, ""}, {"", "0", partPage{0, 0}, ""},
		{"-1", "", partPage{}, "InvalidArgument"}, {"", "x", partPage{}, "InvalidArgument"}, {"", "99999999999", partPage{}, "InvalidArgument"},
	} {
		got, err := parsePartPage(c.marker, c.max)
		wantCode(t, err, c.code)
		if err == nil && got != c.want {
			t.Errorf("%q %q: got %v", c.marker, c.max, got)
		}
	}
}
