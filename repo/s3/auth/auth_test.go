package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	testKey    = "AKIAIOSFODNN7EXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// testTime is that of the examples in the documentation of S3.
var testTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

var errNoKey = errors.New("no such key")

func newVerifier(now time.Time) *Verifier {
	return New(Options{Now: func() time.Time { return now }, Secret: func(k string) (string, error) {
		if k != testKey {
			return "", errNoKey
		}
		return testSecret, nil
	}})
}

// newRequest returns a request as a server gets it.
func newRequest(method, target string, body []byte, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	r.RequestURI = target
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// signer signs as a client does, written apart from what it tests.
type signer struct {
	method, path, query string // path and query as on the wire
	host                string
	headers             map[string]string // in lower case
	sum                 string
	at                  time.Time
	region              string
	body                []byte
}

func newSigner(method, path, query string, body []byte) *signer {
	return &signer{method: method, path: path, query: query, host: "example.org:9000", headers: map[string]string{}, sum: sumHex(body),
		at: testTime, region: "firn-1", body: body}
}

func sumHex(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

func (s *signer) stamp() string { return s.at.Format("20060102T150405Z") }
func (s *signer) scope() string { return s.at.Format("20060102") + "/" + s.region + "/s3/aws4_request" }

func (s *signer) key() []byte {
	k := []byte("AWS4" + testSecret)
	for _, part := range strings.Split(s.scope(), "/") {
		k = mac(k, part)
	}
	return k
}

// sign returns the names of the signed headers and the signature.
func (s *signer) sign(sum, query string) (string, string) {
	all := map[string]string{"host": s.host}
	for k, v := range s.headers {
		all[k] = v
	}
	var names []string
	for k := range all {
		names = append(names, k)
	}
	sort.Strings(names)
	lines := ""
	for _, k := range names {
		lines += k + ":" + strings.Join(strings.Fields(all[k]), " ") + "\n"
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{s.method, s.path, sortedQuery(query), lines, signed, sum}, "\n")
	return signed, hex.EncodeToString(mac(s.key(), strings.Join([]string{"AWS4-HMAC-SHA256", s.stamp(), s.scope(), sumHex([]byte(canonical))}, "\n")))
}

func sortedQuery(q string) string {
	if q == "" {
		return ""
	}
	parts := strings.Split(q, "&")
	for i, p := range parts {
		if !strings.Contains(p, "=") {
			parts[i] = p + "="
		}
	}
	slices.SortFunc(parts, func(a, b string) int {
		an, av, _ := strings.Cut(a, "=")
		bn, bv, _ := strings.Cut(b, "=")
		if c := strings.Compare(an, bn); c != 0 {
			return c
		}
		return strings.Compare(av, bv)
	})
	return strings.Join(parts, "&")
}

func (s *signer) target(query string) string {
	if query == "" {
		return s.path
	}
	return s.path + "?" + query
}

func (s *signer) request(query string) *http.Request {
	r := newRequest(s.method, s.target(query), s.body)
	r.Host = s.host
	for k, v := range s.headers {
		r.Header.Set(k, v)
	}
	return r
}

// header returns a request signed in its Authorization header, and the signature.
func (s *signer) header() (*http.Request, string) {
	s.headers["x-amz-date"] = s.stamp()
	s.headers["x-amz-content-sha256"] = s.sum
	signed, sig := s.sign(s.sum, s.query)
	r := s.request(s.query)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+testKey+"/"+s.scope()+", SignedHeaders="+signed+", Signature="+sig)
	return r, sig
}

// presigned returns a request signed in its query.
func (s *signer) presigned(expires string) *http.Request {
	names := []string{"host"}
	for k := range s.headers {
		names = append(names, k)
	}
	sort.Strings(names)
	q := s.query
	if q != "" {
		q += "&"
	}
	q += "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + url.QueryEscape(testKey+"/"+s.scope()) + "&X-Amz-Date=" + s.stamp() +
		"&X-Amz-Expires=" + expires + "&X-Amz-SignedHeaders=" + url.QueryEscape(strings.Join(names, ";"))
	sum := s.headers["x-amz-content-sha256"]
	if sum == "" {
		sum = "UNSIGNED-PAYLOAD"
	}
	_, sig := s.sign(sum, q)
	return s.request(q + "&X-Amz-Signature=" + sig)
}

// v2 returns a request signed with version 2 in its query. resource is what it covers.
func (s *signer) v2(expires int64, resource, amz string) *http.Request {
	toSign := strings.Join([]string{s.method, s.headers["content-md5"], s.headers["content-type"], strconv.FormatInt(expires, 10), amz + resource}, "\n")
	h := hmac.New(sha1.New, []byte(testSecret))
	h.Write([]byte(toSign))
	q := s.query
	if q != "" {
		q += "&"
	}
	return s.request(q + "AWSAccessKeyId=" + testKey + "&Expires=" + strconv.FormatInt(expires, 10) + "&Signature=" +
		url.QueryEscape(base64.StdEncoding.EncodeToString(h.Sum(nil))))
}

// wantCode fails unless err is an *Error with the code.
func wantCode(t *testing.T, err error, code string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got error %v, want %s", err, code)
	}
	return e
}

