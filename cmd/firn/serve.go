package main

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo/s3"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve a repository to other programs",
		Long: `Serve a repository over the network until a signal comes. Other commands work on the same
repository meanwhile.`,
		Example: `  firn serve s3
  firn serve s3 -r /backup/firn --passphrase-file pw --listen 0.0.0.0:9000 --tls-cert cert.pem --tls-key key.pem`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.serveS3Command())
	return cmd
}

// serveFlags are the flags of firn serve s3.
type serveFlags struct {
	listen          []string
	tlsCert, tlsKey string
	domains         []string
	region          string
	acls            bool
	v2              string // where Signature Version 2 is accepted
	usersFile       string
	eventsFile      string
	credentialsFile string
	maxConnections  int
	maxUploads      int
	idle            time.Duration // how long a connection may wait for its next request
	stall           time.Duration // how long a body or an answer may make no progress
	shutdown        time.Duration
	websiteListen   []string
	websiteDomains  []string
	metricsListen   string
	accessLog       string
	logDelivery     time.Duration // how long the logs that buckets ask for wait
	lifecycleDay    time.Duration // how long a day of rules lasts; 0 is a day
	restoreDay      time.Duration // how long one of restored copies lasts
}

func (a *app) serveS3Command() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "s3",
		Short: "Serve the buckets of a repository over the S3 protocol",
		Long: `Serve the buckets of a repository over the S3 protocol, until SIGINT or SIGTERM; requests
under way are finished then. SIGHUP reads the certificate again and opens the access log
anew. docs/s3.md describes users, limits, metrics and the log.

When nothing names a repository, it is $XDG_DATA_HOME/firn/default, or
~/.local/share/firn/default. It is made on the first start, together with the key that
opens it, default.key beside it. Losing that file loses the data: keep a copy elsewhere.

Whoever has the key pair of the user root may do everything. With --credentials-file it is
the one in that file, which is made if it is missing. Otherwise the user root is made in
the repository on the first start. A new key pair is shown once, on standard error.`,
		Example: `  firn serve s3
  firn serve s3 -r /backup/firn --passphrase-file pw --credentials-file root.ini --listen [::]:9000 \
    --tls-cert cert.pem --tls-key key.pem --domain s3.example.org --metrics-listen 127.0.0.1:9001
  AWS_SHARED_CREDENTIALS_FILE=root.ini aws --endpoint-url http://127.0.0.1:9000 s3 mb s3://photos`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			f.listen = chosenAddresses(cmd.Flags().Changed("listen"), f.listen)
			return a.serveS3(cmd.Context(), &f)
		},
	}
	f.add(cmd)
	return exitsOf(cmd, append([]int{exitExists}, exitsOpen...)...)
}

func (f *serveFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.listen, "listen", []string{"127.0.0.1:9000"}, "`ADDRESS` to listen on, as HOST:PORT (repeat: on all of them)")
	fl.StringVar(&f.tlsCert, "tls-cert", "", "`FILE` with the certificate chain (PEM): HTTPS, with HTTP/2")
	fl.StringVar(&f.tlsKey, "tls-key", "", "`FILE` with its private key; when left out, it is in the file of --tls-cert")
	fl.StringArrayVar(&f.domains, "domain", nil, "`NAME` below which the first label of a host is a bucket (repeat: below all of them)")
	fl.StringVar(&f.region, "region", "firn-1", "`NAME` of the region told to clients; they may sign for any")
	fl.BoolVar(&f.acls, "acls-enabled", false, "new buckets have ACLs, as on AWS before April 2023")
	fl.StringVar(&f.usersFile, "users-file", "", "`FILE` of further users (JSON), known while the server runs")
	fl.StringVar(&f.eventsFile, "events-file", "", "`FILE` of targets that buckets can have told of events (TOML)")
	fl.StringVar(&f.credentialsFile, "credentials-file", "", "`FILE` (AWS style) whose profile default is the key pair of root; made if it is missing")
	fl.StringVar(&f.v2, "signature-v2", "presigned", "accept Signature Version 2 `WHERE`: presigned (URLs and forms), all (headers, too, for old clients) or none")
	choices(cmd, "signature-v2", "presigned", "all", "none")
	fl.IntVar(&f.maxConnections, "max-connections", 4096, "at most `N` connections; those idle longest make room, and further ones wait")
	fl.IntVar(&f.maxUploads, "max-uploads", 64, "at most `N` large bodies are stored at a time; further ones wait")
	fl.DurationVar(&f.idle, "idle-timeout", 2*time.Minute, "close a connection that sends no request for this `TIME`")
	fl.DurationVar(&f.stall, "stall-timeout", time.Minute, "cut a body or answer that makes no progress for this `TIME`")
	fl.DurationVar(&f.shutdown, "shutdown-timeout", 30*time.Second, "`TIME` for requests under way to finish after a signal")
	fl.StringArrayVar(&f.websiteListen, "website-listen", nil, "`ADDRESS` for the websites of buckets, apart from S3 (repeat: on all of them)")
	fl.StringArrayVar(&f.websiteDomains, "website-domain", nil, "`NAME` below which the first label of a host is the bucket of a website; other hosts are buckets as a whole (repeat)")
	fl.StringVar(&f.metricsListen, "metrics-listen", "", "`ADDRESS` for /metrics (Prometheus) and /healthz, apart from S3")
	fl.StringVar(&f.accessLog, "access-log", "", "`FILE` that gets a line of JSON for each request; - is standard output")
	fl.DurationVar(&f.logDelivery, "log-delivery", s3.DefaultLogEvery, "deliver the access logs that buckets ask for every `TIME`")
	fl.DurationVar(&f.lifecycleDay, "lifecycle-day", 0, "for trials: let a day of lifecycle rules last this `TIME`, such as 10s, and carry them out as often")
	fl.DurationVar(&f.restoreDay, "restore-day", 0, "for trials: let a day of restored copies last this `TIME`")
	for _, name := range []string{"tls-cert", "tls-key", "users-file", "events-file", "credentials-file", "access-log"} {
		_ = cmd.MarkFlagFilename(name)
	}
}

