package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// kafkaConfig is a topic of Kafka.
type kafkaConfig struct {
	fileBase `toml:"-"`
	common
	tlsConfig
	Brokers      []string `toml:"brokers"`
	Topic        string   `toml:"topic"`
	SASL         string   `toml:"sasl"`
	User         string   `toml:"user"`
	PasswordFile string   `toml:"password-file"`
}

func (c *kafkaConfig) check() error {
	if len(c.Brokers) == 0 {
		return errors.New("brokers: want [\"HOST:PORT\", …]")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return errors.New("brokers: want [\"HOST:PORT\", …]")
		}
	}
	switch {
	case c.Topic == "":
		return errors.New("topic: want the name of a topic")
	case c.SASL == "" && c.User+c.PasswordFile != "":
		return errors.New("user and password-file are of no use without sasl")
	case c.SASL != "" && (c.User == "" || c.PasswordFile == ""):
		return errors.New("sasl takes a user and a password-file")
	}
	switch c.SASL {
	case "", "plain", "scram-sha-256", "scram-sha-512":
	default:
		return errors.New("sasl: want plain, scram-sha-256 or scram-sha-512")
	}
	return c.tlsConfig.check()
}

const kafkaWait = 20 * time.Second

func (c *kafkaConfig) open() (Target, error) {
	password, err := c.secret("password-file", c.PasswordFile)
	if err != nil {
		return nil, err
	}
	conf, err := c.load(c.fileBase)
	if err != nil {
		return nil, err
	}
	options := []kgo.Opt{kgo.ClientID("firn"), kgo.SeedBrokers(c.Brokers...), kgo.DefaultProduceTopic(c.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordDeliveryTimeout(kafkaWait), kgo.ProducerLinger(0)}
	if conf != nil {
		options = append(options, kgo.DialTLSConfig(conf))
	}
	switch c.SASL {
	case "plain":
		options = append(options, kgo.SASL(plain.Auth{User: c.User, Pass: password}.AsMechanism()))
	case "scram-sha-256":
		options = append(options, kgo.SASL(scram.Auth{User: c.User, Pass: password}.AsSha256Mechanism()))
	case "scram-sha-512":
		options = append(options, kgo.SASL(scram.Auth{User: c.User, Pass: password}.AsSha512Mechanism()))
	}
	client, err := kgo.NewClient(options...) // it connects later
	if err != nil {
		return nil, err
	}
	return &kafkaTarget{topic: c.Topic, client: client}, nil
}

type kafkaTarget struct {
	topic  string
	client *kgo.Client
}

// Send implements Target: the confirmation is that of all replicas in sync. Messages of one
// key go to one partition.
func (t *kafkaTarget) Send(ctx context.Context, list []Message) []error {
	places := make(map[*kgo.Record]int, len(list))
	records := make([]*kgo.Record, len(list))
	for i := range list {
		records[i] = &kgo.Record{Key: []byte(list[i].Key), Value: list[i].Body, Headers: []kgo.RecordHeader{{Key: "id", Value: []byte(list[i].ID)}}}
		places[records[i]] = i
	}
	errs := same(len(list), errors.New("no answer"))
	for _, res := range t.client.ProduceSync(ctx, records...) {
		err := res.Err
		if err != nil {
			err = fmt.Errorf("produce to %s: %w", t.topic, err)
		}
		errs[places[res.Record]] = err
	}
	return errs
}

// Close implements Target.
func (t *kafkaTarget) Close() { t.client.Close() }
