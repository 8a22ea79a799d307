package tier_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/firnstore/firn/tier"
)

// childDir, when set, makes this test binary do one thing in the store there
// and end. childStep is what it does.
const childDir, childStep = "FIRN_TEST_TIER_DIR", "FIRN_TEST_TIER_STEP"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childStep)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childMethods are the names of methods in childStep.
var childMethods = map[string]tier.Method{"linked": tier.Linked, "anonymous": tier.Anonymous, "renamed": tier.Renamed}

func child(dir, step string) error {
	switch step {
	case "full":
		return childFullDisk(dir)
	case "read-only":
		return childReadOnly(dir)
	}
	method, last, _ := strings.Cut(step, ":")
	d, err := tier.OpenDir(dir, tier.DirOptions{})
	if err != nil {
		return err
	}
	if _, err := d.Force(childMethods[method]); err != nil {
		return err
	}
	d.SetTrace(func(step string) {
		if step == last {
			syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	return tier.Put(context.Background(), d, "folder/file", []byte("whole"))
}

func childCommand(t *testing.T, dir, step string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childStep+"="+step)
	return cmd
}

// A process that dies after any step of a Commit leaves a whole file or none
// (invariants 2 and 4).
func TestDirWriterKilled(t *testing.T) {
	visible := map[string]bool{"make folder folder": false, "create": false, "sync file": false, "name": true, "sync folder folder": true}
	for _, m := range methods(t) {
		for step, want := range visible {
			d := newDir(t, tier.DirOptions{})
			out, err := childCommand(t, d.String(), m.name+":"+step).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%s: child to be killed after %q: %v\n%s", m.name, step, err, out)
			}
			wantNoTemps(t, d.String())
			got, err := tier.Read(t.Context(), d, "folder/file", 100)
			if want && string(got) != "whole" || !want && !errors.Is(err, tier.ErrNotExist) {
				t.Errorf("%s: killed after %q: Read = %q, %v; want a file: %t", m.name, step, got, err, want)
			}
			err = tier.Put(t.Context(), d, "folder/file", []byte("again"))
			if want != errors.Is(err, tier.ErrExist) || !want && err != nil {
				t.Errorf("%s: killed after %q: Put again: %v", m.name, step, err)
			}
		}
	}
}

// runPrivate runs the child where it may mount things that nobody else sees.
func runPrivate(t *testing.T, step string) {
	t.Helper()
	cmd := childCommand(t, t.TempDir(), step)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Skipf("no private namespace here: %v", err)
	}
	if strings.Contains(string(out), "mount:") {
		t.Skipf("no private mounts here: %s", out)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDirFullDisk(t *testing.T) { runPrivate(t, "full") }

// childFullDisk fills a file system of 1 MiB with each method.
func childFullDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	for name, method := range childMethods {
		d, err := tier.OpenDir(dir, tier.DirOptions{})
		if err != nil {
			return err
		}
		if _, err := d.Force(method); err != nil {
			return err
		}
		w, err := d.Create(context.Background(), "folder/"+name)
		if err != nil {
			return err
		}
		for err == nil {
			_, err = w.Write(make([]byte, 64<<10))
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), filepath.Join(dir, "folder", name)) {
			return fmt.Errorf("%s: Write on a full disk: %w", name, err)
		}
		if again := w.Commit(); again == nil || again.Error() != err.Error() {
			return fmt.Errorf("%s: Commit after %w: %w", name, err, again)
		}
		// The failed writer gave its room back.
		if err := tier.Put(context.Background(), d, "folder/"+name, make([]byte, 200<<10)); err != nil {
			return fmt.Errorf("%s: Put after a failed writer: %w", name, err)
		}
		if found, err := os.ReadDir(filepath.Join(dir, tier.TempFolder)); err != nil || len(found) != 0 {
			return fmt.Errorf("%s: temporaries %v, %w", name, found, err)
		}
	}
	return nil
}

func TestDirReadOnly(t *testing.T) { runPrivate(t, "read-only") }

// childReadOnly opens a store that can only be read.
func childReadOnly(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	d, err := tier.OpenDir(dir, tier.DirOptions{})
	if err != nil {
		return err
	}
	if err := tier.Put(context.Background(), d, "file", []byte("data")); err != nil {
		return err
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	for range 2 { // with the method known, and when it is to be found out
		if _, err = d.Create(context.Background(), "new"); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), filepath.Join(dir, "new")) {
			return fmt.Errorf("Create: %w", err)
		}
		if err := d.Delete(context.Background(), "file"); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), filepath.Join(dir, "file")) {
			return fmt.Errorf("Delete: %w", err)
		}
		if got, err := tier.Read(context.Background(), d, "file", 10); string(got) != "data" {
			return fmt.Errorf("Read = %q, %w", got, err)
		}
		if d, err = tier.OpenDir(dir, tier.DirOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// A folder without write permission is a clear error, too.
func TestDirNoPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("nothing is forbidden to root")
	}
	d := newDir(t, tier.DirOptions{})
	if err := os.Chmod(d.String(), 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(d.String(), 0o700)
	_, err := d.Create(t.Context(), "new")
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), filepath.Join(d.String(), "new")) {
		t.Errorf("Create: %v", err)
	}
}

// This file system has what the best method needs, or the tests prove little.
func TestDirChoosesAnonymous(t *testing.T) {
	d := newDir(t, tier.DirOptions{})
	chosen, err := d.Force(tier.Anonymous)
	if err != nil {
		t.Fatal(err)
	}
	if chosen != tier.Anonymous {
		t.Skipf("chose method %d", chosen)
	}
	w, err := d.Create(t.Context(), "file")
	if err != nil {
		t.Fatal(err)
	}
	wantTemps(t, d, 0)
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
}
