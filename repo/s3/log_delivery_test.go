package s3

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestLogLine(t *testing.T) {
	rec := &Record{
		Time: time.Date(2026, 11, 20, 10, 0, 1, 0, time.UTC), Duration: 12 * time.Millisecond, TurnAround: 7 * time.Millisecond, ID: "ID1",
		Remote: "[::1]:4711", Method: "GET", URI: `/b/a%20b?versionId="x`, Proto: "HTTP/1.1", Bucket: "b", Key: "a b\n\"é", VersionID: "v",
		Status: 200, Out: 5, UserAgent: "curl \" forged", Scheme: "SigV4", AuthType: "AuthHeader", Host: "h:9000", TLS: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Region: "firn-1",
	}
	l := &logged{Record: rec, Owner: "own", User: "usr", Operation: "REST.GET.OBJECT", Size: 50, HostID: "HOST"}
	want := `own b [20/Nov/2026:10:00:01 +0000] ::1 usr ID1 REST.GET.OBJECT a%20b%0A%22%C3%A9 "GET /b/a%20b?versionId=%22x HTTP/1.1" ` +
		`200 - 5 50 12 7 "-" "curl %22 forged" v HOST SigV4 TLS_AES_128_GCM_SHA256 AuthHeader h:9000 TLSv1.3 - - firn-1`
	if got := l.line(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	empty := &logged{Record: &Record{Time: rec.Time}, Size: -1}
	if got, want := empty.line(), `- - [20/Nov/2026:10:00:01 +0000] - - - - - "-" - - - - - - "-" "-" - - - - - - - - - -`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLogNames(t *testing.T) {
	want := map[string]string{
		"GetObject": "REST.GET.OBJECT", "HeadBucket": "REST.HEAD.BUCKET", "CopyObject": "REST.COPY.OBJECT", "GetBucketPolicy": "REST.GET.BUCKETPOLICY",
		"PutObjectTagging": "REST.PUT.OBJECT_TAGGING", "PutBucketTagging": "REST.PUT.TAGGING", "UploadPart": "REST.PUT.PART", "ListObjectsV2": "REST.GET.BUCKET",
		"CompleteMultipartUpload": "REST.POST.UPLOAD", "DeleteObjects": "REST.POST.MULTI_OBJECT_DELETE", "GetBucketVersioning": "REST.GET.VERSIONING",
		"PostObject": "REST.POST.BUCKET", "GetObjectRetention": "REST.GET.OBJECT_LOCK_RETENTION",
	}
	form := regexp.MustCompile(`^REST\.(GET|PUT|POST|DELETE|HEAD|COPY|SELECT)\.[A-Z_]+$`)
	for i := range operations {
		op := &operations[i]
		got := logName(op, op.method, false)
		if op.level != serviceLevel && !form.MatchString(got) || want[op.name] != "" && got != want[op.name] {
			t.Errorf("%s is %s, want %s", op.name, got, want[op.name])
		}
		delete(want, op.name)
	}
	if len(want) > 0 {
		t.Errorf("no operations: %v", want)
	}
	if got := logName(siteOps["GET"], "GET", true); got != "WEBSITE.GET.OBJECT" {
		t.Error(got)
	}
}

// logServer has a bucket whose logs go to another one.
func logServer(t *testing.T, target string) (s *server, dir string, warned *[]string) {
	t.Helper()
	s = newServer(t, Options{})
	dir, warned = t.TempDir(), &[]string{}
	if err := s.h.KeepLogs(dir, func(text string) { *warned = append(*warned, text) }); err != nil {
		t.Fatal(err)
	}
	s.newBucket("source")
	s.newBucket("logs")
	s.must(204, mainUser, "PUT", "/logs?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/*"}]}`)
	config := `<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket>` + target + `</LoggingEnabled></BucketLoggingStatus>`
	s.must(200, mainUser, "PUT", "/source?logging", config, "Content-MD5", md5Header(config))
	return s, dir, warned
}

func (s *server) deliver() {
	s.t.Helper()
	if err := s.h.DeliverLogs(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// keys of a bucket, in order.
func (s *server) keys(bucket string) (list []string) {
	s.t.Helper()
	for _, m := range regexp.MustCompile(`<Key>(.*?)</Key>`).FindAllStringSubmatch(s.must(200, mainUser, "GET", "/"+bucket, "").body, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestLogsAreDelivered(t *testing.T) {
	s, dir, warned := logServer(t, `<TargetPrefix>log/</TargetPrefix>`)
	s.must(200, mainUser, "PUT", "/source/key", "data")
	s.must(200, mainUser, "GET", "/source/key", "", "User-Agent", "test/1")
	s.refused(403, "AccessDenied", altUser, "GET", "/source/key", "")
	s.refused(404, "NoSuchKey", mainUser, "GET", "/source/none", "")
	s.must(200, mainUser, "PUT", "/logs/not-logged", "x")
	s.deliver()
	keys := s.keys("logs")
	if len(keys) != 2 || !regexp.MustCompile(`^log/2026-11-20-10-00-00-[0-9A-F]{16}$`).MatchString(keys[0]) {
		t.Fatalf("keys %q", keys)
	}
	r := s.must(200, mainUser, "GET", "/logs/"+keys[0], "")
	r.want(t, "Content-Type", "text/plain")
	lines := strings.Split(r.body, "\n")
	for i, want := range []string{
		`^main-id source \[20/Nov/2026:10:00:00 \+0000\] 127\.0\.0\.1 main-id [0-9A-F]+ REST\.PUT\.OBJECT key "PUT /source/key HTTP/1\.1" 200 - - 4 `,
		` REST\.GET\.OBJECT key "GET /source/key HTTP/1\.1" 200 - 4 4 0 0 "-" "test/1" - [0-9A-F]+ SigV4 - AuthHeader 127\.0\.0\.1:\d+ - - - firn-1$`,
		` alt-id .* 403 AccessDenied `,
		` REST\.GET\.OBJECT none .* 404 NoSuchKey `,
		`^$`,
	} {
		if i >= len(lines) || !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %d is not %s: %q", i, want, lines)
		}
	}
	s.deliver()
	if left, err := filepath.Glob(filepath.Join(dir, "0", "*.log")); err != nil || len(left) > 0 || len(s.keys("logs")) != 2 || len(*warned) > 0 {
		t.Errorf("left %v, %v; keys %q; warned %q", left, err, s.keys("logs"), *warned)
	}
}

func TestLogKeysByDay(t *testing.T) {
	s, _, _ := logServer(t, `<TargetPrefix>p/</TargetPrefix><TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>`)
	s.must(200, mainUser, "PUT", "/source/a", "")
	s.clock.add(24 * time.Hour)
	s.must(200, mainUser, "PUT", "/source/b", "")
	s.deliver()
	keys := s.keys("logs")
	form := regexp.MustCompile(`^p/main-id/firn-1/source/2026/11/(20/2026-11-20|21/2026-11-21)-00-00-00-[0-9A-F]{16}$`)
	if len(keys) != 2 || !form.MatchString(keys[0]) || !form.MatchString(keys[1]) {
		t.Errorf("keys %q", keys)
	}
}

// TestLogTargetGone: logs that cannot go anywhere are given up, and the operator is told.
func TestLogTargetGone(t *testing.T) {
	s, dir, warned := logServer(t, `<TargetPrefix/>`)
	s.must(204, mainUser, "DELETE", "/logs?policy", "")
	s.must(200, mainUser, "PUT", "/source/key", "data")
	s.deliver()
	if len(*warned) != 1 || !strings.Contains((*warned)[0], "access log of bucket source") || !strings.Contains((*warned)[0], "does not let the log service in") {
		t.Errorf("warned %q", *warned)
	}
	s.must(204, mainUser, "DELETE", "/logs", "")
	s.must(200, mainUser, "PUT", "/source/key", "data")
	s.deliver()
	if left, err := filepath.Glob(filepath.Join(dir, "0", "*.log")); err != nil || len(left) > 0 || len(*warned) != 2 {
		t.Errorf("left %v, %v; warned %q", left, err, *warned)
	}
}

// TestLogsIntoTheirOwnBucket: what is delivered is no request, so it brings no further line.
func TestLogsIntoTheirOwnBucket(t *testing.T) {
	s, _, _ := logServer(t, `<TargetPrefix/>`)
	config := `<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>own/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>`
	s.must(200, mainUser, "PUT", "/logs?logging", config, "Content-MD5", md5Header(config))
	s.deliver()
	n := len(s.keys("logs")) // this listing is a request
	s.deliver()
	s.deliver()
	if got := len(s.keys("logs")); got != n+1 {
		t.Errorf("%d objects became %d", n, got)
	}
}

// TestLogsOutliveTheServer: what a server did not deliver, the next one does; half a line
// is left out.
func TestLogsOutliveTheServer(t *testing.T) {
	s, dir, warned := logServer(t, `<TargetPrefix/>`)
	s.must(200, mainUser, "PUT", "/source/key", "data")
	files, err := filepath.Glob(filepath.Join(dir, "0", "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %q, %v", files, err)
	}
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("source half of a li"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := openLogSpool(dir) // another server, which was killed, too
	if err != nil {
		t.Fatal(err)
	}
	if err := other.add("source", "main-id source [20/Nov/2026:10:00:00 +0000] of the other"); err != nil {
		t.Fatal(err)
	}
	for _, killed := range []*logSpool{s.h.logs, other} {
		if err := killed.own.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.h.KeepLogs(dir, func(text string) { *warned = append(*warned, text) }); err != nil {
		t.Fatal(err)
	}
	s.deliver()
	keys := s.keys("logs")
	if len(keys) != 2 || len(*warned) > 0 {
		t.Fatalf("keys %q, warned %q", keys, *warned)
	}
	var body string
	for _, k := range keys {
		body += s.must(200, mainUser, "GET", "/logs/"+k, "").body
	}
	if strings.Count(body, "\n") != 2 || !strings.Contains(body, "of the other") || !strings.Contains(body, "REST.PUT.OBJECT key") || strings.Contains(body, "half") {
		t.Errorf("log %s", body)
	}
}

func TestLogSpoolIsBounded(t *testing.T) {
	s, err := openLogSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) { // sparse files
		f, err := os.Create(s.path(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(logSpoolSize/2 + 1); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	list, lost, err := s.waiting()
	if err != nil || lost != 2 || len(list) != 1 || list[0] != 2 {
		t.Errorf("waiting %v, lost %d, %v", list, lost, err)
	}
	if err := s.add("b", strings.Repeat("x", logFileSize)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.full:
	default:
		t.Error("nobody was told of a large file")
	}
}
