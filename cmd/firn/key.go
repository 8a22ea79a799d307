package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Add, list and remove the keys of a repository",
		Long: `A repository has key slots, each sealed to one passphrase or public key, with a role:
full may do everything, meta may list and check but cannot read files, write may only back
up. See firn help keys for where a key comes from when a repository is opened.`,
		Example: `  firn key add -r /backup/firn --name laptop --role write --recipient age1t7r8…
  firn key list -r /backup/firn`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.keyAddCommand(), a.keyListCommand(), a.keyRemoveCommand(), a.keyGenerateCommand())
	return cmd
}

// keyAddFlags are the flags of firn key add.
type keyAddFlags struct {
	name, role               string
	passphraseFile           string
	recipient, recipientFile string
}

func (a *app) keyAddCommand() *cobra.Command {
	var f keyAddFlags
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add a key slot",
		Long: `Add a key slot, sealed to a new passphrase or to a recipient. The repository is opened
with a key it has already, which must have role full. Without --new-passphrase-file,
--recipient or --recipient-file the new passphrase is asked for at the terminal.`,
		Example: `  firn key add -r /backup/firn --name bob --new-passphrase-file bob.txt
  firn key add -r /backup/firn --name nas --role write --recipient-file ~/.ssh/id_ed25519.pub`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.keyAdd(cmd.Context(), &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.name, "name", "", "`NAME` of the key slot: a-z, 0-9, - and _")
	fl.StringVar(&f.role, "role", "full", "`ROLE` of its holder: full, meta or write")
	fl.StringVar(&f.passphraseFile, "new-passphrase-file", "", "`FILE` whose first line is the new passphrase; - is standard input")
	fl.StringVar(&f.recipient, "recipient", "", "seal it to this public `KEY`")
	fl.StringVar(&f.recipientFile, "recipient-file", "", "seal it to the public key in this `FILE`, such as id_ed25519.pub")
	choices(cmd, "role", "full", "meta", "write")
	_ = cmd.MarkFlagFilename("new-passphrase-file")
	_ = cmd.MarkFlagFilename("recipient-file")
	return exitsOf(cmd, append([]int{exitExists}, exitsOpen...)...)
}

func (a *app) keyAdd(ctx context.Context, f *keyAddFlags) error {
	role, err := parseRole(f.role)
	switch {
	case err != nil:
		return usageError("--role: %w", err)
	case f.name == "":
		return usageError("give the key slot a name with --name")
	case f.passphraseFile != "" && f.recipient+f.recipientFile != "":
		return usageError("a key slot is sealed to a passphrase or to a recipient, not both")
	}
	return a.withRepository(ctx, func(_ *profile, r *repo.Repository) error {
		to, err := a.newKey(ctx, &profile{PassphraseFile: f.passphraseFile}, f.recipient, f.recipientFile)
		if err != nil {
			return err
		}
		if err := repo.AddKey(ctx, r, role, f.name, to); err != nil {
			return err
		}
		return a.printKey("added", role.String(), f.name)
	})
}

func parseRole(s string) (index.Role, error) {
	for _, r := range []index.Role{index.Full, index.Meta, index.Write} {
		if r.String() == s {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%q is none: want full, meta or write", s)
}

func (a *app) printKey(done, role, name string) error {
	if a.flags.json {
		return a.result(struct {
			Done string `json:"done"`
			Key  string `json:"key"`
			Role string `json:"role"`
			Name string `json:"name"`
		}{done, role + "/" + name, role, name})
	}
	if !a.flags.quiet {
		a.print("%s key slot %s/%s\n", done, role, name)
	}
	return nil
}

func (a *app) keyListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the key slots",
		Long: `List the key slots: role, name, and what each is sealed to: scrypt is a passphrase,
X25519 and mlkem768x25519 are age identities, ssh-ed25519 and ssh-rsa are ssh keys. This
takes no passphrase.`,
		Example: `  firn key list -r /backup/firn
  firn key list -r /backup/firn --json`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(_ *profile, store tier.Store) error {
				if _, err := repo.ReadID(cmd.Context(), store); err != nil {
					return err
				}
				keys, err := repo.Keys(cmd.Context(), store)
				if err != nil {
					return err
				}
				if a.flags.json {
					return a.result(keys)
				}
				t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
				fmt.Fprintln(t, "KEY\tSEALED TO")
				for _, k := range keys {
					fmt.Fprintf(t, "%s/%s\t%s\n", visible(k.Role), visible(k.Name), visible(sealedTo(k.Type)))
				}
				return t.Flush()
			})
		},
	}
	return exitsOf(cmd, exitNone, exitDamaged, exitVersion, exitStorage, exitUnreachable)
}

// sealedTo says what the type of an age stanza means.
func sealedTo(kind string) string {
	switch kind {
	case "scrypt":
		return "a passphrase"
	case "X25519":
		return "an age identity"
	case "mlkem768x25519":
		return "a post-quantum age identity"
	case "ssh-ed25519", "ssh-rsa":
		return "an ssh key (" + kind + ")"
	}
	return kind
}

func (a *app) keyRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove ROLE/NAME",
		Short: "Remove a key slot",
		Long: `Remove a key slot, as firn key list names it, and refuse what its holder writes from now
on. Whoever has opened it before, and kept what is inside, can still read the repository.
The last key of role full cannot be removed.`,
		Example: `  firn key remove -r /backup/firn write/laptop
  firn key remove -r /backup/firn full/bob`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			role, name, ok := strings.Cut(args[0], "/")
			if _, err := parseRole(role); err != nil || !ok || name == "" {
				return usageError("%q is no key slot: want ROLE/NAME as firn key list prints it", args[0])
			}
			return a.withRepository(cmd.Context(), func(_ *profile, r *repo.Repository) error {
				if err := r.RemoveKey(cmd.Context(), role, name); err != nil {
					return err
				}
				return a.printKey("removed", role, name)
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	return exitsOf(cmd, exitsOpen...)
}
