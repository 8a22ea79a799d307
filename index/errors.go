package index

import "errors"

var (
	// ErrCorrupt: bytes that came from outside do not follow docs/format.md.
	ErrCorrupt = errors.New("corrupt")
	// ErrForged: a commit or checkpoint is not signed by a writer of this repository.
	ErrForged = errors.New("not signed by a writer of this repository")
	// ErrChain: a commit does not follow the one applied last.
	ErrChain = errors.New("does not follow the commit before it")
	// ErrVersion: written by a newer program.
	ErrVersion = errors.New("unknown format version, a newer firn is needed")
	// ErrDamaged: the local index file cannot be believed; delete it and rebuild.
	ErrDamaged = errors.New("local index is damaged")
	// ErrForeign: the local index file belongs to another repository.
	ErrForeign = errors.New("local index belongs to another repository")
	// ErrStale: the local index was not closed before the machine restarted.
	ErrStale = errors.New("local index was not closed before the machine restarted")
	// ErrBusy: another process holds the local index.
	ErrBusy = errors.New("local index is in use by another process")
	// ErrNotFound: no such bucket, version, pack or row.
	ErrNotFound = errors.New("not found")
)

// errStop ends a scan early.
var errStop = errors.New("stop")
