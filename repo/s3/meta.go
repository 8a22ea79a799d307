package s3

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

// Keys of Version.System and Part.System. Headers of HTTP that S3 keeps are stored under
// their names in lower case: cache-control, content-disposition, content-encoding,
// content-language, content-type, expires.
const (
	metaETag      = "etag"               // without quotes
	metaOwner     = "owner"              // canonical ID
	metaACL       = "acl"                // as package access encodes it; absent: private
	metaSumType   = "checksum-type"      // FULL_OBJECT, COMPOSITE
	metaSumAlgo   = "checksum-algorithm" // CRC32, …: the one asked for with CreateMultipartUpload
	metaSum       = "checksum-"          // + crc32, … (listedChecksums): base64; of a COMPOSITE one "-" and the number of parts behind it
	metaPartSums  = "part-checksums"     // of a completed upload: base64 checksums of its parts, comma between
	metaRedirect  = "website-redirect"   // x-amz-website-redirect-location
	metaSSE       = "sse"                // AES256, aws:kms, as asked for; absent: AES256
	metaKMSKey    = "sse-kms-key-id"     // of aws:kms
	metaKMSCtx    = "sse-kms-context"    // x-amz-server-side-encryption-context
	metaBucketKey = "sse-bucket-key"     // "true"
	metaSSEC      = "ssec-key-md5"       // SSE-C: MD5 of the customer's key, base64
	metaInitiator = "initiator"          // of an upload: canonical ID of who began it
	metaCheck     = "sse-key-check"      // proves the key without storing it
	metaHold      = "legal-hold"         // ON, OFF: as last asked for; absent: never was
)

// versionID is how a version is named to clients.
func versionID(v *index.Version) string {
	if v.Null {
		return "null"
	}
	return v.ID.String()
}

// parseRef reads the parameter versionId; "" is the newest version.
func parseRef(s string) (object.Ref, error) {
	switch s {
	case "":
		return object.Ref{}, nil
	case "null":
		return object.Ref{Null: true}, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(index.VersionID{}) || index.VersionID(b) == (index.VersionID{}) {
		return object.Ref{}, errorf("InvalidArgument", "Invalid version id specified").
			with("ArgumentName", "versionId").with("ArgumentValue", s)
	}
	return object.Ref{ID: index.VersionID(b)}, nil
}

func modified(v *index.Version) time.Time { return time.Unix(0, v.Time).UTC() }

// isoTime is how XML documents give times, to the second as S3 does; httpTime how headers do.
func isoTime(t time.Time) string  { return t.UTC().Format("2006-01-02T15:04:05") + ".000Z" }
func httpTime(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

func quoted(etag string) string { return `"` + etag + `"` }

func itoa[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

var _ = fmt.Sprintf
