package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
	"github.com/firnstore/firn/tier"
)

// The escape hatch, docs/restore.py, knows docs/format.md and nothing of this program. These tests hold the three
// together: what Save writes, what the page says, and what stock age and zstd can read.

// escape is a repository in a directory, and what is needed to read it without firn.
type escape struct {
	repository string
	identity   string // file with the identity that opens the key slot
	cache      string
}

// needTools skips the test where the programs that the script needs are not installed.
func needTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"python3", "age", "zstd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the escape hatch needs python3, age and zstd: %v", err)
		}
	}
}

// command is a run of the script. Extra temporary files would show: it gets a directory of its own for them.
func (e *escape) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	script, err := filepath.Abs("../docs/restore.py")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"-B", script, e.repository}
	if e.identity != "" {
		all = append(all, "--identity", e.identity)
	}
	cmd := exec.CommandContext(t.Context(), "python3", append(all, args...)...)
	temp := t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	t.Cleanup(func() {
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("restore.py %q leaves temporary files: %v %v", args, left, err)
		}
	})
	return cmd
}

// run returns what the script prints.
func (e *escape) run(t *testing.T, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := e.command(t, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("restore.py %q: %v\n%s", args, err, stderr.Bytes())
	}
	return out
}

// fails runs the script, which has to end with an error that says want, and without a stack.
func (e *escape) fails(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := e.command(t, args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !bytes.Contains(out, []byte(want)) || bytes.Contains(out, []byte("Traceback")) {
		t.Errorf("restore.py %q: %v, want an error with %q:\n%s", args, err, want, out)
	}
}

func (e *escape) open(t *testing.T, id age.Identity) *repo.Repository {
	t.Helper()
	store, err := tier.OpenDir(e.repository, tier.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(t.Context(), store, []age.Identity{id}, repo.Options{CacheDir: e.cache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return r
}

// newEscape makes a repository whose key slot is sealed to recipient.
func newEscape(t *testing.T, recipient age.Recipient, choice repo.InitOptions) *escape {
	t.Helper()
	e := &escape{repository: filepath.Join(t.TempDir(), "repository"), cache: t.TempDir()}
	store, err := tier.CreateDir(e.repository, tier.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Init(t.Context(), store, recipient, repo.Options{}, choice); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return e
}

func newX25519Escape(t *testing.T, choice repo.InitOptions) (*escape, age.Identity) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	e := newEscape(t, id.Recipient(), choice)
	e.identity = filepath.Join(t.TempDir(), "identity.txt")
	putFile(t, e.identity, []byte("# a comment\n"+id.String()+"\n"), 0o600)
	return e, id
}

func backUp(t *testing.T, r *repo.Repository, dir string) string {
	t.Helper()
	res, err := snapshot.Save(t.Context(), r, snapshot.SaveOptions{
		Paths: []string{dir}, Host: "testhost",
		Problem: func(p string, err error) { t.Errorf("back up %s: %v", p, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return res.ID
}

func TestEscapeHatch(t *testing.T) {
	t.Parallel()
	needTools(t)
	e, id := newX25519Escape(t, repo.InitOptions{})
	src := filepath.Join(t.TempDir(), "source")
	makeTree(t, src)

	r := e.open(t, id)
	first := backUp(t, r, src)
	firstInline := readFile(t, filepath.Join(src, "inline"))
	putFile(t, filepath.Join(src, "large"), slices.Concat(randomData(4, 100_000), readFile(t, filepath.Join(src, "large"))), 0o640)
	putFile(t, filepath.Join(src, "inline"), []byte("changed"), 0o600)
	putFile(t, filepath.Join(src, "new"), randomData(5, 70_000), 0o644)
	second := backUp(t, r, src)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(e.cache); err != nil {
		t.Fatal(err)
	}

	list := string(e.run(t, "snapshots"))
	if lines := strings.Split(list, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], first) || !strings.HasPrefix(lines[1], second) {
		t.Errorf("snapshots prints:\n%s", list)
	}
	ls := string(e.run(t, "ls", second, src))
	if strings.Count(ls, "\n") != 11 || !strings.Contains(ls, "drwxr-xr-x") && !strings.Contains(ls, "d0755") {
		t.Errorf("ls prints:\n%s", ls)
	}
	for _, name := range []string{"large", oddName(), "many/a name that makes the node longer and the block fuller, number 1033"} {
		path := filepath.Join(src, name)
		if got := e.run(t, "cat", second[:8], path); !bytes.Equal(got, readFile(t, path)) {
			t.Errorf("cat %q: %d bytes that differ", name, len(got))
		}
	}
	if got := e.run(t, "--verify", "cat", first, filepath.Join(src, "inline")); !bytes.Equal(got, firstInline) {
		t.Errorf("cat of the first snapshot: %q", got)
	}
	target := filepath.Join(t.TempDir(), "target")
	t.Cleanup(func() { unlock(target) })
	e.run(t, "--verify", "restore", second, src, target)
	sameTree(t, target, src)
	one, err := os.Stat(filepath.Join(target, "inline"))
	if err != nil {
		t.Fatal(err)
	}
	if two, err := os.Stat(filepath.Join(target, "deep/link")); err != nil || !os.SameFile(one, two) {
		t.Errorf("hard links are restored as two files: %v", err)
	}

	file := filepath.Join(t.TempDir(), "file")
	e.run(t, "restore", second, filepath.Join(src, "large"), file)
	if !bytes.Equal(readFile(t, file), readFile(t, filepath.Join(src, "large"))) {
		t.Error("a single restored file differs")
	}
	e.fails(t, "exists", "restore", second, filepath.Join(src, "text"), file)
	e.fails(t, "not empty", "restore", second, src, target)
	e.fails(t, "is not in the snapshot", "cat", second, filepath.Join(src, "nowhere"))
	e.fails(t, "is not a regular file", "cat", second, src)
	e.fails(t, "no version has an ID", "ls", "ffffffffffffffffffffffffffffffff")
}

// storeObjects puts versions that are no snapshots, in two commits of one session.
func storeObjects(t *testing.T, r *repo.Repository, objects map[string][]byte) map[string]index.VersionID {
	t.Helper()
	ids := map[string]index.VersionID{}
	s, err := r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), repo.Ops{Buckets: []string{"bucket"}}); err != nil {
		t.Fatal(err)
	}
	in, err := s.Ingest(t.Context(), repo.IngestOptions{Stream: "bucket", PackSize: 256 << 10, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	var ops repo.Ops
	for name, data := range objects {
		handle, err := in.Stream(bytes.NewReader(data), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		v := index.Version{Bucket: "bucket", Key: []byte(name), Kind: index.ContentPayload, Content: handle[:], Class: "STANDARD"}
		copy(v.ID[:], randomData(byte(len(ids)+100), len(v.ID)))
		ids[name] = v.ID
		ops.Versions = append(ops.Versions, v)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	if err := s.End(t.Context(), repo.Ops{Removals: []index.Removal{{Bucket: "bucket", Key: []byte("removed"), ID: ids["removed"]}}}); err != nil {
		t.Fatal(err)
	}
	return ids
}

// Objects of a list of lists, spread over more packs than the script keeps, come back, and damage does not go unnoticed.
func TestEscapeHatchObjects(t *testing.T) {
	t.Parallel()
	needTools(t)
	e, id := newX25519Escape(t, repo.InitOptions{Profile: chunk.Profile{Name: "tiny", Bits: 10, Min: 1 << 10, Max: 8 << 10}})
	objects := map[string][]byte{
		"big": slices.Concat(randomData(7, 3<<20), make([]byte, 5<<20), randomData(8, 3<<20)), "removed": randomData(9, 100),
	}
	r := e.open(t, id)
	ids := storeObjects(t, r, objects)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	big := ids["big"].String()
	if list := string(e.run(t, "objects")); strings.Count(list, "\n") != 1 || !strings.HasPrefix(list, big) {
		t.Errorf("objects prints:\n%s", list)
	}
	if got := e.run(t, "cat", big); !bytes.Equal(got, objects["big"]) {
		t.Errorf("%d bytes that differ came back", len(got))
	}
	e.fails(t, "no version has an ID", "cat", ids["removed"].String())

	packs, err := filepath.Glob(filepath.Join(e.repository, "packs/*/*"))
	if err != nil || len(packs) < 10 {
		t.Fatalf("%d packs, want 10 or more: %v", len(packs), err)
	}
	for _, p := range packs {
		flipLastByte(t, p)
	}
	e.fails(t, "age -d", "cat", big)
	commit := filepath.Join(e.repository, "log/000000/0000000000000003")
	data := readFile(t, commit)
	flipLastByte(t, commit)
	e.fails(t, "commit 3: its body is damaged", "objects")
	if err := os.Remove(commit); err != nil {
		t.Fatal(err)
	}
	e.fails(t, "commit 3 is missing", "objects")
	putFile(t, commit, readFile(t, filepath.Join(e.repository, "log/000000/0000000000000004")), 0o600)
	e.fails(t, "does not follow", "objects")
	putFile(t, commit, append(data, 0), 0o600)
	e.fails(t, "its length is wrong", "objects")
}

func flipLastByte(t *testing.T, path string) {
	t.Helper()
	b := readFile(t, path)
	b[len(b)-1] ^= 1
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	putFile(t, path, b, 0o600)
}

// python runs a program that can import the script.
func python(t *testing.T, program string, args ...string) string {
	t.Helper()
	docs, err := filepath.Abs("../docs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", append([]string{"-B", "-c", program}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+docs)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// A hostile repository cannot make the script write outside of the target.
func TestEscapeHatchRefusesNames(t *testing.T) {
	t.Parallel()
	needTools(t)
	python(t, `
import os, sys, restore
os.chdir(sys.argv[1])
class Hostile:
    def nodes(self, tree):
        for name in self.names:
            yield {0: name, 1: self.kind, 2: 0o644, 3: 0, 4: 0, 7: 0, 13: bytes(41), 14: bytes(33), 15: b"/"}
    def content(self, handle):
        yield b"hostile"
for kind in (0, 1, 2):
    for i, names in enumerate([[b".."], [b"."], [b""], [b"a/../../b"], [b"/b"], [b"b\0"], [b"b", b"a"], [b"b", b"b"]]):
        repo = Hostile()
        repo.names, repo.kind = names, 2 if names == [b"b", b"b"] else kind
        target = b"%d-%d" % (kind, i)
        try:
            restore.restore(repo, {0: b"/", 1: 1, 2: 0o755, 3: 0, 4: 0, 7: 0, 14: b""}, target, {})
        except (restore.Failure, RecursionError):
            pass
        else:
            sys.exit("%r is restored" % names)
if sorted(os.listdir(b".")) != sorted(b"%d-%d" % (k, i) for k in range(3) for i in range(8)):
    sys.exit("there are other files: %r" % os.listdir("."))
`, t.TempDir())
}

func TestEscapeHatchHash(t *testing.T) {
	t.Parallel()
	needTools(t)
	program := `
import sys, restore
data = bytes(i % 251 for i in range(70000))
for n in map(int, sys.argv[1:]):
    print(restore.blake3(data[:n]).hex(), restore.derive_key("context", data[:n]).hex())
`
	data := make([]byte, 70_000)
	for i := range data {
		data[i] = byte(i % 251)
	}
	var args []string
	var want strings.Builder
	for _, n := range []int{0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3072, 5121, 16384, 31744, 65536, 70000} {
		args = append(args, fmt.Sprint(n))
		var key [32]byte
		blake3.DeriveKey("context", data[:n], key[:])
		fmt.Fprintf(&want, "%x %x\n", blake3.Sum256(data[:n]), key)
	}
	if got := python(t, program, args...); got != want.String() {
		t.Errorf("hashes are\n%swant\n%s", got, want.String())
	}
}

// A slot with a passphrase is opened by age, which asks for it on the terminal.
func TestEscapeHatchPassphrase(t *testing.T) {
	t.Parallel()
	needTools(t)
	const passphrase = "old snow, new ice"
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(10)
	e := newEscape(t, recipient, repo.InitOptions{})
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	src := filepath.Join(t.TempDir(), "source")
	putFile(t, filepath.Join(src, "file"), []byte("contents"), 0o600)
	r := e.open(t, id)
	snap := backUp(t, r, src)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	script := e.command(t, "cat", snap, filepath.Join(src, "file"))
	program := `
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen, asked = b"", False
while True:
    try:
        data = os.read(terminal, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    if not asked and b"passphrase" in seen:
        asked = os.write(terminal, sys.argv[1].encode() + b"\n")
code = os.waitpid(child, 0)[1]
sys.exit("exit %d: %r" % (code, seen) if code or not asked or not seen.endswith(b"contents") else 0)
`
	python(t, program, append([]string{passphrase}, script.Args...)...)
}
