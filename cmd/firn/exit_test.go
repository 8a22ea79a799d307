package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
)

// Invariant 3: the table from errors to exit codes, which scripts rely on.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{fs.ErrPermission, 1},
		{repo.ErrNotFound, 1},
		{repo.ErrAmbiguous, 1},
		{index.ErrDamaged, 1}, // the cache, not the repository
		{usageError("wrong"), 2},
		{usageOf(&cobra.Command{Use: "x"}, errors.New("wrong")), 2},
		{&partialError{"3 files"}, 3},
		{repo.ErrNoRepository, 10},
		{repo.ErrBusy, 11},
		{index.ErrBusy, 11},
		{repo.ErrWrongKey, 12},
		{repo.ErrDamaged, 13},
		{repo.ErrRolledBack, 13},
		{repo.ErrRole, 14},
		{repo.ErrExists, 15},
		{errFileExists, 15},
		{repo.ErrVersion, 16},
		{index.ErrVersion, 16},
		{fmt.Errorf("%w: %w", repo.ErrDamaged, repo.ErrVersion), 16},
		{errInterrupted, 130},
		{context.Canceled, 1}, // without a signal it is nobody's wish
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("some context: %w", err)
		}
		if got := exitCode(t.Context(), err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
		if got := exitCode(t.Context(), errors.Join(nil, err)); got != c.want {
			t.Errorf("%v joined: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

func TestSignalDecidesExitCode(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	if got := exitCode(ctx, fmt.Errorf("read: %w", context.Canceled)); got != 130 {
		t.Errorf("cancelled after a signal: exit code %d, want 130", got)
	}
	if got := exitCode(ctx, repo.ErrDamaged); got != 13 {
		t.Errorf("damaged after a signal: exit code %d, want 13", got)
	}
	if got := exitCode(ctx, nil); got != 0 {
		t.Errorf("done in spite of a signal: exit code %d, want 0", got)
	}
}

func TestEveryExitCodeIsDocumented(t *testing.T) {
	topic := exitTopic()
	for _, row := range exits {
		if !strings.Contains(topic, fmt.Sprintf("%3d  %s", row.code, row.meaning)) {
			t.Errorf("help exit-codes lacks %d", row.code)
		}
	}
}

// Each command has a help text, two examples and its exit codes.
func TestEveryCommandIsDocumented(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			visit(c)
		}
		if !cmd.Runnable() || !cmd.HasParent() || strings.HasPrefix(cmd.CommandPath(), "firn completion") {
			return
		}
		if len(cmd.Long) < 60 || cmd.Short == "" {
			t.Errorf("%s has no help text", cmd.CommandPath())
		}
		if n := strings.Count(cmd.Example, "firn "); n < 2 {
			t.Errorf("%s has %d examples", cmd.CommandPath(), n)
		}
		if !cmd.HasSubCommands() && !strings.Contains(cmd.Long, "Exit codes: 0, 1, 2") {
			t.Errorf("%s does not name its exit codes", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Long, "\n") {
			if len([]rune(line)) > 100 {
				t.Errorf("%s: a line of the help is too long: %s", cmd.CommandPath(), line)
			}
		}
	}
	visit(newApp().rootCommand())
}

func TestJoinedErrorsGetALineEach(t *testing.T) {
	err := errors.Join(errors.New("first"), errors.New("second\nwith a line break"))
	if got := explain(err); len(got) != 2 || got[0] != "first" {
		t.Errorf("lines %q", got)
	}
	if got := explain(fmt.Errorf("at %w", repo.ErrNoRepository)); len(got) != 2 {
		t.Errorf("no advice: %q", got)
	}
	if got := explain(fmt.Errorf("at %w; do this", repo.ErrNoRepository)); len(got) != 1 {
		t.Errorf("advice twice: %q", got)
	}
}
