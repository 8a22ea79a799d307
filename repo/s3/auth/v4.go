package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	unsignedSum = "UNSIGNED-PAYLOAD"
	emptySum    = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// credential is the parsed X-Amz-Credential.
type credential struct{ accessKey, day, region string }

func (c *credential) scope() string { return c.day + "/" + c.region + "/s3/aws4_request" }

// parseCredential returns what is wrong in the words of S3, or "". An access key may have slashes.
func parseCredential(s string) (c credential, wrong string) {
	f := strings.Split(s, "/")
	n := len(f) - 4
	if n < 1 {
		return c, `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
	}
	c = credential{strings.Join(f[:n], "/"), f[n], f[n+1]}
	_, err := time.Parse(amzDay, c.day)
	switch {
	case c.accessKey == "":
		return c, "a non-empty Access Key (AKID) must be provided in the credential."
	case err != nil || len(c.day) != len(amzDay):
		return c, fmt.Sprintf(`incorrect date format "%s". This date in the credential must be in the format "yyyyMMdd".`, c.day)
	case c.region == "":
		return c, "a non-empty region must be provided in the credential."
	case f[n+2] != "s3":
		return c, fmt.Sprintf(`incorrect service "%s". This endpoint belongs to "s3".`, f[n+2])
	case f[n+3] != "aws4_request":
		return c, fmt.Sprintf(`incorrect terminal "%s". This endpoint uses "aws4_request".`, f[n+3])
	}
	return c, ""
}

// signature is one of version 4, before it is compared.
type signature struct {
	credential
	signed   string // names of the signed headers, a semicolon between
	provided string
	at       time.Time
	sum      string // stands for the payload in the canonical request
}

func malformed(why string) *Error {
	return fail("AuthorizationHeaderMalformed", "The authorization header is malformed; "+why)
}

// parseAuthorization parses what follows the algorithm in an Authorization header.
func parseAuthorization(s string) (*signature, error) {
	got := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		name, value, ok := strings.Cut(part, "=")
		if _, twice := got[name]; !ok || twice || len(got) == 3 {
			return nil, malformed(fmt.Sprintf(`the authorization component "%s" is malformed.`, part))
		}
		got[name] = value
	}
	if len(got) != 3 {
		return nil, malformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if got[name] == "" {
			return nil, malformed("missing " + name + ".")
		}
	}
	c, wrong := parseCredential(got["Credential"])
	if wrong != "" {
		return nil, malformed(wrong)
	}
	return &signature{credential: c, signed: got["SignedHeaders"], provided: got["Signature"]}, nil
}

// verifyHeader verifies an Authorization header.
func (v *Verifier) verifyHeader(r *http.Request, p params, header string) (*Result, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	switch scheme {
	case algorithm:
	case "AWS":
		return v.verifyHeaderV2(r, p, header, rest)
	case "AWS4-ECDSA-P256-SHA256":
		return nil, errNotSupported()
	default:
		return nil, fail("InvalidArgument", "Unsupported Authorization Type", "ArgumentName", "Authorization", "ArgumentValue", header)
	}
	sig, err := parseAuthorization(rest)
	if err != nil {
		return nil, err
	}
	if sig.sum = r.Header.Get("X-Amz-Content-Sha256"); sig.sum == "" {
		return nil, fail("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	if sig.at, err = v.requestTime(r); err != nil {
		return nil, err
	}
	if stamp := sig.at.Format(amzDay); stamp != sig.day {
		if _, err := v.opt.Secret(sig.accessKey); err != nil {
			return nil, err // whoever has no key learns that first
		}
		return nil, malformed(fmt.Sprintf(`Invalid credential date "%s". This date is not the same as X-Amz-Date: "%s".`, sig.day, stamp))
	}
	return v.compare(r, p, sig, &Result{Type: AuthHeader, SHA256: sig.sum})
}

func badQuery(message string) *Error { return fail("AuthorizationQueryParametersError", message) }

// verifyQueryV4 verifies a presigned request.
func (v *Verifier) verifyQueryV4(r *http.Request, p params) (*Result, error) {
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		if p.count(name) != 1 {
			return nil, badQuery("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, " +
				"X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
	}
	if p.get("X-Amz-Algorithm") != algorithm {
		return nil, badQuery(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`)
	}
	c, wrong := parseCredential(p.get("X-Amz-Credential"))
	if wrong != "" {
		return nil, badQuery("Error parsing the X-Amz-Credential parameter; " + wrong)
	}
	sig := &signature{credential: c, signed: p.get("X-Amz-SignedHeaders"), provided: p.get("X-Amz-Signature")}
	stamp := p.get("X-Amz-Date")
	var err error
	if sig.at, err = time.Parse(amzTime, stamp); err != nil {
		return nil, badQuery(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	if stamp[:len(amzDay)] != sig.day {
		return nil, badQuery(fmt.Sprintf(`Invalid credential date "%s". This date is not the same as X-Amz-Date: "%s".`, sig.day, stamp[:len(amzDay)]))
	}
	if err := v.presignedTime(sig.at, p.get("X-Amz-Expires")); err != nil {
		return nil, err
	}
	if sig.sum = r.Header.Get("X-Amz-Content-Sha256"); sig.sum == "" {
		sig.sum = p.get("X-Amz-Content-Sha256")
	}
	res := &Result{Type: QueryString, SHA256: sig.sum}
	if sig.sum == "" {
		sig.sum = unsignedSum
	}
	return v.compare(r, p, sig, res)
}

// presignedTime refuses a presigned request before and after its time.
func (v *Verifier) presignedTime(at time.Time, expires string) error {
	seconds, err := strconv.ParseInt(expires, 10, 64)
	switch {
	case strings.HasPrefix(expires, "-") && err == nil && seconds < 0:
		return badQuery("X-Amz-Expires must be non-negative")
	case err == nil && seconds > int64(maxPresign/time.Second):
		return badQuery("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	case err != nil:
		return badQuery("X-Amz-Expires should be a number")
	}
	now, end := v.opt.Now(), at.Add(time.Duration(seconds)*time.Second)
	if at.Sub(now) > maxSkew {
		return fail("AccessDenied", "Request is not yet valid", "X-Amz-Date", strconv.FormatInt(at.UnixMilli(), 10),
			"Expires", end.Format(isoTime), "ServerTime", now.UTC().Format(isoTime))
	}
	if !now.Before(end) {
		return fail("AccessDenied", "Request has expired", "X-Amz-Expires", expires,
			"Expires", end.Format(isoTime), "ServerTime", now.UTC().Format(isoTime))
	}
	return nil
}

// compare calculates the signature and compares it with the one provided.
func (v *Verifier) compare(r *http.Request, p params, sig *signature, res *Result) (*Result, error) {
	signed := strings.Split(sig.signed, ";")
	if missing := unsigned(r, signed, p); len(missing) > 0 {
		return nil, fail("AccessDenied", "There were headers present in the request which were not signed",
			"HeadersNotSigned", strings.Join(missing, ", "))
	}
	secret, err := v.opt.Secret(sig.accessKey)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 1024)
	b = append(append(b, r.Method...), '\n')
	b = append(appendEscaped(b, r.URL.Path, true), '\n')
	b = append(appendQuery(b, p, "X-Amz-Signature"), '\n')
	for _, name := range signed {
		b = appendHeader(b, r, name)
	}
	b = append(append(append(append(b, '\n'), sig.signed...), '\n'), sig.sum...)
	canonical := sha256.Sum256(b)

	stamp, scope := sig.at.Format(amzTime), sig.scope()
	b = append(b[:0], algorithm+"\n"...)
	b = append(append(b, stamp...), '\n')
	b = append(append(b, scope...), '\n')
	b = hex.AppendEncode(b, canonical[:])
	key, known := v.keys.get(sig.credential, secret)
	if !known {
		key = deriveKey(sig.credential, secret)
	}
	if !sameSignature(key, b, sig.provided) {
		return nil, errMismatch(sig.accessKey, sig.provided)
	}
	if !known {
		v.keys.put(sig.credential, secret, key, v.opt.Now())
	}
	if len(r.Header["X-Amz-Security-Token"]) > 0 || p.has("X-Amz-Security-Token") {
		return nil, errToken()
	}
	res.AccessKey, res.Scheme, res.Region, res.Date = sig.accessKey, SigV4, sig.region, sig.at
	return res, openBody(r, res, &chunkKey{key: key, stamp: stamp, scope: scope, accessKey: sig.accessKey, previous: sig.provided})
}

type signingKey [sha256.Size]byte

func deriveKey(c credential, secret string) (key signingKey) {
	k := []byte("AWS4" + secret)
	for _, s := range []string{c.day, c.region, "s3", "aws4_request"} {
		h := hmac.New(sha256.New, k)
		h.Write([]byte(s))
		k = h.Sum(key[:0])
	}
	return key
}

// sameSignature compares in constant time.
func sameSignature(key signingKey, toSign []byte, provided string) bool {
	h := hmac.New(sha256.New, key[:])
	h.Write(toSign)
	var sum [sha256.Size]byte
	var want [2 * sha256.Size]byte
	hex.Encode(want[:], h.Sum(sum[:0]))
	return subtle.ConstantTimeCompare(want[:], []byte(provided)) == 1
}
