//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/firnstore/firn/repo/notify/notifytest"
)

// toldEvent is what the tests look at of a message.
type toldEvent struct {
	EventName string
	S3        struct {
		Object struct{ Key, VersionID, Sequencer string }
	}
}

func parseEvent(t *testing.T, text string) toldEvent {
	t.Helper()
	var m struct{ Records []toldEvent }
	if err := json.Unmarshal([]byte(text), &m); err != nil || len(m.Records) != 1 {
		t.Fatalf("event %s: %v", text, err)
	}
	return m.Records[0]
}

func rule(arn, prefix string) string {
	return "<QueueConfiguration><Queue>" + arn + "</Queue><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>" +
		prefix + "</Value></FilterRule></S3Key></Filter></QueueConfiguration>"
}

// A webhook is told of what happens, with the command line as it is written in the docs.
func TestServeTellsAWebhook(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Header.Get("Authorization") + " " + string(body)
	}))
	defer hook.Close()
	e := newScriptEnv(t)
	e.write(t, "token", "hunter2\n")
	e.write(t, "events.toml", "[target.audit]\nkind = \"webhook\"\nurl = \""+hook.URL+"\"\ntoken-file = \"token\"\n")
	s := startServer(t, e, nil, append(repositoryOf(t, e), "--events-file", "events.toml")...)
	if arn := "arn:firn:sqs:firn-1:audit:webhook"; !strings.Contains(s.errs.String(), "events can go to "+arn) {
		t.Errorf("it said %s", s.errs.String())
	}
	s.want(s.root, "PUT", "/bkt", "", 200)
	config := "<NotificationConfiguration>" + rule("arn:firn:sqs:firn-1:audit:webhook", "a") + "</NotificationConfiguration>"
	s.want(s.root, "PUT", "/bkt?notification", config, 200)
	s.want(s.root, "PUT", "/bkt/a", "x", 200)
	if first := <-got; !strings.HasPrefix(first, "Bearer hunter2 {") || !strings.Contains(first, `"Event":"s3:TestEvent"`) {
		t.Errorf("the test event: %s", first)
	}
	_, second, _ := strings.Cut(strings.TrimPrefix(<-got, "Bearer "), " ")
	if ev := parseEvent(t, second); ev.EventName != "ObjectCreated:Put" || ev.S3.Object.Key != "a" {
		t.Errorf("%+v", ev)
	}
	hook.Close()
	answer := s.want(s.root, "PUT", "/bkt?notification", strings.Replace(config, "<Queue>arn:firn:sqs:", "<Queue>arn:firn:sns:", 1), 400)
	if !strings.Contains(answer, "Unable to validate the following destination configurations") {
		t.Errorf("answer %s", answer)
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// realTarget is a target of the test: its program, and how to read what it has.
type realTarget struct {
	name, kind, prefix string
	program            *notifytest.Program
	config             string
	read               func(t *testing.T) []string // in the order in which they came, if that is known
	ordered            bool
}

func realTargets(t *testing.T) []*realTarget {
	bus, cache, db := notifytest.NATS(t), notifytest.Redis(t), notifytest.Postgres(t)
	js := jetStreamOf(t, bus)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "E", Subjects: []string{"firn.>"}}); err != nil {
		t.Fatal(err)
	}
	dsn := "postgresql://postgres@" + db.Address + "/postgres"
	return []*realTarget{
		{name: "bus", kind: "nats", prefix: "a/", program: bus, ordered: true, read: func(t *testing.T) []string { return natsEvents(t, bus) },
			config: "url = \"nats://" + bus.Address + "\"\nsubject = \"firn.events\""},
		{name: "cache", kind: "redis", prefix: "b/", program: cache, ordered: true, read: func(t *testing.T) []string { return redisEvents(t, cache.Address) },
			config: "address = \"" + cache.Address + "\"\nstream = \"firn\""},
		{name: "db", kind: "postgresql", prefix: "c/", program: db, read: func(t *testing.T) []string { return postgresEvents(t, dsn) },
			config: "url = \"" + dsn + "\"\ntable = \"events\""},
	}
}

func jetStreamOf(t *testing.T, p *notifytest.Program) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("nats://"+p.Address, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func natsEvents(t *testing.T, p *notifytest.Program) (list []string) {
	t.Helper()
	stream, err := jetStreamOf(t, p).Stream(t.Context(), "E")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(m.Data))
	}
	return list
}

func redisEvents(t *testing.T, address string) (list []string) {
	t.Helper()
	conn, err := redis.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	entries, err := redis.Values(conn.Do("XRANGE", "firn", "-", "+"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		fields, err := redis.StringMap(entry.([]any)[1], nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fields["event"])
	}
	return list
}

func postgresEvents(t *testing.T, dsn string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), "SELECT event::text FROM events")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// eventLoad puts objects on whatever server there is, until each put was acknowledged once.
type eventLoad struct {
	t       *testing.T
	targets []*realTarget

	mu     sync.RWMutex // held while there is no server
	server *serverProcess
	root   keyPair
	client *http.Client

	done   atomic.Int64
	ackMu  sync.Mutex
	acked  map[string]map[string]bool // prefix → version IDs
	failed atomic.Int64
}

