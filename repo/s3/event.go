package s3

import (
	"bytes"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

// EventNames say how an event is called, by what was done to the version. A deed that is
// not in there is told to nobody.
type EventNames map[object.Deed]string

// LifecycleEvents are those of versions that the rules of a bucket remove or move.
var LifecycleEvents = EventNames{
	object.Marked: "LifecycleExpiration:DeleteMarkerCreated", object.Removed: "LifecycleExpiration:Delete", object.Edited: transitioned,
}

// Those of copies from archives: one was asked for, is there, and is gone again.
var (
	RestorePostEvents      = EventNames{object.Edited: "ObjectRestore:Post"}
	RestoreCompletedEvents = EventNames{object.Edited: restoreCompleted}
	RestoreDeleteEvents    = EventNames{object.Edited: "ObjectRestore:Delete"}
)

const (
	restoreCompleted = "ObjectRestore:Completed"
	transitioned     = "LifecycleTransition"
)

var (
	putEvents      = EventNames{object.Made: "ObjectCreated:Put"}
	postEvents     = EventNames{object.Made: "ObjectCreated:Post"}
	copyEvents     = EventNames{object.Made: "ObjectCreated:Copy"}
	completeEvents = EventNames{object.Made: "ObjectCreated:CompleteMultipartUpload"}
	deleteEvents   = EventNames{object.Marked: "ObjectRemoved:DeleteMarkerCreated", object.Removed: "ObjectRemoved:Delete"}
	tagEvents      = EventNames{object.Edited: "ObjectTagging:Put"}
	untagEvents    = EventNames{object.Edited: "ObjectTagging:Delete"}
	aclEvents      = EventNames{object.Edited: "ObjectAcl:Put"}
)

// serverPrincipal is who acts when no request asked for it.
const serverPrincipal = "s3.amazonaws.com"

// origin is who changes an object, as events tell of it.
type origin struct {
	principal, remote, request string
}

// Tell makes the teller of changes that the server makes by itself, such as those of lifecycle
// rules: whoever has the engine carry out such a change puts it into the request.
func (h *Handler) Tell(names EventNames) object.Teller {
	return h.teller(names, origin{principal: serverPrincipal})
}

// tell makes the teller of what the request changes.
func (q *request) tell(names EventNames) object.Teller {
	from := origin{principal: "Anonymous", remote: q.r.RemoteAddr, request: q.id}
	switch {
	case q.auth == nil: // no client sent it
		from.principal = serverPrincipal
	case q.user != nil:
		from.principal = "AWS:" + q.user.ID
	}
	if host, _, err := net.SplitHostPort(from.remote); err == nil {
		from.remote = host
	}
	return q.h.teller(names, from)
}

// teller is the one place where events are made: for each rule of the bucket that the
// change fits, one.
func (h *Handler) teller(names EventNames, from origin) object.Teller {
	return func(b *object.Bucket, deed object.Deed, v *index.Version) ([]object.Event, error) {
		name := names[deed]
		if b.Config[confNotification] == "" || name == "" {
			return nil, nil
		}
		set, err := h.settingsOf(b)
		if err != nil {
			return nil, err
		}
		var list []object.Event
		for i := range set.notify {
			if r := &set.notify[i]; r.matches(name, string(v.Key)) {
				list = append(list, newEvent(set, r, name, deed, v, from))
			}
		}
		return list, nil
	}
}

// emptyETag is the ETag that S3 gives delete markers in events: MD5 of nothing.
const emptyETag = "d41d8cd98f00b204e9800998ecf8427e"

func newEvent(set *settings, r *notifyRule, name string, deed object.Deed, v *index.Version, from origin) object.Event {
	ev := object.Event{Target: r.target, Name: name, Rule: r.id, Bucket: set.b.Name, Owner: set.owner, Key: v.Key,
		Principal: from.principal, Remote: from.remote, Request: from.request}
	if set.b.Versioning != object.Unversioned {
		ev.Version = versionID(v)
	}
	switch {
	case deed == object.Removed: // nothing more is told of what is gone
	case v.Kind == index.DeleteMarker:
		ev.ETag = emptyETag
	default:
		size := uint64(objectSize(v))
		ev.Size, ev.ETag = &size, etagOf(v)
	}
	switch name {
	case transitioned:
		ev.Class = v.Class
	case restoreCompleted:
		ev.Class = v.Class
		if r := object.RestoreOf(v); r != nil {
			ev.Until = r.Until.UnixNano()
		}
	}
	return ev
}

// eventTime is how events write times: UTC, with milliseconds.
const eventTime = "2006-01-02T15:04:05.000Z"

// eventVersion is that of the structure of messages; since 2.4 all events have the same.
const eventVersion = "2.6"

// eventMessage is the JSON that S3 sends.
type eventMessage struct {
	Records []eventRecord
}

type eventRecord struct {
	EventVersion string `json:"eventVersion"`
	EventSource  string `json:"eventSource"`
	AWSRegion    string `json:"awsRegion"`
	EventTime    string `json:"eventTime"`
	EventName    string `json:"eventName"`
	UserIdentity struct {
		PrincipalID string `json:"principalId"`
	} `json:"userIdentity"`
	RequestParameters struct {
		SourceIPAddress string `json:"sourceIPAddress"`
	} `json:"requestParameters"`
	ResponseElements struct {
		RequestID string `json:"x-amz-request-id"`
		HostID    string `json:"x-amz-id-2"`
	} `json:"responseElements"`
	S3        eventEntity      `json:"s3"`
	Glacier   *restoreEvent    `json:"glacierEventData,omitempty"`
	Lifecycle *transitionEvent `json:"lifecycleEventData,omitempty"`
}

type eventEntity struct {
	SchemaVersion   string `json:"s3SchemaVersion"`
	ConfigurationID string `json:"configurationId"`
	Bucket          struct {
		Name          string `json:"name"`
		OwnerIdentity struct {
			PrincipalID string `json:"principalId"`
		} `json:"ownerIdentity"`
		ARN string `json:"arn"`
	} `json:"bucket"`
	Object struct {
		Key       string  `json:"key"`
		Size      *uint64 `json:"size,omitempty"`
		ETag      string  `json:"eTag,omitempty"`
		VersionID string  `json:"versionId,omitempty"`
		Sequencer string  `json:"sequencer"`
	} `json:"object"`
}

type restoreEvent struct {
	RestoreEventData struct {
		Expiry string `json:"lifecycleRestorationExpiryTime"`
		Class  string `json:"lifecycleRestoreStorageClass"`
	} `json:"restoreEventData"`
}

type transitionEvent struct {
	TransitionEventData struct {
		Class string `json:"destinationStorageClass"`
	} `json:"transitionEventData"`
}

// EventMessage encodes an event as S3 sends it.
func (h *Handler) EventMessage(ev *object.Event) []byte {
	r := eventRecord{EventVersion: eventVersion, EventSource: "aws:s3", AWSRegion: h.opt.Region,
		EventTime: time.Unix(0, ev.Time).UTC().Format(eventTime), EventName: ev.Name}
	r.UserIdentity.PrincipalID = ev.Principal
	r.RequestParameters.SourceIPAddress = ev.Remote
	r.ResponseElements.RequestID, r.ResponseElements.HostID = ev.Request, h.hostID
	r.S3.SchemaVersion, r.S3.ConfigurationID = "1.0", ev.Rule
	r.S3.Bucket.Name, r.S3.Bucket.ARN = ev.Bucket, "arn:aws:s3:::"+ev.Bucket
	r.S3.Bucket.OwnerIdentity.PrincipalID = ev.Owner
	o := &r.S3.Object
	o.Key = strings.ReplaceAll(url.QueryEscape(string(ev.Key)), "%2F", "/")
	o.Size, o.ETag, o.VersionID, o.Sequencer = ev.Size, ev.ETag, ev.Version, ev.Place.String()
	switch ev.Name {
	case restoreCompleted:
		r.Glacier = &restoreEvent{}
		r.Glacier.RestoreEventData.Expiry = time.Unix(0, ev.Until).UTC().Format(eventTime)
		r.Glacier.RestoreEventData.Class = ev.Class
	case transitioned:
		r.Lifecycle = &transitionEvent{}
		r.Lifecycle.TransitionEventData.Class = ev.Class
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(eventMessage{[]eventRecord{r}}); err != nil {
		panic("s3: " + err.Error()) // our own types always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
