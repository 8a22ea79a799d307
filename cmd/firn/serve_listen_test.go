package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func ownPID() string { return fmt.Sprint(os.Getpid()) }

// gatedServer serves h with at most max connections, over TLS if config is given.
func gatedServer(t *testing.T, max int, h http.HandlerFunc, config *tls.Config) (addr string, g *gate) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g = newGate(max)
	srv := &http.Server{Handler: h, ConnState: g.state, TLSConfig: config}
	done := make(chan error, 1)
	go func() {
		if config != nil {
			done <- srv.ServeTLS(&gatedListener{Listener: l, g: g}, "", "")
			return
		}
		done <- srv.Serve(&gatedListener{Listener: l, g: g})
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String(), g
}

// ask sends a request over a connection and returns the body of the answer.
func ask(t *testing.T, conn net.Conn, path string) string {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestIdleConnectionMakesRoom(t *testing.T) {
	t.Parallel()
	addr, g := gatedServer(t, 1, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }, nil)
	first, second := dial(t, addr), dial(t, addr)
	if got := ask(t, first, "/first"); got != "/first" {
		t.Errorf("answer %q", got)
	}
	if got := ask(t, second, "/second"); got != "/second" {
		t.Errorf("answer %q", got)
	}
	if _, err := first.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the idle connection is still open: %v", err)
	}
	if n := g.evicted.Load(); n != 1 {
		t.Errorf("%d evicted", n)
	}
	if open, _ := g.count(); open != 1 {
		t.Errorf("%d open", open)
	}
}

func TestBusyConnectionsKeepTheirPlace(t *testing.T) {
	t.Parallel()
	release := make(chan bool)
	busy := make(chan bool)
	served := make(chan string, 2)
	addr, g := gatedServer(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			busy <- true
			<-release
		}
		served <- r.URL.Path
		fmt.Fprint(w, r.URL.Path)
	}, nil)
	first, second := dial(t, addr), dial(t, addr)
	answers := make(chan string)
	go func() { answers <- ask(t, first, "/slow") }()
	<-busy
	go func() { answers <- ask(t, second, "/fast") }()
	close(release)
	if one, two := <-served, <-served; one != "/slow" || two != "/fast" {
		t.Errorf("served %s before %s", one, two)
	}
	<-answers
	<-answers
	if n := g.accepted.Load(); n != 2 {
		t.Errorf("%d accepted", n)
	}
}

func TestClosedGateLetsNobodyIn(t *testing.T) {
	g := newGate(1)
	if !g.enter() {
		t.Fatal("no room")
	}
	entered := make(chan bool)
	go func() { entered <- g.enter() }()
	g.close()
	if <-entered {
		t.Error("somebody got in")
	}
}

// writeCertificate makes a certificate for 127.0.0.1 with a serial number.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	if certFile == keyFile {
		certPEM = append(certPEM, keyPEM...)
	} else if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(certFile, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

func TestCertificateIsExchanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := &certificate{certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem")}
	if err := c.load(); err == nil {
		t.Fatal("no files, no error")
	}
	serial := func(addr string, pool *x509.CertPool) int64 {
		t.Helper()
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := ask(t, conn, "/"); got != "HTTP/1.1" {
			t.Errorf("answer %q", got)
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	pool := writeCertificate(t, c.certFile, c.keyFile, 1)
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	addr, g := gatedServer(t, 1, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }, c.config())
	if got := serial(addr, pool); got != 1 {
		t.Errorf("certificate %d", got)
	}
	if err := os.WriteFile(c.certFile, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.load(); err == nil {
		t.Error("a broken certificate, no error")
	}
	if got := serial(addr, pool); got != 1 {
		t.Errorf("certificate %d after a broken one", got)
	}
	pool = writeCertificate(t, c.certFile, c.keyFile, 2)
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	if got := serial(addr, pool); got != 2 {
		t.Errorf("certificate %d after the exchange", got)
	}
	if n := g.accepted.Load(); n != 3 {
		t.Errorf("%d connections went through the gate", n)
	}
}

func TestCertificateAndKeyInOneFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "both.pem")
	writeCertificate(t, name, name, 1)
	if err := (&certificate{certFile: name}).load(); err != nil {
		t.Error(err)
	}
}
