package s3

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// pattern returns n bytes that differ from those of other seeds.
func pattern(seed byte, n int) string {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

func hexMD5(s string) string { sum := md5.Sum([]byte(s)); return hex.EncodeToString(sum[:]) }

// etagOfParts is the ETag of an object made of parts.
func etagOfParts(parts ...string) string {
	h := md5.New()
	for _, p := range parts {
		sum := md5.Sum([]byte(p))
		h.Write(sum[:])
	}
	return fmt.Sprintf("%q", hex.EncodeToString(h.Sum(nil))+"-"+itoa(len(parts)))
}

// begin creates an upload and returns its ID.
func (s *server) begin(who *account, path string, headers ...string) string {
	s.t.Helper()
	var out struct{ Bucket, Key, UploadId string }
	r := s.must(200, who, "POST", path+"?uploads", "", headers...)
	if err := xml.Unmarshal([]byte(r.body), &out); err != nil || out.UploadId == "" || "/"+out.Bucket+"/"+out.Key != strings.ReplaceAll(path, "%20", " ") {
		s.t.Fatalf("begin %s: %v in %s", path, err, r.body)
	}
	return out.UploadId
}

// part uploads a part and returns its ETag.
func (s *server) part(who *account, path, id string, number int, data string, headers ...string) string {
	s.t.Helper()
	r := s.must(200, who, "PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", path, number, id), data, headers...)
	if r.body != "" {
		s.t.Errorf("part %d: body %q", number, r.body)
	}
	return r.Header.Get("ETag")
}

// finished is the answer of CompleteMultipartUpload.
type finished struct {
	Location, Bucket, Key, ETag                                                                  string
	ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256, ChecksumType string
}

func (s *server) complete(who *account, path, id, list string, headers ...string) (*finished, *reply) {
	s.t.Helper()
	r := s.must(200, who, "POST", path+"?uploadId="+id, list, headers...)
	var f finished
	if err := xml.Unmarshal([]byte(r.body), &f); err != nil {
		s.t.Fatalf("complete: %v in %s", err, r.body)
	}
	return &f, r
}

func TestMultipart(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("mpu")
	const path = "/mpu/dir/big"
	id := s.begin(mainUser, path, "Content-Type", "text/x", "x-amz-meta-foo", "bar", "Cache-Control", "no-cache")
	one, two, three := pattern(1, minPart), pattern(2, minPart+7), "tail"
	e3 := s.part(mainUser, path, id, 9_999, three)
	s.part(mainUser, path, id, 2, "replaced")
	e1 := s.part(mainUser, path, id, 1, one)
	e2 := s.part(mainUser, path, id, 2, two)
	s.part(mainUser, path, id, 3, "not used")
	if e1 != `"`+hexMD5(one)+`"` {
		t.Errorf("ETag of a part: %s", e1)
	}
	s.refused(404, "NoSuchKey", mainUser, "GET", path, "")
	list := completeList(completePart(1, e1), completePart(2, strings.Trim(e2, `"`)), completePart(9_999, e3))
	f, _ := s.complete(mainUser, path, id, list)
	want := etagOfParts(one, two, three)
	if f.ETag != want || f.Location != s.URL+"/mpu/dir%2Fbig" || f.Bucket != "mpu" || f.Key != "dir/big" || f.ChecksumType != "FULL_OBJECT" || f.ChecksumCRC64NVME == "" {
		t.Errorf("complete: %+v, want ETag %s", f, want)
	}
	g := s.must(200, mainUser, "GET", path, "")
	if g.body != one+two+three || g.Header.Get("ETag") != want || g.Header.Get("Content-Type") != "text/x" ||
		g.Header.Get("x-amz-meta-foo") != "bar" || g.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("object of %d bytes, %v", len(g.body), g.Header)
	}
	// The same request again has the same answer; another list has none.
	if again, _ := s.complete(mainUser, path, id, list); *again != *f {
		t.Errorf("again: %+v, want %+v", again, f)
	}
	s.refused(404, "NoSuchUpload", mainUser, "POST", path+"?uploadId="+id, completeList(completePart(1, e1)))
	for _, method := range []string{"GET", "DELETE"} {
		s.refused(404, "NoSuchUpload", mainUser, method, path+"?uploadId="+id, "")
	}
	s.refused(404, "NoSuchUpload", mainUser, "PUT", path+"?partNumber=1&uploadId="+id, "x")
	if l := s.list(mainUser, "/mpu?uploads"); len(l.Entries) != 0 && l.Entries[0].Key != "" {
		t.Errorf("uploads: %+v", l)
	}
	if l := s.list(mainUser, "/mpu"); len(l.Entries) != 1 || *l.Entries[0].Size != int64(len(g.body)) || l.Entries[0].ETag != want {
		t.Errorf("listing: %+v", l.Entries)
	}
	// Parts can be read one by one.
	p := s.must(206, mainUser, "GET", path+"?partNumber=2", "")
	if p.body != two || p.Header.Get("x-amz-mp-parts-count") != "3" {
		t.Errorf("part 2: %d bytes, %v", len(p.body), p.Header)
	}
}

