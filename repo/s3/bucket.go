package s3

import (
	"errors"
	"net/http"
	"strings"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

var bucketOps = []operation{
	{name: "ListBuckets", level: serviceLevel, method: http.MethodGet, actionOf: listBucketsAction, run: (*request).listBuckets},
	{name: "CreateBucket", level: bucketLevel, method: http.MethodPut, action: "s3:CreateBucket", creates: true, run: (*request).createBucket},
	{name: "HeadBucket", level: bucketLevel, method: http.MethodHead, action: "s3:ListBucket", permission: access.Read, run: (*request).headBucket},
	{name: "DeleteBucket", level: bucketLevel, method: http.MethodDelete, action: "s3:DeleteBucket", run: (*request).deleteBucket},
	{name: "GetBucketLocation", level: bucketLevel, method: http.MethodGet, sub: "location", action: "s3:GetBucketLocation", run: (*request).getLocation},
}

// oldest is the region that answers say nothing of: there was no other when S3 began.
const oldest = "us-east-1"

// region of a bucket. One without a region is in that of the server.
func (h *Handler) region(b *object.Bucket) string {
	if b.Region != "" {
		return b.Region
	}
	return h.opt.Region
}

// validBucketName applies the rules for names of general purpose buckets.
func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 {
		return false
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	for _, p := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, p) {
			return false
		}
	}
	for _, s := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, s) {
			return false
		}
	}
	return !looksLikeIP(name)
}

// looksLikeIP reports whether a name has the form of an IPv4 address, in range or not.
func looksLikeIP(name string) bool {
	labels := strings.Split(name, ".")
	if len(labels) != 4 {
		return false
	}
	for _, l := range labels {
		if len(l) > 3 || strings.Trim(l, "0123456789") != "" {
			return false
		}
	}
	return true
}

// createConfiguration is the body of CreateBucket.
type createConfiguration struct {
	LocationConstraint *string
	Location           *struct{ Type, Name string }
	Bucket             *struct{ DataRedundancy, Type string }
	Tags               *struct {
		Tag []tag
	}
}

// createBucket makes a bucket that belongs to whoever asks.
func (q *request) createBucket() error {
	if q.user == nil {
		return errorf("AccessDenied", "")
	}
	if !validBucketName(q.bucket) {
		return errorf("InvalidBucketName", "").with("BucketName", q.bucket)
	}
	b := &object.Bucket{Name: q.bucket, Config: map[string]string{}}
	if !q.who.Root {
		b.Owner = q.who.ID
	}
	if err := q.createBody(b); err != nil {
		return err
	}
	if err := q.createHeaders(b); err != nil {
		return err
	}
	err := q.h.e.CreateBucket(q.ctx(), b)
	var there *object.BucketExists
	if errors.As(err, &there) {
		return q.taken(there.Bucket)
	}
	if err != nil {
		return err
	}
	q.w.Header().Set("Location", "/"+q.bucket)
	return q.none(http.StatusOK)
}

// taken refuses to create a bucket that is there.
func (q *request) taken(b *object.Bucket) error {
	code := "BucketAlreadyExists"
	if b.Owner == q.who.ID || b.Owner == "" && q.who.Root {
		code = "BucketAlreadyOwnedByYou"
	}
	return errorf(code, "").with("BucketName", q.bucket)
}

// maxCreate bounds the body of CreateBucket.
const maxCreate = 64 << 10

// createBody takes over what the body of CreateBucket says; it may be empty.
func (q *request) createBody(b *object.Bucket) error {
	data, err := q.readAll(maxCreate)
	if err != nil || len(data) == 0 {
		return err
	}
	var c createConfiguration
	if err := parseDocument(data, "CreateBucketConfiguration", &c); err != nil {
		return err
	}
	if c.Location != nil || c.Bucket != nil {
		return errorf("InvalidRequest", "Directory buckets are not supported.")
	}
	if c.LocationConstraint != nil {
		if b.Region, err = parseLocation(*c.LocationConstraint); err != nil {
			return err
		}
	}
	if c.Tags != nil && len(c.Tags.Tag) > 0 {
		tags, err := checkTags(c.Tags.Tag, maxBucketTags)
		if err != nil {
			return err
		}
		b.Config[confTagging] = tagDocument(tags)
	}
	return nil
}

// parseLocation reads a location constraint. There is one place only, whatever it is
// called, so any name that could be that of a region is taken.
func parseLocation(s string) (region string, err error) {
	if s == "EU" {
		return "eu-west-1", nil
	}
	bad := len(s) > 63
	for i := range len(s) {
		c := s[i]
		bad = bad || (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0 || i == len(s)-1)
	}
	if bad {
		return "", errorf("InvalidLocationConstraint", "").with("LocationConstraint", s)
	}
	return s, nil
}

// createHeaders takes over what the headers of CreateBucket say.
func (q *request) createHeaders(b *object.Bucket) error {
	head := q.r.Header
	switch ns := head.Get("x-amz-bucket-namespace"); ns {
	case "", "global":
	case "account-regional":
		return errorf("NotImplemented", "").with("Header", "x-amz-bucket-namespace")
	default:
		return badHeader("x-amz-bucket-namespace", ns)
	}
	switch v := head.Get("x-amz-bucket-object-lock-enabled"); strings.ToLower(v) {
	case "", "false":
	case "true":
		b.Lock, b.Versioning = true, object.Enabled
	default:
		return badHeader("x-amz-bucket-object-lock-enabled", v)
	}
	return q.newBucketAccess(b)
}

func badHeader(name, value string) error {
	return errorf("InvalidArgument", "").with("ArgumentName", name).with("ArgumentValue", value)
}

func (q *request) headBucket() error {
	head := q.w.Header()
	head.Set("x-amz-bucket-region", q.h.region(q.b))
	head.Set("x-amz-access-point-alias", "false")
	head.Set("Content-Type", "application/xml")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

func (q *request) deleteBucket() error {
	err := q.h.e.RemoveBucket(q.ctx(), q.bucket, nil)
	if errors.Is(err, object.ErrNotEmpty) && q.b.Versioning != object.Unversioned {
		return errorf("BucketNotEmpty", "The bucket you tried to delete is not empty. You must delete all versions in the bucket.").
			with("BucketName", q.bucket)
	}
	if err != nil {
		return err
	}
	return q.none(http.StatusNoContent)
}

// getLocation answers with the region, and with nothing for the oldest one.
func (q *request) getLocation() error {
	region := q.h.region(q.b)
	if region == oldest {
		region = ""
	}
	q.answerDocument(document("LocationConstraint", region))
	return nil
}
