package access

import (
	"encoding/xml"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

type people map[string]string // ID → e-mail

func (p people) Known(id string) bool { _, ok := p[id]; return ok }

func (p people) ByEmail(address string) (string, bool) {
	for id, a := range p {
		if a == address {
			return id, true
		}
	}
	return "", false
}

var known = people{"main": "main@example.org", "alt": "alt@example.org", "odd id@1": "odd@example.org"}

func TestHeaderACL(t *testing.T) {
	one := func(name, value string) map[string][]string { return map[string][]string{name: {value}} }
	tests := map[string]struct {
		header map[string][]string
		want   string // stored, or an error
	}{
		"none":              {nil, ""},
		"private":           {one("X-Amz-Acl", "private"), ""},
		"public-read":       {one("X-Amz-Acl", "public-read"), "R@all Fmain"},
		"public-read-write": {one("X-Amz-Acl", "public-read-write"), "R@all W@all Fmain"},
		"authenticated":     {one("X-Amz-Acl", "authenticated-read"), "R@users Fmain"},
		"bucket owner read": {one("X-Amz-Acl", "bucket-owner-read"), "Fmain Rowner"},
		"bucket owner full": {one("X-Amz-Acl", "bucket-owner-full-control"), "Fmain Fowner"},
		"log delivery":      {one("X-Amz-Acl", "log-delivery-write"), "W@log r@log Fmain"},
		"exec":              {one("X-Amz-Acl", "aws-exec-read"), "Fmain R" + execReader},
		"unknown":           {one("X-Amz-Acl", "public"), "InvalidArgument [[ArgumentName x-amz-acl] [ArgumentValue public]]"},
		"twice":             {map[string][]string{"X-Amz-Acl": {"private", "public-read"}}, "InvalidArgument [[ArgumentName x-amz-acl] [ArgumentValue private,public-read]]"},
		"id":                {one("X-Amz-Grant-Read", "id=alt"), "Ralt"},
		"quoted":            {one("X-Amz-Grant-Read-Acp", ` id="alt" , emailAddress="main@example.org"`), "ralt rmain"},
		"id with space":     {one("X-Amz-Grant-Full-Control", `id="odd id@1"`), "Fodd+id%401"},
		"group":             {one("X-Amz-Grant-Write-Acp", "id=alt,uri="+AllUsers), "w@all walt"},
		"same twice":        {one("X-Amz-Grant-Write", "id=alt,id=alt"), "Walt"},
		"owner alone":       {one("X-Amz-Grant-Full-Control", "id=main"), ""},
		"order": {map[string][]string{"X-Amz-Grant-Full-Control": {"id=alt"}, "X-Amz-Grant-Read": {"id=alt"}, "X-Amz-Grant-Write": {"id=alt"},
			"X-Amz-Grant-Read-Acp": {"id=alt"}, "X-Amz-Grant-Write-Acp": {"id=alt"}}, "Ralt Walt ralt walt Falt"},
		"both":           {map[string][]string{"X-Amz-Acl": {"private"}, "X-Amz-Grant-Read": {"id=alt"}}, "InvalidRequest []"},
		"unknown id":     {one("X-Amz-Grant-Read", "id=nobody"), "InvalidArgument [[ArgumentName id] [ArgumentValue nobody]]"},
		"unknown email":  {one("X-Amz-Grant-Read", "emailAddress=x@y"), "UnresolvableGrantByEmailAddress [[EmailAddress x@y]]"},
		"unknown group":  {one("X-Amz-Grant-Read", "uri=http://x"), "InvalidArgument [[ArgumentName uri] [ArgumentValue http://x]]"},
		"no kind":        {one("X-Amz-Grant-Read", "alt"), "InvalidArgument [[ArgumentName x-amz-grant-read] [ArgumentValue alt]]"},
		"other kind":     {one("X-Amz-Grant-Read", "name=alt"), "InvalidArgument [[ArgumentName x-amz-grant-read] [ArgumentValue name=alt]]"},
		"empty":          {one("X-Amz-Grant-Read", ""), "InvalidArgument [[ArgumentName x-amz-grant-read] [ArgumentValue ]]"},
		"open quote":     {one("X-Amz-Grant-Read", `id="alt`), `InvalidArgument [[ArgumentName x-amz-grant-read] [ArgumentValue id="alt]]`},
		"after quote":    {one("X-Amz-Grant-Read", `id="alt"x`), `InvalidArgument [[ArgumentName x-amz-grant-read] [ArgumentValue id="alt"x]]`},
		"trailing comma": {one("X-Amz-Grant-Read", `id=alt,`), "Ralt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, err := HeaderACL(tt.header, "main", "owner", known)
			got := a.String()
			var e *Error
			if errors.As(err, &e) {
				got = fmt.Sprintf("%s %v", e.Code, e.Fields)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if HasACL(tt.header) != (len(tt.header) > 0) {
				t.Errorf("HasACL(%v) = %v", tt.header, HasACL(tt.header))
			}
		})
	}
}

// The groups come first, whatever the order in which grants were given.
const sample = `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>main</ID><DisplayName>x</DisplayName></Owner><AccessControlList>` +
	`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>main</ID><DisplayName>M</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant>` +
	`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>` + AllUsers + `</URI></Grantee><Permission>READ</Permission></Grant>` +
	`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="AmazonCustomerByEmail"><EmailAddress>alt@example.org</EmailAddress></Grantee><Permission>WRITE_ACP</Permission></Grant>` +
	`</AccessControlList></AccessControlPolicy>`

func TestReadACL(t *testing.T) {
	tests := map[string]struct{ doc, want string }{
		"sample":           {sample, "R@all Fmain walt"},
		"nothing":          {`<AccessControlPolicy><Owner><ID>main</ID></Owner><AccessControlList/></AccessControlPolicy>`, "-"},
		"other owner":      {strings.Replace(sample, "<ID>main", "<ID>alt", 1), "AccessDenied"},
		"no owner":         {`<AccessControlPolicy><AccessControlList/></AccessControlPolicy>`, "MalformedACLError"},
		"no list":          {`<AccessControlPolicy><Owner><ID>main</ID></Owner></AccessControlPolicy>`, "MalformedACLError"},
		"other root":       {`<Policy><Owner><ID>main</ID></Owner><AccessControlList/></Policy>`, "MalformedACLError"},
		"permission":       {strings.Replace(sample, "WRITE_ACP", "DELETE", 1), "MalformedACLError"},
		"no permission":    {strings.Replace(sample, "WRITE_ACP", "", 1), "MalformedACLError"},
		"type":             {strings.Replace(sample, "CanonicalUser", "Robot", 1), "MalformedACLError"},
		"no type":          {strings.Replace(sample, `xsi:type="CanonicalUser"`, "", 1), "MalformedACLError"},
		"type and content": {strings.Replace(sample, "CanonicalUser", "Group", 1), "MalformedACLError"},
		"unknown user":     {strings.Replace(sample, "<ID>main</ID><DisplayName>M", "<ID>who</ID><DisplayName>M", 1), "InvalidArgument"},
		"unknown group":    {strings.Replace(sample, "AllUsers", "SomeUsers", 1), "InvalidArgument"},
		"unknown e-mail":   {strings.Replace(sample, "alt@", "no@", 1), "UnresolvableGrantByEmailAddress"},
		"broken":           {sample[:200], "MalformedACLError"},
		"entities":         {`<!DOCTYPE a [<!ENTITY b "c">]><AccessControlPolicy>&b;</AccessControlPolicy>`, "MalformedACLError"},
		"too many":         {strings.Replace(sample, "</AccessControlList>", strings.Repeat(sample[strings.Index(sample, "<Grant>"):strings.Index(sample, "</Grant>")+8], 100)+"</AccessControlList>", 1), "MalformedACLError"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, err := ReadACL([]byte(tt.doc), "main", known)
			got := a.String()
			var e *Error
			if errors.As(err, &e) {
				got = e.Code
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestACLDocument(t *testing.T) {
	display := func(id string) string { return strings.ToUpper(id) }
	for stored, want := range map[string]string{
		"":          `<AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>main</ID><DisplayName>MAIN</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>`,
		"-":         `<AccessControlList></AccessControlList>`,
		"r@users":   `<AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>` + AuthenticatedUsers + `</URI></Grantee><Permission>READ_ACP</Permission></Grant></AccessControlList>`,
		"Wa%3Cb%3E": `<AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>a&lt;b&gt;</ID><DisplayName>A&lt;B&gt;</DisplayName></Grantee><Permission>WRITE</Permission></Grant></AccessControlList>`,
	} {
		a, err := ParseACL(stored)
		if err != nil {
			t.Fatal(err)
		}
		got, err := xml.Marshal(a.Document("main", display))
		if err != nil {
			t.Fatal(err)
		}
		want = `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>main</ID><DisplayName>MAIN</DisplayName></Owner>` + want + `</AccessControlPolicy>`
		if string(got) != want {
			t.Errorf("%q:\n got %s\nwant %s", stored, got, want)
		}
	}
}

func TestParseACLRefuses(t *testing.T) {
	for _, s := range []string{"x", "R", "Xmain", "R@nobody", "Rmain  Rmain", "F%zz", " "} {
		if a, err := ParseACL(s); err == nil {
			t.Errorf("%q is read as %v", s, a)
		}
	}
}

func TestOnlyAndPublic(t *testing.T) {
	for stored, want := range map[string][2]bool{
		"": {true, false}, "-": {false, false}, "Fmain": {true, false}, "Rmain": {false, false}, "Fmain Ralt": {false, false},
		"R@all Fmain": {false, true}, "r@users": {false, true}, "W@log": {false, false},
	} {
		a, err := ParseACL(stored)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{a.Only("main"), a.Public()}; got != want {
			t.Errorf("%q: only main, public = %v, want %v", stored, got, want)
		}
	}
}

func FuzzACL(f *testing.F) {
	f.Add("R@all Fmain walt", sample, `id="alt", uri=http://x`)
	f.Add("-", "<AccessControlPolicy/>", "id=")
	f.Fuzz(func(t *testing.T, stored, doc, header string) {
		if a, err := ParseACL(stored); err == nil {
			again, err := ParseACL(a.String())
			if err != nil || !reflect.DeepEqual(a, again) {
				t.Fatalf("%q: %v and then %v, %v", stored, a, again, err)
			}
		}
		for _, read := range []func() (*ACL, error){
			func() (*ACL, error) { return ReadACL([]byte(doc), "main", known) },
			func() (*ACL, error) {
				return HeaderACL(map[string][]string{"X-Amz-Grant-Read": {header}}, "main", "b", known)
			},
		} {
			a, err := read()
			if err != nil {
				continue
			}
			if again, err := ParseACL(a.String()); err != nil || !reflect.DeepEqual(a, again) {
				t.Fatalf("stored as %q: %v and then %v, %v", a.String(), a, again, err)
			}
		}
	})
}
