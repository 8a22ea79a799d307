package s3

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/s3/access"
)

var formOps = []operation{
	{name: "PostObject", level: bucketLevel, method: http.MethodPost, form: true,
		action: "s3:PutObject", permission: access.Write, run: (*request).postObject},
}

// postObject stores the file of a form that a browser sends.
func (q *request) postObject() error {
	f, err := readForm(q.r)
	if err != nil {
		return err
	}
	key := f.get("key")
	if key == "" {
		return errorf("InvalidArgument", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.").
			with("ArgumentName", "key").with("ArgumentValue", "")
	}
	if !utf8.ValidString(key) {
		return errorf("InvalidURI", "")
	}
	if len(key) > maxKey {
		return errorf("KeyTooLongError", "").with("Size", itoa(len(key))).with("MaxSizeAllowed", itoa(maxKey))
	}
	res, err := q.h.verify.VerifyForm(f.signed())
	if err != nil {
		return err
	}
	if err := q.become(res); err != nil {
		return err
	}
	limits := sizeLimits{min: 0, max: -1}
	if f.has("policy") {
		p, err := parsePostPolicy(f.get("policy"))
		if err != nil {
			return err
		}
		if limits, err = p.check(f, q.bucket, q.now); err != nil {
			return err
		}
	}
	head, err := f.header()
	if err != nil {
		return err
	}
	if err := q.expectOwner(head); err != nil {
		return err
	}
	q.describe(head)
	if !q.mayPut(key) {
		return errorf("AccessDenied", "")
	}
	p, err := q.newPut(head, -1)
	if err != nil {
		return err
	}
	p.events = postEvents
	v, err := q.put(p, &formFile{form: f, limits: limits})
	if err != nil {
		return err
	}
	return q.answerForm(f, v)
}

// describe puts what the form says of the object in place of what the headers say, so that
// policies of buckets see it as they do with PutObject. Headers that S3 does not look at
// here stay: a policy may ask for Referer, or for If-None-Match, which then is obeyed.
func (q *request) describe(head http.Header) {
	all := q.r.Header.Clone()
	for name := range all {
		if strings.HasPrefix(name, "X-Amz-") || formHeaders[strings.ToLower(name)] {
			delete(all, name)
		}
	}
	for name, values := range head {
		all[name] = values
	}
	q.r.Header = all
}

// postResponse is the document that success_action_status 201 asks for.
type postResponse struct {
	XMLName  xml.Name `xml:"PostResponse"`
	Location string
	Bucket   string
	Key      string
	ETag     string
}

// answerForm answers as the form asks: with a redirect, a document, or nothing.
func (q *request) answerForm(f *form, v *index.Version) error {
	q.putHeaders(v)
	etag := quoted(etagOf(v))
	to := f.get("success_action_redirect")
	if to == "" {
		to = f.get("redirect")
	}
	if to, ok := redirect(to, q.bucket, q.key, etag); ok {
		q.w.Header().Set("Location", to)
		return q.none(http.StatusSeeOther)
	}
	location := q.location()
	q.w.Header().Set("Location", location)
	switch f.get("success_action_status") {
	case "200":
		return q.none(http.StatusOK)
	case "201":
		q.xml(http.StatusCreated, &postResponse{Location: location, Bucket: q.bucket, Key: q.key, ETag: etag})
		return nil
	}
	return q.none(http.StatusNoContent)
}

// redirect appends what was stored to the query of a URL. A URL that is none is as if it
// were not there.
func redirect(to, bucket, key, etag string) (string, bool) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", false
	}
	// Not url.Values: the order is S3's, and the query before it stays as it is.
	query := "bucket=" + url.QueryEscape(bucket) + "&key=" + url.QueryEscape(key) + "&etag=" + url.QueryEscape(etag)
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String(), true
}

// location is the URL of the object of the request.
func (q *request) location() string {
	scheme, path := "http://", "/"
	if q.r.TLS != nil {
		scheme = "https://"
	}
	if q.h.hostBucket(q.r) == "" {
		path += q.bucket + "/"
	}
	return scheme + q.r.Host + path + strings.ReplaceAll(url.QueryEscape(q.key), "+", "%20")
}
