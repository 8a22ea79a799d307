package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// measureCommand as the first argument makes this program the process that starts and
// measures one command. It exists for the peak memory: the kernel counts the memory of
// the process that forks as a first peak of its child, and this one is small, however
// much the benchmark itself holds.
const measureCommand = "measure"

// maxTail is how much of the output of a command an error shows, in bytes.
const maxTail = 2 << 10

// usage is what a command took, with all its children.
type usage struct {
	Wall float64 `json:"wall_seconds"`
	CPU  float64 `json:"cpu_seconds"` // user and system
	Peak int64   `json:"peak_bytes"`  // the largest resident process
	Exit int     `json:"exit"`
}

// command is one command to measure.
type command struct {
	args []string // the program first
	env  []string // all of it
	dir  string
}

// measurer runs commands through this program's own binary.
type measurer struct {
	self    string
	file    string // where the measuring process leaves its usage
	timeout time.Duration
}

// run runs a command to its end. A command that exits with anything but 0, or is not
// done in time, is an error with the end of what it printed.
func (m *measurer) run(ctx context.Context, c command) (usage, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	if err := os.RemoveAll(m.file); err != nil {
		return usage{}, err
	}
	var out tail
	cmd := exec.CommandContext(ctx, m.self, append([]string{measureCommand, m.file}, c.args...)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, c.dir, &out, &out
	ownGroup(cmd)
	name := filepath.Base(c.args[0])
	if err := cmd.Run(); err != nil {
		return usage{}, errors.Join(fmt.Errorf("%s: %w", name, err), ctx.Err())
	}
	data, err := os.ReadFile(m.file)
	if err != nil {
		return usage{}, err
	}
	var u usage
	if err := json.Unmarshal(data, &u); err != nil {
		return usage{}, fmt.Errorf("usage of %s: %w", name, err)
	}
	if u.Exit != 0 {
		return usage{}, fmt.Errorf("%s: exit code %d: %s", name, u.Exit, out.String())
	}
	return u, nil
}

// measureMain is the measuring process: args are the file for the usage, then the
// command. It returns its exit code, which is 0 whatever the command's is.
func measureMain(args []string) int {
	err := func() error {
		if len(args) < 2 {
			return errors.New("want a file and a command")
		}
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		start := time.Now()
		err := cmd.Run()
		wall := time.Since(start)
		if cmd.ProcessState == nil {
			return err
		}
		state := cmd.ProcessState
		data, err := json.Marshal(usage{
			Wall: wall.Seconds(),
			CPU:  (state.UserTime() + state.SystemTime()).Seconds(),
			Peak: peakBytes(state),
			Exit: state.ExitCode(),
		})
		if err != nil {
			return err
		}
		return os.WriteFile(args[0], data, 0o644)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "firnbench measure:", err)
		return 1
	}
	return 0
}

// tail keeps the last bytes written to it.
type tail struct{ buf bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	t.buf.Next(max(0, t.buf.Len()-maxTail))
	return len(p), nil
}

// String returns what was kept, on one line.
func (t *tail) String() string {
	return strings.Join(strings.Fields(t.buf.String()), " ")
}
