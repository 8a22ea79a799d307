package s3

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func crcHeader(s string) []string { return []string{"x-amz-checksum-crc32", sum32(s)} }

func TestMultipartChecksums(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("mpu")
	const path = "/mpu/k"
	crcPart := func(data string) string { return "<ChecksumCRC32>" + sum32(data) + "</ChecksumCRC32>" }

	// Composite: each part brings its checksum, and so does the list.
	one := pattern(1, minPart)
	id := s.begin(mainUser, path, "x-amz-checksum-algorithm", "CRC32")
	at := path + "?uploadId=" + id
	r := s.refused(400, "InvalidRequest", mainUser, "PUT", at+"&partNumber=1", "data")
	if !strings.Contains(r.body, "expected checksum Type: crc32, actual checksum Type: null") {
		t.Errorf("no checksum: %s", r.body)
	}
	s.refused(400, "InvalidRequest", mainUser, "PUT", at+"&partNumber=1", "data", "x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE=")
	s.refused(400, "BadDigest", mainUser, "PUT", at+"&partNumber=1", "data", crcHeader("x")...)
	r = s.must(200, mainUser, "PUT", at+"&partNumber=1", one, crcHeader(one)...)
	if r.Header.Get("x-amz-checksum-crc32") != sum32(one) {
		t.Errorf("part: %v", r.Header)
	}
	e1 := r.Header.Get("ETag")
	e2 := s.part(mainUser, path, id, 2, "tail", crcHeader("tail")...)
	s.refused(400, "InvalidRequest", mainUser, "POST", at, completeList(completePart(1, e1), completePart(2, e2)))
	s.refused(400, "InvalidPart", mainUser, "POST", at, completeList(completePart(1, e1, crcPart("x")), completePart(2, e2, crcPart("tail"))))
	list := completeList(completePart(1, e1, crcPart(one)), completePart(2, e2, crcPart("tail")))
	s.refused(400, "InvalidRequest", mainUser, "POST", at, list, "x-amz-checksum-crc32", "AAAA")
	s.refused(400, "BadDigest", mainUser, "POST", at, list, "x-amz-checksum-crc32", "bad")
	s.refused(400, "BadDigest", mainUser, "POST", at, list, "x-amz-checksum-crc32", sum32("x"))
	raw1, _ := base64.StdEncoding.DecodeString(sum32(one))
	raw2, _ := base64.StdEncoding.DecodeString(sum32("tail"))
	whole := sum32(string(raw1) + string(raw2))
	s.refused(400, "BadDigest", mainUser, "POST", at, list, "x-amz-checksum-crc32", whole+"-3")
	f, _ := s.complete(mainUser, path, id, list, "x-amz-checksum-crc32", whole+"-2")
	if f.ChecksumCRC32 != whole+"-2" || f.ChecksumType != "COMPOSITE" {
		t.Errorf("got %+v, want %s-2", f, whole)
	}
	h := s.must(200, mainUser, "HEAD", path, "", "x-amz-checksum-mode", "ENABLED")
	if h.Header.Get("x-amz-checksum-crc32") != whole+"-2" || h.Header.Get("x-amz-checksum-type") != "COMPOSITE" {
		t.Errorf("head: %v", h.Header)
	}
	if h := s.must(200, mainUser, "HEAD", path, ""); h.Header.Get("x-amz-checksum-crc32") != "" {
		t.Errorf("head without asking: %v", h.Header)
	}

	// Full object: parts may come without, and the sum is that of all bytes.
	id = s.begin(mainUser, path, "x-amz-checksum-algorithm", "CRC32", "x-amz-checksum-type", "FULL_OBJECT")
	e1 = s.part(mainUser, path, id, 1, one)
	e2 = s.part(mainUser, path, id, 2, "tail", crcHeader("tail")...)
	list = completeList(completePart(1, e1), completePart(2, e2))
	s.refused(400, "BadDigest", mainUser, "POST", path+"?uploadId="+id, list, "x-amz-checksum-crc32", whole)
	f, _ = s.complete(mainUser, path, id, list, "x-amz-checksum-crc32", sum32(one+"tail"), "x-amz-checksum-type", "FULL_OBJECT", "x-amz-mp-object-size", itoa(len(one)+4))
	if f.ChecksumCRC32 != sum32(one+"tail") || f.ChecksumType != "FULL_OBJECT" {
		t.Errorf("got %+v, want %s", f, sum32(one+"tail"))
	}

	// None asked for: what parts bring is checked, and CRC64NVME kept.
	id = s.begin(mainUser, path)
	e1 = s.part(mainUser, path, id, 1, one, crcHeader(one)...)
	s.refused(400, "BadDigest", mainUser, "PUT", path+"?partNumber=2&uploadId="+id, "tail", crcHeader("x")...)
	e2 = s.part(mainUser, path, id, 2, "tail")
	f, _ = s.complete(mainUser, path, id, completeList(completePart(1, e1), completePart(2, e2)))
	sum := newChecksum("CRC64NVME")
	sum.Write([]byte(one + "tail"))
	if want := base64.StdEncoding.EncodeToString(sum.Sum(nil)); f.ChecksumCRC64NVME != want || f.ChecksumCRC32 != "" {
		t.Errorf("got %+v, want %s", f, want)
	}
}

