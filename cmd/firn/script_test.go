package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary firn itself when it is called by that name, so that
// scripts run real processes with real exit codes.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "firn" {
		newWorkFactor = 10
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// TestScripts runs the scripts of testdata. A script is a list of commands for sh(1), each
// with what it must do:
//
//	$ firn ls -r repo latest    a command, run in an empty directory; firn is on the path
//	? 2                         its exit code; 0 when left out
//	> regular expression        a line of standard output; all of them, when there is one
//	2> regular expression       a line of standard error; likewise
//	> ...                       any number of lines; 2> ... likewise
//	# a remark
//
// Beside that, for every command: standard output is JSON and nothing else when --json
// is given (invariant 1), and no output holds a secret (invariant 2).
func TestScripts(t *testing.T) {
	runScripts(t, "testdata/*.txt", func(*testing.T, string, *scriptEnv) {})
}

// runScripts runs scripts, each in an environment of its own that prepare got first.
func runScripts(t *testing.T, pattern string, prepare func(t *testing.T, file string, env *scriptEnv)) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the scripts are for sh")
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			env := newScriptEnv(t)
			prepare(t, file, env)
			for _, s := range parseScript(t, string(text)) {
				env.run(t, file, s)
			}
		})
	}
}

// scriptStep is one command of a script.
type scriptStep struct {
	line         int
	command      string
	code         int
	stdout, errs []string // nil: anything
}

func parseScript(t *testing.T, text string) (steps []scriptStep) {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		if mark == "$" {
			steps = append(steps, scriptStep{line: i + 1, command: rest})
			continue
		}
		if mark == "" || mark == "#" {
			continue
		}
		if len(steps) == 0 {
			t.Fatalf("line %d before the first command: %s", i+1, line)
		}
		s := &steps[len(steps)-1]
		switch mark {
		case "?":
			code, err := strconv.Atoi(rest)
			if err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			s.code = code
		case ">":
			s.stdout = append(s.stdout, rest)
		case "2>":
			s.errs = append(s.errs, rest)
		default:
			t.Fatalf("line %d: unknown mark %q", i+1, mark)
		}
	}
	return steps
}

// scriptEnv is where a script runs.
type scriptEnv struct {
	dir string
	env []string
}

func newScriptEnv(t *testing.T) *scriptEnv {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin", "here", "home"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(self, filepath.Join(dir, "bin", "firn")); err != nil {
		t.Fatal(err)
	}
	e := &scriptEnv{dir: filepath.Join(dir, "here"), env: []string{
		"PATH=" + filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"),
		"HOME=" + filepath.Join(dir, "home"), "TMPDIR=" + dir, "TZ=UTC",
		"GORACE=atexit_sleep_ms=10", // the race detector lets every process linger for a second
	}}
	// Every script may use these: secrets, and a small tree.
	e.write(t, "pw", testPassphrase+"\nthis line does not count\n")
	e.write(t, "key", "# a comment\n"+testIdentity+"\n")
	e.write(t, "pub", testRecipient+"\n")
	e.write(t, "tree/a.txt", "alpha\n")
	e.write(t, "tree/sub/b.txt", strings.Repeat("beta\n", 1000))
	e.write(t, "tree/sub/empty", "")
	if err := os.Symlink("a.txt", filepath.Join(e.dir, "tree", "link")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // so that what a script made unwritable can be removed
		_ = exec.Command("chmod", "-R", "u+rwx", dir).Run()
	})
	return e
}

// The secrets of the tests.
const (
	testPassphrase = "correct horse battery staple"
	testIdentity   = "AGE-SECRET-KEY-15PM5SASC3TJYJCWNE8SZS53Y4WUAM3D0YL2VW5RQLFTKWACLKLWQT67PYP"
	testRecipient  = "age1g6f8j5ykfvll8udku3x5fg08vr80v0289k9455z3xd9vtq8rrc4qq0g8ps"
)

func (e *scriptEnv) write(t *testing.T, name, text string) {
	t.Helper()
	name = filepath.Join(e.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (e *scriptEnv) run(t *testing.T, file string, s scriptStep) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", s.command)
	cmd.Dir, cmd.Env = e.dir, e.env
	detach(cmd)
	var stdout, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s:%d: %s: %v", file, s.line, s.command, err)
	}
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format, args...)
		t.Fatalf("%s:%d: %s\nexit code %d\nstdout:\n%sstderr:\n%s", file, s.line, s.command, cmd.ProcessState.ExitCode(), &stdout, &errs)
	}
	if got := cmd.ProcessState.ExitCode(); got != s.code {
		fail("exit code %d, want %d", got, s.code)
	}
	if s.stdout != nil && !matchLines(s.stdout, stdout.String()) {
		fail("stdout is not:\n%s", strings.Join(s.stdout, "\n"))
	}
	if s.errs != nil && !matchLines(s.errs, errs.String()) {
		fail("stderr is not:\n%s", strings.Join(s.errs, "\n"))
	}
	both := stdout.String() + errs.String()
	if strings.Contains(both, testPassphrase) || strings.Contains(both, testIdentity) {
		fail("the output holds a secret")
	}
	if strings.HasPrefix(s.command, "firn ") && strings.Contains(s.command, "--json") && !strings.ContainsAny(s.command, ">|;&") {
		dec := json.NewDecoder(&stdout)
		for err == nil || errors.As(err, &exit) {
			var v any
			err = dec.Decode(&v)
		}
		if err != io.EOF {
			fail("stdout is not JSON: %v", err)
		}
	}
}

// matchLines matches every line of text with a pattern, in order; "..." stands for any
// number of lines.
func matchLines(patterns []string, text string) bool {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		lines = nil
	}
	return matchFrom(patterns, lines)
}

func matchFrom(patterns, lines []string) bool {
	for i, p := range patterns {
		if p == "..." {
			for skip := range len(lines) - i + 1 {
				if matchFrom(patterns[i+1:], lines[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(lines) || !regexp.MustCompile("^(?:"+p+")$").MatchString(lines[i]) {
			return false
		}
	}
	return len(lines) == len(patterns)
}
