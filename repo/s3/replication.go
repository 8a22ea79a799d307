package s3

import (
	"errors"
	"net/http"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

var replicationOps = []operation{
	{name: "GetBucketReplication", level: bucketLevel, method: http.MethodGet, sub: "replication", action: "s3:GetReplicationConfiguration",
		run: answerConfig(confReplication, "ReplicationConfigurationNotFoundError")},
	{name: "PutBucketReplication", level: bucketLevel, method: http.MethodPut, sub: "replication", action: "s3:PutReplicationConfiguration", run: (*request).putReplication},
	{name: "DeleteBucketReplication", level: bucketLevel, method: http.MethodDelete, sub: "replication", action: "s3:PutReplicationConfiguration", run: dropConfig(confReplication)},
}

// replicationConfig has what is looked at; the rest of a rule is skipped, since no
// configuration is ever stored.
type replicationConfig struct {
	Role string
	Rule []struct {
		Status      string
		Destination *struct{ Bucket string }
	}
}

// putReplication refuses, as S3 does what it cannot carry out: first for the versioning of
// either bucket, then for the role, which nobody here can take on.
func (q *request) putReplication() error {
	if err := q.demandDigest(); err != nil {
		return err
	}
	data, err := q.readAll(maxBigConfig)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errorf("MissingRequestBodyError", "")
	}
	var c replicationConfig
	if err := parseXML(data, &c); err != nil {
		return err
	}
	if q.b.Versioning != object.Enabled {
		return errorf("InvalidRequest", "Versioning must be 'Enabled' on the bucket to apply a replication configuration")
	}
	if len(c.Rule) == 0 {
		return errorf("MalformedXML", "")
	}
	for _, r := range c.Rule {
		if r.Destination == nil || r.Destination.Bucket == "" || r.Status != "Enabled" && r.Status != "Disabled" {
			return errorf("MalformedXML", "")
		}
		name, ok := strings.CutPrefix(r.Destination.Bucket, "arn:aws:s3:::")
		if !ok {
			return badArgument("Invalid bucket ARN", "Bucket", r.Destination.Bucket)
		}
		to, err := q.h.e.Bucket(name)
		if err != nil && !errors.Is(err, object.ErrNoBucket) {
			return err
		}
		if err != nil || to.Versioning != object.Enabled {
			return errorf("InvalidRequest", "Destination bucket must have versioning enabled.")
		}
	}
	return badArgument("Invalid Role ARN", "Role", c.Role)
}
