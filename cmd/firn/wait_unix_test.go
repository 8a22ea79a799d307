//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// holdIndex takes every place of the local index, as that many processes would.
func holdIndex(t *testing.T, e *scriptEnv) (release func()) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(filepath.Dir(e.dir), "home", ".cache", "firn", "*", "index-0.db"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the index: %v, %v", found, err)
	}
	var held []*os.File
	for slot := range 16 {
		f, err := os.OpenFile(filepath.Join(filepath.Dir(found[0]), fmt.Sprintf("index-%d.db", slot)), os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		}
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, f)
	}
	release = sync.OnceFunc(func() {
		for _, f := range held {
			_ = f.Close()
		}
	})
	t.Cleanup(release)
	return release
}

func TestWaitForABusyRepository(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	e.run(t, "wait", scriptStep{command: "firn init -r repo --recipient-file pub; firn backup -r repo --identity-file key --quiet tree"})
	release := holdIndex(t, e)
	e.run(t, "busy", scriptStep{command: "firn snapshots -r repo --identity-file key --json", code: exitBusy,
		stdout: []string{`\{"error":".*in use by another process","exit_code":11\}`},
		errs:   []string{"firn: .*in use by another process", "firn: run it again when they are done, or let it --wait"}})
	start := time.Now()
	e.run(t, "wait in vain", scriptStep{command: "firn snapshots -r repo --identity-file key --wait 300ms", code: exitBusy,
		errs: []string{"firn: .*in use by another process; waiting up to 300ms", "..."}})
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("it gave up after %v", took)
	}
	e.run(t, "no time", scriptStep{command: "firn snapshots -r repo --identity-file key --wait -1s", code: exitUsage})

	cmd := exec.Command(filepath.Join(filepath.Dir(e.dir), "bin", "firn"), "ls", "-r", "repo", "--identity-file", "key", "--wait", "5m", "latest")
	cmd.Dir, cmd.Env = e.dir, e.env
	var out bytes.Buffer
	cmd.Stdout = &out
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	buf := make([]byte, 4096)
	n, err := errs.Read(buf)
	if err != nil || !strings.Contains(string(buf[:n]), "waiting up to 5m0s") {
		t.Fatalf("it says %q, %v", buf[:n], err)
	}
	release()
	if got := exitOf(t, cmd); got != 0 || out.String() != "/tree\n" {
		t.Errorf("exit code %d, %q", got, out.String())
	}
}

func TestSignalEndsTheWait(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	e.run(t, "wait", scriptStep{command: "firn init -r repo --recipient-file pub; firn backup -r repo --identity-file key --quiet tree"})
	holdIndex(t, e)
	cmd := exec.Command(filepath.Join(filepath.Dir(e.dir), "bin", "firn"), "ls", "-r", "repo", "--identity-file", "key", "--wait", "5m", "latest")
	cmd.Dir, cmd.Env = e.dir, e.env
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if _, err := errs.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if got := exitOf(t, cmd); got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
}
