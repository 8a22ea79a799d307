package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// deleteAll sends a DeleteObjects with entries.
func (s *server) deleteAll(status int, who *account, bucket, entries string, headers ...string) *reply {
	s.t.Helper()
	body := "<Delete>" + entries + "</Delete>"
	return s.must(status, who, "POST", "/"+bucket+"?delete", body, append(headers, "Content-MD5", md5Header(body))...)
}

func entry(key string, more ...string) string {
	return "<Object><Key>" + key + "</Key>" + strings.Join(more, "") + "</Object>"
}

func TestConditionalDelete(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "x")
	s.refused(412, "PreconditionFailed", mainUser, "DELETE", "/bucket/k", "", "If-Match", "other")
	s.refused(412, "PreconditionFailed", mainUser, "DELETE", "/bucket/k", "", "x-amz-if-match-size", "7")
	s.refused(412, "PreconditionFailed", mainUser, "DELETE", "/bucket/k", "", "x-amz-if-match-last-modified-time", "Wed, 21 Oct 2015 07:28:00 GMT")
	s.must(200, mainUser, "GET", "/bucket/k", "")
	s.must(204, mainUser, "DELETE", "/bucket/k", "", "If-Match", etag("x"), "x-amz-if-match-size", "1", "x-amz-if-match-last-modified-time", httpTime(s.clock.Now())).
		want(t, "x-amz-version-id", "-", "x-amz-delete-marker", "-")
	s.refused(404, "NoSuchKey", mainUser, "DELETE", "/bucket/k", "", "If-Match", etag("x"))
	s.must(204, mainUser, "DELETE", "/bucket/k", "", "x-amz-if-match-size", "7")
	s.must(204, mainUser, "DELETE", "/bucket/k", "")
	s.refused(400, "InvalidArgument", mainUser, "DELETE", "/bucket/k", "", headBypass, "true")
}

func TestDeleteObjects(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	for i := range 3 {
		s.must(200, mainUser, "PUT", fmt.Sprintf("/bucket/k%d", i), "x")
	}
	r := s.deleteAll(200, mainUser, "bucket", entry("k0")+entry("none")+entry("k0")+entry("k1", "<ETag>other</ETag>")+entry("k2", "<VersionId>nonsense</VersionId>"))
	if n := strings.Count(r.body, "<Deleted>"); n != 3 {
		t.Errorf("%d deleted: %s", n, r.body)
	}
	for _, part := range []string{"<Error><Key>k1</Key><Code>PreconditionFailed</Code>", "<Error><Key>k2</Key><VersionId>nonsense</VersionId><Code>NoSuchVersion</Code>"} {
		if !strings.Contains(r.body, part) {
			t.Errorf("no %s in %s", part, r.body)
		}
	}
	r = s.deleteAll(200, mainUser, "bucket", "<Quiet>true</Quiet>"+entry("k1"), headBypass, "true")
	if strings.Contains(r.body, "Deleted>") {
		t.Error(r.body)
	}
	r = s.deleteAll(200, altUser, "bucket", entry("k2"))
	if !strings.Contains(r.body, "<Error><Key>k2</Key><Code>AccessDenied</Code>") {
		t.Error(r.body)
	}
	s.refused(404, "NoSuchKey", mainUser, "GET", "/bucket/k1", "")
	s.must(200, mainUser, "GET", "/bucket/k2", "")
	s.refused(400, "InvalidRequest", mainUser, "POST", "/bucket?delete", "<Delete>"+entry("k2")+"</Delete>")
	s.refused(400, "MalformedXML", mainUser, "POST", "/bucket?delete", "<Delete/>", "Content-MD5", md5Header("<Delete/>"))
	s.refused(400, "BadDigest", mainUser, "POST", "/bucket?delete", "<Delete>"+entry("k2")+"</Delete>", "Content-MD5", md5Header(""))
	s.deleteAll(400, mainUser, "bucket", strings.Repeat(entry("k"), 1001))
}

func TestDeleteObjectsOfVersions(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket?versioning", versioningOn)
	id := s.must(200, mainUser, "PUT", "/bucket/k", "x").Header.Get("x-amz-version-id")
	r := s.deleteAll(200, mainUser, "bucket", entry("k"))
	_, marker, _ := strings.Cut(r.body, "<DeleteMarkerVersionId>")
	marker, _, _ = strings.Cut(marker, "<")
	if !strings.Contains(r.body, "<DeleteMarker>true</DeleteMarker>") || len(marker) != 32 {
		t.Fatal(r.body)
	}
	r = s.deleteAll(200, mainUser, "bucket", entry("k", "<VersionId>"+marker+"</VersionId>")+entry("k", "<VersionId>"+id+"</VersionId>"))
	for _, part := range []string{
		"<Key>k</Key><VersionId>" + marker + "</VersionId><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>" + marker + "</DeleteMarkerVersionId>",
		"<Deleted><Key>k</Key><VersionId>" + id + "</VersionId></Deleted>",
	} {
		if !strings.Contains(r.body, part) {
			t.Errorf("no %s in %s", part, r.body)
		}
	}
	s.must(http.StatusNoContent, mainUser, "DELETE", "/bucket", "")
}
