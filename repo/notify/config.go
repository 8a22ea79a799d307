package notify

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Kinds of targets, as they stand in the file and in ARNs.
const (
	kindWebhook  = "webhook"
	kindNATS     = "nats"
	kindRedis    = "redis"
	kindPostgres = "postgresql"
	kindKafka    = "kafka"
)

// opener is what each kind of target is configured with.
type opener interface {
	check() error
	// open makes the target. It connects when the first message is sent, and reads secrets
	// before.
	open() (Target, error)
}

// common are the fields of all kinds.
type common struct {
	Kind       string `toml:"kind"`
	MaxAge     string `toml:"max-age"`
	MaxPending int    `toml:"max-pending"`
}

// Config is a target of the file.
type Config struct {
	Kind  string
	Limit Limit
	opener
}

// Parse reads a file of targets: TOML with a table [target.NAME] for each. Names of files in
// it are relative to dir. Nothing is opened. Errors name the target and the field, but
// no value, since a secret may stand where it does not belong.
func Parse(text, dir string) (map[string]*Config, error) {
	var file struct {
		Target map[string]toml.Primitive `toml:"target"`
	}
	meta, err := toml.Decode(text, &file)
	if err != nil {
		return nil, unquoted(err)
	}
	configs := map[string]*Config{}
	for _, name := range slices.Sorted(maps.Keys(file.Target)) {
		c, err := parseTarget(&meta, name, file.Target[name], dir)
		if err != nil {
			return nil, fmt.Errorf("target %s: %w", name, err)
		}
		configs[name] = c
	}
	if keys := meta.Undecoded(); len(keys) > 0 {
		return nil, fmt.Errorf("unknown field %s", keys[0])
	}
	return configs, nil
}

var quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)

// unquoted is an error of the TOML parser without the values that it quotes.
func unquoted(err error) error {
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return fmt.Errorf("line %d: %s", syntax.Position.Line, quoted.ReplaceAllString(syntax.Message, "…"))
	}
	return errors.New(quoted.ReplaceAllString(err.Error(), "…"))
}

var targetName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func parseTarget(meta *toml.MetaData, name string, raw toml.Primitive, dir string) (*Config, error) {
	if !targetName.MatchString(name) {
		return nil, errors.New("the name has to be 1 to 64 of a-z, A-Z, 0-9, - and _")
	}
	var kind struct{ Kind string }
	if err := meta.PrimitiveDecode(raw, &kind); err != nil {
		return nil, unquoted(err)
	}
	var o opener
	var shared *common
	files := fileBase(dir)
	switch kind.Kind {
	case kindWebhook:
		w := &webhookConfig{fileBase: files}
		o, shared = w, &w.common
	case kindNATS:
		n := &natsConfig{fileBase: files}
		o, shared = n, &n.common
	case kindRedis:
		r := &redisConfig{fileBase: files}
		o, shared = r, &r.common
	case kindPostgres:
		p := &postgresConfig{fileBase: files}
		o, shared = p, &p.common
	case kindKafka:
		k := &kafkaConfig{fileBase: files}
		o, shared = k, &k.common
	default:
		return nil, errors.New("kind: want webhook, nats, redis, postgresql or kafka")
	}
	if err := meta.PrimitiveDecode(raw, o); err != nil {
		return nil, unquoted(err)
	}
	c := &Config{Kind: kind.Kind, opener: o}
	var err error
	if c.Limit, err = shared.limit(); err != nil {
		return nil, err
	}
	return c, o.check()
}

func (c *common) limit() (Limit, error) {
	l := DefaultLimit
	if c.MaxAge != "" {
		age, err := time.ParseDuration(c.MaxAge)
		if err != nil || age < time.Minute || age > MaxAge {
			return l, fmt.Errorf("max-age: want a duration of 1m to %dh, such as 72h", int(MaxAge.Hours()))
		}
		l.Age = age
	}
	if c.MaxPending != 0 {
		if c.MaxPending < 1 || c.MaxPending > MaxCount {
			return l, fmt.Errorf("max-pending: want 1 to %d", MaxCount)
		}
		l.Count = c.MaxPending
	}
	return l, nil
}

// Open reads the secrets of all targets and makes them. Nothing is connected yet.
func Open(configs map[string]*Config) (map[string]*Opened, error) {
	targets := map[string]*Opened{}
	for name, c := range configs {
		t, err := c.open()
		if err != nil {
			for _, t := range targets {
				t.Close()
			}
			return nil, fmt.Errorf("target %s: %w", name, err)
		}
		targets[name] = &Opened{Target: t, Kind: c.Kind, Limit: c.Limit}
	}
	return targets, nil
}

// fileBase is the directory that names of files begin at.
type fileBase string

const maxSecret = 64 << 10

// read returns the contents of a file, "" when it has no name.
func (dir fileBase) read(field, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	data, err := os.ReadFile(dir.path(name))
	if err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("%s: %s is longer than %d bytes", field, name, maxSecret)
	}
	return string(data), nil
}

// secret returns what is in a file but for the end of its line.
func (dir fileBase) secret(field, name string) (string, error) {
	text, err := dir.read(field, name)
	text = strings.TrimRight(text, "\r\n")
	if err == nil && name != "" && text == "" {
		err = fmt.Errorf("%s: %s is empty", field, name)
	}
	return text, err
}

func (dir fileBase) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return filepath.Join(string(dir), name)
}
