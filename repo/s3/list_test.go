package s3

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// listedBucket is any of the answers that list a bucket.
type listedBucket struct {
	XMLName               xml.Name
	Name, Prefix          string
	Marker, NextMarker    *string
	StartAfter            string
	ContinuationToken     string
	NextContinuationToken string
	KeyCount              *int
	MaxKeys               int
	Delimiter             string
	EncodingType          string
	IsTruncated           bool
	KeyMarker             string
	VersionIDMarker       string `xml:"VersionIdMarker"`
	NextKeyMarker         string
	NextVersionIDMarker   string        `xml:"NextVersionIdMarker"`
	Entries               []listedEntry `xml:",any"`
	CommonPrefixes        []struct{ Prefix string }
}

// listedEntry is one of Contents, Version and DeleteMarker.
type listedEntry struct {
	XMLName      xml.Name
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	ETag         string
	Size         *int64
	StorageClass string
	Owner        *struct{ ID, DisplayName string }
}

func (s *server) list(who *account, path string) *listedBucket {
	s.t.Helper()
	var l listedBucket
	body := s.must(200, who, "GET", path, "").body
	if err := xml.Unmarshal([]byte(body), &l); err != nil {
		s.t.Fatalf("%s: %v in %s", path, err, body)
	}
	return &l
}

// names of keys and, with a bar before, common prefixes.
func (l *listedBucket) names() (list []string) {
	for _, e := range l.Entries {
		list = append(list, e.Key)
	}
	for _, p := range l.CommonPrefixes {
		list = append(list, "|"+p.Prefix)
	}
	return list
}

// bucketWith makes a bucket of main with keys of one byte each.
func (s *server) bucketWith(name string, keys ...string) {
	s.t.Helper()
	s.must(200, mainUser, "PUT", "/"+name, "")
	for _, k := range keys {
		s.must(200, mainUser, "PUT", "/"+name+"/"+(&url.URL{Path: k}).EscapedPath(), "x")
	}
}

func TestListObjects(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("lst", "asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud", "d e", "f+g%", "ü/\x01")
	for _, c := range []struct{ query, want, next string }{
		{"", "asdf boo/bar boo/baz/xyzzy cquux/bla cquux/thud d e f+g% ü/\ufffd", ""},
		{"delimiter=/", "asdf d e f+g% |boo/ |cquux/ |ü/", ""},
		{"delimiter=/&max-keys=1", "asdf ...", "asdf"},
		{"delimiter=/&max-keys=1&marker=asdf", "|boo/ ...", "boo/"},
		{"delimiter=/&max-keys=1&marker=boo/", "|cquux/ ...", "cquux/"},
		{"delimiter=/&max-keys=2&marker=boo/bar", "d e |cquux/ ...", "d e"},
		{"prefix=boo/&delimiter=/", "boo/bar |boo/baz/", ""},
		{"prefix=boo/&delimiter=/&max-keys=1", "boo/bar ...", "boo/bar"},
		{"prefix=boo/&delimiter=/&marker=boo/bar", "|boo/baz/", ""},
		{"max-keys=2", "asdf boo/bar ...", "-"}, // no NextMarker without a delimiter
		{"max-keys=2&marker=d+e", "f+g% ü/\ufffd", ""},
		{"prefix=nope", "", ""},
		{"max-keys=0", "", ""},
		{"marker=zzz&prefix=a", "", ""},
		{"delimiter=oo", "asdf cquux/bla cquux/thud d e f+g% ü/\ufffd |boo", ""},
		{"delimiter=", "asdf boo/bar boo/baz/xyzzy cquux/bla cquux/thud d e f+g% ü/\ufffd", ""},
		{"encoding-type=url&prefix=f", "f%2Bg%25", ""},
		{"encoding-type=url&marker=f", "f%2Bg%25 %C3%BC/%01", ""},
		{"encoding-type=url&delimiter=/&prefix=%C3%BC", "|%C3%BC/", ""},
	} {
		l := s.list(mainUser, "/lst?"+c.query)
		got := l.names()
		if l.IsTruncated {
			got = append(got, "...")
		}
		next := ""
		if l.NextMarker != nil {
			next = *l.NextMarker
		} else if l.IsTruncated {
			next = "-"
		}
		if strings.Join(got, " ") != c.want || next != c.next {
			t.Errorf("%s: got %q next %q, want %q next %q", c.query, got, next, c.want, c.next)
		}
		if l.XMLName.Local != "ListBucketResult" || l.Marker == nil || l.Name != "lst" || l.KeyCount != nil {
			t.Errorf("%s: head %+v", c.query, l)
		}
		v2 := strings.Replace(c.query, "marker=", "start-after=", 1)
		l = s.list(mainUser, "/lst?list-type=2&"+v2)
		if got := l.names(); strings.Join(got, " ") != strings.TrimSuffix(strings.TrimSuffix(c.want, "..."), " ") || l.IsTruncated != (l.NextContinuationToken != "") {
			t.Errorf("V2 %s: got %q, want %q", v2, got, c.want)
		}
		if l.KeyCount == nil || *l.KeyCount != len(l.names()) || l.Marker != nil {
			t.Errorf("V2 %s: head %+v", v2, l)
		}
	}
}

