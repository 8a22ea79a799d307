package auth

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSignedRequests has requests whose canonical form is easily got wrong.
func TestSignedRequests(t *testing.T) {
	tests := []struct {
		name, method, path, query string
		headers                   map[string]string
	}{
		{"double slash", "GET", "/b//k", "", nil},
		{"dots", "GET", "/b/a/./b/../c/", "", nil},
		{"leading slashes", "PUT", "/b//lead", "", nil},
		{"space and plus", "PUT", "/b/a%20b%2Bc", "", nil},
		{"reserved", "PUT", "/b/%3A%40%26%3D%2B%24%2C%21%2A%27%28%29", "", nil},
		{"percent", "PUT", "/b/100%25", "", nil},
		{"encoded slash", "PUT", "/b/a%2Fb", "", nil},
		{"emoji", "PUT", "/b/%F0%9F%98%80", "", nil},
		{"control", "PUT", "/b/%01%0A", "", nil},
		{"tilde", "GET", "/b/~-._", "", nil},
		{"subresource", "GET", "/b", "acl", nil},
		{"encoded names sort first", "GET", "/b", "prefix=a%2Fb&delimiter=%2F&list-type=2&a%3Db=1&a=2", nil},
		{"values of one name", "GET", "/b", "x=2&x=10&x=", nil},
		{"runs of spaces", "PUT", "/b/k", "", map[string]string{"x-amz-meta-a": "  one   two  ", "content-type": "text/plain"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSigner(tt.method, tt.path, tt.query, []byte("body"))
			if strings.Contains(tt.path, "%2Fb") {
				s.path = "/b/a/b" // S3 signs the decoded path, where the two are one
			}
			for k, v := range tt.headers {
				s.headers[k] = v
			}
			for _, r := range []*http.Request{first(s.header()), s.presigned("60")} {
				if _, err := newVerifier(testTime).Verify(r); err != nil {
					t.Errorf("%s: %v", r.RequestURI, err)
				}
			}
		})
	}
}

func first(r *http.Request, _ string) *http.Request { return r }

// TestWirePath signs the path escaped as clients do and sends it as some of them do.
func TestWirePath(t *testing.T) {
	s := newSigner("GET", "/b/a%3Ab%2Bc%3D%24", "", nil)
	signed, _ := s.header()
	r := newRequest("GET", "/b/a:b+c=$", nil)
	r.Host, r.Header = signed.Host, signed.Header
	if _, err := newVerifier(testTime).Verify(r); err != nil {
		t.Error(err)
	}
}

func TestRepeatedHeaders(t *testing.T) {
	s := newSigner("PUT", "/b/k", "", nil)
	s.headers["x-amz-meta-list"] = "a,b"
	r, _ := s.header()
	r.Header["X-Amz-Meta-List"] = []string{"a", "b"}
	if _, err := newVerifier(testTime).Verify(r); err != nil {
		t.Error(err)
	}
}

func TestPlusIsSpaceInQuery(t *testing.T) {
	s := newSigner("GET", "/b", "prefix=a%20b", nil)
	signed, _ := s.header()
	r := newRequest("GET", "/b?prefix=a+b", nil)
	r.Host, r.Header = signed.Host, signed.Header
	if _, err := newVerifier(testTime).Verify(r); err != nil {
		t.Error(err)
	}
}

func TestDateHeader(t *testing.T) {
	s := newSigner("GET", "/b", "", nil)
	s.headers["date"] = testTime.Format(http.TimeFormat)
	s.headers["x-amz-content-sha256"] = s.sum
	signed, sig := s.sign(s.sum, "")
	r := s.request("")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+testKey+"/"+s.scope()+",SignedHeaders="+signed+",Signature="+sig)
	if _, err := newVerifier(testTime).Verify(r); err != nil {
		t.Error(err)
	}
}

