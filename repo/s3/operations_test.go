package s3

import (
	"strings"
	"testing"
)

// called says what a request of an operation needs beside method and subresource: more of
// the query, headers, and a body. Where digest is set the body goes with its digest.
type called struct {
	query   string
	headers []string
	body    string
	digest  bool
}

var calls = map[string]called{
	"ListObjectsV2":           {query: "list-type=2"},
	"CopyObject":              {headers: []string{"x-amz-copy-source", "bkt/key"}},
	"UploadPart":              {query: "partNumber=1"},
	"UploadPartCopy":          {query: "partNumber=1", headers: []string{"x-amz-copy-source", "bkt/key"}},
	"CompleteMultipartUpload": {body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"},
	"GetObjectAttributes":     {headers: []string{"x-amz-object-attributes", "ETag"}},
	"PutObjectAcl":            {headers: []string{"x-amz-acl", "private"}},
	"PutObjectTagging":        {body: "<Tagging><TagSet/></Tagging>", digest: true},
	"PutObjectLegalHold":      {body: "<LegalHold><Status>ON</Status></LegalHold>", digest: true},
	"PutObjectRetention":      {body: "<Retention/>", digest: true},
}

// path of a request for an operation in a bucket.
func (op *operation) path(bucket, key string) string {
	path := "/" + bucket
	if op.level == objectLevel {
		path += "/" + key
	}
	query := op.sub
	switch {
	case op.sub == "uploadId":
		query += "=" + strings.Repeat("0", 32)
	case strings.HasSuffix(op.name, "Configuration") && listedSubs[op.sub]:
		query += "&id=one"
	}
	if more := calls[op.name].query; more != "" {
		query += "&" + more
	}
	return path + "?" + strings.TrimPrefix(query, "&")
}

var listedSubs = map[string]bool{"inventory": true, "analytics": true, "metrics": true, "intelligent-tiering": true}

// ask sends a request for an operation and fails the test on another answer.
func (s *server) ask(status int, code string, who *account, op *operation, path string, headers ...string) {
	s.t.Helper()
	c := calls[op.name]
	headers = append(headers, c.headers...)
	if c.digest {
		headers = append(headers, "Content-MD5", md5Header(c.body))
	}
	r := s.do(who, op.method, path, c.body, headers...)
	if r.StatusCode != status || op.method != "HEAD" && !strings.Contains(r.body, "<Code>"+code+"</Code>") {
		s.t.Errorf("%s %s: status %d, want %d %s: %s", op.method, path, r.StatusCode, status, code, r.body)
	}
}

// TestGuards takes every operation on a bucket or an object through what all have in
// common: buckets, keys and versions that are not there, strangers, and buckets that belong
// to somebody else than the client believes.
func TestGuards(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bkt", "x-amz-bucket-object-lock-enabled", "true")
	s.must(200, mainUser, "PUT", "/bkt/key", "x")
	const noVersion = "ffffffffffffffffffffffffffffffff"
	for i := range operations {
		op := &operations[i]
		if op.level == serviceLevel || op.creates || op.form {
			continue // TestListBuckets, TestBucketLife, TestPostAnswers
		}
		t.Run(op.name, func(t *testing.T) {
			s := *s
			s.t = t
			path := op.path("bkt", "key")
			s.ask(404, "NoSuchBucket", mainUser, op, op.path("none", "key"))
			s.ask(403, "AccessDenied", mainUser, op, path, "x-amz-expected-bucket-owner", "alt-id")
			s.ask(403, "SignatureDoesNotMatch", &account{mainUser.access, "wrong"}, op, path)
			if op.name != "DeleteObjects" { // it answers for each key: TestBulkDeleteAccess
				s.ask(403, "AccessDenied", altUser, op, path)
				s.ask(403, "AccessDenied", anonymous, op, path)
			}
			if op.loads && op.sub != "select" { // which has one answer: TestNotImplemented
				s.ask(404, "NoSuchKey", mainUser, op, op.path("bkt", "none"))
				s.ask(404, "NoSuchVersion", mainUser, op, path+"&versionId="+noVersion)
				s.ask(403, "AccessDenied", altUser, op, op.path("bkt", "none")) // it must not learn that the key is not there
			}
			if op.sub == "uploadId" {
				s.ask(404, "NoSuchUpload", mainUser, op, path)
			}
		})
	}
}

// TestClosedTable asks for what is no operation: it is refused, and never falls through to
// another one.
func TestClosedTable(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bkt")
	s.must(200, mainUser, "PUT", "/bkt/key", "before")
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"PUT", "/bkt/key?encryption", 501, "NotImplemented"},    // UpdateObjectEncryption
		{"POST", "/WriteGetObjectResponse", 404, "NoSuchBucket"}, // of Object Lambda
		{"PUT", "/bkt/key?append", 501, "NotImplemented"},        // of no S3
		{"GET", "/bkt/key?append", 501, "NotImplemented"},
		{"DELETE", "/bkt?append", 501, "NotImplemented"},
		{"PUT", "/bkt/key?lifecycle", 501, "NotImplemented"}, // of buckets only
		{"PUT", "/bkt?retention", 501, "NotImplemented"},     // of objects only
		{"POST", "/bkt/key?tagging", 405, "MethodNotAllowed"},
		{"PUT", "/bkt/key?torrent", 405, "MethodNotAllowed"},
		{"DELETE", "/bkt?versioning", 405, "MethodNotAllowed"},
		{"PATCH", "/bkt/key", 405, "MethodNotAllowed"},
		{"PUT", "/", 405, "MethodNotAllowed"},
		{"PUT", "/bkt/key?acl&tagging", 400, "InvalidArgument"},
		{"PUT", "/bkt/key?partNumber=1", 400, "InvalidArgument"}, // the ID of the upload is missing
		{"GET", "/bkt/key?versionId=1%zz", 400, "InvalidURI"},
		{"GET", "/bkt/%ff", 400, "InvalidURI"},
		{"GET", "/bkt/key?session", 501, "NotImplemented"},
		{"GET", "/bkt?renameObject", 501, "NotImplemented"},
		{"GET", "/bkt/key?renameObject", 405, "MethodNotAllowed"},
		{"PUT", "/bkt?metadataConfiguration", 405, "MethodNotAllowed"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			s := *s
			s.t = t
			s.refused(c.status, c.code, mainUser, c.method, c.path, "after")
		})
	}
	if r := s.must(200, mainUser, "GET", "/bkt/key", ""); r.body != "before" {
		t.Errorf("the object became %q", r.body)
	}
}

