package s3

import (
	"context"
	"fmt"
	"io"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

// WriteObject writes the bytes of an object to w, as a client would get them, for programs
// that read the repository without a server. Every byte was checked. Objects under SSE-C need
// the key of a client, and are refused.
func WriteObject(ctx context.Context, e *object.Engine, v *index.Version, w io.Writer) error {
	var key []byte
	switch {
	case v.System[metaSSEC] != "":
		return fmt.Errorf("%s in bucket %s is encrypted with a key of its client (SSE-C); read it through S3", v.Key, v.Bucket)
	case isKMS(v.System[metaSSE]):
		b, err := e.Bucket(v.Bucket)
		if err == nil {
			key, err = decodeKMSKey(b, v.System[metaKMSKey])
		}
		if err != nil {
			return err
		}
	}
	o, err := openSealed(e, v, key)
	if err == nil {
		_, err = o.copy(ctx, w, 0, o.size)
	}
	if err != nil {
		return fmt.Errorf("%s in bucket %s: %w", v.Key, v.Bucket, err)
	}
	return nil
}

// ObjectSize is the size of an object in bytes, and ObjectETag its ETag without quotes, as
// clients are told.
func ObjectSize(v *index.Version) int64  { return objectSize(v) }
func ObjectETag(v *index.Version) string { return etagOf(v) }

// NeedsBucketKey reports whether an object can be read only with a key of its bucket: it is
// under SSE-KMS.
func NeedsBucketKey(v *index.Version) bool { return isKMS(v.System[metaSSE]) }
