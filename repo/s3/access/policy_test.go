package access

import (
	"errors"
	"strings"
	"testing"
)

// policyOf wraps statements in a document.
func policyOf(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// mustParse parses the policy of bucket b.
func mustParse(t testing.TB, statements ...string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(policyOf(statements...)), "b")
	if err != nil {
		t.Fatalf("parse %s: %v", statements, err)
	}
	return p
}

func mustParseUser(t testing.TB, statements ...string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(policyOf(statements...)), "")
	if err != nil {
		t.Fatalf("parse %s: %v", statements, err)
	}
	return p
}

func TestParsePolicyRefuses(t *testing.T) {
	const rest = `"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`
	with := func(s string) string { return policyOf("{" + s + "}") }
	big := policyOf(`{"Sid":"` + strings.Repeat("x", 20<<10) + `",` + rest + `}`)
	tests := map[string]struct{ doc, want string }{
		"empty":               {"", "Policies must be valid JSON and the first byte must be '{'"},
		"array":               {"[]", "Policies must be valid JSON and the first byte must be '{'"},
		"leading space":       {" {}", "Policies must be valid JSON and the first byte must be '{'"},
		"broken":              {`{"Version":`, "This policy contains invalid Json"},
		"two documents":       {`{} {}`, "This policy contains invalid Json"},
		"member twice":        {`{"Statement":[],"Statement":[]}`, "This policy contains invalid Json"},
		"deep":                {`{"Statement":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`, "This policy contains invalid Json"},
		"too large":           {big, "Normalized policy document exceeds the maximum allowed size of 20480 bytes"},
		"far too large":       {"{" + strings.Repeat(" ", 200<<10) + "}", "Normalized policy document exceeds the maximum allowed size of 20480 bytes"},
		"version":             {`{"Version":"2020-01-01","Statement":[]}`, "The policy must contain a valid version string"},
		"no statement":        {`{"Version":"2012-10-17"}`, "Missing required field Statement"},
		"empty statement":     {`{"Statement":[]}`, "Could not parse the policy: Statement is empty!"},
		"statement is text":   {`{"Statement":"x"}`, "Invalid policy syntax."},
		"unknown field":       {`{"Statement":[{}],"Foo":1}`, "Unknown field Foo"},
		"unknown in it":       {with(rest + `,"Foo":"x"`), "Unknown field Foo"},
		"no effect":           {with(`"Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b"`), "Missing required field Effect"},
		"bad effect":          {with(strings.Replace(rest, "Allow", "allow", 1)), "Invalid effect: allow"},
		"no principal":        {with(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b"`), "Missing required field Principal"},
		"empty principal":     {with(strings.Replace(rest, `"*"`, `{}`, 1)), "Missing required field Principal cannot be empty!"},
		"bare principal":      {with(strings.Replace(rest, `"*"`, `"arn:aws:iam::1:root"`, 1)), "Invalid principal in policy"},
		"bad principal":       {with(strings.Replace(rest, `"*"`, `{"AWS":"arn:aws:s3:::b"}`, 1)), "Invalid principal in policy"},
		"principal wildcard":  {with(strings.Replace(rest, `"*"`, `{"AWS":"arn:aws:iam::1:user/*"}`, 1)), "Invalid principal in policy"},
		"principal kind":      {with(strings.Replace(rest, `"*"`, `{"Google":"x"}`, 1)), "Invalid principal in policy"},
		"allow NotPrincipal":  {with(strings.Replace(rest, `"Principal":"*"`, `"NotPrincipal":{"AWS":"arn:aws:iam::1:root"}`, 1)), "Allow with NotPrincipal is not allowed."},
		"both principals":     {with(rest + `,"NotPrincipal":"*"`), "Invalid policy syntax."},
		"no action":           {with(`"Effect":"Allow","Principal":"*","Resource":"arn:aws:s3:::b"`), "Missing required field Action"},
		"unknown action":      {with(strings.Replace(rest, "GetObject", "FetchObject", 1)), "Policy has invalid action"},
		"no such wildcard":    {with(strings.Replace(rest, "GetObject", "Fetch*", 1)), "Policy has invalid action"},
		"other service":       {with(strings.Replace(rest, "s3:GetObject", "ec2:*", 1)), "Policy has invalid action"},
		"no resource":         {with(`"Effect":"Allow","Principal":"*","Action":"s3:*"`), "Missing required field Resource"},
		"other bucket":        {with(strings.Replace(rest, ":::b/", ":::c/", 1)), "Policy has invalid resource"},
		"longer bucket":       {with(strings.Replace(rest, ":::b/", ":::bb/", 1)), "Policy has invalid resource"},
		"no ARN":              {with(strings.Replace(rest, "arn:aws:s3:::b/*", "b/*", 1)), "Policy has invalid resource"},
		"empty resources":     {with(strings.Replace(rest, `"arn:aws:s3:::b/*"`, "[]", 1)), "Policy has invalid resource"},
		"condition operator":  {with(rest + `,"Condition":{"StringIs":{"aws:Referer":"x"}}`), "Invalid Condition type : StringIs"},
		"operator case":       {with(rest + `,"Condition":{"stringequals":{"aws:Referer":"x"}}`), "Invalid Condition type : stringequals"},
		"NullIfExists":        {with(rest + `,"Condition":{"NullIfExists":{"aws:Referer":"true"}}`), "Invalid Condition type : NullIfExists"},
		"condition key":       {with(rest + `,"Condition":{"StringEquals":{"s3:acl":"x"}}`), "Policy has an invalid condition key"},
		"key of a service":    {with(rest + `,"Condition":{"StringEquals":{"kms:ViaService":"x"}}`), "Policy has an invalid condition key"},
		"tag without a key":   {with(rest + `,"Condition":{"StringEquals":{"s3:ExistingObjectTag/":"x"}}`), "Policy has an invalid condition key"},
		"address":             {with(rest + `,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.300"}}`), "Invalid IP address in Conditions"},
		"number":              {with(rest + `,"Condition":{"NumericLessThan":{"s3:max-keys":"ten"}}`), "Invalid value in Conditions for operator NumericLessThan"},
		"date":                {with(rest + `,"Condition":{"DateLessThan":{"aws:CurrentTime":"soon"}}`), "Invalid value in Conditions for operator DateLessThan"},
		"boolean":             {with(rest + `,"Condition":{"Bool":{"aws:SecureTransport":"yes"}}`), "Invalid value in Conditions for operator Bool"},
		"condition is a list": {with(rest + `,"Condition":[]`), "Invalid policy syntax."},
		"condition of object": {with(rest + `,"Condition":{"StringEquals":{"aws:Referer":{}}}`), "Invalid policy syntax."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePolicy([]byte(tt.doc), "b")
			var e *Error
			if !errors.As(err, &e) || e.Code != "MalformedPolicy" || e.Message != tt.want {
				t.Fatalf("got %v, want MalformedPolicy: %s", err, tt.want)
			}
		})
	}
}

func TestParsePolicyAccepts(t *testing.T) {
	for name, doc := range map[string]string{
		"single statement": `{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`,
		"Id and Sid":       `{"Version":"2008-10-17","Id":"x","Statement":[{"Sid":"a b","Effect":"Deny","Principal":"*","Action":["s3:*"],"Resource":["arn:aws:s3:::b"]}]}`,
		"any case":         policyOf(`{"Effect":"Allow","Principal":"*","Action":"S3:getobject","Resource":"arn:aws:s3:::b/*"}`),
		"everything":       policyOf(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`),
		"wild bucket":      policyOf(`{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":["arn:aws:s3:::*","arn:aws:s3:::*/*"]}`),
		"other partition":  policyOf(`{"Effect":"Allow","Principal":{"AWS":"arn:aws-cn:iam::1:root"},"Action":"s3:*","Resource":"arn:aws-cn:s3:::b"}`),
		"principals": policyOf(`{"Effect":"Allow","Principal":{"AWS":["123456789012","arn:aws:iam::1:user/a/b","arn:aws:iam:::user/x","arn:aws:iam::t:root",` +
			`"arn:aws:iam::1:role/r","arn:aws:sts::1:assumed-role/r/s"],"CanonicalUser":"x","Service":["logging.s3.amazonaws.com"],"Federated":"f"},` +
			`"Action":"s3:*","Resource":"arn:aws:s3:::b"}`),
		"loose values":    policyOf(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b","Condition":{"Bool":{"aws:SecureTransport":false},"NumericLessThan":{"s3:TlsVersion":1.2},"IpAddress":{"aws:SourceIp":[]}}}`),
		"unknown aws key": policyOf(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b","Condition":{"ForAnyValue:StringNotLikeIfExists":{"aws:NewThing":["a","b"]}}}`),
		"white space":     "{" + strings.Repeat(" ", 30<<10) + `"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParsePolicy([]byte(doc), "b"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestParsePolicyOfUser(t *testing.T) {
	for doc, want := range map[string]string{
		policyOf(`{"Effect":"Allow","Action":["s3:*","iam:GetUser"],"Resource":"*"}`):                                                   "",
		policyOf(`{"Effect":"Allow","Action":"*","Resource":["arn:aws:s3:::x","arn:aws:sqs:::q"],"Condition":{"Null":{"kms:x":true}}}`): "",
		policyOf(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`):                                                              "Policy has invalid action",
		policyOf(`{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}`):                                                              "Policy has invalid resource",
		policyOf(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}`):                                                   "Policy document should not specify a principal.",
		policyOf(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"s3:prefx":"x"}}}`):                     "Policy has an invalid condition key",
	} {
		_, err := ParsePolicy([]byte(doc), "")
		if got := message(err); got != want {
			t.Errorf("%s: got %q, want %q", doc, got, want)
		}
	}
}

func message(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

func TestPrincipals(t *testing.T) {
	alice := &Principal{ID: "1f3a", Name: "alice"}
	tests := []struct {
		principal string
		who       *Principal
		want      bool
	}{
		{`"*"`, alice, true},
		{`"*"`, Anonymous(), true},
		{`{"AWS":"*"}`, Anonymous(), true},
		{`{"AWS":["x","*"]}`, alice, true},
		{`{"AWS":"arn:aws:iam::123456789012:user/alice"}`, alice, true},
		{`{"AWS":"arn:aws:iam:::user/1f3a"}`, alice, true},
		{`{"AWS":"arn:aws:iam:::user/div/alice"}`, alice, true},
		{`{"AWS":"arn:aws:iam:::user/bob"}`, alice, false},
		{`{"AWS":"arn:aws:iam:::user/alice"}`, Anonymous(), false},
		{`{"AWS":"arn:aws:iam::1f3a:root"}`, alice, true},
		{`{"AWS":"arn:aws:iam::alice:root"}`, alice, true},
		{`{"AWS":"arn:aws:iam::123456789012:root"}`, alice, false},
		{`{"AWS":"arn:aws:iam:::root"}`, Anonymous(), false},
		{`{"AWS":"arn:aws:iam:::root"}`, &Principal{ID: "x"}, false},
		{`{"AWS":"1f3a"}`, alice, true},
		{`{"AWS":"alice"}`, alice, true},
		{`{"AWS":"bob"}`, alice, false},
		{`{"AWS":"arn:aws:iam::1:role/alice"}`, alice, false},
		{`{"CanonicalUser":"1f3a"}`, alice, true},
		{`{"CanonicalUser":["2","1f3a"]}`, alice, true},
		{`{"CanonicalUser":"alice"}`, alice, false},
		{`{"Service":"logging.s3.amazonaws.com"}`, &Principal{Service: "logging.s3.amazonaws.com"}, true},
		{`{"Service":"logging.s3.amazonaws.com"}`, alice, false},
		{`{"AWS":"alice"}`, &Principal{Service: "alice"}, false},
		{`{"Federated":"alice"}`, alice, false},
	}
	for _, tt := range tests {
		only := mustParse(t, `{"Effect":"Deny","Principal":`+tt.principal+`,"Action":"s3:*","Resource":"arn:aws:s3:::b"}`)
		except := mustParse(t, `{"Effect":"Deny","NotPrincipal":`+tt.principal+`,"Action":"s3:*","Resource":"arn:aws:s3:::b"}`)
		q := &Query{Who: tt.who, Action: "s3:ListBucket", Bucket: "b"}
		if got := only.decide(q) == deny; got != tt.want {
			t.Errorf("Principal %s matches %+v: %v, want %v", tt.principal, *tt.who, got, tt.want)
		}
		if got := except.decide(q) == deny; got == tt.want {
			t.Errorf("NotPrincipal %s matches %+v: %v, want %v", tt.principal, *tt.who, got, !tt.want)
		}
	}
}

func TestActionsAndResources(t *testing.T) {
	tests := []struct {
		scope       string
		action, key string
		want        bool
	}{
		{`"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`, "s3:GetObject", "k", true},
		{`"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`, "s3:GetObjectAcl", "k", false},
		{`"Action":"s3:getobject*","Resource":"arn:aws:s3:::b/*"`, "s3:GetObjectAcl", "k", true},
		{`"Action":"s3:?etObject","Resource":"arn:aws:s3:::b/*"`, "s3:GetObject", "k", true},
		{`"Action":"*","Resource":"*"`, "s3:PutBucketAcl", "", true},
		{`"NotAction":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`, "s3:GetObject", "k", false},
		{`"NotAction":["s3:GetObject","s3:Put*"],"Resource":"arn:aws:s3:::b/*"`, "s3:DeleteObject", "k", true},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b"`, "s3:GetObject", "k", false},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/*"`, "s3:ListBucket", "", false},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b*"`, "s3:ListBucket", "", true},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/a/*/z"`, "s3:GetObject", "a/b/c/z", true},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/a/*/z"`, "s3:GetObject", "a/z", false},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/?"`, "s3:GetObject", "é", true},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/?"`, "s3:GetObject", "ab", false},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/A"`, "s3:GetObject", "a", false},
		{`"Action":"s3:*","NotResource":"arn:aws:s3:::b/public/*"`, "s3:GetObject", "public/x", false},
		{`"Action":"s3:*","NotResource":"arn:aws:s3:::b/public/*"`, "s3:GetObject", "private/x", true},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/home/${aws:username}/*"`, "s3:GetObject", "home/alice*/x", true},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/home/${aws:username}/*"`, "s3:GetObject", "home/alicexx/x", false},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:userid}"`, "s3:GetObject", "1f", true},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/team}/*"`, "s3:GetObject", "x/y", false},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/team, 'none'}/*"`, "s3:GetObject", "none/y", true},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/a${*}b"`, "s3:GetObject", "a*b", true},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/a${*}b"`, "s3:GetObject", "axb", false},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username"`, "s3:GetObject", "${aws:username", true},
	}
	who := &Principal{ID: "1f", Name: "alice*"} // the star must not become a wildcard
	for _, tt := range tests {
		p := mustParse(t, `{"Effect":"Allow","Principal":"*",`+tt.scope+`}`)
		if got := p.decide(&Query{Who: who, Action: tt.action, Bucket: "b", Key: tt.key}) == allow; got != tt.want {
			t.Errorf("%s on %s of %q: %v, want %v", tt.scope, tt.action, tt.key, got, tt.want)
		}
	}
	old, err := ParsePolicy([]byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}}`), "b")
	if err != nil {
		t.Fatal(err)
	}
	if old.decide(&Query{Who: who, Action: "s3:GetObject", Bucket: "b", Key: "${aws:username}"}) != allow {
		t.Error("version 2008-10-17 has variables")
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(policyOf(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:Get*","Resource":"arn:aws:s3:::b/${aws:username}/*","Condition":{"StringLike":{"aws:Referer":"*x*"}}}`))
	f.Add(policyOf(`{"Effect":"Deny","NotPrincipal":{"CanonicalUser":["1"]},"NotAction":"s3:*","NotResource":"arn:aws:s3:::b","Condition":{"ForAllValues:DateLessThanIfExists":{"aws:CurrentTime":["2026-01-01T00:00:00Z",7]},"NotIpAddress":{"aws:SourceIp":"::/0"},"ArnLike":{"aws:SourceArn":"arn:*:?:::x"}}}`))
	f.Add(`{"Statement":{"Effect":"Allow"}}`)
	f.Add("{\x00")
	f.Fuzz(func(t *testing.T, doc string) {
		for _, bucket := range []string{"b", ""} {
			p, err := ParsePolicy([]byte(doc), bucket)
			if err != nil {
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("error %v is not *Error", err)
				}
				continue
			}
			values := func(string) []string { return []string{"2026-02-01T00:00:00Z", "x*"} }
			p.decide(&Query{Who: &Principal{ID: "1", Name: "n"}, Action: "s3:GetObject", Bucket: "b", Key: "k", Context: values})
			p.decide(&Query{Who: Anonymous(), Action: "s3:ListBucket", Bucket: "b"})
			p.Public()
		}
	})
}
