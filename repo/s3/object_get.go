package s3

import (
	"net/http"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
)

// getObject answers GetObject and HeadObject.
func (q *request) getObject() error {
	if q.v == nil && q.query.Get("versionId") == "" {
		if doc := q.h.sosapi(q.key); doc != nil {
			return q.sendSOSAPI(doc)
		}
	}
	v, err := q.target()
	if err != nil {
		return err
	}
	if q.archived(v) && q.r.Method == http.MethodGet {
		return errorf("InvalidObjectState", "").with("StorageClass", v.Class)
	}
	key, err := q.readKey(v)
	if err != nil {
		return err
	}
	head := q.w.Header()
	if err := q.readable(v); err != nil {
		return err
	}
	piece, err := q.wantedPiece(v)
	if err != nil {
		return err
	}
	overrides, err := q.overrides()
	if err != nil {
		return err
	}
	o, err := openSealed(q.h.e, v, key)
	if err != nil {
		return err
	}
	metadataHeaders(head, v, q.may)
	restoreHeader(head, v, q.now)
	sseHeaders(head, v)
	for name, value := range overrides {
		head.Set(name, value)
	}
	q.sumsOf(v, piece)
	if q.query.Get("versionId") == "" {
		q.expiration(v)
	}
	head.Set("Accept-Ranges", "bytes")
	head.Set("Content-Length", itoa(piece.n))
	status := http.StatusOK
	if piece.partial {
		status = http.StatusPartialContent
		head.Set("Content-Range", "bytes "+itoa(piece.off)+"-"+itoa(piece.off+piece.n-1)+"/"+itoa(o.size))
	}
	if q.r.Method == http.MethodHead {
		q.w.WriteHeader(status)
		return nil
	}
	return q.send(status, o, piece)
}

// readable checks the conditions of a read, and sets the headers that answers have whether
// these hold or not.
func (q *request) readable(v *index.Version) error {
	head := q.w.Header()
	failed := parseReadConditions(q.r.Header, "").failed(etagOf(v), modified(v), q.now)
	if failed == "If-Match" || failed == "If-Unmodified-Since" {
		return preconditionFailed(failed)
	}
	head.Set("ETag", quoted(etagOf(v)))
	head.Set("Last-Modified", httpTime(modified(v)))
	q.idHeader(v)
	if failed == "" {
		return nil
	}
	for _, name := range []string{"cache-control", "expires"} {
		if value := v.System[name]; value != "" {
			head.Set(name, value)
		}
	}
	return errorf("NotModified", "")
}

// piece is what a read asks for of a version.
type piece struct {
	off, n  int64
	part    int  // its number; 0 when no part was asked for
	partial bool // answered with 206
}

// wantedPiece reads Range and partNumber.
func (q *request) wantedPiece(v *index.Version) (p piece, err error) {
	header := q.r.Header.Get("Range")
	number := q.query.Get("partNumber")
	switch {
	case header != "" && number != "":
		return p, errorf("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
	case number != "":
		if p.part, err = parsePartNumber(number); err != nil {
			return p, err
		}
		if p.off, p.n, err = partRange(v, p.part); err != nil {
			return p, err
		}
		p.partial = p.n > 0 // an empty range has no form
		if isMultipart(v) {
			q.w.Header().Set("x-amz-mp-parts-count", itoa(len(v.Parts)))
		}
		return p, nil
	case header != "" && q.ifRange(v):
		p.off, p.n, p.partial, err = parseRange(header, objectSize(v))
		return p, err
	}
	p.n = objectSize(v)
	return p, nil
}

// ifRange reports whether a range is wanted of just this version: the client has another
// part of it.
func (q *request) ifRange(v *index.Version) bool {
	cond := q.r.Header.Get("If-Range")
	if cond == "" {
		return true
	}
	if t, err := http.ParseTime(cond); err == nil {
		return modified(v).Truncate(time.Second).Equal(t)
	}
	return strings.Trim(cond, `"`) == etagOf(v)
}

// sumsOf adds the checksum of what is sent, when it is asked for and known: that of the
// whole or of a part.
func (q *request) sumsOf(v *index.Version, p piece) {
	if !strings.EqualFold(q.r.Header.Get("x-amz-checksum-mode"), "ENABLED") {
		return
	}
	head := q.w.Header()
	if p.n == objectSize(v) && (p.part == 0 || !isMultipart(v)) {
		sumHeaders(head, v.System)
		return
	}
	sums := strings.Split(v.System[metaPartSums], ",")
	algo := listedChecksum(v.System)
	if p.part == 0 || p.part > len(sums) || sums[p.part-1] == "" || algo == "" {
		return
	}
	head.Set(checksumHeader+algo, sums[p.part-1])
	head.Set("x-amz-checksum-type", sumType(v.System))
}

// overrides reads the parameters that replace headers of the answer. They are for requests
// that are signed.
func (q *request) overrides() (map[string]string, error) {
	var list map[string]string
	for _, name := range systemHeaders {
		value := q.query.Get("response-" + name)
		if value == "" {
			continue
		}
		if q.user == nil {
			return nil, errorf("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, badArgument("Header value cannot be represented using ISO-8859-1.", "response-"+name, value)
		}
		if list == nil {
			list = map[string]string{}
		}
		list[name] = value
	}
	return list, nil
}

// send answers with a piece. The status goes out with the first byte, so that a content that
// cannot be read at all is an error as any other.
func (q *request) send(status int, o *opened, p piece) error {
	w := &statusWriter{q: q, status: status}
	if _, err := o.copy(q.ctx(), w, p.off, p.n); err != nil {
		return err
	}
	w.begin()
	return nil
}

// statusWriter sends the status before the first byte.
type statusWriter struct {
	q      *request
	status int
	begun  bool
}

func (w *statusWriter) begin() {
	if !w.begun {
		w.begun = true
		w.q.w.WriteHeader(w.status)
	}
}

// Write implements io.Writer.
func (w *statusWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.q.w.Write(p)
}
