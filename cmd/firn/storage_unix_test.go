//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/remote"
	"github.com/firnstore/firn/tier/tiertest"
)

// bucketEnv is what a person sets to reach a server of the tests.
func bucketEnv(s *serverProcess) []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.root.access, "AWS_SECRET_ACCESS_KEY=" + s.root.secret, "AWS_ENDPOINT_URL_S3=" + s.endpoint,
		"AWS_CONFIG_FILE=/nowhere/config", "AWS_SHARED_CREDENTIALS_FILE=/nowhere/credentials", "AWS_PROFILE=", "AWS_REGION=" + s.region}
}

// A bucket of our own server keeps the contract of stores, and every promise that a
// repository needs.
func TestOwnBucketKeepsContract(t *testing.T) {
	e := newScriptEnv(t)
	s := startServer(t, e, nil, repositoryOf(t, e)...)
	s.want(s.root, "PUT", "/bucket", "", 200)
	for _, set := range bucketEnv(s) {
		name, value, _ := strings.Cut(set, "=")
		t.Setenv(name, value)
	}
	var stores atomic.Int64
	open := func(t *testing.T) *remote.Store {
		store, err := remote.Open(t.Context(), remote.Options{Bucket: "bucket", Prefix: fmt.Sprint("test/", stores.Add(1))})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	tiertest.Run(t, func(t *testing.T) tier.Store { return open(t) })
	if err := open(t).Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

// bucketScript is the life of a repository in a bucket.
const bucketScript = `
$ firn init -r s3://bucket/one --passphrase-file pw --requests
> made repository [0-9a-f]{8} in s3://bucket/one
> ...
2> firn: [0-9]+ requests \(.*\), 0 retries, sent .*
$ firn init -r s3://bucket/one --passphrase-file pw
? 15
2> firn: a repository in s3://bucket/one already exists
$ firn backup -r s3://bucket/one --passphrase-file pw --json --requests tree
> \{"type":"requests","requests":\{.*"put":.*
> .*"snapshot":.*
$ firn snapshots -r s3://bucket/one --passphrase-file pw
$ firn ls -r s3://bucket/one --passphrase-file pw latest
$ rm -rf home/.cache .cache; XDG_CACHE_HOME=$PWD/c2 firn restore -r s3://bucket/one --passphrase-file pw --target out latest
$ cmp tree/sub/b.txt "$(find out -name b.txt)"
$ firn check --read-data -r s3://bucket/one --passphrase-file pw
$ firn scrub -r s3://bucket/one --passphrase-file pw
$ firn key list -r s3://bucket/one
$ echo more > tree/more; firn backup -r s3://bucket/one --passphrase-file pw --quiet tree
$ firn forget --keep-last 1 --prune --grace 0 -r s3://bucket/one --passphrase-file pw
$ firn check --read-data -r s3://bucket/one --passphrase-file pw
$ printf '[profile.away]\nrepository = "s3://bucket/one"\npassphrase-file = "pw"\ns3-region = "firn-1"\nlimit-download = "10M"\n' > conf; firn snapshots --config conf --profile away

# What is wrong is told as that.
$ firn snapshots -r s3://bucket/two --passphrase-file pw
? 10
$ firn snapshots -r s3://missing/one --passphrase-file pw
? 17
2> firn: read s3://missing/one/config: no such bucket: missing at http://.*; make it first, or check the spelling and the endpoint
$ AWS_SECRET_ACCESS_KEY=wrong firn snapshots -r s3://bucket/one --passphrase-file pw
? 17
2> firn: read s3://bucket/one/config: the storage denies access: 403 SignatureDoesNotMatch: .*; check AWS_ACCESS_KEY_ID .*
$ AWS_ACCESS_KEY_ID= AWS_SECRET_ACCESS_KEY= firn snapshots -r s3://bucket/one --s3-endpoint http://127.0.0.1:1 --passphrase-file pw
? 17
2> firn: open s3://bucket/one: the storage denies access: found no credentials; .*
$ firn init -r s3://bucket/one/log --passphrase-file pw
? 1
2> firn: s3://bucket/one/log is not empty: it holds .*
`

func TestRepositoryInBucket(t *testing.T) {
	e := newScriptEnv(t)
	s := startServer(t, e, nil, repositoryOf(t, e)...)
	s.want(s.root, "PUT", "/bucket", "", 200)
	e.env = append(e.env, bucketEnv(s)...)
	for _, step := range parseScript(t, bucketScript) {
		e.run(t, "bucketScript", step)
	}
}

// held holds back the answers to packs until a number of them are on their way.
type held struct {
	together int

	mu   sync.Mutex
	seen int
	met  chan struct{}
}

func (h *held) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodPut && strings.Contains(req.URL.Path, "/packs/") {
		h.mu.Lock()
		if h.seen++; h.seen == h.together {
			close(h.met)
		}
		h.mu.Unlock()
		select {
		case <-h.met:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	return http.DefaultTransport.RoundTrip(req)
}

// While the storage takes its time, the work goes on: the first pack is not acknowledged
// before the third has been sealed and is on its way.
func TestPacksInFlight(t *testing.T) {
	e := newScriptEnv(t)
	s := startServer(t, e, nil, repositoryOf(t, e)...)
	s.want(s.root, "PUT", "/bucket", "", 200)
	for _, set := range bucketEnv(s) {
		name, value, _ := strings.Cut(set, "=")
		t.Setenv(name, value)
	}
	store, err := remote.Open(t.Context(), remote.Options{Bucket: "bucket", Transport: &held{together: 3, met: make(chan struct{})}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	opt := repo.Options{CacheDir: t.TempDir()}
	if _, err := repo.Init(ctx, store, id.Recipient(), opt, repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(ctx, store, []age.Identity{id}, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	session, err := r.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	in, err := session.Ingest(ctx, repo.IngestOptions{Workers: 1, PackSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{9})
	_, err = in.Stream(io.LimitReader(random, 6<<20), nil, nil)
	if err := errors.Join(err, in.Close(), session.Abandon(ctx)); err != nil {
		t.Errorf("packs wait for one another: %v", err)
	}
}

// A storage that goes away in the middle is no damage: the command ends with why.
func TestLostStorageIsNoDamage(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	a := &app{cancel: cancel}
	gone := fmt.Errorf("read packs/x: %w", remote.ErrUnreachable)
	a.lose(gone)
	found := fmt.Errorf("packs/x: %w: %w", repo.ErrDamaged, gone)
	err := reason(ctx, found)
	if got := exitCode(ctx, err); got != exitUnreachable || errors.Is(err, repo.ErrDamaged) {
		t.Errorf("it ends with %d, %v", got, err)
	}

	ctx, cancel = context.WithCancelCause(t.Context())
	server := &app{cancel: cancel, serving: true}
	server.lose(gone)
	if ctx.Err() != nil {
		t.Error("a server ended because its storage did not answer")
	}
}
