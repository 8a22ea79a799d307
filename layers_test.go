// Package firn holds only tests of the house rules that a program can check.
package firn

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/firnstore/firn/"

// layers is the architecture: what each package may import of ours. docs/design.md
// explains it.
var layers = map[string][]string{
	"chunk":          {},
	"tier":           {},
	"tier/parity":    {},
	"tier/remote":    {"tier"},
	"tier/tiertest":  {"tier"},
	"pack":           {"chunk"},
	"index":          {"chunk", "pack", "tier"},
	"repo":           {"chunk", "pack", "tier", "tier/parity", "index"},
	"repo/lifecycle": {},
	"repo/tree":      {"chunk", "pack", "tier", "index", "repo"},
	"repo/object":    {"chunk", "pack", "tier", "index", "repo", "repo/tree", "repo/lifecycle"},
	"repo/s3":        {"index", "repo", "repo/lifecycle", "repo/object", "repo/s3/auth", "repo/s3/access"},
	"repo/s3/auth":   {},
	"repo/s3/access": {},
	"snapshot":       {"chunk", "pack", "tier", "index", "repo", "repo/object", "repo/tree"},
	"cmd/firn":       {"chunk", "pack", "tier", "tier/remote", "index", "repo", "repo/tree", "repo/lifecycle", "repo/object", "repo/notify", "repo/s3", "repo/s3/access", "snapshot"},
	"cmd/firnbench":  {},
	"cmd/s3bench":    {},

	"repo/notify":            {"repo/object"},
	"repo/notify/notifytest": {},

	"cmd/firntorture":        {"cmd/firntorture/sim", "cmd/firntorture/kill", "cmd/firntorture/damage"},
	"cmd/firntorture/damage": {"chunk", "pack", "tier", "tier/parity", "index", "repo", "repo/object", "snapshot"},
	"cmd/firntorture/kill":   {},
	"cmd/firntorture/sim":    {"chunk", "pack", "tier", "index", "repo", "repo/object", "snapshot"},
}

// testOnly may be imported by tests of any package, besides what the package may.
var testOnly = []string{"tier/tiertest", "repo/notify/notifytest", "tier", "chunk", "pack", "index", "repo", "repo/tree"}

func TestLayers(t *testing.T) {
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != "." || d.Name() == "testdata" || p == "bin") {
			return filepath.SkipDir
		}
		dir := path.Dir(filepath.ToSlash(p))
		if !strings.HasSuffix(p, ".go") || dir == "." {
			return nil
		}
		allowed, known := layers[dir]
		if !known {
			t.Errorf("%s: package %s is not in the table of layers", p, dir)
		}
		f, err := parser.ParseFile(fset, p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			name, ours := strings.CutPrefix(name, module)
			if !ours || slices.Contains(allowed, name) || name == dir {
				continue
			}
			if strings.HasSuffix(p, "_test.go") && slices.Contains(testOnly, name) && below(name, dir) {
				continue
			}
			t.Errorf("%s imports %s, which is not below %s", p, name, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// below reports whether a test in dir may use name: the suite for stores anywhere, else
// only what does not itself depend on dir.
func below(name, dir string) bool {
	return name == "tier/tiertest" || !slices.Contains(layers[name], dir)
}
