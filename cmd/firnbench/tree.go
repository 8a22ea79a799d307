package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// treeSize says how large a tree to make.
type treeSize struct {
	minFiles int   // reached with edited copies where the machine has too few files
	maxFiles int   // the most to take from the machine
	maxBytes int64 // as well
}

// Larger files of the machine stay out of the tree: it is about small ones.
const maxTreeFile = 1 << 20

// treeSource is a file or symbolic link of the machine that goes into the tree.
type treeSource struct {
	path string // where it is
	name string // relative to the tree
	size int64
}

// treeRoots returns the directories whose files make the tree, and the name that each
// gets in it. Those that do not exist are left out.
func treeRoots(ctx context.Context) map[string]string {
	roots := map[string]string{"share": "/usr/share", "include": "/usr/include", "lib": "/usr/lib"}
	if out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output(); err == nil {
		roots["go"] = strings.TrimSpace(string(out))
	}
	for name, dir := range roots {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			delete(roots, name)
		}
	}
	return roots
}

// makeTree copies files below roots to dir and returns the names of the regular ones,
// in order, and what all of them hold. The same files and seed make the same tree.
func makeTree(ctx context.Context, dir string, roots map[string]string, size treeSize, seed uint64) (names []string, total int64, err error) {
	sources, err := findSources(roots)
	if err != nil {
		return nil, 0, err
	}
	sources = thin(sources, size, seed)
	if len(sources) == 0 {
		return nil, 0, errors.New("the machine has no files to make a tree of")
	}
	maker := &treeMaker{dir: dir, seed: seed, made: map[string]bool{}}
	for copyNumber := 0; copyNumber == 0 || len(maker.names) < size.minFiles; copyNumber++ {
		before := len(maker.names)
		for _, src := range sources {
			if err := ctx.Err(); err != nil {
				return nil, 0, err
			}
			if copyNumber > 0 && len(maker.names) >= size.minFiles {
				break
			}
			if err := maker.add(src, copyNumber); err != nil {
				return nil, 0, err
			}
		}
		if len(maker.names) == before {
			return nil, 0, errors.New("the machine has no readable files to make a tree of")
		}
	}
	slices.Sort(maker.names)
	return maker.names, maker.bytes, nil
}

// findSources lists the regular files and symbolic links below roots, by name. What
// cannot be read is left out.
func findSources(roots map[string]string) ([]treeSource, error) {
	var sources []treeSource
	for prefix, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			info, err := d.Info()
			if err != nil || d.IsDir() {
				return nil
			}
			link := d.Type() == fs.ModeSymlink
			if !link && (!d.Type().IsRegular() || info.Size() > maxTreeFile) {
				return nil
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			sources = append(sources, treeSource{path, filepath.Join(prefix, rel), info.Size()})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(sources, func(a, b treeSource) int { return strings.Compare(a.name, b.name) })
	return sources, nil
}

// thin keeps whole directories, as many as the size has room for, in the order of the
// hash of their names.
func thin(sources []treeSource, size treeSize, seed uint64) []treeSource {
	hashes := map[string]uint64{}
	for _, src := range sources {
		dir := filepath.Dir(src.name)
		if _, known := hashes[dir]; !known {
			h := fnv.New64a()
			h.Write([]byte(dir))
			r := newRNG(seed, h.Sum64())
			hashes[dir] = r.next()
		}
	}
	sorted := slices.Clone(sources)
	slices.SortStableFunc(sorted, func(a, b treeSource) int {
		return cmp.Compare(hashes[filepath.Dir(a.name)], hashes[filepath.Dir(b.name)])
	})
	var total int64
	for i, src := range sorted {
		total += src.size
		if i == size.maxFiles || total > size.maxBytes {
			return sorted[:i]
		}
	}
	return sorted
}

// treeMaker fills the directory of a tree.
type treeMaker struct {
	dir   string
	seed  uint64
	names []string // of the regular files
	bytes int64
	made  map[string]bool // directories that exist
	buf   bytes.Buffer
}

// add puts a source into the tree. Copy number 0 is the file itself; the others lie in
// directories of their own and are edited. Files that cannot be read are left out.
func (m *treeMaker) add(src treeSource, copyNumber int) error {
	name := src.name
	if copyNumber > 0 {
		name = filepath.Join(fmt.Sprintf("copy%d", copyNumber), name)
	}
	path := filepath.Join(m.dir, name)
	if parent := filepath.Dir(path); !m.made[parent] {
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return err
		}
		m.made[parent] = true
	}
	info, err := os.Lstat(src.path)
	if err != nil {
		return nil
	}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(src.path)
		if err != nil || copyNumber > 0 {
			return nil
		}
		return os.Symlink(target, path)
	}
	data, err := m.read(src.path)
	if err != nil {
		return nil
	}
	if copyNumber > 0 {
		r := newRNG(m.seed, uint64(len(m.names)))
		data = mutate(data, &r)
	}
	if err := writeFile(path, data, info.Mode().Perm()|0o400, info.ModTime()); err != nil {
		return err
	}
	m.names = append(m.names, name)
	m.bytes += int64(len(data))
	return nil
}

// read returns the bytes of a file until the next call.
func (m *treeMaker) read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m.buf.Reset()
	_, err = m.buf.ReadFrom(f)
	return m.buf.Bytes(), err
}

// writeFile makes a file with exactly this mode and time.
func writeFile(path string, data []byte, mode fs.FileMode, mtime time.Time) error {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.Chtimes(path, mtime, mtime)
}

// mutate returns an edited copy of data, as a person or a program would edit it: a few
// lines more, a few bytes written over, a line at the end.
func mutate(data []byte, r *rng) []byte {
	line := fmt.Appendf(nil, "edited %016x %s %s\n", r.next(), words[r.below(len(words))], words[r.below(len(words))])
	at := r.below(len(data) + 1)
	switch r.below(3) {
	case 0:
		return slices.Concat(data[:at], line, data[at:])
	case 1:
		out := slices.Clone(data)
		if copy(out[at:], line) == len(line) {
			return out
		}
		return append(out, line...)
	default:
		return slices.Concat(data, line)
	}
}
