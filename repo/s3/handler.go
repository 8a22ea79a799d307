package s3

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
	"github.com/firnstore/firn/repo/s3/auth"
)

// Options of New. The zero value is a server that knows buckets in paths only.
type Options struct {
	Region  string   // of the server: told to clients; any region is accepted in signatures. "firn-1" when empty
	Domains []string // hosts whose first label below is a bucket: virtual-host style
	ACLs    bool     // new buckets have ACLs enabled (object writer), as before April 2023

	// Signature Version 2 is accepted in presigned URLs and forms, unless NoV2, and in headers
	// if HeaderV2.
	NoV2, HeaderV2 bool

	// Lifecycle and Restore are the days of rules and of restored copies; the zero value has
	// those of UTC.
	Lifecycle, Restore lifecycle.Calendar

	// Targets are the kinds of those who can be told of events, by name, and TestTarget sends
	// one of them a message and waits until it took it.
	Targets    map[string]string
	TestTarget func(ctx context.Context, name string, message []byte) error

	// Space, if not nil, returns size and free space of the storage in bytes.
	Space func() (total, free int64, err error)

	// Record, if not nil, is called once for each request, after its last byte.
	Record func(*Record)
}

// Record is what happened to one request. It is the receiver's. Fields that do not apply
// are zero.
type Record struct {
	Time       time.Time // of arrival
	Duration   time.Duration
	TurnAround time.Duration // until the first byte of the answer
	ID         string        // x-amz-request-id
	Remote     string        // address of the client
	Requester  string        // name of the user; "" is anonymous
	Operation  string        // name in the API reference, "" when none was found
	Method     string
	URI        string // as received
	Proto      string // HTTP/1.1
	Bucket     string
	Key        string
	VersionID  string
	Status     int
	Code       string // of the S3 error, or ""
	Err        error  // inside the server, when Status is 500
	In, Out    int64  // bytes of bodies
	UserAgent  string
	Referer    string
	Scheme     string // of the signature: SigV4, SigV2, or ""
	AuthType   string // AuthHeader, QueryString, or ""
	Host       string
	TLS        string // version, or ""
	Cipher     string // of TLS, or ""
	Region     string // of the bucket, or ""
}

// Handler answers S3 requests over an engine.
type Handler struct {
	e      *object.Engine
	opt    Options
	verify *auth.Verifier
	hostID string

	mu       sync.Mutex
	settings map[string]*settings // by bucket; see settingsOf

	torrents *torrents

	documents, strange int64 // see reserve; guarded by mu

	logs    *logSpool // nil: no access logs are delivered
	logWarn func(string)

	principals map[*object.User]*access.Principal // see principal; guarded by mu
}

// New returns a handler. It keeps no state but caches.
func New(e *object.Engine, opt Options) *Handler {
	if opt.Region == "" {
		opt.Region = "firn-1"
	}
	h := &Handler{e: e, opt: opt, settings: map[string]*settings{}, hostID: newID(24), torrents: newTorrents()}
	h.verify = auth.New(auth.Options{Secret: h.secret, Now: e.Now, NoV2: opt.NoV2, HeaderV2: opt.HeaderV2, Bucket: h.hostBucket})
	return h
}

func newID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return strings.ToUpper(hex.EncodeToString(b))
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, (*request).serve, (*request).xmlError, false)
}

// answer takes a request through serve, and through fail if that returns an error.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, serve func(*request) error, fail func(*request, *apiError), site bool) {
	if emptyExpects(r) {
		w.WriteHeader(http.StatusContinue)
	}
	out := &answer{ResponseWriter: w, now: h.e.Now}
	in := &countedBody{ReadCloser: r.Body}
	r = r.WithContext(r.Context()) // a copy: net/http looks at the body in its own to end a connection well
	r.Body = in
	q := &request{h: h, w: out, r: r, id: newID(8), now: h.e.Now().UTC()}
	start := q.now
	head := out.Header()
	head.Set("x-amz-request-id", q.id)
	head.Set("x-amz-id-2", h.hostID)
	head.Set("Server", "firn")
	err := serve(q)
	aborted := false
	if err != nil {
		aborted = q.fail(err, in, fail)
	}
	rec := q.record(start, in.n.Load(), out, err)
	if h.opt.Record != nil {
		h.opt.Record(rec)
	}
	q.keepLog(rec, site)
	if aborted {
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

// emptyExpects reports whether a client waits for a word before it sends a body of no bytes.
// S3 says 100 Continue to that, too, where net/http says nothing. Without it, botocore reads
// the answer to the next request on the connection wrongly and waits for a minute.
func emptyExpects(r *http.Request) bool {
	return r.ContentLength == 0 && r.ProtoMajor == 1 && r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// answer notes what was sent.
type answer struct {
	http.ResponseWriter
	status int
	n      int64
	code   string
	now    func() time.Time
	first  time.Time // when the answer began
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status, a.first = status, a.now()
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status, a.first = http.StatusOK, a.now()
	}
	n, err := a.ResponseWriter.Write(p)
	a.n += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// countedBody counts the bytes of a body as they come over the wire.
type countedBody struct {
	io.ReadCloser
	n atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

func (q *request) record(start time.Time, in int64, out *answer, err error) *Record {
	rec := &Record{
		Time: start, Duration: q.h.e.Now().Sub(start), ID: q.id, Remote: q.r.RemoteAddr,
		Method: q.r.Method, URI: q.r.RequestURI, Proto: q.r.Proto, Bucket: q.bucket, Key: q.key,
		VersionID: q.query.Get("versionId"), Status: out.status, Code: out.code, In: in, Out: out.n,
		UserAgent: q.r.UserAgent(), Referer: q.r.Referer(), Host: q.r.Host,
	}
	if q.op != nil {
		rec.Operation = q.op.name
	}
	if q.user != nil {
		rec.Requester = q.user.Name
	}
	if q.auth != nil {
		rec.Scheme, rec.AuthType = q.auth.Scheme, q.auth.Type
	}
	if out.status >= 500 {
		rec.Err = err
	}
	if q.r.TLS != nil {
		rec.TLS, rec.Cipher = tlsVersion(q.r.TLS.Version), tls.CipherSuiteName(q.r.TLS.CipherSuite)
	}
	if q.b != nil {
		rec.Region = q.h.region(q.b)
	}
	if !out.first.IsZero() {
		rec.TurnAround = out.first.Sub(start)
	}
	return rec
}

func tlsVersion(v uint16) string {
	switch v {
	case 0x0303:
		return "TLSv1.2"
	case 0x0304:
		return "TLSv1.3"
	}
	return "TLS"
}

// secret returns the secret of an access key for package auth.
func (h *Handler) secret(accessKey string) (secret string, err error) {
	u, k, err := h.e.UserByKey(accessKey)
	if err != nil {
		return "", errorf("InvalidAccessKeyId", "").with("AWSAccessKeyId", accessKey)
	}
	if u.Disabled || k.Disabled {
		return "", errorf("InvalidAccessKeyId", "The access key is disabled.").with("AWSAccessKeyId", accessKey)
	}
	return k.Secret, nil
}

// ctx of the request: it ends when the client goes away. Changes are for the bucket that the
// request was authorized for.
func (q *request) ctx() context.Context {
	if q.b == nil {
		return q.r.Context()
	}
	return object.In(q.r.Context(), q.b)
}
