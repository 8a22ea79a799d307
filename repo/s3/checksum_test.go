package s3

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// headers makes a header of pairs of name and value.
func headers(pairs ...string) http.Header {
	head := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		head.Add(pairs[i], pairs[i+1])
	}
	return head
}

func TestParseWantedSum(t *testing.T) {
	for _, c := range []struct {
		name    string
		head    http.Header
		algo    string
		trailer bool
		code    string
		message string
	}{
		{name: "none", head: headers()},
		{name: "header", head: headers("x-amz-checksum-crc32", "AAAAAA=="), algo: "CRC32"},
		{name: "agrees with the SDK", head: headers("x-amz-checksum-sha1", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "x-amz-sdk-checksum-algorithm", "sha1"), algo: "SHA1"},
		{name: "trailer", head: headers("x-amz-trailer", "x-amz-checksum-crc64nvme"), algo: "CRC64NVME", trailer: true},
		{name: "what is no checksum", head: headers("x-amz-checksum-mode", "ENABLED", "x-amz-checksum-type", "COMPOSITE", "x-amz-checksum-algorithm", "SHA1")},
		{name: "two", head: headers("x-amz-checksum-crc32", "AAAAAA==", "x-amz-checksum-crc32c", "AAAAAA=="), code: "InvalidRequest",
			message: "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."},
		{name: "one twice", head: headers("x-amz-checksum-crc32", "AAAAAA==", "x-amz-checksum-crc32", "AAAAAA=="), code: "InvalidRequest",
			message: "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."},
		{name: "header and trailer", head: headers("x-amz-checksum-crc32", "AAAAAA==", "x-amz-trailer", "x-amz-checksum-crc32"), code: "InvalidRequest",
			message: "Expecting a single x-amz-checksum- header"},
		{name: "not base64", head: headers("x-amz-checksum-sha256", "bad"), code: "BadDigest", message: "The SHA256 you specified did not match the calculated checksum."},
		{name: "too short", head: headers("x-amz-checksum-crc32", "AAAA"), code: "InvalidRequest", message: "Value for x-amz-checksum-crc32 header is invalid."},
		{name: "not supported", head: headers("x-amz-checksum-xxhash32", "AAAA"), code: "NotImplemented"},
		{name: "not base64 of a later one", head: headers("x-amz-checksum-md5", "b"), code: "BadDigest", message: "The MD5 you specified did not match the calculated checksum."},
		{name: "too long", head: headers("x-amz-checksum-xxhash3", "AAAAAAAAAAAAAAAA"), code: "InvalidRequest", message: "Value for x-amz-checksum-xxhash3 header is invalid."},
		{name: "other trailer", head: headers("x-amz-trailer", "x-amz-meta-a"), code: "InvalidRequest", message: "The value specified in the x-amz-trailer header is not supported"},
		{name: "promised only", head: headers("x-amz-sdk-checksum-algorithm", "CRC32"), code: "InvalidRequest",
			message: "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."},
		{name: "promised another", head: headers("x-amz-sdk-checksum-algorithm", "CRC32C", "x-amz-checksum-crc32", "AAAAAA=="), code: "InvalidRequest",
			message: "Value for x-amz-sdk-checksum-algorithm header is invalid."},
		{name: "promised an unknown one", head: headers("x-amz-sdk-checksum-algorithm", "CRC7"), code: "InvalidRequest",
			message: "Value for x-amz-sdk-checksum-algorithm header is invalid."},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, err := parseWantedSum(c.head)
			if c.code != "" {
				wantCode(t, err, c.code)
				if c.message != "" {
					wantMessage(t, err, c.code, c.message)
				}
				return
			}
			if err != nil || want.algo != c.algo || want.trailer != c.trailer {
				t.Errorf("got %+v, %v", want, err)
			}
		})
	}
}

func TestChecksumValues(t *testing.T) {
	// Of "123456789", as RFC 3720, the NVMe specification and others give them.
	for algo, want := range map[string]string{
		"CRC32": "y/Q5Jg==", "CRC32C": "4waSgw==", "CRC64NVME": "rosUhgp5mIg=", "SHA1": "98O8HYCOBHMq32eZZczDTKeuNEE=",
		"SHA256": "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", "MD5": "JfnnlDI7RTiF9RgfG2JNCw==",
		"SHA512":   "2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ==",
		"XXHASH64": "jLhB20DmroM=", "XXHASH3": "ctyxi2ehff8=", "XXHASH128": "MxGUd+3l3NXpcWQnaB1YYA==",
	} {
		h := newChecksum(algo)
		h.Write([]byte("123456789"))
		if got := base64.StdEncoding.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s: got %s, want %s", algo, got, want)
		}
		sum := wantedSum{algo: algo, value: h.Sum(nil)}
		if err := sum.check(h.Sum(nil), nil); err != nil {
			t.Errorf("%s: the right sum: %v", algo, err)
		}
		h.Write([]byte("more"))
		wantMessage(t, sum.check(h.Sum(nil), nil), "BadDigest", "The "+algo+" you specified did not match the calculated checksum.")

		trailing := wantedSum{algo: algo, trailer: true}
		value := base64.StdEncoding.EncodeToString(h.Sum(nil))
		if err := trailing.check(h.Sum(nil), headers("x-amz-checksum-"+strings.ToLower(algo), value)); err != nil {
			t.Errorf("%s: the right trailer: %v", algo, err)
		}
		wantCode(t, trailing.check(h.Sum(nil), nil), "InvalidRequest")
	}
}

