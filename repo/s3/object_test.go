package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"
)

const versioningOn = `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`

// newBucket makes a bucket of mainUser; headers are those of CreateBucket.
func (s *server) newBucket(name string, headers ...string) {
	s.t.Helper()
	s.must(http.StatusOK, mainUser, "PUT", "/"+name, "", headers...)
}

// want checks headers of an answer; "-" in place of a value: the header is not there.
func (r *reply) want(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		values := r.Header.Values(pairs[i])
		if pairs[i+1] == "-" && len(values) > 0 || pairs[i+1] != "-" && (len(values) != 1 || values[0] != pairs[i+1]) {
			t.Errorf("%s %s: header %s is %q, want %q", r.Request.Method, r.Request.URL, pairs[i], values, pairs[i+1])
		}
	}
}

func etag(body string) string {
	sum := md5.Sum([]byte(body))
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func md5Header(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestPutAndGet(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	for _, body := range []string{"", "bar", strings.Repeat("firn ", 200_000)} {
		r := s.must(200, mainUser, "PUT", "/bucket/a//b/..%2Fk%20+", body, "Content-Type", "text/plain", "x-amz-meta-m", "1", "x-amz-tagging", "a=b")
		r.want(t, "ETag", etag(body), "x-amz-version-id", "-", headSSE, "AES256", "x-amz-checksum-type", "FULL_OBJECT", "Content-Length", "0")
		sum := r.Header.Get("x-amz-checksum-crc64nvme")
		for _, method := range []string{"GET", "HEAD"} {
			r = s.must(200, mainUser, method, "/bucket/a//b/..%2Fk%20+", "")
			r.want(t, "ETag", etag(body), "Content-Length", itoa(len(body)), "Content-Type", "text/plain", "x-amz-meta-m", "1", "Accept-Ranges", "bytes",
				"x-amz-tagging-count", "1", "x-amz-storage-class", "-", "x-amz-checksum-crc64nvme", "-", "Last-Modified", httpTime(s.clock.Now()), headSSE, "AES256")
			if want := map[string]string{"GET": body}[method]; r.body != want {
				t.Errorf("%s: %d bytes, want %d", method, len(r.body), len(want))
			}
			r = s.must(200, mainUser, method, "/bucket/a//b/..%2Fk%20+", "", "x-amz-checksum-mode", "enabled")
			r.want(t, "x-amz-checksum-crc64nvme", sum, "x-amz-checksum-type", "FULL_OBJECT")
		}
	}
	s.must(200, mainUser, "PUT", "/bucket/k", "x")
	s.must(200, mainUser, "GET", "/bucket/k", "").want(t, "Content-Type", "binary/octet-stream", "x-amz-meta-m", "-", "x-amz-tagging-count", "-")
	s.refused(404, "NoSuchKey", mainUser, "GET", "/bucket/none", "")
	s.refused(404, "NoSuchBucket", mainUser, "GET", "/nobucket/none", "")
	s.refused(403, "AccessDenied", altUser, "GET", "/bucket/k", "")
	s.refused(403, "AccessDenied", anonymous, "PUT", "/bucket/k", "y")
	if r := s.do(mainUser, "HEAD", "/bucket/none", ""); r.StatusCode != 404 || r.body != "" {
		t.Errorf("HEAD of nothing: %d %q", r.StatusCode, r.body)
	}
}

func TestPutRefusals(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	for _, c := range []struct {
		status  int
		code    string
		headers []string
	}{
		{400, "InvalidDigest", []string{"Content-MD5", "YWJyYWNhZGFicmE="}},
		{400, "InvalidDigest", []string{"Content-MD5", ""}},
		{400, "BadDigest", []string{"Content-MD5", "rL0Y20xC+Fzt72VPzMSk2A=="}},
		{400, "BadDigest", []string{"x-amz-checksum-crc32", "AAAAAA=="}},
		{400, "InvalidRequest", []string{"x-amz-checksum-crc32", "AAAA"}},
		{400, "InvalidStorageClass", []string{"x-amz-storage-class", "OUTPOSTS"}},
		{400, "InvalidRequest", []string{headHold, "ON"}},
		{400, "InvalidArgument", []string{headSSE, "aes256"}},
		{400, "MetadataTooLarge", []string{"x-amz-meta-m", strings.Repeat("m", 3000)}},
		{400, "InvalidRedirectLocation", []string{"x-amz-website-redirect-location", "elsewhere"}},
		{400, "InvalidTag", []string{"x-amz-tagging", "aws:a=b"}},
		{501, "NotImplemented", []string{"If-None-Match", "abc", "If-Match", "abc"}},
		{501, "NotImplemented", []string{"x-amz-write-offset-bytes", "3"}},
		{404, "NoSuchKey", []string{"If-Match", "abc"}},
		{404, "NoSuchKey", []string{"If-Match", "*"}},
	} {
		s.refused(c.status, c.code, mainUser, "PUT", "/bucket/k", "body", c.headers...)
	}
	s.refused(404, "NoSuchKey", mainUser, "GET", "/bucket/k", "")
	s.must(200, mainUser, "PUT", "/bucket/k", "body", "Content-MD5", md5Header("body"), "x-amz-checksum-crc32", "26gLsg==", "If-None-Match", "*").
		want(t, "x-amz-checksum-crc32", "26gLsg==", "x-amz-checksum-crc64nvme", "-")
	r := s.refused(412, "PreconditionFailed", mainUser, "PUT", "/bucket/k", "body", "If-None-Match", "*")
	if !strings.Contains(r.body, "<Condition>If-None-Match</Condition>") {
		t.Error(r.body)
	}
	s.must(200, mainUser, "PUT", "/bucket/k", "other", "If-Match", etag("body"))
	s.refused(412, "PreconditionFailed", mainUser, "PUT", "/bucket/k", "body", "If-Match", etag("body"))
	s.refused(412, "PreconditionFailed", mainUser, "PUT", "/bucket/k", "body", "If-None-Match", etag("other"))
	s.must(200, mainUser, "PUT", "/bucket/k", "third", "If-None-Match", etag("body"))
	s.must(200, mainUser, "PUT", "/bucket/k", "fourth", "If-Match", "*")
	s.must(204, mainUser, "DELETE", "/bucket/k", "")
	s.must(200, mainUser, "PUT", "/bucket/k", "fifth", "If-None-Match", etag("fourth"))
}

func TestGetConditionsAndRanges(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "testcontent", "Cache-Control", "no-cache")
	r := s.must(304, mainUser, "GET", "/bucket/k", "", "If-None-Match", etag("testcontent"))
	r.want(t, "ETag", etag("testcontent"), "Last-Modified", httpTime(s.clock.Now()), "Cache-Control", "no-cache", "Content-Type", "-")
	s.refused(412, "PreconditionFailed", mainUser, "GET", "/bucket/k", "", "If-Match", `"x"`).want(t, "ETag", "-")
	s.must(412, mainUser, "HEAD", "/bucket/k", "", "If-Unmodified-Since", httpTime(s.clock.Now().Add(-time.Hour)))
	for _, c := range []struct {
		header string
		status int
		body   string
		cr     string
	}{
		{"bytes=4-7", 206, "cont", "bytes 4-7/11"}, {"bytes=4-", 206, "content", "bytes 4-10/11"}, {"bytes=-7", 206, "content", "bytes 4-10/11"},
		{"bytes=0-1,3-4", 200, "testcontent", "-"}, {"bytes=9-4", 200, "testcontent", "-"}, {"bytes=40-50", 416, "", "bytes */11"},
	} {
		r := s.must(c.status, mainUser, "GET", "/bucket/k", "", "Range", c.header, "x-amz-checksum-mode", "ENABLED")
		r.want(t, "Content-Range", c.cr)
		if c.status == 416 {
			if !strings.Contains(r.body, "<ActualObjectSize>11</ActualObjectSize>") || !strings.Contains(r.body, "<RangeRequested>bytes=40-50</RangeRequested>") {
				t.Error(r.body)
			}
			continue
		}
		if r.body != c.body {
			t.Errorf("%s: %q", c.header, r.body)
		}
		if c.status == 206 {
			r.want(t, "x-amz-checksum-crc64nvme", "-")
		}
		s.must(c.status, mainUser, "HEAD", "/bucket/k", "", "Range", c.header).want(t, "Content-Length", itoa(len(c.body)))
	}
	for cond, status := range map[string]int{etag("testcontent"): 206, `"other"`: 200, httpTime(s.clock.Now()): 206, httpTime(s.clock.Now().Add(-time.Hour)): 200} {
		s.must(status, mainUser, "GET", "/bucket/k", "", "Range", "bytes=4-7", "If-Range", cond)
	}
	s.must(206, mainUser, "GET", "/bucket/k?partNumber=1", "").want(t, "Content-Range", "bytes 0-10/11", "x-amz-mp-parts-count", "-")
	s.refused(416, "InvalidPartNumber", mainUser, "GET", "/bucket/k?partNumber=2", "")
	s.refused(400, "InvalidArgument", mainUser, "GET", "/bucket/k?partNumber=0", "")
	s.refused(400, "InvalidRequest", mainUser, "GET", "/bucket/k?partNumber=1", "", "Range", "bytes=0-1")
}

func TestOverriddenHeaders(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "x", "Content-Type", "text/plain", "x-amz-acl", "public-read")
	s.must(200, mainUser, "GET", "/bucket/k?response-content-type=text/html&response-cache-control=no-store&response-content-disposition=a%20b", "").
		want(t, "Content-Type", "text/html", "Cache-Control", "no-store", "Content-Disposition", "a b")
	s.refused(400, "InvalidArgument", mainUser, "GET", "/bucket/k?response-content-type=a%0Ab", "")
	s.must(200, anonymous, "GET", "/bucket/k", "")
	s.refused(400, "InvalidRequest", anonymous, "GET", "/bucket/k?response-content-type=text/html", "")
}

