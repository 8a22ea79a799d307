package s3

import (
	"net/http"
	"slices"

	"github.com/firnstore/firn/repo/s3/access"
)

// level of what an operation is about.
type level int

const (
	serviceLevel level = iota
	bucketLevel
	objectLevel
)

// operation is a row of the table.
type operation struct {
	name   string // in the API reference
	level  level
	method string
	sub    string              // the subresource that selects it, a name in the query; "" is none
	match  func(*request) bool // which of several rows with the same level, method and sub; the first that fits

	// What authorize asks for. action is that of IAM policies; "" leaves it to run. permission is what
	// an ACL of the object (loads) or else of the bucket has to grant; access.None when no ACL can.
	action     string
	actionOf   func(*request) string // instead of action, when it depends on the request
	permission access.Permission

	loads   bool // an existing version, before authorize
	creates bool // CreateBucket: there is no bucket to load
	form    bool // PostObject: the body is a form that authenticates itself

	run func(*request) error
}

// operations is the closed table; rows lie beside what runs them.
var operations = slices.Concat(bucketOps, configOps, accessOps, listOps, objectOps, multipartOps, formOps)

// subresources are the names in a query that select an operation. Other names with a value
// are parameters.
var subresources = map[string]bool{
	"abac": true, "accelerate": true, "acl": true, "analytics": true, "attributes": true, "cors": true, "delete": true,
	"encryption": true, "intelligent-tiering": true, "inventory": true, "legal-hold": true, "lifecycle": true,
	"location": true, "logging": true, "metadataConfiguration": true, "metadataInventoryTable": true,
	"metadataJournalTable": true, "metadataTable": true, "metrics": true, "notification": true, "object-lock": true,
	"ownershipControls": true, "policy": true, "policyStatus": true, "publicAccessBlock": true, "renameObject": true,
	"replication": true, "requestPayment": true, "restore": true, "retention": true, "select": true, "session": true,
	"tagging": true, "torrent": true, "uploadId": true, "uploads": true, "versioning": true, "versions": true,
	"website": true,
}

// parameters may stand in a query without a value.
var parameters = map[string]bool{
	"prefix": true, "delimiter": true, "marker": true, "key-marker": true, "version-id-marker": true,
	"upload-id-marker": true, "part-number-marker": true, "continuation-token": true, "start-after": true,
	"encoding-type": true, "fetch-owner": true, "list-type": true, "max-keys": true, "max-uploads": true, "max-parts": true,
	"max-buckets": true, "bucket-region": true, "versionId": true, "partNumber": true, "id": true, "x-id": true, "select-type": true,
	"response-content-type": true, "response-content-language": true, "response-expires": true,
	"response-cache-control": true, "response-content-disposition": true, "response-content-encoding": true,
}

// route finds the row of the request.
func (q *request) route() error {
	lv := objectLevel
	switch {
	case q.bucket == "" && q.key != "":
		return errorf("InvalidBucketName", "").with("BucketName", "")
	case q.bucket == "":
		lv = serviceLevel
	case q.key == "":
		lv = bucketLevel
	}
	sub := ""
	for name, values := range q.query {
		if subresources[name] {
			if sub != "" && sub != name {
				return errorf("InvalidArgument", "Conflicting query string parameters: "+sub+", "+name)
			}
			sub = name
		} else if !parameters[name] && len(values) == 1 && values[0] == "" {
			return errorf("NotImplemented", "").with("Header", name)
		}
	}
	if lv == objectLevel && q.r.Method == http.MethodPut && sub == "" && q.query.Has("partNumber") {
		return errorf("InvalidArgument", "A part number is given without an upload ID.").with("ArgumentName", "uploadId")
	}
	known := false
	for i := range operations {
		op := &operations[i]
		if op.level != lv || op.sub != sub {
			continue
		}
		known = true
		if op.method == q.r.Method && (op.match == nil || op.match(q)) {
			q.op = op
			return nil
		}
	}
	if known || sub == "" {
		return errorf("MethodNotAllowed", "").with("Method", q.r.Method).with("ResourceType", resourceType(lv, sub))
	}
	return errorf("NotImplemented", "").with("Header", sub)
}

func resourceType(lv level, sub string) string {
	switch {
	case sub != "":
		return "SUBRESOURCE"
	case lv == serviceLevel:
		return "SERVICE"
	case lv == bucketLevel:
		return "BUCKET"
	}
	return "OBJECT"
}

// has reports whether the request carries a header.
func has(name string) func(*request) bool {
	name = http.CanonicalHeaderKey(name)
	return func(q *request) bool { return len(q.r.Header[name]) > 0 }
}
