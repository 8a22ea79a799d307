package s3

import (
	"fmt"
	"strings"
	"testing"

	"github.com/firnstore/firn/repo/object"
)

func blockXML(acls, ignore, policy, restrict bool) string {
	return fmt.Sprintf("<PublicAccessBlockConfiguration><BlockPublicAcls>%v</BlockPublicAcls><IgnorePublicAcls>%v</IgnorePublicAcls>"+
		"<BlockPublicPolicy>%v</BlockPublicPolicy><RestrictPublicBuckets>%v</RestrictPublicBuckets></PublicAccessBlockConfiguration>", acls, ignore, policy, restrict)
}

// policyDoc is a policy of one statement about everything in bucket b.
func policyDoc(rest string) string {
	return `{"Version":"2012-10-17","Statement":[{"Resource":["arn:aws:s3:::bkt","arn:aws:s3:::bkt/*"],` + rest + `}]}`
}

func TestBucketPolicy(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	s.refused(404, "NoSuchBucketPolicy", mainUser, "GET", "/bkt?policy", "")
	doc := " " + policyDoc(`"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:ListBucket"`)
	s.refused(400, "MalformedPolicy", mainUser, "PUT", "/bkt?policy", doc)
	s.refused(400, "MalformedPolicy", mainUser, "PUT", "/bkt?policy", "")
	doc = doc[1:] + " \n"
	s.refused(403, "AccessDenied", altUser, "PUT", "/bkt?policy", doc)
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt", "")
	s.must(204, mainUser, "PUT", "/bkt?policy", doc)
	r := s.must(200, mainUser, "GET", "/bkt?policy", "")
	if r.body != doc || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("stored %q, answered %q of %s", doc, r.body, r.Header.Get("Content-Type"))
	}
	for _, who := range []*account{altUser, nil} {
		s.must(200, who, "GET", "/bkt", "")
		s.refused(403, "AccessDenied", who, "GET", "/bkt/k", "")
		s.refused(403, "AccessDenied", who, "GET", "/bkt?policy", "")
		s.refused(403, "AccessDenied", who, "DELETE", "/bkt?policy", "")
	}
	s.must(204, mainUser, "DELETE", "/bkt?policy", "")
	s.must(204, mainUser, "DELETE", "/bkt?policy", "")
	s.refused(404, "NoSuchBucketPolicy", mainUser, "GET", "/bkt?policy", "")
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt", "")
}

// A policy that locks everybody out can be undone by the owner, and by root.
func TestBucketPolicyLockout(t *testing.T) {
	s := newServer(t, Options{})
	for _, who := range []*account{mainUser, rootUser} {
		s.must(200, who, "PUT", "/bkt", "")
		s.must(204, who, "PUT", "/bkt?policy", policyDoc(`"Effect":"Deny","Principal":"*","Action":"s3:*"`))
		s.refused(403, "AccessDenied", who, "GET", "/bkt", "")
		s.refused(403, "AccessDenied", who, "DELETE", "/bkt", "")
		s.must(200, who, "GET", "/bkt?policy", "")
		s.must(204, who, "DELETE", "/bkt?policy", "")
		s.must(204, who, "DELETE", "/bkt", "")
	}
}

