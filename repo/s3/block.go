package s3

import (
	"net/http"
	"strings"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

// ownershipUnset is stored for a bucket whose ownership controls were removed, or that was
// created as before there were any: objects belong to who writes them. A bucket that says
// nothing, as those of firn backup, has ACLs disabled.
const ownershipUnset = "unset"

// parseOwnership reads the stored form.
func parseOwnership(stored string) access.Ownership {
	switch o := access.Ownership(stored); o {
	case access.OwnerPreferred, access.ObjectWriter:
		return o
	case ownershipUnset:
		return access.ObjectWriter
	}
	return access.OwnerEnforced
}

// blockDocument is the element PublicAccessBlockConfiguration.
type blockDocument struct {
	BlockPublicAcls       *flag
	IgnorePublicAcls      *flag
	BlockPublicPolicy     *flag
	RestrictPublicBuckets *flag
}

// flag is true or false in any case of letters, and goes out in lower case.
type flag bool

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *flag) UnmarshalText(text []byte) error {
	switch s := strings.TrimSpace(string(text)); {
	case strings.EqualFold(s, "true"):
		*f = true
	case strings.EqualFold(s, "false"):
		*f = false
	default:
		return errMalformed
	}
	return nil
}

const blockRoot = "PublicAccessBlockConfiguration"

func (d blockDocument) block() access.Block {
	on := func(f *flag) bool { return f != nil && bool(*f) }
	return access.Block{BlockPublicACLs: on(d.BlockPublicAcls), IgnorePublicACLs: on(d.IgnorePublicAcls),
		BlockPublicPolicy: on(d.BlockPublicPolicy), RestrictPublicBuckets: on(d.RestrictPublicBuckets)}
}

// blockText is the stored form of a public access block.
func blockText(b access.Block) string {
	f := func(on bool) *flag { v := flag(on); return &v }
	return document(blockRoot, blockDocument{f(b.BlockPublicACLs), f(b.IgnorePublicACLs), f(b.BlockPublicPolicy), f(b.RestrictPublicBuckets)})
}

// parseBlock reads the stored form; "" blocks nothing.
func parseBlock(stored string) (access.Block, error) {
	if stored == "" {
		return access.Block{}, nil
	}
	var d blockDocument
	err := parseDocument([]byte(stored), blockRoot, &d)
	return d.block(), err
}

// everything is the public access block of new buckets, unless ACLs are on by default.
var everything = access.Block{BlockPublicACLs: true, IgnorePublicACLs: true, BlockPublicPolicy: true, RestrictPublicBuckets: true}

// maxAccessDocument bounds the bodies of ACLs, blocks and ownership controls.
const maxAccessDocument = 64 << 10

func (q *request) getBlock() error {
	stored := q.b.Config[confBlock]
	if stored == "" {
		return errorf("NoSuchPublicAccessBlockConfiguration", "").with("BucketName", q.bucket)
	}
	q.answerDocument(stored)
	return nil
}

func (q *request) putBlock() error {
	data, err := q.readAll(maxAccessDocument)
	if err != nil {
		return err
	}
	var d blockDocument
	if err := parseDocument(data, blockRoot, &d); err != nil {
		return err
	}
	if d == (blockDocument{}) {
		return errorf("InvalidRequest", "Must specify at least one configuration.")
	}
	return q.configure(http.StatusOK, func(b *object.Bucket) error {
		b.Config[confBlock] = blockText(d.block())
		return nil
	})
}

func (q *request) deleteBlock() error {
	return q.configure(http.StatusNoContent, func(b *object.Bucket) error {
		delete(b.Config, confBlock)
		return nil
	})
}

// configure changes the settings of the bucket and answers without a body.
func (q *request) configure(status int, change func(*object.Bucket) error) error {
	if err := q.h.e.EditBucket(q.ctx(), q.bucket, change); err != nil {
		return err
	}
	return q.none(status)
}

// ownershipDocument is the element OwnershipControls.
type ownershipDocument struct {
	Rule []ownershipRule
}

type ownershipRule struct {
	ObjectOwnership access.Ownership
}

const ownershipRoot = "OwnershipControls"

func (q *request) getOwnership() error {
	stored, ok := q.b.Config[confOwnership]
	if stored == ownershipUnset || !ok && !q.b.Backup {
		return errorf("OwnershipControlsNotFoundError", "").with("BucketName", q.bucket)
	}
	q.answerDocument(document(ownershipRoot, ownershipDocument{[]ownershipRule{{q.set.ownership}}}))
	return nil
}

func (q *request) putOwnership() error {
	data, err := q.readAll(maxAccessDocument)
	if err != nil {
		return err
	}
	var d ownershipDocument
	if err := parseDocument(data, ownershipRoot, &d); err != nil {
		return err
	}
	if len(d.Rule) != 1 || !validOwnership(d.Rule[0].ObjectOwnership) {
		return errorf("MalformedXML", "")
	}
	return q.configure(http.StatusOK, func(b *object.Bucket) error {
		set, err := q.h.parseSettings(b)
		if err != nil {
			return err
		}
		if d.Rule[0].ObjectOwnership == access.OwnerEnforced && !set.acl.Only(set.owner) {
			return errorf("InvalidBucketAclWithObjectOwnership", "")
		}
		b.Config[confOwnership] = string(d.Rule[0].ObjectOwnership)
		return nil
	})
}

func validOwnership(o access.Ownership) bool {
	return o == access.OwnerEnforced || o == access.OwnerPreferred || o == access.ObjectWriter
}

func (q *request) deleteOwnership() error {
	return q.configure(http.StatusNoContent, func(b *object.Bucket) error {
		b.Config[confOwnership] = ownershipUnset
		return nil
	})
}

// newOwnership returns the stored form of the ownership that headers of CreateBucket ask
// for, or the default of the server.
func (q *request) newOwnership(header http.Header) (stored string, err error) {
	values := header["X-Amz-Object-Ownership"]
	switch {
	case len(values) > 0 && !validOwnership(access.Ownership(values[0])):
		return "", errorf("InvalidArgument", "Invalid x-amz-object-ownership header: "+values[0]).with("ArgumentName", "x-amz-object-ownership")
	case len(values) > 0:
		return values[0], nil
	case q.h.opt.ACLs:
		return ownershipUnset, nil
	}
	return string(access.OwnerEnforced), nil
}

// newBucketAccess sets ownership, public access block and ACL of a bucket that is to be
// created as its headers ask for.
func (q *request) newBucketAccess(b *object.Bucket) (err error) {
	if b.Config[confOwnership], err = q.newOwnership(q.r.Header); err != nil {
		return err
	}
	if !q.h.opt.ACLs {
		b.Config[confBlock] = blockText(everything)
	}
	acl, err := q.newACL(q.r.Header, q.who.ID)
	if acl != "" {
		b.Config[confACL] = acl
	}
	return err
}
