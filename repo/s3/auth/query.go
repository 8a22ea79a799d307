package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// params is a query in its order. Unlike url.Values it keeps a semicolon, which is part of a
// value in S3, and knows that a name without = is still a name.
type params []param

type param struct{ name, value string }

// parseQuery decodes a query: + is a space, as in forms.
func parseQuery(raw string) (params, error) {
	if raw == "" {
		return nil, nil
	}
	out := make(params, 0, strings.Count(raw, "&")+1)
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, fail("InvalidURI", "")
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, fail("InvalidURI", "")
		}
		out = append(out, param{name, value})
	}
	return out, nil
}

func (p params) has(name string) bool {
	return slices.ContainsFunc(p, func(q param) bool { return q.name == name })
}

func (p params) get(name string) string {
	for _, q := range p {
		if q.name == name {
			return q.value
		}
	}
	return ""
}

func (p params) count(name string) (n int) {
	for _, q := range p {
		if q.name == name {
			n++
		}
	}
	return n
}

// signing are the parameters of a signature, in lower case. They are no headers.
var signing = map[string]bool{
	"x-amz-algorithm": true, "x-amz-credential": true, "x-amz-date": true, "x-amz-expires": true, "x-amz-signedheaders": true,
	"x-amz-signature": true, "x-amz-security-token": true, "x-amz-content-sha256": true,
}

// Hoist copies headers that the query of a presigned request carries, x-amz-acl for one,
// to where operations look for them. SDKs put them there so that whoever uses the URL need not
// send them. It is to be called before anything looks at the headers of a request; Verify
// makes sure that they were signed. A request without signature in its query stays as it is.
func Hoist(r *http.Request) {
	if !strings.Contains(r.URL.RawQuery, "Signature=") {
		return
	}
	p, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return // Verify says so
	}
	v2 := p.has("Signature") && p.has("AWSAccessKeyId")
	if !v2 && !p.has("X-Amz-Signature") {
		return
	}
	for _, q := range p {
		name := strings.ToLower(q.name)
		if !(isAmz(name) && !signing[name] || v2 && (name == "content-type" || name == "content-md5")) {
			continue
		}
		if key := http.CanonicalHeaderKey(name); len(r.Header[key]) == 0 && validValue(q.value) {
			r.Header[key] = []string{q.value}
		}
	}
}

// isAmz tells whether a name, in lower case, is that of a header of S3.
func isAmz(name string) bool {
	rest, ok := strings.CutPrefix(name, "x-amz-")
	return ok && rest != "" && !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// validValue tells whether a value could have come as a header.
func validValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// hoisted tells whether a header has the value of a parameter of the query, which the
// signature covers.
func (p params) hoisted(name string, values []string) bool {
	return len(values) == 1 && slices.ContainsFunc(p, func(q param) bool {
		return strings.EqualFold(q.name, name) && q.value == values[0]
	})
}
