package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/tier/remote"
)

// The exit codes. Scripts rely on them: a number never changes its meaning.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPartial     = 3
	exitHealed      = 4
	exitNone        = 10
	exitBusy        = 11
	exitKey         = 12
	exitDamaged     = 13
	exitRole        = 14
	exitExists      = 15
	exitVersion     = 16
	exitStorage     = 17
	exitUnreachable = 18
	exitInterrupted = 130
)

// exits is the table from errors to exit codes. The first row of which err is one of
// the errors decides. next says what a person can do about it.
var exits = []struct {
	code    int
	meaning string
	errs    []error
	next    string
}{
	{exitDone, "done", nil, ""},
	{exitInterrupted, "interrupted by Ctrl-C or SIGTERM", []error{errInterrupted}, ""},
	{exitUsage, "wrong usage: an unknown flag, a missing argument, a fault in the configuration", []error{errUsage}, ""},
	{exitPartial, "done, but some files could not be read or restored; they are named", []error{errPartial}, ""},
	{exitHealed, "done; damage was found, and all of it was healed", []error{errHealed}, ""},
	{exitVersion, "made by a newer version of firn", []error{repo.ErrVersion, index.ErrVersion},
		"install a newer firn on this machine"},
	{exitNone, "no repository at this place", []error{repo.ErrNoRepository}, `"firn init" makes one`},
	{exitBusy, "busy: other processes hold what is needed, for longer than firn waits", []error{repo.ErrBusy, index.ErrBusy, object.ErrTaken},
		"run it again when they are done, or let it --wait"},
	{exitKey, "wrong key: no key slot opens with this passphrase or identity", []error{repo.ErrWrongKey},
		`"firn key list" shows the key slots`},
	{exitRole, "the role of the key may not do this", []error{repo.ErrRole}, "use a key slot of role full"},
	{exitExists, "there is one already; nothing was overwritten", []error{repo.ErrExists, errFileExists, errBucketExists, object.ErrUserExists}, ""},
	{exitStorage, "the storage denies access, has no such bucket, or does not do what a repository needs",
		[]error{remote.ErrDenied, remote.ErrNoBucket, remote.ErrUnfit, remote.ErrArchived}, ""},
	{exitUnreachable, "the storage does not answer", []error{remote.ErrUnreachable}, ""},
	{exitDamaged, "the repository is damaged, or its log was rolled back",
		[]error{repo.ErrDamaged, repo.ErrRolledBack, index.ErrForged, index.ErrChain, index.ErrCorrupt, pack.ErrCorrupt}, `"firn check" says what is lost, and "firn repair" mends what can be mended`},
	{exitFailed, "failed for another reason, which is named", nil, ""},
}

var (
	errUsage      = errors.New("wrong usage")
	errPartial    = errors.New("done in part")
	errHealed     = errors.New("damage was healed")
	errFileExists = errors.New("file exists already")

	errBucketExists = errors.New("already exists")
	errCommand      = errors.New("there is no snapshot, because the command failed")
	// errTold: the result on standard output tells it already. With --json nothing comes
	// after the result then.
	errTold = errors.New("told by the result")
)

// exitCode returns the code for the error with which a command ended. Whatever fails
// after a signal fails because of it.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(context.Cause(ctx), errInterrupted) && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	for _, row := range exits {
		for _, e := range row.errs {
			if errors.Is(err, e) {
				return row.code
			}
		}
	}
	return exitFailed
}

// explain returns the text of err as lines, and what to do next. By convention an error
// says that itself behind a semicolon; then the table adds nothing.
func explain(err error) []string {
	lines := linesOf(err)
	code := exitCode(context.Background(), err)
	for _, row := range exits {
		if row.code == code && row.next != "" && !strings.Contains(err.Error(), "; ") {
			lines = append(lines, row.next)
		}
	}
	var u *usage
	if errors.As(err, &u) && u.cmd != nil {
		lines = append(lines, "see "+u.cmd.CommandPath()+" --help")
	}
	return lines
}

// linesOf takes apart what errors.Join put together, one line for each error.
func linesOf(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var parts []string
		for _, e := range joined.Unwrap() {
			parts = append(parts, e.Error())
		}
		if strings.Join(parts, "\n") == err.Error() {
			var lines []string
			for _, e := range joined.Unwrap() {
				lines = append(lines, linesOf(e)...)
			}
			return lines
		}
	}
	return []string{err.Error()}
}

// usage is an error of how firn was called.
type usage struct {
	cmd *cobra.Command // whose help helps; may be nil
	err error
}

func (u *usage) Error() string   { return u.err.Error() }
func (u *usage) Unwrap() []error { return []error{errUsage, u.err} }

func usageError(format string, args ...any) error {
	return &usage{err: fmt.Errorf(format, args...)}
}

// usageOf makes err one of how cmd was called.
func usageOf(cmd *cobra.Command, err error) error { return &usage{cmd: cmd, err: err} }

// args checks the number of arguments; max below 0 means any number.
func args(min, max int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		want := strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath())
		want = strings.TrimSpace(strings.TrimSuffix(want, "[flags]"))
		switch {
		case len(args) < min && want != "":
			return usageOf(cmd, fmt.Errorf("missing argument: want %s", want))
		case max >= 0 && len(args) > max && want == "":
			return usageOf(cmd, fmt.Errorf("%q is one argument too many: want none", args[max]))
		case max >= 0 && len(args) > max:
			return usageOf(cmd, fmt.Errorf("%q is one argument too many: want %s", args[max], want))
		}
		return nil
	}
}

// noCommand refuses what is no command, with those that look similar.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		err = fmt.Errorf("%w: did you mean %s?", err, strings.Join(like, " or "))
	}
	return usageOf(cmd, err)
}

// partialError says that a command did its work except for some files, which it named.
type partialError struct{ text string }

func (e *partialError) Error() string   { return e.text }
func (e *partialError) Unwrap() []error { return []error{errPartial, errTold} }

// toldError is an error that the result on standard output tells already.
type toldError struct{ error }

func (e toldError) Unwrap() []error { return []error{e.error, errTold} }

// exitsOf notes the exit codes of a command beside 0, 1, 2 and 130.
func exitsOf(cmd *cobra.Command, codes ...int) *cobra.Command {
	all := append([]int{exitDone, exitFailed, exitUsage, exitInterrupted}, codes...)
	slices.Sort(all)
	text := make([]string, len(all))
	for i, c := range all {
		text[i] = strconv.Itoa(c)
	}
	cmd.Annotations = map[string]string{"exits": strings.Join(text, ", ")}
	return cmd
}

// describeExits ends the help of each command with its exit codes.
func describeExits(cmd *cobra.Command) {
	if codes := cmd.Annotations["exits"]; codes != "" {
		cmd.Long += "\n\nExit codes: " + codes + "; see \"firn help exit-codes\"."
	}
	for _, c := range cmd.Commands() {
		describeExits(c)
	}
}

// exitsOpen are the codes of every command that opens a repository.
var exitsOpen = []int{exitNone, exitBusy, exitKey, exitDamaged, exitRole, exitVersion, exitStorage, exitUnreachable}