// TestChecksumsEverywhere takes each algorithm through all that shows a checksum.
func TestChecksumsEverywhere(t *testing.T) {
	s := newServer(t, Options{})
	s.bucketWith("sums")
	s.must(200, mainUser, "PUT", "/sums/source", "source")
	has := func(r *reply, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(r.body, part) {
				t.Errorf("no %s in %s", part, r.body)
			}
		}
	}
	for i := range listedChecksums {
		algo := listedChecksums[i].name
		name := "x-amz-checksum-" + strings.ToLower(algo)
		sum := func(data string) string {
			h := newChecksum(algo)
			h.Write([]byte(data))
			return base64.StdEncoding.EncodeToString(h.Sum(nil))
		}
		element := func(sum string) string { return "<Checksum" + algo + ">" + sum + "</Checksum" + algo + ">" }
		path := "/sums/" + algo

		s.refused(400, "BadDigest", mainUser, "PUT", path, "data", name, sum("other"))
		s.refused(400, "BadDigest", mainUser, "PUT", path, "data", name, "bad")
		s.refused(400, "InvalidRequest", mainUser, "PUT", path, "data", name, "AAAA")
		s.must(200, mainUser, "PUT", path, "data", name, sum("data")).want(t, name, sum("data"), "x-amz-checksum-type", fullObject)
		s.must(200, mainUser, "GET", path, "", "x-amz-checksum-mode", "ENABLED").want(t, name, sum("data"))
		has(s.must(200, mainUser, "GET", "/sums?list-type=2&prefix="+algo, ""), "<ChecksumAlgorithm>"+algo+"</ChecksumAlgorithm>")
		has(s.must(200, mainUser, "PUT", "/sums/copy", "", "x-amz-copy-source", path), element(sum("data")))
		has(s.must(200, mainUser, "PUT", "/sums/copy", "", "x-amz-copy-source", "/sums/source", "x-amz-checksum-algorithm", algo), element(sum("source")))

		id := s.begin(mainUser, path, "x-amz-checksum-algorithm", algo)
		e1 := s.part(mainUser, path, id, 1, "part", name, sum("part"))
		has(s.must(200, mainUser, "GET", path+"?uploadId="+id, ""), element(sum("part")))
		f, r := s.complete(mainUser, path, id, completeList(completePart(1, e1, element(sum("part")))))
		whole := sum("part")
		if f.ChecksumType == composite {
			raw, _ := base64.StdEncoding.DecodeString(whole)
			whole = sum(string(raw)) + "-1"
		}
		if (f.ChecksumType == fullObject) != (algo == "CRC64NVME") {
			t.Errorf("%s: type %s", algo, f.ChecksumType)
		}
		has(r, element(whole))
		s.must(200, mainUser, "HEAD", path, "", "x-amz-checksum-mode", "ENABLED").want(t, name, whole)
		has(s.must(200, mainUser, "GET", path+"?attributes", "", "x-amz-object-attributes", "Checksum,ObjectParts"), element(whole), element(sum("part")))
	}
}

func FuzzWantedSum(f *testing.F) {
	f.Add("x-amz-checksum-crc32", "AAAAAA==", "x-amz-checksum-sha1", "CRC32")
	f.Add("x-amz-checksum-", "", ",,", "\x00")
	f.Fuzz(func(t *testing.T, name, value, trailer, sdk string) {
		want, err := parseWantedSum(headers(name, value, "x-amz-trailer", trailer, "x-amz-sdk-checksum-algorithm", sdk))
		if err != nil {
			return
		}
		if (want.algo == "") != (newChecksum(want.algo) == nil) {
			t.Errorf("algorithm %q", want.algo)
		}
		if want.algo != "" && !want.trailer && len(want.value) != newChecksum(want.algo).Size() {
			t.Errorf("%s with %d bytes", want.algo, len(want.value))
		}
	})
}
