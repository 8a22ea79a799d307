//go:build unix

package main

import (
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// clientTests are what docs/s3.md says of clients, as scripts for sh(1) that end at the
// first command that fails. They find the endpoint in $ENDPOINT and $HOST, a tree to store
// in src, and the key pair where most clients look for it.
var clientTests = []struct {
	client string // the program; a machine that lacks it skips the test
	script string
}{
	{"restic", `
		export RESTIC_REPOSITORY=s3:$ENDPOINT/backup/host RESTIC_PASSWORD=x
		restic init
		restic backup src
		rm -r src/sub
		echo more > src/more
		restic backup src & restic backup --tag other src; wait $!
		test $(restic snapshots --json | grep -o short_id | wc -l) = 3
		restic check --read-data
		restic forget --keep-last 1 --group-by '' --prune
		test $(restic snapshots --json | grep -o short_id | wc -l) = 1
		restic check --read-data
		restic restore latest --target back
		diff -r src back/src`},

	{"rclone", `
		export RCLONE_CONFIG_S_TYPE=s3 RCLONE_CONFIG_S_PROVIDER=Other RCLONE_CONFIG_S_ENV_AUTH=true RCLONE_CONFIG_S_ENDPOINT=$ENDPOINT
		export RCLONE_CONFIG_S_REGION=$AWS_REGION RCLONE_S3_CHUNK_SIZE=5M RCLONE_S3_UPLOAD_CUTOFF=5M
		rclone mkdir s:files
		rclone sync src s:files/src
		rclone check --download src s:files/src
		rm src/sub/1
		echo changed > src/sub/2
		rclone sync src s:files/src
		rclone sync src s:files/src -v 2>&1 | grep 'nothing to transfer'
		rclone sync s:files/src back
		diff -r src back
		rclone copyto s:files/src/big s:files/copy --s3-copy-cutoff 5M
		rclone cat s:files/copy | cmp - src/big
		rclone rcat s:files/stream < src/big
		rclone cat s:files/stream --offset 6000000 --count 10 | cmp - part
		rclone copyurl "$(rclone link s:files/src/sub/2)" s:files/fetched
		test "$(rclone cat s:files/fetched)" = changed
		rclone backend versioning s:files Enabled
		echo new | rclone rcat s:files/fetched
		rclone deletefile s:files/fetched
		test $(rclone lsf --s3-versions --files-only s:files --include 'fetched-v*' | wc -l) = 2
		rclone backend cleanup-hidden s:files
		test $(rclone lsf --s3-versions --files-only s:files --include 'fetched*' | wc -l) = 0
		rclone purge s:files/src
		test "$(rclone lsf s:files)" = "$(printf 'copy\nstream')"`},

	{"s3cmd", `
		cat > s3cfg <<-END
			[default]
			access_key = $AWS_ACCESS_KEY_ID
			secret_key = $AWS_SECRET_ACCESS_KEY
			host_base = $HOST
			host_bucket = $HOST
			bucket_location = $AWS_REGION
			use_https = False
		END
		s3() { s3cmd --no-progress -c s3cfg "$@"; }
		s3 mb s3://files
		s3 sync --multipart-chunk-size-mb 5 src/ s3://files/src/
		rm src/sub/1
		echo changed > src/sub/2
		s3 sync --delete-removed src/ s3://files/src/
		mkdir back
		s3 sync s3://files/src/ back/
		diff -r src back
		test "$(s3 du s3://files/src/sub/ | awk '{ print $1, $2 }')" = "$(cat src/sub/* | wc -c) $(ls src/sub | wc -l)"
		s3 setacl --acl-public s3://files/src/sub/2
		s3 info s3://files/src/sub/2 | grep 'anon.*READ'
		s3 cp s3://files/src/big s3://files/copy
		s3 get s3://files/copy copy
		cmp copy src/big
		s3 signurl s3://files/copy +600 | grep Signature=
		s3 --signature-v2 ls s3://files/src/ | grep big
		s3 del --recursive --force s3://files/
		s3 rb s3://files`},

	{"aws", `
		aws() { command aws --endpoint-url $ENDPOINT "$@"; }
		aws s3 mb s3://files
		aws s3 sync --only-show-errors src s3://files/src
		aws s3 sync --only-show-errors s3://files/src back
		diff -r src back
		aws s3 cp --only-show-errors s3://files/src/big s3://files/copy
		aws s3 cp s3://files/copy - | cmp - src/big
		aws s3api put-bucket-versioning --bucket files --versioning-configuration Status=Enabled
		first=$(aws s3api put-object --bucket files --key v --body part --query VersionId --output text)
		aws s3 rm s3://files/v
		aws s3api get-object --bucket files --key v --version-id $first first
		cmp first part
		aws s3api create-bucket --bucket locked --object-lock-enabled-for-bucket
		held=$(aws s3api put-object --bucket locked --key k --body part --object-lock-legal-hold-status ON --query VersionId --output text)
		if aws s3api delete-object --bucket locked --key k --version-id $held 2> why; then exit 1; fi
		grep AccessDenied why`},
}

func TestClients(t *testing.T) {
	for _, c := range clientTests {
		t.Run(c.client, func(t *testing.T) {
			t.Parallel()
			if out, err := exec.Command(c.client, "--version").CombinedOutput(); err != nil && exec.Command(c.client, "version").Run() != nil {
				t.Skipf("%s does not run here: %v %s", c.client, err, out)
			}
			e := newScriptEnv(t)
			s := startServer(t, e, nil, append(repositoryOf(t, e), "--acls-enabled")...)
			writeClientTree(t, e)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "sh", "-exc", c.script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that what it started ends with it
			cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
			cmd.Dir, cmd.Env = e.dir, append(append([]string{}, e.env...),
				"ENDPOINT="+s.endpoint, "HOST="+strings.TrimPrefix(s.endpoint, "http://"),
				"AWS_ACCESS_KEY_ID="+s.root.access, "AWS_SECRET_ACCESS_KEY="+s.root.secret,
				"AWS_REGION="+s.region, "AWS_DEFAULT_REGION="+s.region, "AWS_EC2_METADATA_DISABLED=true")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if code := s.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code of the server: %d", code)
			}
			e.run(t, c.client, scriptStep{command: "firn check --read-data --quiet " + strings.Join(repositoryArgs, " ")})
		})
	}
}