func TestMultipartRefusals(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("mpu")
	const path = "/mpu/k"
	id := s.begin(mainUser, path)
	at := path + "?uploadId=" + id
	e1 := s.part(mainUser, path, id, 1, "small")
	e2 := s.part(mainUser, path, id, 2, "last")
	const other = `"ffffffffffffffffffffffffffffffff"`
	for _, c := range []struct {
		name, code, list string
		status           int
		headers          []string
	}{
		{"no parts", "MalformedXML", completeList(), 400, nil},
		{"empty", "MalformedXML", "", 400, nil},
		{"order", "InvalidPartOrder", completeList(completePart(2, e2), completePart(1, e1)), 400, nil},
		{"missing", "InvalidPart", completeList(completePart(1, e1), completePart(9_999, e2)), 400, nil},
		{"other ETag", "InvalidPart", completeList(completePart(1, other)), 400, nil},
		{"too small", "EntityTooSmall", completeList(completePart(1, e1), completePart(2, e2)), 400, nil},
		{"checksum without algorithm", "InvalidPart", completeList(completePart(1, e1, "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>")), 400, nil},
		{"other size", "InvalidRequest", completeList(completePart(1, e1)), 400, []string{"x-amz-mp-object-size", "6"}},
		{"other type", "InvalidRequest", completeList(completePart(1, e1)), 400, []string{"x-amz-checksum-type", "COMPOSITE"}},
		{"not there", "NoSuchKey", completeList(completePart(1, e1)), 404, []string{"If-Match", `"abc"`}},
	} {
		r := s.refused(c.status, c.code, mainUser, "POST", at, c.list, c.headers...)
		switch c.code {
		case "EntityTooSmall":
			for _, want := range []string{"<ProposedSize>5<", "<MinSizeAllowed>5242880<", "<PartNumber>1<", "<ETag>" + strings.Trim(e1, `"`) + "<"} {
				if !strings.Contains(r.body, want) {
					t.Errorf("%s: no %s in %s", c.name, want, r.body)
				}
			}
		case "InvalidPart":
			if !strings.Contains(r.body, "<UploadId>"+id+"<") || !strings.Contains(r.body, "<PartNumber>") || !strings.Contains(r.body, "<ETag>") {
				t.Errorf("%s: %s", c.name, r.body)
			}
		}
	}
	for query, code := range map[string]string{
		"partNumber=0&uploadId=" + id: "InvalidArgument", "partNumber=10001&uploadId=" + id: "InvalidArgument",
		"partNumber=x&uploadId=" + id: "InvalidArgument", "uploadId=" + id: "InvalidArgument",
	} {
		s.refused(400, code, mainUser, "PUT", path+"?"+query, "data")
	}
	for _, wrong := range []string{"/mpu/k?partNumber=1&uploadId=00", "/mpu/other?partNumber=1&uploadId=" + id, "/mpu/k?partNumber=1&uploadId="} {
		s.refused(404, "NoSuchUpload", mainUser, "PUT", wrong, "data")
	}
	s.refused(400, "BadDigest", mainUser, "PUT", path+"?partNumber=3&uploadId="+id, "data", "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")
	s.refused(400, "InvalidDigest", mainUser, "PUT", path+"?partNumber=3&uploadId="+id, "data", "Content-MD5", "x")
	if r := s.must(200, mainUser, "GET", at, ""); strings.Contains(r.body, "<PartNumber>3<") {
		t.Errorf("a refused part was stored: %s", r.body)
	}
	s.must(200, mainUser, "PUT", path, "there already")
	s.refused(412, "PreconditionFailed", mainUser, "POST", at, completeList(completePart(1, e1)), "If-None-Match", "*")
	s.refused(412, "PreconditionFailed", mainUser, "POST", at, completeList(completePart(1, e1)), "If-None-Match", `"`+hexMD5("there already")+`"`)
	s.refused(412, "PreconditionFailed", mainUser, "POST", at, completeList(completePart(1, e1)), "If-Match", `"abc"`)
	s.complete(mainUser, path, id, completeList(completePart(1, e1)), "If-Match", `"`+hexMD5("there already")+`"`)
	if r := s.must(200, mainUser, "GET", path, ""); r.body != "small" {
		t.Errorf("object %q", r.body)
	}
}

