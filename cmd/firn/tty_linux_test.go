package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with firn on it.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File

	mu   sync.Mutex
	seen bytes.Buffer
}

// onTerminal starts firn with a terminal as its standard error and controlling terminal.
func onTerminal(t *testing.T, e *scriptEnv, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	defer slave.Close()
	cmd := exec.Command(filepath.Join(filepath.Dir(e.dir), "bin", "firn"), args...)
	cmd.Dir, cmd.Env = e.dir, append(e.env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, cmd: cmd, master: master}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			term.mu.Lock()
			term.seen.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = master.Close() })
	return term
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.seen.String()
}

// expect waits until the terminal shows text n times.
func (term *terminal) expect(text string, n int) {
	term.t.Helper()
	for range 2000 {
		if strings.Count(term.text(), text) >= n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	term.t.Fatalf("the terminal does not show %q: %q", text, term.text())
}

func (term *terminal) send(text string) {
	term.t.Helper()
	// The question is printed just before echo is switched off; a person is slower.
	for range 400 {
		attr, err := unix.IoctlGetTermios(int(term.master.Fd()), unix.TCGETS)
		if err != nil || attr.Lflag&unix.ECHO == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := io.WriteString(term.master, text); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) wait(code int) {
	term.t.Helper()
	done := make(chan error, 1)
	go func() { done <- term.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		term.t.Fatalf("firn does not end: %q", term.text())
	}
	if got := term.cmd.ProcessState.ExitCode(); got != code {
		term.t.Fatalf("exit code %d, want %d: %q", got, code, term.text())
	}
}

// Invariant 2: what is typed at the question for a passphrase is not echoed.
func TestPassphraseIsAskedForWithoutEcho(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	term := onTerminal(t, e, "init", "-r", "repo")
	term.expect("enter passphrase: ", 1)
	term.send(testPassphrase + "\n")
	term.expect("enter the same passphrase again: ", 1)
	term.send(testPassphrase + "\n")
	term.wait(0)
	if strings.Contains(term.text(), testPassphrase) {
		t.Errorf("the passphrase is on the terminal: %q", term.text())
	}
	e.run(t, "tty", scriptStep{command: "firn snapshots -r repo --passphrase-file pw"})

	term = onTerminal(t, e, "backup", "-r", "repo", "tree")
	term.expect("enter passphrase: ", 1)
	term.send(testPassphrase + "\n")
	term.wait(0)
	term.expect(" saved in ", 1)

	term = onTerminal(t, e, "snapshots", "-r", "repo")
	term.expect("enter passphrase: ", 1)
	term.send("wrong\n")
	term.wait(exitKey)
}

func TestPassphrasesThatDifferAreRefused(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	term := onTerminal(t, e, "init", "-r", "repo")
	term.expect("enter passphrase: ", 1)
	term.send(testPassphrase + "\n")
	term.expect("again: ", 1)
	term.send("something else\n")
	term.wait(exitFailed)
	term.expect("the two passphrases differ; nothing was done", 1)
	if _, err := os.Stat(filepath.Join(e.dir, "repo")); !os.IsNotExist(err) {
		t.Errorf("there is a repository: %v", err)
	}
}

func TestInterruptedQuestionRestoresTheTerminal(t *testing.T) {
	t.Parallel()
	term := onTerminal(t, newScriptEnv(t), "init", "-r", "repo")
	term.expect("enter passphrase: ", 1)
	term.send("\x03")
	term.wait(exitInterrupted)
	attr, err := unix.IoctlGetTermios(int(term.master.Fd()), unix.TCGETS)
	if err != nil {
		t.Skipf("the terminal is gone: %v", err)
	}
	if attr.Lflag&unix.ECHO == 0 {
		t.Error("the terminal does not echo any more")
	}
}

// Invariant 4, for firn ls and for messages. What is no terminal gets the names as they are.
func TestNamesOnATerminalAreVisible(t *testing.T) {
	t.Parallel()
	e := newScriptEnv(t)
	name := "ev\x1b[31mil\xff\nline\u009b\x7f"
	e.write(t, "odd/"+name, "")
	e.run(t, "tty", scriptStep{command: "firn init -r repo --recipient-file pub; firn backup -r repo --identity-file key --quiet odd"})
	for _, args := range [][]string{
		{"ls", "-r", "repo", "--identity-file", "key", "latest", "-R"},
		{"ls", "-r", "repo", "--identity-file", "key", "latest", "-lR"},
	} {
		term := onTerminal(t, e, args...)
		term.wait(0)
		term.expect(`/odd/ev\x1b[31mil\xff\nline\u009b\x7f`, 1)
		noControls(t, term.text())
	}
	term := onTerminal(t, e, "ls", "-r", "repo", "--identity-file", "key", "latest", "-R", "--json")
	term.wait(0)
	term.expect(`/odd/ev\u001b[31mil`+"\ufffd"+`\nline\u009b\u007f"`, 1)
	noControls(t, term.text())
	term = onTerminal(t, e, "cat", "-r", "repo", "--identity-file", "key", "latest", "no\x1b[2J")
	term.wait(exitFailed)
	term.expect(`no\x1b[2J`, 1)
	noControls(t, term.text())
	e.run(t, "pipe", scriptStep{command: "firn ls -r repo --identity-file key latest /odd > names; ls -d odd/* > want; sed 's|^/||' names | cmp - want"})
}

func noControls(t *testing.T, shown string) {
	t.Helper()
	for _, c := range strings.ReplaceAll(shown, "\r\n", "") {
		if unicode.IsControl(c) {
			t.Errorf("the terminal got %q", shown)
			return
		}
	}
}
