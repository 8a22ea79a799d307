package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/remote"
)

// hasScheme matches names of stores that are not directories: s3:…, https://…
var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// directory returns the directory of the repository.
func (p *profile) directory() (string, error) {
	if p.Repository == "" {
		return "", usageError("no repository given: use -r DIR, set FIRN_REPOSITORY, or write a configuration file (firn help config)")
	}
	if remote.IsAddress(p.Repository) {
		return "", usageError("%s is not a directory, which this takes", p.Repository)
	}
	if m := hasScheme.FindString(p.Repository); m != "" {
		return "", usageError("repository %s…: want a directory or s3://BUCKET/PREFIX; if this is a directory, write ./ before it", m)
	}
	return p.Repository, nil
}

// openStore opens the store of an existing repository.
func (a *app) openStore(ctx context.Context, p *profile) (tier.Store, error) {
	if remote.IsAddress(p.Repository) {
		return a.openBucket(ctx, p)
	}
	dir, err := p.directory()
	if err != nil {
		return nil, err
	}
	store, err := tier.OpenDir(dir, tier.DirOptions{})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist: %w; \"firn init -r %s\" makes one", dir, repo.ErrNoRepository, dir)
	case err != nil:
		if info, serr := os.Stat(dir); serr == nil && !info.IsDir() {
			return nil, fmt.Errorf("%s is not a directory: %w", dir, repo.ErrNoRepository)
		}
		return nil, err
	}
	return store, nil
}

// cacheDir is where the index of a repository lies, and what else can be made again.
func cacheDir(id string) (string, error) {
	dir := os.Getenv("XDG_CACHE_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserCacheDir(); err != nil {
			return "", fmt.Errorf("no place for the index: %w; set XDG_CACHE_HOME", err)
		}
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("no place for the index: XDG_CACHE_HOME is not an absolute path: %s", dir)
	}
	dir = filepath.Join(dir, "firn")
	tagCache(dir)
	return filepath.Join(dir, id), nil
}

// cacheTag marks a directory as one that backups need not have; see bford.info/cachedir.
const cacheTag = `Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by firn.
# For information about cache directory tags, see https://bford.info/cachedir/
`

// tagCache makes the directory of caches, and tags it. It passes over errors: where they
// matter, the index meets them too and says more about them.
func tagCache(dir string) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return
	}
	name := filepath.Join(dir, "CACHEDIR.TAG")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return // it is there, for one
	}
	_, err = f.WriteString(cacheTag)
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(name)
	}
}

// withStore opens the store of the repository for use.
func (a *app) withStore(ctx context.Context, use func(*profile, tier.Store) error) error {
	p, err := a.settings()
	if err != nil {
		return err
	}
	store, err := a.openStore(ctx, p)
	if err != nil {
		return err
	}
	defer a.tellRequests(store)
	return errors.Join(use(p, store), store.Close())
}

// withRepository opens the repository for use, and closes it also after a failure.
func (a *app) withRepository(ctx context.Context, use func(*profile, *repo.Repository) error) error {
	return a.withOptions(ctx, repo.Options{}, use)
}

func (a *app) withOptions(ctx context.Context, opt repo.Options, use func(*profile, *repo.Repository) error) error {
	if a.flags.wait < 0 {
		return usageError("--wait %s: want a time above 0, such as 30s or 5m", a.flags.wait)
	}
	return a.withStore(ctx, func(p *profile, store tier.Store) error {
		id, err := repo.ReadID(ctx, store)
		if err != nil {
			return err
		}
		if opt.CacheDir, err = cacheDir(id); err != nil {
			return err
		}
		ids, err := a.identities(ctx, p)
		if err != nil {
			return err
		}
		opt.Warn = a.console.message
		r, err := a.openWaiting(ctx, store, ids, opt)
		a.console.clear()
		if err != nil {
			return err
		}
		// A passphrase took 128 MiB to stretch. Given back now, they neither stay nor let
		// the heap grow to twice as much before it is collected.
		debug.FreeOSMemory()
		return errors.Join(use(p, r), r.Close())
	})
}

// Between tries to open a busy repository. A passphrase is stretched at each, so they
// become rare.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
)

// openWaiting opens the repository. While other processes hold every place of the local
// index it tries again, for as long as --wait says. Nothing else in firn waits for others:
// a commit that comes second is made again at once.
func (a *app) openWaiting(ctx context.Context, store tier.Store, ids []age.Identity, opt repo.Options) (*repo.Repository, error) {
	end := time.Now().Add(a.flags.wait)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		r, err := repo.Open(ctx, store, ids, opt)
		left := time.Until(end)
		if !errors.Is(err, index.ErrBusy) || left <= 0 {
			return r, err
		}
		if pause == firstPause && !a.flags.quiet {
			a.console.message(fmt.Sprintf("%v; waiting up to %s", err, a.flags.wait))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(min(pause, left)):
		}
	}
}
