package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
)

func (a *app) userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Add, list and change the users of the S3 endpoint",
		Long: `Users have access keys, with which they sign requests to firn serve s3, and policies. Each
is an account of its own and sees only its own buckets, unless a policy or an ACL of
another says more. They are kept in the repository, sealed like all else; a server that
runs knows a change at once.

The user root, whom the server makes on its first start, may do everything. Without -r the
repository is the one that firn serve s3 uses then.`,
		Example: `  firn user add alice --display-name "Alice A."
  firn user list --json`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.userAddCommand(), a.userListCommand(), a.userShowCommand(), a.userRemoveCommand(),
		a.userSwitchCommand(false), a.userSwitchCommand(true), a.userKeyCommand(), a.userPolicyCommand(),
	)
	return cmd
}

// withEngine opens the repository, or the default one, for work on its users.
func (a *app) withEngine(ctx context.Context, use func(*object.Engine) error) error {
	if _, _, err := a.useDefault(); err != nil {
		return err
	}
	return a.withRepository(ctx, func(_ *profile, r *repo.Repository) error {
		e, err := object.Open(ctx, r, object.Options{Log: a.console.message})
		if err != nil {
			return err
		}
		return errors.Join(use(e), e.Close(context.WithoutCancel(ctx)))
	})
}

func noUser(name string) error {
	return fmt.Errorf("user %s: %w; \"firn user list\" shows those there are", name, object.ErrNoUser)
}

func findUser(e *object.Engine, name string) (*object.User, error) {
	u, err := e.UserByName(name)
	if errors.Is(err, object.ErrNoUser) {
		return nil, noUser(name)
	}
	return u, err
}

// editUser changes a user who exists. The engine would add one that does not.
func editUser(ctx context.Context, e *object.Engine, name string, change func(*object.User) error) error {
	if _, err := findUser(e, name); err != nil {
		return err
	}
	start := e.Now().UnixNano()
	return e.EditUser(ctx, name, func(u *object.User) error {
		if u.Created >= start {
			return noUser(name) // removed meanwhile
		}
		return change(u)
	})
}

// userObject is a user in JSON. It holds no secret.
type userObject struct {
	Name     string       `json:"name"`
	ID       string       `json:"id"`
	Display  string       `json:"display_name"`
	Email    string       `json:"email"`
	Root     bool         `json:"root"`
	Disabled bool         `json:"disabled"`
	Created  *time.Time   `json:"created,omitempty"`
	Keys     []userKeyRow `json:"access_keys"`
	Policies []string     `json:"policies"`
}

type userKeyRow struct {
	ID       string     `json:"id"`
	Disabled bool       `json:"disabled"`
	Created  *time.Time `json:"created,omitempty"`
}

func userObjectOf(u *object.User) userObject {
	o := userObject{
		Name: u.Name, ID: u.ID, Display: u.Display, Email: u.Email, Root: u.Root, Disabled: u.Disabled,
		Created: createdAt(u.Created), Keys: []userKeyRow{}, Policies: slices.AppendSeq([]string{}, maps.Keys(u.Policies)),
	}
	for _, k := range u.Keys {
		o.Keys = append(o.Keys, userKeyRow{k.ID, k.Disabled, createdAt(k.Created)})
	}
	slices.Sort(o.Policies)
	return o
}

func createdAt(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := time.Unix(0, ns).UTC()
	return &t
}

