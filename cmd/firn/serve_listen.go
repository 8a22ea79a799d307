package main

import (
	"container/list"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// gate bounds the connections of all listeners together. When it is full, the connection
// that was idle longest is closed for the next one; if none is idle, the next one waits,
// and those behind it wait in the queue of the kernel, where they cost nothing.
type gate struct {
	max      int
	accepted atomic.Int64
	evicted  atomic.Int64

	mu    sync.Mutex
	room  sync.Cond
	open  int
	idle  list.List // of *gatedConn, the one idle longest first
	shut  bool
	where map[*gatedConn]*list.Element
}

func newGate(max int) *gate {
	g := &gate{max: max, where: map[*gatedConn]*list.Element{}}
	g.room.L = &g.mu
	return g
}

// enter waits for room for one more connection. It reports false when the gate was closed.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.open >= g.max && !g.shut {
		if oldest := g.idle.Front(); oldest != nil {
			c := oldest.Value.(*gatedConn)
			g.forget(c)
			g.evicted.Add(1)
			go c.Close() // it takes the lock to leave
		}
		g.room.Wait()
	}
	if g.shut {
		return false
	}
	g.open++
	g.accepted.Add(1)
	return true
}

func (g *gate) leave(c *gatedConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(c)
	g.open--
	g.room.Signal()
}

func (g *gate) forget(c *gatedConn) {
	if e := g.where[c]; e != nil {
		g.idle.Remove(e)
		delete(g.where, c)
	}
}

// close lets nobody in any more.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	g.room.Broadcast()
}

func (g *gate) count() (open, idle int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open, g.idle.Len()
}

// state is http.Server.ConnState: it keeps the list of idle connections.
func (g *gate) state(conn net.Conn, s http.ConnState) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c, ok := conn.(*gatedConn)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(c)
	if s == http.StateIdle {
		g.where[c] = g.idle.PushBack(c)
		if g.open >= g.max {
			g.room.Signal() // whoever waits can have its place
		}
	}
}

// gatedListener lets connections through a gate.
type gatedListener struct {
	net.Listener
	g *gate
}

func (l *gatedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.g.enter() {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	return &gatedConn{Conn: conn, g: l.g}, nil
}

// Close implements net.Listener. Who waits at the gate would not notice otherwise.
func (l *gatedListener) Close() error {
	l.g.close()
	return l.Listener.Close()
}

type gatedConn struct {
	net.Conn
	g    *gate
	once sync.Once
}

func (c *gatedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.g.leave(c) })
	return err
}

// chosenAddresses are those to listen on: a service manager that hands over sockets has
// chosen, unless the command line did.
func chosenAddresses(given bool, addrs []string) []string {
	if !given && handedOver(os.Getenv) > 0 {
		return nil
	}
	return addrs
}

// handedOver is how many sockets the service manager handed to this very process; the
// first has the number 3.
func handedOver(getenv func(string) string) int {
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 64 || getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return n
}

// listenAll opens the sockets of the server: those handed over, and one for each address.
func listenAll(addrs []string) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range all {
				_ = l.Close()
			}
		}
	}()
	for i := range handedOver(os.Getenv) {
		f := os.NewFile(uintptr(3+i), "socket "+strconv.Itoa(3+i))
		l, err := net.FileListener(f) // it works on a copy that programs started by this one do not inherit
		if err := errors.Join(err, f.Close()); err != nil {
			return all, fmt.Errorf("take over a socket: %w", err)
		}
		all = append(all, l)
	}
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name) // they are not for children
	}
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return all, fmt.Errorf("listen: %w", err)
		}
		all = append(all, l)
	}
	return all, nil
}

// endpoint is how clients of this machine address a listener. For one that listens on all
// addresses it is that of the loopback.
func endpoint(addr net.Addr, secure bool) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	tcp, ok := addr.(*net.TCPAddr)
	switch {
	case !ok:
		return scheme + addr.String()
	case tcp.IP.IsUnspecified():
		return fmt.Sprintf("%s127.0.0.1:%d", scheme, tcp.Port)
	}
	return scheme + addr.String()
}

// exposed reports whether a listener can be reached from other machines.
func exposed(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && !tcp.IP.IsLoopback()
}

// certificate is the key pair of the server, which can be exchanged while it runs.
type certificate struct {
	certFile, keyFile string
	pair              atomic.Pointer[tls.Certificate]
}

// load reads the files again. After an error the pair before stays.
func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, firstOf(c.keyFile, c.certFile))
	if err != nil {
		return fmt.Errorf("certificate %s: %w", c.certFile, err)
	}
	c.pair.Store(&pair)
	return nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}
