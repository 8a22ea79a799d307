package s3

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firnstore/firn/tier"
)

// TestObjectsWithoutFirn reads objects back with docs/restore.py, which knows docs/format.md
// and nothing of this program: plain ones, edited ones, and those that were sealed once more.
func TestObjectsWithoutFirn(t *testing.T) {
	for _, tool := range []string{"python3", "age", "zstd", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the escape hatch needs python3, age, zstd and openssl: %v", err)
		}
	}
	dir := filepath.Join(t.TempDir(), "repository")
	store, err := tier.CreateDir(dir, tier.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := newServerOn(t, Options{}, store)
	s.newBucket("bucket", "x-amz-bucket-object-lock-enabled", "true")

	key, kms := testKey(9), []string{headSSE, "aws:kms", headKMSKey, "mine"}
	large := string(randomBytes(17<<20 + 5)) // more than the script opens at a time
	parts := []string{strings.Repeat("first ", minPart/6+1), "and last"}
	want := map[string]string{"plain": "as it is", "empty": "", "managed": large, "parts": strings.Join(parts, ""), "customer": "for me"}
	s.must(200, mainUser, "PUT", "/bucket/plain", want["plain"])
	s.must(200, mainUser, "PUT", "/bucket/empty", want["empty"], kms...)
	s.must(200, mainUser, "PUT", "/bucket/managed", want["managed"], kms...)
	s.must(200, mainUser, "PUT", "/bucket/customer", want["customer"], customer(customerHeader, key)...)
	id := s.begin(mainUser, "/bucket/parts", kms...)
	list := "<CompleteMultipartUpload>"
	for i, p := range parts {
		list += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, s.part(mainUser, "/bucket/parts", id, i+1, p))
	}
	s.complete(mainUser, "/bucket/parts", id, list+"</CompleteMultipartUpload>")
	for name := range want {
		tags := "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
		s.must(200, mainUser, "PUT", "/bucket/"+name+"?tagging", tags, "Content-MD5", md5Header(tags))
	}

	files := t.TempDir()
	write := func(name, data string) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	identity, right, wrong := write("identity", s.identity.String()+"\n"), write("key", string(key)), write("wrong", string(testKey(8)))
	script := func(args ...string) (string, error) {
		var errs bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "python3", append([]string{"-B", "../../docs/restore.py", dir, "--identity", identity}, args...)...)
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, errs.Bytes())
		}
		return string(out), err
	}
	objects, err := script("objects")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(objects) {
		f := strings.Fields(line)
		name := strings.TrimPrefix(f[3], "bucket/")
		if f[2] != fmt.Sprint(len(want[name])) {
			t.Errorf("%s is listed with %s bytes", name, f[2])
		}
		got, err := script("--customer-key", right, "cat", f[0])
		if err != nil || got != want[name] {
			t.Errorf("%s: %d bytes came out, %v", name, len(got), err)
		}
		if name == "customer" {
			for _, args := range [][]string{{"cat", f[0]}, {"--customer-key", wrong, "cat", f[0]}} {
				if got, err := script(args...); err == nil || got != "" || strings.Contains(err.Error(), "Traceback") {
					t.Errorf("%q gave %q, %v", args, got, err)
				}
			}
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is not in the list", name)
	}
}
