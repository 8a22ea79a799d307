package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the measuring process that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == measureCommand {
		os.Exit(measureMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// testMeasurer returns a measurer with its own file.
func testMeasurer(t *testing.T, timeout time.Duration) *measurer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &measurer{self: self, file: filepath.Join(t.TempDir(), "usage.json"), timeout: timeout}
}

// quickExit keeps a measuring process with the race detector from the second that it
// else waits at its end.
const quickExit = "GORACE=atexit_sleep_ms=0"

func shell(script string) command {
	return command{args: []string{"sh", "-c", script}, env: []string{"PATH=" + os.Getenv("PATH"), quickExit}}
}

func TestMeasureCountsChildren(t *testing.T) {
	t.Parallel()
	u, err := testMeasurer(t, time.Minute).run(context.Background(),
		shell(`sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; true`))
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU < 0.01 || u.Wall < 0.01 {
		t.Errorf("usage of a busy child is %+v", u)
	}
}

func TestMeasureTellsFailures(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		cmd     command
		timeout time.Duration
		want    string
		is      error
	}{
		{"exit code and output", shell("echo first; echo a reason >&2; exit 3"), time.Minute, "sh: exit code 3: first a reason", nil},
		{"no such program", command{args: []string{"/nonexistent/program"}}, time.Minute, "program: exit status 1", nil},
		{"not in time", shell("while :; do :; done"), 100 * time.Millisecond, "", context.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := testMeasurer(t, tc.timeout).run(context.Background(), tc.cmd)
			if err == nil || !strings.Contains(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error is %v, want %q, %v", err, tc.want, tc.is)
			}
		})
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	var out tail
	for range 1000 {
		out.Write([]byte("some text\n"))
	}
	out.Write([]byte("the end"))
	if got := out.String(); len(got) > maxTail || !strings.HasSuffix(got, "some text the end") {
		t.Errorf("tail has %d bytes and ends with %q", len(got), got[max(0, len(got)-30):])
	}
}

// fakeTool is a backup tool of shell commands; harm is run after its restore.
func fakeTool(name, harm string) *tool {
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	return &tool{
		name: name, binary: "sh",
		version: sh("echo " + name + " 1; echo more"),
		init:    sh(`mkdir "{repo}"`),
		backup:  sh(`cp -a "{source}" "{repo}/{archive}"`),
		list:    sh(`ls "{repo}"`),
		restore: sh(`cp -a "{repo}/edited" "{target}/tree" && cd "{target}/tree/some" && ` + harm),
		check:   sh(`test -d "{repo}/first" && test -d "{repo}/unchanged"`),
	}
}

// testBench returns a bench of fake tools over a small tree.
func testBench(t *testing.T, tools ...*tool) *bench {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the fake tools are made of GNU commands")
	}
	opts, err := parseOptions([]string{"-corpora", "tree", "-rounds", "2"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b, err := newBench(context.Background(), opts, dir, tools, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	b.sync = func() {}
	b.env = append(b.env, quickExit)
	c, err := treeCorpus(context.Background(), b.path("tree"), someFiles(t, 100), treeSize{maxFiles: 500, maxBytes: 1 << 30}, 1)
	if err != nil {
		t.Fatal(err)
	}
	b.corpora = []*corpus{c}
	return b
}

func TestBenchRunsAllStepsOfAllTools(t *testing.T) {
	t.Parallel()
	b := testBench(t, fakeTool("one", "true"), fakeTool("two", "true"))
	if err := b.rounds(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := b.failures(); err != nil {
		t.Fatalf("%v: %s", err, b.log)
	}
	var order []string
	for _, res := range b.results {
		if res.Tool != "" && res.Step == stepFirst {
			order = append(order, res.Tool)
			if res.Repo == 0 {
				t.Errorf("repository of %s has no size", res.Tool)
			}
		}
	}
	if got := strings.Join(order, " "); got != "one two two one" {
		t.Errorf("first backups in the order %q, want %q", got, "one two two one")
	}
	if got, want := len(b.results), 2*(len(b.limits)+2*len(steps)); got != want {
		t.Errorf("%d results, want %d", got, want)
	}
	if got := b.version(context.Background(), b.tools[0]); got != "one 1" {
		t.Errorf("version is %q, want %q", got, "one 1")
	}
}

func TestBenchNoticesWrongData(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, harm, want string }{
		{"content", "printf X | dd of=dir3/file10.txt bs=1 seek=2 conv=notrunc 2>/dev/null && touch -d @1700000010.123456789 dir3/file10.txt", "differs"},
		{"time", "touch dir3/file10.txt", "is of"},
		{"mode", "chmod 600 dir3/file10.txt", "mode"},
		{"missing file", "rm dir3/file10.txt", "no such file"},
		{"one too many", "touch dir3/more", "files and directories"},
		{"length", "echo >> dir3/file10.txt && touch -d @1700000010.123456789 dir3/file10.txt", "bytes"},
		{"link", "rm dir2/link && ln -s elsewhere dir2/link", "links to"},
		{"nothing there", "rm -r ../../tree", "no such file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := testBench(t, fakeTool("broken", tc.harm), fakeTool("sound", "true"))
			if err := b.round(context.Background(), 0, b.corpora[0]); err != nil {
				t.Fatal(err)
			}
			for _, res := range b.results {
				if res.Tool == "sound" && res.Err != "" {
					t.Errorf("sound tool failed: %s", res.Err)
				}
				if res.Tool != "broken" {
					continue
				}
				switch res.Step {
				case stepRestore:
					if !strings.Contains(res.Err, "restored wrong data") || !strings.Contains(res.Err, tc.want) {
						t.Errorf("restore says %q, want %q", res.Err, tc.want)
					}
				case "check with data":
					t.Error("the tool went on after a wrong restore")
				}
			}
			if b.failures() == nil {
				t.Error("failures returns no error")
			}
		})
	}
}

func TestLocate(t *testing.T) {
	t.Parallel()
	source := "/data/tree"
	for _, tc := range []struct{ name, made, want string }{
		{"whole path", "data/tree/file", "data/tree"},
		{"last name", "tree/file", "tree"},
		{"nothing", "file", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			target := t.TempDir()
			if err := os.MkdirAll(filepath.Join(target, tc.made), 0o755); err != nil {
				t.Fatal(err)
			}
			if got := locate(target, source); got != filepath.Join(target, tc.want) {
				t.Errorf("locate says %s, want %s", got, filepath.Join(target, tc.want))
			}
		})
	}
}
