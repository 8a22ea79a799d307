package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestCORSCheck(t *testing.T) {
	rule := func(inner string) string {
		return "<CORSConfiguration><CORSRule>" + inner + "</CORSRule></CORSConfiguration>"
	}
	const ok = "<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"
	cases := []struct{ name, in, code, message string }{
		{"least", rule(ok), "", ""},
		{"everything", rule(ok + "<ID>a</ID><AllowedMethod>HEAD</AllowedMethod><AllowedHeader>x-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds>"), "", ""},
		{"empty origin", rule("<AllowedMethod>GET</AllowedMethod><AllowedOrigin></AllowedOrigin>"), "", ""},
		{"hundred rules", "<CORSConfiguration>" + strings.Repeat("<CORSRule>"+ok+"</CORSRule>", 100) + "</CORSConfiguration>", "", ""},
		{"too many rules", "<CORSConfiguration>" + strings.Repeat("<CORSRule>"+ok+"</CORSRule>", 101) + "</CORSConfiguration>", "MalformedXML", ""},
		{"no rules", "<CORSConfiguration/>", "MalformedXML", ""},
		{"no method", rule("<AllowedOrigin>*</AllowedOrigin>"), "MalformedXML", ""},
		{"no origin", rule("<AllowedMethod>GET</AllowedMethod>"), "MalformedXML", ""},
		{"long ID", rule(ok + "<ID>" + strings.Repeat("a", 256) + "</ID>"), "MalformedXML", ""},
		{"bad age", rule(ok + "<MaxAgeSeconds>soon</MaxAgeSeconds>"), "MalformedXML", ""},
		{"unknown method", rule("<AllowedMethod>MYMETHOD</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"), "InvalidRequest",
			"Found unsupported HTTP method in CORS config. Unsupported method is MYMETHOD"},
		{"OPTIONS", rule("<AllowedMethod>OPTIONS</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"), "InvalidRequest",
			"Found unsupported HTTP method in CORS config. Unsupported method is OPTIONS"},
		{"two stars", rule("<AllowedMethod>GET</AllowedMethod><AllowedOrigin>a*b*</AllowedOrigin>"), "InvalidRequest",
			`AllowedOrigin "a*b*" can not have more than one wildcard.`},
		{"two stars in a header", rule(ok + "<AllowedHeader>**</AllowedHeader>"), "InvalidRequest", `AllowedHeader "**" can not have more than one wildcard.`},
		{"star to expose", rule(ok + "<ExposeHeader>x-*</ExposeHeader>"), "InvalidRequest",
			`ExposeHeader "x-*" contains wildcard. We currently do not support wildcard for ExposeHeader.`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var cfg corsConfig
			err := parseDocument([]byte(c.in), "CORSConfiguration", &cfg)
			if err == nil {
				err = cfg.check()
			}
			if c.message == "" {
				wantCode(t, err, c.code)
			} else {
				wantMessage(t, err, c.code, c.message)
			}
			if err == nil {
				mustParse(t, document("CORSConfiguration", &cfg), "CORSConfiguration", &corsConfig{})
			}
		})
	}
}

func TestWildcard(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "x", true}, {"a", "a", true}, {"a", "b", false}, {"", "", true}, {"", "a", false},
		{"*suffix", "foo.suffix", true}, {"*suffix", "foo.suffix.get", false},
		{"start*end", "startend", true}, {"start*end", "start12end", true}, {"start*end", "0start12end", false}, {"start*tend", "startend", false},
		{"prefix*", "prefix", true}, {"prefix*", "bla.prefix", false},
	} {
		if got := wildcard(c.pattern, c.s); got != c.want {
			t.Errorf("wildcard(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

func TestCORSMatch(t *testing.T) {
	age := int64(3000)
	cfg := &corsConfig{CORSRule: []corsRule{
		{AllowedMethod: []string{"GET", "PUT"}, AllowedOrigin: []string{"https://a", "https://*.b"}, AllowedHeader: []string{"X-Amz-*", "content-type"},
			ExposeHeader: []string{"ETag", "x-amz-id-2"}, MaxAgeSeconds: &age},
		{AllowedMethod: []string{"GET"}, AllowedOrigin: []string{"*"}},
	}}
	cases := []struct {
		origin, method, headers string
		rule                    int // -1 is none
		want                    string
	}{
		{"https://a", "GET", "", 0, "Access-Control-Allow-Credentials=true Access-Control-Allow-Methods=GET, PUT Access-Control-Allow-Origin=https://a Access-Control-Expose-Headers=ETag, x-amz-id-2 Access-Control-Max-Age=3000"},
		{"https://x.b", "PUT", "Content-Type,X-Amz-Date", 0, "Access-Control-Allow-Credentials=true Access-Control-Allow-Headers=content-type, x-amz-date Access-Control-Allow-Methods=GET, PUT Access-Control-Allow-Origin=https://x.b Access-Control-Expose-Headers=ETag, x-amz-id-2 Access-Control-Max-Age=3000"},
		{"https://c", "GET", "", 1, "Access-Control-Allow-Methods=GET Access-Control-Allow-Origin=*"},
		{"https://c", "PUT", "", -1, ""},
		{"https://a", "GET", "authorization", -1, ""},
		{"https://a", "DELETE", "", -1, ""},
	}
	for _, c := range cases {
		headers := requestedHeaders(c.headers)
		rule := cfg.match(c.origin, c.method, headers)
		if c.rule < 0 {
			if rule != nil {
				t.Errorf("%+v: allowed", c)
			}
			continue
		}
		if rule != &cfg.CORSRule[c.rule] {
			t.Errorf("%+v: another rule", c)
			continue
		}
		head := http.Header{}
		rule.set(head, c.origin, headers)
		var got []string
		for _, name := range []string{"Credentials", "Headers", "Methods", "Origin"} {
			if v := head.Get("Access-Control-Allow-" + name); v != "" {
				got = append(got, fmt.Sprintf("Access-Control-Allow-%s=%s", name, v))
			}
		}
		for _, name := range []string{"Expose-Headers", "Max-Age"} {
			if v := head.Get("Access-Control-" + name); v != "" {
				got = append(got, fmt.Sprintf("Access-Control-%s=%s", name, v))
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.method, c.origin, s, c.want)
		}
	}
}
