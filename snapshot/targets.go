package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"encoding/hex"

	"github.com/zeebo/blake3"
)

// target is a directory on the way to what is backed up, or what is backed up itself.
type target struct {
	path     string // on this machine
	real     bool   // back up all of it
	children map[string]*target
}

// targets is what the paths of a backup amount to.
type targets struct {
	root  *target
	paths []string // absolute
}

// planTargets arranges paths in a tree. Absolute paths keep all their components, and
// relative ones those given: "src" is stored as /src, "../a/b" as /a/b. Of "." and
// ".." the entries are stored.
func planTargets(paths []string) (*targets, error) {
	if len(paths) == 0 {
		return nil, errors.New("nothing to back up: name at least one file or directory")
	}
	t := &targets{root: &target{path: string(filepath.Separator), children: map[string]*target{}}}
	for _, p := range paths {
		if p == "" {
			return nil, errors.New("an empty path cannot be backed up")
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		t.paths = append(t.paths, filepath.ToSlash(abs))
		p = filepath.Clean(p)
		if !onlyDots(p) {
			t.root.add(components(p), p)
			continue
		}
		names, err := readNames(p)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			t.root.add([]string{name}, filepath.Join(p, name))
		}
	}
	slices.Sort(t.paths)
	t.paths = slices.Compact(t.paths)
	return t, nil
}

func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return f.Readdirnames(-1)
}

func onlyDots(p string) bool {
	for _, c := range strings.Split(filepath.ToSlash(p), "/") {
		if c != "." && c != ".." {
			return false
		}
	}
	return true
}

// components of a path as stored.
func components(p string) []string {
	if vol := filepath.VolumeName(p); vol != "" {
		p = strings.TrimSuffix(vol, ":") + "/" + strings.TrimPrefix(p, vol)
	}
	return strings.FieldsFunc(filepath.ToSlash(filepath.Clean("/"+p)), func(c rune) bool { return c == '/' })
}

// add puts a path into the tree below t. All of the root directory is t itself.
func (t *target) add(parts []string, path string) {
	at := t
	// The way to the path: its last components are parts, so what precedes them is cut
	// off one by one.
	for i, part := range parts {
		if at.real {
			return // it is covered already
		}
		next := at.children[part]
		if next == nil {
			up := path
			for range len(parts) - 1 - i {
				up = filepath.Dir(up)
			}
			next = &target{path: up, children: map[string]*target{}}
			at.children[part] = next
		}
		at = next
	}
	at.real, at.path, at.children = true, path, nil
}

// keyOf names the source of a backup in its bucket: the paths without their leading
// slashes, cut to what a key may hold.
func keyOf(paths []string) string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = strings.Trim(p, "/")
	}
	key := strings.Join(names, ",")
	if key == "" {
		key = "root"
	}
	if len(key) > 512 {
		sum := blake3.Sum256([]byte(key))
		key = key[:400] + "-" + hex.EncodeToString(sum[:16])
	}
	return key
}