func customerHeaders(key string) []string {
	sum := md5.Sum([]byte(key))
	const p = "x-amz-server-side-encryption-customer-"
	return []string{p + "algorithm", "AES256", p + "key", base64.StdEncoding.EncodeToString([]byte(key)), p + "key-MD5", base64.StdEncoding.EncodeToString(sum[:])}
}

func TestMultipartCustomerKey(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("mpu")
	const path = "/mpu/k"
	key := customerHeaders(rand.Text()[:26] + "123456")
	other := customerHeaders(strings.Repeat("x", 32))
	id := s.begin(mainUser, path, key...)
	at := path + "?partNumber=1&uploadId=" + id
	s.refused(400, "InvalidRequest", mainUser, "PUT", at, "data")
	s.refused(400, "InvalidRequest", mainUser, "PUT", at, "data", other...)
	one, two := pattern(1, minPart), pattern(2, 100_000)
	r := s.must(200, mainUser, "PUT", at, one, slices.Concat(key, crcHeader(one))...)
	if r.Header.Get(key[0]) != "AES256" || r.Header.Get("x-amz-server-side-encryption") != "" {
		t.Errorf("part: %v", r.Header)
	}
	e1 := r.Header.Get("ETag")
	if e1 == etag(one) {
		t.Error("the ETag is the MD5 of the plain bytes")
	}
	if again := s.part(mainUser, path, id, 1, one, key...); again != e1 {
		t.Errorf("sent again, the part has ETag %s, and %s before", again, e1)
	}
	if elsewhere := s.part(mainUser, path, id, 3, one, key...); elsewhere == e1 {
		t.Error("the ETag tells that two parts are the same")
	}
	if other := s.part(mainUser, path, s.begin(mainUser, path, key...), 1, one, key...); other == e1 {
		t.Error("the ETag tells that two uploads have the same part")
	}
	if changed := s.part(mainUser, path, id, 1, pattern(3, minPart), key...); changed == e1 {
		t.Error("another content has the same ETag")
	}
	s.part(mainUser, path, id, 1, one, key...)
	e2 := s.part(mainUser, path, id, 2, two, slices.Concat(key, []string{"Content-MD5", base64MD5(two)})...)
	s.refused(400, "InvalidRequest", mainUser, "POST", path+"?uploadId="+id, completeList(completePart(1, e1), completePart(2, e2)), other...)
	f, r := s.complete(mainUser, path, id, completeList(completePart(1, e1), completePart(2, e2)))
	if r.Header.Get(key[0]) != "AES256" || f.ETag == "" {
		t.Errorf("complete: %+v %v", f, r.Header)
	}
	if l := s.list(mainUser, "/mpu"); *l.Entries[0].Size != int64(len(one)+len(two)) {
		t.Errorf("size %d", *l.Entries[0].Size)
	}
	s.must(400, mainUser, "GET", path, "")
	if g := s.must(200, mainUser, "GET", path, "", key...); g.body != one+two {
		t.Errorf("object of %d bytes", len(g.body))
	}
	ranged := s.must(206, mainUser, "GET", path, "", append(slices.Clone(key), "Range", fmt.Sprintf("bytes=%d-%d", minPart-10, minPart+9))...)
	if ranged.body != (one + two)[minPart-10:minPart+10] {
		t.Errorf("range across parts: %q", ranged.body)
	}
	id = s.begin(mainUser, path)
	s.refused(400, "InvalidRequest", mainUser, "PUT", path+"?partNumber=1&uploadId="+id, "data", key...)
}

