package kill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// disk is a small file system of our own: ext4 in an image, or tmpfs where only that can
// be mounted.
type disk struct {
	image string // "" for tmpfs
	path  string // where it is mounted
	with  string // mount options
}

const diskSize = 48 << 20

// ownMountsVariable tells a process that it was started by InOwnMounts.
const ownMountsVariable = "FIRNTORTURE_OWN_MOUNTS"

// InOwnMounts runs this program again in a mount namespace of its own, where that is
// allowed, so that what it mounts is gone when it is, however it ends. ok is false when
// this is that process already, or there can be none.
func InOwnMounts() (code int, ok bool) {
	if os.Getenv(ownMountsVariable) != "" {
		return 0, false
	}
	self, err := os.Executable()
	if err != nil {
		return 0, false
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), ownMountsVariable+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGTERM}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return 0, false
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, true
	}
	return cmd.ProcessState.ExitCode(), true
}

// errNoDisk: this machine does not let us mount one.
var errNoDisk = errors.New("no file system can be mounted here")

// newDisk makes a file system below dir and mounts it. The error is errNoDisk when there can
// be none.
func newDisk(dir string, writeback bool) (*disk, error) {
	if os.Getenv(ownMountsVariable) == "" {
		return nil, fmt.Errorf("%w: there is no mount namespace of our own", errNoDisk)
	}
	d := &disk{image: filepath.Join(dir, "image"), path: filepath.Join(dir, "disk"), with: "loop"}
	if writeback {
		d.with += ",data=writeback" // so files may have their size before their bytes
	}
	if err := os.Mkdir(d.path, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(d.image, diskSize); err != nil {
		return nil, err
	}
	out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", d.image).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: mkfs.ext4: %v: %s", errNoDisk, err, bytes.TrimSpace(out))
	}
	if err := d.attach(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoDisk, err)
	}
	return d, nil
}

// newMemoryDisk mounts a tmpfs, which has no power to lose.
func newMemoryDisk(dir string) (*disk, error) {
	if os.Getenv(ownMountsVariable) == "" {
		return nil, fmt.Errorf("%w: there is no mount namespace of our own", errNoDisk)
	}
	d := &disk{path: filepath.Join(dir, "memory-disk")}
	if err := os.Mkdir(d.path, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", d.path, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		return nil, fmt.Errorf("%w: tmpfs: %w", errNoDisk, err)
	}
	return d, nil
}

func (d *disk) attach() error {
	if out, err := exec.Command("mount", "-t", "ext4", "-o", d.with, d.image, d.path).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %v: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// detach unmounts, waiting a little for what still holds it.
func (d *disk) detach() error {
	var err error
	for range 100 {
		if err = unix.Unmount(d.path, 0); !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("unmount %s: %w", d.path, err)
}

// cut ends the file system at once, as a power failure does: what was not synced is gone, the
// journal in memory, too, and every call fails until it is mounted again.
func (d *disk) cut() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	const shutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH of Linux
	return unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush)
}

func (d *disk) filler() string { return filepath.Join(d.path, "filler") }

// free space in bytes.
func (d *disk) free() (int64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(d.path, &st)
	return int64(st.Bavail) * st.Bsize, err
}

// fill leaves about so many bytes free.
func (d *disk) fill(leave int64) error {
	free, err := d.free()
	size := free - leave
	if err != nil || size <= 0 {
		return err
	}
	f, err := os.Create(d.filler())
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	return errors.Join(ignore(err, unix.ENOSPC), f.Close())
}

// drain gives the space back.
func (d *disk) drain() error { return ignore(os.Remove(d.filler()), os.ErrNotExist) }

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// roomToLeave is up to a megabyte, small amounts as often as large ones.
func (w *world) roomToLeave() int64 {
	if w.rng.IntN(6) == 0 {
		return 0
	}
	return int64(math.Exp2(12 + 8*w.rng.Float64()))
}

// onDisk runs worlds on disks of their own until the time is up; many blows end each.
func onDisk(ctx context.Context, opt Options, mount func(dir string, n int) (*disk, error), cycle func(context.Context, *world, *disk) error) (*Score, error) {
	score := &Score{}
	for n := 0; !opt.over(ctx, score) && len(score.Failures) < maxFailures; n++ {
		dir, err := os.MkdirTemp(opt.Dir, "disk-")
		if err != nil {
			return score, err
		}
		d, err := mount(dir, n)
		if errors.Is(err, errNoDisk) {
			score.Skipped = err.Error()
			return score, os.RemoveAll(dir)
		}
		if err != nil {
			return score, err
		}
		w, err := newWorld(ctx, &opt, score, n, filepath.Join(d.path, "repo"))
		if w == nil {
			return score, err
		}
		for begun := score.Total(); err == nil && !w.worn && !opt.over(ctx, score) && score.Total() < begun+worldBlows/2; {
			err = cycle(ctx, w, d)
		}
		if err == nil && ctx.Err() == nil {
			err = w.wholly(ctx)
		}
		good := err == nil || !isBroken(err)
		if err := errors.Join(w.finish(ctx, err), d.detach()); err != nil {
			return score, err
		}
		if good {
			if err := os.RemoveAll(dir); err != nil {
				return score, err
			}
		}
	}
	return score, nil
}
