package s3

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

// readConditions are those of a GET, a HEAD, or on the source of a copy; "" is none.
type readConditions struct {
	match, noneMatch, modifiedSince, unmodifiedSince string
}

func parseReadConditions(head http.Header, prefix string) readConditions {
	return readConditions{
		match: head.Get(prefix + "If-Match"), noneMatch: head.Get(prefix + "If-None-Match"),
		modifiedSince: head.Get(prefix + "If-Modified-Since"), unmodifiedSince: head.Get(prefix + "If-Unmodified-Since"),
	}
}

// failed returns the name of the condition that does not hold, or "". The ones on the ETag
// win over those on the time, of which seconds count. Times that are none, or for
// If-Modified-Since in the future, are ignored.
func (c readConditions) failed(etag string, modified, now time.Time) string {
	modified = modified.Truncate(time.Second)
	if c.match != "" && !etagMatches(c.match, etag) {
		return "If-Match"
	}
	if t, err := http.ParseTime(c.unmodifiedSince); err == nil && c.match == "" && modified.After(t) {
		return "If-Unmodified-Since"
	}
	if c.noneMatch != "" && etagMatches(c.noneMatch, etag) {
		return "If-None-Match"
	}
	if t, err := http.ParseTime(c.modifiedSince); err == nil && c.noneMatch == "" && !modified.After(t) && !t.After(now) {
		return "If-Modified-Since"
	}
	return ""
}

// etagMatches reports whether a list of ETags, with or without quotes, has one.
func etagMatches(list, etag string) bool {
	for _, e := range strings.Split(list, ",") {
		e = strings.TrimSpace(e)
		if e == "*" || strings.Trim(strings.TrimPrefix(e, "W/"), `"`) == etag {
			return true
		}
	}
	return false
}

func preconditionFailed(condition string) *apiError {
	return errorf("PreconditionFailed", "").with("Condition", condition)
}

// writeCheck is a condition on the newest version of a key, nil when there is none, that has
// to hold in the commit that puts the next one.
type writeCheck = func(b *object.Bucket, current *index.Version) error

// writeCondition returns the condition under which the request wants its key to be written,
// nil when it has none.
func (q *request) writeCondition() (writeCheck, error) {
	check, err := parseWriteCondition(q.r.Header, q.key)
	if err != nil || check == nil {
		return nil, err
	}
	head := q.r.Header
	return check, q.mayCompare(q.key, object.Ref{}, head.Get("If-Match")+head.Get("If-None-Match")+head.Get("If-Unmodified-Since"))
}

// mayCompare refuses a condition about ETag or time of a version to who may not read it, since
// whether it holds tells of them. value is that of the headers; about "*" and "" anybody may
// ask. What is not there can be compared by who may learn that.
func (q *request) mayCompare(key string, ref object.Ref, value string) error {
	if value = strings.TrimSpace(value); value == "" || value == "*" {
		return nil
	}
	v, _, err := q.h.e.Find(q.ctx(), q.bucket, key, ref)
	if err != nil && !errors.Is(err, object.ErrNoKey) && !errors.Is(err, object.ErrNoVersion) {
		return err
	}
	action := "s3:GetObject"
	if !ref.Current() {
		action = "s3:GetObjectVersion"
	}
	gone := v == nil || v.Kind == index.DeleteMarker
	if q.allowed(action, key, v) || gone && q.mayList(q.set, key) {
		return nil
	}
	return errorf("AccessDenied", "")
}

