package s3

import (
	"fmt"
	"slices"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

// authorize decides whether the request may be carried out. Operations without an action,
// and forms, which tell only in their body who sends them, decide for themselves.
func (q *request) authorize() error {
	if q.op.form {
		return nil
	}
	action := q.op.actionFor(q)
	if action == "" {
		return nil
	}
	ask := q.ask(q.set, action, q.key, q.v)
	ask.Permission, ask.OnObject = q.op.permission, q.op.loads
	if action == "s3:DeleteObjectVersion" {
		ask.Permission = access.None // who may write may hide versions, not destroy them
	}
	if q.op.loads && (q.v == nil || q.v.Kind == index.DeleteMarker) {
		return q.authorizeMissing(ask)
	}
	if !access.Allowed(ask) {
		return errorf("AccessDenied", "")
	}
	return q.authorizeHeaders(action)
}

// actionFor returns the action of IAM policies that a request of the operation is, "" when
// it decides for itself.
func (op *operation) actionFor(q *request) string {
	if op.actionOf != nil {
		return op.actionOf(q)
	}
	return op.action
}

// authorizeMissing decides about a version that is not there. Only who may list the bucket
// learns that, even if it may do nothing else with the key.
func (q *request) authorizeMissing(ask *access.Query) error {
	switch {
	case !q.mayList(q.set, q.key):
		return errorf("AccessDenied", "")
	case access.Allowed(ask):
		return nil // the operation says what is missing
	case q.query.Get("versionId") != "" && q.v == nil:
		return object.ErrNoVersion
	}
	return object.ErrNoKey
}

// mayList reports whether the caller may list a bucket, with a key as the prefix.
func (q *request) mayList(set *settings, key string) bool {
	ask := q.ask(set, "s3:ListBucket", "", nil)
	ask.Permission = access.Read
	values := ask.Context
	ask.Context = func(name string) []string {
		if name == "s3:prefix" {
			return []string{key}
		}
		return values(name)
	}
	return access.Allowed(ask)
}

// headerActions are what a request may ask for beside its action, by headers of which one
// is there. They are refused when a policy says so, but need no grant of the bucket's
// owner: who may write may describe what it writes.
var headerActions = map[string][]struct {
	action  string
	headers []string
}{
	"s3:PutObject": {
		{"s3:PutObjectAcl", []string{"X-Amz-Acl", "X-Amz-Grant-Read", "X-Amz-Grant-Write", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write-Acp", "X-Amz-Grant-Full-Control"}},
		{"s3:PutObjectTagging", []string{"X-Amz-Tagging"}},
		{"s3:PutObjectRetention", []string{"X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Retain-Until-Date"}},
		{"s3:PutObjectLegalHold", []string{"X-Amz-Object-Lock-Legal-Hold"}},
	},
	"s3:CreateBucket": {
		{"s3:PutBucketAcl", []string{"X-Amz-Acl", "X-Amz-Grant-Read", "X-Amz-Grant-Write", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write-Acp", "X-Amz-Grant-Full-Control"}},
		{"s3:PutBucketOwnershipControls", []string{"X-Amz-Object-Ownership"}},
		{"s3:PutBucketObjectLockConfiguration", []string{"X-Amz-Bucket-Object-Lock-Enabled"}},
		{"s3:PutBucketVersioning", []string{"X-Amz-Bucket-Object-Lock-Enabled"}},
	},
}

func (q *request) authorizeHeaders(action string) error {
	for _, extra := range headerActions[action] {
		asked := slices.ContainsFunc(extra.headers, func(name string) bool { return len(q.r.Header[name]) > 0 })
		if asked && access.Denied(q.ask(q.set, extra.action, q.key, q.v)) {
			return errorf("AccessDenied", "")
		}
	}
	return nil
}

// aclPermissions are what ACLs have to grant for actions that allowed is asked about, and
// whether it is the object's ACL. No ACL grants other actions.
var aclPermissions = map[string]struct {
	permission access.Permission
	onObject   bool
}{
	"s3:ListBucket": {access.Read, false}, "s3:ListBucketVersions": {access.Read, false}, "s3:ListBucketMultipartUploads": {access.Read, false},
	"s3:PutObject": {access.Write, false}, "s3:DeleteObject": {access.Write, false},
	"s3:GetBucketAcl": {access.ReadACP, false}, "s3:PutBucketAcl": {access.WriteACP, false},
	"s3:GetObject": {access.Read, true}, "s3:GetObjectVersion": {access.Read, true},
	"s3:GetObjectAttributes": {access.Read, true}, "s3:GetObjectVersionAttributes": {access.Read, true},
	"s3:GetObjectAcl": {access.ReadACP, true}, "s3:GetObjectVersionAcl": {access.ReadACP, true},
	"s3:PutObjectAcl": {access.WriteACP, true}, "s3:PutObjectVersionAcl": {access.WriteACP, true},
}

// allowed reports whether the caller may do something else in the bucket of the request:
// key is "" for actions on the bucket; v is the version it is about, or nil.
func (q *request) allowed(action, key string, v *index.Version) bool {
	return q.allowedIn(q.set, action, key, v)
}

// allowedIn is allowed in another bucket.
func (q *request) allowedIn(set *settings, action, key string, v *index.Version) bool {
	ask := q.ask(set, action, key, v)
	p := aclPermissions[action]
	ask.Permission, ask.OnObject = p.permission, p.onObject
	return access.Allowed(ask)
}

// mayPut reports whether the caller may create an object of that key with the headers of
// the request. Operations that learn the key from the body ask for themselves.
func (q *request) mayPut(key string) bool {
	q.key = key
	return q.allowed("s3:PutObject", key, nil) && q.authorizeHeaders("s3:PutObject") == nil
}

// mayRead refuses a version of another key or bucket that the caller may not read, such as
// the source of a copy. v is nil when it is not there; missing is answered then, but to
// those only who may list the bucket.
func (q *request) mayRead(set *settings, key, version string, v *index.Version, missing error) error {
	action := "s3:GetObject"
	if version != "" {
		action = "s3:GetObjectVersion"
	}
	gone := v == nil || v.Kind == index.DeleteMarker
	switch {
	case gone && q.mayList(set, key):
		return missing
	case gone || !q.allowedIn(set, action, key, v):
		return errorf("AccessDenied", "")
	}
	return nil
}

// ask makes the question whether the caller may carry out an action; Permission and
// OnObject are for the caller to fill in. set is nil for the service and for a bucket to be
// created, which would be the caller's.
func (q *request) ask(set *settings, action, key string, v *index.Version) *access.Query {
	ask := &access.Query{Who: q.who, Action: action, Key: key}
	ask.Context = func(name string) []string { return q.conditionValues(name, v) }
	if set == nil {
		ask.Bucket, ask.BucketOwner = q.bucket, q.who.ID
		return ask
	}
	ask.Bucket, ask.BucketOwner, ask.BucketACL = set.b.Name, set.owner, set.acl
	ask.Policy, ask.Block, ask.Ownership = set.policy, set.block, set.ownership
	if v != nil && v.Kind != index.DeleteMarker {
		ask.ObjectOwner = v.System[metaOwner]
		if stored := v.System[metaACL]; stored != "" && set.ownership != access.OwnerEnforced {
			acl, err := access.ParseACL(stored)
			if err != nil {
				acl = nil // unreadable: private
			}
			ask.ObjectACL = acl
		}
	}
	return ask
}

// versioned returns an actionOf for operations whose action has another name when the
// request names a version.
func versioned(current, version string) func(*request) string {
	return func(q *request) string {
		if q.query.Get("versionId") != "" {
			return version
		}
		return current
	}
}

// maxPrincipals bounds the users whose policies are kept parsed.
const maxPrincipals = 4096

// principal returns a user as package access knows it.
func (h *Handler) principal(u *object.User) (*access.Principal, error) {
	h.mu.Lock()
	p := h.principals[u]
	h.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p = &access.Principal{ID: u.ID, Name: u.Name, Root: u.Root}
	for name, doc := range u.Policies {
		policy, err := access.ParsePolicy([]byte(doc), "")
		if err != nil {
			return nil, fmt.Errorf("policy %s of user %s: %w", name, u.Name, err)
		}
		p.Policies = append(p.Policies, policy)
	}
	h.mu.Lock()
	if h.principals == nil || len(h.principals) >= maxPrincipals {
		h.principals = map[*object.User]*access.Principal{}
	}
	h.principals[u] = p
	h.mu.Unlock()
	return p, nil
}

// parseSettings parses the settings of a bucket.
func (h *Handler) parseSettings(b *object.Bucket) (*settings, error) {
	s := &settings{b: b, owner: b.Owner, ownership: parseOwnership(b.Config[confOwnership])}
	var err error
	if s.owner == "" {
		if s.owner, err = h.rootID(); err != nil {
			return nil, err
		}
	}
	if s.acl, err = access.ParseACL(b.Config[confACL]); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", b.Name, err)
	}
	if s.block, err = parseBlock(b.Config[confBlock]); err != nil {
		return nil, fmt.Errorf("public access block of bucket %s: %w", b.Name, err)
	}
	if doc := b.Config[confPolicy]; doc != "" {
		if s.policy, err = access.ParsePolicy([]byte(doc), b.Name); err != nil {
			return nil, fmt.Errorf("policy of bucket %s: %w", b.Name, err)
		}
	}
	if doc := b.Config[confCORS]; doc != "" {
		if s.cors, err = parseCORS(doc); err != nil {
			return nil, fmt.Errorf("CORS configuration of bucket %s: %w", b.Name, err)
		}
	}
	if doc := b.Config[confEncryption]; doc != "" {
		if s.encryption, err = parseEncryptionDefault(doc); err != nil {
			return nil, fmt.Errorf("encryption of bucket %s: %w", b.Name, err)
		}
	}
	if doc := b.Config[confLifecycle]; doc != "" {
		if s.lifecycle, err = parseLifecycle(doc, b.Config[confLifecycleMin]); err != nil {
			return nil, fmt.Errorf("lifecycle configuration of bucket %s: %w", b.Name, err)
		}
	}
	if doc := b.Config[confLogging]; doc != "" {
		c := loggingConfig{}
		if err := parseXML([]byte(doc), &c); err != nil {
			return nil, fmt.Errorf("logging configuration of bucket %s: %w", b.Name, err)
		}
		s.logging = c.LoggingEnabled
	}
	if doc := b.Config[confNotification]; doc != "" {
		if s.notify, err = parseNotification(doc); err != nil {
			return nil, fmt.Errorf("notification configuration of bucket %s: %w", b.Name, err)
		}
	}
	if doc := b.Config[confWebsite]; doc != "" {
		s.website = &websiteConfig{}
		if err := parseXML([]byte(doc), s.website); err != nil {
			return nil, fmt.Errorf("website configuration of bucket %s: %w", b.Name, err)
		}
	}
	return s, nil
}

// rootID returns the canonical ID that owns buckets without an owner, "" when there is no
// root user.
func (h *Handler) rootID() (string, error) {
	users, err := h.e.Users()
	if err != nil {
		return "", err
	}
	for _, u := range users {
		if u.Root {
			return u.ID, nil
		}
	}
	return "", nil
}

// directory tells package access which users there are.
type directory struct{ e *object.Engine }

func (d directory) ByEmail(address string) (string, bool) {
	u, err := d.e.UserByEmail(address)
	if err != nil {
		return "", false
	}
	return u.ID, true
}

func (d directory) Known(id string) bool {
	_, err := d.e.UserByID(id)
	return err == nil
}

// refusal is an error of package access as an answer.
func refusal(err error) error {
	e, ok := err.(*access.Error)
	if !ok {
		return err
	}
	out := errorf(e.Code, e.Message)
	out.fields = append(out.fields, e.Fields...)
	return out
}
