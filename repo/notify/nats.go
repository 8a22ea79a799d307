package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsConfig is a subject of NATS that a stream of JetStream takes.
type natsConfig struct {
	fileBase `toml:"-"`
	common
	tlsConfig
	URL             string `toml:"url"` // or several with commas between
	Subject         string `toml:"subject"`
	User            string `toml:"user"`
	PasswordFile    string `toml:"password-file"`
	TokenFile       string `toml:"token-file"`
	CredentialsFile string `toml:"credentials-file"`
}

func (c *natsConfig) check() error {
	for one := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Host == "" {
			return errors.New("url: want nats://HOST:PORT or tls://HOST:PORT")
		}
		if u.User != nil {
			return errors.New("url: a password does not belong there; use password-file, token-file or credentials-file")
		}
		c.TLS = c.TLS || u.Scheme == "tls"
	}
	if c.Subject == "" || strings.ContainsAny(c.Subject, "*> \t\r\n") {
		return errors.New("subject: want one such as firn.events, without * and >")
	}
	if (c.User == "") != (c.PasswordFile == "") {
		return errors.New("user and password-file go together")
	}
	return c.tlsConfig.check()
}

func (c *natsConfig) open() (Target, error) {
	options := []nats.Option{nats.Name("firn"), nats.Timeout(5 * time.Second), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second),
		nats.ReconnectBufSize(-1), // what cannot be sent fails at once, and is sent again by us
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})} // each Send tells its own
	password, err := c.secret("password-file", c.PasswordFile)
	if err != nil {
		return nil, err
	}
	if c.User != "" {
		options = append(options, nats.UserInfo(c.User, password))
	}
	token, err := c.secret("token-file", c.TokenFile)
	if err != nil {
		return nil, err
	}
	if token != "" {
		options = append(options, nats.Token(token))
	}
	if c.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(c.path(c.CredentialsFile)))
	}
	conf, err := c.load(c.fileBase)
	if err != nil {
		return nil, err
	}
	if conf != nil {
		options = append(options, nats.Secure(conf))
	}
	return &natsTarget{url: c.URL, subject: c.Subject, options: options}, nil
}

type natsTarget struct {
	url, subject string
	options      []nats.Option

	mu sync.Mutex
	nc *nats.Conn // nil until the first message; guarded by mu
	js jetstream.JetStream
}

func (t *natsTarget) connect() (jetstream.JetStream, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.nc != nil {
		return t.js, nil
	}
	nc, err := nats.Connect(t.url, t.options...)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	t.nc, t.js = nc, js
	return js, nil
}

// natsWait bounds how long one message waits for its confirmation.
const natsWait = 10 * time.Second

// Send implements Target: the confirmation is that of the stream. It leaves out what it has
// by its ID within its window for duplicates.
func (t *natsTarget) Send(ctx context.Context, list []Message) []error {
	js, err := t.connect()
	if err != nil {
		return same(len(list), fmt.Errorf("connect to NATS: %w", err))
	}
	if !js.Conn().IsConnected() {
		return same(len(list), errors.New("the connection to NATS is lost"))
	}
	ctx, cancel := context.WithTimeout(ctx, natsWait)
	defer cancel()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() {
			m := nats.NewMsg(t.subject)
			m.Header.Set(nats.MsgIdHdr, list[i].ID)
			m.Data = list[i].Body
			if _, err := js.PublishMsg(ctx, m); err != nil {
				errs[i] = fmt.Errorf("publish to %s: %w", t.subject, err)
			}
		})
	}
	wg.Wait()
	return errs
}

// Close implements Target.
func (t *natsTarget) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.nc != nil {
		t.nc.Close()
	}
}
