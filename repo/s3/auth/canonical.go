package auth

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// appendEscaped escapes all but the unreserved characters of RFC 3986, and but slashes if
// they are to be kept.
func appendEscaped(out []byte, s string, keepSlash bool) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~',
			c == '/' && keepSlash:
			out = append(out, c)
		default:
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return out
}

// appendQuery appends the canonical query: sorted by encoded names, then values.
func appendQuery(out []byte, p params, without string) []byte {
	encoded := make([]param, 0, len(p))
	for _, q := range p {
		if q.name != without {
			encoded = append(encoded, param{string(appendEscaped(nil, q.name, false)), string(appendEscaped(nil, q.value, false))})
		}
	}
	slices.SortFunc(encoded, func(a, b param) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	for i, q := range encoded {
		if i > 0 {
			out = append(out, '&')
		}
		out = append(append(append(out, q.name...), '='), q.value...)
	}
	return out
}

// appendHeader appends a line of the canonical headers.
func appendHeader(out []byte, r *http.Request, name string) []byte {
	out = append(append(out, name...), ':')
	for i, value := range headerValues(r, name) {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendCollapsed(out, value)
	}
	return append(out, '\n')
}

// headerValues returns the values of a header as they were sent; net/http keeps some
// elsewhere.
func headerValues(r *http.Request, name string) []string {
	switch name {
	case "host":
		return []string{r.Host}
	case "content-length":
		if r.ContentLength < 0 {
			return nil
		}
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	case "transfer-encoding":
		return r.TransferEncoding
	}
	return r.Header[http.CanonicalHeaderKey(name)]
}

// appendCollapsed trims s and makes one space of each run of them.
func appendCollapsed(out []byte, s string) []byte {
	s = strings.Trim(s, " \t")
	for i := range len(s) {
		if s[i] != ' ' || s[i-1] != ' ' {
			out = append(out, s[i])
		}
	}
	return out
}

// unsigned returns, sorted, the headers that a signature has to cover and does not. A payload
// hash always is part of what is signed.
func unsigned(r *http.Request, signed []string, p params) []string {
	var out []string
	if !slices.Contains(signed, "host") {
		out = append(out, "host")
	}
	for key, values := range r.Header {
		if len(key) < 6 || !strings.EqualFold(key[:6], "x-amz-") {
			continue
		}
		name := strings.ToLower(key)
		if name != "x-amz-content-sha256" && !slices.Contains(signed, name) && !p.hoisted(name, values) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
