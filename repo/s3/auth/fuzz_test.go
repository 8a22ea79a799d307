package auth

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzAuthorization makes sure that no header but the one that was signed is believed.
func FuzzAuthorization(f *testing.F) {
	s := newSigner("GET", "/b/k", "acl", nil)
	r, sig := s.header()
	good := r.Header.Get("Authorization")
	for _, seed := range []string{good, "AWS a:b", "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request,SignedHeaders=host,Signature=0", strings.ToUpper(good), ""} {
		f.Add(seed, s.stamp(), emptySum)
	}
	v := newVerifier(testTime)
	f.Fuzz(func(t *testing.T, header, date, sum string) {
		r := newRequest("GET", "/b/k?acl", nil)
		r.Host = s.host
		r.Header = http.Header{"Authorization": {header}, "X-Amz-Date": {date}, "X-Amz-Content-Sha256": {sum}}
		res, err := v.Verify(r)
		if err == nil && res.AccessKey != "" && !strings.Contains(header, sig) {
			t.Errorf("%q was accepted", header)
		}
		if err == nil && header != "" && res.AccessKey == "" {
			t.Errorf("%q became anonymous", header)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []*http.Request{newSigner("GET", "/b/k", "acl&x=1+2", nil).presigned("60"), newSigner("GET", "/b/k", "acl", nil).v2(testTime.Unix()+60, "/b/k?acl", "")} {
		f.Add(s.URL.RawQuery)
	}
	f.Add("X-Amz-Signature=&x-amz-acl=public-read&;&=&%zz")
	v := newVerifier(testTime)
	f.Fuzz(func(t *testing.T, query string) {
		r := newRequest("GET", "/b/k", nil)
		r.Host, r.URL.RawQuery = "example.org:9000", query
		Hoist(r)
		for key, values := range r.Header {
			if len(values) != 1 || !validValue(values[0]) || !strings.HasPrefix(key, "X-Amz-") && !strings.HasPrefix(key, "Content-") {
				t.Errorf("hoisted %q: %q", key, values)
			}
		}
		res, err := v.Verify(r)
		if err == nil && res.AccessKey == "" && (strings.Contains(query, "X-Amz-Signature=") || strings.HasPrefix(query, "Signature=")) {
			p, _ := parseQuery(query)
			if p.has("X-Amz-Signature") || p.has("Signature") {
				t.Errorf("%q became anonymous", query)
			}
		}
	})
}

// FuzzChunks reads framed bodies, and checks what may be said of those that are accepted.
func FuzzChunks(f *testing.F) {
	for _, sum := range []string{signedChunks, signedTrailer, plainTrailer} {
		fr := newFramer(sum, "some data")
		_, seed := fr.header()
		f.Add(fr.frame(seed), sum, int64(9))
	}
	f.Add([]byte("ffffffffffffffff\r\n"), plainTrailer, int64(1<<62))
	f.Fuzz(func(t *testing.T, wire []byte, sum string, size int64) {
		fr := newFramer(signedTrailer, "some data")
		fr.sum = sum
		r, _ := fr.header()
		r.Body = io.NopCloser(bytes.NewReader(wire))
		res, err := newVerifier(testTime).Verify(r)
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
		var own *Error
		if err != nil && !errors.As(err, &own) {
			t.Errorf("error %v", err)
		}
		if chunked := strings.HasPrefix(sum, "STREAMING-"); err == nil && chunked && n != res.Size {
			t.Errorf("%d bytes were accepted, %d announced", n, res.Size)
		}
	})
}

func FuzzTrailer(f *testing.F) {
	f.Add([]byte("x-amz-checksum-crc32:AAAA\n\r\nx-amz-trailer-signature:00\r\n\r\n"))
	f.Add([]byte("a:b\r\nA:c\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, signature, ok := parseTrailer(b)
		if !ok {
			return
		}
		var again bytes.Buffer
		again.Write(canonicalTrailer(fields))
		if signature != "" {
			again.WriteString("x-amz-trailer-signature:" + signature + "\n")
		}
		if again.Len() > maxTrailer {
			return
		}
		fields2, signature2, ok := parseTrailer(again.Bytes())
		if !ok || len(fields2) != len(fields) || signature2 != signature {
			t.Errorf("%q became %q", b, again.Bytes())
		}
	})
}

func FuzzForm(f *testing.F) {
	f.Add("cG9saWN5", algorithm, testKey+"/20130524/firn-1/s3/aws4_request", "20130524T000000Z", "00")
	f.Add("", "", "/////", "", "")
	v := newVerifier(testTime)
	f.Fuzz(func(t *testing.T, policy, alg, cred, date, sig string) {
		if _, err := v.VerifyForm(map[string]string{"policy": policy, "x-amz-algorithm": alg, "x-amz-credential": cred, "x-amz-date": date, "x-amz-signature": sig}); err == nil {
			if form := v4Form(); sig != form["x-amz-signature"] {
				t.Error("accepted")
			}
		}
	})
}
