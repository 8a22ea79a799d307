package damage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// binaryEvery is how many faults pass before one is also put before the real binary.
const binaryEvery = 400

// exits are the codes with which firn may refuse a damaged repository: no repository, a wrong
// key (the slot is damaged), damage, a newer version (the bit was in the version), or another
// error that is named.
var exits = []int{1, 10, 12, 13, 16}

// binary puts a damaged repository on disk before the real binary, without an index: it
// detects what was detected in this process, and what it restores is right or named. The
// answer is what is wrong, "" when nothing is.
func (r *run) binary(ctx context.Context, f *fault, detected bool, dir string) (string, error) {
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	damaged := f.apply(r.fix.files)
	damaged["key.txt"] = []byte(r.fix.id.String() + "\n")
	for name, b := range damaged {
		at := filepath.Join(dir, "repo", name)
		if name == "key.txt" {
			at = filepath.Join(dir, name)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, b, 0o600)); err != nil {
			return "", err
		}
	}
	code, out, err := r.firn(ctx, dir, "check", "--read-data")
	switch {
	case err != nil:
		return "", err
	case bytes.Contains(out, []byte("goroutine 1 [")):
		return "panic: " + string(out), nil
	case detected != (code != 0) || code != 0 && !slices.Contains(exits, code):
		return fmt.Sprintf("firn check: exit code %d, detected here: %v: %s", code, detected, out), nil
	}
	for id, want := range r.fix.truth {
		code, out, err := r.firn(ctx, dir, "restore", id, "--target", filepath.Join(dir, "target"))
		if err != nil {
			return "", err
		}
		if bytes.Contains(out, []byte("goroutine 1 [")) {
			return "panic: " + string(out), nil
		}
		if code != 0 {
			continue // it says so, and names each file
		}
		for p, data := range want {
			at := filepath.Join(dir, "target", filepath.FromSlash(p))
			fi, err := os.Lstat(at)
			if err != nil {
				return fmt.Sprintf("firn restore: %s is missing without a word", p), nil
			}
			if !fi.Mode().IsRegular() {
				continue
			}
			if got, err := os.ReadFile(at); err != nil || string(got) != data {
				return fmt.Sprintf("wrong: firn restore: %s has other bytes, %v", p, err), nil
			}
		}
	}
	return "", os.RemoveAll(dir)
}

func (r *run) firn(ctx context.Context, dir string, args ...string) (code int, out []byte, err error) {
	cmd := exec.CommandContext(ctx, r.opt.Firn, args...)
	cmd.Env = []string{"HOME=" + dir, "FIRN_REPOSITORY=" + filepath.Join(dir, "repo"), "FIRN_IDENTITY_FILE=" + filepath.Join(dir, "key.txt")}
	out, err = cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, nil, err
	}
	return cmd.ProcessState.ExitCode(), out, nil
}
