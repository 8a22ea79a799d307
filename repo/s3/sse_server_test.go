package s3

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/firnstore/firn/repo"
)

// stored returns the content of an object as the repository has it.
func (s *server) stored(bucket, key string) string {
	s.t.Helper()
	ref, err := parseRef("")
	if err != nil {
		s.t.Fatal(err)
	}
	v, _, err := s.e.Version(bucket, key, ref)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := repo.ParseContent(v.Content)
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	if _, err := s.e.Copy(context.Background(), &b, c, 0, c.Size()); err != nil && err != io.EOF {
		s.t.Fatal(err)
	}
	return b.String()
}

func TestCustomerEncryption(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	key, wrong := customer(customerHeader, testKey(1)), customer(customerHeader, testKey(2))
	for _, body := range []string{"", "b", strings.Repeat("sealed ", 300_000)} {
		r := s.must(200, mainUser, "PUT", "/bucket/k", body, append(key, "Content-MD5", md5Header(body))...)
		r.want(t, customerHeader+"Algorithm", "AES256", customerHeader+"Key-Md5", key[5], headSSE, "-", customerHeader+"Key", "-")
		if r.Header.Get("ETag") == etag(body) {
			t.Error("the ETag is the MD5 of the plain bytes")
		}
		sealedBytes := s.stored("bucket", "k")
		if len(sealedBytes) != len(body)+nonceSize || len(body) > 1 && strings.Contains(sealedBytes, body[:7]) {
			t.Error("the object is stored as it came")
		}
		g := s.must(200, mainUser, "GET", "/bucket/k", "", append(key, "x-amz-checksum-mode", "ENABLED")...)
		g.want(t, "Content-Length", itoa(len(body)), "ETag", r.Header.Get("ETag"), "x-amz-checksum-crc64nvme", r.Header.Get("x-amz-checksum-crc64nvme"))
		if g.body != body {
			t.Errorf("%d bytes came back", len(g.body))
		}
		if len(body) > 1 {
			for _, off := range []int{0, 1, 16, 1_048_570, len(body) - 1} {
				end := min(off+100, len(body)-1)
				r := s.must(206, mainUser, "GET", "/bucket/k", "", append(key, "Range", "bytes="+itoa(off)+"-"+itoa(end))...)
				if r.body != body[off:end+1] {
					t.Errorf("range from %d: wrong bytes", off)
				}
			}
		}
		for _, method := range []string{"GET", "HEAD"} {
			s.must(400, mainUser, method, "/bucket/k", "")
			s.must(403, mainUser, method, "/bucket/k", "", wrong...)
		}
	}
	s.must(200, mainUser, "HEAD", "/bucket/k", "", key...)
	s.must(200, mainUser, "GET", "/bucket/k?attributes", "", append(key, "x-amz-object-attributes", "ObjectSize")...)
	s.refused(400, "InvalidRequest", mainUser, "GET", "/bucket/k?attributes", "", "x-amz-object-attributes", "ObjectSize")
	s.must(200, mainUser, "PUT", "/bucket/plain", "x")
	s.refused(400, "InvalidRequest", mainUser, "GET", "/bucket/plain", "", key...)
	s.refused(400, "InvalidArgument", mainUser, "PUT", "/bucket/x", "x", append(key, headSSE, "AES256")...)
	s.must(204, mainUser, "DELETE", "/bucket/k", "")
}

