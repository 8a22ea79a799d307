package auth

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// verifyHeaderV2 verifies an Authorization header of version 2; rest is what follows its
// scheme. Faults of the header come before the refusal of the version.
func (v *Verifier) verifyHeaderV2(r *http.Request, p params, header, rest string) (*Result, error) {
	if strings.Contains(rest, " ") {
		return nil, fail("InvalidArgument", "Authorization header is invalid -- one and only one ' ' (space) required",
			"ArgumentName", "Authorization", "ArgumentValue", header)
	}
	accessKey, provided, _ := strings.Cut(rest, ":")
	if accessKey == "" || provided == "" {
		return nil, fail("InvalidArgument", "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
			"ArgumentName", "Authorization", "ArgumentValue", header)
	}
	if _, err := v.requestTime(r); err != nil {
		return nil, err
	}
	if !v.opt.HeaderV2 {
		return nil, errNotSupported()
	}
	var date string // x-amz-date is signed among its like
	if len(r.Header["X-Amz-Date"]) == 0 {
		date = r.Header.Get("Date")
	}
	return v.compareV2(r, p, accessKey, date, provided, AuthHeader)
}

// verifyQueryV2 verifies a presigned request of version 2.
func (v *Verifier) verifyQueryV2(r *http.Request, p params) (*Result, error) {
	for _, name := range []string{"Signature", "Expires", "AWSAccessKeyId"} {
		if p.count(name) != 1 {
			return nil, fail("AccessDenied", "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
		}
	}
	if v.opt.NoV2 {
		return nil, errNotSupported()
	}
	expires, accessKey, provided := p.get("Expires"), p.get("AWSAccessKeyId"), p.get("Signature")
	seconds, err := strconv.ParseInt(expires, 10, 64)
	if err != nil {
		return nil, fail("AccessDenied", "Invalid date (should be seconds since epoch): "+expires)
	}
	now := v.opt.Now()
	if now.Unix() >= seconds {
		return nil, fail("AccessDenied", "Request has expired", "Expires", time.Unix(seconds, 0).UTC().Format(isoTime),
			"ServerTime", now.UTC().Format(isoTime))
	}
	return v.compareV2(r, p, accessKey, expires, provided, QueryString)
}

// compareV2 calculates a signature and compares it with the one provided. date is what
// stands for the time in it; kind is for Result.Type.
func (v *Verifier) compareV2(r *http.Request, p params, accessKey, date, provided, kind string) (*Result, error) {
	secret, err := v.opt.Secret(accessKey)
	if err != nil {
		return nil, err
	}
	path := r.URL.EscapedPath()
	if v.opt.Bucket != nil {
		if bucket := v.opt.Bucket(r); bucket != "" {
			path = "/" + bucket + path
		}
	}
	held := sameSignatureV2(secret, stringToSignV2(r, p, date, path), provided)
	if !held && len(path) > 1 && strings.LastIndexByte(path, '/') == 0 {
		// Of a bucket in the path some clients sign /BUCKET, some /BUCKET/.
		held = sameSignatureV2(secret, stringToSignV2(r, p, date, path+"/"), provided)
	}
	if !held {
		return nil, errMismatch(accessKey, provided)
	}
	if len(r.Header["X-Amz-Security-Token"]) > 0 || p.has("x-amz-security-token") {
		return nil, errToken()
	}
	res := &Result{AccessKey: accessKey, Scheme: SigV2, Type: kind, SHA256: r.Header.Get("X-Amz-Content-Sha256")}
	return res, openBody(r, res, nil)
}

// sameSignatureV2 compares in constant time.
func sameSignatureV2(secret, toSign, provided string) bool {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(toSign))
	want := base64.StdEncoding.EncodeToString(h.Sum(nil))
	return subtle.ConstantTimeCompare([]byte(want), []byte(provided)) == 1
}

// stringToSignV2 has what version 2 covers: the path as it came over the wire, with the bucket in it, the
// subresources, and of the headers those that are x-amz-*, Content-MD5 and Content-Type.
func stringToSignV2(r *http.Request, p params, date, path string) string {
	var b strings.Builder
	for _, s := range []string{r.Method, r.Header.Get("Content-Md5"), r.Header.Get("Content-Type"), date} {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	var names []string
	for key := range r.Header {
		if len(key) >= 6 && strings.EqualFold(key[:6], "x-amz-") {
			names = append(names, key)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	for _, key := range names {
		b.WriteString(strings.ToLower(key))
		b.WriteByte(':')
		for i, value := range r.Header[key] {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.TrimSpace(value))
		}
		b.WriteByte('\n')
	}
	b.WriteString(path)
	var sub params
	for _, q := range p {
		if resourceV2[q.name] || strings.HasPrefix(q.name, "response-") {
			sub = append(sub, q)
		}
	}
	slices.SortStableFunc(sub, func(a, b param) int { return strings.Compare(a.name, b.name) })
	for i, q := range sub {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(q.name)
		if q.value != "" {
			b.WriteString("=" + q.value)
		}
	}
	return b.String()
}

// resourceV2 are the parameters that version 2 covers: all that select an operation or what it
// is about, since an uncovered one could be added to a URL by whoever got it.
var resourceV2 = map[string]bool{
	"abac": true, "accelerate": true, "acl": true, "analytics": true, "attributes": true, "cors": true, "defaultObjectAcl": true,
	"delete": true, "encryption": true, "intelligent-tiering": true, "inventory": true, "legal-hold": true, "lifecycle": true,
	"location": true, "logging": true, "metadataConfiguration": true, "metadataInventoryTable": true,
	"metadataJournalTable": true, "metadataTable": true, "metrics": true, "notification": true, "object-lock": true,
	"ownershipControls": true, "partNumber": true, "policy": true, "policyStatus": true, "publicAccessBlock": true,
	"renameObject": true, "replication": true, "requestPayment": true, "restore": true, "retention": true, "select": true,
	"select-type": true, "session": true, "storageClass": true, "tagging": true, "torrent": true, "uploadId": true,
	"uploads": true, "versionId": true, "versioning": true, "versions": true, "website": true,
}
