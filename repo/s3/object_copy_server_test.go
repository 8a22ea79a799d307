package s3

import (
	"strings"
	"testing"
	"time"
)

func TestCopyObject(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.newBucket("other")
	s.must(200, mainUser, "PUT", "/bucket/a%20b", "body", "Content-Type", "text/plain", "x-amz-meta-m", "1", "x-amz-tagging", "t=1", "x-amz-website-redirect-location", "/x", "x-amz-storage-class", "STANDARD_IA")
	s.clock.add(time.Hour)
	r := s.must(200, mainUser, "PUT", "/other/copy", "", "x-amz-copy-source", "/bucket/a%20b")
	if !strings.Contains(r.body, "<LastModified>"+isoTime(s.clock.Now())+"</LastModified>") || !strings.Contains(r.body, "<ETag>&quot;"+strings.Trim(etag("body"), `"`)+"&quot;</ETag>") ||
		!strings.Contains(r.body, "<ChecksumCRC64NVME>") {
		t.Error(r.body)
	}
	r = s.must(200, mainUser, "GET", "/other/copy", "")
	r.want(t, "Content-Type", "text/plain", "x-amz-meta-m", "1", "x-amz-tagging-count", "1", "x-amz-website-redirect-location", "-", "x-amz-storage-class", "-",
		"Last-Modified", httpTime(s.clock.Now()), "ETag", etag("body"))
	if r.body != "body" {
		t.Errorf("%q", r.body)
	}
	s.must(200, mainUser, "PUT", "/other/new", "", "x-amz-copy-source", "bucket/a%20b", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-n", "2",
		"x-amz-tagging-directive", "REPLACE", "x-amz-tagging", "u=1&v=2", "x-amz-checksum-algorithm", "SHA256")
	s.must(200, mainUser, "GET", "/other/new", "", "x-amz-checksum-mode", "ENABLED").want(t, "Content-Type", "binary/octet-stream", "x-amz-meta-m", "-", "x-amz-meta-n", "2",
		"x-amz-tagging-count", "2", "x-amz-checksum-crc64nvme", "-", "x-amz-checksum-sha256", "Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=")

	for _, c := range []struct {
		status  int
		code    string
		headers []string
	}{
		{404, "NoSuchKey", []string{"x-amz-copy-source", "bucket/none"}},
		{404, "NoSuchBucket", []string{"x-amz-copy-source", "nobucket/k"}},
		{400, "InvalidArgument", []string{"x-amz-copy-source", "bucket"}},
		{400, "InvalidArgument", []string{"x-amz-copy-source", "bucket/k?versionId=x"}},
		{404, "NoSuchVersion", []string{"x-amz-copy-source", "bucket/a%20b?versionId=00000000000000000000000000000001"}},
		{400, "InvalidArgument", []string{"x-amz-copy-source", "bucket/a%20b", "x-amz-metadata-directive", "MOVE"}},
		{400, "InvalidArgument", []string{"x-amz-copy-source", "bucket/a%20b", "x-amz-tagging-directive", "MOVE"}},
		{400, "InvalidRequest", []string{"x-amz-copy-source", "bucket/a%20b", "x-amz-checksum-algorithm", "CRC7"}},
		{412, "PreconditionFailed", []string{"x-amz-copy-source", "bucket/a%20b", "x-amz-copy-source-if-match", "x"}},
		{412, "PreconditionFailed", []string{"x-amz-copy-source", "bucket/a%20b", "x-amz-copy-source-if-none-match", etag("body")}},
		{412, "PreconditionFailed", []string{"x-amz-copy-source", "bucket/a%20b", "x-amz-copy-source-if-modified-since", httpTime(s.clock.Now())}},
		{412, "PreconditionFailed", []string{"x-amz-copy-source", "bucket/a%20b", "If-None-Match", "*"}},
		{412, "PreconditionFailed", []string{"x-amz-copy-source", "bucket/a%20b", "If-None-Match", etag("body")}},
	} {
		path := "/other/copy"
		s.refused(c.status, c.code, mainUser, "PUT", path, "", c.headers...)
	}
	s.refused(403, "AccessDenied", altUser, "PUT", "/other/copy", "", "x-amz-copy-source", "bucket/a%20b")
}

