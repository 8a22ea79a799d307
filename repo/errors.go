package repo

import "errors"

var (
	// ErrNoRepository: there is no repository at this place.
	ErrNoRepository = errors.New("no firn repository here")
	// ErrExists: there is a repository, part of one, or a key slot at this place already.
	ErrExists = errors.New("already exists")
	// ErrWrongKey: no key slot opens with the passphrase or identity given.
	ErrWrongKey = errors.New("no key slot opens with this passphrase or identity")
	// ErrRole: the key slot in use may not do this.
	ErrRole = errors.New("this key may not do that")
	// ErrDamaged: a file of the repository is missing or not what was written.
	ErrDamaged = errors.New("repository is damaged")
	// ErrRolledBack: the log is not the one that this machine has seen before.
	ErrRolledBack = errors.New("the log was rolled back or replaced")
	// ErrBusy: other writers won every time.
	ErrBusy = errors.New("repository is busy")
	// ErrSealed: the session was sealed by a prune and can commit no more.
	ErrSealed = errors.New("session was sealed by another process")
	// ErrDropped: something that this session relied on was dropped by a prune; run again.
	ErrDropped = errors.New("something that this session relied on was dropped")
	// ErrVersion: made by a newer firn.
	ErrVersion = errors.New("made by a newer version of firn")
	// ErrNotFound: no such snapshot, path, key or bucket.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous: a prefix fits several snapshots.
	ErrAmbiguous = errors.New("ambiguous")
)
