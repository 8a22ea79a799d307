package s3

import (
	"net/http"
	"slices"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

// configOps are the operations on configurations of a bucket. What is stored is the
// document that a GET answers, made anew from what was understood of the request.
var configOps = slices.Concat(versioningOps, lockConfigOps, bucketTaggingOps, corsOps, encryptionOps, lifecycleOps, websiteOps,
	loggingOps, notificationOps, replicationOps, switchOps, listedOps, metadataOps)

// Limits of the bodies of configurations.
const (
	maxConfig    = 64 << 10
	maxBigConfig = 1 << 20 // of those with up to a thousand rules

	// maxConfigs bounds all configurations of a bucket: each change of one stores them all.
	maxConfigs = 4 << 20
)

// readConfig decodes the body of a request that cannot be without one.
func (q *request) readConfig(limit int64, root string, v any) error {
	data, err := q.readAll(limit)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errorf("MissingRequestBodyError", "")
	}
	return parseDocument(data, root, v)
}

// demandDigest refuses a request whose body nothing protects on its way. S3 demands that
// for some configurations, from clients without checksums, too.
func (q *request) demandDigest() error {
	for name, values := range q.r.Header {
		sum, ok := strings.CutPrefix(name, "X-Amz-Checksum-")
		if name == "Content-Md5" || ok && sum != "Algorithm" && sum != "Type" && sum != "Mode" ||
			name == "X-Amz-Trailer" && strings.HasPrefix(strings.ToLower(strings.Join(values, ",")), "x-amz-checksum-") {
			return nil
		}
	}
	return errorf("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
}

// setConfig sets a configuration, or removes it when doc is "".
func setConfig(b *object.Bucket, name, doc string) error {
	if doc == "" {
		delete(b.Config, name)
		return nil
	}
	size := len(doc)
	for n, d := range b.Config {
		if n != name {
			size += len(d)
		}
	}
	if size > maxConfigs {
		return errorf("TooManyConfigurations", "The configurations of this bucket are too large.")
	}
	b.Config[name] = doc
	return nil
}

// storeConfig sets a configuration of the bucket and answers.
func (q *request) storeConfig(name, doc string) error {
	return q.configure(http.StatusOK, func(b *object.Bucket) error { return setConfig(b, name, doc) })
}

// dropConfig returns what removes a configuration, whether there is one or not.
func dropConfig(name string) func(*request) error {
	return func(q *request) error {
		if q.b.Config[name] == "" {
			return q.none(http.StatusNoContent)
		}
		return q.configure(http.StatusNoContent, func(b *object.Bucket) error { return setConfig(b, name, "") })
	}
}

// answerConfig returns what answers with a configuration, and with an error when there is none.
func answerConfig(name, missing string) func(*request) error {
	return func(q *request) error {
		doc := q.b.Config[name]
		if doc == "" {
			return errorf(missing, "").with("BucketName", q.bucket)
		}
		q.answerDocument(doc)
		return nil
	}
}

// answerConfigOr is answerConfig with a document for a bucket where none was set.
func answerConfigOr(name, unset string) func(*request) error {
	return func(q *request) error {
		doc := q.b.Config[name]
		if doc == "" {
			doc = unset
		}
		q.answerDocument(doc)
		return nil
	}
}