func TestListEntry(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("lst", "a")
	head := s.must(200, mainUser, "HEAD", "/lst/a", "")
	for query, owner := range map[string]bool{"": true, "list-type=2": false, "list-type=2&fetch-owner=true": true, "list-type=2&fetch-owner=false": false, "versions": true} {
		l := s.list(mainUser, "/lst?"+query)
		if len(l.Entries) != 1 {
			t.Fatalf("%s: %+v", query, l)
		}
		e := l.Entries[0]
		if e.Key != "a" || e.ETag != head.Header.Get("ETag") || e.Size == nil || *e.Size != 1 || e.StorageClass != "STANDARD" ||
			!strings.HasSuffix(e.LastModified, ".000Z") || (e.Owner != nil) != owner || owner && (e.Owner.ID != "main-id" || e.Owner.DisplayName != "MAIN") {
			t.Errorf("%s: %+v owner %+v", query, e, e.Owner)
		}
		if e.LastModified[:19] != s.clock.Now().Format("2006-01-02T15:04:05") {
			t.Errorf("%s: modified %s", query, e.LastModified)
		}
	}
}

func TestListContinuation(t *testing.T) {
	s := newServer(t, Options{})
	var keys []string
	for i := range 7 {
		keys = append(keys, fmt.Sprintf("dir %d/ö", i), fmt.Sprintf("key+%d", i))
	}
	slices.Sort(keys)
	s.bucketWith("lst", keys...)
	for _, c := range []struct {
		query string
		want  int
	}{{"", 14}, {"&delimiter=/", 14}, {"&encoding-type=url", 14}, {"&prefix=key", 7}, {"&start-after=key", 7}} {
		var names []string
		token := ""
		for range 10 {
			query := "/lst?list-type=2&max-keys=3" + c.query
			if token != "" {
				query += "&continuation-token=" + url.QueryEscape(token)
			}
			l := s.list(mainUser, query)
			if l.ContinuationToken != token {
				t.Errorf("%s: token %q, sent %q", query, l.ContinuationToken, token)
			}
			names = append(names, l.names()...)
			if token = l.NextContinuationToken; token == "" {
				break
			}
		}
		sorted := slices.Sorted(slices.Values(names))
		if len(names) != c.want || len(slices.Compact(sorted)) != c.want {
			t.Errorf("%s: %q", c.query, names)
		}
	}
}

func TestListRefusals(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("lst", "a")
	for _, c := range []struct{ query, message string }{
		{"max-keys=blah", "Provided max-keys not an integer or within integer range"},
		{"max-keys=%0A", "Provided max-keys not an integer or within integer range"},
		{"max-keys=99999999999", "Provided max-keys not an integer or within integer range"},
		{"max-keys=-1", "Argument max-keys must be an integer between 0 and 2147483647"},
		{"encoding-type=xml", "Invalid Encoding Method specified in Request"},
		{"list-type=3", "Invalid List Type specified in Request"},
		{"list-type=2&continuation-token=", "The continuation token provided is incorrect"},
		{"list-type=2&continuation-token=abc", "The continuation token provided is incorrect"},
		{"versions&version-id-marker=null", "A version-id marker cannot be specified without a key marker."},
		{"versions&key-marker=a&version-id-marker=x", "Invalid version id specified"},
		{"versions&max-keys=x", "Provided max-keys not an integer or within integer range"},
		{"uploads&max-uploads=x", "Provided max-uploads not an integer or within integer range"},
		{"uploads&key-marker=a&upload-id-marker=x", "Invalid uploadId marker"},
	} {
		r := s.refused(400, "InvalidArgument", mainUser, "GET", "/lst?"+c.query, "")
		if !strings.Contains(r.body, "<Message>"+c.message+"</Message>") || !strings.Contains(r.body, "<ArgumentName>") {
			t.Errorf("%s: %s", c.query, r.body)
		}
	}
	s.refused(404, "NoSuchBucket", mainUser, "GET", "/none", "")
	s.refused(404, "NoSuchBucket", mainUser, "GET", "/none?versions", "")
	for _, who := range []*account{altUser, anonymous} {
		for _, query := range []string{"", "?list-type=2", "?versions", "?uploads"} {
			s.refused(403, "AccessDenied", who, "GET", "/lst"+query, "")
		}
	}
	// What is empty is as if it were not there.
	if l := s.list(mainUser, "/lst?max-keys=&prefix=&marker=&encoding-type="); l.MaxKeys != 1000 || len(l.Entries) != 1 {
		t.Errorf("got %+v", l)
	}
	if l := s.list(mainUser, "/lst?max-keys=5000"); l.MaxKeys != 1000 {
		t.Errorf("max-keys 5000: %d", l.MaxKeys)
	}
}

