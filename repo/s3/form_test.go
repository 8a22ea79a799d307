package s3

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// formUpload is a form as a browser sends it. Fields are pairs of name and value.
type formUpload struct {
	fields   []string
	filename string // "-" is none
	file     string
	behind   string // raw parts behind the file
}

const formBoundary = "0123456789abcdef"

func formPart(disposition, value string) string {
	return "--" + formBoundary + "\r\nContent-Disposition: " + disposition + "\r\n\r\n" + value + "\r\n"
}

func (u *formUpload) encode() string {
	var b strings.Builder
	for i := 0; i < len(u.fields); i += 2 {
		// Some clients give a filename with every field.
		b.WriteString(formPart(fmt.Sprintf("form-data; name=%q; filename=%[1]q", u.fields[i]), u.fields[i+1]))
	}
	disposition := `form-data; name="file"`
	if u.filename != "-" {
		disposition += `; filename="` + u.filename + `"`
	}
	b.WriteString(formPart(disposition, u.file))
	b.WriteString(u.behind + "--" + formBoundary + "--\r\n")
	return b.String()
}

// post sends a form; nobody signs its headers.
func (s *server) post(path, body string) *reply {
	s.t.Helper()
	return s.do(anonymous, "POST", path, body, "Content-Type", "multipart/form-data; boundary="+formBoundary)
}

// policy encodes a policy that ends in an hour.
func (s *server) policy(conditions ...any) string {
	return encodePolicy(map[string]any{"expiration": s.clock.Now().Add(time.Hour).Format(time.RFC3339), "conditions": conditions})
}

