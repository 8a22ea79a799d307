package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3"
)

// lifeCounts are what rules and restores did while this server runs.
type lifeCounts struct {
	mu       sync.Mutex
	rules    object.LifecycleCounts
	restores object.RestoreCounts
}

// calendar of a flag: days of UTC when it was not set.
func calendar(day time.Duration) lifecycle.Calendar { return lifecycle.Calendar{Day: day} }

// nextLook is how long the server waits until it looks again whether something is due: not
// beyond the next midnight of rules, and a minute at most, or a tenth of a short day.
func nextLook(now time.Time, rules, restores lifecycle.Calendar) time.Duration {
	wait := min(time.Minute, max(time.Second, min(rules.Length(), restores.Length())/10))
	return max(time.Millisecond, min(wait, rules.Due(now, 0).Sub(now)))
}

// tend carries out rules and restores when they are due, until the function that it returns
// is called.
func (s *s3Server) tend(h *s3.Handler) (stop func(), err error) {
	opt := h.Lifecycle()
	if opt.Server, err = serverID(s.e.Repository().Index().Path() + "-server"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			s.tendOnce(ctx, h, opt)
			look := time.NewTimer(nextLook(s.e.Now(), opt.Calendar, calendar(s.f.restoreDay)))
			select {
			case <-ctx.Done():
				look.Stop()
				return
			case <-look.C:
			}
		}
	})
	return func() { cancel(); wg.Wait() }, nil
}

// tendOnce does what is due.
func (s *s3Server) tendOnce(ctx context.Context, h *s3.Handler, opt *object.Lifecycle) {
	done, err := h.FinishRestores(ctx)
	s.life.mu.Lock()
	s.life.restores.Ready += done.Ready
	s.life.restores.Over += done.Over
	s.life.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		s.fault(fmt.Sprintf("copies from archives: %v", err))
	}
	due, err := s.e.LifecycleDue(opt)
	if err == nil && due {
		err = s.runRules(ctx, opt)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, object.ErrTaken) {
		s.fault(fmt.Sprintf("%v; it is gone on with later", err))
	}
}

// runRules makes the run of the day and says what it did, if anything.
func (s *s3Server) runRules(ctx context.Context, opt *object.Lifecycle) error {
	counted := *opt
	counted.Done = func(d *object.LifecycleDeed) {
		s.life.mu.Lock()
		s.life.rules.Count(d)
		s.life.mu.Unlock()
		opt.Done(d)
	}
	run, err := s.e.RunLifecycle(ctx, &counted)
	if err != nil {
		return err
	}
	if text := deedsText(&run.Counts, false); text != "" && !s.a.flags.quiet {
		s.a.console.message("lifecycle rules: " + text)
	}
	return nil
}

// deedsText says what a run did, or would do; "" for nothing.
func deedsText(c *object.LifecycleCounts, would bool) string {
	did := ""
	if would {
		did = "to be "
	}
	var parts []string
	for _, p := range []struct {
		n          uint64
		one, many  string
		whatIsDone string
	}{
		{c.Removed, "version", "versions", "removed"}, {c.Marked, "delete marker", "delete markers", "put"},
		{c.Moved, "version", "versions", "moved to another class"}, {c.Aborted, "upload", "uploads", "aborted"},
	} {
		if p.n > 0 {
			parts = append(parts, counted(int64(p.n), p.one, p.many)+" "+did+p.whatIsDone)
		}
	}
	return strings.Join(parts, ", ")
}

// sayTrial warns that days are short, whether somebody wants to hear it or not.
func (s *s3Server) sayTrial() {
	if d := s.f.lifecycleDay; d > 0 {
		s.a.console.message(fmt.Sprintf("TRIAL: a day of lifecycle rules lasts %s (--lifecycle-day). Objects with rules are removed much too early: never serve data like this that is to be kept", d))
	}
	if d := s.f.restoreDay; d > 0 {
		s.a.console.message(fmt.Sprintf("TRIAL: a day of restored copies lasts %s (--restore-day), and restores take as much less time", d))
	}
}

// gauges of rules and restores.
func (s *s3Server) lifeGauges() []gauge {
	s.life.mu.Lock()
	r, c := s.life.rules, s.life.restores
	s.life.mu.Unlock()
	list := []gauge{
		{"firn_lifecycle_removed_total", "counter", "Versions that lifecycle rules removed.", float64(r.Removed)},
		{"firn_lifecycle_markers_total", "counter", "Delete markers that lifecycle rules put.", float64(r.Marked)},
		{"firn_lifecycle_transitioned_total", "counter", "Versions that lifecycle rules moved to another class.", float64(r.Moved)},
		{"firn_lifecycle_aborted_total", "counter", "Uploads that lifecycle rules aborted.", float64(r.Aborted)},
		{"firn_restores_completed_total", "counter", "Copies from archives that became readable.", float64(c.Ready)},
		{"firn_restores_expired_total", "counter", "Copies from archives that are gone again.", float64(c.Over)},
	}
	if run, err := s.e.LastLifecycle(); err == nil && run.LastFinished() > 0 {
		list = append(list, gauge{"firn_lifecycle_finished_time_seconds", "gauge", "When the last run of lifecycle rules ended, on any server, in seconds since 1970.", float64(run.LastFinished()) / 1e9})
	}
	return list
}
