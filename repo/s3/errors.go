package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/auth"
)

// apiError is an error as S3 names it.
type apiError struct {
	code    string // key of codes
	message string
	fields  [][2]string // further elements of the answer
	headers [][2]string // of the answer
}

// errorf returns an error with the text of the table when message is "".
func errorf(code, message string, args ...any) *apiError {
	if len(args) > 0 {
		message = fmt.Sprintf(message, args...)
	}
	return &apiError{code: code, message: message}
}

// with adds an element to the answer.
func (e *apiError) with(name, value string) *apiError {
	e.fields = append(e.fields, [2]string{name, value})
	return e
}

// header adds a header to the answer.
func (e *apiError) header(name, value string) *apiError {
	e.headers = append(e.headers, [2]string{name, value})
	return e
}

func (e *apiError) Error() string { return e.code + ": " + e.text() }

func (e *apiError) text() string {
	if e.message != "" {
		return e.message
	}
	return codes[e.code].message
}

// status of the answer. A code that is not in the table is a fault of ours.
func (e *apiError) status() int {
	if c, ok := codes[e.code]; ok {
		return c.status
	}
	return http.StatusInternalServerError
}

// translate is the one table from errors of the layers below to those of S3.
func (q *request) translate(err error) *apiError {
	var own *apiError
	var signed *auth.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &signed):
		e := errorf(signed.Code, signed.Message)
		e.fields = append(e.fields, signed.Fields...)
		return e
	case errors.As(err, &tooLarge):
		return errorf("EntityTooLarge", "")
	case errors.Is(err, object.ErrNoBucket):
		return errorf("NoSuchBucket", "").with("BucketName", q.bucket)
	case errors.Is(err, object.ErrNoKey):
		return errorf("NoSuchKey", "").with("Key", q.key)
	case errors.Is(err, object.ErrNoVersion):
		return errorf("NoSuchVersion", "").with("Key", q.key).with("VersionId", q.query.Get("versionId"))
	case errors.Is(err, object.ErrNoUpload):
		return errorf("NoSuchUpload", "").with("UploadId", q.query.Get("uploadId"))
	case errors.Is(err, object.ErrNotEmpty):
		return errorf("BucketNotEmpty", "").with("BucketName", q.bucket)
	case errors.Is(err, object.ErrLocked):
		return errorf("AccessDenied", "Access Denied because object protected by object lock.")
	case errors.Is(err, object.ErrSnapshot):
		return errorf("MethodNotAllowed", "This key belongs to a snapshot, which only firn backup writes and firn forget removes.")
	case errors.Is(err, lifecycle.ErrNotArchived):
		return errorf("InvalidObjectState", "Restore is not allowed for the object's current storage class")
	case errors.Is(err, lifecycle.ErrRunning):
		return errorf("RestoreAlreadyInProgress", "")
	case errors.Is(err, lifecycle.ErrTier):
		return errorf("InvalidTier", "")
	case errors.Is(err, object.ErrBusy), errors.Is(err, object.ErrClosed), errors.Is(err, repo.ErrBusy),
		errors.Is(err, repo.ErrSealed), errors.Is(err, repo.ErrDropped): // a prune took the ground away: the next try has new
		return errorf("SlowDown", "")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errorf("IncompleteBody", "")
	case noSpace(err):
		return errorf("InsufficientStorage", "")
	case errors.Is(err, context.Canceled) && q.r.Context().Err() == nil:
		// The client is still there: a session that another request shared has failed, or the
		// engine is being closed.
		return errorf("SlowDown", "")
	case errors.Is(err, context.Canceled):
		return errorf("RequestTimeout", "")
	}
	return errorf("InternalError", "")
}

// noSpace reports whether the disk of the repository, or the quota on it, is used up. S3 has
// no code for that. The status of WebDAV makes clients say so at once, where they would try
// an InternalError again and again.
func noSpace(err error) bool {
	const windowsHandleDiskFull, windowsDiskFull = syscall.Errno(39), syscall.Errno(112)
	if runtime.GOOS == "windows" && (errors.Is(err, windowsDiskFull) || errors.Is(err, windowsHandleDiskFull)) {
		return true
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// errorBody is the answer to a request that failed.
type errorBody struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Fields    []xmlField
	Resource  string `xml:",omitempty"`
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

type xmlField struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

// drainLimit bounds how much of a body is read before an error is answered: a client
// that still sends does not see the answer otherwise. Those who are known by a signature
// may be in the middle of a part.
const (
	drainLimit  = 256 << 10
	drainSigned = 16 << 20

	drainTime       = 2 * time.Second
	drainSignedTime = 15 * time.Second
)

// drain reads what is left of a body, within bounds, and reports whether that was all. A
// client that waits for a word before it sends the body gets the answer instead: reading
// would ask for the body.
func (q *request) drain(body *countedBody) bool {
	if body.n.Load() == 0 && strings.EqualFold(q.r.Header.Get("Expect"), "100-continue") {
		return false
	}
	limit, patience := int64(drainLimit), drainTime
	if q.user != nil {
		limit, patience = drainSigned, drainSignedTime
	}
	if w, ok := q.w.ResponseWriter.(interface{ Hurry(time.Duration) }); ok {
		w.Hurry(patience)
	}
	n, _ := io.CopyN(io.Discard, body, limit)
	return n < limit
}

// fail answers with an error, of which tell writes the body, and reports whether the answer
// had begun already, so that the connection has to be cut.
func (q *request) fail(err error, body *countedBody, tell func(*request, *apiError)) (abort bool) {
	e := q.translate(err)
	q.w.code = e.code
	if q.w.status != 0 {
		return true
	}
	head := q.w.Header()
	if !q.drain(body) {
		head.Set("Connection", "close")
	}
	if e.status() != http.StatusNotModified {
		for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Range", "ETag", "Last-Modified", "Cache-Control", "Accept-Ranges"} {
			head.Del(name)
		}
	}
	for _, h := range e.headers {
		head.Set(h[0], h[1])
	}
	if q.r.Method == http.MethodHead || e.status() == http.StatusNotModified {
		q.w.WriteHeader(e.status())
		return false
	}
	tell(q, e)
	return false
}

// xmlError writes an error as S3 does.
func (q *request) xmlError(e *apiError) {
	out := errorBody{Code: e.code, Message: e.text(), Resource: q.r.URL.Path, RequestID: q.id, HostID: q.h.hostID}
	for _, f := range e.fields {
		out.Fields = append(out.Fields, xmlField{XMLName: xml.Name{Local: f[0]}, Value: f[1]})
	}
	q.xml(e.status(), &out)
}

// xml answers with a document. Errors of writing are those of a client that went away.
func (q *request) xml(status int, v any) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	if err := xml.NewEncoder(&b).Encode(v); err != nil {
		panic("s3: " + err.Error()) // our own types always encode
	}
	q.w.Header().Set("Content-Type", "application/xml")
	q.w.Header().Set("Content-Length", itoa(b.Len()))
	q.w.WriteHeader(status)
	_, _ = q.w.Write(b.Bytes())
}

// none answers without a body.
func (q *request) none(status int) error {
	if status != http.StatusNoContent {
		q.w.Header().Set("Content-Length", "0")
	}
	q.w.WriteHeader(status)
	return nil
}

func parseXML(data []byte, v any) error {
	dec := xml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(v); err != nil {
		return errorf("MalformedXML", "")
	}
	return nil
}

const xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"