// Conditions see what the request is.
func TestPolicyConditions(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(200, mainUser, "PUT", "/bkt/public/k", "x", "x-amz-tagging", "team=red")
	tests := []struct {
		condition string
		method    string
		path      string
		headers   []string
		want      int // with it, by alt
	}{
		{`"StringEquals":{"s3:x-amz-acl":"private"}`, "PUT", "/bkt/n", []string{"x-amz-acl", "private"}, 200},
		{`"StringEquals":{"s3:x-amz-acl":"private"}`, "PUT", "/bkt/n", nil, 403},
		{`"StringEquals":{"s3:x-amz-grant-full-control":"id=main-id"}`, "PUT", "/bkt/n", []string{"x-amz-grant-full-control", "id=main-id"}, 200},
		{`"StringEquals":{"s3:x-amz-server-side-encryption":"AES256"}`, "PUT", "/bkt/n", []string{"x-amz-server-side-encryption", "AES256"}, 200},
		{`"Null":{"s3:x-amz-server-side-encryption":"false"}`, "PUT", "/bkt/n", nil, 403},
		{`"StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}`, "PUT", "/bkt/n", []string{"x-amz-storage-class", "STANDARD_IA"}, 200},
		{`"StringEquals":{"s3:RequestObjectTag/team":"red"}`, "PUT", "/bkt/n", []string{"x-amz-tagging", "team=red&a=b"}, 200},
		{`"StringEquals":{"s3:RequestObjectTag/team":"red"}`, "PUT", "/bkt/n", []string{"x-amz-tagging", "team=blue"}, 403},
		{`"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["team"]}`, "PUT", "/bkt/n", []string{"x-amz-tagging", "team=red&a=b"}, 403},
		{`"StringLike":{"s3:x-amz-copy-source":"bkt/public/*"}`, "PUT", "/bkt/n", []string{"x-amz-copy-source", "/bkt/public/k"}, 200},
		{`"StringLike":{"s3:x-amz-copy-source":"/bkt/public/*"}`, "PUT", "/bkt/n", []string{"x-amz-copy-source", "bkt/public%2Fk"}, 200},
		{`"StringLike":{"s3:x-amz-copy-source":"bkt/private/*"}`, "PUT", "/bkt/n", []string{"x-amz-copy-source", "bkt/public/k"}, 403},
		{`"StringEquals":{"s3:x-amz-metadata-directive":"COPY"}`, "PUT", "/bkt/n", []string{"x-amz-copy-source", "bkt/public/k"}, 403},
		{`"StringEquals":{"s3:if-none-match":"*"}`, "PUT", "/bkt/n2", []string{"If-None-Match", "*"}, 200},
		{`"Bool":{"s3:ObjectCreationOperation":"true"}`, "PUT", "/bkt/n", nil, 200},
		{`"Bool":{"s3:ObjectCreationOperation":"false"}`, "PUT", "/bkt/n", nil, 403},
		{`"StringEquals":{"s3:prefix":"public/"}`, "GET", "/bkt?prefix=public/", nil, 200},
		{`"StringEquals":{"s3:prefix":"public/"}`, "GET", "/bkt?prefix=private/", nil, 403},
		{`"StringEquals":{"s3:prefix":"public/"}`, "GET", "/bkt", nil, 403},
		{`"StringEquals":{"s3:delimiter":"/"}`, "GET", "/bkt?delimiter=/&list-type=2", nil, 200},
		{`"NumericLessThanEquals":{"s3:max-keys":"10"}`, "GET", "/bkt?max-keys=10", nil, 200},
		{`"NumericLessThanEquals":{"s3:max-keys":"10"}`, "GET", "/bkt?max-keys=11", nil, 403},
		{`"StringEquals":{"s3:ExistingObjectTag/team":"red"}`, "GET", "/bkt/public/k", nil, 200},
		{`"StringEquals":{"s3:ExistingObjectTag/team":"blue"}`, "GET", "/bkt/public/k", nil, 403},
		{`"StringEquals":{"s3:VersionId":"null"}`, "GET", "/bkt/public/k?versionId=null", nil, 200},
		{`"StringEquals":{"s3:authType":"REST-HEADER","s3:signatureversion":"AWS4-HMAC-SHA256"}`, "GET", "/bkt/public/k", nil, 200},
		{`"NumericLessThan":{"s3:signatureAge":"600000"}`, "GET", "/bkt/public/k", nil, 200},
		{`"Null":{"s3:x-amz-content-sha256":"false"}`, "GET", "/bkt/public/k", nil, 200},
		{`"Bool":{"aws:SecureTransport":"true"}`, "GET", "/bkt/public/k", nil, 403},
		{`"Null":{"s3:TlsVersion":"true"}`, "GET", "/bkt/public/k", nil, 200},
		{`"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}`, "GET", "/bkt/public/k", nil, 200},
		{`"StringLike":{"aws:Referer":"http://example.org/*"}`, "GET", "/bkt/public/k", []string{"Referer", "http://example.org/a"}, 200},
		{`"StringLike":{"aws:UserAgent":"Go-http*"}`, "GET", "/bkt/public/k", nil, 200},
		{`"DateGreaterThan":{"aws:CurrentTime":"2026-11-20T00:00:00Z"}`, "GET", "/bkt/public/k", nil, 200},
		{`"DateLessThan":{"aws:CurrentTime":"2026-11-20T00:00:00Z"}`, "GET", "/bkt/public/k", nil, 403},
		{`"NumericGreaterThan":{"aws:EpochTime":"1700000000"}`, "GET", "/bkt/public/k", nil, 200},
		{`"StringEquals":{"aws:username":"alt","aws:userid":"alt-id","aws:PrincipalType":"User"}`, "GET", "/bkt/public/k", nil, 200},
		{`"StringEquals":{"s3:ResourceAccount":"main-id"}`, "GET", "/bkt/public/k", nil, 200},
	}
	for _, tt := range tests {
		doc := strings.Replace(policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:*","Condition":{`+tt.condition+`}`), `"Statement":[`,
			`"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/public/*","Condition":{"Null":{"s3:x-amz-copy-source":"false"}}},`, 1)
		s.must(204, mainUser, "PUT", "/bkt?policy", doc)
		if r := s.do(altUser, tt.method, tt.path, "", tt.headers...); r.StatusCode != tt.want {
			t.Errorf("%s: %s %s %q: status %d, want %d: %s", tt.condition, tt.method, tt.path, tt.headers, r.StatusCode, tt.want, r.body)
		}
	}
}