func TestVersionsOfAnObject(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "null")
	s.must(200, mainUser, "PUT", "/bucket?versioning", versioningOn)
	first := s.must(200, mainUser, "PUT", "/bucket/k", "first").Header.Get("x-amz-version-id")
	second := s.must(200, mainUser, "PUT", "/bucket/k", "second").Header.Get("x-amz-version-id")
	for id, body := range map[string]string{"": "second", second: "second", first: "first", "null": "null"} {
		path := "/bucket/k"
		if id != "" {
			path += "?versionId=" + id
		}
		r := s.must(200, mainUser, "GET", path, "")
		if id == "" {
			id = second
		}
		if r.want(t, "x-amz-version-id", id); r.body != body {
			t.Errorf("version %q: %q", id, r.body)
		}
	}
	r := s.must(204, mainUser, "DELETE", "/bucket/k", "")
	r.want(t, "x-amz-delete-marker", "true")
	marker := r.Header.Get("x-amz-version-id")
	s.refused(404, "NoSuchKey", mainUser, "GET", "/bucket/k", "").want(t, "x-amz-delete-marker", "true", "x-amz-version-id", marker)
	r = s.refused(405, "MethodNotAllowed", mainUser, "GET", "/bucket/k?versionId="+marker, "")
	if r.want(t, "x-amz-delete-marker", "true", "Allow", "DELETE", "Last-Modified", httpTime(s.clock.Now())); !strings.Contains(r.body, "<ResourceType>DeleteMarker</ResourceType>") {
		t.Error(r.body)
	}
	s.must(204, mainUser, "DELETE", "/bucket/k?versionId="+marker, "").want(t, "x-amz-delete-marker", "true", "x-amz-version-id", marker)
	s.must(204, mainUser, "DELETE", "/bucket/k?versionId="+second, "").want(t, "x-amz-delete-marker", "-", "x-amz-version-id", second)
	s.must(204, mainUser, "DELETE", "/bucket/k?versionId="+second, "").want(t, "x-amz-version-id", second)
	if r := s.must(200, mainUser, "GET", "/bucket/k", ""); r.body != "first" {
		t.Errorf("got %q", r.body)
	}
	s.refused(404, "NoSuchVersion", mainUser, "GET", "/bucket/k?versionId="+second, "")
	s.refused(400, "InvalidArgument", mainUser, "GET", "/bucket/k?versionId=x", "")
}

