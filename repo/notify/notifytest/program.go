//go:build unix

// Package notifytest runs the servers that tests of event targets need, where they are
// installed: nats-server, redis-server and PostgreSQL. Each runs on loopback with its data
// in a directory of the test, can be killed, and comes back with what it had confirmed.
package notifytest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Program is a server of a test, whose end ends it.
type Program struct {
	Address string // host and port

	t    *testing.T
	name string
	args []string
	cred *syscall.Credential
	dir  string
	cmd  *exec.Cmd // nil when it does not run

	gentle bool // in the end

	exited chan struct{} // closed when cmd has
}

// NATS starts a nats-server with JetStream, or skips the test.
func NATS(t *testing.T) *Program {
	t.Helper()
	p := program(t, "nats-server")
	host, port, _ := net.SplitHostPort(p.Address)
	p.args = []string{"-a", host, "-p", port, "-js", "-sd", p.dir}
	p.Start()
	return p
}

// Redis starts a redis-server that keeps what it confirms, or skips the test.
func Redis(t *testing.T) *Program {
	t.Helper()
	p := program(t, "redis-server")
	host, port, _ := net.SplitHostPort(p.Address)
	p.args = []string{"--bind", host, "--port", port, "--dir", p.dir, "--appendonly", "yes", "--appendfsync", "always", "--save", ""}
	p.Start()
	return p
}

// Postgres starts PostgreSQL with a user and database postgres and no password, or skips the
// test.
func Postgres(t *testing.T) *Program {
	t.Helper()
	p := program(t, "postgres")
	p.notRoot()
	p.gentle = true
	if real, err := filepath.EvalSymlinks(p.name); err == nil { // initdb lies beside it
		p.name = real
	}
	initdb, err := exec.LookPath(filepath.Join(filepath.Dir(p.name), "initdb"))
	if err != nil {
		t.Skip("initdb is not installed")
	}
	data := filepath.Join(p.dir, "data")
	cmd := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	host, port, _ := net.SplitHostPort(p.Address)
	p.args = []string{"-D", data, "-h", host, "-p", port, "-k", "", "-c", "max_connections=20", "-c", "shared_buffers=16MB"}
	p.Start()
	return p
}

// program finds a program, a directory and a port for it, and skips the test without it.
func program(t *testing.T, name string) *Program {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil { // Debian keeps those of PostgreSQL apart
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
		if len(found) == 0 {
			t.Skipf("%s is not installed", name)
		}
		path = found[len(found)-1]
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free a moment later, too
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &Program{Address: l.Addr().String(), t: t, name: path, dir: t.TempDir()}
	t.Cleanup(func() {
		if p.gentle && p.cmd != nil { // all of its processes end before the directory goes
			_ = p.cmd.Process.Signal(syscall.SIGQUIT)
			select {
			case <-p.exited:
			case <-time.After(startWait):
			}
		}
		p.Kill()
	})
	return p
}

// notRoot lets the program run as another user when the test runs as root.
func (p *Program) notRoot() {
	p.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		p.t.Skip("there is no user postgres, and PostgreSQL does not run as root")
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	p.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(p.dir, int(uid), int(gid)); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(p.dir), 0o755); err != nil { // on the way to it
		p.t.Fatal(err)
	}
}

// startWait is how long a program may take to listen.
const startWait = 30 * time.Second

// Start starts the program again after Kill, and returns when it takes connections. One that
// gives up meanwhile is started once more: PostgreSQL does while processes of the one before
// are still on their way out.
func (p *Program) Start() {
	p.t.Helper()
	deadline := time.Now().Add(startWait)
	for p.launch(); ; time.Sleep(10 * time.Millisecond) { // nothing else says when it is ready
		select {
		case <-p.exited:
			p.launch()
		default:
		}
		conn, err := net.Dial("tcp", p.Address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			p.t.Fatalf("%s does not listen: %v\n%s", p.name, err, text)
		}
	}
}

func (p *Program) launch() {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd, exited := exec.Command(p.name, p.args...), make(chan struct{})
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.cred}
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
}

// Kill kills the program without notice. PostgreSQL's other processes end soon after.
func (p *Program) Kill() {
	if p.cmd == nil {
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
	p.cmd = nil
}

// String is the name and address of the program.
func (p *Program) String() string { return fmt.Sprintf("%s at %s", filepath.Base(p.name), p.Address) }
