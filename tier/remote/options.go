package remote

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Addressing is where the name of the bucket stands in a request.
type Addressing string

// The ways to address a bucket.
const (
	AddressAuto Addressing = ""     // by host at AWS, by path at an endpoint that was named
	AddressPath Addressing = "path" // https://endpoint/bucket/key
	AddressHost Addressing = "host" // https://bucket.endpoint/key
)

// Options of a Store. Bucket is required. What is not given comes from the environment and
// the files of the AWS configuration, as with other clients: credentials always do, and
// the endpoint from AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
type Options struct {
	Bucket, Prefix string

	Endpoint   string // base URL of the server; AWS when it is named nowhere
	Region     string // us-east-1 when it is named nowhere
	Profile    string // of the AWS configuration
	Addressing Addressing
	CA         []byte // PEM of certificates to trust instead of those of the system
	Owner      string // account that the bucket must belong to, "" for any

	// Class returns the storage class of a new file, "" for that of the bucket; nil is that
	// for all. Files in a class that has to be thawed cannot be read back.
	Class func(name string) string

	UploadRate, DownloadRate int64 // bytes per second of all requests, 0 for no limit

	// Patience is how long one request is tried again; 3 minutes when 0. Until the first
	// answer of the storage it is 10 seconds at most.
	Patience time.Duration
	// Stall is how long a request may go on without a byte moving; 1 minute when 0.
	Stall time.Duration
	// Uploads bounds the requests that send bytes at the same time, and with them the
	// memory for parts that were written and not yet sent, 8 MiB each; 8 when 0.
	Uploads int

	// Lost, when not nil, is told of each failure of a file that says nothing about the file:
	// the storage does not answer, denies access, or has no such bucket. Whoever would take that
	// for damage can stop there. It may be called at any time, from several goroutines.
	Lost func(error)

	// Tests set these.
	Transport http.RoundTripper
	Now       func() time.Time
	Sleep     func(context.Context, time.Duration) error
	Jitter    func() float64
	// Anonymous makes requests that are not signed, when there are no credentials.
	Anonymous bool
}

func (o *Options) fill() {
	if o.Patience <= 0 {
		o.Patience = 3 * time.Minute
	}
	if o.Stall <= 0 {
		o.Stall = time.Minute
	}
	if o.Uploads <= 0 {
		o.Uploads = 8
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Class == nil {
		o.Class = func(string) string { return "" }
	}
}

// connect makes the client.
func (s *Store) connect(ctx context.Context) error {
	if err := validEndpoint(s.opt.Endpoint); err != nil {
		return err
	}
	next, err := s.transport()
	if err != nil {
		return err
	}
	s.wire = &wire{next: next, stall: s.opt.Stall}
	if s.opt.UploadRate > 0 {
		s.wire.up = &limiter{rate: s.opt.UploadRate, clock: s.clock}
	}
	if s.opt.DownloadRate > 0 {
		s.wire.down = &limiter{rate: s.opt.DownloadRate, clock: s.clock}
	}
	cfg, err := s.configure(ctx)
	if err != nil {
		return err
	}
	s.region = cfg.Region
	s.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: s.wire, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		if s.opt.Endpoint != "" {
			o.BaseEndpoint = &s.opt.Endpoint
		}
		s.opt.Endpoint = aws.ToString(o.BaseEndpoint)
		o.UsePathStyle = s.opt.Addressing == AddressPath || s.opt.Addressing == AddressAuto && s.opt.Endpoint != ""
		// Retries are ours: they know about lost answers, and share one budget.
		o.Retryer = aws.NopRetryer{}
		// The parts carry a CRC32C that was computed before; servers of others do not know
		// the trailers that are the default.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
		if strings.HasPrefix(s.opt.Endpoint, "https:") || s.opt.Endpoint == "" {
			// TLS protects the bytes and the checksum names them: a SHA-256 for the signature
			// would only take time.
			o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
		}
	})
	return nil
}

// endpoint is where requests go, for people.
func (s *Store) endpoint() string {
	if s.opt.Endpoint == "" {
		return "AWS, " + s.region
	}
	return s.opt.Endpoint
}

func validEndpoint(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("endpoint %q: want a URL such as https://s3.example.com or http://127.0.0.1:9000", hideSecrets(text))
	case u.User != nil:
		return fmt.Errorf("endpoint %q: keys do not belong into it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", hideSecrets(text))
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("endpoint %q: want no more than a server, and a path if it has one", text)
	}
	return nil
}

// configure reads the environment and the files of AWS, and gets credentials once, so that
// their absence is told as such.
func (s *Store) configure(ctx context.Context) (aws.Config, error) {
	load := []func(*config.LoadOptions) error{
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
	}
	if s.opt.Region != "" {
		load = append(load, config.WithRegion(s.opt.Region))
	}
	if s.opt.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(s.opt.Profile))
	}
	if s.opt.Endpoint != "" {
		// Who names a server does not mean the role of the machine at AWS; asking for it takes
		// seconds where there is none.
		load = append(load, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	if s.opt.Anonymous {
		load = append(load, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return cfg, fmt.Errorf("AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if s.opt.Anonymous {
		return cfg, nil
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return cfg, context.Cause(ctx)
		}
		return cfg, fmt.Errorf("%w: found no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws with --s3-profile (%s)",
			ErrDenied, shortened(err))
	}
	return cfg, nil
}

// transport makes the connections. Names of files are not worth a second look-up, and idle
// connections are kept for as many requests as run at a time.
func (s *Store) transport() (http.RoundTripper, error) {
	s.close = func() {}
	if s.opt.Transport != nil {
		return s.opt.Transport, nil
	}
	t := awshttp.NewBuildableClient().GetTransport()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 64
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 10 * time.Second
	t.DisableCompression = true
	if len(s.opt.CA) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(s.opt.CA) {
			return nil, errors.New("there is no certificate in the file of those to trust; want PEM")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	s.close = t.CloseIdleConnections
	return t, nil
}
