package s3

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// wire sends a request as it is given, but for the line ends and the host, and returns the
// status of the first answer, with its body. The connection stays open meanwhile.
func (s *server) wire(request string) (int, string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	head, body, _ := strings.Cut(request, "\n\n")
	head = strings.ReplaceAll(head, "\n", "\r\n") + "\r\nHost: " + s.Listener.Addr().String() + "\r\n\r\n"
	if _, err := io.WriteString(conn, head+body); err != nil {
		s.t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	if line, err := br.Peek(len("HTTP/1.1 100")); err != nil || strings.HasSuffix(string(line), "100") {
		return 100, ""
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		s.t.Fatalf("read answer: %v", err)
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(data)
}

// TestBodyIsNotAskedForInVain has a client that waits for a word before it sends a body.
func TestBodyIsNotAskedForInVain(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	const put = "PUT /bkt/key HTTP/1.1\nContent-Length: 123\nExpect: 100-continue\n\n"
	if status, body := s.wire(put); status != 403 || !strings.Contains(body, "<Code>AccessDenied</Code>") {
		t.Errorf("of a private bucket: %d %s, want 403 without the body", status, body)
	}
	s.must(200, mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", "public-read-write")
	if status, body := s.wire(put); status != 100 {
		t.Errorf("of a public bucket: %d %s, want 100", status, body)
	}
}

// TestEmptyBodyIsAskedFor has a client that waits for a word before it sends nothing.
func TestEmptyBodyIsAskedFor(t *testing.T) {
	s := newServer(t, Options{})
	s.must(200, mainUser, "PUT", "/bkt", "")
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"empty", "PUT /bkt/key HTTP/1.1\nContent-Length: 0\nExpect: 100-continue\n\n", 100},
		{"empty, waits for nothing", "PUT /bkt/key HTTP/1.1\nContent-Length: 0\n\n", 403},
		{"HTTP/1.0 has no such word", "PUT /bkt/key HTTP/1.0\nContent-Length: 0\nExpect: 100-continue\n\n", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, body := s.wire(c.request); status != c.status {
				t.Errorf("%d %s, want %d", status, body, c.status)
			}
		})
	}
}

// TestAnswerOutlivesTheBody has a client that sends far more than is read before an error
// is answered. A connection that is closed at once then is reset, and with it goes the
// answer, unless the client was quick.
func TestAnswerOutlivesTheBody(t *testing.T) {
	s := newServer(t, Options{})
	s.must(200, mainUser, "PUT", "/bkt", "")
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	const size = 8 * drainLimit
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, "PUT /bkt/key HTTP/1.1\r\nHost: "+s.Listener.Addr().String()+"\r\nContent-Length: "+itoa(size)+"\r\n\r\n")
		_, _ = io.WriteString(conn, strings.Repeat("x", size))
	}()
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "<Code>AccessDenied</Code>") {
		t.Errorf("read %q, then %v; want the answer and a proper end", answer, err)
	}
	conn.Close()
	<-sent
}
