package main

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestServeFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // part of the error; "" is none
	}{
		{"", ""},
		{"--listen :9000 --listen [::1]:0 --domain s3.example.org --domain localhost", ""},
		{"--tls-cert both.pem --metrics-listen 127.0.0.1:9001 --access-log -", ""},
		{"--listen 9000", `--listen: "9000" is not an address`},
		{"--listen host:http", `--listen: "host:http" has no port`},
		{"--listen host:65536", `--listen: "host:65536" has no port`},
		{"--metrics-listen localhost", "--metrics-listen:"},
		{"--tls-key key.pem", "--tls-key is of no use"},
		{"--domain https://example.org", "--domain:"},
		{"--domain example.org:9000", "--domain:"},
		{"--domain .example.org", "--domain:"},
		{"--website-listen :8080 --website-domain web.example.org", ""},
		{"--website-listen 8080", `--website-listen: "8080" is not an address`},
		{"--website-listen :8080 --website-domain web.example.org:8080", "--website-domain:"},
		{"--website-domain web.example.org", "--website-domain is of no use without --website-listen"},
		{"--region=", "--region:"},
		{"--region eu_1", "--region:"},
		{"--max-connections 0", "--max-connections 0"},
		{"--max-uploads -1", "--max-uploads -1"},
		{"--idle-timeout 10ms", "--idle-timeout"},
		{"--stall-timeout 0", "--stall-timeout"},
		{"--signature-v2 all", ""},
		{"--signature-v2 headers", "--signature-v2 headers: want presigned, all or none"},
		{"--log-delivery 0", "--log-delivery"},
		{"--shutdown-timeout -1s", "--shutdown-timeout"},
	} {
		var f serveFlags
		cmd := &cobra.Command{}
		f.add(cmd)
		if err := cmd.ParseFlags(strings.Fields(c.args)); err != nil {
			t.Fatalf("%s: %v", c.args, err)
		}
		err := f.check()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.args, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, errUsage)):
			t.Errorf("%s: error %v, want %s", c.args, err, c.want)
		}
	}
}

func TestSocketsHandedOver(t *testing.T) {
	pid := strconv.Itoa(1 << 30)
	for _, c := range []struct {
		fds, pid string
		want     int
	}{
		{"", "", 0}, {"2", "", 0}, {"2", pid, 0}, {"2", "self", 2}, {"-1", "self", 0}, {"1000", "self", 0}, {"x", "self", 0},
	} {
		env := map[string]string{"LISTEN_FDS": c.fds, "LISTEN_PID": c.pid}
		if c.pid == "self" {
			env["LISTEN_PID"] = ownPID()
		}
		if got := handedOver(func(name string) string { return env[name] }); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for _, c := range []struct {
		addr    string
		secure  bool
		want    string
		exposed bool
	}{
		{"127.0.0.1:9000", false, "http://127.0.0.1:9000", false},
		{"[::1]:9000", true, "https://[::1]:9000", false},
		{"0.0.0.0:9000", false, "http://127.0.0.1:9000", true},
		{"[::]:9000", true, "https://127.0.0.1:9000", true},
		{"192.0.2.7:443", true, "https://192.0.2.7:443", true},
	} {
		addr, err := net.ResolveTCPAddr("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := endpoint(addr, c.secure); got != c.want {
			t.Errorf("%s: %s, want %s", c.addr, got, c.want)
		}
		if got := exposed(addr); got != c.exposed {
			t.Errorf("%s: exposed %v", c.addr, got)
		}
	}
}

func TestHealthIsNoBucket(t *testing.T) {
	for _, c := range []struct {
		method, url, host, auth string
		want                    bool
	}{
		{"GET", "/healthz", "127.0.0.1:9000", "", true},
		{"HEAD", "/healthz", "s3.example.org", "", true},
		{"PUT", "/healthz", "s3.example.org", "", false},
		{"GET", "/healthz/", "s3.example.org", "", false},
		{"GET", "/healthz", "s3.example.org", "AWS4-HMAC-SHA256 Credential=…", false},
		{"GET", "/healthz?list-type=2", "s3.example.org", "", false},
		{"GET", "/healthz", "photos.s3.example.org:9000", "", false},
		{"GET", "/healthz", "photos.S3.EXAMPLE.org", "", false},
	} {
		r, err := http.NewRequest(c.method, "http://x"+c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		if got := asksHealth(r, []string{"s3.example.org"}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestRareMessages(t *testing.T) {
	now := time.Unix(1000, 0)
	var said []string
	r := &rarely{every: time.Second, now: func() time.Time { return now }, say: func(s string) { said = append(said, s) }}
	for _, text := range []string{"one\n", "two", "three", "http: TLS handshake error from 192.0.2.1:1: EOF"} {
		if n, err := r.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	now = now.Add(time.Second)
	_, _ = r.Write([]byte("four"))
	if want := []string{"one", "four (and 2 other messages before)"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}
