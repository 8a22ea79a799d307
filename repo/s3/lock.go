package s3

import (
	"net/http"

	"github.com/firnstore/firn/repo/object"
)

var lockConfigOps = []operation{
	{name: "GetObjectLockConfiguration", level: bucketLevel, method: http.MethodGet, sub: "object-lock",
		action: "s3:GetBucketObjectLockConfiguration", run: (*request).getLockConfig},
	{name: "PutObjectLockConfiguration", level: bucketLevel, method: http.MethodPut, sub: "object-lock",
		action: "s3:PutBucketObjectLockConfiguration", run: (*request).putLockConfig},
}

// The modes of retention, at the numbers that index.Lock has.
var lockModes = []string{object.Governance: "GOVERNANCE", object.Compliance: "COMPLIANCE"}

// lockConfig is the object lock configuration of a bucket.
type lockConfig struct {
	ObjectLockEnabled string
	Rule              *lockRule `xml:",omitempty"`
}

type lockRule struct {
	DefaultRetention *lockDefault
}

type lockDefault struct {
	Mode  string
	Days  *int64 `xml:",omitempty"`
	Years *int64 `xml:",omitempty"`
}

func (q *request) getLockConfig() error {
	if !q.b.Lock {
		return errorf("ObjectLockConfigurationNotFoundError", "").with("BucketName", q.bucket)
	}
	c := lockConfig{ObjectLockEnabled: "Enabled"}
	if r := q.b.Retention; r != nil && int(r.Mode) < len(lockModes) {
		d := &lockDefault{Mode: lockModes[r.Mode]}
		if r.Days > 0 {
			d.Days = new(int64(r.Days))
		} else {
			d.Years = new(int64(r.Years))
		}
		c.Rule = &lockRule{d}
	}
	q.answerDocument(document("ObjectLockConfiguration", &c))
	return nil
}

func (q *request) putLockConfig() error {
	if err := q.demandDigest(); err != nil {
		return err
	}
	var c lockConfig
	if err := q.readConfig(maxConfig, "ObjectLockConfiguration", &c); err != nil {
		return err
	}
	retention, err := c.check()
	if err != nil {
		return err
	}
	return q.configure(http.StatusOK, func(b *object.Bucket) error {
		if b.Versioning != object.Enabled {
			return errorf("InvalidBucketState", "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
		}
		b.Lock, b.Retention = true, retention
		return nil
	})
}

// The longest default retention.
const (
	maxLockDays  = 36500
	maxLockYears = 100
)

// check returns the default retention asked for, nil for none.
func (c *lockConfig) check() (*object.Retention, error) {
	malformed := errorf("MalformedXML", "")
	if c.ObjectLockEnabled != "Enabled" {
		return nil, malformed
	}
	if c.Rule == nil {
		return nil, nil
	}
	d := c.Rule.DefaultRetention
	if d == nil || (d.Days == nil) == (d.Years == nil) {
		return nil, malformed
	}
	r := &object.Retention{}
	for mode, name := range lockModes {
		if name != "" && d.Mode == name {
			r.Mode = uint8(mode)
		}
	}
	if r.Mode == 0 {
		return nil, malformed
	}
	n, most, to := d.Days, int64(maxLockDays), &r.Days
	if n == nil {
		n, most, to = d.Years, maxLockYears, &r.Years
	}
	if *n <= 0 {
		return nil, errorf("InvalidRetentionPeriod", "")
	}
	if *n > most {
		return nil, errorf("InvalidRetentionPeriod", "Default retention period is too large.")
	}
	*to = uint32(*n)
	return r, nil
}
