package s3

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// runRules carries the rules of all buckets out on the next day.
func (s *server) runRules(days int) {
	s.t.Helper()
	s.clock.add(time.Duration(days) * 24 * time.Hour)
	if _, err := s.e.RunLifecycle(s.t.Context(), s.h.Lifecycle()); err != nil {
		s.t.Fatal(err)
	}
}

// TestLifecycleRun sets rules by a client and lets them act: on objects of several sizes,
// tags and classes, on versions, markers and uploads; with lines in the access log and events.
func TestLifecycleRun(t *testing.T) {
	l := &toldTargets{}
	s := newServer(t, l.options())
	if err := s.h.KeepLogs(t.TempDir(), func(text string) { t.Error(text) }); err != nil {
		t.Fatal(err)
	}
	s.newBucket("bkt")
	s.newBucket("logs")
	s.must(204, mainUser, "PUT", "/logs?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/*"}]}`)
	s.putConfig(200, "logging", `<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix/></LoggingEnabled></BucketLoggingStatus>`)
	s.must(200, mainUser, "PUT", "/bkt?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	s.must(200, mainUser, "PUT", "/bkt?notification", notify(queueFor("<Id>r</Id>", event("s3:LifecycleExpiration:*")+event("s3:LifecycleTransition"))))
	s.putConfig(200, "lifecycle", lifecycleXML(
		"<ID>tmp</ID><Filter><Prefix>tmp/</Prefix></Filter><Expiration><Days>1</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"+
			"<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
		"<ID>markers</ID><Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
		"<ID>cold</ID><Filter><Prefix>cold/</Prefix></Filter>"+to("GLACIER", 1)+to("DEEP_ARCHIVE", 3),
		"<ID>tagged</ID><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Expiration><Days>1</Days></Expiration>",
		"<Status>Disabled</Status><ID>off</ID><Filter/><Expiration><Days>1</Days></Expiration>",
	))
	big := strings.Repeat("x", 128<<10)
	s.must(200, mainUser, "PUT", "/bkt/cold/big", big).want(t, "x-amz-expiration", "-")
	s.must(200, mainUser, "PUT", "/bkt/cold/small", big[1:])
	s.must(200, mainUser, "PUT", "/bkt/stays", "x", "x-amz-tagging", "k=w")
	s.must(200, mainUser, "PUT", "/bkt/tagged", "x", "x-amz-tagging", "k=v")
	s.must(200, mainUser, "PUT", "/bkt/tmp/a", "x").want(t, "x-amz-expiration", `expiry-date="Sun, 22 Nov 2026 00:00:00 GMT", rule-id="tmp"`)
	id := s.begin(mainUser, "/bkt/tmp/upload")

	s.runRules(2)
	s.refused(404, "NoSuchUpload", mainUser, "GET", "/bkt/tmp/upload?uploadId="+id, "")
	s.refused(404, "NoSuchKey", mainUser, "GET", "/bkt/tmp/a", "").want(t, "x-amz-delete-marker", "true")
	if keys := s.keys("bkt"); !slices.Equal(keys, []string{"cold/big", "cold/small", "stays"}) {
		t.Errorf("keys %q", keys)
	}
	s.must(200, mainUser, "HEAD", "/bkt/cold/big", "").want(t, "x-amz-storage-class", "GLACIER", "Last-Modified", "Fri, 20 Nov 2026 10:00:00 GMT")
	s.refused(403, "InvalidObjectState", mainUser, "GET", "/bkt/cold/big", "")
	s.must(200, mainUser, "HEAD", "/bkt/cold/small", "").want(t, "x-amz-storage-class", "-")

	s.putConfig(200, "lifecycle", s.must(200, mainUser, "GET", "/bkt?lifecycle", "").body, minimumHeader, minimumVaries)
	for range 3 {
		s.runRules(1)
	}
	s.must(200, mainUser, "HEAD", "/bkt/cold/big", "").want(t, "x-amz-storage-class", "DEEP_ARCHIVE")
	s.must(200, mainUser, "HEAD", "/bkt/cold/small", "").want(t, "x-amz-storage-class", "DEEP_ARCHIVE")
	if r := s.must(200, mainUser, "GET", "/bkt?versions&prefix=tmp", ""); strings.Contains(r.body, "<Key>") {
		t.Errorf("versions are left: %s", r.body)
	}

	var events []string
	for _, e := range s.waiting("q1") {
		word := e.EventName + " " + e.S3.Object.Key
		if e.Lifecycle != nil {
			word += " " + e.Lifecycle.TransitionEventData.Class
		}
		events = append(events, word)
	}
	slices.Sort(events)
	if want := []string{
		"LifecycleExpiration:Delete tmp/a", "LifecycleExpiration:Delete tmp/a", "LifecycleExpiration:DeleteMarkerCreated tagged", "LifecycleExpiration:DeleteMarkerCreated tmp/a",
		"LifecycleTransition cold/big DEEP_ARCHIVE", "LifecycleTransition cold/big GLACIER", "LifecycleTransition cold/small DEEP_ARCHIVE", "LifecycleTransition cold/small GLACIER",
	}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	s.deliver()
	var lines []string
	for _, key := range s.keys("logs") {
		lines = append(lines, strings.Split(s.must(200, mainUser, "GET", "/logs/"+key, "").body, "\n")...)
	}
	for _, want := range []string{
		`^main-id bkt \[22/Nov/2026:10:00:00 \+0000\] - AmazonS3 [0-9A-F]{16} S3\.CREATE\.DELETEMARKER tmp/a "-" - - - - - - "-" "-" [0-9a-f]{32} [0-9A-F]+ - - - - - - - firn-1$`,
		` S3\.EXPIRE\.OBJECT tmp/a "-" - - - 1 - - `, ` S3\.DELETE\.UPLOAD tmp/upload `, ` S3\.TRANSITION\.OBJECT cold/big "-" - - - 131072 `, ` S3\.TRANSITION_GDA\.OBJECT cold/small `,
	} {
		if !slices.ContainsFunc(lines, regexp.MustCompile(want).MatchString) {
			t.Errorf("no line is %s in\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

// TestLifecycleClasses: a class is asked for in each way there is, told in each way there is,
// and unknown ones are refused.
func TestLifecycleClasses(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bkt")
	for _, class := range []string{"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"} {
		shown := class
		if class == "STANDARD" {
			shown = "-"
		}
		s.must(200, mainUser, "PUT", "/bkt/put", "x", "x-amz-storage-class", class)
		s.must(200, mainUser, "PUT", "/bkt/source", "x")
		s.must(200, mainUser, "PUT", "/bkt/copy", "", "x-amz-copy-source", "/bkt/source", "x-amz-storage-class", class)
		id := s.begin(mainUser, "/bkt/upload", "x-amz-storage-class", class)
		if r := s.must(200, mainUser, "GET", "/bkt/upload?uploadId="+id, ""); !strings.Contains(r.body, "<StorageClass>"+class+"</StorageClass>") {
			t.Errorf("ListParts: %s", r.body)
		}
		tag := s.part(mainUser, "/bkt/upload", id, 1, "x")
		s.complete(mainUser, "/bkt/upload", id, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+tag+"</ETag></Part></CompleteMultipartUpload>")
		for _, key := range []string{"put", "copy", "upload"} {
			s.must(200, mainUser, "HEAD", "/bkt/"+key, "").want(t, "x-amz-storage-class", shown)
			for _, path := range []string{"/bkt?prefix=" + key, "/bkt?list-type=2&prefix=" + key, "/bkt?versions&prefix=" + key} {
				if r := s.must(200, mainUser, "GET", path, ""); !strings.Contains(r.body, "<StorageClass>"+class+"</StorageClass>") {
					t.Errorf("%s: %s", path, r.body)
				}
			}
			r := s.must(200, mainUser, "GET", "/bkt/"+key+"?attributes", "", "x-amz-object-attributes", "StorageClass")
			if !strings.Contains(r.body, "<StorageClass>"+class+"</StorageClass>") {
				t.Errorf("attributes: %s", r.body)
			}
		}
	}
	s.must(200, mainUser, "PUT", "/bkt/warm", "x", "x-amz-storage-class", "STANDARD_IA")
	s.must(200, mainUser, "PUT", "/bkt/warm", "", "x-amz-copy-source", "/bkt/warm", "x-amz-metadata-directive", "REPLACE")
	s.must(200, mainUser, "HEAD", "/bkt/warm", "").want(t, "x-amz-storage-class", "-")
	for _, class := range []string{"OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS", "standard"} {
		r := s.refused(400, "InvalidStorageClass", mainUser, "PUT", "/bkt/k", "x", "x-amz-storage-class", class)
		if !strings.Contains(r.body, "<StorageClassRequested>"+class+"</StorageClassRequested>") {
			t.Error(r.body)
		}
		s.refused(400, "InvalidStorageClass", mainUser, "POST", "/bkt/k?uploads", "", "x-amz-storage-class", class)
	}
}
