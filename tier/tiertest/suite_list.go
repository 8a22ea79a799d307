package tiertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/firnstore/firn/tier"
)

// listNames are chosen so that the order of folders and the order of names
// differ: '-' and '.' come before '/', digits and letters after.
var listNames = []string{
	"a-b", "a-b-c/x", "a.b", "a.b.c/x", "a/b", "a/b-c/d", "a/b.c", "a/b0", "a/c/d/e/f", "a/c/d/e0", "a/c0",
	"a0", "a0b/c", "a_b", "ab", "abc/d", "b", "b-/x", "b.", "b0/x", "p/00/1", "p/00/2", "p/01/0", "p/0a", "z/z/z/z",
}

func testListOrder(t *testing.T, s tier.Store) {
	for i := range listNames { // in an order that is not theirs
		at := (i*7 + 3) % len(listNames)
		put(t, s, listNames[at], content(at))
	}
	all := slices.Sorted(slices.Values(listNames))
	prefixes := []string{"", "a", "a-", "a.", "a/", "a/b", "a/b-", "a/b-c/", "a/b-c/d", "a/c/d/e", "a/c/d/e/", "p/", "p/0",
		"p/00", "p/00/", "b", "b-/x", "c", "zz", "/", "..", "../", "a//", "a/../", "A", ".tmp/", "a/b/"}
	afters := slices.Concat(all, []string{"", "a", "a/", "a/b/", "a/b-c", "a/b-c/d/e", "a/c/", "a/zz", "p/00/", "p/00/1a", "p/00z", "~"})
	for _, prefix := range prefixes {
		for _, after := range afters {
			var want []string
			for _, name := range all {
				if strings.HasPrefix(name, prefix) && name > after {
					want = append(want, name)
				}
			}
			if got := list(t, s, prefix, after); !slices.Equal(got, want) {
				t.Errorf("List(%q, %q)\n got %q\nwant %q", prefix, after, got, want)
			}
		}
	}
	err := s.List(t.Context(), "", "", func(info tier.Info) error {
		if at := slices.Index(listNames, info.Name); info.Size != int64(at) || info.ModTime.IsZero() {
			return fmt.Errorf("listed %+v, want size %d and a time", info, at)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func testListEnds(t *testing.T, s tier.Store) {
	for _, name := range []string{"a", "b/c", "b/d", "e"} {
		put(t, s, name, nil)
	}
	stop := errors.New("stop")
	var got []string
	err := s.List(t.Context(), "", "", func(info tier.Info) error {
		if got = append(got, info.Name); len(got) == 2 {
			return stop
		}
		return nil
	})
	if err != stop || !slices.Equal(got, []string{"a", "b/c"}) {
		t.Errorf("List = %q, %v; want two names and the error of yield", got, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	got = nil
	err = s.List(ctx, "", "", func(info tier.Info) error {
		cancel()
		got = append(got, info.Name)
		return nil
	})
	wantErr(t, "List", err, context.Canceled)
	if len(got) != 1 {
		t.Errorf("listed %q after the context had ended", got[1:])
	}
}

func testListCreating(t *testing.T, s tier.Store) {
	var want []string
	for i := range 60 {
		name := fmt.Sprintf("d%d/old-%02d", i/20, i)
		put(t, s, name, nil)
		want = append(want, name)
	}
	failed := make(chan error, 1)
	go func() {
		for i := range 60 {
			if err := tier.Put(t.Context(), s, fmt.Sprintf("d%d/new-%02d", i%4, i), nil); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	for running := true; running; {
		select {
		case err := <-failed:
			if err != nil {
				t.Error(err)
			}
			running = false
		default:
		}
		names := list(t, s, "", "")
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Fatalf("List is out of order or repeats: %q", names)
		}
		isNew := func(name string) bool { return strings.Contains(name, "new") }
		if old := slices.DeleteFunc(names, isNew); !slices.Equal(old, want) {
			t.Fatalf("List gave of the older files\n     %q\nwant %q", old, want)
		}
	}
}

func testListNested(t *testing.T, s tier.Store) {
	for i := range 20 {
		put(t, s, fmt.Sprintf("old/%02d", i), nil)
	}
	seen := 0
	err := s.List(t.Context(), "old/", "", func(info tier.Info) error {
		seen++
		if err := tier.Put(t.Context(), s, "new/"+info.Name, nil); err != nil {
			return err
		}
		return s.Delete(t.Context(), info.Name)
	})
	if err != nil || seen != 20 {
		t.Errorf("List with Put and Delete in yield: %d files, %v", seen, err)
	}
	if old, moved := list(t, s, "old/", ""), list(t, s, "new/", ""); len(old) != 0 || len(moved) != 20 {
		t.Errorf("after moving: %q and %q", old, moved)
	}
}
