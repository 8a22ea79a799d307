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

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// remote matches names of stores that are not directories: s3:…, https://…
var remote = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// directory returns the directory of the repository.
func (p *profile) directory() (string, error) {
	if p.Repository == "" {
		return "", usageError("no repository given: use -r DIR, set FIRN_REPOSITORY, or write a configuration file (firn help config)")
	}
	if m := remote.FindString(p.Repository); m != "" {
		return "", usageError("repository %s…: only directories are supported so far; if this is one, write ./ before it", m)
	}
	return p.Repository, nil
}

// openStore opens the store of an existing repository.
func (a *app) openStore(p *profile) (tier.Store, error) {
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
	return filepath.Join(dir, "firn", id), nil
}

// withStore opens the store of the repository for use.
func (a *app) withStore(use func(*profile, tier.Store) error) error {
	p, err := a.settings()
	if err != nil {
		return err
	}
	store, err := a.openStore(p)
	if err != nil {
		return err
	}
	return errors.Join(use(p, store), store.Close())
}

// withRepository opens the repository for use, and closes it also after a failure.
func (a *app) withRepository(ctx context.Context, use func(*profile, *repo.Repository) error) error {
	return a.withOptions(ctx, repo.Options{}, use)
}

func (a *app) withOptions(ctx context.Context, opt repo.Options, use func(*profile, *repo.Repository) error) error {
	return a.withStore(func(p *profile, store tier.Store) error {
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
		r, err := repo.Open(ctx, store, ids, opt)
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
