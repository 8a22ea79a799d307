package snapshot

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// localDir is a directory that is being read. Windows has no owners, links, devices or
// attributes of the kind that firn records; they are left out.
type localDir struct {
	f    *os.File
	path string
}

func openDir(path string) (*localDir, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &localDir{f: f, path: path}, nil
}

func (d *localDir) sub(name string) (*localDir, error) { return openDir(filepath.Join(d.path, name)) }

// localFile is a file that is being read.
type localFile struct{ *os.File }

func (f *localFile) close() { _ = f.Close() }

func (d *localDir) open(name string) (*localFile, error) {
	f, err := os.Open(filepath.Join(d.path, name))
	return &localFile{f}, err
}

func (d *localDir) close() { _ = d.f.Close() }

func (d *localDir) names() ([]string, error) {
	names, err := d.f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (d *localDir) stat(name string, n *Node, blocks *int64) error {
	return statPath(filepath.Join(d.path, name), name, false, n, blocks)
}

func statPath(path, name string, follow bool, n *Node, blocks *int64) error {
	stat := os.Lstat
	if follow {
		stat = os.Stat
	}
	fi, err := stat(path)
	if err != nil {
		return err
	}
	fillNode(n, name, fi, blocks)
	return nil
}

func statFile(f *localFile, name string, n *Node, blocks *int64) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	fillNode(n, name, fi, blocks)
	return nil
}

func fillNode(n *Node, name string, fi fs.FileInfo, blocks *int64) {
	*n = Node{Name: []byte(name), Mode: uint32(fi.Mode().Perm()), ModTime: fi.ModTime().UnixNano()}
	switch {
	case fi.IsDir():
		n.Type = Dir
	case fi.Mode()&fs.ModeSymlink != 0:
		n.Type = Symlink
	default:
		n.Type, n.Size = File, fi.Size()
		*blocks = (n.Size + 511) / 512
	}
}

func (d *localDir) readlink(n *Node) error {
	t, err := os.Readlink(filepath.Join(d.path, string(n.Name)))
	n.Target = []byte(t)
	return err
}

func (d *localDir) xattrsAt(*Node) error           { return nil }
func (d *localDir) xattrs(*Node) error             { return nil }
func (f *localFile) xattrs(*Node) error            { return nil }
func readAhead(*localFile)                         {}
func newHoleReader(f *localFile, _ bool) io.Reader { return f }

func ownIDs() (uid, gid uint32) { return 0, 0 }
