package s3

import (
	"encoding/xml"
	"io"
	"net/http"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

// maxPolicyBody bounds what is read of a policy; package access says how long one may be.
const maxPolicyBody = 256 << 10

func (q *request) getPolicy() error {
	doc := q.b.Config[confPolicy]
	if doc == "" {
		return errorf("NoSuchBucketPolicy", "").with("BucketName", q.bucket)
	}
	head := q.w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Content-Length", itoa(len(doc)))
	_, _ = io.WriteString(q.w, doc) // a client that went away
	return nil
}

func (q *request) putPolicy() error {
	// The owner of a bucket can always replace its policy, so that there is no way to lock
	// oneself out which the header would have to confirm.
	switch v := q.r.Header.Get("x-amz-confirm-remove-self-bucket-access"); v {
	case "", "true", "false", "True", "False":
	default:
		return errorf("InvalidArgument", "").with("ArgumentName", "x-amz-confirm-remove-self-bucket-access").with("ArgumentValue", v)
	}
	data, err := q.readAll(maxPolicyBody)
	if err != nil {
		return err
	}
	policy, err := access.ParsePolicy(data, q.bucket)
	if err != nil {
		return refusal(err)
	}
	return q.configure(http.StatusNoContent, func(b *object.Bucket) error {
		block, err := parseBlock(b.Config[confBlock])
		if err != nil {
			return err
		}
		if block.BlockPublicPolicy && policy.Public() {
			return q.blocked("s3:PutBucketPolicy", "public policies are blocked by the BlockPublicPolicy block public access setting.")
		}
		b.Config[confPolicy] = string(data)
		return nil
	})
}

// blocked refuses what the public access block forbids.
func (q *request) blocked(action, why string) error {
	who, resource := "Anonymous", "arn:aws:s3:::"+q.bucket
	if q.user != nil {
		who = "arn:aws:iam::" + q.user.ID + ":user/" + q.user.Name
	}
	if q.key != "" {
		resource += "/" + q.key
	}
	return errorf("AccessDenied", "User: "+who+" is not authorized to perform: "+action+" on resource: \""+resource+"\" because "+why)
}

func (q *request) deletePolicy() error {
	return q.configure(http.StatusNoContent, func(b *object.Bucket) error {
		delete(b.Config, confPolicy)
		return nil
	})
}

// policyStatus is the element PolicyStatus.
type policyStatus struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PolicyStatus"`
	IsPublic bool
}

// getPolicyStatus answers whether strangers get into the bucket, by its policy or by its
// ACL. A bucket without a policy has a status too: it is a fact, and clients ask for it.
func (q *request) getPolicyStatus() error {
	acl := q.set.acl.Public() && q.set.ownership != access.OwnerEnforced && !q.set.block.IgnorePublicACLs
	q.xml(http.StatusOK, &policyStatus{IsPublic: q.set.policy.Public() || acl})
	return nil
}