func (a *app) userListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Long: `List the users that the repository has, with their canonical IDs, which other users grant
rights to, and their access keys. Secret keys are not shown. Users that a server knows from
its --users-file are not in the repository.`,
		Example: `  firn user list -r /backup/firn
  firn user list --json | jq -r '.[].access_keys[].id'`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				users, err := e.Users()
				if err != nil {
					return err
				}
				return a.printUsers(users)
			})
		},
	}
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) printUsers(users []*object.User) error {
	if a.flags.json {
		list := make([]userObject, len(users))
		for i, u := range users {
			list[i] = userObjectOf(u)
		}
		return a.result(list)
	}
	if len(users) == 0 {
		a.console.message("there are no users")
		return nil
	}
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATE\tACCESS KEYS\tDISPLAY NAME\tID")
	for _, u := range users {
		keys := make([]string, len(u.Keys))
		for i, k := range u.Keys {
			keys[i] = k.ID
			if k.Disabled {
				keys[i] += " (disabled)"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", visible(u.Name), userState(u), visible(firstOf(strings.Join(keys, ", "), "-")),
			visible(firstOf(u.Display, "-")), visible(u.ID))
	}
	return t.Flush()
}

func userState(u *object.User) string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.Root:
		return "root"
	}
	return "enabled"
}

func (a *app) userShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show one user",
		Long: `Show what the repository knows of one user: names, canonical ID, access keys, and the
names of its policies. Secret keys are not shown.`,
		Example: `  firn user show alice
  firn user show alice --json | jq -r .id`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				u, err := findUser(e, args[0])
				if err != nil {
					return err
				}
				return a.printUser(u)
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) printUser(u *object.User) error {
	o := userObjectOf(u)
	if a.flags.json {
		return a.result(o)
	}
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, visible(firstOf(value, "-"))) }
	row("name", o.Name)
	row("state", userState(u))
	row("id", o.ID)
	row("display name", o.Display)
	row("e-mail", o.Email)
	if o.Created != nil {
		row("created", o.Created.Local().Format("2006-01-02 15:04:05"))
	}
	for _, k := range o.Keys {
		state := "enabled"
		if k.Disabled {
			state = "disabled"
		}
		row("access key", k.ID+" ("+state+")")
	}
	row("policies", strings.Join(o.Policies, ", "))
	return t.Flush()
}

func (a *app) userRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a user",
		Long: `Remove a user with its access keys and policies. Its buckets and objects stay; they belong
to its canonical ID, and a new user with that --id owns them again. If the user root is
removed, the next start of firn serve s3 makes another.`,
		Example: `  firn user remove alice
  firn user remove bob -r /backup/firn --json`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				if _, err := findUser(e, args[0]); err != nil {
					return err
				}
				err := e.RemoveUser(cmd.Context(), args[0])
				if errors.Is(err, object.ErrNoUser) {
					return noUser(args[0])
				}
				if err != nil {
					return err
				}
				return a.printDone("removed", "user", args[0])
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	return exitsOf(cmd, exitsOpen...)
}

// userSwitchCommand is firn user enable or disable.
func (a *app) userSwitchCommand(disabled bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enable NAME",
		Short: "Let a disabled user in again",
		Long:  `Let a user in again that was disabled, with the access keys and policies it had.`,
		Example: `  firn user enable alice
  firn user enable alice --json`,
		Args:              args(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	done := "enabled"
	if disabled {
		done = "disabled"
		cmd.Use, cmd.Short = "disable NAME", "Refuse what a user asks for"
		cmd.Long = `Refuse every request that a user signs, also with URLs that it signed before, until it is
enabled again. What it owns stays, and others can use it as before.`
		cmd.Example = `  firn user disable alice
  firn user disable alice --json`
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withEngine(cmd.Context(), func(e *object.Engine) error {
			err := editUser(cmd.Context(), e, args[0], func(u *object.User) error {
				u.Disabled = disabled
				return nil
			})
			if err != nil {
				return err
			}
			return a.printDone(done, "user", args[0])
		})
	}
	return exitsOf(cmd, exitsOpen...)
}

// printDone says what became of a user, or of a key or policy of one.
func (a *app) printDone(done, what, name string) error {
	if a.flags.json {
		return a.result(struct {
			Done string `json:"done"`
			What string `json:"what"`
			Name string `json:"name"`
		}{done, what, name})
	}
	if !a.flags.quiet {
		a.print("%s %s %s\n", done, what, visible(name))
	}
	return nil
}
