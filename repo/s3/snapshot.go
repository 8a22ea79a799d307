package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

// dress gives the version of a file in a snapshot what an object got when it was put: an
// owner, who is that of the bucket, a type, and an ETag. That follows from the handle of the
// content, so equal contents have equal ones; nobody takes it for an MD5.
func (s *settings) dress(v *index.Version) {
	if v == nil || !object.InSnapshot(v) {
		return
	}
	if v.System != nil { // of a frozen bucket, whose objects have what they had
		v.System = maps.Clone(v.System)
		v.System[metaOwner] = s.owner
		delete(v.System, metaACL)
		return
	}
	v.System = map[string]string{metaOwner: s.owner}
	if v.Kind == index.ContentPayload {
		sum := sha256.Sum256(v.Content)
		v.System[metaETag] = "firn-" + hex.EncodeToString(sum[:16])
		v.System["content-type"] = defaultType
	}
}
