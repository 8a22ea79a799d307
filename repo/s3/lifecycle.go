package s3

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
)

var lifecycleOps = []operation{
	{name: "GetBucketLifecycleConfiguration", level: bucketLevel, method: http.MethodGet, sub: "lifecycle",
		action: "s3:GetLifecycleConfiguration", run: (*request).getLifecycle},
	{name: "PutBucketLifecycleConfiguration", level: bucketLevel, method: http.MethodPut, sub: "lifecycle",
		action: "s3:PutLifecycleConfiguration", run: (*request).putLifecycle},
	{name: "DeleteBucketLifecycle", level: bucketLevel, method: http.MethodDelete, sub: "lifecycle",
		action: "s3:PutLifecycleConfiguration", run: (*request).deleteLifecycle},
}

// lifecycleConfig says what becomes of objects as time goes by.
type lifecycleConfig struct {
	Rule []lifecycleRule
}

type lifecycleRule struct {
	ID                    string           `xml:",omitempty"`
	Prefix                *string          `xml:",omitempty"` // of old: instead of Filter
	Filter                *lifecycleFilter `xml:",omitempty"`
	Status                string
	Transition            []transition           `xml:",omitempty"`
	Expiration            *expiration            `xml:",omitempty"`
	NoncurrentTransition  []noncurrentTransition `xml:"NoncurrentVersionTransition,omitempty"`
	NoncurrentExpiration  *noncurrentExpiration  `xml:"NoncurrentVersionExpiration,omitempty"`
	AbortIncompleteUpload *abortUpload           `xml:"AbortIncompleteMultipartUpload,omitempty"`
}

// lifecycleFilter has one of the fields at most; without any the rule is for all objects.
type lifecycleFilter struct {
	Prefix      *string       `xml:",omitempty"`
	Tag         *tag          `xml:",omitempty"`
	GreaterThan *int64        `xml:"ObjectSizeGreaterThan,omitempty"`
	LessThan    *int64        `xml:"ObjectSizeLessThan,omitempty"`
	And         *lifecycleAnd `xml:",omitempty"`
}

type lifecycleAnd struct {
	Prefix      *string `xml:",omitempty"`
	Tag         []tag   `xml:",omitempty"`
	GreaterThan *int64  `xml:"ObjectSizeGreaterThan,omitempty"`
	LessThan    *int64  `xml:"ObjectSizeLessThan,omitempty"`
}

type transition struct {
	Date         *ruleDate `xml:",omitempty"`
	Days         *int32    `xml:",omitempty"`
	StorageClass string
}

type expiration struct {
	Date         *ruleDate `xml:",omitempty"`
	Days         *int32    `xml:",omitempty"`
	DeleteMarker *bool     `xml:"ExpiredObjectDeleteMarker,omitempty"`
}

type noncurrentTransition struct {
	NewerVersions *int32 `xml:"NewerNoncurrentVersions,omitempty"`
	Days          *int32 `xml:"NoncurrentDays,omitempty"`
	StorageClass  string
}

type noncurrentExpiration struct {
	NewerVersions *int32 `xml:"NewerNoncurrentVersions,omitempty"`
	Days          *int32 `xml:"NoncurrentDays,omitempty"`
}

type abortUpload struct {
	DaysAfterInitiation *int32
}

// ruleDate is a day, at its midnight.
type ruleDate struct{ time.Time }

func (d *ruleDate) UnmarshalText(b []byte) (err error) {
	s := strings.TrimSpace(string(b))
	if d.Time, err = time.Parse(time.RFC3339, s); err != nil {
		d.Time, err = time.Parse(time.DateOnly, s)
	}
	d.Time = d.UTC()
	return err
}

func (d ruleDate) MarshalText() ([]byte, error) { return []byte(isoTime(d.Time)), nil }

const lifecycleRoot = "LifecycleConfiguration"

// parseLifecycle reads a configuration that is stored, and minimum, which is stored beside it.
func parseLifecycle(doc, minimum string) (*lifecycle.Rules, error) {
	c := &lifecycleConfig{}
	if err := parseDocument([]byte(doc), lifecycleRoot, c); err != nil {
		return nil, err
	}
	return c.rules(minimum == minimumVaries), nil
}

// minimumHeader tells which objects are too small for a transition.
const (
	minimumHeader  = "x-amz-transition-default-minimum-object-size"
	minimumDefault = "all_storage_classes_128K"
	minimumVaries  = "varies_by_storage_class"
)

func (q *request) getLifecycle() error {
	doc := q.b.Config[confLifecycle]
	if doc == "" {
		return errorf("NoSuchLifecycleConfiguration", "").with("BucketName", q.bucket)
	}
	minimum := minimumDefault
	if q.b.Config[confLifecycleMin] != "" {
		minimum = q.b.Config[confLifecycleMin]
	}
	q.w.Header().Set(minimumHeader, minimum)
	q.answerDocument(doc)
	return nil
}

