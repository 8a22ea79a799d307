package remote

import (
	"context"
	"io"
	"sync"
	"time"
)

// limiter lets a number of bytes pass per second, over all that share it.
type limiter struct {
	rate  int64 // bytes per second
	clock clock

	mu   sync.Mutex
	free time.Time // from when on the line is idle
}

// burst is how far one may run ahead of an idle line.
const burst = 50 * time.Millisecond

// wait returns when n bytes may pass. A nil limiter lets everything pass.
func (l *limiter) wait(ctx context.Context, n int) error {
	if l == nil || n <= 0 {
		return nil
	}
	l.mu.Lock()
	now := l.clock.now()
	start, free := reserve(l.free, now, n, l.rate)
	l.free = free
	l.mu.Unlock()
	if d := start.Sub(now); d > 0 {
		return l.clock.sleep(ctx, d)
	}
	return nil
}

// reserve returns when n bytes may start on a line that is idle from free on, and when it is
// idle again.
func reserve(free, now time.Time, n int, rate int64) (start, then time.Time) {
	if early := now.Add(-burst); free.Before(early) {
		free = early
	}
	then = free.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return free, then
}

// metered is a body of a request or an answer. It obeys a limit, counts, and says that
// there is progress.
type metered struct {
	ctx      context.Context
	body     io.ReadCloser
	limit    *limiter
	count    func(n int)
	progress func()
	closed   func()
}

// meterStep bounds what passes at once, so that a limit gives an even flow.
const meterStep = 64 << 10

func (m *metered) Read(p []byte) (int, error) {
	if m.limit != nil && len(p) > meterStep {
		p = p[:meterStep]
	}
	n, err := m.body.Read(p)
	m.count(n)
	if werr := m.limit.wait(m.ctx, n); werr != nil {
		return n, werr
	}
	m.progress()
	return n, err
}

func (m *metered) Close() error {
	err := m.body.Close()
	if m.closed != nil {
		m.closed()
	}
	return err
}
