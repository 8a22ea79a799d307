package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

// redisConfig is a stream of Redis.
type redisConfig struct {
	fileBase `toml:"-"`
	common
	tlsConfig
	Address      string `toml:"address"`
	Stream       string `toml:"stream"`
	MaxLength    int    `toml:"max-length"` // about how many entries the stream keeps; 0 is all
	User         string `toml:"user"`
	PasswordFile string `toml:"password-file"`
	Database     int    `toml:"database"`
}

func (c *redisConfig) check() error {
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return errors.New("address: want HOST:PORT")
	}
	switch {
	case c.Stream == "":
		return errors.New("stream: want the key of a stream")
	case c.MaxLength < 0:
		return errors.New("max-length: want 0 or more")
	case c.Database < 0:
		return errors.New("database: want 0 or more")
	case c.User != "" && c.PasswordFile == "":
		return errors.New("user takes a password-file")
	}
	return c.tlsConfig.check()
}

const redisWait = 10 * time.Second

func (c *redisConfig) open() (Target, error) {
	password, err := c.secret("password-file", c.PasswordFile)
	if err != nil {
		return nil, err
	}
	conf, err := c.load(c.fileBase)
	if err != nil {
		return nil, err
	}
	options := []redis.DialOption{redis.DialConnectTimeout(redisWait), redis.DialReadTimeout(redisWait), redis.DialWriteTimeout(redisWait),
		redis.DialDatabase(c.Database), redis.DialClientName("firn")}
	if c.User != "" {
		options = append(options, redis.DialUsername(c.User))
	}
	if password != "" {
		options = append(options, redis.DialPassword(password))
	}
	if conf != nil {
		options = append(options, redis.DialUseTLS(true), redis.DialTLSConfig(conf))
	}
	return &redisTarget{c: c, options: options}, nil
}

type redisTarget struct {
	c       *redisConfig
	options []redis.DialOption

	mu   sync.Mutex
	conn redis.Conn // nil when there is none; guarded by mu
}

// Send implements Target: the confirmation is the ID that the server gave the entry.
func (t *redisTarget) Send(ctx context.Context, list []Message) []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		conn, err := redis.DialContext(ctx, "tcp", t.c.Address, t.options...)
		if err != nil {
			return same(len(list), fmt.Errorf("connect to Redis: %w", err))
		}
		t.conn = conn
	}
	errs := make([]error, len(list))
	for i := range list {
		errs[i] = t.conn.Send("XADD", t.args(&list[i])...)
	}
	if err := t.conn.Flush(); err != nil {
		errs = same(len(list), err)
	}
	for i := range list {
		if errs[i] == nil {
			_, errs[i] = redis.ReceiveContext(t.conn, ctx)
		}
		if errs[i] != nil {
			errs[i] = fmt.Errorf("XADD %s: %w", t.c.Stream, errs[i])
		}
	}
	if t.conn.Err() != nil {
		_ = t.conn.Close()
		t.conn = nil
	}
	return errs
}

func (t *redisTarget) args(m *Message) redis.Args {
	a := redis.Args{t.c.Stream}
	if t.c.MaxLength > 0 {
		a = a.Add("MAXLEN", "~", t.c.MaxLength)
	}
	return a.Add("*", "id", m.ID, "event", m.Body)
}

// Close implements Target.
func (t *redisTarget) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		_ = t.conn.Close()
	}
}
