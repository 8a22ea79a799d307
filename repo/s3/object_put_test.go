package s3

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestBoundedReader(t *testing.T) {
	for _, c := range []struct {
		size, limit int64
		code        string
	}{{10, 10, ""}, {11, 10, "EntityTooLarge"}, {0, 0, ""}} {
		r := &boundedReader{r: bytes.NewReader(make([]byte, c.size)), left: c.limit, size: -1}
		_, err := io.ReadAll(r)
		wantCode(t, err, c.code)
	}
}

func TestBodyThatEndsEarly(t *testing.T) {
	for _, key := range [][]byte{nil, testKey(1)} {
		b, err := newBody(key, "", false, &boundedReader{r: bytes.NewReader(make([]byte, 10)), left: 100, size: 11})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, b.Reader); err != nil {
			t.Fatal(err)
		}
		_, err = b.finish()
		wantCode(t, err, "IncompleteBody")
		b.stop()
	}
}

// TestErrorOfBodyStaysItself makes sure that what verifies the body is heard through all the
// readers around it.
func TestErrorOfBodyStaysItself(t *testing.T) {
	broken := errors.New("broken")
	for _, key := range [][]byte{nil, testKey(1)} {
		b, err := newBody(key, "SHA256", true, io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), errorReader{broken}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, b.Reader); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		b.stop()
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// TestPutWithoutLength speaks for itself over the wire: clients of net/http always tell a length.
func TestPutWithoutLength(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.newBucket("bucket")
	s.must(200, mainUser, "PUT", "/bucket?acl", "", "x-amz-acl", "public-read-write")
	s.must(200, mainUser, "PUT", "/bucket/k", "before", "x-amz-acl", "public-read")
	for _, c := range []struct {
		name, target, headers, body, code string
		status                            int
	}{
		{"object", "/bucket/k", "", "", "MissingContentLength", 411},
		{"object of unknown length", "/bucket/k", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n", "<Header>Transfer-Encoding</Header>", 501},
		{"part", "/bucket/k?partNumber=1&uploadId=x", "", "", "MissingContentLength", 411},
		{"empty object", "/bucket/empty", "Content-Length: 0\r\n", "", "", 200},
		{"copy", "/bucket/copy", "x-amz-copy-source: /bucket/k\r\n", "", "", 200},
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s", c.target, s.Listener.Addr(), c.headers, c.body)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		body, err := io.ReadAll(r.Body)
		if err = errors.Join(err, conn.Close()); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if r.StatusCode != c.status || !strings.Contains(string(body), c.code) {
			t.Errorf("%s: status %d, want %d %s: %s", c.name, r.StatusCode, c.status, c.code, body)
		}
	}
	if got := s.must(200, mainUser, "GET", "/bucket/k", "").body; got != "before" {
		t.Errorf("the object has become %q", got)
	}
}
