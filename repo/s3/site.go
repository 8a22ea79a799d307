package s3

import (
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/firnstore/firn/repo/s3/access"
)

// Website answers browsers: buckets with a website configuration, for everybody whom the
// buckets let read, with HTML in place of XML. The host names the bucket: as its first label
// below one of the domains, or else as a whole.
func (h *Handler) Website(domains []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.answer(w, r, func(q *request) error { return q.serveSite(domains) }, (*request).htmlError, true)
	})
}

// siteOps are the operations as which requests to websites are authorized and counted.
var siteOps = map[string]*operation{http.MethodGet: objectOp("GetObject"), http.MethodHead: objectOp("HeadObject")}

// serveSite answers a request to a website. Signatures and parameters mean nothing here.
func (q *request) serveSite(domains []string) error {
	q.query = url.Values{}
	path := q.r.URL.Path
	if !strings.HasPrefix(path, "/") || !utf8.ValidString(path) {
		return errorf("InvalidURI", "")
	}
	q.bucket, q.key = siteBucket(q.r.Host, domains), path[1:]
	if len(q.key) > maxKey {
		return errorf("KeyTooLongError", "")
	}
	if q.r.Method == http.MethodOptions {
		return q.preflight()
	}
	q.who = access.Anonymous()
	if q.op = siteOps[q.r.Method]; q.op == nil {
		return errorf("MethodNotAllowed", "").with("Method", q.r.Method).with("ResourceType", "OBJECT").header("Allow", "GET, HEAD, OPTIONS")
	}
	var err error
	if q.b, err = q.h.e.Bucket(q.bucket); err != nil {
		return err
	}
	if q.set, err = q.h.settingsOf(q.b); err != nil {
		return err
	}
	if q.set.website == nil {
		return errorf("NoSuchWebsiteConfiguration", "").with("BucketName", q.bucket)
	}
	q.corsHeaders()
	return q.visit(q.set.website)
}

// siteBucket returns the bucket that a host names.
func siteBucket(host string, domains []string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, d := range domains {
		if b, ok := strings.CutSuffix(host, "."+strings.ToLower(d)); ok {
			return b
		}
	}
	return host
}

// visit answers with what the key leads to.
func (q *request) visit(c *websiteConfig) error {
	a := siteAddress{scheme: "http", host: q.r.Host, key: q.key, query: q.r.URL.RawQuery}
	if q.r.TLS != nil {
		a.scheme = "https"
	}
	move := c.moved(a)
	if move == nil {
		move = c.rule(a, 0)
	}
	if move != nil {
		return q.move(move)
	}
	err := q.visitKey(c, a.key)
	if err == nil || q.w.status != 0 {
		return err
	}
	e := q.translate(err)
	if move := c.rule(a, e.status()); move != nil {
		return q.move(move)
	}
	if e.status() < 400 || e.status() >= 500 || e.code == "PreconditionFailed" || e.code == "InvalidRange" || c.ErrorDocument == nil {
		return err
	}
	return q.errorPage(e, c.ErrorDocument.Key)
}

// visitKey answers with the object of a key, or with the index document of a directory.
func (q *request) visitKey(c *websiteConfig, key string) error {
	directory := key == "" || strings.HasSuffix(key, "/")
	asked := key
	if directory {
		key += c.IndexDocument.Suffix
	}
	err := q.look(key)
	if err == nil {
		if to := q.v.System[metaRedirect]; to != "" {
			return q.move(&siteMove{http.StatusMovedPermanently, to})
		}
		return q.getObject()
	}
	if directory || len(key)+1+len(c.IndexDocument.Suffix) > maxKey || q.look(key+"/"+c.IndexDocument.Suffix) != nil {
		q.key = key
		return err
	}
	head := q.w.Header()
	head.Set("x-amz-error-code", "Found")
	head.Set("x-amz-error-message", "Resource Found")
	return q.move(&siteMove{http.StatusFound, escapePath("/" + asked + "/")})
}

// look loads the object of a key that everybody may read into q.v.
func (q *request) look(key string) error {
	q.key = key
	if err := q.load(); err != nil {
		return err
	}
	if err := q.authorize(); err != nil {
		return err
	}
	_, err := q.target()
	return err
}

func (q *request) move(to *siteMove) error {
	q.w.Header().Set("Location", to.location)
	q.w.Header().Set("Content-Length", "0")
	q.w.WriteHeader(to.status)
	return nil
}

// errorPage answers an error with the page that the bucket has for this.
func (q *request) errorPage(e *apiError, key string) error {
	missing, status := q.key, e.status()
	o, err := q.openPage(key)
	if err != nil {
		nested := q.translate(err)
		q.key = missing
		return e.with(nestedError, nested.code).with(nestedError, nested.text()).with(nestedError, key)
	}
	q.w.code = e.code
	head := q.w.Header()
	q.errorHeaders(e)
	for _, h := range e.headers {
		head.Set(h[0], h[1])
	}
	metadataHeaders(head, q.v, q.may)
	restoreHeader(head, q.v, q.now)
	head.Set("ETag", quoted(etagOf(q.v)))
	head.Set("Last-Modified", httpTime(modified(q.v)))
	head.Set("Content-Length", itoa(o.size))
	if q.r.Method == http.MethodHead {
		q.w.WriteHeader(status)
		return nil
	}
	return q.send(status, o, piece{n: o.size})
}

func (q *request) openPage(key string) (*opened, error) {
	if err := q.look(key); err != nil {
		return nil, err
	}
	if q.archived(q.v) {
		return nil, errorf("InvalidObjectState", "")
	}
	sealed, err := q.readKey(q.v)
	if err != nil {
		return nil, err
	}
	return openSealed(q.h.e, q.v, sealed)
}

// nestedError marks fields of an error that are about the error document.
const nestedError = "\x00"

func (q *request) errorHeaders(e *apiError) {
	head := q.w.Header()
	head.Set("x-amz-error-code", e.code)
	head.Set("x-amz-error-message", e.text())
	for _, f := range e.fields {
		if f[0] == "Key" {
			head.Set("x-amz-error-detail-Key", url.PathEscape(f[1]))
		}
	}
}

// htmlError writes an error for somebody with a browser.
func (q *request) htmlError(e *apiError) {
	title := html.EscapeString(fmt.Sprintf("%d %s", e.status(), http.StatusText(e.status())))
	var b, nested strings.Builder
	fmt.Fprintf(&b, "<html>\n<head><title>%s</title></head>\n<body>\n<h1>%s</h1>\n<ul>\n", title, title)
	item := func(b *strings.Builder, name, value string) {
		fmt.Fprintf(b, "<li>%s: %s</li>\n", html.EscapeString(name), html.EscapeString(value))
	}
	item(&b, "Code", e.code)
	item(&b, "Message", e.text())
	names := []string{"Code", "Message", "Key"}
	for _, f := range e.fields {
		if f[0] == nestedError {
			item(&nested, names[0], f[1])
			names = names[1:]
			continue
		}
		item(&b, f[0], f[1])
	}
	item(&b, "RequestId", q.id)
	item(&b, "HostId", q.h.hostID)
	b.WriteString("</ul>\n")
	if nested.Len() > 0 {
		b.WriteString("<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n<ul>\n" + nested.String() + "</ul>\n")
	}
	b.WriteString("<hr/>\n</body>\n</html>\n")
	q.errorHeaders(e)
	head := q.w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Length", itoa(b.Len()))
	q.w.WriteHeader(e.status())
	_, _ = q.w.Write([]byte(b.String()))
}
