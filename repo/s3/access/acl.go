package access

import (
	"net/url"
	"slices"
	"strings"
)

// Groups that ACLs name: everybody, every user, and the server when it delivers logs.
const (
	AllUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	AuthenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	LogDelivery        = "http://acs.amazonaws.com/groups/s3/LogDelivery"

	// LogService is the principal that is in the group LogDelivery.
	LogService = "logging.s3.amazonaws.com"
)

// execReader is the canonical ID to which the canned ACL aws-exec-read grants.
const execReader = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"

// ACL is an access control list. nil is the private one, which grants everything to the
// owner and nothing to others. It is not changed once it is made, so it is safe for
// concurrent use.
type ACL struct {
	grants []grant // those to groups first
}

// grant gives a permission.
type grant struct {
	Grantee    string // the canonical ID of a user or the URI of a group
	Permission Permission
}

// maxGrants of an ACL.
const maxGrants = 100

// group reports whether a group is meant.
func (g grant) group() bool {
	return g.Grantee == AllUsers || g.Grantee == AuthenticatedUsers || g.Grantee == LogDelivery
}

// public reports whether people whom the granter does not know are meant.
func (g grant) public() bool { return g.Grantee == AllUsers || g.Grantee == AuthenticatedUsers }

// to reports whether the grant is to who asks.
func (g grant) to(who *Principal, ignorePublic bool) bool {
	switch g.Grantee {
	case AllUsers:
		return !ignorePublic
	case AuthenticatedUsers:
		return !ignorePublic && who.ID != ""
	case LogDelivery:
		return who.Service == LogService
	}
	return who.ID != "" && g.Grantee == who.ID
}

// newACL makes the ACL of what owner owns.
func newACL(owner string, grants []grant) *ACL {
	a := &ACL{}
	for _, groups := range []bool{true, false} {
		for _, g := range grants {
			if g.group() == groups && !slices.Contains(a.grants, g) {
				a.grants = append(a.grants, g)
			}
		}
	}
	if a.Only(owner) {
		return nil
	}
	return a
}

// Only reports whether the ACL grants full control to one user and nothing else; nil does
// so to the owner.
func (a *ACL) Only(id string) bool {
	return a == nil || len(a.grants) == 1 && a.grants[0] == grant{id, Full}
}

// Public reports whether the ACL grants anything to everybody or to every user.
func (a *ACL) Public() bool { return a != nil && slices.ContainsFunc(a.grants, grant.public) }

// cannedACL returns the ACL that a canned name means for something of owner in a bucket of
// bucketOwner.
func cannedACL(name, owner, bucketOwner string) (a *ACL, ok bool) {
	grants := []grant{{owner, Full}}
	switch name {
	case "private":
	case "public-read":
		grants = append(grants, grant{AllUsers, Read})
	case "public-read-write":
		grants = append(grants, grant{AllUsers, Read}, grant{AllUsers, Write})
	case "authenticated-read":
		grants = append(grants, grant{AuthenticatedUsers, Read})
	case "aws-exec-read":
		grants = append(grants, grant{execReader, Read})
	case "log-delivery-write":
		grants = append(grants, grant{LogDelivery, Write}, grant{LogDelivery, ReadACP})
	case "bucket-owner-read":
		if bucketOwner != owner {
			grants = append(grants, grant{bucketOwner, Read})
		}
	case "bucket-owner-full-control":
		if bucketOwner != owner {
			grants = append(grants, grant{bucketOwner, Full})
		}
	default:
		return nil, false
	}
	return newACL(owner, grants), true
}

// Letters of permissions and groups in the stored form.
var (
	letters = map[Permission]string{Read: "R", Write: "W", ReadACP: "r", WriteACP: "w", Full: "F"}
	groups  = map[string]string{AllUsers: "@all", AuthenticatedUsers: "@users", LogDelivery: "@log"}
)

// String returns the form in which an ACL is stored: "" is the private one, "-" one that
// grants nothing; else there is one word for each grant, the letter of the permission and
// a group or the canonical ID as in a query of a URL.
func (a *ACL) String() string {
	if a == nil {
		return ""
	}
	if len(a.grants) == 0 {
		return "-"
	}
	var words []string
	for _, g := range a.grants {
		grantee, ok := groups[g.Grantee]
		if !ok {
			grantee = url.QueryEscape(g.Grantee)
		}
		words = append(words, letters[g.Permission]+grantee)
	}
	return strings.Join(words, " ")
}

// ParseACL reads the form of String. What is not of that form is an *Error of code
// InternalError, since no client wrote it.
func ParseACL(stored string) (*ACL, error) {
	if stored == "" {
		return nil, nil
	}
	a := &ACL{}
	if stored == "-" {
		return a, nil
	}
	for _, w := range strings.Split(stored, " ") {
		g, ok := parseWord(w)
		if !ok {
			return nil, &Error{Code: "InternalError", Message: "stored ACL " + stored + " is not one"}
		}
		a.grants = append(a.grants, g)
	}
	return a, nil
}

func parseWord(w string) (grant, bool) {
	for p, letter := range letters {
		rest, ok := strings.CutPrefix(w, letter)
		if !ok || rest == "" {
			continue
		}
		for uri, short := range groups {
			if rest == short {
				return grant{uri, p}, true
			}
		}
		id, err := url.QueryUnescape(rest)
		return grant{id, p}, err == nil && rest[0] != '@'
	}
	return grant{}, false
}
