//go:build unix

package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The one command is enough, and the command line works beside it.
func TestServeAlone(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	s := startServer(t, e, nil)
	if !strings.Contains(s.errs.String(), "losing that file loses the data") || s.root == (keyPair{}) {
		t.Errorf("the first start said %s", s.errs.String())
	}
	s.want(s.root, "PUT", "/photos", "", 200)
	s.want(s.root, "PUT", "/photos/a/cat.jpg", "meow", 200)
	if got := s.want(s.root, "GET", "/photos/a/cat.jpg", "", 200); got != "meow" {
		t.Errorf("got %q", got)
	}
	s.want(keyPair{}, "GET", "/photos/a/cat.jpg", "", 403)
	s.want(keyPair{}, "GET", "/healthz", "", 200)
	s.want(s.root, "GET", "/healthz", "", 404) // the bucket

	const repository = ` -r "$HOME/.local/share/firn/default" --identity-file "$HOME/.local/share/firn/default.key"`
	e.run(t, "serve", scriptStep{command: "firn backup --quiet tree" + repository})
	e.run(t, "serve", scriptStep{command: "firn snapshots --json" + repository, stdout: []string{`\[\{.*\}\]`}})
	e.write(t, "secret", "secret-of-alice\n")
	e.run(t, "serve", scriptStep{command: "firn user add alice --access-key AKALICE --secret-key-file secret --quiet", stdout: []string{"access key: AKALICE"}})
	alice := keyPair{"AKALICE", "secret-of-alice"}
	s.await(func() bool { status, _ := s.do(alice, "GET", "/", ""); return status == 200 })
	if list := s.want(alice, "GET", "/", "", 200); strings.Contains(list, "photos") {
		t.Errorf("alice sees %s", list)
	}
	s.want(alice, "GET", "/photos/a/cat.jpg", "", 403)
	e.run(t, "serve", scriptStep{command: "firn user disable alice --quiet"})
	s.await(func() bool { status, _ := s.do(alice, "GET", "/", ""); return status == 403 })

	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	again := startServer(t, e, nil)
	if again.root != (keyPair{}) {
		t.Error("the key pair is shown again")
	}
	if got := again.want(s.root, "GET", "/photos/a/cat.jpg", "", 200); got != "meow" {
		t.Errorf("got %q after the restart", got)
	}
	if code := again.stop(os.Interrupt); code != 0 {
		t.Errorf("exit code %d", code)
	}
	e.run(t, "serve", scriptStep{command: "firn check --read-data --quiet" + repository})
}

func TestServeUsersOfFiles(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	e.write(t, "users.json", `[{"name":"bob","access_key":"AKBOB","secret_key":"secret-of-bob","id":"b0b","display_name":"Bob","email":"b@example.org"}]`)
	args := append(repositoryOf(t, e), "--users-file", "users.json", "--credentials-file", "root.ini")
	s := startServer(t, e, nil, args...)
	if pair, made, err := rootOfFile(filepath.Join(e.dir, "root.ini")); err != nil || made || pair != s.root {
		t.Errorf("the file has not what was shown: %v, %v", made, err)
	}
	bob := keyPair{"AKBOB", "secret-of-bob"}
	s.want(bob, "PUT", "/bobs", "", 200)
	s.want(s.root, "PUT", "/roots", "", 200)
	if list := s.want(bob, "GET", "/", "", 200); !strings.Contains(list, "<ID>b0b</ID>") || strings.Contains(list, "roots") {
		t.Errorf("bob sees %s", list)
	}
	s.want(keyPair{bob.access, "another secret"}, "GET", "/", "", 403)
	s.stop(syscall.SIGTERM)

	// The ID of root is the same however its key pair is given, so its buckets stay its own.
	other := startServer(t, e, nil, repositoryArgs...)
	if list := other.want(other.root, "GET", "/", "", 200); !strings.Contains(list, "roots") {
		t.Errorf("root sees %s", list)
	}
	other.want(bob, "GET", "/", "", 403)
	other.stop(syscall.SIGTERM)
}

