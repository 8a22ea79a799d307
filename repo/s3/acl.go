package s3

import (
	"net/http"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

var accessOps = []operation{
	{name: "GetBucketAcl", level: bucketLevel, method: http.MethodGet, sub: "acl", action: "s3:GetBucketAcl", permission: access.ReadACP, run: (*request).getBucketACL},
	{name: "PutBucketAcl", level: bucketLevel, method: http.MethodPut, sub: "acl", action: "s3:PutBucketAcl", permission: access.WriteACP, run: (*request).putBucketACL},
	{name: "GetObjectAcl", level: objectLevel, method: http.MethodGet, sub: "acl", actionOf: versioned("s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
		permission: access.ReadACP, loads: true, run: (*request).getObjectACL},
	{name: "PutObjectAcl", level: objectLevel, method: http.MethodPut, sub: "acl", actionOf: versioned("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
		permission: access.WriteACP, loads: true, run: (*request).putObjectACL},

	{name: "GetBucketPolicy", level: bucketLevel, method: http.MethodGet, sub: "policy", action: "s3:GetBucketPolicy", run: (*request).getPolicy},
	{name: "PutBucketPolicy", level: bucketLevel, method: http.MethodPut, sub: "policy", action: "s3:PutBucketPolicy", run: (*request).putPolicy},
	{name: "DeleteBucketPolicy", level: bucketLevel, method: http.MethodDelete, sub: "policy", action: "s3:DeleteBucketPolicy", run: (*request).deletePolicy},
	{name: "GetBucketPolicyStatus", level: bucketLevel, method: http.MethodGet, sub: "policyStatus", action: "s3:GetBucketPolicyStatus", run: (*request).getPolicyStatus},

	{name: "GetPublicAccessBlock", level: bucketLevel, method: http.MethodGet, sub: "publicAccessBlock", action: "s3:GetBucketPublicAccessBlock", run: (*request).getBlock},
	{name: "PutPublicAccessBlock", level: bucketLevel, method: http.MethodPut, sub: "publicAccessBlock", action: "s3:PutBucketPublicAccessBlock", run: (*request).putBlock},
	{name: "DeletePublicAccessBlock", level: bucketLevel, method: http.MethodDelete, sub: "publicAccessBlock", action: "s3:PutBucketPublicAccessBlock", run: (*request).deleteBlock},

	{name: "GetBucketOwnershipControls", level: bucketLevel, method: http.MethodGet, sub: "ownershipControls", action: "s3:GetBucketOwnershipControls", run: (*request).getOwnership},
	{name: "PutBucketOwnershipControls", level: bucketLevel, method: http.MethodPut, sub: "ownershipControls", action: "s3:PutBucketOwnershipControls", run: (*request).putOwnership},
	{name: "DeleteBucketOwnershipControls", level: bucketLevel, method: http.MethodDelete, sub: "ownershipControls", action: "s3:PutBucketOwnershipControls", run: (*request).deleteOwnership},
}

// display returns the display name of a user, "" when there is no such user.
func (h *Handler) display(id string) string {
	u, err := h.e.UserByID(id)
	if err != nil {
		return ""
	}
	if u.Display == "" {
		return u.Name
	}
	return u.Display
}

func (q *request) getBucketACL() error {
	acl := q.set.acl
	if q.set.ownership == access.OwnerEnforced {
		acl = nil
	}
	q.xml(http.StatusOK, acl.Document(q.set.owner, q.h.display))
	return nil
}

func (q *request) getObjectACL() error {
	if err := q.present(); err != nil {
		return err
	}
	var acl *access.ACL
	if q.set.ownership != access.OwnerEnforced {
		var err error
		if acl, err = access.ParseACL(q.v.System[metaACL]); err != nil {
			return err
		}
	}
	q.xml(http.StatusOK, acl.Document(q.ownerOf(q.v.System[metaOwner]), q.h.display))
	return nil
}

// present refuses a request about a version that is not there or is a delete marker.
func (q *request) present() error {
	named := q.query.Get("versionId") != ""
	switch {
	case q.v == nil && named:
		return object.ErrNoVersion
	case q.v == nil:
		return object.ErrNoKey
	case q.v.Kind != index.DeleteMarker:
		return nil
	}
	code := "NoSuchKey"
	if named {
		code = "MethodNotAllowed"
	}
	e := errorf(code, "").header("x-amz-delete-marker", "true").header("x-amz-version-id", versionID(q.v))
	if named {
		return e.with("Method", q.r.Method).with("ResourceType", "DeleteMarker")
	}
	return e.with("Key", q.key)
}

// requestedACL reads the ACL that a PUT of one brings, in its headers or in its body, for
// something of owner.
func (q *request) requestedACL(owner string) (func(*settings) (string, error), error) {
	data, err := q.readAll(maxAccessDocument)
	if err != nil {
		return nil, err
	}
	inHeader := access.HasACL(q.r.Header)
	switch {
	case inHeader && len(data) > 0:
		return nil, errorf("UnexpectedContent", "")
	case !inHeader && len(data) == 0:
		return nil, errorf("MissingSecurityHeader", "").with("MissingHeaderName", "x-amz-acl")
	case inHeader:
		return func(set *settings) (string, error) { return q.aclOf(set, q.r.Header, owner) }, nil
	}
	acl, err := access.ReadACL(data, owner, directory{q.h.e})
	if err != nil {
		return nil, refusal(err)
	}
	return func(set *settings) (string, error) {
		if set.ownership == access.OwnerEnforced {
			if !acl.Only(set.owner) {
				return "", errorf("AccessControlListNotSupported", "")
			}
			return "", nil
		}
		return q.unblocked(set.block, acl)
	}, nil
}

func (q *request) putBucketACL() error {
	requested, err := q.requestedACL(q.set.owner)
	if err != nil {
		return err
	}
	return q.configure(http.StatusOK, func(b *object.Bucket) error { return q.keepACL(b, requested, b.Config, confACL) })
}

// keepACL keeps under a name the ACL that was requested in a bucket as it is now; the private
// one is not kept.
func (q *request) keepACL(b *object.Bucket, requested func(*settings) (string, error), in map[string]string, name string) error {
	set, err := q.h.parseSettings(b)
	if err != nil {
		return err
	}
	stored, err := requested(set)
	if err != nil {
		return err
	}
	if stored == "" {
		delete(in, name)
	} else {
		in[name] = stored
	}
	return nil
}

func (q *request) putObjectACL() error {
	if err := q.present(); err != nil {
		return err
	}
	requested, err := q.requestedACL(q.ownerOf(q.v.System[metaOwner]))
	if err != nil {
		return err
	}
	// The version that was authorised is the one that is changed, even if it is not the
	// newest any more.
	_, err = q.h.e.Edit(q.ctx(), &object.EditRequest{Bucket: q.bucket, Key: q.key, Ref: refOf(q.v), Tell: q.tell(aclEvents),
		Change: func(b *object.Bucket, v *index.Version) error {
			if v.ID != q.v.ID {
				return errorf("OperationAborted", "") // the null version was replaced meanwhile
			}
			return q.keepACL(b, requested, v.System, metaACL)
		}})
	if err != nil {
		return err
	}
	return q.none(http.StatusOK)
}

// newOwner returns who owns a new object: its writer, unless ACLs are disabled or the
// bucket prefers its owner and the headers give that full control.
func (q *request) newOwner(header http.Header) string {
	canned := header.Get("X-Amz-Acl")
	switch {
	case q.set.ownership == access.OwnerEnforced,
		q.set.ownership == access.OwnerPreferred && canned == "bucket-owner-full-control":
		return q.set.owner
	case q.who.ID == "":
		return access.AnonymousID
	}
	return q.who.ID
}

// newACL returns the stored form of the ACL that headers ask for, for a new object, or for
// the bucket that is created, of owner. "" is the private one, which is not stored.
func (q *request) newACL(header http.Header, owner string) (stored string, err error) {
	if !q.op.creates {
		return q.aclOf(q.set, header, owner)
	}
	ownership, err := q.newOwnership(header)
	if err != nil {
		return "", err
	}
	acl, err := access.HeaderACL(header, owner, owner, directory{q.h.e})
	switch {
	case err != nil:
		return "", refusal(err)
	case acl != nil && parseOwnership(ownership) == access.OwnerEnforced:
		return "", errorf("InvalidBucketAclWithObjectOwnership", "")
	case acl.Public() && !q.h.opt.ACLs:
		return "", errorf("InvalidBucketAclWithBlockPublicAccessError", "")
	}
	return acl.String(), nil
}

// aclOf returns the stored form of the ACL that headers ask for in a bucket.
func (q *request) aclOf(set *settings, header http.Header, owner string) (stored string, err error) {
	acl, err := access.HeaderACL(header, owner, set.owner, directory{q.h.e})
	if err != nil {
		return "", refusal(err)
	}
	if set.ownership != access.OwnerEnforced {
		return q.unblocked(set.block, acl)
	}
	// The owner of the bucket has full control anyway; to say so is no ACL.
	canned := header.Get("X-Amz-Acl")
	if access.HasACL(header) && canned != "bucket-owner-full-control" && (canned != "" || !acl.Only(set.owner)) {
		return "", errorf("AccessControlListNotSupported", "")
	}
	return "", nil
}

// unblocked returns the stored form of an ACL unless the public access block forbids it.
func (q *request) unblocked(block access.Block, acl *access.ACL) (string, error) {
	if block.BlockPublicACLs && acl.Public() {
		return "", q.blocked(q.op.actionFor(q), "public access control lists (ACLs) are blocked by the BlockPublicAcls block public access setting.")
	}
	return acl.String(), nil
}
