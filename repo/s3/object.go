package s3

import (
	"net/http"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

var objectOps = []operation{
	{name: "CopyObject", level: objectLevel, method: http.MethodPut, match: has("x-amz-copy-source"),
		action: "s3:PutObject", permission: access.Write, run: (*request).copyObject},
	{name: "PutObject", level: objectLevel, method: http.MethodPut,
		action: "s3:PutObject", permission: access.Write, run: (*request).putObject},
	{name: "GetObject", level: objectLevel, method: http.MethodGet,
		actionOf: versioned("s3:GetObject", "s3:GetObjectVersion"), permission: access.Read, loads: true, run: (*request).getObject},
	{name: "HeadObject", level: objectLevel, method: http.MethodHead,
		actionOf: versioned("s3:GetObject", "s3:GetObjectVersion"), permission: access.Read, loads: true, run: (*request).getObject},
	{name: "DeleteObject", level: objectLevel, method: http.MethodDelete,
		actionOf: versioned("s3:DeleteObject", "s3:DeleteObjectVersion"), permission: access.Write, run: (*request).deleteObject},
	{name: "DeleteObjects", level: bucketLevel, method: http.MethodPost, sub: "delete", run: (*request).deleteObjects},

	{name: "GetObjectAttributes", level: objectLevel, method: http.MethodGet, sub: "attributes",
		actionOf: versioned("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"), permission: access.Read, loads: true, run: (*request).getAttributes},
	{name: "GetObjectTagging", level: objectLevel, method: http.MethodGet, sub: "tagging",
		actionOf: versioned("s3:GetObjectTagging", "s3:GetObjectVersionTagging"), loads: true, run: (*request).getObjectTagging},
	{name: "PutObjectTagging", level: objectLevel, method: http.MethodPut, sub: "tagging",
		actionOf: versioned("s3:PutObjectTagging", "s3:PutObjectVersionTagging"), loads: true, run: (*request).putObjectTagging},
	{name: "DeleteObjectTagging", level: objectLevel, method: http.MethodDelete, sub: "tagging",
		actionOf: versioned("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"), loads: true, run: (*request).deleteObjectTagging},
	{name: "GetObjectRetention", level: objectLevel, method: http.MethodGet, sub: "retention",
		action: "s3:GetObjectRetention", loads: true, run: (*request).getRetention},
	{name: "PutObjectRetention", level: objectLevel, method: http.MethodPut, sub: "retention",
		action: "s3:PutObjectRetention", loads: true, run: (*request).putRetention},
	{name: "GetObjectLegalHold", level: objectLevel, method: http.MethodGet, sub: "legal-hold",
		action: "s3:GetObjectLegalHold", loads: true, run: (*request).getLegalHold},
	{name: "PutObjectLegalHold", level: objectLevel, method: http.MethodPut, sub: "legal-hold",
		action: "s3:PutObjectLegalHold", loads: true, run: (*request).putLegalHold},

	{name: "RestoreObject", level: objectLevel, method: http.MethodPost, sub: "restore",
		action: "s3:RestoreObject", loads: true, run: (*request).restoreObject},
	{name: "SelectObjectContent", level: objectLevel, method: http.MethodPost, sub: "select",
		action: "s3:GetObject", permission: access.Read, loads: true, run: refusing("MethodNotAllowed", "Method", http.MethodPost)},
	{name: "GetObjectTorrent", level: objectLevel, method: http.MethodGet, sub: "torrent",
		action: "s3:GetObjectTorrent", permission: access.Read, loads: true, run: (*request).getTorrent},
	{name: "RenameObject", level: objectLevel, method: http.MethodPut, sub: "renameObject",
		action: "s3:PutObject", permission: access.Write, run: refusing("NotImplemented", "Header", "renameObject")},
}

// objectOp returns the row of an operation, for requests that come another way than by its
// route.
func objectOp(name string) *operation {
	for i := range objectOps {
		if objectOps[i].name == name {
			return &objectOps[i]
		}
	}
	panic("s3: no operation " + name)
}

// refusing answers every request of an operation with an error that has one more element.
func refusing(code, name, value string) func(*request) error {
	return func(*request) error { return errorf(code, "").with(name, value) }
}

// Limits of an object that is put, or copied, at once, and of any object.
const (
	maxPut    = 5 << 30
	maxObject = 5 << 40
)

func etagOf(v *index.Version) string { return v.System[metaETag] }

// refOf names a version that was read.
func refOf(v *index.Version) object.Ref {
	if v.Null {
		return object.Ref{Null: true}
	}
	return object.Ref{ID: v.ID}
}

// target returns the version that the request addresses and that operation loaded; it is no
// delete marker.
func (q *request) target() (*index.Version, error) {
	named := q.query.Get("versionId")
	switch {
	case q.v == nil:
		if named != "" {
			return nil, errorf("NoSuchVersion", "").with("Key", q.key).with("VersionId", named)
		}
		return nil, errorf("NoSuchKey", "").with("Key", q.key).header("x-amz-delete-marker", "false")
	case q.v.Kind == index.DeleteMarker && named == "":
		return nil, errorf("NoSuchKey", "").with("Key", q.key).
			header("x-amz-delete-marker", "true").header("x-amz-version-id", versionID(q.v))
	case q.v.Kind == index.DeleteMarker:
		return nil, errorf("MethodNotAllowed", "").with("Method", q.r.Method).with("ResourceType", "DeleteMarker").
			header("x-amz-delete-marker", "true").header("x-amz-version-id", versionID(q.v)).
			header("Allow", http.MethodDelete).header("Last-Modified", httpTime(modified(q.v)))
	}
	return q.v, nil
}

// idHeader names a version in a bucket that has, or had, versions.
func (q *request) idHeader(v *index.Version) {
	if q.b.Versioning != object.Unversioned {
		q.w.Header().Set("x-amz-version-id", versionID(v))
	}
}

// versionHeaders tells of a version that the request made.
func (q *request) versionHeaders(v *index.Version) {
	head := q.w.Header()
	if !v.Null {
		head.Set("x-amz-version-id", versionID(v))
	}
	sseHeaders(head, v)
	q.expiration(v)
}

// expiration tells when the newest version of a key expires.
func (q *request) expiration(v *index.Version) {
	if object.InSnapshot(v) {
		return
	}
	if value := expirationHeader(q.set.lifecycle, string(v.Key), v.Tags, objectSize(v), modified(v)); value != "" {
		q.w.Header().Set("x-amz-expiration", value)
	}
}