func TestCopyAcrossAccounts(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, altUser, "PUT", "/altbucket", "")
	s.must(200, mainUser, "PUT", "/bucket/k", "x")
	s.refused(403, "AccessDenied", altUser, "PUT", "/altbucket/k", "", "x-amz-copy-source", "bucket/k")
	s.refused(403, "AccessDenied", altUser, "PUT", "/altbucket/k", "", "x-amz-copy-source", "bucket/none")
	s.must(204, mainUser, "PUT", "/bucket?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"CanonicalUser":"alt-id"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}]}`)
	s.must(200, altUser, "PUT", "/altbucket/k", "", "x-amz-copy-source", "bucket/k")
	s.must(200, altUser, "GET", "/altbucket/k", "")
}

// Tags are copied for those only who may read them.
func TestCopyOfTags(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(200, altUser, "PUT", "/altbucket", "")
	s.must(200, mainUser, "PUT", "/bkt/k", "x", "x-amz-tagging", "team=red")
	copied := func(status int, headers ...string) {
		t.Helper()
		s.must(status, altUser, "PUT", "/altbucket/k", "", append(headers, "x-amz-copy-source", "bkt/k")...)
	}
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject"`))
	copied(403)
	copied(200, "x-amz-tagging-directive", "REPLACE")
	s.must(200, altUser, "GET", "/altbucket/k", "").want(t, "x-amz-tagging-count", "-")
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:GetObjectTagging"]`))
	copied(200)
	s.must(200, altUser, "GET", "/altbucket/k", "").want(t, "x-amz-tagging-count", "1")
	s.must(204, altUser, "PUT", "/altbucket?policy", strings.ReplaceAll(policyDoc(`"Effect":"Deny","Principal":"*","Action":"s3:PutObjectTagging"`), "bkt", "altbucket"))
	copied(403)
}

func TestCopyOntoItself(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "x", "x-amz-meta-m", "1")
	r := s.refused(400, "InvalidRequest", mainUser, "PUT", "/bucket/k", "", "x-amz-copy-source", "bucket/k")
	if !strings.Contains(r.body, "<Message>This copy request is illegal because it is trying to copy an object to itself without changing the object&#39;s metadata, "+
		"storage class, website redirect location or encryption attributes.</Message>") {
		t.Error(r.body)
	}
	for _, h := range [][]string{
		{"x-amz-metadata-directive", "REPLACE", "x-amz-meta-m", "2"}, {"x-amz-storage-class", "STANDARD_IA"}, {headSSE, "AES256"}, {"x-amz-website-redirect-location", "/y"},
	} {
		s.must(200, mainUser, "PUT", "/bucket/k", "", append(h, "x-amz-copy-source", "bucket/k")...)
	}
	s.must(200, mainUser, "GET", "/bucket/k", "").want(t, "x-amz-meta-m", "2", "ETag", etag("x"))
}

func TestCopyOfAVersion(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket?versioning", versioningOn)
	first := s.must(200, mainUser, "PUT", "/bucket/k", "first").Header.Get("x-amz-version-id")
	s.must(200, mainUser, "PUT", "/bucket/k", "second")
	r := s.must(200, mainUser, "PUT", "/bucket/k", "", "x-amz-copy-source", "bucket/k?versionId="+first)
	r.want(t, "x-amz-copy-source-version-id", first)
	if id := r.Header.Get("x-amz-version-id"); id == first || len(id) != 32 {
		t.Errorf("version %s", id)
	}
	if r := s.must(200, mainUser, "GET", "/bucket/k", ""); r.body != "first" {
		t.Errorf("%q", r.body)
	}
	marker := s.must(204, mainUser, "DELETE", "/bucket/k", "").Header.Get("x-amz-version-id")
	s.refused(404, "NoSuchKey", mainUser, "PUT", "/bucket/c", "", "x-amz-copy-source", "bucket/k")
	s.refused(400, "InvalidRequest", mainUser, "PUT", "/bucket/c", "", "x-amz-copy-source", "bucket/k?versionId="+marker)
}
