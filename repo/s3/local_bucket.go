package s3

import (
	"errors"
	"fmt"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

// NewBucket returns a bucket as CreateBucket makes it without headers: it blocks all public
// access, and its ACLs are off. The error names what is wrong with the name.
func NewBucket(name string) (*object.Bucket, error) {
	if !validBucketName(name) {
		return nil, fmt.Errorf("bucket %q: want 3 to 63 of a-z, 0-9, hyphen and dot, by the rules of Amazon S3", name)
	}
	return &object.Bucket{Name: name, Config: map[string]string{confBlock: blockText(everything), confOwnership: string(access.OwnerEnforced)}}, nil
}

// BucketPolicy returns the policy of a bucket, "" when it has none.
func BucketPolicy(b *object.Bucket) string { return b.Config[confPolicy] }

// SetBucketPolicy sets the policy of a bucket, or with "" removes it, as PutBucketPolicy
// does: a public one is refused while the bucket blocks them.
func SetBucketPolicy(b *object.Bucket, doc string) error {
	if doc == "" {
		delete(b.Config, confPolicy)
		return nil
	}
	policy, err := access.ParsePolicy([]byte(doc), b.Name)
	if err != nil {
		return err
	}
	block, err := parseBlock(b.Config[confBlock])
	if err != nil {
		return err
	}
	if block.BlockPublicPolicy && policy.Public() {
		return errors.New("the policy is public, and the bucket blocks public policies; change that with put-public-access-block over S3 first")
	}
	b.Config[confPolicy] = doc
	return nil
}

// Configurations returns the names of the other configurations that a bucket has, such as
// cors and lifecycle.
func Configurations(b *object.Bucket) (names []string) {
	for _, name := range []string{confACL, confCORS, confTagging, confEncryption, confLifecycle, confWebsite, confLogging, confNotification, confReplication} {
		if b.Config[name] != "" {
			names = append(names, name)
		}
	}
	return names
}