// check refuses values that cannot be meant, before anything is opened.
func (f *serveFlags) check() error {
	if err := f.checkNames(); err != nil {
		return err
	}
	switch {
	case len(f.websiteDomains) > 0 && len(f.websiteListen) == 0:
		return usageError("--website-domain is of no use without --website-listen")
	case f.tlsKey != "" && f.tlsCert == "":
		return usageError("--tls-key is of no use without --tls-cert")
	case f.region == "" || strings.ContainsFunc(f.region, func(r rune) bool { return !isNameRune(r) }):
		return usageError("--region: %q is not a name of a region: want letters, digits and -", f.region)
	case !slices.Contains([]string{"presigned", "all", "none"}, f.v2):
		return usageError("--signature-v2 %s: want presigned, all or none", f.v2)
	case f.maxConnections < 1:
		return usageError("--max-connections %d: want at least 1", f.maxConnections)
	case f.maxUploads < 1:
		return usageError("--max-uploads %d: want at least 1", f.maxUploads)
	case f.idle < time.Second:
		return usageError("--idle-timeout %s: want at least 1s", f.idle)
	case f.stall < time.Second:
		return usageError("--stall-timeout %s: want at least 1s", f.stall)
	case f.logDelivery < time.Second:
		return usageError("--log-delivery %s: want at least 1s", f.logDelivery)
	case !shortDay(f.lifecycleDay):
		return usageError("--lifecycle-day %s: want whole seconds, up to 24h", f.lifecycleDay)
	case !shortDay(f.restoreDay):
		return usageError("--restore-day %s: want whole seconds, up to 24h", f.restoreDay)
	case f.shutdown < 0:
		return usageError("--shutdown-timeout %s: want 0 or more", f.shutdown)
	}
	return nil
}

// shortDay reports whether a day may be so long; 0 is not set.
func shortDay(d time.Duration) bool { return d >= 0 && d <= 24*time.Hour && d%time.Second == 0 }

// checkNames checks addresses and hosts.
func (f *serveFlags) checkNames() error {
	var metrics []string
	if f.metricsListen != "" {
		metrics = []string{f.metricsListen}
	}
	for _, list := range []struct {
		flag  string
		addrs []string
	}{{"--listen", f.listen}, {"--website-listen", f.websiteListen}, {"--metrics-listen", metrics}} {
		for _, addr := range list.addrs {
			if err := checkAddress(addr); err != nil {
				return usageError("%s: %w", list.flag, err)
			}
		}
	}
	for _, list := range []struct {
		flag    string
		domains []string
	}{{"--domain", f.domains}, {"--website-domain", f.websiteDomains}} {
		for _, d := range list.domains {
			if !isHostName(d) {
				return usageError("%s: %q is not a name of a host: want one such as s3.example.org, without port", list.flag, d)
			}
		}
	}
	return nil
}

// checkAddress checks the form HOST:PORT.
func checkAddress(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not an address: want HOST:PORT, such as 127.0.0.1:9000, :9000 or [::1]:9000", addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q has no port: want a number up to 65535", addr)
	}
	return nil
}

func isHostName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return !isNameRune(r) }) {
			return false
		}
	}
	return true
}

func isNameRune(r rune) bool {
	return r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