// writeClientTree makes src, of which one file takes several parts, and part, ten bytes of
// the middle of that file.
func writeClientTree(t *testing.T, e *scriptEnv) {
	t.Helper()
	rng := rand.NewChaCha8([32]byte{1})
	random := func(n int) string {
		b := make([]byte, n)
		_, _ = rng.Read(b) // cannot fail
		return string(b)
	}
	for i := range 20 {
		e.write(t, fmt.Sprintf("src/sub/%d", i), random(i*i*700))
	}
	e.write(t, "src/odd names/ü + %41&.txt", "odd\n")
	e.write(t, "src/empty", "")
	big := random(11 << 20)
	e.write(t, "src/big", big)
	e.write(t, "part", big[6000000:6000010])
}

// What a server acknowledged is there after it was killed in the middle of further writes.
func TestServeKilled(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	args := append(repositoryOf(t, e), "--credentials-file", "root.ini")
	s := startServer(t, e, nil, args...)
	root := s.root
	s.want(root, "PUT", "/bkt", "", 200)
	stored := map[string]string{}
	for round := range 3 {
		maps.Copy(stored, writeAndKill(s, root, fmt.Sprint(round, "-"), 8, 60))
		s = startServer(t, e, nil, args...)
		for key, want := range stored {
			if status, got := s.do(root, "GET", "/bkt/"+key, ""); status != 200 || got != want {
				t.Errorf("round %d: %s was acknowledged with %d bytes; now status %d, %d bytes", round, key, len(want), status, len(got))
			}
		}
	}
	s.stop(syscall.SIGTERM)
	e.run(t, "serve", scriptStep{command: "firn check --read-data --quiet " + strings.Join(repositoryArgs, " ")})
}

// writeAndKill writes objects below prefix with several clients, a part of them as uploads,
// and kills the server when enough was acknowledged. It returns what was, by key.
func writeAndKill(s *serverProcess, root keyPair, prefix string, writers, enough int) map[string]string {
	var mu sync.Mutex
	var failed atomic.Value // the last error
	stored := map[string]string{}
	put := func(key, body string) (err error) {
		if len(key)%3 == 0 {
			err = putUpload(s, root, "/bkt/"+key, body)
		} else {
			_, err = send(s, root, "PUT", "/bkt/"+key, body)
		}
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		stored[key] = body
		if len(stored) == enough {
			return s.cmd.Process.Kill()
		}
		return nil
	}
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for n := 0; ; n++ { // until the server is gone
				key := fmt.Sprintf("%s%d/%s%d", prefix, i, strings.Repeat("x", n%7), n)
				if err := put(key, strings.Repeat(key, 1+n*977%70000)); err != nil {
					failed.Store(err.Error())
					return
				}
			}
		})
	}
	all.Wait()
	if len(stored) < enough {
		s.t.Errorf("only %d objects were acknowledged: %v", len(stored), failed.Load())
		_ = s.cmd.Process.Kill()
	}
	s.client.CloseIdleConnections()
	_ = s.cmd.Wait() // it was killed
	return stored
}

// putUpload stores an object as an upload of one part.
func putUpload(s *serverProcess, root keyPair, path, body string) error {
	begun, err := send(s, root, "POST", path+"?uploads", "")
	if err != nil {
		return err
	}
	id := regexp.MustCompile("<UploadId>(.*)</UploadId>").FindStringSubmatch(begun)[1]
	if _, err := send(s, root, "PUT", path+"?partNumber=1&uploadId="+id, body); err != nil {
		return err
	}
	list := fmt.Sprintf(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%x</ETag></Part></CompleteMultipartUpload>`, md5.Sum([]byte(body)))
	_, err = send(s, root, "POST", path+"?uploadId="+id, list)
	return err
}

// send makes a request, and may be called by several goroutines. Any answer but 200 is an
// error.
func send(s *serverProcess, root keyPair, method, path, body string) (string, error) {
	r, err := http.NewRequest(method, s.endpoint+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	sign(r, root, s.region, time.Now())
	resp, err := s.client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return string(answer), err
}
