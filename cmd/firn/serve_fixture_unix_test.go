//go:build unix

package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// serverProcess is a running firn serve s3.
type serverProcess struct {
	t        *testing.T
	cmd      *exec.Cmd
	endpoint string
	region   string
	root     keyPair
	websites []string
	client   *http.Client

	errs lockedBuffer
}

// lockedBuffer can be read while a process writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// startServer starts a server on ports of its own and returns when it takes requests. env
// is added to that of the scripts.
func startServer(t *testing.T, e *scriptEnv, env []string, args ...string) *serverProcess {
	t.Helper()
	args = append([]string{"serve", "s3", "--json", "--listen", "127.0.0.1:0"}, args...)
	cmd := exec.Command(filepath.Join(filepath.Dir(e.dir), "bin", "firn"), args...)
	return awaitServer(t, e, env, cmd)
}

func awaitServer(t *testing.T, e *scriptEnv, env []string, cmd *exec.Cmd) *serverProcess {
	t.Helper()
	s := &serverProcess{t: t, cmd: cmd, client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}}
	cmd.Dir, cmd.Env, cmd.Stderr = e.dir, append(append([]string{}, e.env...), env...), &s.errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the server said:\n%s", s.errs.String())
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("the server did not start: %v\n%s", err, s.errs.String())
	}
	var o servingObject
	if err := json.Unmarshal(line, &o); err != nil || o.Type != "serving" || len(o.Endpoints) == 0 {
		t.Fatalf("the server said %s: %v", line, err)
	}
	s.endpoint, s.region, s.websites = o.Endpoints[0], o.Region, o.Websites
	s.await(func() bool { return strings.Contains(s.errs.String(), " s3 ls\n") }) // the end of the banner
	if m := regexp.MustCompile(`access key of root: (\S+)\n.*secret key of root: (\S+)`).FindStringSubmatch(s.errs.String()); m != nil {
		s.root = keyPair{m[1], m[2]}
	}
	return s
}

// stop sends a signal and returns the exit code.
func (s *serverProcess) stop(sig os.Signal) int {
	s.t.Helper()
	s.client.CloseIdleConnections()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	return exitOf(s.t, s.cmd)
}

// request makes a request with a signature of version 4, its body unsigned.
func (s *serverProcess) request(pair keyPair, method, path string, body io.Reader) *http.Request {
	s.t.Helper()
	r, err := http.NewRequest(method, s.endpoint+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if pair != (keyPair{}) {
		sign(r, pair, s.region, time.Now())
	}
	return r
}

func (s *serverProcess) do(pair keyPair, method, path, body string) (status int, answer string) {
	s.t.Helper()
	resp, err := s.client.Do(s.request(pair, method, path, strings.NewReader(body)))
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(data)
}

// want makes a request and compares the status.
func (s *serverProcess) want(pair keyPair, method, path, body string, status int) string {
	s.t.Helper()
	got, answer := s.do(pair, method, path, body)
	if got != status {
		s.t.Errorf("%s %s: status %d, want %d: %s", method, path, got, status, answer)
	}
	return answer
}

// sign signs host, date and payload hash of a request with a simple path and query.
func sign(r *http.Request, pair keyPair, region string, now time.Time) {
	date := now.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", date)
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	const names = "host;x-amz-content-sha256;x-amz-date"
	canonical := strings.Join([]string{
		r.Method, r.URL.EscapedPath(), strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20"),
		"host:" + r.URL.Host, "x-amz-content-sha256:UNSIGNED-PAYLOAD", "x-amz-date:" + date, "", names, "UNSIGNED-PAYLOAD",
	}, "\n")
	scope := date[:8] + "/" + region + "/s3/aws4_request"
	sum := sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + pair.secret)
	for _, part := range []string{date[:8], region, "s3", "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", pair.access, scope, names, key))
}

// await asks until ok says yes. What other processes commit is seen after a while.
func (s *serverProcess) await(ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			s.t.Fatal("it does not happen")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// repositoryOf makes a repository for a server and returns the flags that name it.
func repositoryOf(t *testing.T, e *scriptEnv) []string {
	t.Helper()
	e.run(t, "serve", scriptStep{command: "firn init -r repo --recipient-file pub --quiet"})
	return []string{"-r", "repo", "--identity-file", "key"}
}

var repositoryArgs = []string{"-r", "repo", "--identity-file", "key"}

// halfPut begins to put an object, and returns when the server has read some of it.
func (s *serverProcess) halfPut(length, sent int) net.Conn {
	s.t.Helper()
	r := s.request(s.root, "PUT", "/bkt/k", nil)
	conn := dial(s.t, r.URL.Host)
	_, err := fmt.Fprintf(conn, "PUT /bkt/k HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n", r.URL.Host, length)
	if err == nil {
		err = r.Header.Write(conn)
	}
	if err == nil {
		_, err = io.WriteString(conn, "\r\n")
	}
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	answer := make([]byte, len(goOn))
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err == nil {
		_, err = conn.Write(make([]byte, sent))
	}
	if err != nil || string(answer) != goOn {
		s.t.Fatalf("%v: %s", err, answer)
	}
	return conn
}

// metric reads one value from the address of --metrics-listen.
func metric(t *testing.T, addr, name string) string {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (.*)$`).FindSubmatch(text)
	if m == nil {
		return ""
	}
	return string(m[1])
}
