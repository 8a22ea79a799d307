package s3

import (
	"net/http"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
)

// archived reports whether the bytes of a version cannot be read now.
func (q *request) archived(v *index.Version) bool { return !object.Readable(v, q.now) }

// restoreHeader tells of the copy that was asked for of a version.
func restoreHeader(head http.Header, v *index.Version, now time.Time) {
	switch r := object.RestoreOf(v); {
	case r.Running(now):
		head.Set("x-amz-restore", `ongoing-request="true"`)
	case r.Readable(now):
		head.Set("x-amz-restore", `ongoing-request="false", expiry-date="`+httpTime(r.Until)+`"`)
	}
}

// restoreRequest is the body of a RestoreObject.
type restoreRequest struct {
	Days          *int32
	JobParameters *struct {
		Tier string
	} `xml:"GlacierJobParameters"`
	Tier        string
	Description string
}

const maxRestoreBody = 64 << 10

// parseRestore reads a body. Selecting in archives is what AWS takes from nobody new.
func parseRestore(data []byte) (*restoreRequest, error) {
	var other struct {
		Type                             string
		SelectParameters, OutputLocation *struct{}
	}
	if err := parseXML(data, &other); err != nil {
		return nil, err
	}
	if other.Type != "" || other.SelectParameters != nil || other.OutputLocation != nil {
		return nil, errorf("NotImplemented", "").with("Header", "Type")
	}
	r := &restoreRequest{}
	if err := parseDocument(data, "RestoreRequest", r); err != nil {
		return nil, err
	}
	if r.JobParameters != nil {
		r.Tier = r.JobParameters.Tier
	} else if r.Tier == "" {
		r.Tier = lifecycle.Fast
	}
	switch r.Tier {
	case lifecycle.Expedited, lifecycle.Fast, lifecycle.Bulk:
	default:
		return nil, errorf("MalformedXML", "")
	}
	if r.Days != nil && (*r.Days < 1 || *r.Days > lifecycle.MaxDays) {
		return nil, errorf("MalformedXML", "")
	}
	return r, nil
}

// restoreObject asks for a copy of an archived version, which can be read for some days.
func (q *request) restoreObject() error {
	v, err := q.target()
	if err != nil {
		return err
	}
	data, err := q.readAll(maxRestoreBody)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errorf("MissingRequestBodyError", "")
	}
	r, err := parseRestore(data)
	if err != nil {
		return err
	}
	if !lifecycle.Archived(v.Class) {
		return errorf("InvalidObjectState", "Restore is not allowed for the object's current storage class").with("StorageClass", v.Class)
	}
	if r.Days == nil {
		return errorf("MalformedXML", "")
	}
	v, begun, err := q.h.e.Restore(q.ctx(), &object.RestoreRequest{Bucket: q.bucket, Key: q.key, Ref: refOf(v), Tier: r.Tier, Days: int(*r.Days),
		Calendar: q.h.opt.Restore, Tell: q.tell(RestorePostEvents)})
	if err != nil {
		return err
	}
	if q.b.Versioning != object.Unversioned {
		q.w.Header().Set("x-amz-version-id", versionID(v))
	}
	if begun {
		return q.none(http.StatusAccepted)
	}
	return q.none(http.StatusOK)
}
