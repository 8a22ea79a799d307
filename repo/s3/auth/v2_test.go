package auth

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestQueryV2(t *testing.T) {
	expires := testTime.Unix() + 60
	tests := []struct {
		name, method, path, query string
		headers                   map[string]string
		amz, resource, bucket     string
	}{
		{"object", "GET", "/b/k", "", nil, "", "/b/k", ""},
		{"escaped as sent", "GET", "/b/a%20b%2Bc", "", nil, "", "/b/a%20b%2Bc", ""},
		{"double slash", "GET", "/b//k", "", nil, "", "/b//k", ""},
		{"virtual host", "GET", "/k", "", nil, "", "/bucket/k", "bucket"},
		{"bucket", "GET", "/b", "", nil, "", "/b", ""},
		{"bucket, with a slash", "GET", "/b", "prefix=x", nil, "", "/b/", ""},
		{"service", "GET", "/", "", nil, "", "/", ""},
		{"subresources", "GET", "/b/k", "versionId=1&prefix=x&acl&response-content-type=text%2Fplain", nil, "",
			"/b/k?acl&response-content-type=text/plain&versionId=1", ""},
		{"headers", "PUT", "/b/k", "", map[string]string{"content-type": "text/plain", "content-md5": "x==", "x-amz-meta-b": " 1 ", "x-amz-acl": "private"},
			"x-amz-acl:private\nx-amz-meta-b:1\n", "/b/k", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSigner(tt.method, tt.path, tt.query, nil)
			s.headers = tt.headers
			v := newVerifier(testTime)
			v.opt.Bucket = func(*http.Request) string { return tt.bucket }
			res, err := v.Verify(s.v2(expires, tt.resource, tt.amz))
			if err != nil {
				t.Fatal(err)
			}
			if res.Scheme != SigV2 || res.Type != QueryString || res.AccessKey != testKey || !res.Date.IsZero() {
				t.Errorf("result %+v", res)
			}
			v.opt.NoV2 = true
			_, err = v.Verify(s.v2(expires, tt.resource, tt.amz))
			wantCode(t, err, "InvalidRequest")
		})
	}
}

// TestDocumentedV2 is the example of the documentation of S3.
func TestDocumentedV2(t *testing.T) {
	r := newRequest("GET", "/photos/puppy.jpg?AWSAccessKeyId="+testKey+"&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620", nil)
	v := newVerifier(testTime.AddDate(-10, 0, 0))
	v.opt.Bucket = func(*http.Request) string { return "johnsmith" }
	v.opt.HeaderV2 = true
	if _, err := v.Verify(r); err != nil {
		t.Error(err)
	}
}