func encodePolicy(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// signV2 adds the fields of a signature, of version 2.
func signV2(who *account, policy string, fields ...string) []string {
	h := hmac.New(sha1.New, []byte(who.secret))
	h.Write([]byte(policy))
	return append(slices.Clone(fields), "AWSAccessKeyId", who.access, "signature", base64.StdEncoding.EncodeToString(h.Sum(nil)), "policy", policy)
}

// signV4 adds those of version 4, which have to be in the policy, too.
func (s *server) signV4(who *account, conditions []any, fields ...string) []string {
	now := s.clock.Now().UTC()
	scope := now.Format("20060102") + "/firn-1/s3/aws4_request"
	signing := []string{"X-Amz-Algorithm", "AWS4-HMAC-SHA256", "X-Amz-Credential", who.access + "/" + scope, "X-Amz-Date", now.Format("20060102T150405Z")}
	for i := 0; i < len(signing); i += 2 {
		conditions = append(conditions, map[string]string{signing[i]: signing[i+1]})
	}
	policy := s.policy(conditions...)
	key := []byte("AWS4" + who.secret)
	for _, p := range strings.Split(scope, "/") {
		key = mac(key, p)
	}
	return slices.Concat(fields, signing, []string{"Policy", policy, "X-Amz-Signature", hex.EncodeToString(mac(key, policy))})
}

type cond = []any
type doc = map[string]any

func basics(more ...any) []any {
	return append([]any{doc{"bucket": "bucket"}, cond{"starts-with", "$key", "foo"}}, more...)
}

func formServer(t testing.TB) *server {
	t.Helper()
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bucket", "")
	return s
}

func TestPostSignatures(t *testing.T) {
	s := formServer(t)
	policy := s.policy(basics()...)
	good := signV2(mainUser, policy, "key", "foo.txt")
	without := func(name string) []string {
		i := slices.Index(good, name)
		return slices.Delete(slices.Clone(good), i, i+2)
	}
	with := func(name, value string) []string {
		c := slices.Clone(good)
		c[slices.Index(c, name)+1] = value
		return c
	}
	tests := []struct {
		name, code string
		status     int
		fields     []string
	}{
		{"good", "", 204, good},
		{"no signature", "InvalidArgument", 400, without("signature")},
		{"no access key", "InvalidArgument", 400, without("AWSAccessKeyId")},
		{"no policy", "InvalidArgument", 400, without("policy")},
		{"unknown key", "InvalidAccessKeyId", 403, with("AWSAccessKeyId", "NOBODY")},
		{"wrong signature", "SignatureDoesNotMatch", 403, with("signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")},
		{"policy cut short", "SignatureDoesNotMatch", 403, with("policy", policy[:len(policy)-4])},
		{"of somebody else", "AccessDenied", 403, signV2(altUser, policy, "key", "foo.txt")},
		{"nobody's", "AccessDenied", 403, []string{"key", "foo.txt"}},
		{"nobody's, with a policy", "AccessDenied", 403, []string{"key", "foo.txt", "policy", policy}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.post("/bucket", (&formUpload{fields: tt.fields, file: "bar"}).encode())
			if r.StatusCode != tt.status || tt.code != "" && !strings.Contains(r.body, "<Code>"+tt.code+"</Code>") {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		})
	}
	s.refused(400, "CredentialsNotSupported", mainUser, "POST", "/bucket", (&formUpload{fields: good}).encode(),
		"Content-Type", "multipart/form-data; boundary="+formBoundary)
}

// TestPostAnswers has what a form may ask to be answered.
func TestPostAnswers(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bucket", "", "x-amz-acl", "public-read-write")
	const etag = "37b51d194a7513e45b56f6524f2d51f2" // MD5 of bar
	tests := []struct {
		name, key, field, value string
		status                  int
		location                string
	}{
		{"nothing", "foo.txt", "x-ignore-a", "", 204, "/bucket/foo.txt"},
		{"200", "a/b c", "success_action_status", "200", 200, "/bucket/a%2Fb%20c"},
		{"201", "foo.txt", "success_action_status", "201", 201, "/bucket/foo.txt"},
		{"404", "foo.txt", "success_action_status", "404", 204, "/bucket/foo.txt"},
		{"redirect", "a/b c", "success_action_redirect", "http://example.org/done", 303,
			"http://example.org/done?bucket=bucket&key=a%2Fb+c&etag=%22" + etag + "%22"},
		{"redirect with a query", "foo.txt", "redirect", "https://example.org/?a=b c", 303,
			"https://example.org/?a=b c&bucket=bucket&key=foo.txt&etag=%22" + etag + "%22"},
		{"redirect to nowhere", "foo.txt", "success_action_redirect", "/done", 204, "/bucket/foo.txt"},
		{"redirect to a script", "foo.txt", "success_action_redirect", "javascript:alert(1)", 204, "/bucket/foo.txt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.post("/bucket", (&formUpload{fields: []string{"key", tt.key, "acl", "public-read", tt.field, tt.value, "Content-Type", "text/plain"}, file: "bar"}).encode())
			want := tt.location
			if strings.HasPrefix(want, "/") {
				want = s.URL + want
			}
			if r.StatusCode != tt.status || r.Header.Get("Location") != want || r.Header.Get("ETag") != `"`+etag+`"` {
				t.Fatalf("%d %v %s", r.StatusCode, r.Header, r.body)
			}
			body := ""
			if tt.status == 201 {
				body = `<?xml version="1.0" encoding="UTF-8"?>` + "\n<PostResponse><Location>" + want + "</Location><Bucket>bucket</Bucket><Key>foo.txt</Key><ETag>&#34;" +
					etag + "&#34;</ETag></PostResponse>"
			}
			if r.body != body {
				t.Errorf("body %s", r.body)
			}
			if got := s.must(200, anonymous, "GET", "/bucket/"+strings.ReplaceAll(url.PathEscape(tt.key), "%2F", "/"), ""); got.body != "bar" || got.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("stored %q %v", got.body, got.Header)
			}
		})
	}
}