func (l *eventLoad) run(puts int) {
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			for i := range jobs {
				for !l.put(i) {
					l.failed.Add(1)
				}
			}
		})
	}
	for i := range puts {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
}

// put puts a version of one of 40 keys of each prefix.
func (l *eventLoad) put(i int) bool {
	target := l.targets[i%len(l.targets)]
	l.mu.RLock()
	r := l.server.request(l.root, "PUT", fmt.Sprintf("/bkt/%s%d", target.prefix, i/len(l.targets)%40), strings.NewReader(fmt.Sprint(i)))
	l.mu.RUnlock()
	resp, err := l.client.Do(r)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		return false
	}
	l.ackMu.Lock()
	l.acked[target.prefix][resp.Header.Get("x-amz-version-id")] = true
	l.ackMu.Unlock()
	l.done.Add(1)
	return true
}

// at waits until so many puts were acknowledged.
func (l *eventLoad) at(n int64) {
	for l.done.Load() < n {
		time.Sleep(time.Millisecond) // the load goes on beside
	}
}

// 3 000 events reach three real targets although each of them and the server are killed in
// between: none is lost, and those of one key come in order.
func TestNoEventIsLost(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	targets := realTargets(t)
	e := newScriptEnv(t)
	config, rules := "", ""
	l := &eventLoad{t: t, targets: targets, client: &http.Client{Timeout: 20 * time.Second}, acked: map[string]map[string]bool{}}
	for _, target := range targets {
		config += "[target." + target.name + "]\nkind = \"" + target.kind + "\"\n" + target.config + "\n"
		rules += rule("arn:firn:sqs:firn-1:"+target.name+":"+target.kind, target.prefix)
		l.acked[target.prefix] = map[string]bool{}
	}
	e.write(t, "events.toml", config)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	metrics := free.Addr().String()
	_ = free.Close()
	args := append(repositoryOf(t, e), "--events-file", "events.toml", "--metrics-listen", metrics)
	s := startServer(t, e, nil, args...)
	l.server, l.root = s, s.root
	s.want(s.root, "PUT", "/bkt", "", 200)
	s.want(s.root, "PUT", "/bkt?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", 200)
	s.want(s.root, "PUT", "/bkt?notification", "<NotificationConfiguration>"+rules+"</NotificationConfiguration>", 200)

	const puts = 3000
	var wg sync.WaitGroup
	wg.Go(func() { l.run(puts) })
	for i, target := range targets {
		l.at(int64(200 + 400*i))
		target.program.Kill()
		l.at(int64(400 + 400*i))
		target.program.Start()
	}
	restart := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := l.server.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = l.server.cmd.Wait()
		l.server = startServer(t, e, nil, args...)
	}
	l.at(1600)
	restart()
	l.at(2000) // all at once
	for _, target := range targets {
		target.program.Kill()
	}
	l.at(2400)
	restart()
	for _, target := range targets {
		target.program.Start()
	}
	wg.Wait()
	l.check(metrics)
	if code := l.server.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// check waits until nothing is pending and compares what the targets have.
func (l *eventLoad) check(metrics string) {
	t := l.t
	for _, target := range l.targets {
		pending := `firn_events_pending{target="` + target.name + `"}`
		for end := time.Now().Add(90 * time.Second); metric(t, metrics, pending) != "0"; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %s are pending", target.program, metric(t, metrics, pending))
			}
		}
		list, last, seen := target.read(t), map[string]string{}, map[string]bool{}
		for _, text := range list {
			if strings.Contains(text, "s3:TestEvent") {
				continue
			}
			o := parseEvent(t, text).S3.Object
			if !seen[o.VersionID] && target.ordered {
				if o.Sequencer <= last[o.Key] {
					t.Errorf("%s: %s of %s came after %s", target.program, o.Sequencer, o.Key, last[o.Key])
				}
				last[o.Key] = o.Sequencer
			}
			seen[o.VersionID] = true
		}
		lost := 0
		for version := range l.acked[target.prefix] {
			if !seen[version] {
				lost++
			}
		}
		t.Logf("%s: %d puts were acknowledged, %d versions told of in %d messages", target.program, len(l.acked[target.prefix]), len(seen), len(list))
		if lost > 0 || len(l.acked[target.prefix]) < 1000 {
			t.Errorf("%s: %d of %d events are lost", target.program, lost, len(l.acked[target.prefix]))
		}
	}
	t.Logf("%d puts failed and were repeated", l.failed.Load())
}
