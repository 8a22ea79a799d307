package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// grants returns the grants of an answered ACL in short: permission and grantee.
func grants(r *reply) string {
	var out []string
	for _, g := range strings.Split(r.body, "<Grant>")[1:] {
		who := between(g, "<ID>", "</ID>")
		if who == "" {
			who = between(g, "<URI>", "</URI>")
			who = who[strings.LastIndexByte(who, '/')+1:]
		}
		out = append(out, between(g, "<Permission>", "</Permission>")+" "+who)
	}
	return strings.Join(out, ", ")
}

func between(s, begin, end string) string {
	_, s, ok := strings.Cut(s, begin)
	if !ok {
		return ""
	}
	s, _, _ = strings.Cut(s, end)
	return s
}

// aclXML is a document of an ACL with grants as pairs of permission and canonical ID.
func aclXML(owner string, pairs ...string) string {
	var b strings.Builder
	b.WriteString("<AccessControlPolicy><Owner><ID>" + owner + "</ID></Owner><AccessControlList>")
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString(`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>` + pairs[i+1] +
			"</ID></Grantee><Permission>" + pairs[i] + "</Permission></Grant>")
	}
	b.WriteString("</AccessControlList></AccessControlPolicy>")
	return b.String()
}

func TestBucketACL(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/plain", "")
	r := s.must(200, mainUser, "GET", "/plain?acl", "")
	if got := grants(r); got != "FULL_CONTROL main-id" || !strings.Contains(r.body, "<Owner><ID>main-id</ID><DisplayName>MAIN</DisplayName></Owner>") {
		t.Errorf("default: %s in %s", got, r.body)
	}
	for header, want := range map[string]string{
		"private":                   "FULL_CONTROL main-id",
		"public-read":               "READ AllUsers, FULL_CONTROL main-id",
		"public-read-write":         "READ AllUsers, WRITE AllUsers, FULL_CONTROL main-id",
		"authenticated-read":        "READ AuthenticatedUsers, FULL_CONTROL main-id",
		"bucket-owner-full-control": "FULL_CONTROL main-id",
	} {
		bucket := "/made-" + header
		s.must(200, mainUser, "PUT", bucket, "", "x-amz-acl", header)
		if got := grants(s.must(200, mainUser, "GET", bucket+"?acl", "")); got != want {
			t.Errorf("created with %s: %s, want %s", header, got, want)
		}
		s.must(200, mainUser, "PUT", "/plain?acl", "", "x-amz-acl", header)
		if got := grants(s.must(200, mainUser, "GET", "/plain?acl", "")); got != want {
			t.Errorf("changed to %s: %s, want %s", header, got, want)
		}
	}
	s.must(200, mainUser, "PUT", "/granted", "", "x-amz-grant-read", "id=alt-id", "x-amz-grant-full-control", `emailAddress="alt@example.org"`)
	if got := grants(s.must(200, mainUser, "GET", "/granted?acl", "")); got != "READ alt-id, FULL_CONTROL alt-id" {
		t.Errorf("created with grants: %s", got)
	}
	s.must(200, mainUser, "PUT", "/plain?acl", aclXML("main-id"))
	if r := s.must(200, mainUser, "GET", "/plain?acl", ""); grants(r) != "" || !strings.Contains(r.body, "<AccessControlList></AccessControlList>") {
		t.Errorf("without grants: %s", r.body)
	}
}

