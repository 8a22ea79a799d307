package tier_test

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

func TestMemoryContract(t *testing.T) {
	t.Parallel()
	tiertest.Run(t, func(*testing.T) tier.Store { return tier.NewMemory() })
}

func TestErrorsMatchThoseOfFS(t *testing.T) {
	for ours, theirs := range map[error]error{
		tier.ErrNotExist: fs.ErrNotExist,
		tier.ErrExist:    fs.ErrExist,
		tier.ErrName:     fs.ErrInvalid,
	} {
		if !errors.Is(ours, theirs) {
			t.Errorf("%v is not %v", ours, theirs)
		}
	}
}

// A store with folders refuses a name that is both file and folder.
func TestFileAndFolderClash(t *testing.T) {
	dir := newDir(t, tier.DirOptions{})
	for _, s := range []tier.Store{tier.NewMemory(), dir} {
		for _, name := range []string{"a/b/c", "d"} {
			if err := tier.Put(t.Context(), s, name, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"a", "a/b", "a/b/c/d", "d/e", "d/e/f"} {
			if err := tier.Put(t.Context(), s, name, nil); !errors.Is(err, tier.ErrName) {
				t.Errorf("Put(%q) in %s: %v, want ErrName", name, s, err)
			}
		}
	}
	wantTemps(t, dir, 0)
}

// Read must not trust a store whose file is shorter than Stat says.
func TestReadNoticesShortFile(t *testing.T) {
	s := tier.NewMemory()
	if err := tier.Put(t.Context(), s, "file", []byte("data")); err != nil {
		t.Fatal(err)
	}
	grown := &grownStore{Store: s}
	if _, err := tier.Read(t.Context(), grown, "file", 100); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("Read = %v, want unexpected EOF", err)
	}
}

// Listing from the middle does not read the folders before it.
func TestListEntersOnlyFoldersItNeeds(t *testing.T) {
	for _, tt := range []struct {
		folder, prefix, after string
		want                  bool
	}{
		{"a/", "", "", true},
		{"a/", "a", "", true},
		{"a/", "a/b/c", "", true},
		{"a/", "b", "", false},
		{"a/", "a-", "", false},
		{"a/", "", "a", true},
		{"a/", "", "a/", true},
		{"a/", "", "a/z", true},
		{"a/", "", "a.z", true},
		{"a/", "", "a0", false},
		{"a/", "", "b", false},
		{"a/b/", "a/", "a/b/c", true},
		{"a/b/", "a/", "a/c", false},
	} {
		if got := tier.InFolder(tt.folder, tt.prefix, tt.after); got != tt.want {
			t.Errorf("entering %q for prefix %q after %q: %t, want %t", tt.folder, tt.prefix, tt.after, got, tt.want)
		}
	}
}

// FuzzValidName checks invariant 6: a valid name stays below the directory, is
// written in one way only and is what the grammar says.
func FuzzValidName(f *testing.F) {
	for _, name := range []string{"a", "a/b", "a.b-c_d/0", "..", "a/../b", ".a", "a//b", "/a", "a/", "A", "a\x00", "a\\b", "a."} {
		f.Add(name)
	}
	f.Add(strings.Repeat("a", 255))
	f.Add(strings.Repeat("a/", 128))
	grammar := regexp.MustCompile(`\A[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*\z`)
	f.Fuzz(func(t *testing.T, name string) {
		err := tier.ValidName(name)
		if want := len(name) <= 255 && grammar.MatchString(name); want != (err == nil) {
			t.Fatalf("ValidName(%q) = %v, want valid: %t", name, err, want)
		}
		if err != nil {
			if !errors.Is(err, tier.ErrName) {
				t.Fatalf("ValidName(%q) = %v, not ErrName", name, err)
			}
			return
		}
		if path.Clean(name) != name || !fs.ValidPath(name) || strings.HasPrefix(name, tier.TempFolder) {
			t.Fatalf("ValidName allows %q", name)
		}
		base := filepath.FromSlash("/base/dir")
		rel, err := filepath.Rel(base, filepath.Join(base, filepath.FromSlash(name)))
		if err != nil || filepath.ToSlash(rel) != name {
			t.Fatalf("%q leads to %q, %v", name, rel, err)
		}
	})
}