// TestLongestKey puts a key of as many bytes as there may be, and one more.
func TestLongestKey(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bkt")
	longest := "/bkt/" + strings.Repeat("%C3%BC", maxKey/2)
	s.must(200, mainUser, "PUT", longest, "x")
	s.must(200, mainUser, "HEAD", longest, "")
	contains(t, s.refused(400, "KeyTooLongError", mainUser, "PUT", longest+"x", "x"), "<Size>1025</Size>", "<MaxSizeAllowed>1024</MaxSizeAllowed>")
}

// TestNotImplemented asks for what this server cannot do. docs/s3.md has the same answers.
func TestNotImplemented(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bkt")
	s.must(200, mainUser, "PUT", "/bkt/key", "x")
	s.must(200, mainUser, "PUT", "/bkt/cold", "x", "x-amz-storage-class", "GLACIER")
	const missing = "MetadataConfigurationNotFound"
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/bkt?metadataConfiguration", "<MetadataConfiguration/>", 501, "NotImplemented"},
		{"GET", "/bkt?metadataConfiguration", "", 404, missing},
		{"DELETE", "/bkt?metadataConfiguration", "", 404, missing},
		{"POST", "/bkt?metadataTable", "<MetadataTableConfiguration/>", 501, "NotImplemented"},
		{"GET", "/bkt?metadataTable", "", 404, missing},
		{"DELETE", "/bkt?metadataTable", "", 404, missing},
		{"PUT", "/bkt?metadataInventoryTable", "<InventoryTableConfiguration/>", 404, missing},
		{"PUT", "/bkt?metadataJournalTable", "<JournalTableConfiguration/>", 404, missing},
		{"PUT", "/bkt?abac", "<AbacStatus><Status>Enabled</Status></AbacStatus>", 501, "NotImplemented"},
		{"GET", "/bkt?session", "", 405, "MethodNotAllowed"},
		{"PUT", "/bkt/key?renameObject", "", 501, "NotImplemented"},
		{"POST", "/bkt/key?select&select-type=2", "<SelectObjectContentRequest/>", 405, "MethodNotAllowed"},
		{"POST", "/bkt/key?restore", "<RestoreRequest><Days>1</Days></RestoreRequest>", 403, "InvalidObjectState"},
		{"POST", "/bkt/cold?restore", "<RestoreRequest><Type>SELECT</Type></RestoreRequest>", 501, "NotImplemented"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			s := *s
			s.t = t
			s.refused(c.status, c.code, mainUser, c.method, c.path, c.body)
		})
	}
	for _, name := range unsupported {
		s.refused(501, "NotImplemented", mainUser, "PUT", "/bkt/key", "y", name, "1")
	}
	if r := s.must(200, mainUser, "GET", "/bkt/key", ""); r.body != "x" {
		t.Errorf("the object became %q", r.body)
	}
	// ListDirectoryBuckets has the path of ListBuckets; only its endpoint at Amazon differs.
	contains(t, s.must(200, mainUser, "GET", "/?x-id=ListDirectoryBuckets&max-directory-buckets=10", ""), "<ListAllMyBucketsResult")
}

// TestUploadsAreDescribed: what is wrong with an object is told when its upload begins.
func TestUploadsAreDescribed(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bkt")
	for _, c := range []struct{ name, header, value, code string }{
		{"class", "x-amz-storage-class", "SNOW", "InvalidStorageClass"},
		{"tags", "x-amz-tagging", "aws:a=1", "InvalidTag"},
		{"metadata", "x-amz-meta-long", strings.Repeat("x", maxUserMeta), "MetadataTooLarge"},
		{"redirect", "x-amz-website-redirect-location", "ftp://x", "InvalidRedirectLocation"},
		{"lock", headHold, "ON", "InvalidRequest"},
		{"encryption", headSSE, "AES128", "InvalidArgument"},
		{"checksum", "x-amz-checksum-algorithm", "CRC1", "InvalidRequest"},
		{"ACL", "x-amz-acl", "public-read", "AccessControlListNotSupported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.t = t
			s.refused(400, c.code, mainUser, "POST", "/bkt/key?uploads", "", c.header, c.value)
		})
	}
	if r := s.must(200, mainUser, "GET", "/bkt?uploads", ""); strings.Contains(r.body, "<Upload>") {
		t.Errorf("an upload was begun: %s", r.body)
	}
}
