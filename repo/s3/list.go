package s3

import (
	"encoding/base64"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

var listOps = []operation{
	{name: "ListObjectsV2", level: bucketLevel, method: http.MethodGet, match: isListV2,
		action: "s3:ListBucket", permission: access.Read, run: (*request).listObjectsV2},
	{name: "ListObjects", level: bucketLevel, method: http.MethodGet,
		action: "s3:ListBucket", permission: access.Read, run: (*request).listObjects},
	{name: "ListObjectVersions", level: bucketLevel, method: http.MethodGet, sub: "versions",
		action: "s3:ListBucketVersions", permission: access.Read, run: (*request).listVersions},
	{name: "ListMultipartUploads", level: bucketLevel, method: http.MethodGet, sub: "uploads",
		action: "s3:ListBucketMultipartUploads", permission: access.Read, run: (*request).listUploads},
}

func isListV2(q *request) bool { return q.query.Has("list-type") }

// maxListed bounds a page, whatever is asked for.
const maxListed = 1000

// listParams is what the listings of a bucket have in common.
type listParams struct {
	prefix, delimiter string
	encoded           bool
	max               int
	restore           bool // RestoreStatus is asked for
}

func (q *request) listParams(maxName string) (l listParams, err error) {
	l.prefix, l.delimiter = q.query.Get("prefix"), q.query.Get("delimiter")
	if l.encoded, err = q.encodingType(); err != nil {
		return l, err
	}
	if l.max, err = q.pageSize(maxName); err != nil {
		return l, err
	}
	l.restore, err = q.optionalAttributes()
	return l, err
}

func (q *request) encodingType() (encoded bool, err error) {
	switch v := q.query.Get("encoding-type"); v {
	case "":
		return false, nil
	case "url":
		return true, nil
	default:
		return false, badParameter("encoding-type", v, "Invalid Encoding Method specified in Request")
	}
}

// badParameter is the refusal of a parameter.
func badParameter(name, value, message string) *apiError {
	return errorf("InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
}

// pageSize reads max-keys and its like. Without a value it is the largest page.
func (q *request) pageSize(name string) (int, error) {
	v := q.query.Get(name)
	if v == "" {
		return maxListed, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	switch {
	case err != nil:
		return 0, badParameter(name, v, "Provided "+name+" not an integer or within integer range")
	case n < 0:
		return 0, badParameter(name, v, "Argument "+name+" must be an integer between 0 and 2147483647")
	}
	return int(min(n, maxListed)), nil
}

// optionalAttributes reads x-amz-optional-object-attributes.
func (q *request) optionalAttributes() (restore bool, err error) {
	for _, h := range q.r.Header.Values("X-Amz-Optional-Object-Attributes") {
		for _, name := range strings.Split(h, ",") {
			if strings.TrimSpace(name) != "RestoreStatus" {
				return false, badParameter("x-amz-optional-object-attributes", h, "Invalid attribute name specified")
			}
			restore = true
		}
	}
	return restore, nil
}

// page reads a page of the bucket. A page of no entries is empty and complete, as with S3.
func (q *request) page(l *listParams, query index.ListQuery) (*index.Listing, error) {
	if l.max == 0 {
		return &index.Listing{}, nil
	}
	query.Prefix, query.Delimiter, query.Max = l.prefix, l.delimiter, l.max
	page, err := q.h.e.Page(q.ctx(), q.bucket, query)
	if err == nil {
		for _, entry := range page.Entries {
			q.set.dress(entry.Version)
		}
	}
	return page, err
}

// listObjects answers the first version of the API, which continues behind a key.
func (q *request) listObjects() error {
	l, err := q.listParams("max-keys")
	if err != nil {
		return err
	}
	marker := q.query.Get("marker")
	page, err := q.page(&l, index.ListQuery{After: marker})
	if err != nil {
		return err
	}
	w := &xmlWriter{encoded: l.encoded, b: make([]byte, 0, sizeOf(page))}
	w.begin("ListBucketResult")
	w.text("Name", q.bucket)
	if l.encoded {
		w.text("Prefix", decodesToItself(l.prefix))
	} else {
		w.key("Prefix", l.prefix)
	}
	w.key("Marker", marker)
	if page.Truncated && l.delimiter != "" {
		w.key("NextMarker", page.NextAfter) // without a delimiter clients take the last key
	}
	w.number("MaxKeys", int64(l.max))
	w.listed(&l, page.Truncated)
	q.contents(w, &l, page, true)
	return q.writeList(w, "ListBucketResult")
}

// listed writes what the heads of all listings have in common.
func (w *xmlWriter) listed(l *listParams, truncated bool) {
	w.someKey("Delimiter", l.delimiter)
	if l.encoded {
		w.text("EncodingType", "url")
	}
	w.bool("IsTruncated", truncated)
}

// listObjectsV2 answers the second version, which continues from a token.
func (q *request) listObjectsV2() error {
	if v := q.query.Get("list-type"); v != "2" {
		return badParameter("list-type", v, "Invalid List Type specified in Request")
	}
	l, err := q.listParams("max-keys")
	if err != nil {
		return err
	}
	startAfter, token := q.query.Get("start-after"), q.query.Get("continuation-token")
	after := startAfter
	if q.query.Has("continuation-token") {
		var ok bool
		if after, ok = parseToken(token); !ok {
			return errorf("InvalidArgument", "The continuation token provided is incorrect").
				with("ArgumentName", "continuation-token")
		}
	}
	page, err := q.page(&l, index.ListQuery{After: after})
	if err != nil {
		return err
	}
	w := &xmlWriter{encoded: l.encoded, b: make([]byte, 0, sizeOf(page))}
	w.begin("ListBucketResult")
	w.text("Name", q.bucket)
	w.key("Prefix", l.prefix)
	w.someKey("StartAfter", startAfter)
	w.some("ContinuationToken", token)
	if page.Truncated {
		w.text("NextContinuationToken", formatToken(page.NextAfter))
	}
	w.number("KeyCount", int64(len(page.Entries)+len(page.Prefixes)))
	w.number("MaxKeys", int64(l.max))
	w.listed(&l, page.Truncated)
	q.contents(w, &l, page, q.query.Get("fetch-owner") == "true")
	return q.writeList(w, "ListBucketResult")
}

// formatToken wraps the key behind which a listing continues. Clients are not meant to
// make tokens, so there is a checksum in it.
func formatToken(after string) string {
	b := []byte{0, 0, 0, 0, 1}
	b = append(b, after...)
	sum := crc32.ChecksumIEEE(b[4:])
	b[0], b[1], b[2], b[3] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseToken(token string) (after string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 5 || b[4] != 1 || len(b) > 5+maxKey {
		return "", false
	}
	after = string(b[5:])
	return after, formatToken(after) == token
}

// sizeOf guesses the length of the document, so that it seldom has to grow.
func sizeOf(page *index.Listing) int {
	n := 1000
	for _, e := range page.Entries {
		n += 400 + 2*len(e.Version.Key)
	}
	for _, p := range page.Prefixes {
		n += 100 + 2*len(p)
	}
	return n
}

// contents writes the keys and common prefixes of a page.
func (q *request) contents(w *xmlWriter, l *listParams, page *index.Listing, withOwner bool) {
	names := ownerNames{h: q.h}
	for _, e := range page.Entries {
		v := e.Version
		w.open("Contents")
		w.key("Key", string(v.Key))
		w.time("LastModified", v.Time)
		w.describe(v)
		if withOwner {
			w.owner("Owner", names.of(q.ownerOf(v.System[metaOwner])))
		}
		w.text("StorageClass", v.Class)
		w.restore(l, v, q.now)
		w.close("Contents")
	}
	w.prefixes(page.Prefixes)
}

// describe writes ETag, checksums and size of a version.
func (w *xmlWriter) describe(v *index.Version) {
	w.etag(v.System[metaETag])
	if algo := listedChecksum(v.System); algo != "" {
		w.text("ChecksumAlgorithm", algo)
		w.some("ChecksumType", v.System[metaSumType])
	}
	w.number("Size", objectSize(v))
}

// restore writes the state of a version in an archive at a time, if it is asked for.
func (w *xmlWriter) restore(l *listParams, v *index.Version, now time.Time) {
	if !l.restore || !lifecycle.Archived(v.Class) {
		return
	}
	r := object.RestoreOf(v)
	w.open("RestoreStatus")
	w.bool("IsRestoreInProgress", r.Running(now))
	if r.Readable(now) {
		w.text("RestoreExpiryDate", isoTime(r.Until))
	}
	w.close("RestoreStatus")
}

func (w *xmlWriter) prefixes(list []string) {
	for _, p := range list {
		w.open("CommonPrefixes")
		w.key("Prefix", p)
		w.close("CommonPrefixes")
	}
}

// ownerOf returns who owns a version or upload that was written as id: where ACLs are off,
// all belongs to the owner of the bucket.
func (q *request) ownerOf(id string) string {
	if id == "" || q.set.ownership == access.OwnerEnforced {
		return q.set.owner
	}
	return id
}
