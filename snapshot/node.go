package snapshot

import "github.com/firnstore/firn/repo/tree"

// The words of package tree that are words of snapshots, too.
type (
	Node     = tree.Node
	NodeType = tree.NodeType
	Xattr    = tree.Xattr
	Totals   = tree.Totals
)

// The types of nodes.
const (
	File        = tree.File
	Dir         = tree.Dir
	Symlink     = tree.Symlink
	FIFO        = tree.FIFO
	CharDevice  = tree.CharDevice
	BlockDevice = tree.BlockDevice
	Socket      = tree.Socket
)
