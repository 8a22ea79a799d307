//go:build unix

package main

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// A website is served apart from S3, by the name of the host.
func TestServeWebsite(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	s := startServer(t, e, nil, "--website-listen", "127.0.0.1:0", "--website-domain", "web.test", "--acls-enabled")
	if len(s.websites) != 1 || !strings.Contains(s.errs.String(), "serving websites at "+s.websites[0]) {
		t.Fatalf("websites %v; the server said %s", s.websites, s.errs.String())
	}
	s.want(s.root, "PUT", "/pages", "", 200)
	s.want(s.root, "DELETE", "/pages?publicAccessBlock=", "", 204)
	s.want(s.root, "PUT", "/pages?policy=", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::pages/*"}]}`, 204)
	s.want(s.root, "PUT", "/pages?website=", `<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>`, 200)
	s.want(s.root, "PUT", "/pages/index.html", "home", 200)
	for host, want := range map[string]string{"pages.web.test": "home", "pages": "home", "127.0.0.1": "NoSuchBucket", "healthz": "NoSuchBucket"} {
		r, err := http.NewRequest("GET", s.websites[0]+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		res, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %q, %v", host, body, err)
		}
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