func TestPostKeys(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bucket", "", "x-amz-acl", "public-read-write")
	tests := []struct{ name, key, filename, want string }{
		{"filename", "${filename}", "foo.txt", "foo.txt"},
		{"in a folder", "user/${filename}/${filename}", "a b.txt", "user/a b.txt/a b.txt"},
		{"path of Windows", "${filename}", `C:\Program Files\file.txt`, "file.txt"},
		{"path", "${filename}", "/home/eric/file", "file"},
		{"empty", "a-${filename}", "", "a-"},
		{"none", "a-${filename}", "-", "a-${filename}"},
		{"backslash", `\$foo.txt`, "x", `\$foo.txt`},
		{"unicode", "${filename}", "ü—.pdf", "ü—.pdf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.post("/bucket", (&formUpload{fields: []string{"key", tt.key, "acl", "public-read"}, filename: tt.filename, file: tt.name}).encode())
			if r.StatusCode != 204 {
				t.Fatalf("%d %s", r.StatusCode, r.body)
			}
			if got := s.must(200, anonymous, "GET", "/bucket/"+strings.ReplaceAll(url.PathEscape(tt.want), "%2F", "/"), ""); got.body != tt.name {
				t.Errorf("stored %q", got.body)
			}
		})
	}
	for name, tt := range map[string]struct {
		key, filename, code string
	}{
		"too long": {strings.Repeat("k", maxKey+1), "x", "KeyTooLongError"},
		"no text":  {"\xff", "x", "InvalidURI"},
		"bomb":     {strings.Repeat("${filename}", 1000), strings.Repeat("x", 5000), "MaxPostPreDataLengthExceeded"},
	} {
		r := s.post("/bucket", (&formUpload{fields: []string{"key", tt.key}, filename: tt.filename, file: "bar"}).encode())
		if r.StatusCode != 400 || !strings.Contains(r.body, tt.code) {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
}

// TestPostHeaders has the fields that are headers of PutObject.
func TestPostHeaders(t *testing.T) {
	s := formServer(t)
	send := func(status int, fields ...string) *reply {
		t.Helper()
		conditions := basics()
		for i := 0; i < len(fields); i += 2 {
			conditions = append(conditions, cond{"starts-with", "$" + fields[i], ""})
		}
		r := s.post("/bucket", (&formUpload{fields: signV2(mainUser, s.policy(conditions...), append(fields, "key", "foo.txt")...), file: "bar"}).encode())
		if r.StatusCode != status {
			t.Fatalf("%v: %d %s", fields, r.StatusCode, r.body)
		}
		return r
	}
	send(204, "Content-Type", "text/html", "Cache-Control", "no-cache", "Content-Disposition", "attachment", "Expires", "Wed, 21 Oct 2026 07:28:00 GMT",
		"x-amz-meta-Foo", "barclamp", "x-amz-storage-class", "STANDARD_IA")
	got := s.must(200, mainUser, "GET", "/bucket/foo.txt", "")
	for name, want := range map[string]string{"Content-Type": "text/html", "Cache-Control": "no-cache", "Content-Disposition": "attachment",
		"Expires": "Wed, 21 Oct 2026 07:28:00 GMT", "x-amz-meta-foo": "barclamp", "x-amz-storage-class": "STANDARD_IA"} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	send(204, "x-amz-checksum-sha256", "/N4rLtula/QIYB+3If6bXDONEO5CnqBPrlURto+/j7k=")
	send(400, "x-amz-checksum-sha256", "sailorjerry")
	send(400, "Content-MD5", "rL0Y20xC+Fzt72VPzMSk2A==")
	if r := send(400, "x-amz-storage-class", "FakeClass"); !strings.Contains(r.body, "InvalidStorageClass") {
		t.Error(r.body)
	}

	const tags = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag><Tag><Key>c</Key><Value></Value></Tag></TagSet></Tagging>"
	if r := send(400, "tagging", "not-xml"); !strings.Contains(r.body, "MalformedXML") {
		t.Error(r.body)
	}
	send(204, "tagging", strings.ReplaceAll(tags, "&amp;2", ""))
	if got := s.must(200, mainUser, "GET", "/bucket/foo.txt?tagging", ""); !strings.Contains(got.body, "<Tag><Key>a b</Key><Value>1</Value></Tag><Tag><Key>c</Key><Value></Value></Tag>") {
		t.Error(got.body)
	}
	send(204, "acl", "public-read")
	s.must(200, anonymous, "GET", "/bucket/foo.txt", "")
	send(204, "acl", "private")
	s.must(403, anonymous, "GET", "/bucket/foo.txt", "")
	send(400, "acl", "public-ready")

	send(204, "x-amz-meta-lines", "one\r\ntwo", "x-amz-meta-text", "Zürich, "+strings.Repeat("long ", 30))
	got = s.must(200, mainUser, "GET", "/bucket/foo.txt", "")
	if text, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("x-amz-meta-text")); err != nil || text != "Zürich, "+strings.Repeat("long ", 30) {
		t.Errorf("metadata %q, %v", text, err)
	}
	if got.Header.Get("x-amz-missing-meta") != "1" || got.Header.Get("x-amz-meta-lines") != "" {
		t.Errorf("headers %v", got.Header)
	}
	if r := send(400, "Content-Type", "text/plain\r\nX-Evil: 1"); !strings.Contains(r.body, "InvalidArgument") {
		t.Error(r.body)
	}
}

