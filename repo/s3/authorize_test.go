package s3

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/s3/access"
)

// The action that is asked for depends on whether a version is named.
func TestVersioned(t *testing.T) {
	action := versioned("s3:GetObject", "s3:GetObjectVersion")
	for query, want := range map[string]string{"": "s3:GetObject", "versionId=": "s3:GetObject", "versionId=null": "s3:GetObjectVersion"} {
		r, err := http.NewRequest("GET", "/b/k?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := action(&request{query: r.URL.Query()}); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

// Every action that the table of operations names is one that policies can name.
func TestActionsAreKnown(t *testing.T) {
	for _, op := range operations {
		if op.action == "" {
			continue
		}
		doc := `{"Statement":{"Effect":"Deny","Principal":"*","Action":"` + op.action + `","Resource":"*"}}`
		if _, err := access.ParsePolicy([]byte(doc), "bucket"); err != nil {
			t.Errorf("%s asks for %s: %v", op.name, op.action, err)
		}
	}
	for action := range aclPermissions {
		doc := `{"Statement":{"Effect":"Deny","Principal":"*","Action":"` + action + `","Resource":"*"}}`
		if _, err := access.ParsePolicy([]byte(doc), "bucket"); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
}

// Operations that ACLs cannot grant would else be open to whoever may write.
func TestDeleteVersionNeedsMoreThanWrite(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bucket", "", "x-amz-acl", "public-read-write")
	s.must(200, mainUser, "PUT", "/bucket?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	id := s.must(200, mainUser, "PUT", "/bucket/k", "x").Header.Get("x-amz-version-id")
	s.refused(403, "AccessDenied", altUser, "DELETE", "/bucket/k?versionId="+id, "")
	s.must(204, altUser, "DELETE", "/bucket/k", "")
	s.must(204, mainUser, "DELETE", "/bucket/k?versionId="+id, "")
}

// A copy needs to be allowed to read its source, in whatever bucket.
func TestCopySourceAccess(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/source", "")
	s.must(200, mainUser, "PUT", "/source/k", "x")
	s.must(200, altUser, "PUT", "/target", "")
	copied := func(status int, code, source string) {
		t.Helper()
		r := s.must(status, altUser, "PUT", "/target/k", "", "x-amz-copy-source", source)
		if got := between(r.body, "<Code>", "</Code>"); got != code {
			t.Errorf("copy of %s: code %q, want %q", source, got, code)
		}
	}
	copied(403, "AccessDenied", "source/k")
	copied(403, "AccessDenied", "source/none")
	s.must(200, mainUser, "PUT", "/source/k?acl", "", "x-amz-acl", "authenticated-read")
	copied(200, "", "source/k")
	copied(403, "AccessDenied", "source/none")
	s.must(200, mainUser, "PUT", "/source?acl", "", "x-amz-acl", "authenticated-read")
	copied(404, "NoSuchKey", "source/none")
}

// Bulk deletion asks for each key.
func TestBulkDeleteAccess(t *testing.T) {
	s := newServer(t, Options{})
	s.must(200, mainUser, "PUT", "/bucket", "")
	s.must(204, mainUser, "DELETE", "/bucket?publicAccessBlock", "")
	for _, k := range []string{"open/k", "shut/k"} {
		s.must(200, mainUser, "PUT", "/bucket/"+k, "x")
	}
	s.must(204, mainUser, "PUT", "/bucket?policy", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::bucket/open/*"}}`)
	body := "<Delete><Object><Key>open/k</Key></Object><Object><Key>shut/k</Key></Object></Delete>"
	sum := md5.Sum([]byte(body))
	r := s.must(200, altUser, "POST", "/bucket?delete", body, "Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	if between(r.body, "<Deleted><Key>", "</Key>") != "open/k" || between(r.body, "<Error><Key>", "</Key>") != "shut/k" {
		t.Errorf("deleted %s", r.body)
	}
	s.must(200, mainUser, "GET", "/bucket/shut/k", "")
}

func BenchmarkAuthorizeOwner(b *testing.B) {
	s := newServer(b, Options{})
	s.must(200, mainUser, "PUT", "/bucket", "")
	s.must(200, mainUser, "PUT", "/bucket/k", "x")
	r, err := http.NewRequest("GET", s.URL+"/bucket/k", nil)
	if err != nil {
		b.Fatal(err)
	}
	q := &request{h: s.h, r: r, bucket: "bucket", key: "k", query: r.URL.Query(), now: s.clock.Now(), v: &index.Version{System: map[string]string{metaOwner: "main-id"}}}
	for i := range operations {
		if operations[i].name == "GetObject" {
			q.op = &operations[i]
		}
	}
	if q.b, err = s.e.Bucket("bucket"); err != nil {
		b.Fatal(err)
	}
	if q.user, _, err = s.e.UserByKey(mainUser.access); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if q.set, err = s.h.settingsOf(q.b); err != nil {
			b.Fatal(err)
		}
		if q.who, err = s.h.principal(q.user); err != nil {
			b.Fatal(err)
		}
		if err := q.authorize(); err != nil {
			b.Fatal(err)
		}
	}
}
