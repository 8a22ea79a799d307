package s3

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/s3/access"
)

// wholeByte are all strings of one byte, and some of more.
func wholeByte() (list []string) {
	for c := range 256 {
		list = append(list, string([]byte{'a', byte(c), 'b'}))
	}
	return append(list, "", "ä/ö", "😀", "\ufffe\uffff\ufffd", "]]>", "<!--", "&amp;", "a\r\nb", strings.Repeat("é", 512), "\xff\xfe")
}

// TestEscapedText: encoding/xml reads back what was written, but for characters that XML
// cannot carry.
func TestEscapedText(t *testing.T) {
	for _, s := range wholeByte() {
		var w xmlWriter
		w.text("K", s)
		var got string
		if err := xml.Unmarshal(w.b, &got); err != nil {
			t.Errorf("%q: %v in %s", s, err, w.b)
			continue
		}
		want := strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
				return utf8.RuneError
			}
			return r
		}, strings.ToValidUTF8(s, ""))
		if !utf8.ValidString(s) {
			want = strings.Map(func(r rune) rune { return r }, s) // one U+FFFD for each wrong byte
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

// TestKeysInURLEncoding: every key comes back from a decoder of forms and from one of
// paths.
func TestKeysInURLEncoding(t *testing.T) {
	for _, s := range wholeByte() {
		w := xmlWriter{encoded: true}
		w.key("K", s)
		var inXML string
		if err := xml.Unmarshal(w.b, &inXML); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		form, err1 := url.QueryUnescape(inXML)
		path, err2 := url.PathUnescape(inXML)
		if form != s || path != s || err1 != nil || err2 != nil {
			t.Errorf("%q is written %q and read %q, %q (%v, %v)", s, inXML, form, path, err1, err2)
		}
		if !utf8.ValidString(s) {
			continue
		}
		w = xmlWriter{}
		w.text("K", decodesToItself(s))
		if err := xml.Unmarshal(w.b, &inXML); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if form, err := url.QueryUnescape(inXML); form != s && !strings.ContainsAny(s, "\ufffe\uffff") || err != nil {
			t.Errorf("prefix %q is written %q and read %q (%v)", s, inXML, form, err)
		}
	}
	for in, want := range map[string]string{
		"a b/c+d": "a%20b/c%2Bd", "test_file(3).png": "test_file%283%29.png", "ü": "%C3%BC", "x*-_.~": "x*-_.%7E", "\x00\n": "%00%0A",
	} {
		if got := string(appendURL(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// listedPage has entries of each kind.
func listedPage(n int) *index.Listing {
	page := &index.Listing{Truncated: true, NextAfter: "z"}
	for i := range n {
		v := &index.Version{Key: fmt.Appendf(nil, "some/directory/of/ten & more/object-%08d.bin", i), Time: 1_700_000_000_987_654_321,
			Kind: index.ContentPayload, Content: make([]byte, 41), Class: "STANDARD",
			System: map[string]string{metaETag: "d41d8cd98f00b204e9800998ecf8427e", metaSum + "crc32": "AAAAAA==", metaSumType: "FULL_OBJECT"}}
		page.Entries = append(page.Entries, index.ListEntry{Version: v, Latest: true})
	}
	return page
}

// TestContentsAgainstEncodingXML reads a page back with encoding/xml.
func TestContentsAgainstEncodingXML(t *testing.T) {
	q := &request{set: &settings{owner: "owner-id", ownership: access.OwnerEnforced}, h: &Handler{}}
	page := listedPage(3)
	page.Prefixes = []string{"p q/", "r/"}
	page.Entries[1].Version.Class = "GLACIER"
	delete(page.Entries[2].Version.System, metaSum+"crc32")
	w := &xmlWriter{}
	w.begin("ListBucketResult")
	q.contents(w, &listParams{restore: true}, page, false)
	w.close("ListBucketResult")
	var got struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Contents []struct {
			Key, LastModified, ETag, ChecksumType, StorageClass string
			ChecksumAlgorithm                                   []string
			Size                                                int64
			RestoreStatus                                       *struct{ IsRestoreInProgress bool }
		}
		CommonPrefixes []struct{ Prefix string }
	}
	if err := xml.Unmarshal(w.b, &got); err != nil {
		t.Fatalf("%v in %s", err, w.b)
	}
	if len(got.Contents) != 3 || len(got.CommonPrefixes) != 2 || got.CommonPrefixes[0].Prefix != "p q/" {
		t.Fatalf("got %+v", got)
	}
	c := got.Contents[1]
	if c.Key != "some/directory/of/ten & more/object-00000001.bin" || c.LastModified != "2023-11-14T22:13:20.000Z" ||
		c.ETag != `"d41d8cd98f00b204e9800998ecf8427e"` || c.ChecksumType != "FULL_OBJECT" || len(c.ChecksumAlgorithm) != 1 ||
		c.ChecksumAlgorithm[0] != "CRC32" || c.StorageClass != "GLACIER" || c.RestoreStatus == nil {
		t.Errorf("got %+v", c)
	}
	if got.Contents[2].ChecksumAlgorithm != nil || got.Contents[2].ChecksumType != "" || got.Contents[0].RestoreStatus != nil {
		t.Errorf("got %+v", got.Contents)
	}
}

func TestContinuationToken(t *testing.T) {
	for _, s := range wholeByte() {
		token := formatToken(s)
		if got, ok := parseToken(token); len(s) <= maxKey && (got != s || !ok) {
			t.Errorf("%q: got %q, %t", s, got, ok)
		}
		if strings.Trim(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			t.Errorf("%q has characters that a query escapes", token)
		}
	}
	for _, bad := range []string{"", "a", "AAAAAAA", "not a token", formatToken("key")[1:], formatToken("key") + "AAAA", formatToken(strings.Repeat("x", maxKey+1))} {
		if got, ok := parseToken(bad); ok {
			t.Errorf("token %q was taken for %q", bad, got)
		}
	}
}

func FuzzContinuationToken(f *testing.F) {
	f.Add(formatToken(""))
	f.Add(formatToken("a/b"))
	f.Add("AAAAAAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if after, ok := parseToken(token); ok && formatToken(after) != token {
			t.Errorf("%q and %q mean the same key", token, formatToken(after))
		}
	})
}

// BenchmarkContents encodes pages of 1000 keys.
func BenchmarkContents(b *testing.B) {
	q := &request{set: &settings{owner: "owner-id", ownership: access.OwnerEnforced}, h: &Handler{}}
	page := listedPage(1000)
	l := &listParams{}
	for b.Loop() {
		w := &xmlWriter{encoded: true, b: make([]byte, 0, sizeOf(page))}
		w.begin("ListBucketResult")
		q.contents(w, l, page, false)
		w.close("ListBucketResult")
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "keys/s")
}
