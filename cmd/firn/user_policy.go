package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

// maxUserPolicy bounds what is read of a policy in bytes; without white space it may have
// an eighth of that.
const maxUserPolicy = 160 << 10

func (a *app) userPolicyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Set, list, show and remove the policies of a user",
		Long: `A policy of a user is a document as IAM has it, in JSON: statements that allow or deny
actions on resources under conditions; Principal does not appear in it. A user without
policies may do everything with what it owns. One with policies may do what at least one
of them allows and none denies; for what others own it takes a policy of their bucket, or
an ACL, as well.`,
		Example: `  firn user policy set alice read-photos policy.json
  firn user policy list alice`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.userPolicySetCommand(), a.userPolicyListCommand(), a.userPolicyShowCommand(), a.userPolicyRemoveCommand())
	return cmd
}

func (a *app) userPolicySetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set NAME POLICY FILE",
		Short: "Set a policy of a user",
		Long: `Set a policy of a user, instead of one of the same name. FILE holds the document; - is
standard input. A document that could not be applied as it stands is refused.`,
		Example: `  firn user policy set alice read-photos policy.json
  echo '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::photos/*"}}' | firn user policy set alice read-photos -
  firn user policy set bob everything all.json --json`,
		Args: args(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkIAMName(args[1], 128); err != nil {
				return usageError("name of the policy: %w", err)
			}
			text, err := a.readPolicy(args[2])
			if err != nil {
				return err
			}
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				err := editUser(cmd.Context(), e, args[0], func(u *object.User) error {
					if u.Policies = maps.Clone(u.Policies); u.Policies == nil {
						u.Policies = map[string]string{}
					}
					u.Policies[args[1]] = text
					return nil
				})
				if err != nil {
					return err
				}
				return a.printDone("set", "policy", args[1])
			})
		},
	}
	return exitsOf(cmd, exitsOpen...)
}

// readPolicy reads a policy and refuses one that could not be applied.
func (a *app) readPolicy(name string) (string, error) {
	text, err := a.readPolicyText(name)
	if err != nil {
		return "", err
	}
	if _, err := access.ParsePolicy([]byte(text), ""); err != nil {
		return "", fmt.Errorf("policy %s: %w", name, err)
	}
	return text, nil
}

// readPolicyText reads a policy that is checked later.
func (a *app) readPolicyText(name string) (string, error) {
	var src io.Reader
	if name == "-" {
		in, err := a.takeStdin("the policy")
		if err != nil {
			return "", err
		}
		src = in
	} else {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("read policy: %w", err)
		}
		defer f.Close()
		src = f
	}
	data, err := io.ReadAll(io.LimitReader(src, maxUserPolicy+1))
	if err != nil {
		return "", fmt.Errorf("read policy: %w", err)
	}
	if len(data) > maxUserPolicy {
		return "", fmt.Errorf("policy %s is longer than %d bytes", name, maxUserPolicy)
	}
	return string(bytes.TrimSpace(data)), nil
}

func (a *app) userPolicyListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list NAME",
		Short: "List the policies of a user",
		Long:  `List the names of the policies of a user, in their order; with --json, as an array.`,
		Example: `  firn user policy list alice
  firn user policy list alice --json`,
		Args:              args(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				u, err := findUser(e, args[0])
				if err != nil {
					return err
				}
				names := userObjectOf(u).Policies
				if a.flags.json {
					return a.result(names)
				}
				for _, name := range names {
					a.print("%s\n", visible(name))
				}
				return nil
			})
		},
	}
	return exitsOf(cmd, exitsOpen...)
}

func noPolicy(user, policy string) error {
	return fmt.Errorf("user %s has no policy %s; \"firn user policy list %s\" shows those it has", user, policy, user)
}

func (a *app) userPolicyShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME POLICY",
		Short: "Print a policy of a user",
		Long:  `Print a policy of a user as it was set; with --json, as a string in an object.`,
		Example: `  firn user policy show alice read-photos
  firn user policy show alice read-photos > policy.json`,
		Args:              args(2, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				u, err := findUser(e, args[0])
				if err != nil {
					return err
				}
				text, ok := u.Policies[args[1]]
				if !ok {
					return noPolicy(args[0], args[1])
				}
				if a.flags.json {
					return a.result(struct {
						User   string `json:"user"`
						Name   string `json:"name"`
						Policy string `json:"policy"`
					}{args[0], args[1], text})
				}
				a.print("%s\n", text)
				return nil
			})
		},
	}
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) userPolicyRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove NAME POLICY",
		Short: "Remove a policy of a user",
		Long:  `Remove a policy of a user: what only it allowed is refused from now on, and what it denied is not.`,
		Example: `  firn user policy remove alice read-photos
  firn user policy remove alice read-photos --json`,
		Args:              args(2, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				err := editUser(cmd.Context(), e, args[0], func(u *object.User) error {
					if _, ok := u.Policies[args[1]]; !ok {
						return noPolicy(args[0], args[1])
					}
					u.Policies = maps.Clone(u.Policies)
					delete(u.Policies, args[1])
					return nil
				})
				if err != nil {
					return err
				}
				return a.printDone("removed", "policy", args[1])
			})
		},
	}
	return exitsOf(cmd, exitsOpen...)
}
