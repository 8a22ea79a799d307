package s3

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

// copySource names the source of a copy.
type copySource struct {
	bucket, key string
	version     string // as given; "" is the newest
}

// parseCopySource reads x-amz-copy-source: bucket and key with a slash between and perhaps
// one in front, URL-encoded, and perhaps a version.
func parseCopySource(header string) (s copySource, err error) {
	bad := func(message string) (copySource, error) {
		return copySource{}, badArgument(message, "x-amz-copy-source", header)
	}
	const mark = "?versionId="
	path := header
	if i := strings.LastIndex(header, mark); i >= 0 {
		path = header[:i]
		if s.version, err = url.QueryUnescape(header[i+len(mark):]); err != nil || s.version == "" {
			return bad("Invalid copy source object version")
		}
	}
	path, err = url.QueryUnescape(strings.TrimPrefix(path, "/")) // a plus is a space, as S3 reads it
	if err != nil {
		return bad("Invalid copy source encoding.")
	}
	var ok bool
	s.bucket, s.key, ok = strings.Cut(path, "/")
	switch {
	case !ok || s.bucket == "":
		return bad("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	case s.key == "" || len(s.key) > maxKey || !utf8.ValidString(path):
		return bad("Invalid copy source object key")
	}
	return s, nil
}

// copyOrigin is a version to copy from that the requester may read.
type copyOrigin struct {
	copySource
	b       *object.Bucket
	v       *index.Version
	latest  bool
	sealKey []byte // that it is sealed with; nil: it is not
}

// origin finds the source of a copy, checks that the requester may read it, that the
// conditions on it hold, and that its bytes are at hand.
func (q *request) origin() (*copyOrigin, error) {
	src, err := parseCopySource(q.r.Header.Get("x-amz-copy-source"))
	if err != nil {
		return nil, err
	}
	o := &copyOrigin{copySource: src}
	if o.b, err = q.h.e.Bucket(src.bucket); errors.Is(err, object.ErrNoBucket) {
		return nil, errorf("NoSuchBucket", "").with("BucketName", src.bucket)
	} else if err != nil {
		return nil, err
	}
	set, err := q.h.settingsOf(o.b)
	if err != nil {
		return nil, err
	}
	if want := q.r.Header.Get("x-amz-source-expected-bucket-owner"); want != "" && want != set.owner {
		return nil, errorf("AccessDenied", "")
	}
	ref, err := parseRef(src.version)
	if err != nil {
		return nil, err
	}
	o.v, o.latest, err = q.h.e.Find(q.ctx(), src.bucket, src.key, ref)
	set.dress(o.v)
	if err != nil && !errors.Is(err, object.ErrNoKey) && !errors.Is(err, object.ErrNoVersion) {
		return nil, err
	}
	missing := errorf("NoSuchKey", "").with("Key", src.key)
	switch {
	case o.v == nil && src.version != "":
		missing = errorf("NoSuchVersion", "").with("Key", src.key).with("VersionId", src.version)
	case o.v != nil && src.version != "":
		missing = errorf("InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
	}
	if err := q.mayRead(set, src.key, src.version, o.v, missing); err != nil {
		return nil, err
	}
	return o, q.copyable(o)
}

// copyable checks whether the version can be a source.
func (q *request) copyable(o *copyOrigin) error {
	if q.archived(o.v) {
		return errorf("InvalidObjectState", "Operation is not valid for the source object's storage class").with("StorageClass", o.v.Class)
	}
	const prefix = "x-amz-copy-source-"
	if failed := parseReadConditions(q.r.Header, prefix).failed(etagOf(o.v), modified(o.v), q.now); failed != "" {
		return preconditionFailed(prefix + failed)
	}
	customer, err := parseCustomerKey(q.r.Header, copyCustomerHeader)
	if err != nil {
		return err
	}
	o.sealKey, err = q.keyOf(o.v, customer)
	return err
}

// open opens the content of the source.
func (o *copyOrigin) open(e *object.Engine) (*opened, error) { return openSealed(e, o.v, o.sealKey) }

// copyHeaders tells which version was the source.
func (q *request) copyHeaders(o *copyOrigin) {
	if o.b.Versioning != object.Unversioned && !o.v.Null {
		q.w.Header().Set("x-amz-copy-source-version-id", versionID(o.v))
	}
}

// copyObject makes a version out of another one.
func (q *request) copyObject() error {
	check, err := q.writeCondition()
	if err != nil {
		return err
	}
	src, err := q.origin()
	if err != nil {
		return err
	}
	if size := objectSize(src.v); size > maxPut {
		return errorf("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(maxPut))
	}
	c, err := q.newCopy(src)
	if err != nil {
		return err
	}
	c.check = check
	v, err := c.carryOut()
	if err != nil {
		return err
	}
	q.copyHeaders(src)
	q.versionHeaders(v)
	w := &xmlWriter{}
	w.begin("CopyObjectResult")
	w.time("LastModified", v.Time)
	w.etag(etagOf(v))
	if algo := listedChecksum(v.System); algo != "" {
		w.text("Checksum"+algo, v.System[metaSum+strings.ToLower(algo)])
		w.text("ChecksumType", sumType(v.System))
	}
	return q.writeList(w, "CopyObjectResult")
}

// copying is a copy that is about to be made.
type copying struct {
	q       *request
	src     *copyOrigin
	version *index.Version
	sealing *sealing
	algo    string // of the checksum asked for; "" is that of the source
	check   writeCheck
}

// newCopy says what the copy will be.
func (q *request) newCopy(src *copyOrigin) (c *copying, err error) {
	head := q.r.Header
	c = &copying{q: q, src: src}
	replace, err := directive(head, "x-amz-metadata-directive", "Unknown metadata directive.")
	if err != nil {
		return nil, err
	}
	retag, err := directive(head, "x-amz-tagging-directive", "Unknown tagging directive.")
	if err != nil {
		return nil, err
	}
	if c.algo, err = copyChecksum(head); err != nil {
		return nil, err
	}
	if c.version, err = q.newVersion(head); err != nil {
		return nil, err
	}
	if c.sealing, err = q.newSealing(head); err != nil {
		return nil, err
	}
	if src.bucket == q.bucket && src.key == q.key && src.latest && !replace && !c.changes(head) {
		return nil, errorf("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the "+
			"object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if !replace {
		c.version.User = src.v.User
		for _, name := range systemHeaders {
			delete(c.version.System, name)
			if value := src.v.System[name]; value != "" {
				c.version.System[name] = value
			}
		}
	}
	if !retag {
		if err := q.mayCopyTags(src); err != nil {
			return nil, err
		}
		c.version.Tags = src.v.Tags
	}
	return c, c.sealing.note(c.version.System)
}

// mayCopyTags refuses to copy tags to who may not read those of the source, or is forbidden
// to set any.
func (q *request) mayCopyTags(src *copyOrigin) error {
	if len(src.v.Tags) == 0 {
		return nil
	}
	set, err := q.h.settingsOf(src.b)
	if err != nil {
		return err
	}
	action := "s3:GetObjectTagging"
	if src.copySource.version != "" {
		action = "s3:GetObjectVersionTagging"
	}
	if !q.allowedIn(set, action, src.key, src.v) || access.Denied(q.ask(q.set, "s3:PutObjectTagging", q.key, nil)) {
		return errorf("AccessDenied", "")
	}
	return nil
}

// changes reports whether a copy onto itself changes what S3 counts as a change, metadata
// apart.
func (c *copying) changes(head http.Header) bool {
	return head.Get("x-amz-storage-class") != "" || head.Get("x-amz-website-redirect-location") != "" ||
		c.sealing.asked || c.q.set.encryption != nil
}

// directive reads whether something is to be replaced instead of copied.
func directive(head http.Header, name, unknown string) (replace bool, err error) {
	switch v := head.Get(name); v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, badArgument(unknown, name, v)
	}
}

// copyChecksum reads which checksum the copy is to have.
func copyChecksum(head http.Header) (string, error) {
	algo := strings.ToUpper(head.Get("x-amz-checksum-algorithm"))
	if algo != "" && newChecksum(algo) == nil {
		return "", unsupportedChecksum()
	}
	return algo, nil
}

// carryOut makes the copy: by sharing the content of the source, or by storing it anew when
// it is sealed, or is to be, with another key.
func (c *copying) carryOut() (*index.Version, error) {
	q, src := c.q, c.src
	in, err := src.open(q.h.e)
	if err != nil {
		return nil, err
	}
	if c.sameSeal() {
		return c.link(in)
	}
	r := in.reader(q.ctx(), 0, in.size)
	defer r.Close()
	p := &putInput{version: c.version, sealing: c.sealing, size: in.size, check: c.check, events: copyEvents}
	p.sum.algo = c.algo
	if c.algo == "" {
		p.sum.algo = listedChecksum(src.v.System)
	}
	return q.store(p, r, func(*bodySums) error { return nil })
}

// sameSeal reports whether the copy can share the content of the source.
func (c *copying) sameSeal() bool {
	if c.src.sealKey == nil || c.sealing.key == nil {
		return c.src.sealKey == nil && c.sealing.key == nil
	}
	return c.sealing.customer == nil && isKMS(c.src.v.System[metaSSE]) && c.src.bucket == c.q.bucket &&
		c.src.v.System[metaKMSKey] == c.sealing.kmsKey
}

// link makes the copy share the content of the source, with the ETag and the parts of that.
// A checksum of another algorithm takes reading the content once.
func (c *copying) link(in *opened) (*index.Version, error) {
	from, to := c.src.v, c.version
	to.Parts = from.Parts
	to.System[metaETag] = etagOf(from)
	if c.algo == "" || c.algo == listedChecksum(from.System) && sumType(from.System) == fullObject {
		for name, value := range from.System {
			if strings.HasPrefix(name, metaSum) || name == metaPartSums {
				to.System[name] = value
			}
		}
	} else {
		h := newChecksum(c.algo)
		if _, err := in.copy(c.q.ctx(), h, 0, in.size); err != nil {
			return nil, err
		}
		to.System[metaSum+strings.ToLower(c.algo)] = base64.StdEncoding.EncodeToString(h.Sum(nil))
		to.System[metaSumType] = fullObject
	}
	v, err := c.q.h.e.Link(c.q.ctx(), &object.PutRequest{
		Bucket: c.q.bucket, Key: c.q.key, Version: *to, Check: c.check, Tell: c.q.tell(copyEvents),
		Source: &object.Source{Bucket: c.src.bucket, Key: c.src.key, ID: from.ID},
	})
	if errors.Is(err, object.ErrNoVersion) {
		return nil, errorf("NoSuchKey", "").with("Key", c.src.key) // it went while we looked
	}
	return v, err
}
