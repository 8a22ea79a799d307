package s3

import (
	"net/http"

	"github.com/firnstore/firn/repo/object"
)

var versioningOps = []operation{
	{name: "GetBucketVersioning", level: bucketLevel, method: http.MethodGet, sub: "versioning", action: "s3:GetBucketVersioning", run: (*request).getVersioning},
	{name: "PutBucketVersioning", level: bucketLevel, method: http.MethodPut, sub: "versioning", action: "s3:PutBucketVersioning", run: (*request).putVersioning},
}

// versioningConfig has no place for MFADelete in answers: it cannot be turned on.
type versioningConfig struct {
	Status    *string `xml:",omitempty"`
	MfaDelete *string `xml:",omitempty"`
}

func (q *request) getVersioning() error {
	var c versioningConfig
	if s := string(q.b.Versioning); s != "" {
		c.Status = &s
	}
	q.answerDocument(document("VersioningConfiguration", &c))
	return nil
}

func (q *request) putVersioning() error {
	var c versioningConfig
	if err := q.readConfig(maxConfig, "VersioningConfiguration", &c); err != nil {
		return err
	}
	state, err := c.check()
	if err != nil {
		return err
	}
	return q.configure(http.StatusOK, func(b *object.Bucket) error {
		if b.Lock && state != object.Enabled {
			return errorf("InvalidBucketState", "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
		}
		b.Versioning = state
		return nil
	})
}

// check returns the state asked for. That MFA is needed to delete is refused as S3 does
// without the code of a device, since no account here has one.
func (c *versioningConfig) check() (object.Versioning, error) {
	if c.MfaDelete != nil {
		switch *c.MfaDelete {
		case "Disabled":
		case "Enabled":
			return "", errorf("AccessDenied", "Mfa Authentication must be used for this request")
		default:
			return "", errorf("MalformedXML", "")
		}
	}
	if c.Status == nil {
		return "", errorf("IllegalVersioningConfigurationException", "The Versioning element must be specified")
	}
	switch s := object.Versioning(*c.Status); s {
	case object.Enabled, object.Suspended:
		return s, nil
	}
	return "", errorf("MalformedXML", "")
}
