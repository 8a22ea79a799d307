package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/firnstore/firn/tier"
)

// Errors to be tested for with errors.Is. Their texts say what to do next.
var (
	// ErrDenied says that the storage refuses the credentials, or what they may do.
	ErrDenied = errors.New("the storage denies access")
	// ErrNoBucket says that there is no such bucket, or none here.
	ErrNoBucket = errors.New("no such bucket")
	// ErrUnfit says that the storage does not do what a store needs.
	ErrUnfit = errors.New("the storage cannot hold a repository")
	// ErrArchived says that a file has to be thawed before it can be read.
	ErrArchived = errors.New("the file is in an archive")
	// ErrUnreachable says that no answer came, or none but requests to come later.
	ErrUnreachable = errors.New("the storage does not answer")
)

// exhausted is the last error of a request after many tries.
type exhausted struct {
	tries int
	err   error
}

func (e *exhausted) Error() string   { return fmt.Sprintf("after %d tries: %v", e.tries, e.err) }
func (e *exhausted) Unwrap() []error { return []error{ErrUnreachable, e.err} }

// fail gives an error of a request for a file the operation and the file, and our sentinels.
func (s *Store) fail(op, name string, err error) error {
	err = s.describe(op, name, err)
	if s.opt.Lost != nil && (errors.Is(err, ErrUnreachable) || errors.Is(err, ErrDenied) || errors.Is(err, ErrNoBucket)) {
		s.opt.Lost(err)
	}
	return err
}

func (s *Store) describe(op, name string, err error) error {
	return fmt.Errorf("%s %s: %w", op, s.place(name), s.explain(err))
}

// place names a file for people.
func (s *Store) place(name string) string {
	if name == "" {
		return s.String()
	}
	return s.String() + "/" + name
}

// explain turns what the storage answered into what a person can act on.
func (s *Store) explain(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, fs.ErrClosed, tier.ErrNotExist, tier.ErrExist, tier.ErrName,
		ErrDenied, ErrNoBucket, ErrUnfit, ErrArchived} {
		if errors.Is(err, known) {
			return err
		}
	}
	a := answerOf(err)
	var late *exhausted
	switch {
	case a.code == "RequestTimeTooSkewed":
		return fmt.Errorf("%w: the clock of this machine and that of the storage differ too much (%s); set the clock, for example with a time service",
			ErrDenied, said(a))
	case errors.As(err, &late):
		return fmt.Errorf("%w, %d tries: %s; check the network and the endpoint (%s), then run it again",
			ErrUnreachable, late.tries, shortened(late.err), s.endpoint())
	case a.code == "NoSuchBucket":
		return fmt.Errorf("%w: %s at %s; make it first, or check the spelling and the endpoint", ErrNoBucket, s.opt.Bucket, s.endpoint())
	case a.status == http.StatusMovedPermanently, a.status == http.StatusTemporaryRedirect, a.code == "PermanentRedirect",
		a.code == "AuthorizationHeaderMalformed", a.code == "IllegalLocationConstraintException":
		return fmt.Errorf("%w: bucket %s is in another region than %s (%s); name its region with --s3-region",
			ErrNoBucket, s.opt.Bucket, s.region, said(a))
	case a.code == "InvalidAccessKeyId", a.code == "SignatureDoesNotMatch", a.code == "InvalidToken", a.code == "ExpiredToken",
		a.code == "TokenRefreshRequired", a.code == "InvalidClientTokenId":
		return fmt.Errorf("%w: %s; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile", ErrDenied, said(a))
	case a.code == "InvalidObjectState":
		return fmt.Errorf("%w: %s; have the storage restore it for some days, then run it again", ErrArchived, said(a))
	case a.status == http.StatusForbidden, a.status == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s; the key needs to read, write, list and delete in bucket %s%s, and without the right to list, a missing file is denied, too",
			ErrDenied, said(a), s.opt.Bucket, s.ownerHint())
	case a.code == "NotImplemented":
		return fmt.Errorf("%w: it does not implement this request (%s)", ErrUnfit, said(a))
	case a.status != 0:
		return fmt.Errorf("the storage answered %s", said(a))
	case onWire(err):
		return fmt.Errorf("%w: %s; check the endpoint (%s)", ErrUnreachable, shortened(err), s.endpoint())
	}
	return err
}

// onWire reports whether a request failed before an answer.
func onWire(err error) bool {
	var send *smithyhttp.RequestSendError
	return errors.As(err, &send)
}

func (s *Store) ownerHint() string {
	if s.opt.Owner == "" {
		return ""
	}
	return ", and the bucket has to belong to account " + s.opt.Owner
}

// said is the answer of the storage in short.
func said(a answer) string {
	switch {
	case a.code != "" && a.text != "":
		return fmt.Sprintf("%d %s: %s", a.status, a.code, strings.TrimSuffix(a.text, "."))
	case a.code != "":
		return fmt.Sprintf("%d %s", a.status, a.code)
	}
	return fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
}

// shortened leaves out the layers of the client library.
func shortened(err error) string {
	if a := answerOf(err); a.status != 0 {
		return said(a)
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !wordy(err.Error()) {
			return err.Error()
		}
		err = inner
	}
}

// wordy reports whether a text begins with what the library says about itself.
func wordy(text string) bool {
	for _, begin := range []string{"operation error ", "https response error", "request send failed", "exceeded maximum", "failed to "} {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	return false
}