// TestPostAsksPolicies makes sure that fields count for the policy of the bucket as headers do.
func TestPostAsksPolicies(t *testing.T) {
	s := formServer(t)
	s.must(204, mainUser, "PUT", "/bucket?policy", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/open/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringEquals":{"s3:x-amz-storage-class":"GLACIER"}}}]}`)
	for _, tt := range []struct {
		key, class string
		status     int
	}{{"open/a", "STANDARD", 204}, {"closed/a", "STANDARD", 403}, {"open/b", "GLACIER", 403}} {
		r := s.post("/bucket", (&formUpload{fields: []string{"key", tt.key, "x-amz-storage-class", tt.class}, file: "bar"}).encode())
		if r.StatusCode != tt.status {
			t.Errorf("%s %s: %d %s", tt.key, tt.class, r.StatusCode, r.body)
		}
	}
	// A form has no value for this key, neither true nor false.
	s.must(204, mainUser, "PUT", "/bucket?policy", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"Null":{"s3:ObjectCreationOperation":"true"}}}]}`)
	if r := s.post("/bucket", (&formUpload{fields: []string{"key", "a"}, file: "bar"}).encode()); r.StatusCode != 204 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	s.refused(403, "AccessDenied", anonymous, "PUT", "/bucket/a", "bar")
}

// TestPostExpectedOwner makes sure that a form does not go to a bucket of somebody else, and
// that a condition in its headers holds.
func TestPostExpectedOwner(t *testing.T) {
	s := formServer(t)
	const field = "x-amz-expected-bucket-owner"
	for owner, status := range map[string]int{"main-id": 204, "alt-id": 403} {
		fields := signV2(mainUser, s.policy(basics(cond{"starts-with", "$" + field, ""})...), "key", "foo.txt", field, owner)
		if r := s.post("/bucket", (&formUpload{fields: fields, file: "bar"}).encode()); r.StatusCode != status {
			t.Errorf("%s: %d %s", owner, r.StatusCode, r.body)
		}
	}
	body := (&formUpload{fields: signV2(mainUser, s.policy(basics()...), "key", "foo.txt"), file: "new"}).encode()
	s.refused(412, "PreconditionFailed", anonymous, "POST", "/bucket", body, "Content-Type", "multipart/form-data; boundary="+formBoundary, "If-None-Match", "*")
}

func TestPostMalformed(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bucket", "", "x-amz-acl", "public-read-write")
	key := formPart(`form-data; name="acl"`, "public-read") + formPart(`form-data; name="key"`, "foo.txt")
	file := formPart(`form-data; name="file"; filename="f"`, "bar")
	const end = "--" + formBoundary + "--\r\n"
	large := strings.Repeat("x", maxFormFields)
	tests := []struct {
		name, kind, body string
		status           int
		code, text       string
	}{
		{"good", "", key + file + end, 204, "", ""},
		{"preamble and epilogue", "", "preamble\r\n" + key + file + end + "epilogue", 204, "", ""},
		{"quoted boundary", `multipart/form-data; boundary="` + formBoundary + `"`, key + file + end, 204, "", ""},
		{"names without quotes", "", formPart("form-data; name=acl", "public-read") + formPart("form-data; name=key", "foo.txt") + formPart("form-data; name=file", "bar") + end, 204, "", ""},
		{"fields behind the file", "", key + file + formPart(`form-data; name="submit"`, large) + end, 204, "", ""},
		{"another type", "text/plain", "data", 412, "PreconditionFailed", "<Condition>Bucket POST must be of the enclosure-type multipart/form-data</Condition>"},
		{"no type", "-", "data", 412, "PreconditionFailed", ""},
		{"no boundary", "multipart/form-data", "data", 400, "MalformedPOSTRequest", ""},
		{"empty boundary", `multipart/form-data; boundary=""`, "data", 400, "MalformedPOSTRequest", ""},
		{"no parts", "", "data", 400, "MalformedPOSTRequest", ""},
		{"nothing", "", "", 400, "MalformedPOSTRequest", ""},
		{"no disposition", "", "--" + formBoundary + "\r\n\r\nx\r\n" + end, 400, "MalformedPOSTRequest", ""},
		{"no name", "", formPart("form-data", "x") + end, 400, "MalformedPOSTRequest", ""},
		{"no file", "", key + end, 400, "InvalidArgument", "<Message>POST requires exactly one file upload per request.</Message><ArgumentName>file</ArgumentName><ArgumentValue>0</ArgumentValue>"},
		{"two files", "", key + file + file + end, 400, "InvalidArgument", "<ArgumentValue>2</ArgumentValue>"},
		{"key behind the file", "", file + key + end, 400, "InvalidArgument", "<ArgumentName>key</ArgumentName>"},
		{"no end", "", key + strings.TrimSuffix(file, "\r\n"), 400, "", ""},
		{"end is cut", "", key + file + "--" + formBoundary, 400, "", ""},
		{"fields too large", "", key + formPart(`form-data; name="x-ignore-a"`, large) + file + end, 400, "MaxPostPreDataLengthExceeded", "<MaxPostPreDataLengthBytes>20480</MaxPostPreDataLengthBytes>"},
		{"endless field", "", key + formPart(`form-data; name="x-ignore-a"`, strings.Repeat("x", 1<<20)), 400, "MaxPostPreDataLengthExceeded", ""},
		{"endless headers", "", "--" + formBoundary + "\r\n" + strings.Repeat("X-A: b\r\n", 1<<17), 400, "MaxPostPreDataLengthExceeded", ""},
		{"many parts", "", strings.Repeat(formPart(`form-data; name="a"`, ""), 1000) + key + file + end, 400, "MaxPostPreDataLengthExceeded", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			headers := []string{"Content-Type", "multipart/form-data; boundary=" + formBoundary}
			switch tt.kind {
			case "":
			case "-":
				headers = nil
			default:
				headers[1] = tt.kind
			}
			s.do(mainUser, "DELETE", "/bucket/foo.txt", "")
			r := s.do(anonymous, "POST", "/bucket", tt.body, headers...)
			if r.StatusCode != tt.status || tt.code != "" && !strings.Contains(r.body, "<Code>"+tt.code+"</Code>") || !strings.Contains(r.body, tt.text) {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
			want := 404
			if tt.status == 204 {
				want = 200
			}
			s.must(want, anonymous, "GET", "/bucket/foo.txt", "")
		})
	}
	s.must(404, anonymous, "POST", "/nobucket", key+file+end, "Content-Type", "multipart/form-data; boundary="+formBoundary)
}

// TestPostLarge streams a file that no buffer holds.
func TestPostLarge(t *testing.T) {
	s := formServer(t)
	data := strings.Repeat("some data ", 1<<19)
	r := s.post("/bucket", (&formUpload{fields: signV2(mainUser, s.policy(basics(cond{"content-length-range", 0, len(data)})...), "key", "foo"), file: data}).encode())
	if r.StatusCode != 204 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if got := s.must(200, mainUser, "GET", "/bucket/foo", ""); got.body != data {
		t.Errorf("%d bytes were stored", len(got.body))
	}
}

// TestSignatureV2Covers makes sure that no subresource can be added to a URL that was signed with version 2.
func TestSignatureV2Covers(t *testing.T) {
	s := formServer(t)
	s.must(200, mainUser, "PUT", "/bucket/k", "data")
	expires := strconv.FormatInt(s.clock.Now().Unix()+60, 10)
	h := hmac.New(sha1.New, []byte(mainUser.secret))
	h.Write([]byte("GET\n\n\n" + expires + "\n/bucket/k"))
	query := "?AWSAccessKeyId=" + mainUser.access + "&Expires=" + expires + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(h.Sum(nil)))
	s.must(200, anonymous, "GET", "/bucket/k"+query, "")
	for name := range subresources {
		r := httptest.NewRequest("GET", "/bucket/k"+query+"&"+name, nil)
		if _, err := s.h.verify.Verify(r); err == nil {
			t.Errorf("%s is not covered", name)
		}
	}
	for _, name := range []string{"versionId", "partNumber", "response-content-type"} {
		s.refused(403, "SignatureDoesNotMatch", anonymous, "GET", "/bucket/k"+query+"&"+name+"=1", "")
	}
}

func FuzzPostForm(f *testing.F) {
	f.Add("multipart/form-data; boundary="+formBoundary, []byte((&formUpload{fields: []string{"key", "${filename}", "tagging", "<Tagging/>"}, filename: "f", file: "data"}).encode()))
	f.Add("multipart/form-data; boundary=a", []byte("--a\nContent-Disposition: form-data; name=file\n\n--a--"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		r := httptest.NewRequest("POST", "/bucket", bytes.NewReader(body))
		r.Header = http.Header{"Content-Type": {kind}}
		form, err := readForm(r)
		if err != nil {
			return
		}
		size := 0
		for _, field := range form.fields {
			if field.name != strings.ToLower(field.sent) {
				t.Errorf("field %q was sent as %q", field.name, field.sent)
			}
			size += len(field.value)
		}
		if size > maxFormFields*maxKey/10 {
			t.Errorf("%d bytes of fields", size)
		}
		if head, err := form.header(); err == nil {
			for name, values := range head {
				if len(values) != 1 || !isHeader(strings.ToLower(name), values[0]) {
					t.Errorf("header %q: %q", name, values)
				}
			}
		}
		n, err := io.Copy(io.Discard, &formFile{form: form, limits: sizeLimits{max: 10}})
		if err == nil && n > 10 {
			t.Errorf("%d bytes passed", n)
		}
	})
}
