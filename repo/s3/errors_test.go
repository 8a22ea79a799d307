package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
)

// TestTranslate: what a second try may get past is told so, since clients do not repeat all
// of what is answered with another error; what it cannot, is not.
func TestTranslate(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	full := &os.PathError{Op: "write", Path: "packs/a7", Err: syscall.ENOSPC}
	for _, c := range []struct {
		name   string
		ctx    context.Context
		err    error
		code   string
		status int
	}{
		{"disk full", t.Context(), full, "InsufficientStorage", 507},
		{"quota used up", t.Context(), syscall.EDQUOT, "InsufficientStorage", 507},
		{"another error of the disk", t.Context(), syscall.EIO, "InternalError", 500},
		{"a fault", t.Context(), errors.New("no space left"), "InternalError", 500},
		{"session given up for another's failure", t.Context(), context.Canceled, "SlowDown", 503},
		{"too many bodies", t.Context(), object.ErrBusy, "SlowDown", 503},
		{"engine is being closed", t.Context(), object.ErrClosed, "SlowDown", 503},
		{"other writers won", t.Context(), repo.ErrBusy, "SlowDown", 503},
		{"session sealed by a prune", t.Context(), repo.ErrSealed, "SlowDown", 503},
		{"chunk dropped by a prune", t.Context(), repo.ErrDropped, "SlowDown", 503},
		{"client went away", gone, context.Canceled, "RequestTimeout", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := &request{r: httptest.NewRequestWithContext(c.ctx, "PUT", "/b/k", nil)}
			if got := q.translate(fmt.Errorf("store a part: %w", c.err)); got.code != c.code || got.status() != c.status {
				t.Errorf("%v becomes %s (%d), want %s (%d)", c.err, got.code, got.status(), c.code, c.status)
			}
		})
	}
}