// What only the body says can be a condition, too, and the operation still has the body.
func TestPolicyConditionsOnBodies(t *testing.T) {
	s := newServer(t, Options{})
	s.must(200, mainUser, "PUT", "/bkt", "", "x-amz-bucket-object-lock-enabled", "true")
	s.must(204, mainUser, "DELETE", "/bkt?publicAccessBlock", "")
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	tags := func(v string) string {
		return "<Tagging><TagSet><Tag><Key>team</Key><Value>" + v + "</Value></Tag></TagSet></Tagging>"
	}
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:PutObjectTagging","Condition":{"StringEquals":{"s3:RequestObjectTag/team":"red"}}`))
	s.refused(403, "AccessDenied", altUser, "PUT", "/bkt/k?tagging", tags("blue"))
	s.must(200, altUser, "PUT", "/bkt/k?tagging", tags("red"), "Content-MD5", md5Header(tags("red")))
	if r := s.must(200, mainUser, "GET", "/bkt/k?tagging", ""); !strings.Contains(r.body, "<Value>red</Value>") {
		t.Errorf("tags are %s", r.body)
	}
	retain := func(until string) string {
		return "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"
	}
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:PutObjectRetention","Condition":{"NumericLessThan":{"s3:object-lock-remaining-retention-days":"10"},"StringEquals":{"s3:object-lock-mode":"GOVERNANCE"}}`))
	s.refused(403, "AccessDenied", altUser, "PUT", "/bkt/k?retention", retain("2027-11-20T00:00:00Z"))
	s.must(200, altUser, "PUT", "/bkt/k?retention", retain("2026-11-25T00:00:00Z"), "Content-MD5", md5Header(retain("2026-11-25T00:00:00Z")))
}