func TestBucketACLRefused(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.refused(400, "InvalidArgument", mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", "public")
	s.refused(400, "MissingSecurityHeader", mainUser, "PUT", "/bkt?acl", "")
	s.refused(400, "UnexpectedContent", mainUser, "PUT", "/bkt?acl", aclXML("main-id"), "x-amz-acl", "private")
	s.refused(400, "InvalidRequest", mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", "private", "x-amz-grant-read", "id=alt-id")
	s.refused(400, "InvalidArgument", mainUser, "PUT", "/bkt?acl", "", "x-amz-grant-read", "id=nobody")
	s.refused(400, "UnresolvableGrantByEmailAddress", mainUser, "PUT", "/bkt?acl", "", "x-amz-grant-read", "emailAddress=no@example.org")
	s.refused(400, "MalformedACLError", mainUser, "PUT", "/bkt?acl", "<AccessControlPolicy/>")
	s.refused(400, "MalformedACLError", mainUser, "PUT", "/bkt?acl", aclXML("main-id", "DELETE", "alt-id"))
	s.refused(400, "InvalidArgument", mainUser, "PUT", "/bkt?acl", aclXML("main-id", "READ", "nobody"))
	s.refused(403, "AccessDenied", mainUser, "PUT", "/bkt?acl", aclXML("alt-id", "READ", "alt-id"))
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt?acl", "")
	s.refused(403, "AccessDenied", altUser, "PUT", "/bkt?acl", "", "x-amz-acl", "public-read")
	s.refused(404, "NoSuchBucket", mainUser, "GET", "/none?acl", "")
	if got := grants(s.must(200, mainUser, "GET", "/bkt?acl", "")); got != "FULL_CONTROL main-id" {
		t.Errorf("a refused ACL was taken: %s", got)
	}
}

// Each permission on a bucket lets exactly its operations through.
func TestBucketACLGrants(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	for _, tt := range []struct {
		permission                     string
		read, readACP, write, writeACP bool
	}{
		{"READ", true, false, false, false}, {"READ_ACP", false, true, false, false}, {"WRITE", false, false, true, false},
		{"WRITE_ACP", false, false, false, true}, {"FULL_CONTROL", true, true, true, true},
	} {
		acl := aclXML("main-id", tt.permission, "alt-id")
		status := map[bool]int{true: 200, false: 403}
		s.must(200, mainUser, "PUT", "/bkt?acl", acl)
		s.must(status[tt.read], altUser, "HEAD", "/bkt", "")
		s.must(status[tt.read], altUser, "GET", "/bkt", "")
		s.must(status[tt.readACP], altUser, "GET", "/bkt?acl", "")
		s.must(status[tt.write], altUser, "PUT", "/bkt/k", "x")
		s.must(status[tt.writeACP], altUser, "PUT", "/bkt?acl", acl)
		s.must(403, nil, "GET", "/bkt", "")
		s.must(403, altUser, "GET", "/bkt?policy", "")
	}
}

func TestObjectACL(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "", "x-amz-acl", "public-read-write")
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	r := s.must(200, mainUser, "GET", "/bkt/k?acl", "")
	if got := grants(r); got != "FULL_CONTROL main-id" || !strings.Contains(r.body, "<DisplayName>MAIN</DisplayName>") {
		t.Errorf("default: %s", r.body)
	}
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt/k", "")
	s.must(200, mainUser, "PUT", "/bkt/k?acl", "", "x-amz-acl", "public-read")
	s.must(200, nil, "GET", "/bkt/k", "")
	s.refused(403, "AccessDenied", nil, "GET", "/bkt/k?acl", "")
	s.must(200, mainUser, "PUT", "/bkt/k?acl", aclXML("main-id", "READ_ACP", "alt-id"))
	if got := grants(s.must(200, altUser, "GET", "/bkt/k?acl", "")); got != "READ_ACP alt-id" {
		t.Errorf("granted: %s", got)
	}
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt/k", "")
	s.must(200, mainUser, "GET", "/bkt/k", "")

	// What alt writes into the bucket is its own.
	s.must(200, altUser, "PUT", "/bkt/alt", "x")
	s.refused(403, "AccessDenied", mainUser, "GET", "/bkt/alt?acl", "")
	s.refused(403, "AccessDenied", mainUser, "GET", "/bkt/alt", "")
	s.must(200, altUser, "PUT", "/bkt/shared", "x", "x-amz-acl", "bucket-owner-full-control")
	r = s.must(200, mainUser, "GET", "/bkt/shared?acl", "")
	if got := grants(r); got != "FULL_CONTROL alt-id, FULL_CONTROL main-id" || !strings.Contains(r.body, "<Owner><ID>alt-id") {
		t.Errorf("shared with the owner of the bucket: %s", r.body)
	}
	s.refused(403, "AccessDenied", mainUser, "PUT", "/bkt/shared?acl", aclXML("main-id", "FULL_CONTROL", "main-id"))
	s.must(200, nil, "PUT", "/bkt/anon", "x")
	s.refused(403, "AccessDenied", mainUser, "GET", "/bkt/anon", "")

	s.refused(404, "NoSuchKey", mainUser, "GET", "/bkt/none?acl", "")
	s.refused(404, "NoSuchKey", mainUser, "PUT", "/bkt/none?acl", "", "x-amz-acl", "private")
}

// ACLs belong to versions.
func TestObjectACLVersions(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(200, mainUser, "PUT", "/bkt?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	one := s.must(200, mainUser, "PUT", "/bkt/k", "1").Header.Get("x-amz-version-id")
	two := s.must(200, mainUser, "PUT", "/bkt/k", "2").Header.Get("x-amz-version-id")
	s.must(200, mainUser, "PUT", "/bkt/k?acl&versionId="+one, "", "x-amz-acl", "public-read")
	s.must(200, nil, "GET", "/bkt/k?versionId="+one, "")
	s.refused(403, "AccessDenied", nil, "GET", "/bkt/k", "")
	s.refused(403, "AccessDenied", nil, "GET", "/bkt/k?versionId="+two, "")
	marker := s.must(204, mainUser, "DELETE", "/bkt/k", "").Header.Get("x-amz-version-id")
	r := s.refused(404, "NoSuchKey", mainUser, "GET", "/bkt/k?acl", "")
	if r.Header.Get("x-amz-delete-marker") != "true" {
		t.Errorf("no x-amz-delete-marker in %v", r.Header)
	}
	s.refused(405, "MethodNotAllowed", mainUser, "GET", "/bkt/k?acl&versionId="+marker, "")
	s.refused(404, "NoSuchVersion", mainUser, "GET", "/bkt/k?acl&versionId="+strings.Repeat("ab", 16), "")
	s.refused(400, "InvalidArgument", mainUser, "GET", "/bkt/k?acl&versionId=zz", "")
}

// With ACLs disabled nothing but what holds anyway can be asked for.
func TestOwnerEnforced(t *testing.T) {
	s := newServer(t, Options{})
	s.refused(400, "InvalidBucketAclWithObjectOwnership", mainUser, "PUT", "/bkt", "", "x-amz-acl", "public-read")
	s.refused(400, "InvalidBucketAclWithBlockPublicAccessError", mainUser, "PUT", "/bkt", "", "x-amz-acl", "public-read", "x-amz-object-ownership", "ObjectWriter")
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(204, mainUser, "DELETE", "/bkt?publicAccessBlock", "")
	s.must(204, mainUser, "PUT", "/bkt?policy", openPolicy("bkt"))
	s.must(200, altUser, "PUT", "/bkt/plain", "x")
	s.must(200, altUser, "PUT", "/bkt/full", "x", "x-amz-acl", "bucket-owner-full-control")
	s.must(200, altUser, "PUT", "/bkt/grant", "x", "x-amz-grant-full-control", "id=main-id")
	for _, key := range []string{"plain", "full", "grant"} {
		r := s.must(200, altUser, "GET", "/bkt/"+key+"?acl", "")
		if got := grants(r); got != "FULL_CONTROL main-id" || !strings.Contains(r.body, "<Owner><ID>main-id") {
			t.Errorf("%s: %s", key, r.body)
		}
	}
	for _, h := range [][]string{{"x-amz-acl", "private"}, {"x-amz-acl", "public-read"}, {"x-amz-grant-read", "id=main-id"}, {"x-amz-grant-full-control", "id=alt-id"}} {
		s.refused(400, "AccessControlListNotSupported", altUser, "PUT", "/bkt/no", "x", h...)
		s.refused(400, "AccessControlListNotSupported", mainUser, "PUT", "/bkt?acl", "", h...)
		s.refused(400, "AccessControlListNotSupported", mainUser, "PUT", "/bkt/plain?acl", "", h...)
	}
	s.refused(400, "AccessControlListNotSupported", mainUser, "PUT", "/bkt?acl", aclXML("main-id", "READ", "alt-id"))
	s.must(200, mainUser, "PUT", "/bkt?acl", aclXML("main-id", "FULL_CONTROL", "main-id"))
}

func TestOwnerPreferred(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	for ownership, want := range map[string][2]string{"BucketOwnerPreferred": {"alt-id", "main-id"}, "ObjectWriter": {"alt-id", "alt-id"}} {
		bucket := "/" + strings.ToLower(ownership)
		s.must(200, mainUser, "PUT", bucket, "", "x-amz-object-ownership", ownership)
		s.must(204, mainUser, "PUT", bucket+"?policy", openPolicy(bucket[1:]))
		s.must(200, altUser, "PUT", bucket+"/plain", "x")
		s.must(200, altUser, "PUT", bucket+"/full", "x", "x-amz-acl", "bucket-owner-full-control")
		for i, key := range []string{"/plain", "/full"} {
			r := s.must(200, altUser, "GET", bucket+key+"?acl", "")
			if owner := between(r.body, "<Owner><ID>", "</ID>"); owner != want[i] {
				t.Errorf("%s%s belongs to %s, want %s", ownership, key, owner, want[i])
			}
		}
	}
}

// openPolicy lets everybody do everything.
func openPolicy(bucket string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]}]}`, bucket, bucket)
}

func TestBlockPublicACLs(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(200, mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", "public-read")
	s.must(200, mainUser, "PUT", "/bkt/k", "x", "x-amz-acl", "public-read")
	s.must(200, mainUser, "PUT", "/bkt?publicAccessBlock", blockXML(true, false, false, false))
	for _, acl := range []string{"public-read", "public-read-write", "authenticated-read"} {
		s.refused(403, "AccessDenied", mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", acl)
		s.refused(403, "AccessDenied", mainUser, "PUT", "/bkt/k?acl", "", "x-amz-acl", acl)
		s.refused(403, "AccessDenied", mainUser, "PUT", "/bkt/new", "x", "x-amz-acl", acl)
	}
	r := s.refused(403, "AccessDenied", mainUser, "POST", "/bkt/new?uploads", "", "x-amz-acl", "public-read")
	contains(t, r, "is not authorized to perform: s3:PutObject on resource:") // the action, not the operation
	s.must(200, mainUser, "PUT", "/bkt/new", "x", "x-amz-acl", "private")
	s.must(200, nil, "GET", "/bkt/k", "") // what was public stays so
	s.must(200, mainUser, "PUT", "/bkt?publicAccessBlock", blockXML(false, true, false, false))
	s.must(200, mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", "public-read")
	for _, who := range []*account{nil, altUser} {
		s.refused(403, "AccessDenied", who, "GET", "/bkt/k", "")
		s.refused(403, "AccessDenied", who, "GET", "/bkt", "")
	}
	s.must(http.StatusOK, mainUser, "GET", "/bkt/k", "")
}
