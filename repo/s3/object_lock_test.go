package s3

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// putDigested sends a document with its digest.
func (s *server) putDigested(status int, who *account, path, body string, headers ...string) *reply {
	s.t.Helper()
	return s.must(status, who, "PUT", path, body, append(headers, "Content-MD5", md5Header(body))...)
}

// refusedDigested is refused with a digest.
func (s *server) refusedDigested(status int, code string, who *account, path, body string, headers ...string) *reply {
	s.t.Helper()
	return s.refused(status, code, who, "PUT", path, body, append(headers, "Content-MD5", md5Header(body))...)
}

func retention(mode string, until time.Time) string {
	return fmt.Sprintf("<Retention><Mode>%s</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>", mode, until.UTC().Format(time.RFC3339))
}

func TestRetentionOfAVersion(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket", "x-amz-bucket-object-lock-enabled", "true")
	now := s.clock.Now()
	id := s.must(200, mainUser, "PUT", "/bucket/k", "x").Header.Get("x-amz-version-id")
	version := "/bucket/k?versionId=" + id
	s.refused(404, "NoSuchObjectLockConfiguration", mainUser, "GET", "/bucket/k?retention", "")
	s.putDigested(200, mainUser, "/bucket/k?retention", retention("GOVERNANCE", now.Add(24*time.Hour)))
	r := s.must(200, mainUser, "GET", "/bucket/k?retention", "")
	if !strings.Contains(r.body, "<Mode>GOVERNANCE</Mode><RetainUntilDate>2026-11-21T10:00:00.000Z</RetainUntilDate>") {
		t.Error(r.body)
	}
	s.must(200, mainUser, "HEAD", "/bucket/k", "").want(t, headLockMode, "GOVERNANCE", headLockUntil, "2026-11-21T10:00:00.000Z", headHold, "-")

	s.putDigested(200, mainUser, "/bucket/k?retention", retention("GOVERNANCE", now.Add(48*time.Hour)))
	for _, body := range []string{retention("GOVERNANCE", now.Add(time.Hour)), retention("COMPLIANCE", now.Add(72*time.Hour)), "<Retention/>"} {
		r := s.refusedDigested(403, "AccessDenied", mainUser, "/bucket/k?retention", body)
		if !strings.Contains(r.body, "<Message>Access Denied because object protected by object lock.</Message>") {
			t.Error(r.body)
		}
	}
	s.refused(403, "AccessDenied", mainUser, "DELETE", version, "")
	s.refused(403, "AccessDenied", mainUser, "DELETE", version, "", headBypass, "false")
	r = s.deleteAll(200, mainUser, "bucket", entry("k", "<VersionId>"+id+"</VersionId>"))
	if !strings.Contains(r.body, "<Code>AccessDenied</Code><Message>Access Denied because object protected by object lock.</Message>") {
		t.Error(r.body)
	}
	s.putDigested(200, mainUser, "/bucket/k?retention", retention("GOVERNANCE", now.Add(time.Hour)), headBypass, "true")
	s.putDigested(200, mainUser, "/bucket/k?retention", retention("COMPLIANCE", now.Add(time.Hour)), headBypass, "true")
	s.refusedDigested(403, "AccessDenied", mainUser, "/bucket/k?retention", retention("GOVERNANCE", now.Add(2*time.Hour)), headBypass, "true")
	s.refused(403, "AccessDenied", mainUser, "DELETE", version, "", headBypass, "true")
	s.must(204, mainUser, "DELETE", "/bucket/k", "").want(t, "x-amz-delete-marker", "true")
	s.clock.add(2 * time.Hour)
	s.must(204, mainUser, "DELETE", version, "")
}

