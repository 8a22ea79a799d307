package s3

import (
	"context"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
)

// Lifecycle returns how the rules of buckets are carried out: what RunLifecycle of the engine
// takes. Of what is done, targets of events and, if logs are kept, access logs are told.
func (h *Handler) Lifecycle() *object.Lifecycle {
	return &object.Lifecycle{
		Server: h.hostID, Calendar: h.opt.Lifecycle, Tell: h.Tell(LifecycleEvents), Size: objectSize, Done: h.logDeed,
		Rules: func(b *object.Bucket) (*lifecycle.Rules, error) {
			set, err := h.settingsOf(b)
			if err != nil {
				return nil, err
			}
			return set.lifecycle, nil
		},
		Marker: func(b *object.Bucket) map[string]string { return map[string]string{metaOwner: h.ownerOfBucket(b)} },
	}
}

// ownerOfBucket is the canonical ID, "" when the settings cannot be read.
func (h *Handler) ownerOfBucket(b *object.Bucket) string {
	set, err := h.settingsOf(b)
	if err != nil {
		return ""
	}
	return set.owner
}

// FinishRestores notes which copies from archives have become readable or are gone, and tells
// targets of events.
func (h *Handler) FinishRestores(ctx context.Context) (object.RestoreCounts, error) {
	return h.e.FinishRestores(ctx, h.Tell(RestoreCompletedEvents), h.Tell(RestoreDeleteEvents))
}

// transitionOps are what access logs call transitions.
var transitionOps = map[string]string{
	lifecycle.StandardIA: "S3.TRANSITION_SIA.OBJECT", lifecycle.OneZoneIA: "S3.TRANSITION_ZIA.OBJECT", lifecycle.Intelligent: "S3.TRANSITION_INT.OBJECT",
	lifecycle.GlacierIR: "S3.TRANSITION_GIR.OBJECT", lifecycle.Glacier: "S3.TRANSITION.OBJECT", lifecycle.DeepArchive: "S3.TRANSITION_GDA.OBJECT",
}

// deedName is what access logs call what a rule did, and the version it is about.
func deedName(d *object.LifecycleDeed) (string, *index.Version) {
	switch {
	case d.Upload != "":
		return "S3.DELETE.UPLOAD", d.Version
	case d.Deed == lifecycle.Remove:
		return "S3.EXPIRE.OBJECT", d.Version
	case d.Deed == lifecycle.PutMarker:
		return "S3.CREATE.DELETEMARKER", d.Marker
	case d.Deed == lifecycle.Transit:
		return transitionOps[d.Class], d.Version
	}
	return "", nil
}

// logRequester is who the server's own operations are said to be asked by.
const logRequester = "AmazonS3"

// logDeed adds a line to the access log of a bucket, if it wants one.
func (h *Handler) logDeed(d *object.LifecycleDeed) {
	name, v := deedName(d)
	set, err := h.settingsOf(d.Bucket)
	if h.logs == nil || name == "" || err != nil || set.logging == nil {
		return
	}
	l := &logged{Record: &Record{Time: h.e.Now().UTC(), ID: newID(8), Bucket: d.Bucket.Name, Key: string(v.Key), Region: h.region(d.Bucket)},
		Owner: set.owner, User: logRequester, Operation: name, Size: -1, HostID: h.hostID}
	if d.Bucket.Versioning != object.Unversioned && d.Upload == "" {
		l.VersionID = versionID(v)
	}
	if v.Kind == index.ContentPayload && d.Upload == "" {
		l.Size = objectSize(v)
	}
	if err := h.logs.add(d.Bucket.Name, l.line()); err != nil {
		h.logWarn(err.Error())
	}
}