// versionNames are key, L when latest, and M of a delete marker.
func (l *listedBucket) versionNames() (list []string) {
	for _, e := range l.Entries {
		name := e.Key
		if e.IsLatest {
			name += ":L"
		}
		if e.XMLName.Local == "DeleteMarker" {
			name += ":M"
		}
		list = append(list, name)
	}
	for _, p := range l.CommonPrefixes {
		list = append(list, "|"+p.Prefix)
	}
	return list
}

func TestListVersions(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("ver", "a", "dir/x")
	s.must(200, mainUser, "PUT", "/ver?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	for range 2 {
		s.must(200, mainUser, "PUT", "/ver/a", "xx")
	}
	s.must(204, mainUser, "DELETE", "/ver/a", "")
	s.must(200, mainUser, "PUT", "/ver/b", "y")
	l := s.list(mainUser, "/ver?versions")
	want := []string{"a:L:M", "a", "a", "a", "b:L", "dir/x:L"}
	if got := l.versionNames(); !slices.Equal(got, want) || l.XMLName.Local != "ListVersionsResult" || l.IsTruncated {
		t.Fatalf("got %q, want %q", got, want)
	}
	if l.Entries[3].VersionID != "null" || l.Entries[5].VersionID != "null" || len(l.Entries[0].VersionID) != 32 {
		t.Errorf("got %+v", l.Entries)
	}
	if m := l.Entries[0]; m.Size != nil || m.ETag != "" || m.StorageClass != "" || m.Owner == nil || m.Owner.ID != "main-id" {
		t.Errorf("delete marker: %+v", m)
	}
	// Pages of every size list the same.
	for size := 1; size <= 6; size++ {
		for _, extra := range []string{"", "&delimiter=/", "&encoding-type=url"} {
			var got []string
			query := fmt.Sprintf("/ver?versions&max-keys=%d%s", size, extra)
			marker := ""
			for range 10 {
				l := s.list(mainUser, query+marker)
				got = append(got, l.versionNames()...)
				if !l.IsTruncated {
					break
				}
				marker = "&key-marker=" + url.QueryEscape(l.NextKeyMarker) + "&version-id-marker=" + l.NextVersionIDMarker
			}
			all := slices.Clone(want)
			if extra == "&delimiter=/" {
				all[5] = "|dir/"
			}
			if !slices.Equal(got, all) {
				t.Errorf("%s: got %q, want %q", query, got, all)
			}
		}
	}
	// A key marker alone is behind all versions of the key.
	if got := s.list(mainUser, "/ver?versions&key-marker=a").versionNames(); !slices.Equal(got, want[4:]) {
		t.Errorf("behind a: %q", got)
	}
	// A marker whose version is gone continues where it was.
	gone := l.Entries[1].VersionID
	s.must(204, mainUser, "DELETE", "/ver/a?versionId="+gone, "")
	if got := s.list(mainUser, "/ver?versions&key-marker=a&version-id-marker="+gone).versionNames(); !slices.Equal(got, want[2:]) {
		t.Errorf("behind the removed version: %q", got)
	}
	if got := s.list(mainUser, "/ver?versions&key-marker=a&version-id-marker=null").versionNames(); !slices.Equal(got, want[4:]) {
		t.Errorf("behind the null version: %q", got)
	}
	if got := s.list(mainUser, "/ver").names(); !slices.Equal(got, []string{"b", "dir/x"}) {
		t.Errorf("keys: %q", got)
	}
}