func TestGovernanceBypassIsAPermission(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket", "x-amz-bucket-object-lock-enabled", "true")
	s.must(204, mainUser, "PUT", "/bucket?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"CanonicalUser":"alt-id"},"Action":["s3:DeleteObjectVersion","s3:PutObjectRetention"],"Resource":"arn:aws:s3:::bucket/*"}]}`)
	id := s.must(200, mainUser, "PUT", "/bucket/k", "x", headLockMode, "GOVERNANCE", headLockUntil, isoTime(s.clock.Now().Add(time.Hour)), "Content-MD5", md5Header("x")).Header.Get("x-amz-version-id")
	s.refused(403, "AccessDenied", altUser, "DELETE", "/bucket/k?versionId="+id, "", headBypass, "true")
	s.refusedDigested(403, "AccessDenied", altUser, "/bucket/k?retention&versionId="+id, "<Retention/>", headBypass, "true")
	s.must(204, mainUser, "DELETE", "/bucket/k?versionId="+id, "", headBypass, "true")
}

func TestLegalHold(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket", "x-amz-bucket-object-lock-enabled", "true")
	id := s.must(200, mainUser, "PUT", "/bucket/k", "x").Header.Get("x-amz-version-id")
	s.refused(404, "NoSuchObjectLockConfiguration", mainUser, "GET", "/bucket/k?legal-hold", "")
	s.refusedDigested(400, "MalformedXML", mainUser, "/bucket/k?legal-hold", "<LegalHold><Status>abc</Status></LegalHold>")
	s.putDigested(200, mainUser, "/bucket/k?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>")
	s.must(200, mainUser, "HEAD", "/bucket/k", "").want(t, headHold, "ON", headLockMode, "-")
	s.refused(403, "AccessDenied", mainUser, "DELETE", "/bucket/k?versionId="+id, "", headBypass, "true")
	s.putDigested(200, mainUser, "/bucket/k?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>")
	if r := s.must(200, mainUser, "GET", "/bucket/k?legal-hold", ""); !strings.Contains(r.body, "<Status>OFF</Status>") {
		t.Error(r.body)
	}
	s.must(204, mainUser, "DELETE", "/bucket/k?versionId="+id, "")
}

func TestLockNeedsItsBucket(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket/k", "x")
	s.refused(400, "InvalidRequest", mainUser, "GET", "/bucket/k?retention", "")
	s.refused(400, "InvalidRequest", mainUser, "GET", "/bucket/k?legal-hold", "")
	s.refusedDigested(400, "InvalidRequest", mainUser, "/bucket/k?retention", retention("GOVERNANCE", s.clock.Now().Add(time.Hour)))
	s.refusedDigested(400, "InvalidRequest", mainUser, "/bucket/k?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>")
	s.refusedDigested(400, "MalformedXML", mainUser, "/bucket/k?legal-hold", "")

	s.newBucket("locked", "x-amz-bucket-object-lock-enabled", "true")
	s.refused(400, "InvalidRequest", mainUser, "PUT", "/locked/k", "x", headHold, "ON")
	s.must(200, mainUser, "PUT", "/locked/k", "x", headHold, "ON", "Content-MD5", md5Header("x"))
	marker := s.must(204, mainUser, "DELETE", "/locked/k", "").Header.Get("x-amz-version-id")
	s.refusedDigested(405, "MethodNotAllowed", mainUser, "/locked/k?retention&versionId="+marker, retention("GOVERNANCE", s.clock.Now().Add(time.Hour)))
}

// Tags and locks are told to those only who could ask for them.
func TestHeadersByPermission(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "", "x-amz-bucket-object-lock-enabled", "true")
	s.must(200, mainUser, "PUT", "/bkt/k", "x", "Content-MD5", md5Header("x"), "x-amz-tagging", "team=red", headHold, "ON",
		headLockMode, "GOVERNANCE", headLockUntil, "2030-01-01T00:00:00Z")
	told := func(who *account, tags, mode, hold string) {
		t.Helper()
		for _, method := range []string{"GET", "HEAD"} {
			s.must(200, who, method, "/bkt/k", "").want(t, "x-amz-tagging-count", tags, headLockMode, mode, headHold, hold)
		}
	}
	may := func(actions string) {
		t.Helper()
		s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":"*","Action":["s3:GetObject"`+actions+`]`))
	}
	may("")
	told(mainUser, "1", "GOVERNANCE", "ON")
	told(altUser, "-", "-", "-")
	told(anonymous, "-", "-", "-")
	may(`,"s3:GetObjectTagging"`)
	told(altUser, "1", "-", "-")
	may(`,"s3:GetObjectRetention"`)
	told(altUser, "-", "GOVERNANCE", "-")
	may(`,"s3:GetObjectLegalHold"`)
	told(altUser, "-", "-", "ON")
}
