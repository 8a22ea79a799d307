//go:build unix

package notify

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnstore/firn/repo/notify/notifytest"
)

// openTarget makes the one target of a file.
func openTarget(t *testing.T, lines ...string) Target {
	t.Helper()
	configs, err := Parse("[target.x]\n"+strings.Join(lines, "\n"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	targets, err := Open(configs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(targets["x"].Close)
	return targets["x"]
}

func batch(from, n int) (list []Message) {
	for i := from; i < from+n; i++ {
		list = append(list, Message{ID: fmt.Sprintf("id-%04d", i), Key: fmt.Sprintf("b/k%d", i), Name: "ObjectCreated:Put", Bucket: "b",
			Time: time.Unix(1_800_000_000, 0).UTC(), Body: fmt.Appendf(nil, `{"n": %d}`, i)})
	}
	return list
}

// confirmed sends until all are confirmed, as a courier does.
func confirmed(t *testing.T, target Target, list []Message) {
	t.Helper()
	var last error
	for deadline := time.Now().Add(30 * time.Second); len(list) > 0; {
		var rest []Message
		for i, err := range target.Send(t.Context(), list) {
			if err != nil {
				rest, last = append(rest, list[i]), err
			}
		}
		if list = rest; len(list) > 0 && time.Now().After(deadline) {
			t.Fatalf("%d are not confirmed: %v", len(list), last)
		}
	}
}

// takesAndComesBack sends some, kills the program, sees that nothing is confirmed then, and
// sends more after it came back, some of it for the second time.
func takesAndComesBack(t *testing.T, p *notifytest.Program, target Target) {
	t.Helper()
	confirmed(t, target, batch(0, 100))
	p.Kill()
	// A process of PostgreSQL that is left of a connection may take some more.
	for deadline := time.Now().Add(20 * time.Second); confirms(t, target, batch(100, 5)); {
		if time.Now().After(deadline) {
			t.Fatal("a dead program confirms")
		}
	}
	p.Start()
	confirmed(t, target, batch(90, 100))
}

// confirms reports whether the target confirms any of the messages.
func confirms(t *testing.T, target Target, list []Message) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for _, err := range target.Send(ctx, list) {
		if err == nil {
			return true
		}
	}
	return false
}

func TestNATS(t *testing.T) {
	t.Parallel()
	p := notifytest.NATS(t)
	target := openTarget(t, `kind = "nats"`, `url = "nats://`+p.Address+`"`, `subject = "firn.events"`)
	for _, err := range target.Send(t.Context(), batch(0, 1)) {
		if err == nil {
			t.Error("confirmed without a stream")
		}
	}
	nc, err := nats.Connect("nats://" + p.Address)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "E", Subjects: []string{"firn.>"}}); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	takesAndComesBack(t, p, target)
	if nc, err = nats.Connect("nats://" + p.Address); err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "E")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs < 190 {
		t.Errorf("%d messages, %v", info.State.Msgs, err)
	}
	if m, err := stream.GetMsg(t.Context(), info.State.LastSeq); err != nil || m.Subject != "firn.events" || !strings.HasPrefix(string(m.Data), `{"n": `) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestRedis(t *testing.T) {
	t.Parallel()
	p := notifytest.Redis(t)
	target := openTarget(t, `kind = "redis"`, `address = "`+p.Address+`"`, `stream = "s3"`)
	takesAndComesBack(t, p, target)
	conn, err := redis.Dial("tcp", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := redis.Int(conn.Do("XLEN", "s3")); err != nil || n < 190 {
		t.Errorf("%d entries, %v", n, err)
	}
	if _, err := conn.Do("SET", "text", "x"); err != nil {
		t.Fatal(err)
	}
	other := openTarget(t, `kind = "redis"`, `address = "`+p.Address+`"`, `stream = "text"`)
	if errs := other.Send(t.Context(), batch(0, 2)); errs[0] == nil || !strings.Contains(errs[1].Error(), "WRONGTYPE") {
		t.Errorf("a key that is no stream: %v", errs)
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	p := notifytest.Postgres(t)
	url := "postgresql://postgres@" + p.Address + "/postgres"
	var target Target = openTarget(t, `kind = "postgresql"`, `url = "`+url+`"`, `table = "public.s3 events"`)
	takesAndComesBack(t, p, target)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var rows, sum int
	if err := conn.QueryRow(t.Context(), `SELECT count(*), sum((event->>'n')::int) FROM "s3 events"`).Scan(&rows, &sum); err != nil {
		t.Fatal(err)
	}
	if rows != 190 || sum != 190*189/2 { // each once, however often it was sent
		t.Errorf("%d rows, sum %d", rows, sum)
	}
}

// TestKafka runs with the address of a broker in FIRN_TEST_KAFKA, that makes topics when they
// are asked for or has one called firn-test.
func TestKafka(t *testing.T) {
	t.Parallel()
	address := os.Getenv("FIRN_TEST_KAFKA")
	if address == "" {
		t.Skip("FIRN_TEST_KAFKA names no broker")
	}
	target := openTarget(t, `kind = "kafka"`, `brokers = ["`+address+`"]`, `topic = "firn-test"`)
	confirmed(t, target, batch(0, 100))
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics("firn-test"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	bodies := map[string]string{}
	for len(bodies) < 100 && ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { bodies[string(r.Key)] = string(r.Value) })
	}
	for _, m := range batch(0, 100) {
		if bodies[m.Key] != string(m.Body) {
			t.Errorf("%s has %q", m.Key, bodies[m.Key])
		}
	}
}
