// Package auth verifies who signed a request and that its body is the one that was signed.
//
// It knows Signature Version 4 in the Authorization header, in the query and in the policy of
// a form, and Signature Version 2 in the last two, and if asked for in the first, as the Amazon S3 API reference gives them in "Authenticating Requests".
// What the caller may do is decided elsewhere.
//
// Invariants:
//
//  1. A request without any signature is anonymous; one with a signature that does not hold
//     is refused, and never becomes anonymous.
//  2. Every header that S3 gives a meaning (x-amz-*, host) is covered by the signature. Of the
//     host, version 2 covers the bucket that it names.
//  3. Result.Body ends with io.EOF only when every byte of it is what was signed or, where the
//     payload is not signed, as long as was announced.
//  4. Secrets, derived keys and canonical requests never leave the package.
package auth

import (
	"io"
	"net/http"
	"time"
)

// Options of New. Secret and Now are needed.
type Options struct {
	// Secret returns the secret of an access key. Its error is returned by Verify as it is.
	// It may be called by several goroutines at a time.
	Secret func(accessKey string) (string, error)
	Now    func() time.Time

	// Signature Version 2 is for queries and forms, unless NoV2 refuses it there, too, or
	// HeaderV2 takes it in headers as well.
	NoV2, HeaderV2 bool

	// Bucket returns the bucket that the host of a request names, "" when the path does:
	// Signature Version 2 covers it. nil means that the path always does.
	Bucket func(*http.Request) string
}

// Verifier verifies requests. It is safe for concurrent use.
type Verifier struct {
	opt  Options
	keys keyCache
}

// New returns a verifier.
func New(opt Options) *Verifier { return &Verifier{opt: opt} }

// Values of Result.Scheme and Result.Type, as S3 writes them to its access logs.
const (
	SigV4 = "SigV4"
	SigV2 = "SigV2"

	AuthHeader  = "AuthHeader"
	QueryString = "QueryString"
	PostForm    = "PostForm"
)

// Result is a request whose signature held.
type Result struct {
	AccessKey string    // "" is anonymous
	Scheme    string    // SigV4, SigV2, ""
	Type      string    // AuthHeader, QueryString, PostForm, ""
	Region    string    // of the scope
	Date      time.Time // when it was signed; zero when that is not known, as with SigV2
	SHA256    string    // x-amz-content-sha256 as sent

	// Body is the payload without the framing of aws-chunked. Instead of io.EOF it returns
	// an *Error when digest, chunk signature, length or trailer are not what was signed. So
	// what it gives is not to be believed before io.EOF. It reads the body of the request,
	// which the caller closes as ever.
	Body io.Reader
	Size int64 // of the payload; -1 when the client does not say

	// Trailer has, after Body returned io.EOF, the trailing headers that were announced and
	// verified, such as x-amz-checksum-crc32.
	Trailer http.Header
}

// Error is a signature, or a body, that is refused, with code and text of S3.
type Error struct {
	Code    string
	Message string      // "" is the usual text of the code
	Fields  [][2]string // further elements of the answer
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// fail returns an error whose elements are pairs of name and value.
func fail(code, message string, elements ...string) *Error {
	e := &Error{Code: code, Message: message}
	for i := 0; i+1 < len(elements); i += 2 {
		e.Fields = append(e.Fields, [2]string{elements[i], elements[i+1]})
	}
	return e
}

// Verify verifies the signature of a request before any of its body is read. Its errors are
// *Error, or that of Options.Secret.
func (v *Verifier) Verify(r *http.Request) (*Result, error) {
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	header := r.Header.Get("Authorization")
	inV4, inV2 := params.has("X-Amz-Algorithm"), params.has("Signature")
	if n := len(r.Header["Authorization"]); n > 1 || header != "" && (inV4 || inV2) || inV4 && inV2 {
		return nil, fail("InvalidArgument", "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "+
			"Signature query string parameter or the Authorization header should be specified",
			"ArgumentName", "Authorization", "ArgumentValue", header)
	}
	switch {
	case header != "":
		return v.verifyHeader(r, params, header)
	case inV4 || params.has("X-Amz-Credential") || params.has("X-Amz-Signature"):
		return v.verifyQueryV4(r, params)
	case inV2 || params.has("AWSAccessKeyId"):
		return v.verifyQueryV2(r, params)
	}
	res := &Result{SHA256: r.Header.Get("X-Amz-Content-Sha256")}
	return res, openBody(r, res, nil)
}

// errNotSupported refuses an authorization that S3 had once, or has elsewhere.
func errNotSupported() *Error {
	return fail("InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
}

// errMismatch carries what the client sent, and nothing that was calculated: the
// canonical request has headers that whoever replays a signature need not know.
func errMismatch(accessKey, provided string) *Error {
	return fail("SignatureDoesNotMatch", "", "AWSAccessKeyId", accessKey, "SignatureProvided", provided)
}

// errToken refuses the token of temporary credentials, which there are none of.
func errToken() *Error {
	return fail("InvalidToken", "The provided token is malformed or otherwise invalid.")
}

const (
	maxSkew    = 15 * time.Minute
	maxPresign = 7 * 24 * time.Hour

	amzTime = "20060102T150405Z"     // X-Amz-Date
	amzDay  = "20060102"             // of a credential
	isoTime = "2006-01-02T15:04:05Z" // in errors
)

// requestTime returns when a request with an Authorization header was made. Where both
// are there, x-amz-date counts: browsers and proxies set Date on their own.
func (v *Verifier) requestTime(r *http.Request) (time.Time, error) {
	values := r.Header["X-Amz-Date"]
	if len(values) == 0 {
		values = r.Header["Date"]
	}
	var sent string
	if len(values) > 0 {
		sent = values[0]
	}
	at, ok := parseTime(sent)
	if !ok {
		return time.Time{}, fail("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
	}
	now := v.opt.Now()
	if d := now.Sub(at); d > maxSkew || d < -maxSkew {
		return time.Time{}, fail("RequestTimeTooSkewed", "", "RequestTime", sent,
			"ServerTime", now.UTC().Format(isoTime), "MaxAllowedSkewMilliseconds", "900000")
	}
	return at, nil
}

// parseTime accepts the form of ISO 8601 that signatures use, and the dates of HTTP.
func parseTime(s string) (time.Time, bool) {
	t, err := time.Parse(amzTime, s)
	if err != nil {
		t, err = http.ParseTime(s)
	}
	if err != nil {
		t, err = time.Parse(time.RFC1123Z, s)
	}
	return t.UTC(), err == nil && t.Year() >= 1970
}
