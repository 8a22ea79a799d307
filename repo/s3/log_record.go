package s3

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// logged is a request as server access logs tell it.
type logged struct {
	*Record
	Owner     string // canonical ID of the owner of the bucket
	User      string // canonical ID of the requester; "" is anonymous
	Operation string // as logs name it: REST.GET.OBJECT
	Size      int64  // of the object; -1 when it is about none
	ByACL     bool   // an ACL was needed to allow it
	HostID    string
}

// line is the record in the server access log format of Amazon S3, with all fields of 2024:
// owner, bucket, time, remote address, requester, request ID, operation, key, request, status,
// code, bytes sent, size of the object, time in all and until the first byte, referrer, agent,
// version ID, host ID, signature, cipher, authentication, host, TLS, access point, ACL, region.
func (l *logged) line() string {
	remote := l.Remote
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	sent, size, acl, line, status, took, turned := "", "", "", `"-"`, "", "", ""
	if l.Method != "" { // not one of the server's own
		line, status = quotedField(l.Method+" "+WithoutSignature(l.URI)+" "+l.Proto), itoa(l.Status)
		took, turned = itoa(l.Duration.Milliseconds()), itoa(l.TurnAround.Milliseconds())
	}
	if l.Out > 0 {
		sent = itoa(l.Out)
	}
	if l.Size >= 0 {
		size = itoa(l.Size)
	}
	if l.ByACL {
		acl = "Yes"
	}
	agent := quotedField(l.UserAgent)
	fields := []string{
		l.Owner, l.Bucket, l.Time.UTC().Format("[02/Jan/2006:15:04:05 -0700]"), remote, l.User, l.ID, l.Operation, logEscape(l.Key, true),
		line, status, l.Code, sent, size, took, turned, quotedField(WithoutSignature(l.Referer)), agent, logEscape(l.VersionID, true), l.HostID,
		l.Scheme, l.Cipher, l.AuthType, logEscape(l.Host, true), l.TLS, "", acl, l.Region,
	}
	for i, f := range fields {
		if f == "" {
			fields[i] = "-"
		}
	}
	return strings.Join(fields, " ")
}

// quotedField quotes what a client sent, so that it can neither end the field nor the line.
func quotedField(s string) string {
	if s == "" {
		return `"-"`
	}
	return `"` + logEscape(s, false) + `"`
}

// logEscape escapes what would be taken for something else in a line; spaces, too, outside of quotes.
func logEscape(s string, spaces bool) string {
	special := func(c byte) bool { return c < ' ' || c == '"' || c >= 0x7f || c == ' ' && spaces }
	n := 0
	for i := range len(s) {
		if special(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if special(s[i]) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// logNames are the resources of operations in logs, where they do not follow from the
// subresource.
var logNames = map[string]string{
	"CopyObject": "REST.COPY.OBJECT", "UploadPartCopy": "REST.COPY.PART", "DeleteObjects": "REST.POST.MULTI_OBJECT_DELETE",
	"CreateMultipartUpload": "REST.POST.UPLOADS", "UploadPart": "REST.PUT.PART", "CompleteMultipartUpload": "REST.POST.UPLOAD",
	"AbortMultipartUpload": "REST.DELETE.UPLOAD", "ListParts": "REST.GET.UPLOAD", "PostObject": "REST.POST.BUCKET",
	"SelectObjectContent": "REST.SELECT.OBJECT", "ListObjectVersions": "REST.GET.BUCKETVERSIONS", "ListBuckets": "REST.GET.SERVICE",
}

// logResources are what logs call subresources.
var logResources = map[string]string{
	"policy": "BUCKETPOLICY", "policyStatus": "BUCKETPOLICYSTATUS", "logging": "LOGGING_STATUS", "requestPayment": "REQUEST_PAYMENT",
	"publicAccessBlock": "PUBLIC_ACCESS_BLOCK", "ownershipControls": "OWNERSHIP_CONTROLS", "object-lock": "OBJECT_LOCK_CONFIGURATION",
	"retention": "OBJECT_LOCK_RETENTION", "legal-hold": "OBJECT_LOCK_LEGALHOLD", "torrent": "OBJECT_TORRENT", "attributes": "OBJECT_ATTRIBUTES",
	"intelligent-tiering": "INTELLIGENT_TIERING",
}

// logName is what logs call the operation of a request.
func logName(op *operation, method string, site bool) string {
	if op == nil {
		if method == http.MethodOptions {
			return "REST.OPTIONS.PREFLIGHT"
		}
		return ""
	}
	resource := "OBJECT"
	if op.level == bucketLevel {
		resource = "BUCKET"
	}
	switch name := logNames[op.name]; {
	case site:
		return "WEBSITE." + method + ".OBJECT"
	case name != "":
		return name
	case op.sub == "tagging" && op.level == objectLevel:
		resource = "OBJECT_TAGGING"
	case logResources[op.sub] != "":
		resource = logResources[op.sub]
	case op.sub != "":
		resource = strings.ToUpper(op.sub)
	}
	return "REST." + method + "." + resource
}

// logKey is the key of an object of logs: day is that of the requests in it, and unique
// tells it from others.
func (l *loggingEnabled) logKey(owner, region, bucket string, day, now time.Time, unique string) string {
	f := l.KeyFormat
	if f == nil || f.PartitionedPrefix == nil {
		return l.TargetPrefix + now.UTC().Format("2006-01-02-15-04-05") + "-" + unique
	}
	at := now.UTC()
	if f.PartitionedPrefix.PartitionDateSource == "EventTime" {
		at = day.UTC().Truncate(24 * time.Hour)
	}
	return l.TargetPrefix + owner + "/" + region + "/" + bucket + at.Format("/2006/01/02/2006-01-02-15-04-05") + "-" + unique
}

// WithoutSignature takes the signature out of a presigned URL: until it expires, whoever
// reads the log could use it.
func WithoutSignature(uri string) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		plain, _ := url.QueryUnescape(name)
		switch strings.ToLower(plain) {
		case "x-amz-signature", "signature", "x-amz-security-token":
			pairs[i] = name + "=-"
		}
	}
	return path + "?" + strings.Join(pairs, "&")
}
