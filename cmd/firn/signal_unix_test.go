//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startStream starts a backup of standard input, and returns when it reads.
func startStream(t *testing.T, e *scriptEnv) (cmd *exec.Cmd, in io.WriteCloser, errs *bytes.Buffer) {
	t.Helper()
	e.run(t, "signal", scriptStep{command: "firn init -r repo --recipient-file pub"})
	cmd = exec.Command(filepath.Join(filepath.Dir(e.dir), "bin", "firn"), "backup", "-r", "repo", "--identity-file", "key", "--stdin", "--json")
	cmd.Dir, cmd.Env = e.dir, e.env
	errs = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = &bytes.Buffer{}, errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if _, err := in.Write(make([]byte, 1<<20)); err != nil { // more than a pipe holds
		t.Fatal(err)
	}
	return cmd, in, errs
}

func exitOf(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		t.Fatal("firn does not end after a signal")
	}
	return 0
}

func TestSignalsEndABackupCleanly(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			e := newScriptEnv(t)
			cmd, _, errs := startStream(t, e)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if got := exitOf(t, cmd); got != exitInterrupted {
				t.Errorf("exit code %d, want %d: %s", got, exitInterrupted, errs)
			}
			if n := strings.Count(errs.String(), "\n"); n != 1 {
				t.Errorf("want one line, not %s", errs)
			}
			if got := fmt.Sprint(cmd.Stdout); got != "{\"error\":\"interrupted\",\"exit_code\":130}\n" {
				t.Errorf("standard output has %s", got)
			}
			e.run(t, "signal", scriptStep{command: "firn snapshots -r repo --identity-file key --json", stdout: []string{`\[\]`}})
			e.run(t, "signal", scriptStep{command: "firn check -r repo --identity-file key --read-data"})
		})
	}
}

// A command that goes on after SIGINT is killed: nothing is left running.
func TestSignalEndsTheCommandThatIsSaved(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	e.run(t, "signal", scriptStep{command: "firn init -r repo --recipient-file pub"})
	cmd := exec.Command(filepath.Join(filepath.Dir(e.dir), "bin", "firn"), "backup", "-r", "repo", "--identity-file", "key",
		"--stdin-from-command", "--", "sh", "-c", "trap '' INT; echo $$ > pid.new; mv pid.new pid; exec sleep 1000")
	cmd.Dir, cmd.Env = e.dir, e.env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	e.run(t, "signal", scriptStep{command: "while ! test -e pid; do sleep 0.05; done"})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if got := exitOf(t, cmd); got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
	e.run(t, "signal", scriptStep{command: "kill -0 $(cat pid)", code: 1})
	e.run(t, "signal", scriptStep{command: "firn snapshots -r repo --identity-file key --json", stdout: []string{`\[\]`}})
}

func TestStreamEndsWithItsInput(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	cmd, in, errs := startStream(t, e)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if got := exitOf(t, cmd); got != 0 {
		t.Errorf("exit code %d: %s", got, errs)
	}
	e.run(t, "signal", scriptStep{command: "firn cat -r repo --identity-file key latest stdin | wc -c", stdout: []string{` *1048576`}})
}
