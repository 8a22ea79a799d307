package s3

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/lifecycle"
)

const (
	userHeader  = "x-amz-meta-"
	maxUserMeta = 2 << 10
	defaultType = "binary/octet-stream"
)

// systemHeaders are the headers of HTTP that belong to an object, as System has them.
var systemHeaders = []string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}

// unsupported headers ask for what is not done.
var unsupported = []string{
	"x-amz-write-offset-bytes", "x-amz-object-lock-event-hold", "x-amz-object-lock-event-hold-duration-days",
	"x-amz-object-lock-event-hold-duration-years",
}

// newVersion makes a version of what the headers of a request, or the fields of a form, say
// of the object, but for its encryption.
func (q *request) newVersion(head http.Header) (*index.Version, error) {
	for _, name := range unsupported {
		if head.Get(name) != "" {
			return nil, errorf("NotImplemented", "").with("Header", name)
		}
	}
	v := &index.Version{}
	if err := parseMetadata(head, v); err != nil {
		return nil, err
	}
	return v, q.newAttributes(head, v)
}

// newAttributes sets what a copy never takes from its source: class, owner, ACL, lock and
// redirect.
func (q *request) newAttributes(head http.Header, v *index.Version) (err error) {
	if v.Class, err = parseClass(head); err != nil {
		return err
	}
	if err := q.newLock(head, v); err != nil {
		return err
	}
	if err := parseRedirect(head, v); err != nil {
		return err
	}
	owner := q.newOwner(head)
	v.System[metaOwner] = owner
	acl, err := q.newACL(head, owner)
	if acl != "" {
		v.System[metaACL] = acl
	}
	return err
}

// parseMetadata reads system metadata, user metadata and tags.
func parseMetadata(head http.Header, v *index.Version) (err error) {
	v.System = map[string]string{}
	for _, name := range systemHeaders {
		if value := head.Get(name); value != "" {
			v.System[name] = value
		}
	}
	if e, ok := v.System["content-encoding"]; ok {
		if e = withoutChunked(e); e == "" {
			delete(v.System, "content-encoding")
		} else {
			v.System["content-encoding"] = e
		}
	}
	if v.System["content-type"] == "" {
		v.System["content-type"] = defaultType
	}
	if v.User, err = parseUserMeta(head); err != nil {
		return err
	}
	if tags := head.Get("x-amz-tagging"); tags != "" {
		v.Tags, err = parseTagging(tags)
	}
	return err
}

// withoutChunked removes the coding that belongs to the transfer and not to the object.
func withoutChunked(encoding string) string {
	if !strings.Contains(strings.ToLower(encoding), "aws-chunked") {
		return encoding
	}
	list := strings.Split(encoding, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	list = slices.DeleteFunc(list, func(c string) bool { return c == "" || strings.EqualFold(c, "aws-chunked") })
	return strings.Join(list, ",")
}

// parseUserMeta reads x-amz-meta headers. Encoded words of RFC 2047 are decoded; other bytes
// beyond ASCII are ISO 8859-1, as HTTP has it.
func parseUserMeta(head http.Header) (map[string]string, error) {
	user := map[string]string{}
	size := 0
	for name, values := range head {
		short, ok := strings.CutPrefix(strings.ToLower(name), userHeader)
		if !ok {
			continue
		}
		if strings.ContainsFunc(short, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("()<>@,;:\\\"/[]?={}", r) }) {
			return nil, badArgument("The name of a metadata entry is not one of a header.", name, "") // a form may have any
		}
		value := decodeMeta(strings.Join(values, ","))
		user[short] = value
		size += len(short) + len(value)
	}
	if size > maxUserMeta {
		return nil, errorf("MetadataTooLarge", "").with("Size", itoa(size)).with("MaxSizeAllowed", itoa(maxUserMeta))
	}
	return user, nil
}

func decodeMeta(s string) string {
	if strings.Contains(s, "=?") {
		if d, err := new(mime.WordDecoder).DecodeHeader(s); err == nil && utf8.ValidString(d) {
			return d
		}
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return s
	}
	b := make([]rune, len(s))
	for i := range len(s) {
		b[i] = rune(s[i])
	}
	return string(b)
}

// encodeMeta returns a value as a header has it; ok is false when it has characters that
// cannot be printed.
func encodeMeta(s string) (value string, ok bool) {
	other, all := 0, 0
	for _, r := range s {
		if r < ' ' && r != '\t' || r == 0x7f || r == utf8.RuneError {
			return "", false
		}
		all++
		if r >= utf8.RuneSelf {
			other++
		}
	}
	switch {
	case other == 0:
		return s, true
	case 2*other < all:
		return strings.ReplaceAll(mime.QEncoding.Encode("UTF-8", s), "?q?", "?Q?"), true
	}
	return strings.ReplaceAll(mime.BEncoding.Encode("UTF-8", s), "?b?", "?B?"), true
}

func parseClass(head http.Header) (string, error) {
	class := head.Get("x-amz-storage-class")
	if class == "" {
		return lifecycle.Standard, nil
	}
	if !slices.Contains(lifecycle.Classes, class) {
		return "", errorf("InvalidStorageClass", "").with("StorageClassRequested", class)
	}
	return class, nil
}

func parseRedirect(head http.Header, v *index.Version) error {
	to := head.Get("x-amz-website-redirect-location")
	switch {
	case to == "":
		return nil
	case len(to) > 2<<10:
		return errorf("InvalidArgument", "The length of website redirect location cannot exceed 2,048 characters.")
	case !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "http://") && !strings.HasPrefix(to, "https://"):
		return errorf("InvalidRedirectLocation", "")
	}
	v.System[metaRedirect] = to
	return nil
}

// metadataHeaders tells what is kept with a version. may reports whether the requester has a
// permission, as tags, retention and legal hold are told only to who could ask for them.
func metadataHeaders(head http.Header, v *index.Version, may func(action string) bool) {
	for _, name := range systemHeaders {
		if value := v.System[name]; value != "" {
			head.Set(name, value)
		}
	}
	missing := 0
	for name, value := range v.User {
		if value, ok := encodeMeta(value); ok {
			head[userHeader+name] = []string{value} // clients show the name as it is written
		} else {
			missing++
		}
	}
	if missing > 0 {
		head.Set("x-amz-missing-meta", itoa(missing))
	}
	if len(v.Tags) > 0 && may("s3:GetObjectTagging") {
		head.Set("x-amz-tagging-count", itoa(len(v.Tags)))
	}
	if v.Class != "" && v.Class != "STANDARD" {
		head.Set("x-amz-storage-class", v.Class)
	}
	if to := v.System[metaRedirect]; to != "" {
		head.Set("x-amz-website-redirect-location", to)
	}
	lockHeaders(head, v, may)
}

// may is for metadataHeaders, about the version of the request.
func (q *request) may(action string) bool {
	if action == "s3:GetObjectTagging" {
		action = versioned(action, "s3:GetObjectVersionTagging")(q)
	}
	return q.allowed(action, q.key, q.v)
}