func TestAbortUpload(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("mpu")
	id := s.begin(mainUser, "/mpu/k")
	s.part(mainUser, "/mpu/k", id, 1, "data")
	for _, who := range []*account{altUser, anonymous} {
		s.refused(403, "AccessDenied", who, "DELETE", "/mpu/k?uploadId="+id, "")
		s.refused(403, "AccessDenied", who, "GET", "/mpu/k?uploadId="+id, "")
		s.refused(403, "AccessDenied", who, "PUT", "/mpu/k?partNumber=1&uploadId="+id, "x")
		s.refused(403, "AccessDenied", who, "POST", "/mpu/k?uploads", "")
	}
	s.must(204, mainUser, "DELETE", "/mpu/k?uploadId="+id, "")
	s.refused(404, "NoSuchUpload", mainUser, "DELETE", "/mpu/k?uploadId="+id, "")
	s.refused(404, "NoSuchUpload", mainUser, "GET", "/mpu/k?uploadId="+id, "")
	s.refused(404, "NoSuchUpload", mainUser, "POST", "/mpu/k?uploadId="+id, completeList(completePart(1, "x")))
	s.must(204, mainUser, "DELETE", "/mpu", "")
}

// listedParts is the answer of ListParts.
type listedParts struct {
	Bucket, Key, UploadId, StorageClass, ChecksumAlgorithm, ChecksumType string
	PartNumberMarker, NextPartNumberMarker, MaxParts                     int
	IsTruncated                                                          bool
	Initiator, Owner                                                     struct{ ID, DisplayName string }
	Part                                                                 []struct {
		PartNumber, Size   int
		ETag, LastModified string
		ChecksumCRC32      string
		ChecksumCRC64NVME  string
	}
}

