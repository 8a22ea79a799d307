package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3"
)

// Limits of the server that nobody has to choose.
const (
	maxHeaderBytes    = 16 << 10 // S3 itself takes 8 KiB
	readHeaderTimeout = 20 * time.Second
	maxStreams        = 64        // requests at a time on one HTTP/2 connection
	softMemory        = 200 << 20 // bytes; GOMEMLIMIT says otherwise
	cutGrace          = 10 * time.Second
)

// s3Server is one run of firn serve s3.
type s3Server struct {
	a      *app
	f      *serveFlags
	e      *object.Engine
	broken <-chan error // says why the engine cannot go on

	listeners []net.Listener
	webs      []net.Listener // for websites
	aside     net.Listener   // for metrics, or nil
	gate      *gate
	metrics   *serveMetrics
	log       *accessLog   // nil without --access-log
	cert      *certificate // nil without TLS
	notify    notifier
	targets   eventTargets // of events
	life      lifeCounts
	faults    *rarely // messages about faults inside
	stopping  atomic.Bool
	s3, sites http.Handler
}

// serveS3 serves until ctx ends. Being told to stop is no failure.
func (a *app) serveS3(ctx context.Context, f *serveFlags) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	s := &s3Server{
		a: a, f: f, gate: newGate(f.maxConnections), metrics: newServeMetrics(time.Now()), notify: newNotifier(os.Getenv),
		faults: &rarely{every: time.Second, now: time.Now, say: func(text string) { _, _ = a.console.Write([]byte(text)) }},
	}
	if f.tlsCert != "" {
		s.cert = &certificate{certFile: f.tlsCert, keyFile: f.tlsKey}
		if err := s.cert.load(); err != nil {
			return &usage{err: err}
		}
	}
	var err error
	if s.targets, err = readEventsFile(f.eventsFile); err != nil {
		return err
	}
	// First, so that one that cannot listen leaves nothing behind; and nobody is turned away
	// while the repository is opened.
	if err := s.listen(); err != nil {
		return err
	}
	defer s.closeListeners()
	isDefault, keyFile, err := a.useDefault()
	if err != nil {
		return err
	}
	if isDefault {
		if err := a.makeDefault(ctx, keyFile); err != nil {
			return err
		}
	}
	return a.withRepository(ctx, func(p *profile, r *repo.Repository) error {
		a.serving = true
		return s.open(ctx, p, r)
	})
}

// open opens the engine, serves, and closes the engine also after a failure.
func (s *s3Server) open(ctx context.Context, p *profile, r *repo.Repository) error {
	broken := make(chan error, 1)
	s.broken = broken
	opt := object.Options{Uploads: s.f.maxUploads, Log: s.a.console.message, Broken: func(err error) { broken <- err }}
	if s.f.usersFile != "" {
		users, err := readUsersFile(s.f.usersFile, r.ID())
		if err != nil {
			return err
		}
		opt.Users = users
	}
	if s.f.credentialsFile != "" {
		root, err := s.fileRoot(r.ID(), opt.Users)
		if err != nil {
			return err
		}
		opt.Users = append(opt.Users, root)
	}
	// Requests under way when ctx ends are finished, and so is what the engine does for them.
	lasting := context.WithoutCancel(ctx)
	var err error
	if s.e, err = object.Open(lasting, r, opt); err != nil {
		return err
	}
	return errors.Join(s.serve(ctx, p), s.e.Close(lasting))
}

// serve serves over the open engine.
func (s *s3Server) serve(ctx context.Context, p *profile) error {
	if s.f.credentialsFile == "" {
		pair, made, err := ensureRoot(ctx, s.e)
		if err != nil {
			return err
		}
		if made {
			s.show(pair)
		}
	}
	if s.f.accessLog != "" {
		var err error
		if s.log, err = openAccessLog(s.f.accessLog, s.a.stdout, s.a.console.message); err != nil {
			return err
		}
		defer s.log.close()
	}
	h := s3.New(s.e, s3.Options{
		Region: s.f.region, Domains: s.f.domains, ACLs: s.f.acls, NoV2: s.f.v2 == "none", HeaderV2: s.f.v2 == "all", Record: s.record,
		Space:   func() (total, free int64, err error) { return diskSpace(p.Repository) },
		Targets: s.targets.kinds(), TestTarget: s.targets.test,
		Lifecycle: calendar(s.f.lifecycleDay), Restore: calendar(s.f.restoreDay),
	})
	if err := h.KeepLogs(filepath.Join(filepath.Dir(s.e.Repository().Index().Path()), "access-logs"), s.fault); err != nil {
		return err
	}
	s.s3, s.sites = h, h.Website(s.f.websiteDomains)
	servers := map[*http.Server][]net.Listener{s.server(s.handle): s.listeners}
	if len(s.webs) > 0 {
		servers[s.server(s.handleSite)] = s.webs
	}
	if s.aside != nil {
		servers[s.metricsServer()] = []net.Listener{s.aside}
	}
	s.banner(p)
	stop, err := s.deliverEvents(h)
	if err != nil {
		return err
	}
	defer stop()
	defer s.deliverLogs(h)() // after the last request
	rest, err := s.tend(h)
	if err != nil {
		return err
	}
	defer rest()
	return s.run(ctx, servers)
}