func TestArchivedObject(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "cold", "x-amz-storage-class", "DEEP_ARCHIVE")
	s.must(200, mainUser, "HEAD", "/bucket/k", "").want(t, "x-amz-storage-class", "DEEP_ARCHIVE")
	r := s.refused(403, "InvalidObjectState", mainUser, "GET", "/bucket/k", "")
	if !strings.Contains(r.body, "<StorageClass>DEEP_ARCHIVE</StorageClass>") {
		t.Error(r.body)
	}
	s.refused(403, "InvalidObjectState", mainUser, "PUT", "/bucket/copy", "", "x-amz-copy-source", "bucket/k")
	s.must(200, mainUser, "PUT", "/bucket/w", "warm", "x-amz-storage-class", "STANDARD_IA")
	s.must(200, mainUser, "GET", "/bucket/w", "").want(t, "x-amz-storage-class", "STANDARD_IA")
	s.refused(403, "InvalidObjectState", mainUser, "POST", "/bucket/w?restore", "<RestoreRequest><Days>1</Days></RestoreRequest>")
}

func TestObjectRefusals(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "x")
	s.refused(405, "MethodNotAllowed", mainUser, "POST", "/bucket/k?select", "x")
	s.refused(501, "NotImplemented", mainUser, "PUT", "/bucket/k?renameObject", "")
}

