package repo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

const (
	configName = "config"
	maxConfig  = 4 << 10
)

// Options of Init and Open. Fields left zero get the defaults named.
type Options struct {
	CacheDir string           // where the index lies; needed by Open
	Now      func() time.Time // time.Now
	Rand     io.Reader        // crypto/rand.Reader
	Warn     func(string)     // what a person should know but nobody has to act on; nil: dropped
	BootID   string           // index.BootID()
	NoIndex  bool             // make the index anew from the log alone; the one before goes when that is done
	Memory   int64            // bytes for decoded frames that are kept; 32 MiB

	// Progress is called now and then while the index is made from the log.
	Progress func(commit uint64)
}

func (o *Options) defaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.BootID == "" {
		o.BootID = index.BootID()
	}
	if o.Memory == 0 {
		o.Memory = 32 << 20
	}
}

// Repository is an open repository. It is safe for concurrent use.
type Repository struct {
	store tier.Store
	id    string
	ring  *keyring
	opt   Options
	index *index.Index

	logMu    sync.Mutex          // held while following or extending the log
	sessions []*Session          // of this process, that are open; guarded by logMu
	folded   func(*index.Commit) // if not nil, told of every commit after it was folded; guarded by logMu
	gapless  uint64              // the commit behind which no other was found when last looked; guarded by logMu
	settled  uint64              // the commit up to which the log is known to be durable; guarded by logMu
	behind   error               // why the index lacks a commit that this process made; guarded by logMu

	parityMu sync.Mutex // held while the log gets parity

	packs  packCache
	frames frameCache

	dropped droppedPacks
}

// parseConfig returns the repository ID.
func parseConfig(b []byte) (id string, err error) {
	lines := strings.Split(string(b), "\n")
	if lines[0] != "firn repository" {
		return "", fmt.Errorf("%w: file config is not one of firn", ErrNoRepository)
	}
	if len(lines) > 1 && lines[1] != "version 1" {
		return "", fmt.Errorf("file config: %q: %w", lines[1], ErrVersion)
	}
	id, ok := "", false
	if len(lines) == 4 && lines[3] == "" {
		id, ok = strings.CutPrefix(lines[2], "id ")
	}
	if raw, err := hex.DecodeString(id); !ok || err != nil || len(raw) != 16 || id != strings.ToLower(id) {
		return "", fmt.Errorf("file config: %w: not three lines of the known form", ErrDamaged)
	}
	return id, nil
}

func formatConfig(id string) []byte {
	return []byte("firn repository\nversion 1\nid " + id + "\n")
}

// ReadID returns the ID of the repository in store without opening it, or
// ErrNoRepository.
func ReadID(ctx context.Context, store tier.Store) (string, error) {
	b, err := tier.Read(ctx, store, configName, maxConfig)
	if errors.Is(err, tier.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", store, ErrNoRepository)
	}
	if err != nil {
		return "", fmt.Errorf("read config of %s: %w", store, err)
	}
	id, err := parseConfig(b)
	if errors.Is(err, ErrNoRepository) {
		if _, serr := store.Stat(ctx, index.CommitName(1)); serr == nil {
			err = fmt.Errorf("file config: %w: it is not what init wrote, but there is a log; run firn repair, or bring it back from a copy: "+
				"three lines, the last with the ID of the repository", ErrDamaged)
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", store, err)
	}
	return id, nil
}

// Open opens the repository in store with whichever of ids fits a key slot, and
// follows the log to its end. The store stays the caller's to close.
//
// Errors: ErrNoRepository, ErrWrongKey, ErrDamaged, ErrRolledBack, ErrVersion,
// index.ErrBusy. A damaged, stale or foreign index is made anew with a warning.
func Open(ctx context.Context, store tier.Store, ids []age.Identity, opt Options) (*Repository, error) {
	opt.defaults()
	id, err := ReadID(ctx, store)
	if err != nil {
		return nil, err
	}
	ring, err := openSlots(ctx, store, ids)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store, err)
	}
	if ring.Repository != id {
		return nil, fmt.Errorf("%s: %w: key slot %s is of repository %s", store, ErrDamaged, ring.Name, ring.Repository)
	}
	r := &Repository{store: store, id: id, ring: ring, opt: opt}
	r.packs.r, r.frames.limit = r, opt.Memory
	if err := r.openIndex(ctx); err != nil {
		return nil, err
	}
	if err := r.attach(ctx); err != nil {
		return nil, errors.Join(err, r.index.Close())
	}
	return r, nil
}

// attach compares the index with the log and follows it, making the index anew when
// it turns out to be damaged.
func (r *Repository) attach(ctx context.Context) error {
	err := r.checkHead(ctx)
	if err == nil {
		err = r.Refresh(ctx)
	}
	if !errors.Is(err, index.ErrDamaged) {
		return err
	}
	r.opt.Warn(fmt.Sprintf("%v; making it anew from the log", err))
	if err := r.resetIndex(ctx); err != nil {
		return err
	}
	return r.Refresh(ctx)
}

// Close makes the index durable and lets go of it. A session must have ended before.
func (r *Repository) Close() error {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	if seq, _, err := r.index.Applied(); err == nil {
		if err := r.settleTo(context.Background(), seq); err != nil {
			r.opt.Warn(err.Error()) // should the power go now, the index is ahead of the log
		}
	}
	return r.index.Close()
}

// ID of the repository: 32 hexadecimal digits.
func (r *Repository) ID() string { return r.id }

// Store the repository lies in.
func (r *Repository) Store() tier.Store { return r.store }

// Index is the folded state of the log, as of the last Refresh or commit.
func (r *Repository) Index() *index.Index { return r.index }

// Behind returns why the index does not have what this process committed last, nil when
// it does: after such a commit, a look-up gives the state from before. Any Refresh or
// Commit that succeeds mends it.
func (r *Repository) Behind() error {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.behind
}

// Role and name of the key slot in use.
func (r *Repository) Role() (role index.Role, name string) { return r.ring.role, r.ring.Name }

// Hasher returns a hasher of the IDs of data chunks, for one goroutine at a time.
func (r *Repository) Hasher() *chunk.Hasher { return chunk.NewHasher(r.ring.dataKey) }

// Profile says how the repository cuts streams.
func (r *Repository) Profile() chunk.Profile { return chunk.Profile(r.ring.Profile) }

// Now is the clock of the repository.
func (r *Repository) Now() time.Time { return r.opt.Now() }

// Rand is its source of randomness.
func (r *Repository) Rand() io.Reader { return r.opt.Rand }

// RequireData returns ErrRole unless the key slot can read data.
func (r *Repository) RequireData() error {
	if r.ring.dataID == nil {
		return fmt.Errorf("key slot %s has role %s and cannot read data: %w", r.ring.Name, r.ring.Role, ErrRole)
	}
	return nil
}
