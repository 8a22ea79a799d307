package s3

import (
	"net/http"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

const (
	headLockMode  = "x-amz-object-lock-mode"
	headLockUntil = "x-amz-object-lock-retain-until-date"
	headHold      = "x-amz-object-lock-legal-hold"
	headBypass    = "x-amz-bypass-governance-retention"
)

// maxLockBody bounds the documents about locks of an object.
const maxLockBody = 16 << 10

const lockMissing = "Bucket is missing Object Lock Configuration"

// lockMode returns the number of a mode of retention, or 0.
func lockMode(name string) uint8 {
	for mode, n := range lockModes {
		if n != "" && n == name {
			return uint8(mode)
		}
	}
	return 0
}

// parseLock reads the headers that lock a new version, nil when there are none.
func parseLock(head http.Header, b *object.Bucket, now time.Time) (*index.Lock, error) {
	mode, until, hold := head.Get(headLockMode), head.Get(headLockUntil), head.Get(headHold)
	if mode+until+hold == "" {
		return nil, nil
	}
	l := &index.Lock{Hold: hold == "ON"}
	if hold != "" && hold != "ON" && hold != "OFF" {
		return nil, badArgument("Legal Hold must be either of 'ON' or 'OFF'", headHold, hold)
	}
	if (mode == "") != (until == "") {
		name := headLockMode
		if until == "" {
			name = headLockUntil
		}
		return nil, errorf("InvalidArgument", "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied").
			with("ArgumentName", name)
	}
	if mode != "" {
		if l.Mode = lockMode(mode); l.Mode == 0 {
			return nil, badArgument("Unknown wormMode directive.", headLockMode, mode)
		}
		t, err := parseISOTime(until)
		if err != nil {
			return nil, badArgument("The retain until date must be provided in ISO 8601 format", headLockUntil, until)
		}
		if l.Until, err = lockTime(t, now, headLockUntil, until); err != nil {
			return nil, err
		}
	}
	if !b.Lock {
		return nil, errorf("InvalidRequest", "Bucket is missing ObjectLockConfiguration")
	}
	return l, nil
}

// newLock locks a new version as its headers ask for.
func (q *request) newLock(head http.Header, v *index.Version) (err error) {
	v.Lock, err = parseLock(head, q.b, q.now)
	if err != nil || v.Lock == nil {
		return err
	}
	if hold := head.Get(headHold); hold != "" {
		v.System[metaHold] = hold
	}
	return nil
}

// lockEnd is the latest time that can be kept: nanoseconds in 64 bits end in 2262.
var lockEnd = time.Unix(0, 1<<63-1)

// lockTime checks a date of retention.
func lockTime(t, now time.Time, name, value string) (int64, error) {
	if !t.After(now) {
		return 0, badArgument("The retain until date must be in the future!", name, value)
	}
	if t.After(lockEnd) {
		return 0, badArgument("The retain until date is too far in the future.", name, value)
	}
	return t.UnixNano(), nil
}

// lockHeaders tells the lock of a version, as far as the requester may know it.
func lockHeaders(head http.Header, v *index.Version, may func(action string) bool) {
	if v.Lock != nil && v.Lock.Mode != 0 && int(v.Lock.Mode) < len(lockModes) && may("s3:GetObjectRetention") {
		head.Set(headLockMode, lockModes[v.Lock.Mode])
		head.Set(headLockUntil, isoTime(time.Unix(0, v.Lock.Until)))
	}
	if hold := holdStatus(v); hold != "" && may("s3:GetObjectLegalHold") {
		head.Set(headHold, hold)
	}
}

// holdStatus is ON or OFF, and "" for a version that never had a legal hold.
func holdStatus(v *index.Version) string {
	if v.Lock != nil && v.Lock.Hold {
		return "ON"
	}
	return v.System[metaHold]
}

// bypass reports whether the request may go past governance retention, and wants to.
func (q *request) bypass(key string, v *index.Version) bool {
	return strings.EqualFold(q.r.Header.Get(headBypass), "true") && q.allowed("s3:BypassGovernanceRetention", key, v)
}

// lockable returns the version that a request about its lock addresses.
func (q *request) lockable() (*index.Version, error) {
	if !q.b.Lock {
		return nil, errorf("InvalidRequest", lockMissing)
	}
	return q.target()
}

// readDigested is readAll of a body that has to come with a digest.
func (q *request) readDigested(limit int64) ([]byte, error) {
	if err := q.demandDigest(); err != nil {
		return nil, err
	}
	return q.readAll(limit)
}

type retentionBody struct {
	Mode            *string `xml:",omitempty"`
	RetainUntilDate *string `xml:",omitempty"`
}

func (q *request) getRetention() error {
	v, err := q.lockable()
	if err != nil {
		return err
	}
	if v.Lock == nil || v.Lock.Mode == 0 || int(v.Lock.Mode) >= len(lockModes) {
		return errorf("NoSuchObjectLockConfiguration", "").with("Key", q.key)
	}
	until := isoTime(time.Unix(0, v.Lock.Until))
	q.answerDocument(document("Retention", &retentionBody{&lockModes[v.Lock.Mode], &until}))
	return nil
}

// parseRetention reads a document; mode 0 removes the retention.
func parseRetention(data []byte, now time.Time) (mode uint8, until int64, err error) {
	var body retentionBody
	if err := parseDocument(data, "Retention", &body); err != nil {
		return 0, 0, err
	}
	if body.Mode == nil && body.RetainUntilDate == nil {
		return 0, 0, nil
	}
	if body.Mode == nil || body.RetainUntilDate == nil || lockMode(*body.Mode) == 0 {
		return 0, 0, errorf("MalformedXML", "")
	}
	t, err := parseISOTime(strings.TrimSpace(*body.RetainUntilDate))
	if err != nil {
		return 0, 0, errorf("MalformedXML", "")
	}
	until, err = lockTime(t, now, "RetainUntilDate", *body.RetainUntilDate)
	return lockMode(*body.Mode), until, err
}

func (q *request) putRetention() error {
	data, err := q.readDigested(maxLockBody)
	if err != nil {
		return err
	}
	mode, until, err := parseRetention(data, q.now)
	if err != nil {
		return err
	}
	if _, err := q.lockable(); err != nil {
		return err
	}
	return q.editVersion(nil, q.bypass(q.key, q.v), http.StatusOK, func(b *object.Bucket, v *index.Version) error {
		l := &index.Lock{}
		if v.Lock != nil {
			l = v.Lock
		}
		l.Mode, l.Until = mode, until
		v.Lock = l
		return nil
	})
}

type holdBody struct {
	Status string
}

func (q *request) getLegalHold() error {
	v, err := q.lockable()
	if err != nil {
		return err
	}
	hold := holdStatus(v)
	if hold == "" {
		return errorf("NoSuchObjectLockConfiguration", "").with("Key", q.key)
	}
	q.answerDocument(document("LegalHold", &holdBody{hold}))
	return nil
}

func (q *request) putLegalHold() error {
	data, err := q.readDigested(maxLockBody)
	if err != nil {
		return err
	}
	var body holdBody
	if err := parseDocument(data, "LegalHold", &body); err != nil {
		return err
	}
	if body.Status != "ON" && body.Status != "OFF" {
		return errorf("MalformedXML", "")
	}
	if _, err := q.lockable(); err != nil {
		return err
	}
	return q.editVersion(nil, false, http.StatusOK, func(b *object.Bucket, v *index.Version) error {
		if v.Lock == nil {
			v.Lock = &index.Lock{}
		}
		v.Lock.Hold = body.Status == "ON"
		v.System[metaHold] = body.Status
		return nil
	})
}

// editVersion changes the version that the request addresses, which is q.v, and answers
// with a status. events are what targets are told of it.
func (q *request) editVersion(events EventNames, bypass bool, status int, change func(*object.Bucket, *index.Version) error) error {
	v, err := q.h.e.Edit(q.ctx(), &object.EditRequest{
		Bucket: q.bucket, Key: q.key, Ref: refOf(q.v), Bypass: bypass, Change: change, Tell: q.tell(events)})
	if err != nil {
		return err
	}
	q.idHeader(v)
	return q.none(status)
}
