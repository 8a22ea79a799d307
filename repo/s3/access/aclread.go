package access

import (
	"encoding/xml"
	"slices"
	"strings"
)

// Users tells who exists, so that grants go to nobody else.
type Users interface {
	// ByEmail returns the canonical ID of the user with an e-mail address.
	ByEmail(address string) (id string, ok bool)
	// Known reports whether there is a user with a canonical ID.
	Known(id string) bool
}

// grantHeaders in the order in which their grants are kept.
var grantHeaders = []struct {
	name       string // canonical, as keys of http.Header
	permission Permission
}{
	{"X-Amz-Grant-Read", Read}, {"X-Amz-Grant-Write", Write}, {"X-Amz-Grant-Read-Acp", ReadACP},
	{"X-Amz-Grant-Write-Acp", WriteACP}, {"X-Amz-Grant-Full-Control", Full},
}

// HasACL reports whether headers, as http.Header keeps them, ask for an ACL.
func HasACL(header map[string][]string) bool {
	if len(header["X-Amz-Acl"]) > 0 {
		return true
	}
	for _, h := range grantHeaders {
		if len(header[h.name]) > 0 {
			return true
		}
	}
	return false
}

// HeaderACL returns the ACL that the headers x-amz-acl and x-amz-grant-* ask for, for
// something of owner in a bucket of bucketOwner; without them it is private. Its errors are
// *Error.
func HeaderACL(header map[string][]string, owner, bucketOwner string, users Users) (*ACL, error) {
	canned := header["X-Amz-Acl"]
	var grants []grant
	for _, h := range grantHeaders {
		values := header[h.name]
		if len(values) == 0 {
			continue
		}
		if len(canned) > 0 {
			return nil, &Error{Code: "InvalidRequest", Message: "Specifying both Canned ACLs and Header Grants is not allowed"}
		}
		ids, err := parseGrantees(strings.Join(values, ","), strings.ToLower(h.name), owner, users)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			grants = append(grants, grant{id, h.permission})
		}
	}
	switch {
	case len(canned) > 0:
		a, ok := cannedACL(canned[0], owner, bucketOwner)
		if !ok || len(canned) > 1 {
			return nil, invalidArgument("", "x-amz-acl", strings.Join(canned, ","))
		}
		return a, nil
	case !HasACL(header):
		return nil, nil
	case len(grants) > maxGrants:
		return nil, &Error{Code: "InvalidRequest", Message: "An ACL cannot have more than 100 grants."}
	}
	return newACL(owner, grants), nil
}

// parseGrantees reads a list such as id="1f3…", emailAddress=a@example.org, uri="http://…".
func parseGrantees(value, header, owner string, users Users) (ids []string, err error) {
	bad := invalidArgument("Argument format not recognized", header, value)
	rest := strings.TrimSpace(value)
	for rest != "" {
		kind, after, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, bad
		}
		var text string
		if quoted, isQuoted := strings.CutPrefix(strings.TrimSpace(after), `"`); isQuoted {
			if text, after, ok = strings.Cut(quoted, `"`); !ok {
				return nil, bad
			}
			after = strings.TrimSpace(after)
			if after != "" && after[0] != ',' {
				return nil, bad
			}
			rest = strings.TrimPrefix(after, ",")
		} else {
			text, rest, _ = strings.Cut(after, ",")
			text = strings.TrimSpace(text)
		}
		rest = strings.TrimSpace(rest)
		kind = strings.ToLower(strings.TrimSpace(kind))
		if kind != "id" && kind != "emailaddress" && kind != "uri" || text == "" {
			return nil, bad
		}
		id, err := resolve(kind, text, owner, users)
		if err != nil {
			return nil, err
		}
		if ids = append(ids, id); len(ids) > maxGrants {
			return nil, bad
		}
	}
	if len(ids) == 0 {
		return nil, bad
	}
	return ids, nil
}

