package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
)

// userAddFlags are the flags of firn user add.
type userAddFlags struct {
	display, email, id string
	pair               pairFlags
}

// pairFlags choose a key pair. A secret comes from a file, or is drawn.
type pairFlags struct{ access, secretFile string }

func (f *pairFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.access, "access-key", "", "`ID` of the access key; drawn when left out")
	cmd.Flags().StringVar(&f.secretFile, "secret-key-file", "", "`FILE` whose first line is the secret key; - is standard input; drawn when left out")
	_ = cmd.MarkFlagFilename("secret-key-file")
}

// pair returns the key pair that the flags choose.
func (f *pairFlags) pair(a *app) (keyPair, error) {
	pair := newKeyPair()
	if f.access != "" {
		if err := checkAccessKey(f.access); err != nil {
			return keyPair{}, usageError("--access-key: %w", err)
		}
		pair.access = f.access
	}
	if f.secretFile != "" {
		data, err := a.readSmall(f.secretFile, "--secret-key-file")
		if err != nil {
			return keyPair{}, fmt.Errorf("read secret key: %w", err)
		}
		if pair.secret, err = firstLine(bytes.NewReader(data)); err != nil {
			return keyPair{}, fmt.Errorf("read secret key: %w", err)
		}
		if err := checkSecretKey(pair.secret); err != nil {
			return keyPair{}, usageError("secret key in %s: %w", f.secretFile, err)
		}
	}
	return pair, nil
}

func (a *app) userAddCommand() *cobra.Command {
	var f userAddFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user with an access key",
		Long: `Add a user, and print its key pair: the secret key is shown this once. A secret key of your
own choice comes from --secret-key-file, never from the command line, and is not shown.

A new user may do everything with buckets it creates, and nothing with those of others.`,
		Example: `  firn user add alice --display-name "Alice A." --email alice@example.org
  firn user add backup --access-key BACKUP1 --secret-key-file secret.txt --json`,
		Args:              args(1, 1),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.userAdd(cmd.Context(), args[0], &f) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	fl := cmd.Flags()
	fl.StringVar(&f.display, "display-name", "", "`NAME` for people; that of the user when left out")
	fl.StringVar(&f.email, "email", "", "`ADDRESS`, by which others can name the user in grants")
	fl.StringVar(&f.id, "id", "", "canonical `ID`; derived from the name when left out")
	f.pair.add(cmd)
	return exitsOf(cmd, append([]int{exitExists}, exitsOpen...)...)
}

func (a *app) userAdd(ctx context.Context, name string, f *userAddFlags) error {
	if err := checkUserName(name); err != nil {
		return usageError("name of the user: %w", err)
	}
	for _, c := range []struct{ flag, value string }{{"--display-name", f.display}, {"--email", f.email}} {
		if err := checkDisplay(c.value); err != nil {
			return usageError("%s: %w", c.flag, err)
		}
	}
	if f.id != "" {
		if err := checkUserID(f.id); err != nil {
			return usageError("--id: %w", err)
		}
	}
	pair, err := f.pair.pair(a)
	if err != nil {
		return err
	}
	return a.withEngine(ctx, func(e *object.Engine) error {
		u, err := addUser(ctx, e, &object.User{
			Name: name, ID: firstOf(f.id, userID(e.Repository().ID(), name)), Display: firstOf(f.display, name), Email: f.email,
		}, pair)
		if err != nil {
			return err
		}
		return a.printPair("added", u, pair, f.pair.secretFile == "")
	})
}

// addUser adds a user with one access key. The engine sees to it that nobody else has its
// access key, ID or address.
func addUser(ctx context.Context, e *object.Engine, want *object.User, pair keyPair) (added *object.User, err error) {
	taken := fmt.Errorf("user %s: %w", want.Name, repo.ErrExists)
	if _, err := e.UserByName(want.Name); err == nil {
		return nil, taken
	} else if !errors.Is(err, object.ErrNoUser) {
		return nil, err
	}
	start := e.Now().UnixNano()
	err = e.EditUser(ctx, want.Name, func(u *object.User) error {
		if u.Created < start {
			return taken // added meanwhile
		}
		u.ID, u.Display, u.Email = want.ID, want.Display, want.Email
		u.Keys = []object.AccessKey{{ID: pair.access, Secret: pair.secret, Created: start}}
		added = u
		return nil
	})
	return added, err
}