// TestMutations changes each part of a valid request; none may hold.
func TestMutations(t *testing.T) {
	mutations := map[string]func(*http.Request){
		"method": func(r *http.Request) { r.Method = "DELETE" },
		"path":   func(r *http.Request) { r.URL.Path += "x" },
		"query value": func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "versionId=1", "versionId=2", 1)
		},
		"query added":    func(r *http.Request) { r.URL.RawQuery += "&acl" },
		"query removed":  func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "versionId=1", "", 1) },
		"host":           func(r *http.Request) { r.Host = "example.org" },
		"signed header":  func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "2") },
		"header doubled": func(r *http.Request) { r.Header.Add("X-Amz-Meta-A", "1") },
		"header removed": func(r *http.Request) { r.Header.Del("Content-Type") },
		"header added":   func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") },
		"payload hash":   func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", sumHex([]byte("other"))) },
		"content length": func(r *http.Request) { r.ContentLength++ },
	}
	newOne := func() *signer {
		s := newSigner("PUT", "/b/k", "versionId=1", []byte("body"))
		s.headers["x-amz-meta-a"], s.headers["content-type"], s.headers["content-length"] = "1", "text/plain", "4"
		return s
	}
	for name, mutate := range mutations {
		t.Run(name, func(t *testing.T) {
			for _, r := range []*http.Request{first(newOne().header()), newOne().presigned("60")} {
				if _, err := newVerifier(testTime).Verify(r); err != nil {
					t.Fatal(err)
				}
				mutate(r)
				_, err := newVerifier(testTime).Verify(r)
				code := "SignatureDoesNotMatch"
				if name == "header added" {
					code = "AccessDenied"
				}
				e := wantCode(t, err, code)
				if code == "AccessDenied" && element(e, "HeadersNotSigned") != "x-amz-acl" {
					t.Errorf("elements %v", e.Fields)
				}
				for _, f := range e.Fields {
					if strings.Contains(f[0], "Canonical") || strings.Contains(f[0], "ToSign") {
						t.Errorf("element %s", f[0])
					}
				}
			}
		})
	}
}

// TestSignatureBytes flips every character of a signature.
func TestSignatureBytes(t *testing.T) {
	s := newSigner("GET", "/b/k", "", nil)
	r, sig := s.header()
	good := r.Header.Get("Authorization")
	for i := range sig {
		c := byte('0')
		if sig[i] == c {
			c = '1'
		}
		r.Header.Set("Authorization", strings.Replace(good, sig, sig[:i]+string(c)+sig[i+1:], 1))
		_, err := newVerifier(testTime).Verify(r)
		wantCode(t, err, "SignatureDoesNotMatch")
	}
	for _, bad := range []string{sig[:63], sig + "0", strings.ToUpper(sig)} {
		r.Header.Set("Authorization", strings.Replace(good, sig, bad, 1))
		_, err := newVerifier(testTime).Verify(r)
		if e := wantCode(t, err, "SignatureDoesNotMatch"); element(e, "SignatureProvided") != bad || element(e, "AWSAccessKeyId") != testKey {
			t.Errorf("elements %v", e.Fields)
		}
	}
}