func (q *request) putLifecycle() error {
	if err := q.demandDigest(); err != nil {
		return err
	}
	minimum, stored := minimumDefault, ""
	if v := q.r.Header.Values(minimumHeader); len(v) > 0 {
		switch minimum = v[0]; minimum {
		case minimumDefault:
		case minimumVaries:
			stored = minimum
		default:
			return errorf("InvalidRequest", "Invalid TransitionDefaultMinimumObjectSize found: "+minimum)
		}
	}
	var c lifecycleConfig
	if err := q.readConfig(maxBigConfig, lifecycleRoot, &c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	for i := range c.Rule {
		if c.Rule[i].ID == "" {
			c.Rule[i].ID = newRuleID()
		}
	}
	doc := document(lifecycleRoot, &c)
	q.w.Header().Set(minimumHeader, minimum)
	return q.configure(http.StatusOK, func(b *object.Bucket) error {
		if err := setConfig(b, confLifecycleMin, stored); err != nil {
			return err
		}
		return setConfig(b, confLifecycle, doc)
	})
}

// newRuleID names a rule that its author left without a name.
func newRuleID() string {
	b := make([]byte, 36)
	_, _ = rand.Read(b) // it never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func (q *request) deleteLifecycle() error {
	if q.b.Config[confLifecycle] == "" {
		return q.none(http.StatusNoContent)
	}
	return q.configure(http.StatusNoContent, func(b *object.Bucket) error {
		delete(b.Config, confLifecycle)
		delete(b.Config, confLifecycleMin)
		return nil
	})
}

// prefix of the keys that a rule is for.
func (r *lifecycleRule) prefix() string {
	for _, p := range []*string{r.Prefix, r.filter().Prefix} {
		if p != nil {
			return *p
		}
	}
	return ""
}

// filter returns the conditions of a rule in one form, whichever was written.
func (r *lifecycleRule) filter() lifecycleAnd {
	f := r.Filter
	switch {
	case f == nil:
		return lifecycleAnd{Prefix: r.Prefix}
	case f.And != nil:
		return *f.And
	}
	and := lifecycleAnd{Prefix: f.Prefix, GreaterThan: f.GreaterThan, LessThan: f.LessThan}
	if f.Tag != nil {
		and.Tag = []tag{*f.Tag}
	}
	return and
}

// rules are those that are enabled, in the form that decides.
func (c *lifecycleConfig) rules(varies bool) *lifecycle.Rules {
	rs := &lifecycle.Rules{Varies: varies}
	for i := range c.Rule {
		if c.Rule[i].Status == "Enabled" {
			rs.List = append(rs.List, c.Rule[i].rule())
		}
	}
	return rs
}

func (r *lifecycleRule) rule() lifecycle.Rule {
	f := r.filter()
	out := lifecycle.Rule{ID: r.ID, Prefix: r.prefix(), Larger: f.GreaterThan, Under: f.LessThan}
	for _, t := range f.Tag {
		if out.Tags == nil {
			out.Tags = map[string]string{}
		}
		out.Tags[*t.Key] = *t.Value
	}
	for _, t := range r.Transition {
		out.Transitions = append(out.Transitions, lifecycle.Transition{When: when(t.Days, t.Date), Class: t.StorageClass})
	}
	if e := r.Expiration; e != nil {
		out.Markers = e.DeleteMarker != nil && *e.DeleteMarker
		if e.Days != nil || e.Date != nil {
			w := when(e.Days, e.Date)
			out.Expiration = &w
		}
	}
	for _, t := range r.NoncurrentTransition {
		out.Noncurrent = append(out.Noncurrent, lifecycle.Noncurrent{Days: orZero(t.Days), Keep: orZero(t.NewerVersions), Class: t.StorageClass})
	}
	if e := r.NoncurrentExpiration; e != nil {
		out.NoncurrentEx = &lifecycle.Noncurrent{Days: orZero(e.Days), Keep: orZero(e.NewerVersions)}
	}
	if a := r.AbortIncompleteUpload; a != nil && a.DaysAfterInitiation != nil {
		days := int(*a.DaysAfterInitiation)
		out.AbortDays = &days
	}
	return out
}

func when(days *int32, date *ruleDate) (w lifecycle.When) {
	switch {
	case days != nil:
		n := int(*days)
		w.Days = &n
	case date != nil:
		w.Date = date.Time
	}
	return w
}

func orZero(n *int32) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

// expirationHeader returns the header x-amz-expiration for the newest version of a key: the
// rule that lets it expire first, and when. rules may be nil; "" is no header.
func expirationHeader(rules *lifecycle.Rules, key string, tags map[string]string, size int64, modified time.Time) string {
	at, r := rules.Expiry(lifecycle.Calendar{}, &lifecycle.Version{Key: key, Tags: tags, Size: size, Created: modified})
	if r == nil {
		return ""
	}
	return `expiry-date="` + httpTime(at) + `", rule-id="` + strings.ReplaceAll(url.QueryEscape(r.ID), "+", "%20") + `"`
}

// abortHeaders tells when the rules of the bucket abort an upload. rules may be nil.
func abortHeaders(head http.Header, rules *lifecycle.Rules, u *object.Upload) {
	if at, r := rules.Abort(lifecycle.Calendar{}, string(u.Version.Key), modified(&u.Version)); r != nil {
		head.Set("x-amz-abort-date", httpTime(at))
		head.Set("x-amz-abort-rule-id", r.ID)
	}
}