func element(e *Error, name string) string {
	for _, f := range e.Fields {
		if f[0] == name {
			return f[1]
		}
	}
	return ""
}

// TestDocumentedExamples has the signatures that the documentation of S3 gives.
func TestDocumentedExamples(t *testing.T) {
	credential := "AWS4-HMAC-SHA256 Credential=" + testKey + "/20130524/us-east-1/s3/aws4_request,"
	tests := []struct {
		name, method, target string
		body                 string
		headers              []string
	}{
		{"get object", "GET", "/test.txt", "", []string{"Range", "bytes=0-9", "X-Amz-Content-Sha256", emptySum, "X-Amz-Date", "20130524T000000Z",
			"Authorization", credential + "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"}},
		{"put object", "PUT", "/test$file.text", "Welcome to Amazon S3.", []string{"Date", "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Date", "20130524T000000Z",
			"X-Amz-Storage-Class", "REDUCED_REDUNDANCY", "X-Amz-Content-Sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			"Authorization", credential + "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"}},
		{"get lifecycle", "GET", "/?lifecycle", "", []string{"X-Amz-Content-Sha256", emptySum, "X-Amz-Date", "20130524T000000Z",
			"Authorization", credential + "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"}},
		{"list objects", "GET", "/?max-keys=2&prefix=J", "", []string{"X-Amz-Content-Sha256", emptySum, "X-Amz-Date", "20130524T000000Z",
			"Authorization", credential + "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"}},
		{"presigned", "GET", "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequest(tt.method, tt.target, []byte(tt.body), tt.headers...)
			r.Host = "examplebucket.s3.amazonaws.com"
			res, err := newVerifier(testTime).Verify(r)
			if err != nil {
				t.Fatal(err)
			}
			if res.AccessKey != testKey || res.Region != "us-east-1" || res.Scheme != SigV4 || !res.Date.Equal(testTime) {
				t.Errorf("result %+v", res)
			}
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != tt.body {
				t.Errorf("body %q, %v", body, err)
			}
		})
	}
}

// docChunks is the chunked upload of the documentation.
func docChunks(signatures [3]string, end string) []byte {
	return []byte("10000;chunk-signature=" + signatures[0] + "\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=" + signatures[1] + "\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=" + signatures[2] + "\r\n" + end)
}

func TestDocumentedChunks(t *testing.T) {
	tests := []struct {
		name, sum, authorization string
		headers                  []string
		body                     []byte
		trailer                  string
	}{
		{"signed chunks", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
			"SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class," +
				"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", nil,
			docChunks([3]string{"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
				"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
				"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"}, "\r\n"), ""},
		{"with trailer", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
			"SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer," +
				"Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", []string{"X-Amz-Trailer", "x-amz-checksum-crc32c"},
			docChunks([3]string{"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
				"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
				"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
				"x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"), "sOO8/Q=="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequest("PUT", "/examplebucket/chunkObject.txt", tt.body, append([]string{"X-Amz-Date", "20130524T000000Z", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY",
				"Content-Encoding", "aws-chunked", "X-Amz-Decoded-Content-Length", "66560", "X-Amz-Content-Sha256", tt.sum,
				"Authorization", "AWS4-HMAC-SHA256 Credential=" + testKey + "/20130524/us-east-1/s3/aws4_request," + tt.authorization}, tt.headers...)...)
			r.Host = "s3.amazonaws.com"
			res, err := newVerifier(testTime).Verify(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || res.Size != 66560 || string(body) != strings.Repeat("a", 66560) {
				t.Fatalf("%d bytes, size %d, %v", len(body), res.Size, err)
			}
			if got := res.Trailer.Get("x-amz-checksum-crc32c"); got != tt.trailer {
				t.Errorf("trailer %q, want %q", got, tt.trailer)
			}
		})
	}
}
