package tree

import (
	"bytes"
	"fmt"
	"io/fs"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// NodeType is the type of a file.
type NodeType uint8

// The types, with their numbers in the format.
const (
	File NodeType = iota
	Dir
	Symlink
	FIFO
	CharDevice
	BlockDevice
	Socket
)

var typeNames = [...]string{"file", "dir", "symlink", "fifo", "chardev", "blockdev", "socket"}

func (t NodeType) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// Node is a file, directory or link of a snapshot; docs/format.md, section 9.
type Node struct {
	Name       []byte   `cbor:"0,keyasint"`
	Type       NodeType `cbor:"1,keyasint"`
	Mode       uint32   `cbor:"2,keyasint"` // the lower 12 bits of st_mode
	UID        uint32   `cbor:"3,keyasint"`
	GID        uint32   `cbor:"4,keyasint"`
	User       string   `cbor:"5,keyasint,omitempty"`
	Group      string   `cbor:"6,keyasint,omitempty"`
	ModTime    int64    `cbor:"7,keyasint"` // ns since 1970
	ChangeTime int64    `cbor:"8,keyasint,omitempty"`
	Inode      uint64   `cbor:"9,keyasint,omitempty"`
	Device     uint64   `cbor:"10,keyasint,omitempty"`
	Links      uint64   `cbor:"11,keyasint,omitempty"` // when above 1
	Size       int64    `cbor:"12,keyasint,omitempty"`
	Content    []byte   `cbor:"13,keyasint,omitempty"`
	Tree       []byte   `cbor:"14,keyasint,omitempty"`
	Target     []byte   `cbor:"15,keyasint,omitempty"`
	Rdev       uint64   `cbor:"16,keyasint,omitempty"`
	Xattrs     []Xattr  `cbor:"17,keyasint,omitempty"`
	Sparse     bool     `cbor:"18,keyasint,omitempty"`
	Below      *Totals  `cbor:"19,keyasint,omitempty"`

	// Partial: the directory held more than the snapshot has of it, since something was
	// excluded, lay on another file system, or could not be read.
	Partial bool `cbor:"20,keyasint,omitempty"`
}

// Xattr is an extended attribute.
type Xattr struct {
	_     struct{} `cbor:",toarray"`
	Name  []byte
	Value []byte
}

// Totals count what lies below a directory.
type Totals struct {
	_     struct{} `cbor:",toarray"`
	Files int64    // regular files
	Dirs  int64
	Bytes int64 // of regular files
}

// Add counts a node and what lies below it.
func (t *Totals) Add(n *Node) {
	switch n.Type {
	case File:
		t.Files++
		t.Bytes += n.Size
	case Dir:
		t.Dirs++
		if n.Below != nil {
			t.Files += n.Below.Files
			t.Dirs += n.Below.Dirs
			t.Bytes += n.Below.Bytes
		}
	}
}

// MaxName is the greatest length of a name in bytes.
const MaxName = 4096

// validate refuses what a hostile repository could put into a node. It is called for
// every node that was read (package doc of snapshot, invariant 2).
func (n *Node) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("node %q: %w: %s", n.Name, repo.ErrDamaged, fmt.Sprintf(format, args...))
	}
	if err := CheckName(n.Name); err != nil {
		return bad("%v", err)
	}
	if n.Type > Socket || n.Mode > 0o7777 || n.Size < 0 {
		return bad("type %d, mode %o, size %d", n.Type, n.Mode, n.Size)
	}
	switch n.Type {
	case File:
		c, err := repo.ParseContent(n.Content)
		if err != nil {
			return bad("%v", err)
		}
		if c.Size() != n.Size {
			return bad("content of %d bytes for a file of %d", c.Size(), n.Size)
		}
	case Dir:
		if _, err := Parse(n.Tree); err != nil {
			return bad("%v", err)
		}
	case Symlink:
		if len(n.Target) == 0 || bytes.IndexByte(n.Target, 0) >= 0 {
			return bad("link without a target")
		}
	}
	for _, x := range n.Xattrs {
		if len(x.Name) == 0 || bytes.IndexByte(x.Name, 0) >= 0 {
			return bad("extended attribute with a bad name")
		}
	}
	if b := n.Below; b != nil && (b.Files < 0 || b.Dirs < 0 || b.Bytes < 0) {
		return bad("negative totals")
	}
	return nil
}

// CheckName refuses what cannot be the name of a node.
func CheckName(name []byte) error {
	switch {
	case len(name) == 0 || len(name) > MaxName:
		return fmt.Errorf("name of %d bytes", len(name))
	case string(name) == "." || string(name) == "..":
		return fmt.Errorf("name is %q", name)
	case bytes.IndexByte(name, 0) >= 0 || bytes.IndexByte(name, '/') >= 0:
		return fmt.Errorf("name holds a slash or NUL")
	}
	return nil
}

// Data returns the handle of a file's bytes. The node was validated.
func (n *Node) Data() repo.Content { return repo.Content(n.Content) }

// FileMode is the mode as package fs writes it.
func (n *Node) FileMode() fs.FileMode {
	m := fs.FileMode(n.Mode & 0o777)
	if n.Mode&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if n.Mode&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if n.Mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m | [...]fs.FileMode{0, fs.ModeDir, fs.ModeSymlink, fs.ModeNamedPipe,
		fs.ModeDevice | fs.ModeCharDevice, fs.ModeDevice, fs.ModeSocket}[n.Type]
}

// Time is the modification time.
func (n *Node) Time() time.Time { return time.Unix(0, n.ModTime) }

// Decode decodes and validates the first node of a CBOR sequence. raw is its encoding.
func Decode(b []byte, n *Node) (raw, rest []byte, err error) {
	rest, err = index.UnmarshalFirst(b, n)
	if err != nil {
		return nil, nil, fmt.Errorf("node: %w: %v", repo.ErrDamaged, err)
	}
	return b[:len(b)-len(rest)], rest, n.validate()
}