// A request under way when the signal comes is finished, and nothing new is begun.
func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	s := startServer(t, e, nil, append(repositoryOf(t, e), "--metrics-listen", "127.0.0.1:0")...)
	s.want(s.root, "PUT", "/bkt", "", 200)
	conn := s.halfPut(2<<20, 1<<20)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.await(func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.endpoint, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	if _, err := conn.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK\r\n") {
		t.Errorf("answer %s, %v", answer, err)
	}
	if code := exitOf(t, s.cmd); code != 0 {
		t.Errorf("exit code %d", code)
	}
	again := startServer(t, e, nil, repositoryArgs...)
	if got := again.want(s.root, "GET", "/bkt/k", "", 200); len(got) != 2<<20 {
		t.Errorf("%d bytes", len(got))
	}
}

// One that does not finish in time is cut off, and was not acknowledged.
func TestServeCutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	s := startServer(t, e, nil, append(repositoryOf(t, e), "--shutdown-timeout", "100ms")...)
	s.want(s.root, "PUT", "/bkt", "", 200)
	conn := s.halfPut(2<<20, 1<<20)
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if answer, _ := io.ReadAll(conn); strings.Contains(string(answer), " 200 OK") {
		t.Errorf("half a body was acknowledged: %s", answer)
	}
	if !strings.Contains(s.errs.String(), "1 request did not finish within 100ms and was cut off") {
		t.Errorf("it said %s", s.errs.String())
	}
	again := startServer(t, e, nil, repositoryArgs...)
	again.want(s.root, "GET", "/bkt/k", "", 404)
}

