package notify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const goodFile = `
[target.audit]
kind = "webhook"
url = "https://hooks.example.org/firn"
token-file = "token"
hmac-file = "hmac"
max-age = "72h"
max-pending = 5000

[target.bus]
kind = "nats"
url = "nats://127.0.0.1:4222, nats://127.0.0.2:4222"
subject = "firn.events"
user = "firn"
password-file = "token"

[target.cache]
kind = "redis"
address = "127.0.0.1:6379"
stream = "firn-events"
max-length = 100000
password-file = "token"
tls = true

[target.db]
kind = "postgresql"
url = "postgresql://firn@127.0.0.1/events"
password-file = "token"
table = "public.s3_events"

[target.log_1]
kind = "kafka"
brokers = ["127.0.0.1:9092", "127.0.0.1:9093"]
topic = "firn"
sasl = "scram-sha-512"
user = "firn"
password-file = "token"
`

func TestParseTargets(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"token", "hmac"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("secret-of-"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configs, err := Parse(goodFile, dir)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := Open(configs)
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{"audit": "webhook", "bus": "nats", "cache": "redis", "db": "postgresql", "log_1": "kafka"} {
		o := targets[name]
		if o == nil || o.Kind != kind {
			t.Fatalf("%s: %+v", name, o)
		}
		want := DefaultLimit
		if name == "audit" {
			want = Limit{Age: 72 * time.Hour, Count: 5000}
		}
		if o.Limit != want {
			t.Errorf("%s: limit %+v", name, o.Limit)
		}
		o.Close()
	}
	if w := targets["audit"].Target.(*webhook); w.token != "secret-of-token" || w.key != "secret-of-hmac" {
		t.Errorf("secrets %q, %q", w.token, w.key)
	}
	configs["bus"].opener.(*natsConfig).PasswordFile = "missing"
	if _, err := Open(configs); err == nil || !strings.Contains(err.Error(), "target bus: password-file") {
		t.Errorf("missing secret: %v", err)
	}
}

func TestParseRefusesMistakes(t *testing.T) {
	target := func(lines ...string) string { return "[target.a]\n" + strings.Join(lines, "\n") }
	hook := `kind = "webhook"` + "\n" + `url = "http://h/"`
	for _, c := range []struct{ name, in, want string }{
		{"syntax", "[target.a\nkind", "line "},
		{"no kind", target(`url = "http://h/"`), "target a: kind: want"},
		{"another kind", target(`kind = "smoke"`), "target a: kind: want"},
		{"name", "[target.\"a b\"]\nkind = \"webhook\"", "the name has to be"},
		{"unknown table", "[server]\nx = 1", "unknown field server"},
		{"unknown field", target(hook, `colour = "red"`), "unknown field target.a.colour"},
		{"field of another kind", target(hook, `subject = "x"`), "unknown field target.a.subject"},
		{"wrong type", target(`kind = "webhook"`, `url = 7`), "target a:"},
		{"password in URL", target(`kind = "webhook"`, `url = "http://u:hunter2@h/"`), "url: a password does not belong there"},
		{"scheme", target(`kind = "webhook"`, `url = "ftp://h/"`), "url: want http"},
		{"TLS files without TLS", target(hook, `ca-file = "x"`), "without tls = true"},
		{"age", target(hook, `max-age = "10s"`), "max-age: want"},
		{"long age", target(hook, `max-age = "900h"`), "max-age: want"},
		{"count", target(hook, `max-pending = -1`), "max-pending: want"},
		{"subject", target(`kind = "nats"`, `url = "nats://h"`, `subject = "a.>"`), "subject: want"},
		{"NATS URL", target(`kind = "nats"`, `url = "http://h"`, `subject = "a"`), "url: want nats"},
		{"address", target(`kind = "redis"`, `address = "h"`, `stream = "s"`), "address: want"},
		{"stream", target(`kind = "redis"`, `address = "h:1"`), "stream: want"},
		{"database URL", target(`kind = "postgresql"`, `url = "mysql://h"`, `table = "t"`), "url: want postgresql"},
		{"database password", target(`kind = "postgresql"`, `url = "postgresql://u:hunter2@h/d"`, `table = "t"`), "use password-file"},
		{"database password in query", target(`kind = "postgresql"`, `url = "postgresql://u@h/d?password=hunter2"`, `table = "t"`), "use password-file"},
		{"table", target(`kind = "postgresql"`, `url = "postgresql://u@h/d"`, `table = "a.b.c"`), "table: want"},
		{"brokers", target(`kind = "kafka"`, `topic = "t"`), "brokers: want"},
		{"topic", target(`kind = "kafka"`, `brokers = ["h:1"]`), "topic: want"},
		{"SASL", target(`kind = "kafka"`, `brokers = ["h:1"]`, `topic = "t"`, `sasl = "magic"`, `user = "u"`, `password-file = "p"`), "sasl: want"},
		{"SASL without password", target(`kind = "kafka"`, `brokers = ["h:1"]`, `topic = "t"`, `sasl = "plain"`), "sasl takes"},
	} {
		_, err := Parse(c.in, t.TempDir())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