// A missing key is told to those who may list the bucket.
func TestMissingKey(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.refused(404, "NoSuchKey", mainUser, "GET", "/bkt/none", "")
	s.must(404, mainUser, "HEAD", "/bkt/none", "")
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt/none", "")
	s.refused(403, "AccessDenied", nil, "GET", "/bkt/none", "")
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject"`))
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt/none", "")
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Condition":{"StringLike":{"s3:prefix":"public/*"}}`))
	s.must(404, altUser, "HEAD", "/bkt/public/none", "")
	s.refused(404, "NoSuchKey", altUser, "GET", "/bkt/public/none", "")
	s.refused(404, "NoSuchKey", altUser, "PUT", "/bkt/public/none?acl", "", "x-amz-acl", "private")
	s.must(403, altUser, "HEAD", "/bkt/private/none", "")
	s.refused(404, "NoSuchVersion", altUser, "GET", "/bkt/public/none?versionId="+strings.Repeat("01", 16), "")
}

// Headers of an upload that ask for more need more.
func TestHeaderActions(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(204, mainUser, "PUT", "/bkt?policy", strings.Replace(policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:PutObject"`), `"Statement":[`,
		`"Statement":[{"Effect":"Deny","Principal":"*","Action":["s3:PutObjectAcl","s3:PutObjectTagging"],"Resource":"arn:aws:s3:::bkt/locked/*"},`, 1))
	for _, who := range []*account{mainUser, altUser} {
		for _, h := range [][]string{{"x-amz-acl", "public-read"}, {"x-amz-tagging", "a=b"}, {"x-amz-grant-read", "id=alt-id"}} {
			s.must(200, who, "PUT", "/bkt/open/k", "x", h...)
			s.refused(403, "AccessDenied", who, "PUT", "/bkt/locked/k", "x", h...)
		}
		s.must(200, who, "PUT", "/bkt/locked/k", "x")
	}
}

func TestPolicyStatus(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	status := func(want bool) {
		t.Helper()
		r := s.must(200, mainUser, "GET", "/bkt?policyStatus", "")
		if got := between(r.body, "<IsPublic>", "</IsPublic>"); got != fmt.Sprint(want) {
			t.Errorf("public %s, want %v", got, want)
		}
	}
	status(false)
	s.must(200, mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", "authenticated-read")
	status(true)
	s.must(200, mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", "private")
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:ListBucket"`))
	status(true)
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}`))
	status(false)
}

// Policies of a user say what it may do with what it owns.
func TestUserPolicies(t *testing.T) {
	s := newServer(t, Options{})
	s.must(200, rootUser, "PUT", "/bkt", "")
	s.must(200, rootUser, "PUT", "/bkt/k", "x")
	edit := func(policies map[string]string) {
		t.Helper()
		err := s.e.EditUser(t.Context(), "ci", func(u *object.User) error {
			u.Keys = []object.AccessKey{{ID: "CIKEY", Secret: "ci-secret"}}
			u.Policies = policies
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ci := &account{"CIKEY", "ci-secret"}
	edit(nil)
	s.must(200, ci, "PUT", "/mine", "")
	s.must(200, ci, "PUT", "/mine/k", "x")
	edit(map[string]string{"read": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}]}`})
	s.must(200, ci, "GET", "/mine/k", "")
	s.must(200, ci, "GET", "/", "")
	s.refused(403, "AccessDenied", ci, "PUT", "/mine/k", "x")
	s.refused(403, "AccessDenied", ci, "PUT", "/other", "")
	s.refused(403, "AccessDenied", ci, "GET", "/bkt/k", "")
	edit(map[string]string{"home": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:CreateBucket","Resource":"arn:aws:s3:::${aws:username}-*","Condition":{"StringEquals":{"s3:LocationConstraint":"eu-west-1"}}}]}`})
	body := "<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>"
	s.must(200, ci, "PUT", "/ci-1", fmt.Sprintf(body, "eu-west-1"))
	s.refused(403, "AccessDenied", ci, "PUT", "/ci-2", fmt.Sprintf(body, "eu-west-2"))
	s.refused(403, "AccessDenied", ci, "PUT", "/ci-2", "")
	s.refused(403, "AccessDenied", ci, "PUT", "/xx-2", fmt.Sprintf(body, "eu-west-1"))
	s.refused(403, "AccessDenied", ci, "PUT", "/ci-2", fmt.Sprintf(body, "eu-west-1"), "x-amz-object-ownership", "ObjectWriter")
	edit(map[string]string{"broken": "{"})
	s.must(500, ci, "GET", "/mine/k", "")
}