// What was acknowledged survives the end of the process without any notice.
func TestServeIsKilled(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	s := startServer(t, e, nil, repositoryOf(t, e)...)
	s.want(s.root, "PUT", "/bkt", "", 200)
	for i := range 20 {
		s.want(s.root, "PUT", fmt.Sprintf("/bkt/k%d", i), fmt.Sprint(i), 200)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
	again := startServer(t, e, nil, repositoryArgs...)
	for i := range 20 {
		if got := again.want(s.root, "GET", fmt.Sprintf("/bkt/k%d", i), "", 200); got != fmt.Sprint(i) {
			t.Errorf("k%d is %q", i, got)
		}
	}
}

func TestServeTLS(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	certFile, keyFile := filepath.Join(e.dir, "cert.pem"), filepath.Join(e.dir, "key.pem")
	pool := writeCertificate(t, certFile, keyFile, 1)
	s := startServer(t, e, nil, append(repositoryOf(t, e), "--tls-cert", certFile, "--tls-key", keyFile, "--access-log", "access.log")...)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	s.client.Transport = transport
	resp, err := s.client.Do(s.request(s.root, "PUT", "/bkt", nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.Proto != "HTTP/2.0" || resp.StatusCode != 200 {
		t.Errorf("%s, status %d", resp.Proto, resp.StatusCode)
	}
	big := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB: more than the windows of HTTP/2
	s.want(s.root, "PUT", "/bkt/k", big, 200)
	if got := s.want(s.root, "GET", "/bkt/k", "", 200); got != big {
		t.Errorf("got %d bytes", len(got))
	}

	// With SIGHUP another certificate, and another log.
	transport.TLSClientConfig = &tls.Config{RootCAs: writeCertificate(t, certFile, keyFile, 2)}
	if err := os.Rename(filepath.Join(e.dir, "access.log"), filepath.Join(e.dir, "access.log.1")); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.await(func() bool { return strings.Contains(s.errs.String(), "opened the access log anew") })
	s.client.CloseIdleConnections()
	s.client.Transport = &http.Transport{TLSClientConfig: transport.TLSClientConfig}
	resp, err = s.client.Do(s.request(s.root, "GET", "/bkt/k", nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if n := resp.TLS.PeerCertificates[0].SerialNumber.Int64(); n != 2 || resp.Proto != "HTTP/1.1" {
		t.Errorf("certificate %d, %s", n, resp.Proto)
	}
	s.stop(syscall.SIGTERM)
	for name, want := range map[string]int{"access.log.1": 3, "access.log": 1} {
		text, err := os.ReadFile(filepath.Join(e.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if len(lines) != want {
			t.Errorf("%s has %d lines, want %d: %s", name, len(lines), want, text)
		}
		for _, line := range lines {
			var l accessLine
			if err := json.Unmarshal([]byte(line), &l); err != nil || l.Status != 200 || l.Requester != "root" || l.TLS != "TLSv1.3" || l.Bucket != "bkt" {
				t.Errorf("%s: %v: %s", name, err, line)
			}
		}
	}
}

func TestServeMetrics(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free a moment later, too
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	s := startServer(t, e, nil, append(repositoryOf(t, e), "--metrics-listen", addr)...)
	s.want(s.root, "PUT", "/bkt", "", 200)
	s.want(s.root, "PUT", "/bkt/k", "12345", 200)
	s.want(s.root, "GET", "/bkt/missing", "", 404)
	for name, want := range map[string]string{
		`firn_s3_requests_total{operation="PutObject",status="200"}`:       "1",
		`firn_s3_request_duration_seconds_count{operation="CreateBucket"}`: "1",
		`firn_s3_errors_total{code="NoSuchKey"}`:                           "1",
		`firn_s3_received_bytes_total`:                                     "5",
		`firn_s3_requests_in_flight`:                                       "0",
		`firn_s3_connections`:                                              "1",
		`firn_buckets`:                                                     "1",
	} {
		if got := metric(t, addr, name); got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	if status, answer := s.do(keyPair{}, "GET", "/metrics", ""); status == 200 || strings.Contains(answer, "firn_s3") {
		t.Errorf("S3 answers with metrics: %d", status)
	}
}

// A client that stops in the middle of a body is told so and cut.
func TestServeCutsStalledBodies(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	s := startServer(t, e, nil, append(repositoryOf(t, e), "--stall-timeout", "1s")...)
	s.want(s.root, "PUT", "/bkt", "", 200)
	answer, err := io.ReadAll(s.halfPut(1<<20, 1<<10))
	if err != nil || !strings.Contains(string(answer), " 400 Bad Request") || !strings.Contains(string(answer), "<Code>RequestTimeout</Code>") {
		t.Errorf("answer %s, %v", answer, err)
	}
	s.want(s.root, "GET", "/bkt/k", "", 404)
}

func TestServeRefusesLongHeaders(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	s := startServer(t, e, nil, repositoryOf(t, e)...)
	r := s.request(s.root, "GET", "/", nil)
	r.Header.Set("x-amz-meta-x", strings.Repeat("x", 17<<10))
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestServeTellsTheServiceManager(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	conn, name := manager(t)
	s := startServer(t, e, []string{"NOTIFY_SOCKET=" + name}, repositoryOf(t, e)...)
	if got := heard(t, conn); got != "READY=1" {
		t.Errorf("heard %q", got)
	}
	s.stop(syscall.SIGTERM)
	if got := heard(t, conn); got != "STOPPING=1" {
		t.Errorf("heard %q", got)
	}
}

func TestServeOnASocketHandedOver(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	repositoryOf(t, e)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sh", "-c", "LISTEN_PID=$$ exec firn serve s3 --json -r repo --identity-file key")
	cmd.ExtraFiles = []*os.File{f}
	s := awaitServer(t, e, []string{"LISTEN_FDS=1"}, cmd)
	u, err := url.Parse(s.endpoint)
	if err != nil || u.Host != l.Addr().String() {
		t.Errorf("it listens on %s, not on %s", s.endpoint, l.Addr())
	}
	s.want(keyPair{}, "GET", "/healthz", "", 200)
	s.stop(syscall.SIGTERM)
}