// fault tells the operator, now and then, what goes wrong inside.
func (s *s3Server) fault(text string) { _, _ = s.faults.Write([]byte(text)) }

// deliverLogs delivers the access logs that buckets ask for, until the function that it
// returns is called, which delivers the rest.
func (s *s3Server) deliverLogs(h *s3.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	deliver := func(ctx context.Context) {
		if err := h.DeliverLogs(ctx); err != nil {
			s.fault(err.Error() + "; they are delivered later")
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(s.f.logDelivery)
		defer tick.Stop()
		deliver(context.Background()) // what was left when the last server ended
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-h.LogsWaiting():
			}
			deliver(context.Background())
		}
	})
	return func() {
		cancel()
		wg.Wait()
		deliver(context.Background())
		if err := h.CloseLogs(); err != nil {
			s.fault(err.Error())
		}
	}
}

// listen opens the sockets.
func (s *s3Server) listen() (err error) {
	if s.listeners, err = listenAll(s.f.listen); err != nil {
		return err
	}
	if s.webs, err = listenAll(s.f.websiteListen); err != nil {
		s.closeListeners()
		return fmt.Errorf("listen for websites: %w", err)
	}
	if s.f.metricsListen == "" {
		return nil
	}
	if s.aside, err = net.Listen("tcp", s.f.metricsListen); err != nil {
		s.closeListeners()
		return fmt.Errorf("listen for metrics: %w", err)
	}
	return nil
}

// closeListeners closes those that no server has closed.
func (s *s3Server) closeListeners() {
	for _, l := range append(s.listeners[:len(s.listeners):len(s.listeners)], s.webs...) {
		_ = l.Close()
	}
	if s.aside != nil {
		_ = s.aside.Close()
	}
}

// metricsServer is the one of --metrics-listen.
func (s *s3Server) metricsServer() *http.Server {
	return &http.Server{
		Handler: s.metrics.handler(s.gauges, s.health), ReadTimeout: readHeaderTimeout, WriteTimeout: readHeaderTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: log.New(s.faults, "", 0),
	}
}

// server is one for S3 or for websites. It has no limit on the time of a whole request; stallGuard
// says why.
func (s *s3Server) server(handle http.HandlerFunc) *http.Server {
	srv := &http.Server{
		Handler:           &stallGuard{next: handle, limit: s.f.stall, now: time.Now},
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       s.f.idle,
		MaxHeaderBytes:    maxHeaderBytes - 4096, // net/http adds as much
		ConnState:         s.gate.state,
		ErrorLog:          log.New(s.faults, "", 0),
		Protocols:         new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, SendPingTimeout: 30 * time.Second, WriteByteTimeout: s.f.stall,
			MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 256 << 10,
		},
	}
	srv.Protocols.SetHTTP1(true)
	if s.cert != nil {
		srv.Protocols.SetHTTP2(true)
		srv.TLSConfig = s.cert.config()
	}
	return srv
}

// servingObject is the line of JSON that tells where the server can be reached.
type servingObject struct {
	Type       string   `json:"type"` // "serving"
	Endpoints  []string `json:"endpoints"`
	Websites   []string `json:"websites,omitempty"`
	Targets    []string `json:"targets,omitempty"` // ARNs of those who can be told of events
	Repository string   `json:"repository"`
	ID         string   `json:"id"`
	Region     string   `json:"region"`
}

