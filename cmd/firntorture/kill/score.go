package kill

import (
	"errors"
	"fmt"
	"sync"
)

// Score counts what a run did and what it found.
type Score struct {
	Blows    map[string]int64 `json:"blows"` // kills, full disks, power failures, by what they hit
	Runs     int64            `json:"runs"`  // commands that had to succeed, and did
	Restores int64            `json:"restores"`
	Writes   int64            `json:"writes"`  // of objects, acknowledged
	Objects  int64            `json:"objects"` // that were read and compared
	Checks   int64            `json:"checks"`  // of whole repositories, without a finding

	Wrong    int64    `json:"wrong_bytes"`
	Lost     int64    `json:"lost"` // acknowledged versions
	Panics   int64    `json:"panics"`
	Hangs    int64    `json:"hangs"`
	Failed   int64    `json:"failed"` // commands that should have worked, and findings of check
	Failures []string `json:"failures,omitempty"`

	// Skipped says why this machine cannot do this part; then nothing was done.
	Skipped string `json:"skipped,omitempty"`

	mu sync.Mutex
}

// Total of all blows.
func (s *Score) Total() (n int64) {
	for _, v := range s.Blows {
		n += v
	}
	return n
}

// Fine reports whether nothing was found.
func (s *Score) Fine() bool { return s.Wrong+s.Lost+s.Panics+s.Hangs+s.Failed == 0 }

func (s *Score) blow(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Blows == nil {
		s.Blows = map[string]int64{}
	}
	s.Blows[what]++
}

// count adds to one of the counters of s.
func (s *Score) count(counter *int64, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*counter += n
}

// kind says what kind of promise was broken.
type kind int

const (
	failed kind = iota
	wrong
	lost
	panicked
	hung
)

// broken is a promise that was not kept. Other errors are of the harness.
type broken struct {
	kind kind
	text string
}

func (b *broken) Error() string { return b.text }

func breaks(k kind, format string, args ...any) error {
	return &broken{kind: k, text: fmt.Sprintf(format, args...)}
}

// take counts a broken promise, and returns every other error.
func (s *Score) take(where string, err error) error {
	var b *broken
	if !errors.As(err, &b) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch b.kind {
	case wrong:
		s.Wrong++
	case lost:
		s.Lost++
	case panicked:
		s.Panics++
	case hung:
		s.Hangs++
	default:
		s.Failed++
	}
	s.Failures = append(s.Failures, where+": "+b.text)
	return nil
}

func isBroken(err error) bool {
	var b *broken
	return errors.As(err, &b)
}
