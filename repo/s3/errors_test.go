package s3

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
)

// TestErrorsThatPass: what a second try may get past is told so, since clients do not
// repeat all of what is answered with another error.
func TestErrorsThatPass(t *testing.T) {
	for _, err := range []error{object.ErrBusy, object.ErrClosed, repo.ErrBusy, repo.ErrSealed, repo.ErrDropped} {
		got := (&request{}).translate(fmt.Errorf("store a part: %w", err))
		if got.code != "SlowDown" || got.status() != http.StatusServiceUnavailable {
			t.Errorf("%v becomes %d %s", err, got.status(), got.code)
		}
	}
	if got := (&request{}).translate(errors.New("no space left")); got.status() != http.StatusInternalServerError {
		t.Errorf("a fault becomes %d %s", got.status(), got.code)
	}
}