func TestAuthorizationErrors(t *testing.T) {
	s := newSigner("PUT", "/b/k", "", []byte("body"))
	valid, _ := s.header()
	good := valid.Header.Get("Authorization")
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	const bad = "The authorization header is malformed; "
	tests := []struct{ name, header, code, message string }{
		{"unknown scheme", "Basic Zm9vOmJhcg==", "InvalidArgument", "Unsupported Authorization Type"},
		{"almost", "AWS4 HAHAHA", "InvalidArgument", "Unsupported Authorization Type"},
		{"ecdsa", swap("HMAC-SHA256", "ECDSA-P256-SHA256"), "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."},
		{"version 2", "AWS " + testKey + ":c2lnbmF0dXJl", "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."},
		{"version 2, garbage", "AWS HAHAHA", "InvalidArgument", "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature"},
		{"version 2, spaces", "AWS a b:c", "InvalidArgument", "Authorization header is invalid -- one and only one ' ' (space) required"},
		{"nothing", "AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed", bad + `the authorization component "" is malformed.`},
		{"one component", "AWS4-HMAC-SHA256 Credential=HAHAHA", "AuthorizationHeaderMalformed", bad + "the authorization header requires three components: Credential, SignedHeaders, and Signature."},
		{"twice", good + ", Signature=00", "AuthorizationHeaderMalformed", bad + `the authorization component "Signature=00" is malformed.`},
		{"unknown component", swap("SignedHeaders=", "Headers="), "AuthorizationHeaderMalformed", bad + "missing SignedHeaders."},
		{"short credential", swap("/aws4_request", ""), "AuthorizationHeaderMalformed", bad + `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`},
		{"no access key", swap(testKey, ""), "AuthorizationHeaderMalformed", bad + "a non-empty Access Key (AKID) must be provided in the credential."},
		{"day", swap("/20130524/", "/2013-05-24/"), "AuthorizationHeaderMalformed", bad + `incorrect date format "2013-05-24". This date in the credential must be in the format "yyyyMMdd".`},
		{"other day", swap("/20130524/", "/20130523/"), "AuthorizationHeaderMalformed", bad + `Invalid credential date "20130523". This date is not the same as X-Amz-Date: "20130524".`},
		{"service", swap("/s3/", "/s3express/"), "AuthorizationHeaderMalformed", bad + `incorrect service "s3express". This endpoint belongs to "s3".`},
		{"terminal", swap("aws4_request", "aws5_request"), "AuthorizationHeaderMalformed", bad + `incorrect terminal "aws5_request". This endpoint uses "aws4_request".`},
		{"another region", swap("/firn-1/", "/us-east-1/"), "SignatureDoesNotMatch", ""},
		{"host not signed", swap("host;", ""), "AccessDenied", "There were headers present in the request which were not signed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := s.header()
			r.Header.Set("Authorization", tt.header)
			_, err := newVerifier(testTime).Verify(r)
			if e := wantCode(t, err, tt.code); e.Message != tt.message {
				t.Errorf("message %q, want %q", e.Message, tt.message)
			}
		})
	}
	for _, credential := range []string{"NOBODY/20130524/", "NOBODY/20130523/"} {
		r, _ := s.header()
		r.Header.Set("Authorization", swap(testKey+"/20130524/", credential))
		if _, err := newVerifier(testTime).Verify(r); !errors.Is(err, errNoKey) {
			t.Errorf("%s: got %v", credential, err)
		}
	}
}

func TestDates(t *testing.T) {
	const needDate = "AWS authentication requires a valid Date or x-amz-date header"
	tests := []struct {
		name, amzDate, date, code, message string
	}{
		{"garbage", "Bad Date", "", "AccessDenied", needDate},
		{"empty beside a good one", "-", testTime.Format(http.TimeFormat), "AccessDenied", needDate},
		{"none", "", "", "AccessDenied", needDate},
		{"before 1970", "19500707T215304Z", "", "AccessDenied", needDate},
		{"past", "20100707T215304Z", "", "RequestTimeTooSkewed", ""},
		{"future", "99990707T215304Z", "", "RequestTimeTooSkewed", ""},
		{"just too old", "20130523T234459Z", "", "RequestTimeTooSkewed", ""},
		{"old but good, wrong day", "20130523T234501Z", "", "AuthorizationHeaderMalformed",
			`The authorization header is malformed; Invalid credential date "20130524". This date is not the same as X-Amz-Date: "20130523".`},
	}
	for _, tt := range tests {
		for _, scheme := range []string{"v4", "v2"} {
			t.Run(tt.name+" "+scheme, func(t *testing.T) {
				r, _ := newSigner("GET", "/b", "", nil).header()
				r.Header.Del("X-Amz-Date")
				switch tt.amzDate {
				case "":
				case "-":
					r.Header["X-Amz-Date"] = []string{""}
				default:
					r.Header.Set("X-Amz-Date", tt.amzDate)
				}
				if tt.date != "" {
					r.Header.Set("Date", tt.date)
				}
				code, message := tt.code, tt.message
				if scheme == "v2" {
					r.Header.Set("Authorization", "AWS a:b")
					if code == "AuthorizationHeaderMalformed" {
						code, message = "InvalidRequest", errNotSupported().Message
					}
				}
				v := newVerifier(testTime)
				// What is wrong with the date comes before the refusal of version 2.
				_, err := v.Verify(r)
				e := wantCode(t, err, code)
				if e.Message != message {
					t.Errorf("message %q, want %q", e.Message, message)
				}
				if code == "RequestTimeTooSkewed" && (element(e, "RequestTime") != tt.amzDate || element(e, "ServerTime") != "2013-05-24T00:00:00Z" ||
					element(e, "MaxAllowedSkewMilliseconds") != "900000") {
					t.Errorf("elements %v", e.Fields)
				}
			})
		}
	}
}

