package kill

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	maxFiles   = 60        // of a tree
	rareFile   = 1_200_000 // bytes of a large file: several frames
	commonFile = 30_000
)

// tree is a small directory that changes by chance.
type tree struct {
	root string
	rng  *rand.Rand
	made int
}

// newTree makes a directory with some files.
func newTree(root string, rng *rand.Rand) (*tree, error) {
	t := &tree{root: root, rng: rng}
	for i := range 4 {
		if err := os.MkdirAll(filepath.Join(root, fmt.Sprintf("d%d", i), "deep"), 0o755); err != nil {
			return nil, err
		}
	}
	return t, t.change(15)
}

// change makes n changes: new files, other bytes, other names, other modes, removals.
func (t *tree) change(n int) error {
	for range n {
		files, err := t.files()
		if err != nil {
			return err
		}
		pick := func() string { return files[t.rng.IntN(len(files))] }
		switch p := t.rng.IntN(10); {
		case len(files) < 8 || p < 3 && len(files) < maxFiles:
			err = t.write(t.fresh(), 0)
		case p < 5:
			err = t.write(pick(), os.O_TRUNC)
		case p < 6:
			err = t.write(pick(), os.O_APPEND)
		case p < 7:
			err = os.Rename(pick(), t.fresh())
		case p < 8:
			err = os.Chmod(pick(), fs.FileMode(0o600+t.rng.IntN(64)))
		case p < 9 || len(files) >= maxFiles:
			err = os.Remove(pick())
		default:
			err = os.Symlink(fmt.Sprintf("nowhere-%d", t.rng.IntN(100)), t.fresh())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) files() (files []string, err error) {
	err = filepath.WalkDir(t.root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, p)
		}
		return err
	})
	return files, err
}

func (t *tree) fresh() string {
	t.made++
	dir := fmt.Sprintf("d%d", t.rng.IntN(4))
	if t.rng.IntN(3) == 0 {
		dir += "/deep"
	}
	return filepath.Join(t.root, dir, fmt.Sprintf("f%d", t.made))
}

// write writes bytes of which a part compresses, and a time that is not now.
func (t *tree) write(name string, flag int) error {
	size := t.rng.IntN(commonFile)
	switch t.rng.IntN(12) {
	case 0:
		size = t.rng.IntN(rareFile)
	case 1:
		size = 0
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|flag, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(randomBytes(t.rng, size))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chtimes(name, time.Time{}, time.Unix(1_500_000_000+t.rng.Int64N(3e8), t.rng.Int64N(1e9)))
	}
	return err
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		for j, v := i, rng.Uint64(); j < min(n, i+8); j, v = j+1, v>>8 {
			b[j] = byte(v)
		}
	}
	for i := n / 2; i < n*3/4; i++ {
		b[i] = 'a'
	}
	return b
}

// manifest says of each path below a directory all that a restore has to bring back.
type manifest map[string]string

func scan(root string) (manifest, error) {
	m := manifest{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %d", fi.Mode(), fi.ModTime().UnixNano())
		switch {
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(b), sha256.Sum256(b))
		case fi.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " " + to
		}
		m[rel] = line
		return nil
	})
	return m, err
}

// differences names up to ten paths that are not the same in both, "" when all are.
func (m manifest) differences(got manifest) string {
	var all []string
	for p, want := range m {
		switch have, ok := got[p]; {
		case !ok:
			all = append(all, fmt.Sprintf("%s is missing", p))
		case have != want:
			all = append(all, fmt.Sprintf("%s is %s, want %s", p, have, want))
		}
	}
	for p := range got {
		if _, ok := m[p]; !ok {
			all = append(all, fmt.Sprintf("%s should not be there", p))
		}
	}
	slices.Sort(all)
	return strings.Join(all[:min(len(all), 10)], "; ")
}
