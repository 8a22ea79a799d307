package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// A repository that nobody named lies at a place of its own, with the key that opens it in
// a file beside it. That key is an age identity and not a passphrase: it is as random as
// the file can hold, opens without 64 MiB of work at each start, and the age program takes
// it as it is.

// useDefault makes the default repository the one to use when neither the command line
// nor the environment nor a profile names one. It reports whether it is used, and the file
// of the key that goes with it, "" when another key was named.
func (a *app) useDefault() (used bool, keyFile string, err error) {
	p, err := a.settings()
	if err != nil {
		return false, "", err
	}
	if p.Repository != "" || firstOf(a.flags.profile, os.Getenv("FIRN_PROFILE")) != "" {
		return false, "", nil
	}
	dir, err := dataDir(os.Getenv)
	if err != nil {
		return false, "", err
	}
	a.flags.repository = filepath.Join(dir, "default")
	if p.PassphraseFile+p.PassphraseCommand+p.IdentityFile == "" {
		keyFile = filepath.Join(dir, "default.key")
		a.flags.identityFile = keyFile
	}
	return true, keyFile, nil
}

// dataDir is where firn keeps data that nobody gave another place.
func dataDir(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // others are to be passed over
		return filepath.Join(dir, "firn"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usageError("no repository given, and no place for one of its own (%v): use -r DIR or set FIRN_REPOSITORY", err)
	}
	return filepath.Join(home, ".local", "share", "firn"), nil
}

// makeDefault makes the default repository if it does not exist, and the key that opens
// it first: a crash in between leaves a key that the next start takes.
func (a *app) makeDefault(ctx context.Context, keyFile string) error {
	dir := a.flags.repository
	if holdsRepository(dir) {
		if _, err := os.Stat(keyFile); keyFile != "" && errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing, and nothing else opens %s; put the copy that you kept back, or name another key slot's key with --passphrase-file or --identity-file", keyFile, dir)
		}
		return nil
	}
	if err := refuseForeign(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("make the default repository: %w", err)
	}
	to, err := a.defaultKey(ctx, keyFile)
	if err != nil {
		return err
	}
	store, err := tier.CreateDir(dir, tier.DirOptions{})
	if err != nil {
		return err
	}
	id, err := repo.Init(ctx, store, to, repo.Options{}, repo.InitOptions{Profile: chunk.DefaultProfile()})
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	a.console.message(fmt.Sprintf("made repository %s in %s", id[:8], dir))
	if keyFile != "" {
		a.console.message(fmt.Sprintf("the key that opens it is in %s; losing that file loses the data, so keep a copy elsewhere", keyFile))
	}
	return nil
}

// defaultKey returns what the default repository is sealed to: the key in keyFile, which
// is made if it is missing, or the passphrase that was named.
func (a *app) defaultKey(ctx context.Context, keyFile string) (age.Recipient, error) {
	if keyFile == "" {
		p, err := a.settings()
		if err != nil {
			return nil, err
		}
		return a.newKey(ctx, p, "", "")
	}
	identity, recipient, err := newIdentity(false)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("# opens the firn repository in the directory default beside this file\n# public key: %s\n%s\n", recipient, identity)
	if err := writeSecret("identity", keyFile, text); err == nil {
		return age.ParseX25519Recipient(recipient)
	} else if !errors.Is(err, errFileExists) {
		return nil, err
	}
	ids, err := a.identityFile(ctx, keyFile)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if own, ok := id.(*age.X25519Identity); ok {
			return own.Recipient(), nil
		}
	}
	return nil, fmt.Errorf("%s holds no age identity that a new repository could be sealed to", keyFile)
}
