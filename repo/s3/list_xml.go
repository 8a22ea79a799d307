package s3

import (
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// xmlWriter appends the elements of a document. Listings are written with it, since a page
// has thousands of elements and encoding/xml looks at each by reflection.
type xmlWriter struct {
	b []byte

	// encoded: names of keys are written as encoding-type=url has them.
	encoded bool
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// begin starts a document with its outermost element.
func (w *xmlWriter) begin(name string) {
	w.b = append(w.b, xmlHead...)
	w.b = append(w.b, '<')
	w.b = append(w.b, name...)
	w.b = append(w.b, ` xmlns="`+xmlns+`">`...)
}

func (w *xmlWriter) open(name string) {
	w.b = append(w.b, '<')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
}

func (w *xmlWriter) close(name string) {
	w.b = append(w.b, '<', '/')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
}

// text writes an element with character data.
func (w *xmlWriter) text(name, value string) {
	w.open(name)
	w.b = appendEscaped(w.b, value)
	w.close(name)
}

// some writes an element unless its value is empty.
func (w *xmlWriter) some(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

// key writes an element whose value is a key or part of one.
func (w *xmlWriter) key(name, value string) {
	w.open(name)
	if w.encoded {
		w.b = appendURL(w.b, value)
	} else {
		w.b = appendEscaped(w.b, value)
	}
	w.close(name)
}

// someKey writes an element like key, unless its value is empty.
func (w *xmlWriter) someKey(name, value string) {
	if value != "" {
		w.key(name, value)
	}
}

func (w *xmlWriter) number(name string, n int64) {
	w.open(name)
	w.b = strconv.AppendInt(w.b, n, 10)
	w.close(name)
}

func (w *xmlWriter) bool(name string, v bool) {
	w.open(name)
	w.b = strconv.AppendBool(w.b, v)
	w.close(name)
}

// time writes a time in whole seconds, as S3 does: the headers of the same object have no
// fractions either.
func (w *xmlWriter) time(name string, ns int64) {
	w.open(name)
	w.b = time.Unix(0, ns).UTC().Truncate(time.Second).AppendFormat(w.b, "2006-01-02T15:04:05.000Z")
	w.close(name)
}

// etag writes an ETag in quotes.
func (w *xmlWriter) etag(value string) {
	w.b = append(w.b, "<ETag>&quot;"...)
	w.b = appendEscaped(w.b, value)
	w.b = append(w.b, "&quot;</ETag>"...)
}

// owner writes an account.
func (w *xmlWriter) owner(name string, o shownOwner) {
	w.open(name)
	w.text("ID", o.id)
	w.some("DisplayName", o.display)
	w.close(name)
}

// appendEscaped appends character data. What XML 1.0 cannot carry becomes U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	last := 0
	for i := 0; i < len(s); {
		c := s[i]
		n, esc := 1, ""
		switch {
		case c == '&':
			esc = "&amp;"
		case c == '<':
			esc = "&lt;"
		case c == '>':
			esc = "&gt;"
		case c == '"':
			esc = "&quot;"
		case c == '\'':
			esc = "&apos;"
		case c == '\t':
			esc = "&#x9;"
		case c == '\n':
			esc = "&#xA;"
		case c == '\r':
			esc = "&#xD;" // a bare one would be read as a line feed
		case c < ' ':
			esc = "\uFFFD"
		case c >= utf8.RuneSelf:
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
				esc = "\uFFFD"
			}
		}
		if esc != "" {
			b = append(append(b, s[last:i]...), esc...)
			last = i + n
		}
		i += n
	}
	return append(b, s[last:]...)
}

const upperHex = "0123456789ABCDEF"

// appendURL appends a key as encoding-type=url has it. What it leaves needs no escaping in
// XML. A space becomes %20, which decoders of forms and of paths both understand.
func appendURL(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; staysInURL(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

func staysInURL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '/' || c == '-' || c == '_' || c == '.' || c == '*'
}

// decodesToItself returns s with as few characters URL-encoded as can be: both who decodes
// it and, unless they occur, who does not has s. boto3 belongs to the latter for the prefix
// of ListObjects, all others to the former.
func decodesToItself(s string) string {
	var b []byte
	for i := range len(s) {
		c := s[i]
		if c == '%' || c == '+' || c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// shownOwner is how an account is shown.
type shownOwner struct{ id, display string }

// ownerNames finds names of accounts and remembers them for one answer.
type ownerNames struct {
	h     *Handler
	known map[string]shownOwner
}

// maxOwnerNames bounds what is remembered of the owners of one page.
const maxOwnerNames = 100

func (a *ownerNames) of(id string) shownOwner {
	if o, ok := a.known[id]; ok {
		return o
	}
	o := shownOwner{id: id}
	if u, err := a.h.e.UserByID(id); err == nil {
		if o.display = u.Display; o.display == "" {
			o.display = u.Name
		}
	}
	if a.known == nil || len(a.known) == maxOwnerNames {
		a.known = map[string]shownOwner{}
	}
	a.known[id] = o
	return o
}

// writeList answers with the document that was begun with name.
func (q *request) writeList(w *xmlWriter, name string) error {
	w.close(name)
	q.w.Header().Set("Content-Type", "application/xml")
	q.w.Header().Set("Content-Length", itoa(len(w.b)))
	q.w.WriteHeader(http.StatusOK)
	_, _ = q.w.Write(w.b) // fails when the client has left
	return nil
}

// listedChecksums are the algorithms in the order in which they are looked for, as clients
// name them, and where their values lie.
var listedChecksums = [...]struct{ name, meta string }{
	{"CRC32", metaSum + "crc32"}, {"CRC32C", metaSum + "crc32c"}, {"CRC64NVME", metaSum + "crc64nvme"},
	{"SHA1", metaSum + "sha1"}, {"SHA256", metaSum + "sha256"}, {"SHA512", metaSum + "sha512"}, {"MD5", metaSum + "md5"},
	{"XXHASH64", metaSum + "xxhash64"}, {"XXHASH3", metaSum + "xxhash3"}, {"XXHASH128", metaSum + "xxhash128"},
}

// listedChecksum returns the algorithm of the checksum that is stored, or "".
func listedChecksum(system map[string]string) string {
	for i := range listedChecksums {
		if system[listedChecksums[i].meta] != "" {
			return listedChecksums[i].name
		}
	}
	return ""
}