func TestPayloadHashHeader(t *testing.T) {
	r, _ := newSigner("GET", "/b", "", nil).header()
	r.Header.Del("X-Amz-Content-Sha256")
	_, err := newVerifier(testTime).Verify(r)
	if e := wantCode(t, err, "InvalidRequest"); e.Message != "Missing required header for this request: x-amz-content-sha256" {
		t.Error(e.Message)
	}
	for _, bad := range []string{"STREAMING-UNSIGNED-PAYLOAD", "STREAMING-UNKNOWN", "abc", strings.Repeat("g", 64), emptySum[:62]} {
		s := newSigner("PUT", "/b/k", "", nil)
		s.sum = bad
		r, _ := s.header()
		_, err := newVerifier(testTime).Verify(r)
		if e := wantCode(t, err, "InvalidArgument"); element(e, "ArgumentName") != "x-amz-content-sha256" || element(e, "ArgumentValue") != bad {
			t.Errorf("elements %v", e.Fields)
		}
	}
	s := newSigner("PUT", "/b/k", "", nil)
	s.sum = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
	r, _ = s.header()
	_, err = newVerifier(testTime).Verify(r)
	wantCode(t, err, "NotImplemented")
}

func TestPresignedErrors(t *testing.T) {
	const missing = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
	remove := func(name string) func(string) string {
		return func(q string) string {
			i := strings.Index(q, name+"=")
			j := strings.IndexByte(q[i:]+"&", '&')
			return strings.Trim(q[:i]+(q + "&")[i+j+1:], "&")
		}
	}
	swap := func(old, new string) func(string) string {
		return func(q string) string { return strings.Replace(q, old, new, 1) }
	}
	const credential = "Error parsing the X-Amz-Credential parameter; "
	tests := []struct {
		name, expires string
		change        func(string) string
		code, message string
	}{
		{"no algorithm", "60", remove("X-Amz-Algorithm"), "AuthorizationQueryParametersError", missing},
		{"no credential", "60", remove("X-Amz-Credential"), "AuthorizationQueryParametersError", missing},
		{"no signature", "60", remove("X-Amz-Signature"), "AuthorizationQueryParametersError", missing},
		{"no date", "60", remove("X-Amz-Date"), "AuthorizationQueryParametersError", missing},
		{"no signed headers", "60", remove("X-Amz-SignedHeaders"), "AuthorizationQueryParametersError", missing},
		{"no expiry", "60", remove("X-Amz-Expires"), "AuthorizationQueryParametersError", missing},
		{"two signatures", "60", func(q string) string { return q + "&X-Amz-Signature=0" }, "AuthorizationQueryParametersError", missing},
		{"algorithm", "60", swap("AWS4-HMAC", "AWS4-ECDSA"), "AuthorizationQueryParametersError", `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`},
		{"credential", "60", swap("%2Faws4_request", ""), "AuthorizationQueryParametersError", credential + `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`},
		{"service", "60", swap("%2Fs3%2F", "%2Fec2%2F"), "AuthorizationQueryParametersError", credential + `incorrect service "ec2". This endpoint belongs to "s3".`},
		{"date", "60", swap("X-Amz-Date=20130524T", "X-Amz-Date=20130524"), "AuthorizationQueryParametersError", `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`},
		{"day", "60", swap("X-Amz-Date=20130524T", "X-Amz-Date=20130523T"), "AuthorizationQueryParametersError", `Invalid credential date "20130524". This date is not the same as X-Amz-Date: "20130523".`},
		{"negative", "-7", nil, "AuthorizationQueryParametersError", "X-Amz-Expires must be non-negative"},
		{"a week and more", "604801", nil, "AuthorizationQueryParametersError", "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"},
		{"no number", "soon", nil, "AuthorizationQueryParametersError", "X-Amz-Expires should be a number"},
		{"zero", "0", nil, "AccessDenied", "Request has expired"},
		{"expiry raised", "60", swap("X-Amz-Expires=60", "X-Amz-Expires=600"), "SignatureDoesNotMatch", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newSigner("GET", "/b/k", "", nil).presigned(tt.expires)
			if tt.change != nil {
				changed := tt.change(r.URL.RawQuery)
				if changed == r.URL.RawQuery {
					t.Fatal("nothing was changed")
				}
				r.URL.RawQuery = changed
			}
			_, err := newVerifier(testTime).Verify(r)
			if e := wantCode(t, err, tt.code); e.Message != tt.message {
				t.Errorf("message %q, want %q", e.Message, tt.message)
			}
		})
	}
}

