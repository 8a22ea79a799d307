package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// clock is time and chance, injected.
type clock struct {
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	jitter func() float64 // in [0, 1)
}

// The pauses between tries of one request.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 20 * time.Second
	// firstContact bounds the patience with a storage that never answered: a mistyped
	// endpoint is told soon, an outage in the middle of a backup is sat out.
	firstContact = 10 * time.Second
)

// pause returns how long to wait before try n+1, n counting from 1: between half and all of a
// time that doubles.
func pause(n int, jitter float64) time.Duration {
	d := lastPause
	if n < 10 {
		d = min(d, firstPause<<(n-1))
	}
	return d/2 + time.Duration(jitter*float64(d/2))
}

// budget bounds the retries of all requests together. A success earns back a part of one.
type budget struct {
	mu   sync.Mutex
	left float64
}

const (
	budgetSize = 200.0
	budgetEarn = 0.2
)

func newBudget() *budget { return &budget{left: budgetSize} }

// spend reports whether one more retry may be made.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(budgetSize, b.left+budgetEarn)
}

// answer is what there is to know of a failed request.
type answer struct {
	status int    // 0 without an answer
	code   string // of S3, "" for HEAD and without an answer
	text   string
}

func answerOf(err error) answer {
	var a answer
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		a.status = re.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		a.code, a.text = api.ErrorCode(), api.ErrorMessage()
	}
	return a
}

// fate says what to do after a failure.
type fate int

const (
	final     fate = iota // trying again gives the same
	transient             // try again, within the budget
)

// fateOf judges a failed request. It does not look at contexts.
func fateOf(err error) fate {
	a := answerOf(err)
	switch a.code {
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling",
		"ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "OperationAborted", "ConditionalRequestConflict",
		// The clock of the client is corrected by what the server answered. The next try
		// shows whether that was enough.
		"RequestTimeTooSkewed",
		// The bytes changed on the way.
		"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody":
		return transient
	}
	switch a.status {
	case 0:
		return fateOnWire(err)
	case http.StatusOK, http.StatusPartialContent: // an answer that broke off, or makes no sense
		return transient
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout, 499, 509, 520, 521, 522, 523, 524:
		return transient
	}
	return final
}

// fateOnWire judges a request that got no answer.
func fateOnWire(err error) fate {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var signing *smithy.SerializationError
	var params smithy.InvalidParamsError
	switch {
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify),
		errors.As(err, &record), errors.As(err, &signing), errors.As(err, &params):
		return final
	}
	var netErr net.Error
	var send *smithyhttp.RequestSendError
	if errors.As(err, &netErr) || errors.As(err, &send) || errors.Is(err, errStalled) || errors.Is(err, errBroken) {
		return transient
	}
	return final
}

// errBroken says that an answer ended before its end.
var errBroken = errors.New("the answer broke off")

// try runs a request until it succeeds, fails for good, or patience ends. f may be called
// several times.
func (s *Store) try(ctx context.Context, f func(ctx context.Context) error) error {
	start := s.clock.now()
	skewed := 0
	for n := 1; ; n++ {
		err := f(ctx)
		if ctx.Err() != nil {
			if err == nil {
				return nil
			}
			return context.Cause(ctx)
		}
		if err == nil || answerOf(err).status != 0 {
			s.reached.Store(true)
		}
		if err == nil {
			s.budget.earn()
			return nil
		}
		if answerOf(err).code == "RequestTimeTooSkewed" {
			skewed++
		}
		if fateOf(err) == final || skewed > 2 {
			return err
		}
		patience := s.opt.Patience
		if !s.reached.Load() {
			patience = min(patience, firstContact)
		}
		wait := pause(n, s.clock.jitter())
		if s.clock.now().Add(wait).Sub(start) > patience || !s.budget.spend() {
			return &exhausted{tries: n, err: err}
		}
		s.wire.add(func(c *Counts) { c.Retries++ })
		if err := s.clock.sleep(ctx, wait); err != nil {
			return err
		}
	}
}
