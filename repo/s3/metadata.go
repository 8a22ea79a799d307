package s3

import "net/http"

// metadataOps are of what this server cannot do, yet is asked about: tables with the
// metadata of objects, access by tags of the bucket, sessions of directory buckets.
var metadataOps = []operation{
	{name: "GetBucketMetadataConfiguration", level: bucketLevel, method: http.MethodGet, sub: "metadataConfiguration",
		action: "s3:GetBucketMetadataTableConfiguration", run: refuseWith("MetadataConfigurationNotFound")},
	{name: "CreateBucketMetadataConfiguration", level: bucketLevel, method: http.MethodPost, sub: "metadataConfiguration",
		action: "s3:CreateBucketMetadataTableConfiguration", run: refuseWith("NotImplemented")},
	{name: "DeleteBucketMetadataConfiguration", level: bucketLevel, method: http.MethodDelete, sub: "metadataConfiguration",
		action: "s3:DeleteBucketMetadataTableConfiguration", run: refuseWith("MetadataConfigurationNotFound")},
	{name: "GetBucketMetadataTableConfiguration", level: bucketLevel, method: http.MethodGet, sub: "metadataTable",
		action: "s3:GetBucketMetadataTableConfiguration", run: refuseWith("MetadataConfigurationNotFound")},
	{name: "CreateBucketMetadataTableConfiguration", level: bucketLevel, method: http.MethodPost, sub: "metadataTable",
		action: "s3:CreateBucketMetadataTableConfiguration", run: refuseWith("NotImplemented")},
	{name: "DeleteBucketMetadataTableConfiguration", level: bucketLevel, method: http.MethodDelete, sub: "metadataTable",
		action: "s3:DeleteBucketMetadataTableConfiguration", run: refuseWith("MetadataConfigurationNotFound")},
	{name: "UpdateBucketMetadataInventoryTableConfiguration", level: bucketLevel, method: http.MethodPut, sub: "metadataInventoryTable",
		action: "s3:UpdateBucketMetadataInventoryTableConfiguration", run: refuseWith("MetadataConfigurationNotFound")},
	{name: "UpdateBucketMetadataJournalTableConfiguration", level: bucketLevel, method: http.MethodPut, sub: "metadataJournalTable",
		action: "s3:UpdateBucketMetadataJournalTableConfiguration", run: refuseWith("MetadataConfigurationNotFound")},
	{name: "GetBucketAbac", level: bucketLevel, method: http.MethodGet, sub: "abac", action: "s3:GetBucketAbac", run: (*request).getABAC},
	{name: "PutBucketAbac", level: bucketLevel, method: http.MethodPut, sub: "abac", action: "s3:PutBucketAbac", run: (*request).putABAC},
	{name: "CreateSession", level: bucketLevel, method: http.MethodGet, sub: "session", action: "s3:CreateSession", run: (*request).createSession},
}

// refuseWith returns what answers with an error.
func refuseWith(code string) func(*request) error {
	return func(q *request) error {
		if code == "NotImplemented" {
			return errorf(code, "").with("Header", q.op.sub)
		}
		return errorf(code, "").with("BucketName", q.bucket)
	}
}

type abacStatus struct{ Status string }

func (q *request) getABAC() error {
	q.answerDocument(document("AbacStatus", &abacStatus{"Disabled"}))
	return nil
}

// putABAC takes what is so already. Tags of a bucket never decide about access.
func (q *request) putABAC() error {
	var c abacStatus
	if err := q.readConfig(maxConfig, "AbacStatus", &c); err != nil {
		return err
	}
	switch c.Status {
	case "Disabled":
		return q.none(http.StatusOK)
	case "Enabled":
		return errorf("NotImplemented", "").with("Header", q.op.sub)
	}
	return errorf("MalformedXML", "")
}

// createSession refuses: only directory buckets have sessions.
func (q *request) createSession() error {
	return errorf("MethodNotAllowed", "").with("Method", q.r.Method).with("ResourceType", "BUCKET")
}