// printPair prints a key pair; the secret only if nobody knows it yet.
func (a *app) printPair(done string, u *object.User, pair keyPair, show bool) error {
	if !show {
		pair.secret = ""
	}
	if a.flags.json {
		return a.result(struct {
			Done   string     `json:"done"`
			User   userObject `json:"user"`
			Access string     `json:"access_key"`
			Secret string     `json:"secret_key,omitempty"`
		}{done, userObjectOf(u), pair.access, pair.secret})
	}
	if !a.flags.quiet {
		a.print("%s user %s, ID %s\n", done, visible(u.Name), visible(u.ID))
	}
	a.print("access key: %s\n", pair.access)
	if show {
		a.print("secret key: %s\n", pair.secret)
	}
	if show && !a.flags.quiet {
		a.print("the secret key is not shown again\n")
	}
	return nil
}

func (a *app) userKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Add, remove, disable and enable access keys of a user",
		Long: `A user can have several access keys, so that one can be exchanged without a pause: add a
new one, give it to the programs, disable the old one, and remove it when nothing fails.`,
		Example: `  firn user key add alice
  firn user key disable alice FIRNC4E2X7Q5J3A2KMYD`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.userKeyAddCommand(),
		a.userKeyChangeCommand("remove", "removed", "Remove an access key", `Remove an access key of a user. Whatever was signed with it is refused from now on.`,
			func(u *object.User, i int) { u.Keys = slices.Delete(u.Keys, i, i+1) }),
		a.userKeyChangeCommand("disable", "disabled", "Refuse an access key", `Refuse what is signed with an access key, until it is enabled again.`,
			func(u *object.User, i int) { u.Keys[i].Disabled = true }),
		a.userKeyChangeCommand("enable", "enabled", "Take an access key again", `Take what is signed with an access key again, after it was disabled.`,
			func(u *object.User, i int) { u.Keys[i].Disabled = false }),
	)
	return cmd
}

func (a *app) userKeyAddCommand() *cobra.Command {
	var f pairFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an access key to a user",
		Long: `Add an access key to a user, and print the pair: the secret key is shown this once. For the
user root this is the way to a new pair when the secret key was lost.`,
		Example: `  firn user key add alice
  firn user key add root --json`,
		Args:              args(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			pair, err := f.pair(a)
			if err != nil {
				return err
			}
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				if _, _, err := e.UserByKey(pair.access); err == nil {
					return fmt.Errorf("access key %s: %w", pair.access, repo.ErrExists)
				}
				var changed *object.User
				err := editUser(cmd.Context(), e, args[0], func(u *object.User) error {
					u.Keys = append(u.Keys, object.AccessKey{ID: pair.access, Secret: pair.secret, Created: e.Now().UnixNano()})
					changed = u
					return nil
				})
				if err != nil {
					return err
				}
				return a.printPair("added a key to", changed, pair, f.secretFile == "")
			})
		},
	}
	f.add(cmd)
	return exitsOf(cmd, append([]int{exitExists}, exitsOpen...)...)
}

// userKeyChangeCommand is a command that does something with one access key.
func (a *app) userKeyChangeCommand(verb, done, short, long string, change func(u *object.User, i int)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " NAME KEY",
		Short: short,
		Long:  long,
		Example: fmt.Sprintf(`  firn user key %s alice FIRNC4E2X7Q5J3A2KMYD
  firn user key %s alice FIRNC4E2X7Q5J3A2KMYD --json`, verb, verb),
		Args:              args(2, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				err := editUser(cmd.Context(), e, args[0], func(u *object.User) error {
					i := slices.IndexFunc(u.Keys, func(k object.AccessKey) bool { return k.ID == args[1] })
					if i < 0 {
						return fmt.Errorf("user %s has no access key %s; \"firn user show %s\" shows those it has", args[0], args[1], args[0])
					}
					change(u, i)
					return nil
				})
				if err != nil {
					return err
				}
				return a.printDone(done, "access key", args[1])
			})
		},
	}
	return exitsOf(cmd, exitsOpen...)
}