func TestObjectTagging(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "x", "x-amz-tagging", "b=2&a=1")
	r := s.must(200, mainUser, "GET", "/bucket/k?tagging", "")
	if !strings.Contains(r.body, "<TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value>2</Value></Tag></TagSet>") {
		t.Error(r.body)
	}
	s.putDigested(200, mainUser, "/bucket/k?tagging", `<Tagging><TagSet><Tag><Key>c</Key><Value>3</Value></Tag></TagSet></Tagging>`)
	s.must(200, mainUser, "GET", "/bucket/k", "").want(t, "x-amz-tagging-count", "1", "ETag", etag("x"))
	s.refusedDigested(400, "MalformedXML", mainUser, "/bucket/k?tagging", "<Tagging/>")
	s.refused(400, "InvalidRequest", mainUser, "PUT", "/bucket/k?tagging", "<Tagging/>")
	s.must(204, mainUser, "DELETE", "/bucket/k?tagging", "")
	if r := s.must(200, mainUser, "GET", "/bucket/k?tagging", ""); strings.Contains(r.body, "<Tag>") {
		t.Error(r.body)
	}
	s.refused(404, "NoSuchKey", mainUser, "GET", "/bucket/none?tagging", "")
	s.refused(403, "AccessDenied", altUser, "GET", "/bucket/k?tagging", "")
}

func TestAttributesOfAnObject(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "body", "x-amz-checksum-crc32", "26gLsg==")
	r := s.must(200, mainUser, "GET", "/bucket/k?attributes", "", "x-amz-object-attributes", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize")
	for _, part := range []string{"<ETag>" + strings.Trim(etag("body"), `"`) + "</ETag>", "<Checksum><ChecksumCRC32>26gLsg==</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType></Checksum>",
		"<StorageClass>STANDARD</StorageClass>", "<ObjectSize>4</ObjectSize>"} {
		if !strings.Contains(r.body, part) {
			t.Errorf("no %s in %s", part, r.body)
		}
	}
	if strings.Contains(r.body, "ObjectParts") {
		t.Error(r.body)
	}
	r.want(t, "Last-Modified", httpTime(s.clock.Now()), "x-amz-version-id", "-")
	s.refused(400, "InvalidArgument", mainUser, "GET", "/bucket/k?attributes", "")
	s.refused(404, "NoSuchKey", mainUser, "GET", "/bucket/none?attributes", "", "x-amz-object-attributes", "ETag")
}
