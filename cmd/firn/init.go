package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/remote"
)

// initFlags are the flags of firn init.
type initFlags struct {
	chunks, keyName          string
	recipient, recipientFile string
	postQuantum              bool
	parity                   string
}

func (a *app) initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a repository in an empty directory or in a bucket",
		Long: `Make a repository in a directory that is empty or does not exist yet. What a system puts
onto a new disk by itself, such as lost+found, does not count. With s3://BUCKET/PREFIX it
is made in a bucket that exists, below a prefix that is free (firn help repositories); a
storage on which writers could overwrite the work of each other is refused.

It is opened with a passphrase, which is asked for unless --passphrase-file or
--passphrase-command gives it; or, with --recipient, with the age identity or ssh key
that belongs to the recipient. Without the passphrase or the identity nobody can read the
repository again: keep a copy elsewhere. "firn key add" gives it further keys.`,
		Example: `  firn init -r /backup/firn
  firn init -r s3://backup/laptop --s3-endpoint https://s3.example.com
  firn init -r /backup/firn --recipient age1t7r8…   # made by firn key generate`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.init(cmd.Context(), &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.chunks, "chunks", "default", "`SIZE` of chunks, for good: default (64 KiB on average) for what changes, large (1.5 MiB) for what never changes in part")
	fl.StringVar(&f.keyName, "key-name", "default", "`NAME` of the first key slot")
	fl.StringVar(&f.recipient, "recipient", "", "seal the key slot to this public `KEY` instead of a passphrase")
	fl.StringVar(&f.recipientFile, "recipient-file", "", "like --recipient, from a `FILE` such as id_ed25519.pub")
	fl.BoolVar(&f.postQuantum, "post-quantum", false, "keys of the repository that resist quantum computers; reading it without firn then takes age 1.3 or newer")
	addParityFlag(fl, &f.parity)
	choices(cmd, "chunks", "default", "large")
	return exitsOf(cmd, exitExists, exitStorage, exitUnreachable)
}

func (a *app) init(ctx context.Context, f *initFlags) error {
	choice := repo.InitOptions{SlotName: f.keyName, PostQuantum: f.postQuantum}
	var err error
	if choice.Profile, err = chunk.ProfileByName(f.chunks); err != nil {
		return usageError("--chunks: %w", err)
	}
	if choice.Parity, err = parseParity(f.parity); err != nil {
		return err
	}
	p, err := a.settings()
	if err != nil {
		return err
	}
	place, makeStore, err := a.newPlace(ctx, p)
	if err != nil {
		return err
	}
	to, err := a.newKey(ctx, p, f.recipient, f.recipientFile)
	if err != nil {
		return err
	}
	store, err := makeStore()
	if err != nil {
		return err
	}
	defer a.tellRequests(store)
	id, err := repo.Init(ctx, store, to, repo.Options{Warn: a.console.message}, choice)
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	if a.flags.json {
		return a.result(struct {
			Repository string `json:"repository"`
			ID         string `json:"id"`
			Key        string `json:"key"`
			Chunks     string `json:"chunks"`
		}{place, id, "full/" + f.keyName, f.chunks})
	}
	if !a.flags.quiet {
		a.print("made repository %s in %s\n", id[:8], visible(place))
		a.print("key slot full/%s opens it; without that key nobody can, so keep a copy elsewhere\n", f.keyName)
	}
	return nil
}

// newPlace looks whether a repository can be made where p says. It comes before the question
// for a passphrase, so that nobody thinks of one in vain. makeStore opens the store there.
func (a *app) newPlace(ctx context.Context, p *profile) (place string, makeStore func() (tier.Store, error), err error) {
	if remote.IsAddress(p.Repository) {
		s, err := a.makeBucketStore(ctx, p)
		if err != nil {
			return "", nil, err
		}
		return s.String(), func() (tier.Store, error) { return s, nil }, nil
	}
	dir, err := p.directory()
	if err != nil {
		return "", nil, err
	}
	return dir, func() (tier.Store, error) { return tier.CreateDir(dir, tier.DirOptions{}) }, refuseForeign(dir)
}

// systemNames are what systems put into the root of a file system by themselves. A disk
// that was just formatted counts as empty.
var systemNames = []string{"lost+found", "System Volume Information", "$RECYCLE.BIN", ".Trashes", ".Spotlight-V100", ".fseventsd"}

// refuseForeign refuses a directory that holds something else than a repository: the files
// of both would lie among each other, and whoever cleans up one would hurt the other. It
// comes before the store is opened, since that tidies up.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if info, serr := os.Stat(dir); serr == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory; name one that is empty or does not exist yet", dir)
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && holdsRepository(dir) {
		return nil // what is there of a repository, whole or not, repo.Init refuses
	}
	if err != nil {
		return fmt.Errorf("look into %s: %w", dir, err)
	}
	for _, e := range entries {
		if !slices.Contains(systemNames, e.Name()) && !leftByInit(dir, e.Name()) {
			return fmt.Errorf("%s is not empty: it holds %s, and is no firn repository; name a directory that is empty or does not exist yet, such as %s",
				dir, e.Name(), filepath.Join(dir, "firn"))
		}
	}
	return nil
}

// holdsRepository reports whether a directory looks like a repository, or like one that
// lost its config.
func holdsRepository(dir string) bool {
	const magic = "firn repository\n" // docs/format.md, section 4
	if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(index.CommitName(1)))); err == nil {
		return true
	}
	f, err := os.Open(filepath.Join(dir, "config"))
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == magic
}

// leftByInit reports whether an init that was interrupted at its beginning may have left
// an entry. Into keys repo.Init looks itself.
func leftByInit(dir, name string) bool {
	if name != ".firn-tmp" {
		return name == "keys"
	}
	entries, err := os.ReadDir(filepath.Join(dir, name))
	return err == nil && len(entries) == 0
}

// newKey returns what a new key slot is sealed to: the recipient given, or the
// passphrase of p.
func (a *app) newKey(ctx context.Context, p *profile, recipient, file string) (age.Recipient, error) {
	switch {
	case recipient != "" && file != "":
		return nil, usageError("give --recipient or --recipient-file, not both")
	case recipient != "":
		return a.parseRecipient(recipient)
	case file != "":
		return a.recipientFile(file)
	case p.IdentityFile != "":
		return nil, usageError("an identity file opens a repository; to make a key for it, give its recipient with --recipient")
	}
	pass, err := a.passphrase(ctx, p, true)
	if err != nil {
		return nil, err
	}
	to, err := age.NewScryptRecipient(pass)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	to.SetWorkFactor(newWorkFactor)
	return to, nil
}

// choices makes the shell complete the values of a flag.
func choices(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
