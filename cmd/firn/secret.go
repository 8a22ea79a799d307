package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"filippo.io/age"
	"golang.org/x/term"
)

var (
	// newWorkFactor is log2 of the work that one guess of a new passphrase costs: 64 MiB of
	// memory and about 0.2 s, as much as restic asks for. Tests lower it.
	newWorkFactor = 16
	// maxWorkFactor bounds what a key slot may make this machine do: 16 times that.
	maxWorkFactor = 20
)

// maxSecret bounds the length of a passphrase and of an identity file in bytes.
const maxSecret = 64 << 10

// identities returns what opens the repository of p: a passphrase or the identities of
// a file. It asks for a passphrase when p names neither.
func (a *app) identities(ctx context.Context, p *profile) ([]age.Identity, error) {
	if p.IdentityFile != "" {
		return a.identityFile(ctx, p.IdentityFile)
	}
	pass, err := a.passphrase(ctx, p, false)
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(pass)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	return []age.Identity{id}, nil
}

// passphrase returns the passphrase that p names, or asks for it; twice when it is new.
func (a *app) passphrase(ctx context.Context, p *profile, isNew bool) (string, error) {
	var pass string
	var err error
	switch {
	case p.PassphraseFile != "":
		pass, err = a.passphraseFile(p.PassphraseFile, "--passphrase-file")
	case p.PassphraseCommand != "":
		pass, err = a.passphraseCommand(ctx, p.PassphraseCommand)
	default:
		pass, err = askPassphrase(ctx, "passphrase", isNew)
	}
	if err == nil && pass == "" {
		err = errors.New("the passphrase is empty; nothing was done")
	}
	return pass, err
}

// passphraseFile returns the first line of a file.
func (a *app) passphraseFile(name, flag string) (string, error) {
	var src io.Reader
	if name == "-" {
		in, err := a.takeStdin(flag)
		if err != nil {
			return "", err
		}
		src = in
	} else {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("read passphrase: %w", err)
		}
		defer f.Close()
		src = f
	}
	pass, err := firstLine(src)
	if err != nil {
		return "", fmt.Errorf("read passphrase from %s: %w", name, err)
	}
	return pass, nil
}

func firstLine(src io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(src, maxSecret+1)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	if len(line) > maxSecret {
		return "", fmt.Errorf("the first line is longer than %d bytes", maxSecret)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

// passphraseCommand runs a command of the shell. The command itself stays out of
// errors, since it may hold what it should only print.
func (a *app) passphraseCommand(ctx context.Context, command string) (string, error) {
	shell := []string{"sh", "-c", command}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/C", command}
	}
	cmd := exec.CommandContext(ctx, shell[0], shell[1:]...)
	cmd.Stderr = a.console.file
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("passphrase command: %w", err)
	}
	pass, err := firstLine(bytes.NewReader(out))
	if err != nil {
		return "", fmt.Errorf("output of the passphrase command: %w", err)
	}
	return pass, nil
}

// askPassphrase asks at the terminal, without echo.
func askPassphrase(ctx context.Context, what string, twice bool) (string, error) {
	tty, err := openTerminal()
	if err != nil {
		return "", usageError("no %s: there is no terminal to ask at; give --passphrase-file, --passphrase-command or --identity-file", what)
	}
	defer tty.Close()
	pass, err := askOnce(ctx, tty, what)
	if err != nil || !twice || pass == "" {
		return pass, err
	}
	again, err := askOnce(ctx, tty, "the same "+what+" again")
	if err == nil && again != pass {
		err = errors.New("the two passphrases differ; nothing was done")
	}
	return pass, err
}

// askOnce reads one line. A signal while it waits restores the terminal.
func askOnce(ctx context.Context, tty *os.File, what string) (string, error) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask for %s: %w", what, err)
	}
	screen := tty
	if runtime.GOOS == "windows" { // there the terminal is two files
		screen = os.Stderr
	}
	fmt.Fprintf(screen, "enter %s: ", visible(what))
	type answer struct {
		line []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() { // outlives the function only when the process is about to end
		line, err := term.ReadPassword(fd)
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		err := errors.Join(context.Cause(ctx), term.Restore(fd, before))
		fmt.Fprintln(screen)
		return "", err
	case r := <-got:
		fmt.Fprintln(screen)
		if r.err != nil {
			return "", fmt.Errorf("ask for %s: %w", what, r.err)
		}
		return string(r.line), nil
	}
}

// openTerminal opens the terminal itself, since standard input may hold data.
func openTerminal() (*os.File, error) {
	name := "/dev/tty"
	if runtime.GOOS == "windows" {
		name = "CONIN$"
	}
	return os.OpenFile(name, os.O_RDWR, 0)
}
