package s3

import (
	"net/http"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

// deleteObject deletes the object, or removes a version for good.
func (q *request) deleteObject() error {
	ref, err := parseRef(q.query.Get("versionId"))
	if err != nil {
		return err
	}
	if q.r.Header.Get(headBypass) != "" && !q.b.Lock {
		return errorf("InvalidArgument", headBypass+" is only applicable to Object Lock enabled buckets.").with("ArgumentName", headBypass)
	}
	conditions := parseDeleteConditions(q.r.Header)
	check, err := conditions.check(q.key, !ref.Current())
	if err != nil {
		return err
	}
	if err := q.mayCompare(q.key, ref, conditions.match+conditions.noneMatch+conditions.unmodified); err != nil {
		return err
	}
	results, err := q.h.e.Delete(q.ctx(), q.bucket, []object.DeleteRequest{{
		Key: q.key, Ref: ref, Bypass: q.bypass(q.key, nil), Check: check, System: q.markerSystem(), Tell: q.tell(deleteEvents)}})
	if err != nil {
		return err
	}
	d := results[0]
	if d.Err != nil {
		return d.Err
	}
	q.deletedHeaders(ref, &d)
	return q.none(http.StatusNoContent)
}

// markerSystem is the system metadata of a delete marker.
func (q *request) markerSystem() map[string]string {
	return map[string]string{metaOwner: q.newOwner(q.r.Header)}
}

// deletedHeaders tells what became of a version.
func (q *request) deletedHeaders(ref object.Ref, d *object.DeleteResult) {
	if q.b.Versioning == object.Unversioned {
		return
	}
	head := q.w.Header()
	switch {
	case d.Marker != nil:
		head.Set("x-amz-delete-marker", "true")
		head.Set("x-amz-version-id", versionID(d.Marker))
	case !ref.Current():
		head.Set("x-amz-version-id", q.query.Get("versionId"))
		if d.Removed != nil && d.Removed.Kind == index.DeleteMarker {
			head.Set("x-amz-delete-marker", "true")
		}
	}
}

// deleteObjects deletes up to a thousand objects or versions.
func (q *request) deleteObjects() error {
	data, err := q.readDigested(maxDeleteBody)
	if err != nil {
		return err
	}
	list, err := parseDeleteList(data)
	if err != nil {
		return err
	}
	// Here the header for governance retention is no error in a bucket without locks, unlike
	// with S3: clients that empty buckets send it always.
	answers := make([]deleteAnswer, len(list.entries))
	var reqs []object.DeleteRequest
	var places []int // of reqs in answers
	for i, entry := range list.entries {
		req, err := q.deleteRequest(entry)
		if err != nil {
			answers[i].err = err
			continue
		}
		reqs = append(reqs, *req)
		places = append(places, i)
	}
	if len(reqs) > 0 {
		results, err := q.h.e.Delete(q.ctx(), q.bucket, reqs)
		if err != nil {
			return err
		}
		for i, res := range results {
			answers[places[i]] = deleteAnswer{DeleteResult: res, err: res.Err}
		}
	}
	return q.deleteResult(list, answers)
}

// deleteAnswer is what became of an entry.
type deleteAnswer struct {
	object.DeleteResult
	err error
}

// mayDelete reports whether the requester may delete an entry. To policies, its version and
// ETag are what query and header are with DeleteObject.
func (q *request) mayDelete(action string, e deleteEntry) bool {
	ask := q.ask(q.set, action, e.key, nil)
	ask.Permission = aclPermissions[action].permission
	values := ask.Context
	ask.Context = func(name string) []string {
		switch name {
		case "s3:if-match":
			return some(e.conditions.match, e.conditions.match != "")
		case "s3:versionid":
			return some(e.version, e.version != "")
		}
		return values(name)
	}
	return access.Allowed(ask)
}

// deleteRequest makes a request to the engine of an entry, if the requester may.
func (q *request) deleteRequest(e deleteEntry) (*object.DeleteRequest, error) {
	if len(e.key) > maxKey {
		return nil, errorf("KeyTooLongError", "")
	}
	ref, err := parseRef(e.version)
	if err != nil {
		return nil, errorf("NoSuchVersion", "")
	}
	action := "s3:DeleteObject"
	if !ref.Current() {
		action = "s3:DeleteObjectVersion"
	}
	if !q.mayDelete(action, e) {
		return nil, errorf("AccessDenied", "")
	}
	check, err := e.conditions.check(e.key, !ref.Current())
	if err != nil {
		return nil, err
	}
	if err := q.mayCompare(e.key, ref, e.conditions.match); err != nil {
		return nil, err
	}
	return &object.DeleteRequest{Key: e.key, Ref: ref, Bypass: q.bypass(e.key, nil), Check: check, System: q.markerSystem(), Tell: q.tell(deleteEvents)}, nil
}

// deleteResult answers with what became of each entry.
func (q *request) deleteResult(list *deleteList, answers []deleteAnswer) error {
	w := &xmlWriter{}
	w.begin("DeleteResult")
	for i, e := range list.entries {
		a := &answers[i]
		if a.err != nil {
			w.deleteError(e, q.translate(a.err))
		} else if !list.quiet {
			w.deleted(e, a, q.b.Versioning != object.Unversioned)
		}
	}
	return q.writeList(w, "DeleteResult")
}

func (w *xmlWriter) deleteError(e deleteEntry, err *apiError) {
	w.open("Error")
	w.key("Key", e.key)
	w.some("VersionId", e.version)
	w.text("Code", err.code)
	w.text("Message", err.text())
	w.close("Error")
}

func (w *xmlWriter) deleted(e deleteEntry, a *deleteAnswer, versions bool) {
	w.open("Deleted")
	w.key("Key", e.key)
	w.some("VersionId", e.version)
	marker := a.Marker
	if marker == nil && a.Removed != nil && a.Removed.Kind == index.DeleteMarker {
		marker = a.Removed
	}
	if marker != nil && versions {
		w.bool("DeleteMarker", true)
		w.text("DeleteMarkerVersionId", versionID(marker))
	}
	w.close("Deleted")
}
