package remote_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/remote"
	"github.com/firnstore/firn/tier/tiertest"
)

// servers of others, whose programs the environment names.
var servers = []struct {
	name, env string
	start     func(program, dir, address string) *exec.Cmd
}{
	{"minio", "FIRN_TEST_MINIO", func(program, dir, address string) *exec.Cmd {
		cmd := exec.Command(program, "server", "--quiet", "--address", address, dir)
		cmd.Env = append(os.Environ(), "MINIO_ROOT_USER=firntest", "MINIO_ROOT_PASSWORD=firntest-secret")
		return cmd
	}},
	{"versitygw", "FIRN_TEST_VERSITYGW", func(program, dir, address string) *exec.Cmd {
		return exec.Command(program, "--access", "firntest", "--secret", "firntest-secret", "--port", address, "posix", "--sidecar", filepath.Join(filepath.Dir(dir), "meta"), dir)
	}},
}

// The contract, and files in parts, against servers of others.
func TestServersKeepContract(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			program := os.Getenv(server.env)
			if program == "" {
				t.Skipf("%s does not name the program", server.env)
			}
			testCredentials(t)
			address := freeAddress(t)
			dir := filepath.Join(t.TempDir(), "data")
			for _, d := range []string{dir, filepath.Join(filepath.Dir(dir), "meta")} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			run(t, server.start(program, dir, address))
			endpoint := "http://" + address
			makeBucket(t, endpoint)
			tiertest.Run(t, func(t *testing.T) tier.Store {
				return open(t, remote.Options{Prefix: unique(t), Endpoint: endpoint})
			})
			t.Run("probe", func(t *testing.T) {
				if err := open(t, remote.Options{Prefix: unique(t), Endpoint: endpoint}).Probe(t.Context()); err != nil {
					t.Error(err)
				}
			})
			t.Run("parts", func(t *testing.T) {
				testParts(t, open(t, remote.Options{Prefix: unique(t), Endpoint: endpoint}))
			})
		})
	}
}

// testParts writes files of several parts, two of one name.
func testParts(t *testing.T, s *remote.Store) {
	data := make([]byte, 20<<20+5)
	rand.NewChaCha8([32]byte{1}).Read(data)
	if err := tier.Put(t.Context(), s, "packs/large", data); err != nil {
		t.Fatal(err)
	}
	got, err := tier.Read(t.Context(), s, "packs/large", int64(len(data)))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("Read = %d bytes, %v", len(got), err)
	}
	if err := tier.Put(t.Context(), s, "packs/large", data[:9<<20]); !errors.Is(err, tier.ErrExist) {
		t.Errorf("second Put: %v, want ErrExist", err)
	}
	if info, err := s.Stat(t.Context(), "packs/large"); err != nil || info.Size != int64(len(data)) {
		t.Errorf("Stat = %+v, %v", info, err)
	}
	if n, err := s.AbortUploads(t.Context(), 0); n != 0 || err != nil {
		t.Errorf("the refused file left %d uploads, %v", n, err)
	}
	w, err := s.Create(t.Context(), "packs/other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	dying, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := s.Leave(dying, "packs/dead", data[:9<<20]); err != nil {
		t.Fatal(err)
	}
	if n, err := s.AbortUploads(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("AbortUploads removed %d young uploads, %v", n, err)
	}
	if n, err := s.AbortUploads(t.Context(), -time.Hour); n == 0 || err != nil {
		t.Errorf("AbortUploads found %d of a process that died, %v", n, err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("Abort: %v", err)
	}
	if n, err := s.AbortUploads(t.Context(), 0); n != 0 || err != nil {
		t.Errorf("Abort left %d uploads, %v", n, err)
	}
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func run(t *testing.T, cmd *exec.Cmd) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("server:\n%.3000s", out.String())
		}
	})
}

// makeBucket waits for the server by asking until it answers.
func makeBucket(t *testing.T, endpoint string) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		resp, err := http.Get(endpoint)
		if err == nil {
			resp.Body.Close()
			break
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"))
	if err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &endpoint, true })
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Fatal(err)
	}
}
