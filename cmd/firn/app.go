package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/tier/remote"
)

// app is one run of the program: its streams and the flags that all commands share.
type app struct {
	in      *os.File
	stdout  *os.File
	console *console // standard error

	mu  sync.Mutex    // guards out while a command works in several goroutines
	out *bufio.Writer // on stdout; its first error stays

	stdinFor string // the flag that reads standard input; at most one may

	bucket  *remote.Store           // of the repository, when it is in one
	cancel  context.CancelCauseFunc // ends the context of the command
	serving bool                    // a failing storage ends requests, not the command

	flags sharedFlags
}

// sharedFlags are the flags of every command.
type sharedFlags struct {
	repository        string
	config, profile   string
	passphraseFile    string
	passphraseCommand string
	identityFile      string
	json, quiet       bool
	wait              time.Duration // for other processes to let go of the index
	storage           storage
	requests          bool
}

func newApp() *app {
	return &app{in: os.Stdin, stdout: os.Stdout, out: bufio.NewWriterSize(os.Stdout, 64<<10), console: newConsole(os.Stderr)}
}

// rootCommand builds the tree of commands.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "firn",
		Short: "Encrypted, deduplicated backups that anyone with age and zstd can read back",
		Long: `firn keeps snapshots of directories in a repository: encrypted with age, compressed
with zstd, and stored once however often the same data appears.

The repository is named by -r, by FIRN_REPOSITORY, or by a profile of the
configuration file (firn help config). It is opened with a passphrase or an age
identity (firn help keys). Sizes are given in KiB, MiB, GiB and TiB: powers of 1024.`,
		Example: `  firn init -r /backup/firn
  firn backup -r /backup/firn /home /etc`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageOf(cmd, err) })
	root.SetOut(a.out)
	root.SetErr(a.console)
	a.sharedFlags(root)
	root.AddCommand(
		a.initCommand(), a.backupCommand(), a.snapshotsCommand(), a.lsCommand(), a.catCommand(),
		a.restoreCommand(), a.checkCommand(), a.scrubCommand(), a.repairCommand(), a.parityCommand(), a.forgetCommand(), a.pruneCommand(), a.undeleteCommand(),
		a.indexCommand(), a.keyCommand(), a.statsCommand(), a.serveCommand(), a.userCommand(), a.lifecycleCommand(),
		a.versionCommand(), a.manCommand(),
	)
	root.AddCommand(a.diffCommand(), a.bucketCommand(), a.snapshotCommand())
	root.AddCommand(helpTopics()...)
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultCompletionCmd()
	describeExits(root)
	return root
}

func (a *app) sharedFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVarP(&a.flags.repository, "repository", "r", "", "`DIR` or s3://BUCKET/PREFIX of the repository (or FIRN_REPOSITORY)")
	f.StringVar(&a.flags.passphraseFile, "passphrase-file", "", "`FILE` whose first line is the passphrase; - is standard input (or FIRN_PASSPHRASE_FILE)")
	f.StringVar(&a.flags.passphraseCommand, "passphrase-command", "", "shell `COMMAND` that prints the passphrase (or FIRN_PASSPHRASE_COMMAND)")
	f.StringVar(&a.flags.identityFile, "identity-file", "", "`FILE` of age identities, or an ssh private key (or FIRN_IDENTITY_FILE)")
	f.StringVar(&a.flags.config, "config", "", "configuration `FILE` (firn help config)")
	f.StringVar(&a.flags.profile, "profile", "", "profile `NAME` of the configuration file (or FIRN_PROFILE)")
	f.BoolVar(&a.flags.json, "json", false, "print results as JSON, and an error that ends the command as a last object with error and exit_code")
	f.DurationVar(&a.flags.wait, "wait", 0, "wait up to this `DURATION`, such as 30s or 5m, when too many processes use the repository from this machine")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "print neither progress nor summary")
	a.flags.storage.addFlags(f)
	f.BoolVar(&a.flags.requests, "requests", false, "say in the end what was asked of the storage of an s3:// repository")
	_ = f.MarkHidden("requests")
	for _, name := range []string{"passphrase-file", "identity-file", "config"} {
		_ = root.MarkPersistentFlagFilename(name)
	}
	_ = root.MarkPersistentFlagDirname("repository")
}

// errInterrupted is why a context ended when a person or the system asked firn to stop.
var errInterrupted = errors.New("interrupted")

// interruptible returns a context that ends with the first SIGINT or SIGTERM. The
// second ends the process at once: what was not durable by then is not there.
func (a *app) interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	a.cancel = cancel
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		a.console.message("interrupted; finishing what is under way, once more to exit at once")
		cancel(errInterrupted)
		if _, ok := <-signals; ok {
			a.console.clear()
			os.Exit(exitInterrupted)
		}
	}()
	return ctx, func() { signal.Stop(signals); close(signals); cancel(nil) }
}

// lostStorage is why a context ended when the storage went away.
type lostStorage struct{ error }

func (l lostStorage) Unwrap() error { return l.error }

// lose ends the command: the storage has gone, and what cannot be read now is not damaged.
func (a *app) lose(err error) {
	if !a.serving {
		a.cancel(lostStorage{err})
	}
}

// reason returns why a command failed that ended with err: when the storage went away, what
// failed because of it says less.
func reason(ctx context.Context, err error) error {
	var lost lostStorage
	if err != nil && errors.As(context.Cause(ctx), &lost) {
		return lost
	}
	return err
}

// print writes a result for people.
func (a *app) print(format string, args ...any) {
	fmt.Fprintf(a.out, format, args...) // the error stays in the writer; flush reports it
}

// result writes v as one line of JSON.
func (a *app) result(v any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	if err == nil {
		_, err = a.out.Write(visibleJSON(line.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// event writes v as one line of JSON that is seen at once.
func (a *app) event(v any) {
	_ = a.result(v) // the error stays in the writer
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.out.Flush()
}

// flush hands to the system what was written to standard output.
func (a *app) flush() error {
	if err := a.out.Flush(); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// takeStdin reserves standard input for a flag.
func (a *app) takeStdin(flag string) (io.Reader, error) {
	if a.stdinFor != "" && a.stdinFor != flag {
		return nil, usageError("%s and %s both want to read standard input", a.stdinFor, flag)
	}
	a.stdinFor = flag
	return a.in, nil
}

// report prints what went wrong and returns the exit code.
func (a *app) report(ctx context.Context, err error) int {
	a.console.clear()
	code := exitCode(ctx, err)
	var partial *partialError
	switch {
	case err == nil, code == exitInterrupted: // the signal was answered when it came
	case errors.As(err, &partial) && a.flags.quiet:
	default:
		for _, line := range explain(err) {
			a.console.message(line)
		}
	}
	if a.flags.json && !errors.Is(err, errTold) && err != nil {
		a.event(errorObjectOf(err, code))
	}
	return code
}

// errorObject is the last line of JSON of a command that ended without its result.
type errorObject struct {
	Error string `json:"error"`
	Code  int    `json:"exit_code"`
}

func errorObjectOf(err error, code int) errorObject {
	if code == exitInterrupted {
		err = errInterrupted // what failed because of it says less
	}
	return errorObject{err.Error(), code}
}

// wantsJSON reports whether arguments ask for JSON. It is for those that could not be
// parsed, so that also the error about them comes as JSON.
func wantsJSON(args []string) bool {
	for _, arg := range args {
		switch arg {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}