func TestPresignedTime(t *testing.T) {
	tests := []struct {
		name    string
		now     time.Time
		message string // "" is accepted
	}{
		{"at once", testTime, ""},
		{"clock of the client is ahead", testTime.Add(-15 * time.Minute), ""},
		{"not yet", testTime.Add(-16 * time.Minute), "Request is not yet valid"},
		{"last second", testTime.Add(59 * time.Second), ""},
		{"after", testTime.Add(60 * time.Second), "Request has expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newVerifier(tt.now).Verify(newSigner("GET", "/b/k", "", nil).presigned("60"))
			if tt.message == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := wantCode(t, err, "AccessDenied")
			if e.Message != tt.message || element(e, "Expires") != "2013-05-24T00:01:00Z" || element(e, "ServerTime") != tt.now.Format(isoTime) {
				t.Errorf("%q %v", e.Message, e.Fields)
			}
		})
	}
}

func TestPresignedMethod(t *testing.T) {
	r := newSigner("GET", "/b/k", "", nil).presigned("60")
	r.Method = "HEAD"
	_, err := newVerifier(testTime).Verify(r)
	wantCode(t, err, "SignatureDoesNotMatch")
}

// TestPresignedPayload covers the payload hash that a client may send beside a URL.
func TestPresignedPayload(t *testing.T) {
	s := newSigner("PUT", "/b/k", "", []byte("body"))
	r := s.presigned("60")
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if _, err := newVerifier(testTime).Verify(r); err != nil {
		t.Errorf("unsigned: %v", err)
	}
	r = s.presigned("60")
	r.Header.Set("X-Amz-Content-Sha256", s.sum)
	_, err := newVerifier(testTime).Verify(r)
	wantCode(t, err, "SignatureDoesNotMatch")

	s.headers["x-amz-content-sha256"] = s.sum
	r = s.presigned("60")
	r.Body = io.NopCloser(strings.NewReader("ydob"))
	res, err := newVerifier(testTime).Verify(r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(res.Body)
	wantCode(t, err, "XAmzContentSHA256Mismatch")
}

func TestHoist(t *testing.T) {
	s := newSigner("PUT", "/b/k", "x-amz-acl=public-read&x-amz-meta-a=%20b&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", nil)
	r := s.presigned("60")
	Hoist(r)
	if r.Header.Get("x-amz-acl") != "public-read" || r.Header.Get("x-amz-meta-a") != " b" || len(r.Header) != 2 {
		t.Errorf("headers %v", r.Header)
	}
	if _, err := newVerifier(testTime).Verify(r); err != nil {
		t.Error(err)
	}

	r = s.presigned("60")
	r.Header.Set("x-amz-acl", "private") // neither signed nor what the query says
	Hoist(r)
	_, err := newVerifier(testTime).Verify(r)
	wantCode(t, err, "AccessDenied")

	r = newRequest("PUT", "/b/k?x-amz-acl=public-read", nil)
	if Hoist(r); len(r.Header) != 0 {
		t.Errorf("without signature: headers %v", r.Header)
	}
	r = newSigner("PUT", "/b/k", "x-amz-acl=a%0Ab", nil).presigned("60")
	if Hoist(r); len(r.Header) != 0 {
		t.Errorf("with a newline: headers %v", r.Header)
	}
}

func TestMechanisms(t *testing.T) {
	v := newVerifier(testTime)
	both := newSigner("GET", "/b/k", "", nil).presigned("60")
	both.Header.Set("Authorization", "AWS4-HMAC-SHA256 x")
	_, err := v.Verify(both)
	wantCode(t, err, "InvalidArgument")
	_, err = v.Verify(newRequest("GET", "/b?X-Amz-Algorithm=AWS4-HMAC-SHA256&Signature=x", nil))
	wantCode(t, err, "InvalidArgument")
	_, err = v.Verify(newRequest("GET", "/b", nil, "Authorization", "a", "Authorization", "b"))
	wantCode(t, err, "InvalidArgument")
	_, err = v.Verify(newRequest("GET", "/b?x=%zz", nil))
	wantCode(t, err, "InvalidURI")

	for _, r := range []*http.Request{newRequest("GET", "/b", nil), newRequest("GET", "/b", nil, "Authorization", "")} {
		res, err := v.Verify(r)
		if err != nil || res.AccessKey != "" || res.Scheme != "" || res.Type != "" {
			t.Errorf("anonymous: %+v, %v", res, err)
		}
	}
}

func TestSecurityToken(t *testing.T) {
	s := newSigner("GET", "/b", "", nil)
	s.headers["x-amz-security-token"] = "token"
	r, _ := s.header()
	_, err := newVerifier(testTime).Verify(r)
	wantCode(t, err, "InvalidToken")
	_, err = newVerifier(testTime).Verify(newSigner("GET", "/b", "X-Amz-Security-Token=t", nil).presigned("60"))
	wantCode(t, err, "InvalidToken")
}

// TestKeyCache makes sure that derived keys are kept for a day, within a bound, and only for
// the secret that they came from.
func TestKeyCache(t *testing.T) {
	now, secret := testTime, testSecret
	v := New(Options{Now: func() time.Time { return now }, Secret: func(string) (string, error) { return secret, nil }})
	verify := func() error {
		s := newSigner("GET", "/b", "", nil)
		s.at = now
		r, _ := s.header()
		_, err := v.Verify(r)
		return err
	}
	for range 3 {
		if err := verify(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(v.keys.keys); n != 1 {
		t.Errorf("%d keys are kept, want 1", n)
	}
	secret = "another"
	wantCode(t, verify(), "SignatureDoesNotMatch")
	if n := len(v.keys.keys); n != 1 {
		t.Errorf("%d keys are kept after a failure, want 1", n)
	}
	secret, now = testSecret, now.AddDate(0, 0, 1)
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	if n := len(v.keys.keys); n != 1 {
		t.Errorf("%d keys are kept the day after, want 1", n)
	}
	for i := range 2 * maxKeys {
		v.keys.put(credential{accessKey: string(rune(i))}, "s", signingKey{}, now)
	}
	if n := len(v.keys.keys); n > maxKeys {
		t.Errorf("%d keys are kept, more than %d", n, maxKeys)
	}
}
