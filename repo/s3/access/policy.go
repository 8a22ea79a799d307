package access

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Policy is a parsed policy document. It is safe for concurrent use. nil is a policy
// without statements.
type Policy struct {
	statements []statement
	public     bool
}

type statement struct {
	deny         bool
	principals   principals
	actions      []*pattern // in lower case
	notAction    bool
	resources    []*pattern
	notResource  bool
	conditions   []condition
	bucketPolicy bool
}

const (
	maxPolicy    = 20 << 10 // bytes without white space between tokens
	maxPolicyRaw = 8 * maxPolicy
)

// ParsePolicy parses the policy of a bucket, or with forBucket "" the policy of a user,
// which says nothing about principals. Its errors are *Error of code MalformedPolicy with
// the texts of S3.
func ParsePolicy(data []byte, forBucket string) (*Policy, error) {
	if len(data) == 0 || data[0] != '{' {
		return nil, malformed("Policies must be valid JSON and the first byte must be '{'")
	}
	tooLarge := malformed("Normalized policy document exceeds the maximum allowed size of 20480 bytes")
	if len(data) > maxPolicyRaw {
		return nil, tooLarge
	}
	doc, err := parseJSON(data)
	if err != nil {
		return nil, malformed("This policy contains invalid Json")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil || compact.Len() > maxPolicy {
		return nil, tooLarge
	}
	statements, vars, err := parseDocument(doc)
	if err != nil {
		return nil, err
	}
	p := &Policy{}
	for _, n := range statements {
		s, err := parseStatement(n, forBucket, vars)
		if err != nil {
			return nil, err
		}
		p.statements = append(p.statements, s)
		p.public = p.public || s.public()
	}
	return p, nil
}

// parseDocument returns the statements of a document and whether it may have variables.
func parseDocument(doc node) (statements []node, vars bool, err error) {
	var list *node
	for i, name := range doc.members {
		item := &doc.items[i]
		switch name {
		case "Version":
			if item.kind != 's' || item.text != "2012-10-17" && item.text != "2008-10-17" {
				return nil, false, malformed("The policy must contain a valid version string")
			}
			vars = item.text == "2012-10-17"
		case "Id":
			if item.kind != 's' {
				return nil, false, malformed("Invalid policy syntax.")
			}
		case "Statement":
			list = item
		default:
			return nil, false, malformed("Unknown field " + name)
		}
	}
	switch {
	case list == nil:
		return nil, false, malformed("Missing required field Statement")
	case list.kind == '{':
		return []node{*list}, vars, nil
	case list.kind != '[':
		return nil, false, malformed("Invalid policy syntax.")
	case len(list.items) == 0:
		return nil, false, malformed("Could not parse the policy: Statement is empty!")
	}
	return list.items, vars, nil
}

// parseStatement parses one statement.
func parseStatement(n node, bucket string, vars bool) (statement, error) {
	s := statement{bucketPolicy: bucket != ""}
	if n.kind != '{' {
		return s, malformed("Invalid policy syntax.")
	}
	var effect, principal, action, resource, cond *node
	for i, name := range n.members {
		item := &n.items[i]
		field := map[string]**node{"Effect": &effect, "Principal": &principal, "NotPrincipal": &principal, "Action": &action,
			"NotAction": &action, "Resource": &resource, "NotResource": &resource, "Condition": &cond}[name]
		switch {
		case name == "Sid" && item.kind == 's':
			continue
		case field == nil:
			return s, malformed("Unknown field " + name)
		case *field != nil: // both forms of an element
			return s, malformed("Invalid policy syntax.")
		}
		*field = item
		s.principals.not = s.principals.not || name == "NotPrincipal"
		s.notAction = s.notAction || name == "NotAction"
		s.notResource = s.notResource || name == "NotResource"
	}
	switch {
	case effect == nil:
		return s, malformed("Missing required field Effect")
	case effect.text != "Allow" && effect.text != "Deny":
		return s, malformed("Invalid effect: " + effect.text)
	case principal == nil && s.bucketPolicy:
		return s, malformed("Missing required field Principal")
	case principal != nil && !s.bucketPolicy:
		return s, malformed("Policy document should not specify a principal.")
	case action == nil:
		return s, malformed("Missing required field Action")
	case resource == nil:
		return s, malformed("Missing required field Resource")
	}
	s.deny = effect.text == "Deny"
	if principal != nil {
		if s.principals.not && !s.deny {
			return s, malformed("Allow with NotPrincipal is not allowed.")
		}
		if err := s.principals.parse(*principal); err != nil {
			return s, err
		}
	}
	return s, s.parseScope(action, resource, cond, bucket, vars)
}

// parseScope parses what a statement is about.
func (s *statement) parseScope(action, resource, cond *node, bucket string, vars bool) error {
	texts, ok := action.scalars(false)
	if !ok || len(texts) == 0 {
		return malformed("Policy has invalid action")
	}
	for _, t := range texts {
		t = strings.ToLower(t)
		p := compile(t, true, false)
		if !s.knownAction(p, t) {
			return malformed("Policy has invalid action")
		}
		s.actions = append(s.actions, p)
	}
	texts, ok = resource.scalars(false)
	if !ok || len(texts) == 0 {
		return malformed("Policy has invalid resource")
	}
	for _, t := range texts {
		for _, partition := range []string{"arn:aws-cn:", "arn:aws-us-gov:"} {
			if rest, ok := strings.CutPrefix(t, partition); ok {
				t = "arn:aws:" + rest
			}
		}
		p := compile(t, true, vars)
		if bucket != "" && !liesIn(t, bucket) || t != "*" && !strings.HasPrefix(t, "arn:") {
			return malformed("Policy has invalid resource")
		}
		s.resources = append(s.resources, p)
	}
	if cond == nil {
		return nil
	}
	var err error
	s.conditions, err = parseCondition(*cond, vars, s.bucketPolicy)
	return err
}

// knownAction reports whether an action in a policy may be one at all.
func (s *statement) knownAction(p *pattern, text string) bool {
	if !s.bucketPolicy {
		return text == "*" || strings.Contains(text, ":") // other services have actions too
	}
	if p.isExact {
		return actions[p.exact]
	}
	for a := range actions {
		if matchRunes(p.runes, a) {
			return true
		}
	}
	return false
}

// liesIn reports whether a resource can be the bucket or an object in it.
func liesIn(resource, bucket string) bool {
	if resource == "*" {
		return true
	}
	rest, ok := strings.CutPrefix(resource, "arn:aws:s3:::")
	if !ok {
		return false
	}
	name, _, _ := strings.Cut(rest, "/")
	return matchRunes(compile(name, true, false).runes, bucket)
}

// effect is what policies say to a query.
type effect int

const (
	silent effect = iota
	allow
	deny
)

// decide returns what the policy says.
func (p *Policy) decide(q *Query) effect {
	if p == nil {
		return silent
	}
	out := silent
	action, resource := lowerAction(q.Action), q.resource()
	for i := range p.statements {
		s := &p.statements[i]
		if !s.deny && out == allow || !s.applies(q, action, resource) {
			continue
		}
		if s.deny {
			return deny
		}
		out = allow
	}
	return out
}

// decideAll returns what several policies say together.
func decideAll(policies []*Policy, q *Query) effect {
	out := silent
	for _, p := range policies {
		switch p.decide(q) {
		case deny:
			return deny
		case allow:
			out = allow
		}
	}
	return out
}

// lowerAction spares the copy that strings.ToLower makes of every action of ours.
func lowerAction(a string) string {
	if low, ok := lowered[a]; ok {
		return low
	}
	return strings.ToLower(a)
}

// resource is the ARN of what is asked for.
func (q *Query) resource() string {
	switch {
	case q.Bucket == "":
		return "arn:aws:s3:::*"
	case q.Key == "":
		return "arn:aws:s3:::" + q.Bucket
	}
	return "arn:aws:s3:::" + q.Bucket + "/" + q.Key
}

// applies reports whether the statement is about the query.
func (s *statement) applies(q *Query, action, resource string) bool {
	if matchAny(s.actions, q, action) == s.notAction || s.bucketPolicy && !s.principals.match(q.Who) ||
		matchAny(s.resources, q, resource) == s.notResource {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(q) {
			return false
		}
	}
	return true
}

func matchAny(list []*pattern, q *Query, s string) bool {
	for _, p := range list {
		if p.matches(q, s) {
			return true
		}
	}
	return false
}

// values returns those of a condition key.
func (q *Query) values(key string) []string {
	if strings.HasPrefix(key, "aws:") {
		if values, ok := q.Who.values(key); ok {
			return values
		}
	}
	if q.Context == nil {
		return nil
	}
	return q.Context(key)
}
