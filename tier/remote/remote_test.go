package remote_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/remote"
	"github.com/firnstore/firn/tier/tiertest"
)

// testCredentials makes the environment that of a person with one key and no files of AWS.
func testCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "firntest")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "firntest-secret")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	for _, name := range []string{"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"} {
		t.Setenv(name, "")
	}
}

// instant is a clock that jumps ahead when someone sleeps.
type instant struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func newInstant() *instant { return &instant{now: time.Unix(1_700_000_000, 0)} }

func (c *instant) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *instant) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func open(t *testing.T, opt remote.Options) *remote.Store {
	t.Helper()
	if opt.Bucket == "" {
		opt.Bucket = "bucket"
	}
	s, err := remote.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func unique(t *testing.T) string {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b[:])
}

// The contract, against a server in memory, with and without a prefix.
func TestStoreKeepsContract(t *testing.T) {
	testCredentials(t)
	for name, prefix := range map[string]string{"prefix": "some/where", "bare": ""} {
		t.Run(name, func(t *testing.T) {
			tiertest.Run(t, func(t *testing.T) tier.Store {
				return open(t, remote.Options{Prefix: prefix, Endpoint: newFake(t).url})
			})
		})
	}
}