// banner tells where the server can be reached, and how to try it.
func (s *s3Server) banner(p *profile) {
	o := servingObject{Type: "serving", Repository: p.Repository, ID: s.e.Repository().ID(), Region: s.f.region}
	o.Targets = s.targets.arns(s.f.region)
	open := false
	for _, l := range s.listeners {
		o.Endpoints = append(o.Endpoints, endpoint(l.Addr(), s.cert != nil))
		open = open || exposed(l.Addr())
	}
	for _, l := range s.webs {
		o.Websites = append(o.Websites, endpoint(l.Addr(), s.cert != nil))
	}
	if s.a.flags.json {
		s.a.event(o)
	}
	if open && s.cert == nil {
		s.a.console.message("other machines can reach this without TLS: objects go over the network in the clear; --tls-cert mends that")
	}
	s.sayTrial()
	if s.a.flags.quiet || len(o.Endpoints) == 0 {
		return
	}
	s.a.console.message(fmt.Sprintf("serving S3 at %s, repository %s in %s, region %s",
		strings.Join(o.Endpoints, " and "), o.ID[:8], o.Repository, o.Region))
	s.sayTargets()
	if len(o.Websites) > 0 {
		s.a.console.message("serving websites at " + strings.Join(o.Websites, " and ") + "; the host name says which bucket")
	}
	with := ""
	if file := s.f.credentialsFile; file != "" {
		if abs, err := filepath.Abs(file); err == nil {
			file = abs
		}
		with = "AWS_SHARED_CREDENTIALS_FILE=" + file + " "
	}
	s.a.console.message(fmt.Sprintf("try: %saws --endpoint-url %s --region %s s3 ls", with, o.Endpoints[0], o.Region))
}

// run serves until ctx ends or a listener fails, and then finishes what is under way.
func (s *s3Server) run(ctx context.Context, servers map[*http.Server][]net.Listener) error {
	failed := make(chan error, 8)
	var wg sync.WaitGroup
	for srv, listeners := range servers {
		for _, l := range listeners {
			wg.Go(func() {
				if err := s.accept(srv, l); !errors.Is(err, http.ErrServerClosed) {
					select {
					case failed <- err:
					default: // the first is enough
					}
				}
			})
		}
	}
	alive, die := context.WithCancel(context.WithoutCancel(ctx))
	wg.Go(func() { s.notify.keepAlive(alive, s.health) })
	wg.Go(func() { s.onHangup(alive) })
	s.tell("READY=1")
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	case err = <-s.broken:
		s.a.console.message("stopping: " + err.Error()) // now, as the rest may take a while
		err = fmt.Errorf("%w; nothing is lost: start the server again, and the index is made anew from the log", err)
	}
	s.stopping.Store(true)
	s.tell("STOPPING=1")
	die()
	s.stop(servers)
	wg.Wait()
	return err
}

func (s *s3Server) tell(state string) {
	if err := s.notify.tell(state); err != nil {
		s.a.console.message(err.Error())
	}
}

func (s *s3Server) accept(srv *http.Server, l net.Listener) error {
	if srv.ConnState == nil { // that of the metrics
		return srv.Serve(l)
	}
	l = &gatedListener{Listener: l, g: s.gate}
	if s.cert != nil {
		return srv.ServeTLS(l, "", "")
	}
	return srv.Serve(l)
}

// onHangup reads the certificate again and opens the log anew with each SIGHUP.
func (s *s3Server) onHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		s.reload()
	}
}

func (s *s3Server) reload() {
	say := s.a.console.message
	if s.cert != nil {
		if err := s.cert.load(); err != nil {
			say(fmt.Sprintf("%v; the one before stays in use", err))
		} else {
			say("read the certificate again")
		}
	}
	if s.log != nil {
		if err := s.log.reopen(); err != nil {
			say(fmt.Sprintf("%v; it goes on in the file before", err))
		} else {
			say("opened the access log anew")
		}
	}
}

// stop lets no more requests in and waits for those under way. What is not done in time is
// cut; the client sees that it was not acknowledged.
func (s *s3Server) stop(servers map[*http.Server][]net.Listener) {
	ctx, cancel := context.WithTimeout(context.Background(), s.f.shutdown)
	defer cancel()
	var wg sync.WaitGroup
	for srv := range servers {
		wg.Go(func() {
			if srv.Shutdown(ctx) == nil {
				return
			}
			if n := s.metrics.inFlight.Load(); n > 0 && srv.ConnState != nil {
				s.a.console.message(fmt.Sprintf("%s did not finish within %s and %s cut off", counted(n, "request", "requests"), s.f.shutdown, wasWere(n)))
			}
			_ = srv.Close()
		})
	}
	wg.Wait()
	for deadline := time.Now().Add(cutGrace); s.metrics.inFlight.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // a request notices with its next byte
	}
}

func wasWere(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
