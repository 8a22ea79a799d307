package s3

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/tier"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// server is a handler over a repository in memory, with users main, alt and root.
type server struct {
	*httptest.Server
	t     testing.TB
	h     *Handler
	e     *object.Engine
	store tier.Store
	clock *clock

	identity *age.X25519Identity // opens the repository
}

// account is a user and its key pair.
type account struct{ access, secret string }

var (
	mainUser  = &account{"MAINKEY", "main-secret"}
	altUser   = &account{"ALTKEY", "alt-secret"}
	rootUser  = &account{"ROOTKEY", "root-secret"}
	anonymous *account
)

func fixtureUsers() []object.User {
	user := func(name string, a *account, root bool) object.User {
		return object.User{Name: name, ID: name + "-id", Display: strings.ToUpper(name), Email: name + "@example.org", Root: root,
			Keys: []object.AccessKey{{ID: a.access, Secret: a.secret}}}
	}
	return []object.User{user("main", mainUser, false), user("alt", altUser, false), user("root", rootUser, true)}
}

// newServer starts a server that the test's end stops.
func newServer(t testing.TB, opt Options) *server {
	t.Helper()
	return newServerOn(t, opt, tier.NewMemory())
}

func newServerOn(t testing.TB, opt Options, store tier.Store) *server {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, store: store, identity: identity, clock: &clock{now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}}
	ro := repo.Options{CacheDir: t.TempDir(), BootID: "boot", Now: s.clock.Now, Warn: func(m string) { t.Log("warning:", m) }}
	if _, err := repo.Init(t.Context(), s.store, identity.Recipient(), ro, repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(t.Context(), s.store, []age.Identity{identity}, ro)
	if err != nil {
		t.Fatal(err)
	}
	s.e, err = object.Open(t.Context(), r, object.Options{Users: fixtureUsers(), Refresh: -1, Log: func(m string) { t.Log("engine:", m) }})
	if err != nil {
		t.Fatal(err)
	}
	s.h = New(s.e, opt)
	s.Server = httptest.NewServer(s.h)
	t.Cleanup(func() {
		s.Close()
		if err := s.e.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("close engine: %v", err)
		}
		notes, err := r.Index().Notes()
		if err != nil || len(notes) > 0 {
			t.Errorf("operations without effect: %q, %v", notes, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close repository: %v", err)
		}
	})
	return s
}

// reply is an answer that was read to its end.
type reply struct {
	*http.Response
	body string
}

// do sends a request that is signed by who, or not at all. path is escaped by the caller
// and may have a query. headers are pairs of name and value.
func (s *server) do(who *account, method, path, body string, headers ...string) *reply {
	s.t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	if who != nil {
		s.sign(req, who, []byte(body))
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: read answer: %v", method, path, err)
	}
	return &reply{res, string(data)}
}

// must is do that fails the test on another status.
func (s *server) must(status int, who *account, method, path, body string, headers ...string) *reply {
	s.t.Helper()
	r := s.do(who, method, path, body, headers...)
	if r.StatusCode != status {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.StatusCode, status, r.body)
	}
	return r
}

// refused is do that fails the test unless the answer has this status and S3 code.
func (s *server) refused(status int, code string, who *account, method, path, body string, headers ...string) *reply {
	s.t.Helper()
	r := s.must(status, who, method, path, body, headers...)
	if !strings.Contains(r.body, "<Code>"+code+"</Code>") {
		s.t.Fatalf("%s %s: want code %s: %s", method, path, code, r.body)
	}
	return r
}

// sign adds a Signature Version 4 for the body.
func (s *server) sign(req *http.Request, who *account, body []byte) {
	date := s.clock.Now().UTC()
	sum := sha256.Sum256(body)
	req.Header.Set("x-amz-date", date.Format("20060102T150405Z"))
	if req.Header.Get("x-amz-content-sha256") == "" {
		req.Header.Set("x-amz-content-sha256", hex.EncodeToString(sum[:]))
	}
	names := []string{"host"}
	values := map[string]string{"host": req.URL.Host}
	for name, v := range req.Header {
		name = strings.ToLower(name)
		names = append(names, name)
		values[name] = strings.Join(strings.Fields(strings.Join(v, ",")), " ")
	}
	slices.Sort(names)
	var canonical bytes.Buffer
	canonical.WriteString(req.Method + "\n" + canonicalPath(req.URL.Path) + "\n" + canonicalQuery(req.URL.RawQuery) + "\n")
	for _, n := range names {
		canonical.WriteString(n + ":" + values[n] + "\n")
	}
	signed := strings.Join(names, ";")
	canonical.WriteString("\n" + signed + "\n" + req.Header.Get("x-amz-content-sha256"))
	scope := date.Format("20060102") + "/firn-1/s3/aws4_request"
	digest := sha256.Sum256(canonical.Bytes())
	key := []byte("AWS4" + who.secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	text := "AWS4-HMAC-SHA256\n" + date.Format("20060102T150405Z") + "\n" + scope + "\n" + hex.EncodeToString(digest[:])
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+who.access+"/"+scope+", SignedHeaders="+signed+
		", Signature="+hex.EncodeToString(mac(key, text)))
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

func awsEscape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "%7E", "~")
}

func canonicalPath(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = awsEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

func canonicalQuery(raw string) string {
	var pairs []string
	for _, p := range strings.Split(raw, "&") {
		if p == "" {
			continue
		}
		k, v, _ := strings.Cut(p, "=")
		k, _ = url.QueryUnescape(k)
		v, _ = url.QueryUnescape(v)
		pairs = append(pairs, awsEscape(k)+"="+awsEscape(v))
	}
	// By name first: "select" comes before "select-type", though '-' comes before '='.
	byName := func(pair string) string { return strings.Replace(pair, "=", "\x00", 1) }
	slices.SortFunc(pairs, func(a, b string) int { return strings.Compare(byName(a), byName(b)) })
	return strings.Join(pairs, "&")
}