// resolve finds the grantee of a kind.
func resolve(kind, text, owner string, users Users) (string, error) {
	switch kind {
	case "uri":
		if !(grant{Grantee: text}).group() {
			return "", invalidArgument("Invalid group uri", "uri", text)
		}
		return text, nil
	case "emailaddress":
		id, ok := users.ByEmail(text)
		if !ok {
			return "", &Error{Code: "UnresolvableGrantByEmailAddress", Fields: [][2]string{{"EmailAddress", text}}}
		}
		return id, nil
	}
	if text != owner && text != AnonymousID && text != execReader && !users.Known(text) {
		return "", invalidArgument("Invalid id", "id", text)
	}
	return text, nil
}

func invalidArgument(message, name, value string) *Error {
	return &Error{Code: "InvalidArgument", Message: message, Fields: [][2]string{{"ArgumentName", name}, {"ArgumentValue", value}}}
}

// aclDocument is the element AccessControlPolicy as it comes in.
type aclDocument struct {
	XMLName xml.Name `xml:"AccessControlPolicy"`
	Owner   *struct {
		ID string
	}
	List *struct {
		Grants []struct {
			Grantee *struct {
				Attrs        []xml.Attr `xml:",any,attr"`
				ID           string
				EmailAddress string
				URI          string
			}
			Permission Permission
		} `xml:"Grant"`
	} `xml:"AccessControlList"`
}

// ReadACL reads the XML form of an ACL for something of owner. Another owner in the
// document is AccessDenied. Its errors are *Error.
func ReadACL(data []byte, owner string, users Users) (*ACL, error) {
	var doc aclDocument
	bad := &Error{Code: "MalformedACLError"}
	if err := xml.Unmarshal(data, &doc); err != nil || doc.Owner == nil || doc.Owner.ID == "" || doc.List == nil ||
		len(doc.List.Grants) > maxGrants {
		return nil, bad
	}
	if doc.Owner.ID != owner {
		return nil, &Error{Code: "AccessDenied"}
	}
	var grants []grant
	for _, g := range doc.List.Grants {
		if _, ok := letters[g.Permission]; !ok || g.Grantee == nil {
			return nil, bad
		}
		i := slices.IndexFunc(g.Grantee.Attrs, func(a xml.Attr) bool { return a.Name.Local == "type" })
		if i < 0 {
			return nil, bad
		}
		kind, text := "", ""
		switch g.Grantee.Attrs[i].Value {
		case "CanonicalUser":
			kind, text = "id", g.Grantee.ID
		case "AmazonCustomerByEmail":
			kind, text = "emailaddress", g.Grantee.EmailAddress
		case "Group":
			kind, text = "uri", g.Grantee.URI
		}
		if text == "" {
			return nil, bad
		}
		id, err := resolve(kind, text, owner, users)
		if err != nil {
			return nil, err
		}
		grants = append(grants, grant{id, g.Permission})
	}
	return newACL(owner, grants), nil
}

// aclAnswer is the element AccessControlPolicy as it goes out.
type aclAnswer struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
	Owner   aclUser
	Grants  struct {
		Grant []grantAnswer
	} `xml:"AccessControlList"`
}

type aclUser struct {
	ID          string `xml:",omitempty"`
	DisplayName string `xml:",omitempty"`
}

type grantAnswer struct {
	Grantee struct {
		Xsi  string `xml:"xmlns:xsi,attr"`
		Type string `xml:"xsi:type,attr"`
		aclUser
		URI string `xml:",omitempty"`
	}
	Permission Permission
}

// Document returns the value whose XML is the form of an ACL of something of owner.
// display returns the display name of a user, "" if it has none.
func (a *ACL) Document(owner string, display func(id string) string) any {
	if a == nil {
		a = &ACL{grants: []grant{{owner, Full}}}
	}
	out := &aclAnswer{Owner: aclUser{owner, display(owner)}}
	for _, g := range a.grants {
		var x grantAnswer
		x.Grantee.Xsi = "http://www.w3.org/2001/XMLSchema-instance"
		x.Permission = g.Permission
		if g.group() {
			x.Grantee.Type, x.Grantee.URI = "Group", g.Grantee
		} else {
			x.Grantee.Type, x.Grantee.aclUser = "CanonicalUser", aclUser{g.Grantee, display(g.Grantee)}
		}
		out.Grants.Grant = append(out.Grants.Grant, x)
	}
	return out
}
