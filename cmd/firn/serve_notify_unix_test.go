//go:build unix

package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// manager is a socket that listens as a service manager does.
func manager(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "firn") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	name := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, name
}

func heard(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestServiceManagerIsTold(t *testing.T) {
	conn, name := manager(t)
	env := map[string]string{"NOTIFY_SOCKET": name}
	n := newNotifier(func(name string) string { return env[name] })
	if err := n.tell("READY=1"); err != nil {
		t.Fatal(err)
	}
	if got := heard(t, conn); got != "READY=1" {
		t.Errorf("heard %q", got)
	}
	if err := (notifier{}).tell("READY=1"); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	if err := (notifier{socket: name + "-gone"}).tell("READY=1"); err == nil {
		t.Error("a manager that is gone, no error")
	}
}

func TestWatchdog(t *testing.T) {
	t.Parallel()
	conn, name := manager(t)
	var asked atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() {
		notifier{socket: name, watchdog: 20 * time.Millisecond}.keepAlive(ctx, func() error {
			if asked.Add(1) == 1 {
				return errors.New("not yet")
			}
			return nil
		})
		done <- true
	}()
	if got := heard(t, conn); got != "WATCHDOG=1" || asked.Load() < 2 {
		t.Errorf("heard %q after %d questions", got, asked.Load())
	}
	cancel()
	<-done
}

func TestWatchdogOfAnotherProcess(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"30000000", "", 30 * time.Second}, {"30000000", ownPID(), 30 * time.Second}, {"30000000", "1", 0}, {"-5", "", 0}, {"x", "", 0},
	} {
		env := map[string]string{"WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}
		if got := newNotifier(func(name string) string { return env[name] }).watchdog; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
