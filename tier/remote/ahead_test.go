package remote_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/firnstore/firn/tier"
)

func numbered(n int) string { return fmt.Sprintf("log/000000/%016x", n) }

// Commits that are read in order are on their way together: the answer for one of them is held
// back until another, four further on, has been asked for.
func TestReadsNumberedFilesAhead(t *testing.T) {
	f := newFake(t)
	reached := make(chan struct{})
	var once sync.Once
	s, _ := opened(t, f, &faults{before: func(_ int, req *http.Request) (*http.Response, error) {
		switch {
		case req.Method != http.MethodGet:
		case strings.HasSuffix(req.URL.Path, numbered(14)):
			once.Do(func() { close(reached) })
		case strings.HasSuffix(req.URL.Path, numbered(10)):
			select {
			case <-reached:
			case <-req.Context().Done():
			}
		}
		return nil, nil
	}})
	for n := range 40 {
		if err := tier.Put(t.Context(), s, numbered(n), []byte(fmt.Sprint("commit ", n))); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 40 {
		if got, err := tier.Read(t.Context(), s, numbered(n), 100); err != nil || string(got) != fmt.Sprint("commit ", n) {
			t.Fatalf("Read(%d) = %q, %v", n, got, err)
		}
	}
	// That one was missing when it was looked for ahead says nothing of later.
	if _, err := tier.Read(t.Context(), s, numbered(40), 100); !errors.Is(err, tier.ErrNotExist) {
		t.Errorf("Read of what is missing: %v", err)
	}
	for n := 40; n < 50; n++ {
		if err := tier.Put(t.Context(), s, numbered(n), []byte("late")); err != nil {
			t.Fatal(err)
		}
		if got, err := tier.Read(t.Context(), s, numbered(n), 100); err != nil || string(got) != "late" {
			t.Errorf("Read(%d) = %q, %v", n, got, err)
		}
	}
}

// Names that are no numbers, and single reads, fetch nothing more.
func TestReadsNothingAheadOfOthers(t *testing.T) {
	s, _ := opened(t, newFake(t), &faults{})
	names := []string{"config", "keys/full/default", numbered(7), numbered(3), "packs/00/0000000000000000ffffffffffffffff"}
	for _, name := range names {
		if err := tier.Put(t.Context(), s, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	before := s.Counts()
	for _, name := range names {
		if _, err := tier.Read(t.Context(), s, name, 100); err != nil {
			t.Error(err)
		}
	}
	if got := s.Counts().Total() - before.Total(); got != int64(len(names)) {
		t.Errorf("%d reads took %d requests", len(names), got)
	}
}
