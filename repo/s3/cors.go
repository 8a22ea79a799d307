package s3

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

var corsOps = []operation{
	{name: "GetBucketCors", level: bucketLevel, method: http.MethodGet, sub: "cors", action: "s3:GetBucketCORS", run: answerConfig(confCORS, "NoSuchCORSConfiguration")},
	{name: "PutBucketCors", level: bucketLevel, method: http.MethodPut, sub: "cors", action: "s3:PutBucketCORS", run: (*request).putCORS},
	{name: "DeleteBucketCors", level: bucketLevel, method: http.MethodDelete, sub: "cors", action: "s3:PutBucketCORS", run: dropConfig(confCORS)},
}

// corsConfig says which pages of other origins may use a bucket from within a browser.
type corsConfig struct {
	CORSRule []corsRule
}

type corsRule struct {
	ID            string   `xml:",omitempty"`
	AllowedHeader []string `xml:",omitempty"`
	AllowedMethod []string
	AllowedOrigin []string
	ExposeHeader  []string `xml:",omitempty"`
	MaxAgeSeconds *int64   `xml:",omitempty"`
}

const maxCORSRules = 100

// corsMethods are the methods that a rule may allow.
var corsMethods = []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodHead}

// parseCORS reads a configuration that is stored.
func parseCORS(doc string) (*corsConfig, error) {
	c := &corsConfig{}
	return c, parseDocument([]byte(doc), "CORSConfiguration", c)
}

func (q *request) putCORS() error {
	if err := q.demandDigest(); err != nil {
		return err
	}
	var c corsConfig
	if err := q.readConfig(maxConfig, "CORSConfiguration", &c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	return q.storeConfig(confCORS, document("CORSConfiguration", &c))
}

func (c *corsConfig) check() error {
	if len(c.CORSRule) == 0 || len(c.CORSRule) > maxCORSRules {
		return errorf("MalformedXML", "")
	}
	for _, r := range c.CORSRule {
		if len(r.AllowedMethod) == 0 || len(r.AllowedOrigin) == 0 || len(r.ID) > 255 || r.MaxAgeSeconds != nil && *r.MaxAgeSeconds < 0 {
			return errorf("MalformedXML", "")
		}
		for _, m := range r.AllowedMethod {
			if !slices.Contains(corsMethods, m) {
				return errorf("InvalidRequest", "Found unsupported HTTP method in CORS config. Unsupported method is "+m)
			}
		}
		for _, o := range r.AllowedOrigin {
			if strings.Count(o, "*") > 1 {
				return errorf("InvalidRequest", `AllowedOrigin "`+o+`" can not have more than one wildcard.`)
			}
		}
		for _, h := range r.AllowedHeader {
			if strings.Count(h, "*") > 1 {
				return errorf("InvalidRequest", `AllowedHeader "`+h+`" can not have more than one wildcard.`)
			}
		}
		for _, h := range r.ExposeHeader {
			if strings.Contains(h, "*") {
				return errorf("InvalidRequest", `ExposeHeader "`+h+`" contains wildcard. We currently do not support wildcard for ExposeHeader.`)
			}
		}
	}
	return nil
}

// match returns the first rule that allows a request of a page, or nil. headers are those
// that the page wants to send, in lower case.
func (c *corsConfig) match(origin, method string, headers []string) *corsRule {
	for i := range c.CORSRule {
		r := &c.CORSRule[i]
		allows := func(h string) bool {
			return slices.ContainsFunc(r.AllowedHeader, func(p string) bool { return wildcard(strings.ToLower(p), h) })
		}
		if slices.Contains(r.AllowedMethod, method) &&
			slices.ContainsFunc(r.AllowedOrigin, func(p string) bool { return wildcard(p, origin) }) &&
			!slices.ContainsFunc(headers, func(h string) bool { return !allows(h) }) {
			return r
		}
	}
	return nil
}

// wildcard reports whether s fits a pattern in which up to one * stands for any text.
func wildcard(pattern, s string) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return s == pattern
	}
	return len(s) >= len(head)+len(tail) && strings.HasPrefix(s, head) && strings.HasSuffix(s, tail)
}

// requestedHeaders splits Access-Control-Request-Headers.
func requestedHeaders(value string) (names []string) {
	for n := range strings.SplitSeq(strings.ToLower(value), ",") {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, n)
		}
	}
	return names
}

// set adds the headers of an answer that the page may see.
func (r *corsRule) set(head http.Header, origin string, headers []string) {
	if slices.Contains(r.AllowedOrigin, "*") {
		head.Set("Access-Control-Allow-Origin", "*")
	} else {
		head.Set("Access-Control-Allow-Origin", origin)
		head.Set("Access-Control-Allow-Credentials", "true")
	}
	head.Set("Access-Control-Allow-Methods", strings.Join(r.AllowedMethod, ", "))
	if len(headers) > 0 {
		head.Set("Access-Control-Allow-Headers", strings.Join(headers, ", "))
	}
	if len(r.ExposeHeader) > 0 {
		head.Set("Access-Control-Expose-Headers", strings.Join(r.ExposeHeader, ", "))
	}
	if r.MaxAgeSeconds != nil {
		head.Set("Access-Control-Max-Age", itoa(*r.MaxAgeSeconds))
	}
	head.Set("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
}

// preflight answers an OPTIONS request. It is never signed, so what it tells is what any
// request with an origin would be told.
func (q *request) preflight() error {
	origin, method := q.r.Header.Get("Origin"), q.r.Header.Get("Access-Control-Request-Method")
	if origin == "" {
		return errorf("BadRequest", "Insufficient information. Origin request header needed.")
	}
	forbidden := func(message, resource string) error {
		asked := method
		if asked == "" {
			asked = http.MethodOptions
		}
		return errorf("AccessForbidden", "CORSResponse: "+message).with("Method", asked).with("ResourceType", resource)
	}
	if q.bucket == "" {
		return forbidden("Bucket not found", "BUCKET")
	}
	b, err := q.h.e.Bucket(q.bucket)
	if errors.Is(err, object.ErrNoBucket) {
		return forbidden("Bucket not found", "BUCKET")
	}
	if err != nil {
		return err
	}
	set, err := q.h.settingsOf(b)
	if err != nil {
		return err
	}
	if set.cors == nil {
		return forbidden("CORS is not enabled for this bucket.", "BUCKET")
	}
	if !slices.Contains(corsMethods, method) {
		if method == "" {
			method = "null"
		}
		return errorf("BadRequest", "Invalid Access-Control-Request-Method: "+method)
	}
	headers := requestedHeaders(q.r.Header.Get("Access-Control-Request-Headers"))
	rule := set.cors.match(origin, method, headers)
	if rule == nil {
		resource := "BUCKET"
		if q.key != "" {
			resource = "OBJECT"
		}
		return forbidden("This CORS request is not allowed. This is usually because the evalution of Origin, request method / "+
			"Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.", resource)
	}
	rule.set(q.w.Header(), origin, headers)
	return q.none(http.StatusOK)
}

// corsHeaders adds what a browser needs to let a page see the answer. As with S3, the
// headers of a preflight count in other requests, too.
func (q *request) corsHeaders() {
	origin := q.r.Header.Get("Origin")
	if origin == "" || q.set == nil || q.set.cors == nil {
		return
	}
	method := q.r.Header.Get("Access-Control-Request-Method")
	if method == "" {
		method = q.r.Method
	}
	headers := requestedHeaders(q.r.Header.Get("Access-Control-Request-Headers"))
	if rule := q.set.cors.match(origin, method, headers); rule != nil {
		rule.set(q.w.Header(), origin, headers)
	}
}
