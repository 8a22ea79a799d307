package s3

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
	"github.com/firnstore/firn/repo/s3/auth"
)

// request is one request on its way through the steps.
type request struct {
	h   *Handler
	w   *answer
	r   *http.Request
	id  string
	now time.Time

	bucket, key string // as addressed, decoded once and not cleaned
	query       url.Values
	op          *operation

	auth *auth.Result
	user *object.User      // nil is anonymous
	who  *access.Principal // never nil once authenticated

	b   *object.Bucket // nil for operations of the service, and for CreateBucket
	set *settings      // parsed from b; nil when b is

	// Of operations that load: the version addressed, which may be a delete marker, and
	// whether it is the newest. nil when it is not there.
	v      *index.Version
	latest bool

	made *index.Version // by the request, nil if none; for the log

	facts *bodyFacts // read ahead for conditions of policies, nil if none asked
}

const maxKey = 1024

// serve takes the request through the steps.
func (q *request) serve() error {
	if err := q.address(); err != nil {
		return err
	}
	if q.r.Method == http.MethodOptions {
		return q.preflight()
	}
	auth.Hoist(q.r)
	if err := q.route(); err != nil {
		return err
	}
	if err := q.authenticate(); err != nil {
		return err
	}
	if err := q.loadBucket(); err != nil {
		return err
	}
	q.corsHeaders()
	if err := q.authorize(); err != nil {
		return err
	}
	return q.op.run(q)
}

// address finds bucket and key in host and path.
func (q *request) address() error {
	path := q.r.URL.Path
	if !strings.HasPrefix(path, "/") || !utf8.ValidString(path) {
		return errorf("InvalidURI", "")
	}
	var err error
	// A semicolon is part of a value, as in X-Amz-SignedHeaders, though net/url takes offence at it.
	if q.query, err = url.ParseQuery(strings.ReplaceAll(q.r.URL.RawQuery, ";", "%3B")); err != nil {
		q.query = url.Values{}
		return errorf("InvalidURI", "")
	}
	if bucket := q.h.hostBucket(q.r); bucket != "" {
		q.bucket, q.key = bucket, path[1:]
	} else {
		q.bucket, q.key, _ = strings.Cut(path[1:], "/")
	}
	if len(q.key) > maxKey {
		return errorf("KeyTooLongError", "").with("Size", itoa(len(q.key))).with("MaxSizeAllowed", itoa(maxKey))
	}
	return nil
}

// hostBucket returns the bucket that the host of a request names, or "".
func (h *Handler) hostBucket(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	for _, d := range h.opt.Domains {
		if b, ok := strings.CutSuffix(host, "."+strings.ToLower(d)); ok {
			return b
		}
	}
	return ""
}

// authenticate finds out who asks. The body is verified while it is read.
func (q *request) authenticate() error {
	if q.op.form {
		return nil // the operation reads the form, and verifies it then
	}
	res, err := q.h.verify.Verify(q.r)
	if err != nil {
		return err
	}
	return q.become(res)
}

// become takes a verified identity on.
func (q *request) become(res *auth.Result) error {
	q.auth = res
	if res.AccessKey == "" {
		q.who = access.Anonymous()
		return nil
	}
	u, _, err := q.h.e.UserByKey(res.AccessKey)
	if err != nil {
		return errorf("InvalidAccessKeyId", "")
	}
	q.user = u
	q.who, err = q.h.principal(u)
	return err
}

// loadBucket takes the settings of the bucket, and the version that the operation is
// about.
func (q *request) loadBucket() error {
	if q.op.level == serviceLevel || q.op.creates {
		return nil
	}
	var err error
	if q.b, err = q.h.e.Bucket(q.bucket); err != nil {
		return err
	}
	if q.set, err = q.h.settingsOf(q.b); err != nil {
		return err
	}
	if err := q.expectOwner(q.r.Header); err != nil {
		return err
	}
	if !q.op.loads {
		return nil
	}
	return q.load()
}

// expectOwner refuses a request for a bucket whose owner is another one than its headers, or
// the fields of its form, say.
func (q *request) expectOwner(head http.Header) error {
	if want := head.Get("x-amz-expected-bucket-owner"); want != "" && want != q.set.owner {
		return errorf("AccessDenied", "")
	}
	return nil
}

// load reads the version that the request names into q.v.
func (q *request) load() error {
	ref, err := parseRef(q.query.Get("versionId"))
	if err != nil {
		return err
	}
	q.v, q.latest, err = q.h.e.Find(q.ctx(), q.bucket, q.key, ref)
	q.set.dress(q.v)
	if errors.Is(err, object.ErrNoKey) || errors.Is(err, object.ErrNoVersion) {
		return nil // whether that may be said is decided by authorize and the operation
	}
	return err
}

// body is the verified body of the request. It returns an error in place of io.EOF when
// signature, length or checksum of the request turn out to be wrong.
func (q *request) body() io.Reader {
	if q.auth == nil || q.auth.Body == nil {
		return http.NoBody
	}
	return q.auth.Body
}

// readAll returns the whole body, of up to limit bytes, after checking Content-MD5 and
// the checksums.
func (q *request) readAll(limit int64) ([]byte, error) {
	data, err := q.readBody(limit)
	if err != nil {
		return nil, err
	}
	return data, q.verifyChecksums(data)
}

// readBody is readAll without the checksums: those of a CompleteMultipartUpload are not of
// its body.
func (q *request) readBody(limit int64) ([]byte, error) {
	size := limit
	if q.auth != nil && q.auth.Size >= 0 && q.auth.Size < limit {
		size = q.auth.Size
	}
	if size > smallDocument {
		done, ok := q.h.reserve(2*size, q.user == nil) // as much as reading may take
		if !ok {
			return nil, errorf("SlowDown", "")
		}
		defer done()
	}
	data, err := io.ReadAll(io.LimitReader(q.body(), limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, errorf("MaxMessageLengthExceeded", "").with("MaxMessageLengthBytes", itoa(limit))
	}
	if h := q.r.Header["Content-Md5"]; len(h) > 0 {
		want, err := base64.StdEncoding.DecodeString(h[0])
		if err != nil || len(want) != md5.Size {
			return nil, errorf("InvalidDigest", "").with("Content-MD5", h[0])
		}
		if sum := md5.Sum(data); string(sum[:]) != string(want) {
			return nil, errorf("BadDigest", "").with("ExpectedDigest", h[0]).
				with("CalculatedDigest", base64.StdEncoding.EncodeToString(sum[:]))
		}
	}
	return data, nil
}

// Bounds of the documents that are being read and parsed at a time, in bytes.
const (
	smallDocument    = 64 << 10 // is not counted: connections are bounded, too
	documents        = 64 << 20
	strangeDocuments = 16 << 20 // those of anonymous requests
)

// reserve takes memory for a document, until done is called.
func (h *Handler) reserve(n int64, anonymous bool) (done func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.documents+n > documents || anonymous && h.strange+n > strangeDocuments {
		return nil, false
	}
	h.documents += n
	if anonymous {
		h.strange += n
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.documents -= n
		if anonymous {
			h.strange -= n
		}
	}, true
}
