package s3

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// site is a website endpoint beside a server.
type site struct {
	*server
	test *testing.T
	web  http.Handler
}

const readByAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*"}]}`

// newSite makes a public bucket with a website.
func newSite(t *testing.T, bucket, config string) *site {
	t.Helper()
	s := newServer(t, Options{})
	s.newBucket(bucket)
	s.must(204, mainUser, "DELETE", "/"+bucket+"?publicAccessBlock", "")
	s.must(204, mainUser, "PUT", "/"+bucket+"?policy", strings.ReplaceAll(readByAll, "BUCKET", bucket))
	if config != "" {
		s.configure(bucket, config)
	}
	return &site{s, t, s.h.Website([]string{"web.example.org"})}
}

func (s *server) configure(bucket, config string) {
	s.t.Helper()
	config = "<WebsiteConfiguration>" + config + "</WebsiteConfiguration>"
	s.must(200, mainUser, "PUT", "/"+bucket+"?website", config, "Content-MD5", md5Header(config))
}

// visit asks the website as a browser would; url has the host.
func (s *site) visit(method, url string, headers ...string) *reply {
	s.t.Helper()
	r := httptest.NewRequest(method, "http://"+url, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.web.ServeHTTP(w, r)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Request = r
	return &reply{res, string(body)}
}

const indexAndError = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>error.html</Key></ErrorDocument>"

func TestWebsite(t *testing.T) {
	s := newSite(t, "pages", indexAndError)
	for key, data := range map[string]string{"index.html": "home", "docs/index.html": "the docs", "a+b.html": "plus", "error.html": "sorry"} {
		s.must(200, mainUser, "PUT", "/pages/"+strings.ReplaceAll(key, "+", "%2B"), data, "Content-Type", "text/html", "Cache-Control", "max-age=60")
	}
	s.must(200, mainUser, "PUT", "/pages/old", "", "x-amz-website-redirect-location", "/docs/")
	s.must(200, mainUser, "PUT", "/pages/away", "", "x-amz-website-redirect-location", "https://example.org/x")
	const host = "pages.web.example.org:8080"
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             int
		body               string
		has                []string
	}{
		{"root", "GET", "/", nil, 200, "home", []string{"Content-Type", "text/html", "Cache-Control", "max-age=60", "ETag", `"106a6c241b8797f52e1e77317b96a201"`}},
		{"head", "HEAD", "/", nil, 200, "", []string{"Content-Length", "4"}},
		{"directory", "GET", "/docs/", nil, 200, "the docs", nil},
		{"directory without slash", "GET", "/docs", nil, 302, "", []string{"Location", "/docs/"}},
		{"escaped", "GET", "/a%2Bb.html", nil, 200, "plus", nil},
		{"parameters mean nothing", "GET", "/a+b.html?acl&versionId=1&response-content-type=x", nil, 200, "plus", []string{"Content-Type", "text/html"}},
		{"range", "GET", "/", []string{"Range", "bytes=1-2"}, 206, "om", []string{"Content-Range", "bytes 1-2/4"}},
		{"range beyond the end", "GET", "/", []string{"Range", "bytes=9-"}, 416, "", []string{"X-Amz-Error-Code", "InvalidRange", "Content-Range", "bytes */4"}},
		{"not modified", "GET", "/", []string{"If-None-Match", `"106a6c241b8797f52e1e77317b96a201"`}, 304, "", nil},
		{"redirect of an object", "GET", "/old", nil, 301, "", []string{"Location", "/docs/"}},
		{"redirect to elsewhere", "GET", "/away", nil, 301, "", []string{"Location", "https://example.org/x"}},
		{"missing", "GET", "/none", nil, 403, "sorry", []string{"X-Amz-Error-Code", "AccessDenied", "Content-Type", "text/html"}},
		{"head of what is missing", "HEAD", "/none", nil, 403, "", []string{"Content-Length", "5"}},
		{"put", "PUT", "/x", nil, 405, "", []string{"X-Amz-Error-Code", "MethodNotAllowed", "Allow", "GET, HEAD, OPTIONS"}},
		{"a path is a key", "GET", "/../index.html", nil, 403, "sorry", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.visit(c.method, host+c.path, c.headers...)
			if r.StatusCode != c.status || c.body != "" && r.body != c.body {
				t.Errorf("%d %q", r.StatusCode, r.body)
			}
			r.want(t, c.has...)
		})
	}
}

func (s *site) html(r *reply, status int, parts ...string) {
	s.t.Helper()
	if r.StatusCode != status || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		s.t.Errorf("status %d, %s: %s", r.StatusCode, r.Header.Get("Content-Type"), r.body)
	}
	contains(s.test, r, parts...)
}