func base64MD5(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestUploadPartCopy(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("src")
	s.bucketWith("dst")
	s.must(200, altUser, "PUT", "/alts", "")
	source := pattern(3, minPart+1000)
	s.must(200, mainUser, "PUT", "/src/a%20b%3FversionId", source)
	s.must(200, mainUser, "PUT", "/src/ten", "0123456789")
	s.must(200, altUser, "PUT", "/alts/private", "secret")
	const path = "/dst/k"
	id := s.begin(mainUser, path, "x-amz-checksum-algorithm", "CRC32")
	at := path + "?uploadId=" + id + "&partNumber="
	copyPart := func(number, from string, headers ...string) *reply {
		t.Helper()
		r := s.must(200, mainUser, "PUT", at+number, "", append([]string{"x-amz-copy-source", from}, headers...)...)
		return r
	}
	var out struct{ ETag, LastModified, ChecksumCRC32 string }
	r := copyPart("1", "/src/a%20b%3FversionId")
	if err := xml.Unmarshal([]byte(r.body), &out); err != nil || out.ETag != `"`+hexMD5(source)+`"` || out.ChecksumCRC32 != sum32(source) || !strings.HasSuffix(out.LastModified, ".000Z") {
		t.Errorf("whole: %v in %s", err, r.body)
	}
	e1, c1 := out.ETag, out.ChecksumCRC32
	r = copyPart("2", "src/ten", "x-amz-copy-source-range", "bytes=3-5")
	if err := xml.Unmarshal([]byte(r.body), &out); err != nil || out.ETag != `"`+hexMD5("345")+`"` {
		t.Errorf("range: %v in %s", err, r.body)
	}
	for _, c := range []struct {
		code, from string
		status     int
		headers    []string
	}{
		{"InvalidArgument", "src/ten", 400, []string{"x-amz-copy-source-range", "bytes=0-21"}},
		{"InvalidArgument", "src/ten", 400, []string{"x-amz-copy-source-range", "bytes=hello-world"}},
		{"NoSuchKey", "src/none", 404, nil},
		{"NoSuchBucket", "none/x", 404, nil},
		{"AccessDenied", "alts/private", 403, nil},
		{"PreconditionFailed", "src/ten", 412, []string{"x-amz-copy-source-if-match", `"x"`}},
		{"PreconditionFailed", "src/ten", 412, []string{"x-amz-copy-source-if-none-match", `"` + hexMD5("0123456789") + `"`}},
	} {
		s.refused(c.status, c.code, mainUser, "PUT", at+"3", "", append([]string{"x-amz-copy-source", c.from}, c.headers...)...)
	}
	crcPart := func(sum string) string { return "<ChecksumCRC32>" + sum + "</ChecksumCRC32>" }
	s.complete(mainUser, path, id, completeList(completePart(1, e1, crcPart(c1)), completePart(2, out.ETag, crcPart(sum32("345")))))
	if g := s.must(200, mainUser, "GET", path, ""); g.body != source+"345" {
		t.Errorf("object of %d bytes", len(g.body))
	}
}

// TestUploadPartCopyOfVersions copies from a version, into and out of customer keys.
func TestUploadPartCopyOfVersions(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("src")
	s.bucketWith("dst")
	const path = "/dst/k"
	var out struct{ ETag string }
	s.must(200, mainUser, "PUT", "/src/ten", "0123456789")
	s.must(200, mainUser, "PUT", "/src?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	s.must(200, mainUser, "PUT", "/src/ten", "abcdefghij")
	key := customerHeaders(strings.Repeat("k", 32))
	id := s.begin(mainUser, path, key...)
	r := s.must(200, mainUser, "PUT", path+"?partNumber=1&uploadId="+id, "", append(slices.Clone(key), "x-amz-copy-source", "/src/ten?versionId=null")...)
	if r.Header.Get(key[0]) != "AES256" {
		t.Errorf("copy of the null version: %v", r.Header)
	}
	if err := xml.Unmarshal([]byte(r.body), &out); err != nil {
		t.Fatal(err)
	}
	s.complete(mainUser, path, id, completeList(completePart(1, out.ETag)))
	if g := s.must(200, mainUser, "GET", path, "", key...); g.body != "0123456789" {
		t.Errorf("sealed copy: %q", g.body)
	}
	id = s.begin(mainUser, "/dst/plain")
	var fromKey []string
	for i := 0; i < len(key); i += 2 {
		fromKey = append(fromKey, strings.Replace(key[i], "x-amz-", "x-amz-copy-source-", 1), key[i+1])
	}
	r = s.must(200, mainUser, "PUT", "/dst/plain?partNumber=1&uploadId="+id, "", append(fromKey, "x-amz-copy-source", "dst/k", "x-amz-copy-source-range", "bytes=2-4")...)
	if err := xml.Unmarshal([]byte(r.body), &out); err != nil || out.ETag != `"`+hexMD5("234")+`"` {
		t.Errorf("opened copy: %v in %s", err, r.body)
	}
}