// parseWriteCondition reads the conditions as RFC 9110 has them: lists of ETags and * in both
// headers, and If-Unmodified-Since, which is ignored beside If-Match or when it is no time.
// Amazon itself refuses an ETag in If-None-Match and * in If-Match, and does not document the
// third; both of the first at once are refused here too, as nothing says what is meant.
func parseWriteCondition(head http.Header, key string) (writeCheck, error) {
	match, none := head.Get("If-Match"), head.Get("If-None-Match")
	since, _ := http.ParseTime(head.Get("If-Unmodified-Since"))
	switch {
	case match != "" && none != "":
		return nil, errorf("NotImplemented", "").with("Header", "If-Match,If-None-Match").
			with("additionalMessage", "Multiple conditional request headers present in the request")
	case match == "" && none == "" && since.IsZero():
		return nil, nil
	}
	return func(_ *object.Bucket, current *index.Version) error {
		switch {
		case current == nil && match != "":
			return errorf("NoSuchKey", "").with("Key", key)
		case current == nil:
			return nil
		case match != "" && !etagMatches(match, etagOf(current)):
			return preconditionFailed("If-Match")
		case match == "" && modifiedAfter(current, since):
			return preconditionFailed("If-Unmodified-Since")
		case none != "" && etagMatches(none, etagOf(current)):
			return preconditionFailed("If-None-Match")
		}
		return nil
	}, nil
}

// modifiedAfter compares by seconds, as headers give them; the zero time is after all.
func modifiedAfter(v *index.Version, since time.Time) bool {
	return !since.IsZero() && modified(v).Truncate(time.Second).After(since)
}

// deleteConditions are those on the version that a delete names.
type deleteConditions struct {
	match        string // ETag; "" is none
	noneMatch    string
	unmodified   string // since
	lastModified string
	size         string
}

func parseDeleteConditions(head http.Header) deleteConditions {
	return deleteConditions{match: head.Get("If-Match"), noneMatch: head.Get("If-None-Match"), unmodified: head.Get("If-Unmodified-Since"),
		lastModified: head.Get("x-amz-if-match-last-modified-time"), size: head.Get("x-amz-if-match-size")}
}

// check returns a check for object.DeleteRequest, nil when there is no condition. named is
// for requests that name a version: when that is gone, nothing is left to do, as without a
// condition. Amazon evaluates conditions on current versions only, where a missing key is an
// error.
func (c deleteConditions) check(key string, named bool) (writeCheck, error) {
	if c == (deleteConditions{}) {
		return nil, nil
	}
	var want time.Time
	var size int64
	var err error
	if c.lastModified != "" {
		if want, err = parseAnyTime(c.lastModified); err != nil {
			return nil, errorf("InvalidArgument", "").with("ArgumentName", "x-amz-if-match-last-modified-time").with("ArgumentValue", c.lastModified)
		}
	}
	if c.size != "" {
		if size, err = strconv.ParseInt(c.size, 10, 64); err != nil {
			return nil, errorf("InvalidArgument", "").with("ArgumentName", "x-amz-if-match-size").with("ArgumentValue", c.size)
		}
	}
	since, _ := http.ParseTime(c.unmodified)
	return func(_ *object.Bucket, v *index.Version) error {
		switch {
		case v == nil && c.match != "" && !named:
			return errorf("NoSuchKey", "").with("Key", key)
		case v == nil:
			return nil // what has to be gone is
		case c.match != "" && (v.Kind == index.DeleteMarker || !etagMatches(c.match, etagOf(v))):
			return preconditionFailed("If-Match")
		case c.match == "" && modifiedAfter(v, since):
			return preconditionFailed("If-Unmodified-Since")
		case c.noneMatch != "" && v.Kind != index.DeleteMarker && etagMatches(c.noneMatch, etagOf(v)):
			return preconditionFailed("If-None-Match")
		case c.lastModified != "" && !modified(v).Truncate(time.Second).Equal(want.Truncate(time.Second)):
			return preconditionFailed("x-amz-if-match-last-modified-time")
		case c.size != "" && objectSize(v) != size:
			return preconditionFailed("x-amz-if-match-size")
		}
		return nil
	}, nil
}

// parseAnyTime reads a time as headers or as documents give it.
func parseAnyTime(s string) (time.Time, error) {
	if t, err := http.ParseTime(s); err == nil {
		return t, nil
	}
	return parseISOTime(s)
}

// parseISOTime reads a time of ISO 8601, as far as S3 takes it.
func parseISOTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "20060102T150405Z", time.DateOnly} {
		if err != nil {
			t, err = time.Parse(layout, s)
		}
	}
	return t, err
}
