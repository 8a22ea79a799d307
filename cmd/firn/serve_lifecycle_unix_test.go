//go:build unix

package main

import (
	"crypto/md5"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// head returns the headers of an object, or nil if it is not there.
func (s *serverProcess) head(path string) http.Header {
	s.t.Helper()
	resp, err := s.client.Do(s.request(s.root, "HEAD", path, nil))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	return resp.Header
}

func TestNextLook(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		now             string
		rules, restores time.Duration
		want            time.Duration
	}{
		{"2026-01-15T10:30:00Z", 0, 0, time.Minute},
		{"2026-01-15T23:59:30Z", 0, 0, 30 * time.Second},
		{"2026-01-16T00:00:00Z", 0, 0, time.Minute},
		{"2026-01-15T10:30:00Z", 0, 20 * time.Second, 2 * time.Second},
		{"2026-01-15T10:30:09.75Z", 10 * time.Second, 0, 250 * time.Millisecond},
		{"2026-01-15T10:30:09.9999999Z", 10 * time.Second, 0, time.Millisecond},
	} {
		if got := nextLook(at(c.now), calendar(c.rules), calendar(c.restores)); got != c.want {
			t.Errorf("at %s with days of %s and %s: %s, want %s", c.now, c.rules, c.restores, got, c.want)
		}
	}
}

// Rules act and copies become readable and go again, while days last a second; and by hand.
func TestServeLifecycle(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	metrics := free.Addr().String() // free a moment later, too
	free.Close()
	s := startServer(t, e, nil, append(repositoryOf(t, e), "--lifecycle-day", "1s", "--restore-day", "1s", "--metrics-listen", metrics)...)
	for _, want := range []string{"TRIAL: a day of lifecycle rules lasts 1s", "TRIAL: a day of restored copies lasts 1s"} {
		if !strings.Contains(s.errs.String(), want) {
			t.Errorf("the server did not say %s", want)
		}
	}
	s.want(s.root, "PUT", "/bkt", "", 200)
	s.want(s.root, "PUT", "/bkt/tmp/a", "x", 200)
	s.want(s.root, "PUT", "/bkt/stays", "x", 200)
	rules := `<LifecycleConfiguration><Rule><ID>tmp</ID><Status>Enabled</Status><Filter><Prefix>tmp/</Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule>` +
		`<Rule><ID>later</ID><Status>Enabled</Status><Filter><Prefix>stays</Prefix></Filter><Expiration><Date>2030-01-01</Date></Expiration></Rule>` +
		`<Rule><ID>cold</ID><Status>Enabled</Status><Filter><And><Prefix>cold</Prefix><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter>` +
		`<Transition><Days>0</Days><StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>`
	r := s.request(s.root, "PUT", "/bkt?lifecycle=", strings.NewReader(rules))
	sum := md5.Sum([]byte(rules))
	r.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	if resp, err := s.client.Do(r); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	s.await(func() bool { return s.head("/bkt/tmp/a") == nil })
	if s.head("/bkt/stays") == nil {
		t.Error("it is gone, too")
	}
	s.await(func() bool { return strings.Contains(s.errs.String(), "lifecycle rules: 1 version removed") })

	s.want(s.root, "PUT", "/bkt/cold", "cold", 200)
	s.await(func() bool { return s.head("/bkt/cold").Get("x-amz-storage-class") == "GLACIER" })
	s.want(s.root, "GET", "/bkt/cold", "", 403)
	s.want(s.root, "POST", "/bkt/cold?restore=", "<RestoreRequest><Days>2</Days><GlacierJobParameters><Tier>Expedited</Tier></GlacierJobParameters></RestoreRequest>", 202)
	if got := s.want(s.root, "GET", "/bkt/cold", "", 200); got != "cold" {
		t.Errorf("body %q", got)
	}
	s.await(func() bool { return s.head("/bkt/cold").Get("x-amz-restore") == "" })
	s.want(s.root, "GET", "/bkt/cold", "", 403)
	for name, want := range map[string]string{"firn_lifecycle_removed_total": "1", "firn_restores_completed_total": "1", "firn_restores_expired_total": "1"} {
		s.await(func() bool { return metric(t, metrics, name) == want })
	}
	if metric(t, metrics, "firn_lifecycle_finished_time_seconds") == "" {
		t.Error("the last run is not in the metrics")
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, c := range []struct{ command, want string }{
		{"firn lifecycle status -r repo --identity-file key", "> day .* UTC\n> server .*\n> started .*\n> finished .*\n> did .*\n> looked at .*\n"},
		{"firn lifecycle run -r repo --identity-file key --dry-run", "> nothing is due; 2 versions and uploads looked at\n2> firn: dry run: nothing is changed\n"},
		{"firn lifecycle run -r repo --identity-file key --json", `> {"type":"summary","looked":2,"removed":0,"marked":0,"moved":0,"aborted":0,"seconds":.*}` + "\n"},
	} {
		for _, step := range parseScript(t, "$ "+c.command+"\n"+c.want) {
			e.run(t, "lifecycle", step)
		}
	}
}
