package s3

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestNamesThatNoBucketHas: they are refused like others, and the server goes on.
func TestNamesThatNoBucketHas(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bkt")
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	for _, path := range []string{"/%00", "/%00/x", "/%01", "/..", "/../x", "/%C3%BC"} {
		for _, who := range []*account{anonymous, mainUser} {
			s.refused(404, "NoSuchBucket", who, "GET", path, "")
		}
	}
	s.refused(404, "NoSuchBucket", mainUser, "PUT", "/bkt/copy", "", "x-amz-copy-source", "/%00/x")
	s.refused(400, "InvalidBucketName", mainUser, "GET", "//x", "")
	s.must(200, mainUser, "GET", "/bkt/k", "")
	web := s.h.Website([]string{"web.example.org"})
	for _, host := range []string{"", ".", ".web.example.org", "\x00", "\x00.web.example.org"} {
		r := httptest.NewRequest("GET", "http://host/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		web.ServeHTTP(w, r)
		if w.Code != 404 || !strings.Contains(w.Body.String(), "NoSuchBucket") {
			t.Errorf("host %q: %d %s", host, w.Code, w.Body)
		}
	}
	s.must(200, mainUser, "GET", "/bkt/k", "")
}

// midway is a body in the middle of which something happens.
type midway struct {
	parts []string
	event func()
}

func (m *midway) Read(p []byte) (int, error) {
	if len(m.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.parts[0])
	if m.parts[0] = m.parts[0][n:]; m.parts[0] == "" {
		m.parts = m.parts[1:]
		if len(m.parts) == 1 {
			m.event()
		}
	}
	return n, nil
}

// TestSlowRequestMeetsAnotherBucket: a request that was allowed in one bucket does nothing
// to the bucket of somebody else that has the name by the time its body ends.
func TestSlowRequestMeetsAnotherBucket(t *testing.T) {
	s := newServer(t, Options{})
	for _, c := range []struct{ name, path, body string }{
		{"policy", "?policy", strings.ReplaceAll(readByAll, "BUCKET", "wanted")},
		{"tags", "?tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"},
		{"object", "/key", "of main"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.t = t
			s.newBucket("wanted")
			body := &midway{parts: []string{c.body[:5], c.body[5:]}, event: func() {
				s.must(204, mainUser, "DELETE", "/wanted", "")
				s.clock.add(1)
				s.must(200, altUser, "PUT", "/wanted", "")
			}}
			req, err := http.NewRequest("PUT", s.URL+"/wanted"+c.path, io.NopCloser(body))
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = int64(len(c.body))
			req.Header.Set("Content-MD5", md5Header(c.body))
			s.sign(req, mainUser, []byte(c.body))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 404 && res.StatusCode != 403 { // 403: it came to the server only behind the exchange
				t.Errorf("status %d", res.StatusCode)
			}
			s.refused(404, "NoSuchBucketPolicy", altUser, "GET", "/wanted?policy", "")
			s.refused(404, "NoSuchTagSet", altUser, "GET", "/wanted?tagging", "")
			s.refused(404, "NoSuchKey", altUser, "GET", "/wanted/key", "")
			s.must(204, altUser, "DELETE", "/wanted", "")
		})
	}
}

// TestDocumentsAreBounded: those who may do nothing cannot fill the memory with documents,
// nor keep those who may from theirs.
func TestDocumentsAreBounded(t *testing.T) {
	s := newServer(t, Options{})
	var held []func()
	for {
		done, ok := s.h.reserve(1<<20, true)
		if !ok {
			break
		}
		held = append(held, done)
	}
	if len(held) != strangeDocuments>>20 {
		t.Errorf("%d documents of strangers", len(held))
	}
	s.newBucket("bkt")
	list := "<Delete>" + strings.Repeat("<Object><Key>"+strings.Repeat("k", 900)+"</Key></Object>", 100) + "</Delete>"
	s.refused(503, "SlowDown", anonymous, "POST", "/bkt?delete", list, "Content-MD5", md5Header(list))
	s.must(200, mainUser, "POST", "/bkt?delete", list, "Content-MD5", md5Header(list))
	for _, done := range held {
		done()
	}
	s.must(200, anonymous, "POST", "/bkt?delete", list, "Content-MD5", md5Header(list)) // which answers for each key
	if s.h.documents != 0 || s.h.strange != 0 {
		t.Errorf("%d and %d bytes are still taken", s.h.documents, s.h.strange)
	}
}
