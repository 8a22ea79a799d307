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
	s.refused(412, "PreconditionFailed", mainUser, "DELETE", "/bucket/k", "", "If-Unmodified-Since", "Wed, 21 Oct 2015 07:28:00 GMT")
	s.refused(412, "PreconditionFailed", mainUser, "DELETE", "/bucket/k", "", "If-None-Match", etag("x"))
	s.refused(412, "PreconditionFailed", mainUser, "PUT", "/bucket/k", "y", "If-Unmodified-Since", "Wed, 21 Oct 2015 07:28:00 GMT")
	s.must(200, mainUser, "GET", "/bucket/k", "")
	s.must(204, mainUser, "DELETE", "/bucket/k", "", "If-Match", etag("x"), "x-amz-if-match-size", "1", "x-amz-if-match-last-modified-time", httpTime(s.clock.Now())).
		want(t, "x-amz-version-id", "-", "x-amz-delete-marker", "-")
	s.refused(404, "NoSuchKey", mainUser, "DELETE", "/bucket/k", "", "If-Match", etag("x"))
	s.must(204, mainUser, "DELETE", "/bucket/k", "", "x-amz-if-match-size", "7")
	s.must(204, mainUser, "DELETE", "/bucket/k", "")
	s.refused(400, "InvalidArgument", mainUser, "DELETE", "/bucket/k", "", headBypass, "true")
}

func TestConditionalDeleteOfAVersion(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	at := "/bucket/k?versionId=" + s.must(200, mainUser, "PUT", "/bucket/k", "x").Header.Get("x-amz-version-id")
	s.refused(412, "PreconditionFailed", mainUser, "DELETE", at, "", "If-Match", "other")
	s.must(204, mainUser, "DELETE", at, "", "If-Match", etag("x"))
	s.must(204, mainUser, "DELETE", at, "", "If-Match", etag("x")) // again, as after a lost answer
	s.must(204, mainUser, "DELETE", at, "", "If-Match", "other")
}

// A condition about an ETag needs the right to read: its answer tells of the content.
func TestConditionsNeedRead(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	may := func(actions string) {
		t.Helper()
		s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":[`+actions+`]`))
	}
	may(`"s3:PutObject","s3:DeleteObject"`)
	for _, tag := range []string{etag("x"), `"other"`} {
		s.refused(403, "AccessDenied", altUser, "PUT", "/bkt/k", "y", "If-Match", tag)
		s.refused(403, "AccessDenied", altUser, "PUT", "/bkt/k", "y", "If-None-Match", tag)
		s.refused(403, "AccessDenied", altUser, "PUT", "/bkt/none", "y", "If-Match", tag)
		s.refused(403, "AccessDenied", altUser, "DELETE", "/bkt/k", "", "If-Match", tag)
		s.refused(403, "AccessDenied", altUser, "DELETE", "/bkt/k", "", "If-None-Match", tag)
		if r := s.deleteAll(200, altUser, "bkt", entry("k", "<ETag>"+tag+"</ETag>")); !strings.Contains(r.body, "<Error><Key>k</Key><Code>AccessDenied</Code>") {
			t.Error(r.body)
		}
	}
	s.refused(412, "PreconditionFailed", altUser, "PUT", "/bkt/k", "y", "If-None-Match", "*")
	s.must(200, altUser, "PUT", "/bkt/k", "y", "If-Match", "*")
	s.must(200, altUser, "PUT", "/bkt/k", "z", "If-Match", etag("y")) // its own by now
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	may(`"s3:PutObject","s3:DeleteObject","s3:ListBucket"`)
	s.refused(404, "NoSuchKey", altUser, "PUT", "/bkt/none", "y", "If-Match", etag("y"))
	may(`"s3:PutObject","s3:DeleteObject","s3:GetObject"`)
	s.must(200, altUser, "PUT", "/bkt/k", "y", "If-Match", etag("x"))
	s.must(204, altUser, "DELETE", "/bkt/k", "", "If-Match", etag("y"))
}

// To policies, an entry of DeleteObjects is what a DeleteObject would be.
func TestDeleteObjectsConditionKeys(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bkt")
	s.must(204, mainUser, "DELETE", "/bkt?publicAccessBlock", "")
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	deleted := func(want bool, who *account, entries string, headers ...string) {
		t.Helper()
		if r := s.deleteAll(200, who, "bkt", entries, headers...); strings.Contains(r.body, "<Deleted>") != want {
			t.Errorf("%s: want deleted %v: %s", entries, want, r.body)
		}
	}
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Condition":{"Null":{"s3:if-match":"true"}}`))
	deleted(false, mainUser, entry("k"))
	deleted(false, mainUser, entry("k"), "If-Match", etag("x")) // that is not a condition on the entry
	deleted(true, mainUser, entry("k", "<ETag>"+etag("x")+"</ETag>"))
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:DeleteObjectVersion","Condition":{"StringEquals":{"s3:VersionId":"null"}}`))
	deleted(false, altUser, entry("k"))
	deleted(true, altUser, entry("k", "<VersionId>null</VersionId>"))
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
