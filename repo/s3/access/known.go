package access

import "strings"

// actionNames are the actions that the policy of a bucket can be about, without s3:.
const actionNames = `
AbortMultipartUpload BypassGovernanceRetention CreateBucket CreateBucketMetadataTableConfiguration CreateSession
DeleteBucket DeleteBucketMetadataTableConfiguration DeleteBucketPolicy DeleteBucketWebsite DeleteObject
DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionTagging
GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac GetBucketAcl GetBucketCORS GetBucketLocation
GetBucketLogging GetBucketMetadataTableConfiguration GetBucketNotification GetBucketObjectLockConfiguration
GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock GetBucketRequestPayment
GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration GetIntelligentTieringConfiguration
GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration GetObject GetObjectAcl GetObjectAttributes
GetObjectLegalHold GetObjectRetention GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl
GetObjectVersionAttributes GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent
GetReplicationConfiguration InitiateReplication
ListBucket ListBucketMultipartUploads ListBucketVersions ListMultipartUploadParts ListTagsForResource
ObjectOwnerOverrideToBucketOwner PauseReplication
PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAbac PutBucketAcl PutBucketCORS PutBucketLogging
PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite
PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration
PutMetricsConfiguration PutObject PutObjectAcl PutObjectLegalHold PutObjectRetention PutObjectTagging
PutObjectVersionAcl PutObjectVersionTagging PutReplicationConfiguration
ReplicateDelete ReplicateObject ReplicateTags RestoreObject TagResource UntagResource
UpdateBucketMetadataInventoryTableConfiguration UpdateBucketMetadataJournalTableConfiguration UpdateObjectEncryption
ListAllMyBuckets`

// actions has the names in lower case with s3:, lowered leads from the usual spelling there.
var actions, lowered = func() (map[string]bool, map[string]string) {
	set, low := map[string]bool{}, map[string]string{}
	for _, name := range strings.Fields(actionNames) {
		l := "s3:" + strings.ToLower(name)
		set[l], low["s3:"+name] = true, l
	}
	return set, low
}()

// s3Keys are the condition keys of S3 that take no tag.
var s3Keys = func() map[string]bool {
	set := map[string]bool{}
	for _, k := range strings.Fields(`
		accesspointnetworkorigin accesspointtag authtype dataaccesspointaccount dataaccesspointarn delimiter if-match
		if-none-match inventoryaccessibleoptionalfields isreplicationpauserequest locationconstraint max-keys
		object-lock-legal-hold object-lock-mode object-lock-remaining-retention-days object-lock-retain-until-date
		objectcreationoperation prefix requestobjecttagkeys resourceaccount signatureage signatureversion tlsversion
		versionid x-amz-acl x-amz-content-sha256 x-amz-copy-source x-amz-copy-source-if-match x-amz-grant-full-control
		x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp x-amz-metadata-directive
		x-amz-object-ownership x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id
		x-amz-server-side-encryption-customer-algorithm x-amz-storage-class x-amz-website-redirect-location`) {
		set["s3:"+k] = true
	}
	return set
}()

// knownKey reports whether a policy may have a condition on the key. S3 takes any key that
// begins with aws:, and refuses others that it does not know; the policies of users may be
// about other services as well.
func knownKey(key string, bucketPolicy bool) bool {
	name, ok := strings.CutPrefix(key, "s3:")
	if !ok {
		return strings.HasPrefix(key, "aws:") || !bucketPolicy && strings.Contains(key, ":")
	}
	prefix, tag, tagged := strings.Cut(name, "/")
	if tagged {
		return tag != "" && (prefix == "existingobjecttag" || prefix == "requestobjecttag" || prefix == "buckettag" || prefix == "accesspointtag")
	}
	return s3Keys[key]
}