func TestQueryV2Refused(t *testing.T) {
	expires := testTime.Unix() + 60
	tests := []struct {
		name   string
		change func(*http.Request)
		code   string
	}{
		{"method", func(r *http.Request) { r.Method = "HEAD" }, "SignatureDoesNotMatch"},
		{"path", func(r *http.Request) { r.URL.Path += "x" }, "SignatureDoesNotMatch"},
		{"subresource", func(r *http.Request) { r.URL.RawQuery += "&retention" }, "SignatureDoesNotMatch"},
		{"response override", func(r *http.Request) { r.URL.RawQuery += "&response-expires=1" }, "SignatureDoesNotMatch"},
		{"amz header", func(r *http.Request) { r.Header.Set("x-amz-acl", "public-read") }, "SignatureDoesNotMatch"},
		{"hoisted header", func(r *http.Request) { r.URL.RawQuery += "&x-amz-acl=public-read"; Hoist(r) }, "SignatureDoesNotMatch"},
		{"content type", func(r *http.Request) { r.Header.Set("Content-Type", "text/html") }, "SignatureDoesNotMatch"},
		{"later", func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=1", "Expires=2", 1) }, "SignatureDoesNotMatch"},
		{"no expiry", func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=", "x=", 1) }, "AccessDenied"},
		{"no signature", func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Signature=", "x=", 1) }, "AccessDenied"},
		{"bad expiry", func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=", "Expires=x", 1) }, "AccessDenied"},
		{"expired", func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=1", "Expires=0", 1) }, "AccessDenied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newSigner("GET", "/b/k", "", nil).v2(expires, "/b/k", "")
			tt.change(r)
			_, err := newVerifier(testTime).Verify(r)
			wantCode(t, err, tt.code)
		})
	}
}

// TestHoistV2 has the query that botocore makes of signed headers.
func TestHoistV2(t *testing.T) {
	s := newSigner("PUT", "/b/k", "content-type=text%2Fplain&x-amz-meta-a=1", nil)
	s.headers["content-type"] = "text/plain"
	r := s.v2(testTime.Unix()+60, "/b/k", "x-amz-meta-a:1\n")
	r.Header.Del("Content-Type")
	Hoist(r)
	if _, err := newVerifier(testTime).Verify(r); err != nil {
		t.Error(err)
	}
	if r.Header.Get("Content-Type") != "text/plain" || r.Header.Get("x-amz-meta-a") != "1" {
		t.Errorf("headers %v", r.Header)
	}
}

// headerV2 returns a request with an Authorization header. date stands for the time in the
// signature; it is empty when x-amz-date is among the amz lines.
func (s *signer) headerV2(date, resource, amz string) *http.Request {
	h := hmac.New(sha1.New, []byte(testSecret))
	h.Write([]byte(strings.Join([]string{s.method, s.headers["content-md5"], s.headers["content-type"], date, amz + resource}, "\n")))
	r := s.request(s.query)
	r.Header.Set("Authorization", "AWS "+testKey+":"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	return r
}

func TestHeaderV2(t *testing.T) {
	now := testTime.Format(http.TimeFormat)
	tests := []struct {
		name, method, path, query string
		headers                   map[string]string
		date, amz, resource       string
		bucket                    string
	}{
		{"date", "GET", "/b/k", "", map[string]string{"date": now}, now, "", "/b/k", ""},
		{"x-amz-date", "GET", "/b/k", "", map[string]string{"x-amz-date": now}, "", "x-amz-date:" + now + "\n", "/b/k", ""},
		{"x-amz-date beside a date", "GET", "/b/k", "", map[string]string{"date": "yesterday", "x-amz-date": now}, "",
			"x-amz-date:" + now + "\n", "/b/k", ""},
		{"virtual host", "GET", "/", "", map[string]string{"date": now}, now, "", "/bucket/", "bucket"},
		{"subresource", "PUT", "/b/k", "acl&x=y", map[string]string{"date": now, "x-amz-acl": "private", "content-type": "text/plain"}, now,
			"x-amz-acl:private\n", "/b/k?acl", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSigner(tt.method, tt.path, tt.query, nil)
			s.headers = tt.headers
			v := newVerifier(testTime)
			v.opt.Bucket = func(*http.Request) string { return tt.bucket }
			v.opt.HeaderV2 = true
			res, err := v.Verify(s.headerV2(tt.date, tt.resource, tt.amz))
			if err != nil {
				t.Fatal(err)
			}
			if res.Scheme != SigV2 || res.Type != AuthHeader || res.AccessKey != testKey {
				t.Errorf("result %+v", res)
			}
			v.opt.HeaderV2 = false
			_, err = v.Verify(s.headerV2(tt.date, tt.resource, tt.amz))
			wantCode(t, err, "InvalidRequest")
		})
	}
}

func TestHeaderV2Refused(t *testing.T) {
	now := testTime.Format(http.TimeFormat)
	for name, tt := range map[string]struct {
		change func(*http.Request)
		code   string
	}{
		"path":         {func(r *http.Request) { r.URL.Path += "x" }, "SignatureDoesNotMatch"},
		"subresource":  {func(r *http.Request) { r.URL.RawQuery = "acl" }, "SignatureDoesNotMatch"},
		"amz header":   {func(r *http.Request) { r.Header.Set("x-amz-acl", "public-read") }, "SignatureDoesNotMatch"},
		"content type": {func(r *http.Request) { r.Header.Set("Content-Type", "text/html") }, "SignatureDoesNotMatch"},
		"other date":   {func(r *http.Request) { r.Header.Set("Date", testTime.Add(1e9).Format(http.TimeFormat)) }, "SignatureDoesNotMatch"},
		"x-amz-date":   {func(r *http.Request) { r.Header.Set("x-amz-date", now) }, "SignatureDoesNotMatch"},
		"old":          {func(r *http.Request) { r.Header.Set("Date", testTime.AddDate(0, 0, -1).Format(http.TimeFormat)) }, "RequestTimeTooSkewed"},
		"no date":      {func(r *http.Request) { r.Header.Del("Date") }, "AccessDenied"},
		"token":        {func(r *http.Request) { r.URL.RawQuery = "x-amz-security-token=x" }, "InvalidToken"},
		"both":         {func(r *http.Request) { r.URL.RawQuery = "Signature=x" }, "InvalidArgument"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSigner("GET", "/b/k", "", nil)
			s.headers["date"] = now
			r := s.headerV2(now, "/b/k", "")
			tt.change(r)
			v := newVerifier(testTime)
			v.opt.HeaderV2 = true
			_, err := v.Verify(r)
			wantCode(t, err, tt.code)
		})
	}
}

// TestDocumentedHeaderV2 is the example of the documentation of S3.
func TestDocumentedHeaderV2(t *testing.T) {
	r := newRequest("GET", "/photos/puppy.jpg", nil, "Date", "Tue, 27 Mar 2007 19:36:42 +0000",
		"Authorization", "AWS "+testKey+":bWq2s1WEIj+Ydj0vQ697zp+IXMU=")
	v := newVerifier(time.Date(2007, 3, 27, 19, 40, 0, 0, time.UTC))
	v.opt.Bucket = func(*http.Request) string { return "johnsmith" }
	v.opt.HeaderV2 = true
	if _, err := v.Verify(r); err != nil {
		t.Error(err)
	}
}
