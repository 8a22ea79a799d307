// Package access decides whether a request may be carried out: policies of users and
// buckets, ACLs, public access block and object ownership. It is pure: values in, a
// verdict out. It reads and writes policies and ACLs, and knows no HTTP.
//
// Each user is an account of its own, as on AWS. Invariants:
//
//  1. An explicit deny wins over every allow; the only exceptions are those that the
//     comment of Allowed names.
//  2. What cannot be understood is refused when it is parsed, never ignored when it is
//     evaluated.
//  3. Cost is bounded by the size of the policies times that of the values compared.
package access

// Permission is what an ACL grants.
type Permission string

// The permissions. None is for operations that no ACL can allow.
const (
	None     Permission = ""
	Read     Permission = "READ"
	Write    Permission = "WRITE"
	ReadACP  Permission = "READ_ACP"
	WriteACP Permission = "WRITE_ACP"
	Full     Permission = "FULL_CONTROL"
)

// Ownership is the object ownership of a bucket: who owns what others put there, and
// whether ACLs count. "" is taken for ObjectWriter.
type Ownership string

// The values; the first disables ACLs and is that of new buckets.
const (
	OwnerEnforced  Ownership = "BucketOwnerEnforced"
	OwnerPreferred Ownership = "BucketOwnerPreferred"
	ObjectWriter   Ownership = "ObjectWriter"
)

// Block is the public access block of a bucket; the zero value blocks nothing.
type Block struct {
	BlockPublicACLs, IgnorePublicACLs, BlockPublicPolicy, RestrictPublicBuckets bool
}

// Principal is who asks. It is not changed by this package, and may be shared.
type Principal struct {
	ID       string // canonical; "" is anonymous
	Name     string
	Service  string    // such as LogService, when the server itself asks; ID is "" then
	Root     bool      // the operator of the server
	Policies []*Policy // of the user; none allows everything with what it owns
}

// Anonymous returns who asks without a signature.
func Anonymous() *Principal { return &Principal{} }

// AnonymousID is the canonical ID that owns what anonymous requests create, as on AWS.
const AnonymousID = "65a011a29cdf8ec533ec3d1ccaae921c"

// Query is what is to be decided: who wants to do what with what, and every setting that
// has a say in it.
type Query struct {
	Who    *Principal
	Action string // s3:GetObject
	Bucket string // "" for operations on no bucket
	Key    string // "" for operations on the bucket

	// Context returns the values of a condition key, nil when the request has none. The
	// key is in lower case up to its first slash. Keys about the principal are not asked
	// for. nil is a request without any.
	Context func(key string) []string

	BucketOwner string // canonical ID; Who.ID for a bucket that is to be created
	ObjectOwner string // of the version asked for; "" is the owner of the bucket
	Permission  Permission
	OnObject    bool // Permission is looked for in ObjectACL, not in BucketACL
	BucketACL   *ACL // nil is private
	ObjectACL   *ACL // nil is private

	Policy    *Policy // of the bucket, or nil
	Block     Block
	Ownership Ownership
}

// policyActions are those with which the owner of a bucket can always undo a policy that
// locks it out.
var policyActions = map[string]bool{"s3:GetBucketPolicy": true, "s3:PutBucketPolicy": true, "s3:DeleteBucketPolicy": true}

// Allowed decides. A deny of any policy wins, but the owner of a bucket can read, replace
// and delete its policy unless a policy of its own forbids that, and root is bound by
// policies of its own buckets only. Else a user may do everything with what it owns, as
// far as policies of its own, if it has any, allow it; and with what others own, what the
// bucket's policy or an ACL allows as well.
func Allowed(q *Query) bool {
	owner := q.ownsBucket()
	if q.Who.Root {
		return !owner || policyActions[q.Action] || q.Policy.decide(q) != deny
	}
	own := decideAll(q.Who.Policies, q)
	bucket := q.Policy.decide(q)
	if own == deny || bucket == deny && !(owner && policyActions[q.Action]) {
		return false
	}
	mayAct := own == allow || len(q.Who.Policies) == 0
	if owner {
		// In its own account either side suffices.
		if bucket == allow && q.bucketDecides() {
			return true
		}
		return mayAct && (q.bucketDecides() || q.granted())
	}
	if !mayAct {
		return false
	}
	if bucket == allow && q.bucketDecides() && !(q.Block.RestrictPublicBuckets && q.Who.Service == "" && q.Policy.Public()) {
		return true
	}
	if q.OnObject && q.Permission != None && q.Who.ID != "" && q.objectOwner() == q.Who.ID {
		return true
	}
	return q.granted()
}

// Denied reports whether a policy forbids the action explicitly, or the user's own policies
// do not allow it. It is for what a request asks for beside its main action, such as an ACL
// or tags with an upload.
func Denied(q *Query) bool {
	if q.Who.Root {
		return q.ownsBucket() && q.Policy.decide(q) == deny
	}
	own := decideAll(q.Who.Policies, q)
	return own == deny || own == silent && len(q.Who.Policies) > 0 || q.Policy.decide(q) == deny
}

// ownsBucket reports whether the bucket is in the account of who asks.
func (q *Query) ownsBucket() bool {
	return q.Who.ID != "" && q.Who.ID == q.BucketOwner || q.Who.Root && q.BucketOwner == ""
}

func (q *Query) objectOwner() string {
	if q.ObjectOwner == "" || q.Ownership == OwnerEnforced {
		return q.BucketOwner
	}
	return q.ObjectOwner
}

// bucketDecides reports whether the owner of the bucket and its policy decide. They do not
// about content and ACL of an object that another account owns.
func (q *Query) bucketDecides() bool {
	return !q.OnObject || q.Permission == None || q.objectOwner() == q.BucketOwner
}

// granted reports whether an ACL allows it.
func (q *Query) granted() bool {
	if q.Permission == None || q.Ownership == OwnerEnforced {
		return false
	}
	acl := q.BucketACL
	if q.OnObject {
		acl = q.ObjectACL
	}
	if acl == nil {
		return false // private: the owner was asked before
	}
	for _, g := range acl.grants {
		if (g.Permission == q.Permission || g.Permission == Full) && g.to(q.Who, q.Block.IgnorePublicACLs) {
			return true
		}
	}
	return false
}

// Error is a policy, an ACL or a header that is refused, with code and text of S3.
type Error struct {
	Code    string
	Message string      // "" is the usual text of the code
	Fields  [][2]string // further elements of the answer
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func malformed(message string) *Error { return &Error{Code: "MalformedPolicy", Message: message} }
