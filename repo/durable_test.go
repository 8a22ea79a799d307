package repo

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

// Invariant 1: a commit that can be read, but whose folder could not be synced, is not
// acknowledged; and when the second try tells that the name is durable, it is.
func TestCommitThatMayNotBeDurable(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		mem, id, opt := tier.NewMemory(), testIdentity(t), testOptions(t)
		opt.Warn = nil
		if _, err := Init(t.Context(), mem, id.Recipient(), opt, InitOptions{}); err != nil {
			t.Fatal(err)
		}
		f := &tiertest.Faulty{Store: mem}
		r, err := Open(t.Context(), f, []age.Identity{id}, opt)
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.After = func(op tiertest.Op, name string) error { // named, but the folder is not synced
			if op == tiertest.OpCommit && strings.HasPrefix(name, "log/") {
				return errInjected
			}
			return nil
		}
		if lasting {
			named := false
			f.Before = func(op tiertest.Op, name string) error {
				if op == tiertest.OpCommit && named {
					return errInjected
				}
				named = named || op == tiertest.OpCommit
				return nil
			}
		}
		err = s.Commit(t.Context(), Ops{Buckets: []string{"b"}})
		if lasting && !errors.Is(err, errInjected) || !lasting && err != nil {
			t.Errorf("lasting %v: %v", lasting, err)
		}
		f.Before, f.After = nil, nil
		if err := s.Abandon(t.Context()); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The index cannot take a commit that is durable: Behind says so until it can again.
func TestBehind(t *testing.T) {
	r, store, id, opt := newRepo(t)
	s, err := r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Commit(t.Context(), Ops{Buckets: []string{"b"}, Prepare: func(*Ops) error { return r.index.Close() }})
	if err != nil {
		t.Fatalf("the commit is durable, but: %v", err)
	}
	if r.Behind() == nil {
		t.Error("the index is closed, but not behind")
	}
	if r.index, err = index.Open(r.index.Path(), index.Options{Repository: r.id, BootID: opt.BootID}); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(t.Context()); err != nil || r.Behind() != nil {
		t.Errorf("refresh: %v, behind: %v", err, r.Behind())
	}
	if err := s.Abandon(t.Context()); err != nil {
		t.Error(err)
	}
	if names, err := openRepo(t, store, id, testOptions(t)).Index().Buckets(); err != nil || !slices.Equal(names, []string{"b"}) {
		t.Errorf("buckets %q: %v", names, err)
	}
}
