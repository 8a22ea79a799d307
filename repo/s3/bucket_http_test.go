package s3

import (
	"crypto/md5"
	"encoding/base64"
	"strings"
	"testing"
)

// contains fails the test unless a body has each of some pieces, in which a ' is not
// escaped.
func contains(t *testing.T, r *reply, pieces ...string) {
	t.Helper()
	body := strings.ReplaceAll(r.body, "&#39;", "'")
	for _, p := range pieces {
		if !strings.Contains(body, p) {
			t.Errorf("no %s in %s", p, r.body)
		}
	}
}

// heads fails the test unless an answer has some headers: pairs of name and value.
func heads(t *testing.T, r *reply, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := r.Header.Get(pairs[i]); got != pairs[i+1] {
			t.Errorf("%s: %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

func contentMD5(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestBucketLife(t *testing.T) {
	s := newServer(t, Options{})
	r := s.must(200, mainUser, "PUT", "/one", "")
	heads(t, r, "Location", "/one", "Content-Length", "0")
	r = s.must(200, mainUser, "HEAD", "/one", "")
	heads(t, r, "x-amz-bucket-region", "firn-1", "x-amz-access-point-alias", "false")
	contains(t, s.refused(409, "BucketAlreadyOwnedByYou", mainUser, "PUT", "/one", ""), "<BucketName>one</BucketName>")
	s.refused(409, "BucketAlreadyExists", altUser, "PUT", "/one", "")
	s.refused(409, "BucketAlreadyExists", rootUser, "PUT", "/one", "")
	s.must(403, altUser, "HEAD", "/one", "")
	s.must(404, altUser, "HEAD", "/none", "")
	s.refused(404, "NoSuchBucket", mainUser, "DELETE", "/none", "")
	s.refused(403, "AccessDenied", altUser, "DELETE", "/one", "")
	s.refused(403, "AccessDenied", anonymous, "PUT", "/two", "")
	s.must(204, mainUser, "DELETE", "/one", "")
	s.must(404, mainUser, "HEAD", "/one", "")
	for _, name := range []string{"Ab-cd", "foo_bar", "ab", "foo..bar", "10.0.0.1"} {
		s.refused(400, "InvalidBucketName", mainUser, "PUT", "/"+name, "")
	}
}

func TestCreateBucketBody(t *testing.T) {
	s := newServer(t, Options{})
	at := func(region string) string {
		return "<CreateBucketConfiguration><LocationConstraint>" + region + "</LocationConstraint></CreateBucketConfiguration>"
	}
	const tags = "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"
	for _, c := range []struct{ name, body, location, element string }{
		{"unset", "", "firn-1", ">firn-1<"},
		{"empty", "<CreateBucketConfiguration/>", "firn-1", ">firn-1<"},
		{"elsewhere", at("eu-central-1"), "eu-central-1", ">eu-central-1<"},
		{"old-eu", at("EU"), "eu-west-1", ">eu-west-1<"},
		{"oldest", at("us-east-1"), "us-east-1", `<LocationConstraint xmlns="` + xmlns + `"></LocationConstraint>`},
	} {
		s.must(200, mainUser, "PUT", "/"+c.name, c.body)
		heads(t, s.must(200, mainUser, "HEAD", "/"+c.name, ""), "x-amz-bucket-region", c.location)
		contains(t, s.must(200, mainUser, "GET", "/"+c.name+"?location", ""), c.element)
	}
	s.must(200, mainUser, "PUT", "/tagged", "<CreateBucketConfiguration>"+tags+"</CreateBucketConfiguration>")
	contains(t, s.must(200, mainUser, "GET", "/tagged?tagging", ""), "<Key>a</Key><Value>b</Value>")
	s.refused(400, "MalformedXML", mainUser, "PUT", "/bad", "nonsense")
	s.refused(400, "MalformedXML", mainUser, "PUT", "/bad", "<CreateBucketConfiguration><Colour/></CreateBucketConfiguration>")
	s.refused(400, "InvalidLocationConstraint", mainUser, "PUT", "/bad", at("no where"))
	s.refused(400, "InvalidRequest", mainUser, "PUT", "/bad", "<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket></CreateBucketConfiguration>")
	s.refused(400, "InvalidTag", mainUser, "PUT", "/bad", "<CreateBucketConfiguration>"+strings.Replace(tags, ">a<", ">aws:a<", 1)+"</CreateBucketConfiguration>")
	s.refused(400, "InvalidArgument", mainUser, "PUT", "/bad", "", "x-amz-object-ownership", "Nobody")
	s.refused(400, "InvalidArgument", mainUser, "PUT", "/bad", "", "x-amz-bucket-object-lock-enabled", "maybe")
	s.refused(501, "NotImplemented", mainUser, "PUT", "/bad", "", "x-amz-bucket-namespace", "account-regional")
	s.refused(400, "MaxMessageLengthExceeded", mainUser, "PUT", "/bad", strings.Repeat(" ", maxCreate+1))
	s.must(404, mainUser, "HEAD", "/bad", "")
}

func TestCreateBucketLocked(t *testing.T) {
	s := newServer(t, Options{})
	s.must(200, mainUser, "PUT", "/lock", "", "x-amz-bucket-object-lock-enabled", "true")
	contains(t, s.must(200, mainUser, "GET", "/lock?versioning", ""), "<Status>Enabled</Status>")
	contains(t, s.must(200, mainUser, "GET", "/lock?object-lock", ""), "<ObjectLockEnabled>Enabled</ObjectLockEnabled>")
}

func TestCreateBucketACL(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/public", "", "x-amz-acl", "public-read")
	s.must(200, altUser, "HEAD", "/public", "")
	s.must(200, mainUser, "PUT", "/private", "")
	s.must(403, altUser, "HEAD", "/private", "")
	s.refused(400, "InvalidBucketAclWithObjectOwnership", mainUser, "PUT", "/neither", "", "x-amz-acl", "public-read", "x-amz-object-ownership", "BucketOwnerEnforced")
	s.must(404, mainUser, "HEAD", "/neither", "")
}

func TestListBuckets(t *testing.T) {
	s := newServer(t, Options{})
	for _, b := range []struct {
		who  *account
		name string
	}{{mainUser, "aaa"}, {altUser, "bbb"}, {mainUser, "ccc"}, {rootUser, "ddd"}, {mainUser, "c.d"}} {
		s.must(200, b.who, "PUT", "/"+b.name, "")
	}
	names := func(r *reply) (list []string) {
		for part := range strings.SplitSeq(r.body, "<Name>") {
			if name, _, ok := strings.Cut(part, "</Name>"); ok {
				list = append(list, name)
			}
		}
		return list
	}
	for _, c := range []struct {
		who         *account
		query, want string
	}{
		{mainUser, "", "aaa c.d ccc"}, {altUser, "", "bbb"}, {rootUser, "", "aaa bbb c.d ccc ddd"}, {anonymous, "", ""},
		{mainUser, "?prefix=c", "c.d ccc"}, {mainUser, "?max-buckets=2", "aaa c.d"}, {mainUser, "?bucket-region=firn-1", "aaa c.d ccc"},
		{mainUser, "?bucket-region=eu-west-1", ""},
	} {
		if got := strings.Join(names(s.must(200, c.who, "GET", "/"+c.query, "")), " "); got != c.want {
			t.Errorf("%v %s: got %q, want %q", c.who, c.query, got, c.want)
		}
	}
	r := s.must(200, mainUser, "GET", "/", "")
	contains(t, r, "<Owner><ID>main-id</ID><DisplayName>MAIN</DisplayName></Owner>", "<CreationDate>2026-11-20T10:00:00.000Z</CreationDate>")
	if strings.Contains(r.body, "ContinuationToken") || strings.Contains(r.body, "BucketRegion") {
		t.Errorf("more than asked for: %s", r.body)
	}
	r = s.must(200, mainUser, "GET", "/?max-buckets=2", "")
	contains(t, r, "<BucketRegion>firn-1</BucketRegion>")
	_, token, _ := strings.Cut(r.body, "<ContinuationToken>")
	token, _, _ = strings.Cut(token, "<")
	r = s.must(200, mainUser, "GET", "/?max-buckets=2&continuation-token="+token, "")
	if got := strings.Join(names(r), " "); got != "ccc" || strings.Contains(r.body, "<ContinuationToken>") {
		t.Errorf("second page: %s", r.body)
	}
	contains(t, s.refused(400, "InvalidArgument", mainUser, "GET", "/?max-buckets=0", ""), "<ArgumentName>max-buckets</ArgumentName>")
	s.refused(403, "InvalidAccessKeyId", &account{"NOBODY", "x"}, "GET", "/", "")
	s.refused(403, "SignatureDoesNotMatch", &account{mainUser.access, "x"}, "GET", "/", "")
}

func TestDeleteBucketThatIsNotEmpty(t *testing.T) {
	s := newServer(t, Options{})
	s.must(200, mainUser, "PUT", "/plain", "")
	s.must(200, mainUser, "PUT", "/plain/key", "x")
	r := s.refused(409, "BucketNotEmpty", mainUser, "DELETE", "/plain", "")
	contains(t, r, "<BucketName>plain</BucketName>", "<Message>The bucket you tried to delete is not empty</Message>")
	s.must(200, mainUser, "PUT", "/versions", "")
	s.must(200, mainUser, "PUT", "/versions?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	s.must(204, mainUser, "DELETE", "/versions/key", "")
	contains(t, s.refused(409, "BucketNotEmpty", mainUser, "DELETE", "/versions", ""), "You must delete all versions in the bucket.")
}

func TestPreflight(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/web", "", "x-amz-acl", "public-read")
	ask := func(status int, path, origin, method, headers string) *reply {
		t.Helper()
		var h []string
		for _, p := range [][2]string{{"Origin", origin}, {"Access-Control-Request-Method", method}, {"Access-Control-Request-Headers", headers}} {
			if p[1] != "" {
				h = append(h, p[0], p[1])
			}
		}
		return s.must(status, anonymous, "OPTIONS", path, "", h...)
	}
	contains(t, ask(400, "/web", "", "", ""), "<Code>BadRequest</Code>", "Insufficient information. Origin request header needed.")
	contains(t, ask(403, "/none/key", "https://a", "GET", ""), "<Code>AccessForbidden</Code>", "CORSResponse: Bucket not found", "<Method>GET</Method>", "<ResourceType>BUCKET</ResourceType>")
	contains(t, ask(403, "/", "https://a", "GET", ""), "CORSResponse: Bucket not found")
	contains(t, ask(403, "/web/key", "https://a", "", ""), "CORSResponse: CORS is not enabled for this bucket.", "<Method>OPTIONS</Method>")

	const cfg = `<CORSConfiguration xmlns="` + xmlns + `"><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedOrigin>https://*.a</AllowedOrigin>` +
		`<AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule></CORSConfiguration>`
	s.refused(400, "InvalidRequest", mainUser, "PUT", "/web?cors", cfg)
	s.must(200, mainUser, "PUT", "/web?cors", cfg, "Content-MD5", contentMD5(cfg))
	contains(t, s.must(200, mainUser, "GET", "/web?cors", ""), "<AllowedOrigin>https://*.a</AllowedOrigin>", "<MaxAgeSeconds>60</MaxAgeSeconds>")
	s.refused(403, "AccessDenied", altUser, "GET", "/web?cors", "")

	r := ask(200, "/web/key?x=y", "https://b.a", "PUT", "X-Amz-Date, x-amz-acl")
	want := []string{"Access-Control-Allow-Origin", "https://b.a", "Access-Control-Allow-Credentials", "true", "Access-Control-Allow-Methods", "GET, PUT",
		"Access-Control-Allow-Headers", "x-amz-date, x-amz-acl", "Access-Control-Expose-Headers", "ETag", "Access-Control-Max-Age", "60",
		"Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method", "Content-Length", "0"}
	heads(t, r, want...)
	contains(t, ask(400, "/web/key", "https://b.a", "", ""), "<Code>BadRequest</Code>", "Invalid Access-Control-Request-Method: null")
	contains(t, ask(403, "/web/key", "https://b.c", "GET", ""), "<Code>AccessForbidden</Code>", "<ResourceType>OBJECT</ResourceType>", "This CORS request is not allowed.")
	contains(t, ask(403, "/web", "https://b.a", "DELETE", ""), "<ResourceType>BUCKET</ResourceType>")
	ask(403, "/web/key", "https://b.a", "GET", "authorization")

	// Other requests carry the headers as well, those that are refused included.
	r = s.must(404, anonymous, "GET", "/web/key", "", "Origin", "https://b.a")
	heads(t, r, "Access-Control-Allow-Origin", "https://b.a", "Access-Control-Allow-Methods", "GET, PUT", "Access-Control-Max-Age", "60")
	r = s.must(403, anonymous, "PUT", "/web/key", "", "Origin", "https://b.a")
	heads(t, r, "Access-Control-Allow-Origin", "https://b.a")
	r = s.must(403, anonymous, "PUT", "/web/key", "", "Origin", "https://b.a", "Access-Control-Request-Method", "DELETE")
	heads(t, r, "Access-Control-Allow-Origin", "")
	r = s.must(200, mainUser, "HEAD", "/web", "", "Origin", "https://b.a")
	heads(t, r, "Access-Control-Allow-Origin", "")

	s.must(204, mainUser, "DELETE", "/web?cors", "")
	s.must(204, mainUser, "DELETE", "/web?cors", "")
	s.refused(404, "NoSuchCORSConfiguration", mainUser, "GET", "/web?cors", "")
	if r := s.must(200, anonymous, "GET", "/web", "", "Origin", "https://b.a"); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("headers without a configuration")
	}
}
