package s3

import (
	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

// Names in Bucket.Config. A configuration is stored as the XML (policy: JSON) that a GET
// answers; those with an id have it behind a colon.
const (
	confACL          = "acl"
	confPolicy       = "policy"
	confBlock        = "publicAccessBlock"
	confOwnership    = "ownershipControls" // the rule alone: BucketOwnerEnforced, …
	confCORS         = "cors"
	confTagging      = "tagging"
	confEncryption   = "encryption"
	confLifecycle    = "lifecycle"
	confLifecycleMin = "lifecycleMinimumSize" // x-amz-transition-default-minimum-object-size, when not the default
	confWebsite      = "website"
	confLogging      = "logging"
	confNotification = "notification"
	confReplication  = "replication"
	confAccelerate   = "accelerate"
	confPayment      = "requestPayment"
	confInventory    = "inventory:"
	confAnalytics    = "analytics:"
	confMetrics      = "metrics:"
	confTiering      = "intelligent-tiering:"
)

// settings are those of a bucket, parsed once for as long as they stay the same. They are
// shared and not changed.
type settings struct {
	b         *object.Bucket
	owner     string // canonical ID
	policy    *access.Policy
	acl       *access.ACL
	block     access.Block
	ownership access.Ownership
	cors      *corsConfig
	// encryption is the default of the bucket; nil is SSE-S3.
	encryption *encryptionDefault
	lifecycle  *lifecycle.Rules // nil when there are none
	notify     []notifyRule
	website    *websiteConfig  // nil when there is none
	logging    *loggingEnabled // nil when no logs are wanted
}

// settingsOf parses the settings of a bucket, or returns those parsed before.
func (h *Handler) settingsOf(b *object.Bucket) (*settings, error) {
	h.mu.Lock()
	s := h.settings[b.Name]
	h.mu.Unlock()
	if s != nil && s.b == b {
		return s, nil
	}
	s, err := h.parseSettings(b)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	if len(h.settings) > maxSettings {
		clear(h.settings)
	}
	h.settings[b.Name] = s
	h.mu.Unlock()
	return s, nil
}

// maxSettings bounds the buckets whose settings are kept parsed.
const maxSettings = 1000
