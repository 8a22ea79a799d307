// Command firn keeps versions of files in an encrypted, deduplicated repository. It
// turns a command line into options, calls package repo or snapshot once, and prints
// what they return; what a backup is, is decided there.
//
// Every command has a file of its own. Beside them: app.go (streams, flags that all
// commands share), exit.go (the table from errors to exit codes), config.go (profiles),
// secret.go and recipient.go (keys), open.go (from a name to an open repository),
// sources.go (lists of paths, patterns, streams), console.go and progress.go (what a person
// sees meanwhile), human.go (sizes and times), help.go (topics). The server is larger:
// serve_run.go puts it together, the other serve_*.go are its parts.
//
// Invariants, which tests name by number:
//
//  1. Results go to standard output, messages to standard error. With --json, standard
//     output holds JSON and nothing else.
//  2. Secrets come from files, commands and terminals, never from arguments or the
//     environment, and are in no message but the one that shows a new key pair, once.
//  3. Exit code 0 means that everything asked for was done and is durable. Every other
//     code is in the table of exit.go.
//  4. Bytes that came from outside reach a terminal only with control characters
//     made visible.
package main

import (
	"errors"
	"os"
)

func main() { os.Exit(run(os.Args[1:])) }

// run carries out one command line and returns the exit code.
func run(args []string) int {
	a := newApp()
	ctx, stop := a.interruptible()
	defer stop()
	root := a.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var u *usage
	if errors.As(err, &u) {
		a.flags.json = a.flags.json || wantsJSON(args)
		if u.cmd == nil {
			u.cmd = cmd
		}
	}
	if ferr := a.flush(); err == nil {
		err = ferr
	}
	return a.report(ctx, reason(ctx, err))
}
