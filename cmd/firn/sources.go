package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// maxList bounds a list of paths or patterns in bytes.
const maxList = 1 << 30

// sources are the paths to back up: those of the command line and those in lists.
func (a *app) sources(f *backupFlags, args []string) ([]string, error) {
	paths := args
	for _, list := range []struct {
		flag, end string
		files     []string
	}{{"--files-from", "\n", f.filesFrom}, {"--files-from0", "\x00", f.filesFrom0}} {
		for _, name := range list.files {
			found, err := a.readList(name, list.flag, list.end)
			if err != nil {
				return nil, err
			}
			paths = append(paths, found...)
		}
	}
	if len(paths) == 0 {
		return nil, usageError("nothing to back up: the lists of --files-from are empty")
	}
	return paths, nil
}

// readList reads paths that are each ended by end. Empty ones are passed over.
func (a *app) readList(name, flag, end string) (paths []string, err error) {
	var src io.Reader
	if name == "-" {
		if src, err = a.takeStdin(flag); err != nil {
			return nil, err
		}
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		defer f.Close()
		src = f
	}
	text, err := io.ReadAll(io.LimitReader(src, maxList+1))
	if err == nil && len(text) > maxList {
		err = fmt.Errorf("longer than %d bytes", maxList)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, name, err)
	}
	for p := range strings.SplitSeq(string(text), end) {
		if end == "\n" {
			p = strings.TrimSuffix(p, "\r")
		}
		if p != "" {
			paths = append(paths, p)
		}
	}
	return paths, nil
}

// matcher puts patterns and the lines of pattern files together; nil without any.
func matcher(patterns, files []string) (*snapshot.Matcher, error) {
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read patterns: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			patterns = append(patterns, strings.TrimRight(line, "\r\n"))
		}
	}
	if len(patterns) == 0 {
		return nil, nil
	}
	m, err := snapshot.NewMatcher(patterns)
	if err != nil {
		return nil, &usage{err: err}
	}
	return m, nil
}

// saveCommand saves what a command prints. Its exit status decides whether there is a
// snapshot.
func (a *app) saveCommand(ctx context.Context, r *repo.Repository, name string, argv []string, opt *snapshot.SaveOptions) (*snapshot.SaveResult, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = a.console.file
	cmd.Stdin = a.in
	if a.stdinFor != "" {
		cmd.Stdin = nil
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", argv[0], err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run %s: %w", argv[0], err)
	}
	waited := false
	wait := func() error {
		waited = true
		err := cmd.Wait()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("%s: %w: %w", argv[0], errCommand, err)
		}
		return nil
	}
	res, err := snapshot.SaveStream(ctx, r, name, &interruptibleReader{ctx: ctx, src: out}, *opt, wait)
	if !waited {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return res, err
}

// interruptibleReader stops waiting for input once ctx has ended. The read that was
// under way then goes on until its source or the process ends, into a buffer that nobody
// else uses.
type interruptibleReader struct {
	ctx context.Context
	src io.Reader
	buf []byte
}

func (r *interruptibleReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	type read struct {
		n   int
		err error
	}
	got := make(chan read, 1)
	if len(r.buf) < len(p) {
		r.buf = make([]byte, len(p))
	}
	buf := r.buf[:len(p)]
	go func() {
		n, err := r.src.Read(buf)
		got <- read{n, err}
	}()
	select {
	case <-r.ctx.Done():
		r.buf = nil
		return 0, context.Cause(r.ctx)
	case g := <-got:
		return copy(p, buf[:g.n]), g.err
	}
}
