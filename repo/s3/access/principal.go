package access

import (
	"slices"
	"strings"
)

// principals are those that a statement of a bucket policy names.
type principals struct {
	not      bool
	everyone bool
	users    []namedUser
	ids      []string // canonical
	services []string
}

// namedUser is an ARN of a user or an account.
type namedUser struct {
	account string // for the account itself, "" otherwise
	name    string
}

// parse reads the element Principal or NotPrincipal.
func (p *principals) parse(n node) error {
	invalid := malformed("Invalid principal in policy")
	if n.kind == 's' && n.text == "*" {
		p.everyone = true
		return nil
	}
	if n.kind != '{' {
		return invalid
	}
	if len(n.members) == 0 {
		return malformed("Missing required field Principal cannot be empty!")
	}
	for i, kind := range n.members {
		texts, ok := n.items[i].scalars(false)
		if !ok || len(texts) == 0 || slices.Contains(texts, "") {
			return invalid
		}
		switch kind {
		case "AWS":
			for _, t := range texts {
				if !p.addAWS(t) {
					return invalid
				}
			}
		case "CanonicalUser":
			p.ids = append(p.ids, texts...)
		case "Service":
			if slices.Contains(texts, "*") {
				return invalid
			}
			p.services = append(p.services, texts...)
		case "Federated": // there are none here, so it matches nobody
		default:
			return invalid
		}
	}
	return nil
}

// addAWS adds an ARN, the ID of an account or "*".
func (p *principals) addAWS(s string) bool {
	if s == "*" {
		p.everyone = true
		return true
	}
	parts := strings.SplitN(s, ":", 6)
	if len(parts) == 1 { // an account, or with us the name or ID of a user
		p.users = append(p.users, namedUser{account: s})
		return !strings.ContainsAny(s, "*?/ ")
	}
	if len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") ||
		parts[2] != "iam" && parts[2] != "sts" || parts[3] != "" || strings.ContainsAny(s, "*?") {
		return false
	}
	kind, path, _ := strings.Cut(parts[5], "/")
	switch {
	case parts[2] == "iam" && parts[5] == "root":
		p.users = append(p.users, namedUser{account: parts[4]})
	case parts[2] == "iam" && kind == "user" && path != "":
		p.users = append(p.users, namedUser{name: path[strings.LastIndexByte(path, '/')+1:]})
	case path != "" && slices.Contains([]string{"role", "assumed-role", "federated-user", "user"}, kind):
		// Nobody here is one.
	default:
		return false
	}
	return true
}

// match reports whether the statement is about who asks. A user is its own account, so
// its name, its ID and the ARNs of both mean the same.
func (p *principals) match(who *Principal) bool { return p.names(who) != p.not }

func (p *principals) names(who *Principal) bool {
	if p.everyone {
		return true
	}
	if who.Service != "" {
		return slices.Contains(p.services, who.Service)
	}
	if who.ID == "" {
		return false
	}
	for _, u := range p.users {
		name := u.name
		if name == "" {
			name = u.account
		}
		if name != "" && (name == who.ID || name == who.Name) {
			return true
		}
	}
	return slices.Contains(p.ids, who.ID)
}

// values returns those of the condition keys about the principal; ok is false for other
// keys.
func (who *Principal) values(key string) (values []string, ok bool) {
	one := func(s string) ([]string, bool) {
		if s == "" {
			return nil, true
		}
		return []string{s}, true
	}
	switch key {
	case "aws:username":
		return one(who.Name)
	case "aws:userid":
		if who.ID == "" && who.Service == "" {
			return one("anonymous")
		}
		return one(who.ID)
	case "aws:principalaccount":
		return one(who.ID)
	case "aws:principalarn":
		if who.ID == "" {
			return nil, true
		}
		return one("arn:aws:iam::" + who.ID + ":user/" + who.Name)
	case "aws:principaltype":
		return one(who.kind())
	case "aws:principalisawsservice":
		if who.Service != "" {
			return one("true")
		}
		return one("false")
	case "aws:principalservicename":
		return one(who.Service)
	}
	return nil, false
}

func (who *Principal) kind() string {
	switch {
	case who.Service != "":
		return "AWSService"
	case who.ID == "":
		return "Anonymous"
	case who.Root:
		return "Account"
	}
	return "User"
}
