package s3

import (
	"bytes"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/s3/auth"
)

// conditionValues returns the values that the request has for a condition key of a policy,
// nil for none; package access knows those about the principal. v is the version that the
// action is about, or nil.
func (q *request) conditionValues(name string, v *index.Version) []string {
	space, short, _ := strings.Cut(name, ":")
	prefix, tag, tagged := strings.Cut(short, "/")
	switch {
	case space == "aws":
		return q.globalValues(short)
	case space != "s3":
		return nil
	case tagged && prefix == "existingobjecttag":
		if v == nil {
			return nil
		}
		value, ok := v.Tags[tag]
		return some(value, ok)
	case tagged && prefix == "requestobjecttag":
		value, ok := q.requestTags()[tag]
		return some(value, ok)
	case tagged:
		return nil
	case strings.HasPrefix(short, "x-amz-"):
		return q.headerValues(short)
	case strings.HasPrefix(short, "object-lock-"):
		return q.lockValues(short)
	}
	return q.operationValues(short)
}

func some(value string, there bool) []string {
	if !there {
		return nil
	}
	return []string{value}
}

// globalValues are those of keys that all services of AWS know.
func (q *request) globalValues(name string) []string {
	switch name {
	case "sourceip":
		host, _, err := net.SplitHostPort(q.r.RemoteAddr)
		return some(host, err == nil)
	case "securetransport":
		return []string{strconv.FormatBool(q.r.TLS != nil)}
	case "referer":
		return q.header("Referer")
	case "useragent":
		return q.header("User-Agent")
	case "currenttime":
		return []string{q.now.Format(time.RFC3339)}
	case "epochtime":
		return []string{strconv.FormatInt(q.now.Unix(), 10)}
	case "requestedregion":
		return []string{q.h.opt.Region}
	case "resourceaccount":
		if q.set != nil {
			return some(q.set.owner, q.set.owner != "")
		}
	case "viaawsservice":
		return []string{"false"}
	}
	return nil
}

// header returns the value of a header, given by its canonical name.
func (q *request) header(name string) []string {
	if v := q.r.Header[name]; len(v) > 0 {
		return v[:1]
	}
	return nil
}

// headerValues are those of keys named after a header. The source of a copy is given with
// and without its leading slash, since policies are written both ways.
func (q *request) headerValues(name string) []string {
	values := q.header(http.CanonicalHeaderKey(name))
	if len(values) == 0 || name != "x-amz-copy-source" {
		return values
	}
	source, _, _ := strings.Cut(values[0], "?versionId=")
	if plain, err := url.PathUnescape(source); err == nil {
		source = plain
	}
	source = strings.TrimPrefix(source, "/")
	return []string{source, "/" + source}
}

// operationValues are those of keys about the operation and its signature.
func (q *request) operationValues(name string) []string {
	switch name {
	case "prefix", "delimiter", "max-keys":
		return some(q.query.Get(name), q.query.Has(name))
	case "versionid":
		return some(q.query.Get("versionId"), q.query.Has("versionId"))
	case "if-match", "if-none-match":
		return q.header(http.CanonicalHeaderKey(name))
	case "locationconstraint":
		if q.op.creates {
			at := q.bodyFacts().LocationConstraint
			return some(at, at != "")
		}
	case "objectcreationoperation":
		switch q.op.name {
		case "PutObject", "CopyObject", "CompleteMultipartUpload": // and not PostObject
			return []string{"true"}
		case "CreateMultipartUpload", "UploadPart", "UploadPartCopy":
			return []string{"false"}
		}
	case "requestobjecttagkeys":
		var keys []string
		for k := range q.requestTags() {
			keys = append(keys, k)
		}
		return keys
	case "resourceaccount":
		return q.globalValues(name)
	}
	return q.signatureValues(name)
}

func (q *request) signatureValues(name string) []string {
	if name == "tlsversion" {
		if q.r.TLS == nil {
			return nil
		}
		return some(strings.CutPrefix(tlsVersion(q.r.TLS.Version), "TLSv"))
	}
	if q.auth == nil || q.auth.AccessKey == "" {
		return nil
	}
	switch name {
	case "authtype":
		kind := map[string]string{auth.AuthHeader: "REST-HEADER", auth.QueryString: "REST-QUERY-STRING", auth.PostForm: "POST"}[q.auth.Type]
		return some(kind, kind != "")
	case "signatureage": // in milliseconds
		return some(strconv.FormatInt(q.now.Sub(q.auth.Date).Milliseconds(), 10), !q.auth.Date.IsZero())
	case "signatureversion":
		if q.auth.Scheme == auth.SigV2 {
			return []string{"AWS"}
		}
		return []string{"AWS4-HMAC-SHA256"}
	}
	return nil
}

// lockValues are those of keys about retention and legal hold that the request sets.
func (q *request) lockValues(name string) []string {
	values := q.header(http.CanonicalHeaderKey("x-amz-" + name))
	if len(values) == 0 && q.op.sub == "retention" && q.r.Method == http.MethodPut {
		facts := q.bodyFacts()
		switch name {
		case "object-lock-mode":
			return some(facts.Mode, facts.Mode != "")
		case "object-lock-retain-until-date":
			return some(facts.RetainUntilDate, facts.RetainUntilDate != "")
		}
	}
	if len(values) == 0 && name == "object-lock-legal-hold" && q.op.sub == "legal-hold" && q.r.Method == http.MethodPut {
		return some(q.bodyFacts().Status, q.bodyFacts().Status != "")
	}
	if name != "object-lock-remaining-retention-days" {
		return values
	}
	until := q.lockValues("object-lock-retain-until-date")
	if len(until) == 0 {
		return nil
	}
	t, err := time.Parse(time.RFC3339, until[0])
	return some(strconv.Itoa(int(t.Sub(q.now)/(24*time.Hour))), err == nil)
}

// requestTags are the tags that the request gives to an object.
func (q *request) requestTags() map[string]string {
	tags := map[string]string{}
	if h := q.header("X-Amz-Tagging"); len(h) > 0 {
		values, err := url.ParseQuery(h[0])
		if err != nil {
			return nil // the operation refuses it
		}
		for k := range values {
			tags[k] = values.Get(k)
		}
	}
	if q.op.sub == "tagging" && q.r.Method == http.MethodPut {
		for _, t := range q.bodyFacts().TagSet.Tag {
			tags[t.Key] = t.Value
		}
	}
	return tags
}

// bodyFacts is what conditions can be about in the documents that requests bring.
type bodyFacts struct {
	LocationConstraint string // CreateBucket
	Mode               string // PutObjectRetention
	RetainUntilDate    string
	Status             string // PutObjectLegalHold
	TagSet             struct {
		Tag []struct{ Key, Value string }
	} // PutObjectTagging
}

// maxFacts bounds how much of a body is read for conditions; more has no facts, and is
// refused by the operations that bring any.
const maxFacts = 64 << 10

// bodyFacts reads the body ahead, which operations find whole again. Only conditions about
// it cause that.
func (q *request) bodyFacts() *bodyFacts {
	if q.facts != nil {
		return q.facts
	}
	q.facts = &bodyFacts{}
	if q.auth == nil || q.auth.Body == nil {
		return q.facts
	}
	data, err := io.ReadAll(io.LimitReader(q.auth.Body, maxFacts))
	rest := q.auth.Body
	if err != nil {
		rest = failing{err}
	}
	q.auth.Body = io.MultiReader(bytes.NewReader(data), rest)
	if err != nil || xml.Unmarshal(data, q.facts) != nil {
		q.facts = &bodyFacts{}
	}
	return q.facts
}

// failing repeats the error of a reader.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
