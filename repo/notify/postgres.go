package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresConfig is a table of PostgreSQL.
type postgresConfig struct {
	fileBase `toml:"-"`
	common
	tlsConfig
	URL          string `toml:"url"`
	PasswordFile string `toml:"password-file"`
	Table        string `toml:"table"` // perhaps with its schema
}

func (c *postgresConfig) check() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "postgresql" && u.Scheme != "postgres" {
		return errors.New("url: want postgresql://USER@HOST:PORT/DATABASE")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return errors.New("url: a password does not belong there; use password-file")
	}
	if _, err := pgx.ParseConfig(c.URL); err != nil {
		return errors.New("url: want postgresql://USER@HOST:PORT/DATABASE")
	}
	if c.Table == "" || strings.Count(c.Table, ".") > 1 || strings.HasPrefix(c.Table, ".") || strings.HasSuffix(c.Table, ".") {
		return errors.New("table: want NAME or SCHEMA.NAME")
	}
	return c.tlsConfig.check()
}

const postgresWait = 15 * time.Second

func (c *postgresConfig) open() (Target, error) {
	conf, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, errors.New("url: want postgresql://USER@HOST:PORT/DATABASE")
	}
	password, err := c.secret("password-file", c.PasswordFile)
	if err != nil {
		return nil, err
	}
	if password != "" {
		conf.Password = password
	}
	own, err := c.load(c.fileBase)
	if err != nil {
		return nil, err
	}
	if own != nil {
		own.ServerName = conf.Host
		conf.TLSConfig, conf.Fallbacks = own, nil
	}
	conf.ConnectTimeout = postgresWait
	return &postgresTarget{conf: conf, table: pgx.Identifier(strings.Split(c.Table, ".")).Sanitize()}, nil
}

type postgresTarget struct {
	conf  *pgx.ConnConfig
	table string

	mu   sync.Mutex
	conn *pgx.Conn // nil when there is none; guarded by mu
}

// connect returns the connection. The table is made if it is missing and that is allowed.
func (t *postgresTarget) connect(ctx context.Context) (*pgx.Conn, error) {
	if t.conn != nil && !t.conn.IsClosed() {
		return t.conn, nil
	}
	t.conn = nil
	conn, err := pgx.ConnectConfig(ctx, t.conf)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	_, err = conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+t.table+
		" (id text PRIMARY KEY, time timestamptz NOT NULL, name text NOT NULL, bucket text NOT NULL, event jsonb NOT NULL)")
	if err != nil {
		// Who may only insert is refused even when it is there: then the insert decides.
		if _, there := conn.Exec(ctx, "SELECT 1 FROM "+t.table+" LIMIT 0"); there != nil {
			_ = conn.Close(ctx)
			return nil, fmt.Errorf("make table %s: %w", t.table, err)
		}
	}
	t.conn = conn
	return conn, nil
}

// Send implements Target: all messages are inserted in one transaction, and those that the
// table has already are left out by their ID.
func (t *postgresTarget) Send(ctx context.Context, list []Message) []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, postgresWait)
	defer cancel()
	conn, err := t.connect(ctx)
	if err != nil {
		return same(len(list), err)
	}
	var ids, names, buckets, events []string
	var times []time.Time
	for i := range list {
		m := &list[i]
		ids, names, buckets, events, times = append(ids, m.ID), append(names, m.Name), append(buckets, m.Bucket), append(events, string(m.Body)), append(times, m.Time)
	}
	_, err = conn.Exec(ctx, "INSERT INTO "+t.table+" (id, time, name, bucket, event) SELECT i, t, n, b, e::jsonb "+
		"FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[]) AS r(i, t, n, b, e) ON CONFLICT (id) DO NOTHING",
		ids, times, names, buckets, events)
	if err != nil {
		t.hangUp() // whatever is wrong with it, the next one begins anew
		return same(len(list), fmt.Errorf("insert into %s: %w", t.table, err))
	}
	return make([]error, len(list))
}

// Close implements Target.
func (t *postgresTarget) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hangUp()
}

// hangUp gives up the connection. t.mu is held.
func (t *postgresTarget) hangUp() {
	if t.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.conn.Close(ctx)
	t.conn = nil
}