// TestWebsiteErrors: browsers see pages, also when the page for errors is missing.
func TestWebsiteErrors(t *testing.T) {
	s := newSite(t, "pages", "")
	s.html(s.visit("GET", "none.web.example.org/"), 404, "<h1>404 Not Found</h1>", "<li>Code: NoSuchBucket</li>", "<li>BucketName: none</li>", "<li>RequestId: ")
	s.html(s.visit("GET", "pages.web.example.org/"), 404, "<li>Code: NoSuchWebsiteConfiguration</li>")
	s.configure("pages", indexAndError)
	s.html(s.visit("GET", "pages.web.example.org/none"), 403, "<li>Code: AccessDenied</li>", "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>")

	// Who may list learns that the key is not there.
	s.must(204, mainUser, "PUT", "/pages?policy", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::pages/*","arn:aws:s3:::pages"]}]}`)
	r := s.visit("GET", "pages.web.example.org/%3Cscript%3E")
	s.html(r, 404, "<li>Code: NoSuchKey</li>", "<li>Key: &lt;script&gt;</li>", "Custom Error Document", "<li>Key: error.html</li>")
	r.want(t, "X-Amz-Error-Detail-Key", "%3Cscript%3E", "X-Amz-Error-Code", "NoSuchKey")

	// A private object stays private, whoever signs.
	s.must(204, mainUser, "DELETE", "/pages?policy", "")
	s.must(200, mainUser, "PUT", "/pages/index.html", "home")
	s.html(s.visit("GET", "pages.web.example.org/"), 403, "<li>Code: AccessDenied</li>")
	s.html(s.visit("GET", "pages.web.example.org/"+strings.Repeat("k", maxKey+1)), 400, "<li>Code: KeyTooLongError</li>")
}

func TestWebsiteOfAHost(t *testing.T) {
	s := newSite(t, "www.example.com", indexAndError)
	s.must(200, mainUser, "PUT", "/www.example.com/index.html", "home")
	for _, host := range []string{"www.example.com", "WWW.example.com:8080", "www.example.com.", "www.example.com.web.example.org"} {
		if r := s.visit("GET", host+"/"); r.body != "home" {
			t.Errorf("%s: %d %s", host, r.StatusCode, r.body)
		}
	}
}

func TestWebsiteMoves(t *testing.T) {
	s := newSite(t, "pages", "<RedirectAllRequestsTo><HostName>example.net</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>")
	r := s.visit("GET", "pages.web.example.org/a%20b?q=1")
	if r.StatusCode != 301 || r.Header.Get("Location") != "https://example.net/a%20b?q=1" {
		t.Errorf("%d %s", r.StatusCode, r.Header.Get("Location"))
	}
	s.configure("pages", indexAndError+`<RoutingRules>
		<RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect></RoutingRule>
		<RoutingRule><Condition><HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals><KeyPrefixEquals>app/</KeyPrefixEquals></Condition>
			<Redirect><ReplaceKeyPrefixWith>#!/</ReplaceKeyPrefixWith><HttpRedirectCode>302</HttpRedirectCode></Redirect></RoutingRule>
		<RoutingRule><Condition><HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals></Condition>
			<Redirect><HostName>archive.example.org</HostName><Protocol>https</Protocol><ReplaceKeyWith>lost.html</ReplaceKeyWith></Redirect></RoutingRule>
		</RoutingRules>`)
	s.must(200, mainUser, "PUT", "/pages/old/there", "x")
	for path, want := range map[string]string{
		"/old/there": "301 http://pages.web.example.org:80/new/there",
		"/app/x":     "302 http://pages.web.example.org:80/#!/x",
		"/else":      "301 https://archive.example.org/lost.html",
	} {
		r := s.visit("GET", "pages.web.example.org:80"+path)
		if got := itoa(r.StatusCode) + " " + r.Header.Get("Location"); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// TestWebsiteRules takes rules through conditions that the server's tests leave out.
func TestWebsiteRules(t *testing.T) {
	text := func(s string) *string { return &s }
	rule := func(c *routingCondition, r routingRedirect) *websiteConfig {
		return &websiteConfig{RoutingRules: &routingRules{[]routingRule{{c, &r}}}}
	}
	for _, c := range []struct {
		name   string
		config *websiteConfig
		key    string
		status int
		want   string
	}{
		{"no rules", &websiteConfig{}, "k", 0, ""},
		{"no condition", rule(nil, routingRedirect{HostName: "h"}), "k", 0, "301 http://h/k"},
		{"no condition, later", rule(nil, routingRedirect{HostName: "h"}), "k", 404, ""},
		{"other prefix", rule(&routingCondition{KeyPrefixEquals: text("a/")}, routingRedirect{HostName: "h"}), "b/", 0, ""},
		{"only errors", rule(&routingCondition{HTTPErrorCodeReturnedEquals: text("404")}, routingRedirect{HostName: "h"}), "k", 0, ""},
		{"other error", rule(&routingCondition{HTTPErrorCodeReturnedEquals: text("404")}, routingRedirect{HostName: "h"}), "k", 403, ""},
		{"prefix in front", rule(nil, routingRedirect{ReplaceKeyPrefixWith: text("p/")}), "k", 0, "301 http://me/p/k"},
		{"prefix taken away", rule(&routingCondition{KeyPrefixEquals: text("a/")}, routingRedirect{ReplaceKeyPrefixWith: text("")}), "a/k", 0, "301 http://me/k"},
		{"one key", rule(nil, routingRedirect{ReplaceKeyWith: text("é?"), HTTPRedirectCode: "307", Protocol: "https"}), "k", 0, "307 https://me/%C3%A9%3F"},
	} {
		got := ""
		if m := c.config.rule(siteAddress{scheme: "http", host: "me", key: c.key}, c.status); m != nil {
			got = itoa(m.status) + " " + m.location
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
