package s3

import (
	"errors"
	"net/http"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

var multipartOps = []operation{
	{name: "CreateMultipartUpload", level: objectLevel, method: http.MethodPost, sub: "uploads",
		action: "s3:PutObject", permission: access.Write, run: (*request).createUpload},
	{name: "UploadPartCopy", level: objectLevel, method: http.MethodPut, sub: "uploadId", match: has("x-amz-copy-source"),
		action: "s3:PutObject", permission: access.Write, run: (*request).uploadPartCopy},
	{name: "UploadPart", level: objectLevel, method: http.MethodPut, sub: "uploadId",
		action: "s3:PutObject", permission: access.Write, run: (*request).uploadPart},
	{name: "CompleteMultipartUpload", level: objectLevel, method: http.MethodPost, sub: "uploadId",
		action: "s3:PutObject", permission: access.Write, run: (*request).completeUpload},
	{name: "AbortMultipartUpload", level: objectLevel, method: http.MethodDelete, sub: "uploadId",
		run: (*request).abortUpload},
	{name: "ListParts", level: objectLevel, method: http.MethodGet, sub: "uploadId",
		run: (*request).listParts},
}

// createUpload begins an upload, whose object is described now.
func (q *request) createUpload() error {
	if q.who.ID == "" {
		return errorf("AccessDenied", "Anonymous users cannot initiate multipart uploads.  Please authenticate.")
	}
	v, err := q.newVersion(q.r.Header)
	if err != nil {
		return err
	}
	algo, typ, err := uploadChecksum(q.r.Header)
	if err != nil {
		return err
	}
	sealing, err := q.newSealing(q.r.Header)
	if err != nil {
		return err
	}
	if err := sealing.note(v.System); err != nil {
		return err
	}
	v.System[metaInitiator] = q.who.ID
	if algo != "" {
		v.System[metaSumAlgo], v.System[metaSumType] = algo, typ
	}
	u := &object.Upload{Version: *v}
	u.Version.Bucket, u.Version.Key = q.bucket, []byte(q.key)
	if err := q.h.e.CreateUpload(q.ctx(), u); err != nil {
		return err
	}
	head := q.w.Header()
	sseHeaders(head, &u.Version)
	if c := v.System[metaKMSCtx]; c != "" {
		head.Set(headKMSContext, c)
	}
	if algo != "" {
		head.Set("x-amz-checksum-algorithm", algo)
		head.Set("x-amz-checksum-type", typ)
	}
	abortHeaders(head, q.set.lifecycle, u)
	w := &xmlWriter{}
	w.begin("InitiateMultipartUploadResult")
	w.text("Bucket", q.bucket)
	w.text("Key", q.key)
	w.text("UploadId", u.ID)
	return q.writeList(w, "InitiateMultipartUploadResult")
}

// upload returns the upload that the request names.
func (q *request) upload() (*object.Upload, error) {
	return q.h.e.Upload(q.bucket, q.key, q.query.Get("uploadId"))
}

// uploadFor returns the upload that the request names if the caller may carry out an action
// on it. Who began an upload may, unless a policy says otherwise.
func (q *request) uploadFor(action string) (*object.Upload, error) {
	u, err := q.upload()
	if err != nil && !errors.Is(err, object.ErrNoUpload) {
		return nil, err
	}
	if q.allowed(action, q.key, nil) {
		return u, err
	}
	began := u != nil && q.who.ID != "" && u.Version.System[metaInitiator] == q.who.ID
	if !began || access.Denied(q.ask(q.set, action, q.key, nil)) {
		return nil, errorf("AccessDenied", "")
	}
	return u, nil
}

// abortUpload forgets an upload and its parts.
func (q *request) abortUpload() error {
	u, err := q.uploadFor("s3:AbortMultipartUpload")
	if err != nil {
		return err
	}
	if err := q.h.e.Abort(q.ctx(), q.bucket, q.key, u.ID); err != nil {
		return err
	}
	return q.none(http.StatusNoContent)
}

const otherKey = "The provided encryption parameters did not match the ones used originally."

// partKey returns the key that the parts of an upload are sealed with, nil when they are
// not. The headers of SSE-C have to come with each part.
func (q *request) partKey(u *object.Upload) ([]byte, error) {
	given, err := parseCustomerKey(q.r.Header, customerHeader)
	if err != nil {
		return nil, err
	}
	system := u.Version.System
	switch {
	case system[metaSSEC] != "" && given == nil:
		return nil, errorf("InvalidRequest", "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.")
	case system[metaSSEC] == "" && given != nil:
		return nil, errorf("InvalidRequest", "The multipart upload initiate did not request encryption. Please resend the request without sending encryption parameters.")
	case given != nil && !given.proves(system[metaCheck]):
		return nil, errorf("InvalidRequest", otherKey)
	case given != nil:
		return given.key, nil
	case isKMS(system[metaSSE]):
		return q.h.kmsKey(q.bucket, system[metaKMSKey])
	}
	return nil, nil
}

// sameCustomerKey refuses another key than that of the upload where none is needed.
func (q *request) sameCustomerKey(u *object.Upload) error {
	given, err := parseCustomerKey(q.r.Header, customerHeader)
	if err != nil || given == nil {
		return err
	}
	if u.Version.System[metaSSEC] == "" || !given.proves(u.Version.System[metaCheck]) {
		return errorf("InvalidRequest", otherKey)
	}
	return nil
}