func TestManagedKeys(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	body := strings.Repeat("managed ", 1000)
	s.must(200, mainUser, "PUT", "/bucket/k", body, headSSE, "aws:kms", headKMSKey, "testkey-1").want(t, headSSE, "aws:kms", headKMSKey, "testkey-1", headBucketKey, "-")
	if got := s.stored("bucket", "k"); strings.Contains(got, "managed") {
		t.Error("the object is stored as it came")
	}
	r := s.must(200, mainUser, "GET", "/bucket/k", "")
	if r.want(t, headSSE, "aws:kms", headKMSKey, "testkey-1"); r.body != body {
		t.Errorf("%d bytes came back", len(r.body))
	}
	s.must(400, mainUser, "HEAD", "/bucket/k", "", headSSE, "aws:kms", headKMSKey, "testkey-1")
	s.refused(400, "InvalidArgument", mainUser, "GET", "/bucket/k", "", headSSE, "AES256")
	s.refused(400, "InvalidRequest", mainUser, "GET", "/bucket/k", "", customer(customerHeader, testKey(1))...)

	s.must(200, mainUser, "PUT", "/bucket?encryption", `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>`+
		`<KMSMasterKeyID>testkey-2</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`,
		"Content-MD5", md5Header(`<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>`+
			`<KMSMasterKeyID>testkey-2</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`))
	s.must(200, mainUser, "PUT", "/bucket/d", body).want(t, headSSE, "aws:kms", headKMSKey, "testkey-2", headBucketKey, "true")
	s.must(200, mainUser, "PUT", "/bucket/a", body, headSSE, "AES256").want(t, headSSE, "AES256", headKMSKey, "-", "ETag", etag(body))
	if r := s.must(200, mainUser, "GET", "/bucket/d", ""); r.body != body {
		t.Errorf("%d bytes came back", len(r.body))
	}
	for _, path := range []string{"/bucket?policy", "/bucket?encryption", "/bucket?tagging", "/bucket?inventory&id=a"} {
		if r := s.do(mainUser, "GET", path, ""); strings.Contains(r.body, confKMS) {
			t.Errorf("%s tells a key", path)
		}
	}
}

func TestManyManagedKeysAreRefused(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	for i := range maxKMSKeys {
		s.must(200, mainUser, "PUT", "/bucket/k", "x", headSSE, "aws:kms", headKMSKey, itoa(i))
	}
	s.refused(400, "InvalidArgument", mainUser, "PUT", "/bucket/k", "x", headSSE, "aws:kms", headKMSKey, "more")
	s.must(200, mainUser, "GET", "/bucket/k", "")
}

// TestCopyBetweenEncryptions copies from each kind of encryption to each.
func TestCopyBetweenEncryptions(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.newBucket("other")
	kinds := map[string]struct{ write, read, source []string }{
		"plain":    {},
		"kms":      {write: []string{headSSE, "aws:kms", headKMSKey, "k1"}},
		"customer": {write: customer(customerHeader, testKey(1)), read: customer(customerHeader, testKey(1)), source: customer(copyCustomerHeader, testKey(1))},
	}
	body := strings.Repeat("copied ", 200_000)
	for from, src := range kinds {
		s.must(200, mainUser, "PUT", "/bucket/"+from, body, append(src.write, "x-amz-meta-m", "1")...)
		for to, dst := range kinds {
			for _, bucket := range []string{"bucket", "other"} {
				path := "/" + bucket + "/" + from + "-" + to
				r := s.must(200, mainUser, "PUT", path, "", append(append([]string{"x-amz-copy-source", "bucket/" + from}, dst.write...), src.source...)...)
				g := s.must(200, mainUser, "GET", path, "", dst.read...)
				if g.body != body {
					t.Errorf("%s: %d bytes came back", path, len(g.body))
				}
				g.want(t, "x-amz-meta-m", "1", "Content-Length", itoa(len(body)))
				if to == "plain" {
					g.want(t, "ETag", etag(body), headSSE, "AES256")
				}
				if to == "customer" {
					r.want(t, customerHeader+"Key-Md5", dst.write[5])
				}
			}
		}
	}
	s.refused(400, "InvalidRequest", mainUser, "PUT", "/bucket/x", "", "x-amz-copy-source", "bucket/customer")
	s.refused(403, "AccessDenied", mainUser, "PUT", "/bucket/x", "", append(customer(copyCustomerHeader, testKey(2)), "x-amz-copy-source", "bucket/customer")...)
	s.refused(400, "InvalidRequest", mainUser, "PUT", "/bucket/x", "", append(customer(copyCustomerHeader, testKey(2)), "x-amz-copy-source", "bucket/plain")...)
}