func TestListParts(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("mpu")
	id := s.begin(mainUser, "/mpu/k", "x-amz-checksum-algorithm", "CRC32", "x-amz-storage-class", "STANDARD_IA")
	read := func(query string) (l listedParts) {
		t.Helper()
		if err := xml.Unmarshal([]byte(s.must(200, mainUser, "GET", "/mpu/k?uploadId="+id+query, "").body), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := read(""); len(l.Part) != 0 || l.NextPartNumberMarker != 0 || l.MaxParts != 1000 || l.ChecksumAlgorithm != "CRC32" || l.ChecksumType != "COMPOSITE" {
		t.Errorf("empty: %+v", l)
	}
	for _, n := range []int{3, 1, 10_000} {
		s.part(mainUser, "/mpu/k", id, n, "data", "x-amz-checksum-crc32", sum32("data"))
	}
	l := read("")
	if len(l.Part) != 3 || l.Part[1].PartNumber != 3 || l.Part[1].Size != 4 || l.Part[1].ETag != `"`+hexMD5("data")+`"` || l.Part[1].ChecksumCRC32 != sum32("data") ||
		l.NextPartNumberMarker != 10_000 || l.StorageClass != "STANDARD_IA" || l.Initiator.ID != "main-id" || l.Owner.DisplayName != "MAIN" || l.IsTruncated {
		t.Errorf("got %+v", l)
	}
	if l := read("&max-parts=1"); len(l.Part) != 1 || !l.IsTruncated || l.NextPartNumberMarker != 1 {
		t.Errorf("first: %+v", l)
	}
	if l := read("&max-parts=1&part-number-marker=1"); len(l.Part) != 1 || l.Part[0].PartNumber != 3 || !l.IsTruncated || l.PartNumberMarker != 1 {
		t.Errorf("second: %+v", l)
	}
	if l := read("&part-number-marker=3"); len(l.Part) != 1 || l.IsTruncated {
		t.Errorf("last: %+v", l)
	}
	if l := read("&part-number-marker=70000&max-parts="); len(l.Part) != 0 || l.PartNumberMarker != 70_000 || l.NextPartNumberMarker != 0 {
		t.Errorf("behind: %+v", l)
	}
	s.refused(400, "InvalidArgument", mainUser, "GET", "/mpu/k?part-number-marker=x&uploadId="+id, "")
	s.refused(400, "InvalidArgument", mainUser, "GET", "/mpu/k?max-parts=-2&uploadId="+id, "")
}

func TestListUploads(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("mpu")
	var ids []string
	for _, k := range []string{"a", "a", "b/1", "b/2", "c d"} {
		ids = append(ids, s.begin(mainUser, "/mpu/"+strings.ReplaceAll(k, " ", "%20")))
	}
	read := func(query string) (l struct {
		Bucket, KeyMarker, UploadIdMarker, NextKeyMarker, NextUploadIdMarker, Prefix, Delimiter string
		MaxUploads                                                                              int
		IsTruncated                                                                             bool
		Upload                                                                                  []struct {
			Key, UploadId, StorageClass, Initiated string
			Initiator, Owner                       struct{ ID, DisplayName string }
		}
		CommonPrefixes []struct{ Prefix string }
	}) {
		t.Helper()
		if err := xml.Unmarshal([]byte(s.must(200, mainUser, "GET", "/mpu?uploads"+query, "").body), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := read("")
	var got []string
	for _, u := range l.Upload {
		got = append(got, u.UploadId)
	}
	if !slices.Equal(got, ids) || l.NextKeyMarker != "c d" || l.NextUploadIdMarker != ids[4] || l.IsTruncated || l.Bucket != "mpu" {
		t.Errorf("got %+v, want %q", l, ids)
	}
	if u := l.Upload[0]; u.Key != "a" || u.StorageClass != "STANDARD" || u.Initiator.ID != "main-id" || u.Owner.DisplayName != "MAIN" || !strings.HasSuffix(u.Initiated, ".000Z") {
		t.Errorf("upload: %+v", u)
	}
	if l := read("&max-uploads=1&key-marker=a&upload-id-marker=" + ids[0]); len(l.Upload) != 1 || l.Upload[0].UploadId != ids[1] || !l.IsTruncated {
		t.Errorf("second: %+v", l)
	}
	if l := read("&max-uploads=1&upload-id-marker=" + ids[0]); len(l.Upload) != 1 || l.Upload[0].UploadId != ids[0] || l.UploadIdMarker != "" {
		t.Errorf("ID alone: %+v", l)
	}
	if l := read("&delimiter=/&encoding-type=url"); len(l.Upload) != 3 || len(l.CommonPrefixes) != 1 || l.CommonPrefixes[0].Prefix != "b/" || l.NextKeyMarker != "c%20d" {
		t.Errorf("delimiter: %+v", l)
	}
	if l := read("&delimiter=/&max-uploads=3"); len(l.Upload) != 2 || len(l.CommonPrefixes) != 1 || !l.IsTruncated || l.NextKeyMarker != "b/" || l.NextUploadIdMarker != "" {
		t.Errorf("delimiter, three: %+v", l)
	}
	if l := read("&prefix=b/"); len(l.Upload) != 2 || l.Prefix != "b/" {
		t.Errorf("prefix: %+v", l)
	}
	s.refused(400, "InvalidArgument", mainUser, "GET", "/mpu?uploads&key-marker=b/1&upload-id-marker="+ids[0], "")
	// An upload that has ended since is a good marker.
	s.must(204, mainUser, "DELETE", "/mpu/a?uploadId="+ids[0], "")
	if l := read("&max-uploads=1&key-marker=a&upload-id-marker=" + ids[0]); len(l.Upload) != 1 || l.Upload[0].UploadId != ids[1] {
		t.Errorf("behind one that ended: %+v", l)
	}
}

// TestUploadOwner: who begins an upload in another's bucket may handle it and owns it.
func TestUploadOwner(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/mpu", "")
	s.must(200, mainUser, "PUT", "/mpu?acl", "", "x-amz-acl", "public-read-write")
	id := s.begin(altUser, "/mpu/k")
	e := s.part(altUser, "/mpu/k", id, 1, "data")
	body := s.must(200, mainUser, "GET", "/mpu?uploads", "").body
	if strings.Count(body, "<ID>alt-id</ID><DisplayName>ALT</DisplayName>") != 2 {
		t.Errorf("uploads: %s", body)
	}
	if body := s.must(200, altUser, "GET", "/mpu/k?uploadId="+id, "").body; strings.Count(body, "<ID>alt-id</ID>") != 2 {
		t.Errorf("parts: %s", body)
	}
	s.must(200, mainUser, "GET", "/mpu/k?uploadId="+id, "")
	s.complete(altUser, "/mpu/k", id, completeList(completePart(1, e)))
	if l := s.list(mainUser, "/mpu"); l.Entries[0].Owner.ID != "alt-id" {
		t.Errorf("owner %+v", l.Entries[0].Owner)
	}
	id = s.begin(altUser, "/mpu/k")
	s.must(204, altUser, "DELETE", "/mpu/k?uploadId="+id, "")
	s.refused(403, "AccessDenied", anonymous, "POST", "/mpu/k?uploads", "")
	if r := s.do(anonymous, http.MethodGet, "/mpu", ""); r.StatusCode != 200 {
		t.Errorf("anonymous listing: %d", r.StatusCode)
	}
}

// TestEmptyParts: a part may be empty when it is the last, and so may be the whole.
func TestEmptyParts(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("mpu")
	for name, parts := range map[string][]string{"nothing": {""}, "tail": {pattern(1, minPart), ""}} {
		path := "/mpu/" + name
		id := s.begin(mainUser, path)
		var list []string
		for i, p := range parts {
			list = append(list, completePart(i+1, s.part(mainUser, path, id, i+1, p)))
		}
		f, _ := s.complete(mainUser, path, id, completeList(list...))
		if g := s.must(200, mainUser, "GET", path, ""); g.body != strings.Join(parts, "") || f.ETag != etagOfParts(parts...) {
			t.Errorf("%s: %d bytes, ETag %s", name, len(g.body), f.ETag)
		}
	}
}

func TestAbortHeaders(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("mpu")
	rules := "<LifecycleConfiguration><Rule><ID>slow</ID><Status>Enabled</Status><Filter/><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>" +
		"<Rule><ID>logs</ID><Status>Enabled</Status><Filter><Prefix>logs/</Prefix></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
	s.must(200, mainUser, "PUT", "/mpu?lifecycle", rules, "Content-MD5", base64MD5(rules))
	for path, want := range map[string]string{"/mpu/k": "slow Sat, 28 Nov 2026 00:00:00 GMT", "/mpu/logs/k": "logs Sun, 22 Nov 2026 00:00:00 GMT"} {
		id := s.begin(mainUser, path)
		r := s.must(200, mainUser, "GET", path+"?uploadId="+id, "")
		if got := r.Header.Get("x-amz-abort-rule-id") + " " + r.Header.Get("x-amz-abort-date"); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}
