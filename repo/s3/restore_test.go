package s3

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/repo/object"
)

func restoreXML(inner string) string {
	return `<RestoreRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + inner + `</RestoreRequest>`
}

const restoreBulk = "<Days>2</Days><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters>"

func TestRestoreBody(t *testing.T) {
	for _, c := range []struct{ name, in, tier, code string }{
		{"speed", restoreXML(restoreBulk), "Bulk", ""},
		{"speed at the top", restoreXML("<Days>2</Days><Tier>Expedited</Tier>"), "Expedited", ""},
		{"the inner speed counts", restoreXML("<Days>2</Days><Tier>Expedited</Tier><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters>"), "Bulk", ""},
		{"default", restoreXML("<Days>2</Days><Description>why</Description>"), "Standard", ""},
		{"no days", "<RestoreRequest/>", "Standard", ""},
		{"select", restoreXML("<Type>SELECT</Type>"), "", "NotImplemented"},
		{"select parameters", restoreXML("<SelectParameters><Expression>x</Expression></SelectParameters>"), "", "NotImplemented"},
		{"output", restoreXML("<OutputLocation><S3/></OutputLocation>"), "", "NotImplemented"},
		{"unknown speed", restoreXML("<Days>2</Days><Tier>Fast</Tier>"), "", "MalformedXML"},
		{"no speed", restoreXML("<Days>2</Days><GlacierJobParameters/>"), "", "MalformedXML"},
		{"no time", restoreXML("<Days>0</Days>"), "", "MalformedXML"},
		{"for ever", restoreXML("<Days>2147483647</Days>"), "", "MalformedXML"},
		{"no number", restoreXML("<Days>two</Days>"), "", "MalformedXML"},
		{"unknown element", restoreXML("<Hours>2</Hours>"), "", "MalformedXML"},
		{"other root", "<Restore><Days>2</Days></Restore>", "", "MalformedXML"},
		{"no XML", "days=2", "", "MalformedXML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := parseRestore([]byte(c.in))
			wantCode(t, err, c.code)
			if err == nil && r.Tier != c.tier {
				t.Errorf("tier %s, want %s", r.Tier, c.tier)
			}
		})
	}
}

// TestRestoreObject takes an object out of an archive, and lets it fall back.
func TestRestoreObject(t *testing.T) {
	l := &toldTargets{}
	s := newServer(t, l.options())
	s.newBucket("bkt")
	s.must(200, mainUser, "PUT", "/bkt?notification", notify(queueFor("<Id>r</Id>", event("s3:ObjectRestore:*"))))
	s.must(200, mainUser, "PUT", "/bkt/k", "cold", "x-amz-storage-class", "GLACIER")
	s.must(200, mainUser, "PUT", "/bkt/deep", "cold", "x-amz-storage-class", "DEEP_ARCHIVE")
	ask := func(status int, inner string) {
		t.Helper()
		s.must(status, mainUser, "POST", "/bkt/k?restore", restoreXML(inner))
	}
	head := func(want string) {
		t.Helper()
		s.must(200, mainUser, "HEAD", "/bkt/k", "").want(t, "x-amz-restore", want, "x-amz-storage-class", "GLACIER")
	}
	listed := func(want string) {
		t.Helper()
		for _, path := range []string{"/bkt?prefix=k", "/bkt?list-type=2&prefix=k", "/bkt?versions&prefix=k"} {
			r := s.must(200, mainUser, "GET", path, "", "x-amz-optional-object-attributes", "RestoreStatus")
			if !strings.Contains(r.body, "<RestoreStatus>"+want+"</RestoreStatus>") {
				t.Errorf("%s: want %s in %s", path, want, r.body)
			}
		}
		if r := s.must(200, mainUser, "GET", "/bkt?list-type=2", ""); strings.Contains(r.body, "RestoreStatus") {
			t.Errorf("nobody asked: %s", r.body)
		}
	}
	head("-")
	listed("<IsRestoreInProgress>false</IsRestoreInProgress>")
	s.refused(400, "MissingRequestBodyError", mainUser, "POST", "/bkt/k?restore", "")
	s.refused(400, "MalformedXML", mainUser, "POST", "/bkt/k?restore", "<RestoreRequest/>")
	s.refused(403, "InvalidTier", mainUser, "POST", "/bkt/deep?restore", restoreXML("<Days>1</Days><Tier>Expedited</Tier>"))
	s.refused(403, "AccessDenied", altUser, "POST", "/bkt/k?restore", restoreXML(restoreBulk))
	s.refused(404, "NoSuchKey", mainUser, "POST", "/bkt/none?restore", restoreXML(restoreBulk))
	ask(202, restoreBulk)
	head(`ongoing-request="true"`)
	listed("<IsRestoreInProgress>true</IsRestoreInProgress>")
	s.refused(403, "InvalidObjectState", mainUser, "GET", "/bkt/k", "")
	s.refused(409, "RestoreAlreadyInProgress", mainUser, "POST", "/bkt/k?restore", restoreXML(restoreBulk))
	ask(202, "<Days>2</Days>") // faster
	s.refused(409, "RestoreAlreadyInProgress", mainUser, "POST", "/bkt/k?restore", restoreXML("<Days>3</Days><Tier>Expedited</Tier>"))

	s.clock.add(5 * time.Hour)
	head(`ongoing-request="false", expiry-date="Mon, 23 Nov 2026 00:00:00 GMT"`)
	listed("<IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>2026-11-23T00:00:00.000Z</RestoreExpiryDate>")
	r := s.must(200, mainUser, "GET", "/bkt/k", "")
	r.want(t, "x-amz-restore", `ongoing-request="false", expiry-date="Mon, 23 Nov 2026 00:00:00 GMT"`, "x-amz-storage-class", "GLACIER")
	if r.body != "cold" {
		t.Errorf("body %q", r.body)
	}
	s.must(200, mainUser, "PUT", "/bkt/warm", "", "x-amz-copy-source", "/bkt/k")
	s.must(200, mainUser, "GET", "/bkt/warm", "").want(t, "x-amz-restore", "-", "x-amz-storage-class", "-")
	id := s.begin(mainUser, "/bkt/parts")
	s.must(200, mainUser, "PUT", "/bkt/parts?partNumber=1&uploadId="+id, "", "x-amz-copy-source", "/bkt/k")
	if c, err := s.h.FinishRestores(t.Context()); err != nil || c != (object.RestoreCounts{Ready: 1}) {
		t.Errorf("%+v, %v", c, err)
	}
	tags := "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
	s.must(200, mainUser, "PUT", "/bkt/k?tagging", tags, "Content-MD5", md5Header(tags))
	ask(200, "<Days>1</Days>") // shorter
	head(`ongoing-request="false", expiry-date="Sun, 22 Nov 2026 00:00:00 GMT"`)

	s.clock.add(2 * 24 * time.Hour)
	head("-")
	s.refused(403, "InvalidObjectState", mainUser, "GET", "/bkt/k", "")
	s.refused(403, "InvalidObjectState", mainUser, "PUT", "/bkt/parts?partNumber=1&uploadId="+id, "", "x-amz-copy-source", "/bkt/k")
	if c, err := s.h.FinishRestores(t.Context()); err != nil || c != (object.RestoreCounts{Over: 1}) {
		t.Errorf("%+v, %v", c, err)
	}
	var got []string
	for _, e := range s.waiting("q1") {
		word := e.EventName
		if e.Glacier != nil {
			word += " " + e.Glacier.RestoreEventData.Expiry + " " + e.Glacier.RestoreEventData.Class
		}
		got = append(got, word)
	}
	if want := []string{"ObjectRestore:Post", "ObjectRestore:Post", "ObjectRestore:Completed 2026-11-23T00:00:00.000Z GLACIER", "ObjectRestore:Delete"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

func TestRestoreVersions(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bkt")
	s.must(200, mainUser, "PUT", "/bkt?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	old := s.must(200, mainUser, "PUT", "/bkt/k", "old", "x-amz-storage-class", "DEEP_ARCHIVE").Header.Get("x-amz-version-id")
	marker := s.must(204, mainUser, "DELETE", "/bkt/k", "").Header.Get("x-amz-version-id")
	s.refused(404, "NoSuchKey", mainUser, "POST", "/bkt/k?restore", restoreXML(restoreBulk))
	s.refused(405, "MethodNotAllowed", mainUser, "POST", "/bkt/k?restore&versionId="+marker, restoreXML(restoreBulk))
	s.must(202, mainUser, "POST", "/bkt/k?restore&versionId="+old, restoreXML(restoreBulk)).want(t, "x-amz-version-id", old)
	s.clock.add(48 * time.Hour)
	if r := s.must(200, mainUser, "GET", "/bkt/k?versionId="+old, ""); r.body != "old" {
		t.Errorf("body %q", r.body)
	}
}
