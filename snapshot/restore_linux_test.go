package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/firnstore/firn/tier"
)

func asRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// acl is user::rwx, user:1234:r-x, group::r-x, mask::rwx, other::--- as the kernel
// encodes it.
var acl = []byte("\x02\x00\x00\x00" +
	"\x01\x00\x07\x00\xff\xff\xff\xff" +
	"\x02\x00\x05\x00\xd2\x04\x00\x00" +
	"\x04\x00\x05\x00\xff\xff\xff\xff" +
	"\x10\x00\x07\x00\xff\xff\xff\xff" +
	"\x20\x00\x00\x00\xff\xff\xff\xff")

// capability is cap_net_raw+ep, revision 2.
var capability = []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")

func setXattr(t testing.TB, path, name string, value []byte) {
	t.Helper()
	err := unix.Lsetxattr(path, name, value, 0)
	if errors.Is(err, unix.ENOTSUP) {
		t.Skipf("%s is not supported in %s", name, filepath.Dir(path))
	}
	must(t, err)
}

// Invariant 1, for extended attributes and access control lists.
func TestRestoreXattrs(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	put(t, src+"/file", noise(1, 1000))
	put(t, src+"/ro", noise(2, 1000))
	put(t, src+"/plain", nil)
	put(t, src+"/dir/inherits", nil)
	setXattr(t, src+"/file", "user.odd \xff name", []byte("value\x00with zero"))
	setXattr(t, src+"/file", "user.empty", nil)
	setXattr(t, src+"/file", "system.posix_acl_access", acl)
	setXattr(t, src+"/ro", "user.on a read-only file", []byte("1"))
	must(t, os.Chmod(src+"/ro", 0o400))
	setXattr(t, src+"/dir", "system.posix_acl_default", acl)
	setXattr(t, src+"/dir", "user.dir", []byte("d"))
	put(t, src+"/dir/inherited", nil)
	if os.Geteuid() == 0 {
		must(t, os.Symlink("file", src+"/link"))
		setXattr(t, src+"/link", "trusted.link", []byte("l"))
		setXattr(t, src+"/file", "trusted.file", []byte("t"))
		setXattr(t, src+"/plain", "security.capability", capability)
		must(t, os.Lchown(src+"/plain", 1234, 1234)) // takes the capability away
		setXattr(t, src+"/plain", "security.capability", capability)
		must(t, unix.Mkfifo(src+"/fifo", 0o644))
		setXattr(t, src+"/fifo", "trusted.fifo", []byte("f"))
	}
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	want := describe(t, src)
	target := t.TempDir()
	// A default list of the target must not leak into what has none.
	setXattr(t, target, "system.posix_acl_default", acl)
	restoring(t, r, s, RestoreOptions{Target: target})
	same(t, want, describe(t, below(target, s)))
	// Over other attributes.
	setXattr(t, below(target, s)+"/file", "user.more", []byte("x"))
	setXattr(t, below(target, s)+"/file", "user.empty", []byte("not"))
	setXattr(t, below(target, s)+"/dir/inherits", "system.posix_acl_access", acl)
	must(t, unix.Removexattr(below(target, s)+"/dir", "user.dir"))
	restoring(t, r, s, RestoreOptions{Target: target})
	same(t, want, describe(t, below(target, s)))
}

// Invariant 1, for what only root can make.
func TestRestoreOwnersAndDevices(t *testing.T) {
	asRoot(t)
	src := filepath.Join(t.TempDir(), "src")
	put(t, src+"/setuid", noise(1, 100))
	put(t, src+"/dir/file", nil)
	must(t, os.Symlink("x", src+"/link"))
	must(t, unix.Mknod(src+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(src+"/block", unix.S_IFBLK|0o600, int(unix.Mkdev(259, 70000))))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	t.Chdir(src)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: "socket"}))
	for i, name := range []string{"setuid", "dir", "dir/file", "link", "null"} {
		must(t, os.Lchown(src+"/"+name, 40_000+i, 50_000+i))
	}
	must(t, unix.Chmod(src+"/setuid", 0o6711))
	must(t, unix.Chmod(src+"/dir", 0o2750))
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	want := describe(t, src)
	delete(want, "socket")
	target := t.TempDir()
	res := restoring(t, r, s, RestoreOptions{Target: target})
	setTime(t, below(target, s), describedTime(t, src))
	same(t, want, describe(t, below(target, s)))
	if res.Sockets != 1 || res.Other != 2 {
		t.Errorf("%+v", res)
	}
	// Without owners, setuid programs do not change hands.
	target = t.TempDir()
	restoring(t, r, s, RestoreOptions{Target: target, NoOwner: true})
	var st unix.Stat_t
	must(t, unix.Stat(below(target, s)+"/setuid", &st))
	if st.Uid != 0 || st.Mode&0o7777 != 0o711 {
		t.Errorf("without owners: uid %d, mode %o", st.Uid, st.Mode)
	}
}

func describedTime(t testing.TB, path string) int64 {
	fi, err := os.Stat(path)
	must(t, err)
	return fi.ModTime().UnixNano()
}

// Names of owners are looked up, and numbers used where there is no such name.
func TestRestoreOwnersByName(t *testing.T) {
	asRoot(t)
	if userNumber("daemon") < 0 || groupNumber("daemon") < 0 {
		t.Skip("no user daemon")
	}
	r := restoreRepo(t, tier.NewMemory())
	known, unknown := fileNode("known", "x"), fileNode("unknown", "x")
	known.UID, known.GID, known.User, known.Group = 4711, 4712, "daemon", "daemon"
	unknown.UID, unknown.GID, unknown.User, unknown.Group = 4711, 4712, "no such user", "no such group"
	s := forge(t, r, known, unknown)
	for _, numeric := range []bool{false, true} {
		target := t.TempDir()
		restoring(t, r, s, RestoreOptions{Target: target, NumericOwner: numeric})
		for _, name := range []string{"known", "unknown"} {
			var st unix.Stat_t
			must(t, unix.Stat(target+"/"+name, &st))
			uid, gid := 4711, 4712
			if name == "known" && !numeric {
				uid, gid = userNumber("daemon"), groupNumber("daemon")
			}
			if int(st.Uid) != uid || int(st.Gid) != gid {
				t.Errorf("%s, numeric %v: %d:%d, want %d:%d", name, numeric, st.Uid, st.Gid, uid, gid)
			}
		}
	}
}

func blocks(t testing.TB, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return st.Blocks * 512
}

// dataIn lists where the data of a file begins and ends.
func dataIn(t testing.TB, path string) (bounds []int64) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer func() { _ = f.Close() }()
	for off := int64(0); ; {
		start, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return bounds
		}
		must(t, err)
		end, err := unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
		must(t, err)
		bounds, off = append(bounds, start, end), end
	}
}

// Holes are made again, from a new file, over data, and not where they do not belong.
func TestRestoreSparse(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	put(t, src+"/dense", make([]byte, 4<<20))
	f, err := os.Create(src + "/sparse")
	must(t, err)
	for _, off := range []int64{0, 1 << 20, 20<<20 - 4096} {
		_, err := f.WriteAt(noise(byte(off), 8192)[:4096], off)
		must(t, err)
	}
	_, err = f.WriteAt(noise(1, 4096), 10<<20+8192) // a small hole before it
	must(t, err)
	_, err = f.WriteAt(noise(2, 4096), 10<<20)
	must(t, err)
	must(t, f.Truncate(60<<20))
	must(t, f.Sync())
	must(t, f.Close())
	if blocks(t, src+"/sparse") > 1<<20 {
		t.Skip("no holes here")
	}
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	want := describe(t, src)
	tests := []struct {
		mode          SparseMode
		sparse, dense [2]int64 // least and most bytes allocated
	}{
		{SparseAuto, [2]int64{4096, 64 << 10}, [2]int64{4 << 20, 5 << 20}},
		{SparseAlways, [2]int64{4096, 64 << 10}, [2]int64{0, 64 << 10}},
		{SparseNever, [2]int64{60 << 20, 61 << 20}, [2]int64{4 << 20, 5 << 20}},
	}
	for _, c := range tests {
		target := t.TempDir()
		check := func(how string) {
			t.Helper()
			same(t, want, describe(t, below(target, s)))
			for name, limit := range map[string][2]int64{"sparse": c.sparse, "dense": c.dense} {
				if got := blocks(t, below(target, s)+"/"+name); got < limit[0] || got > limit[1] {
					t.Errorf("%s, %s: %s has %d bytes allocated, want %d to %d", c.mode, how, name, got, limit[0], limit[1])
				}
			}
		}
		res := restoring(t, r, s, RestoreOptions{Target: target, Sparse: c.mode, Verify: true})
		check("new")
		if want, got := dataIn(t, src+"/sparse"), dataIn(t, below(target, s)+"/sparse"); c.mode == SparseAuto && !slices.Equal(got, want) {
			t.Errorf("data lies at %v, want %v", got, want)
		}
		if c.mode == SparseAuto && res.BytesWritten > 32<<10 {
			t.Errorf("%d bytes were written", res.BytesWritten)
		}
		put(t, below(target, s)+"/sparse", noise(3, 1<<20))
		must(t, os.Truncate(below(target, s)+"/sparse", 60<<20))
		put(t, below(target, s)+"/dense", noise(4, 4<<20))
		restoring(t, r, s, RestoreOptions{Target: target, Sparse: c.mode, Verify: true})
		if c.mode == SparseNever {
			c.sparse[0] = 1 << 20 // what was a hole stays one
		}
		check("in place")
	}
}

// mountTmpfs mounts a file system of a size, or skips the test.
func mountTmpfs(t testing.TB, options string) string {
	t.Helper()
	asRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// A full disk gives one error that names the path, and nothing unfinished looks done.
func TestRestoreToFullDisk(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	for i := range 40 {
		put(t, fmt.Sprintf("%s/%02d", src, i), noise(byte(i), 400_000))
	}
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	target := mountTmpfs(t, "size=4m")
	p := &problems{}
	res, err := Restore(t.Context(), r, s, RestoreOptions{Target: target, Problem: p.add, Verify: true})
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), below(target, s)) {
		t.Fatalf("restore to a full disk: %v", err)
	}
	if len(p.found) > 0 || res.Files == 0 || res.Files > 10 {
		t.Errorf("problems %v, %+v", p.found, res)
	}
	want, got := describe(t, src), describe(t, below(target, s))
	done := 0
	for name, line := range got {
		if want[name] == line {
			done++
			continue
		}
		if name != "." && timeOf(line) == timeOf(want[name]) {
			t.Errorf("%s looks done: %.80s", name, line)
		}
	}
	if done < int(res.Files) {
		t.Errorf("%d files are done, but %d are claimed to be", done, res.Files)
	}
	// With more space it goes on.
	must(t, unix.Mount("tmpfs", target, "tmpfs", unix.MS_REMOUNT, "size=40m"))
	restoring(t, r, s, RestoreOptions{Target: target, Verify: true})
	same(t, want, describe(t, below(target, s)))
}

func timeOf(line string) string {
	if f := strings.Fields(line); len(f) > 3 {
		return f[3]
	}
	return ""
}

// Files that do not fit for want of inodes end the restore as well.
func TestRestoreWithoutInodes(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	for i := range 50 {
		put(t, fmt.Sprintf("%s/%02d/f", src, i), nil)
	}
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	target := mountTmpfs(t, "size=4m,nr_inodes=30")
	_, err := Restore(t.Context(), r, s, RestoreOptions{Target: target})
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), target) {
		t.Errorf("restore without inodes: %v", err)
	}
}

func TestRestoreToReadOnlyFileSystem(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	s := forge(t, r, dirNode("d", fileNode("f", "x")))
	target := mountTmpfs(t, "size=1m")
	put(t, target+"/inner/there", nil)
	must(t, unix.Mount("tmpfs", target, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	for _, dir := range []string{target, target + "/inner", target + "/new/directory"} {
		_, err := Restore(t.Context(), r, s, RestoreOptions{Target: dir, Problem: func(p string, err error) { t.Errorf("%s: %v", p, err) }})
		if !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), target) {
			t.Errorf("restore to %s: %v", dir, err)
		}
	}
	restoring(t, r, s, RestoreOptions{Target: target, DryRun: true})
}

// Delete does not enter other file systems.
func TestRestoreDeletesOneFileSystem(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	s := forge(t, r, dirNode("d", fileNode("f", "x")))
	target := t.TempDir()
	restoring(t, r, s, RestoreOptions{Target: target})
	must(t, os.MkdirAll(target+"/d/extra/mnt", 0o755))
	asRoot(t)
	if err := unix.Mount("tmpfs", target+"/d/extra/mnt", "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target+"/d/extra/mnt", unix.MNT_DETACH) })
	put(t, target+"/d/extra/mnt/precious", nil)
	p := &problems{target: target}
	_, err := Restore(t.Context(), r, s, RestoreOptions{Target: target, Delete: true, Problem: p.add})
	must(t, err)
	if _, err := os.Lstat(target + "/d/extra/mnt/precious"); err != nil {
		t.Error(err)
	}
	if p.found["d/extra"] == nil {
		t.Errorf("problems %v", p.found)
	}
}

// Invariant 1, for links, FIFOs and devices with several names.
func TestRestoreLinksWhatIsNoFile(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	put(t, src+"/sub/file", []byte("x"))
	must(t, os.Symlink("sub/file", src+"/link"))
	must(t, unix.Mkfifo(src+"/fifo", 0o640))
	names := []string{"fifo", "link"}
	if os.Geteuid() == 0 {
		must(t, unix.Mknod(src+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		names = append(names, "null")
	}
	for _, name := range names {
		must(t, unix.Linkat(unix.AT_FDCWD, src+"/"+name, unix.AT_FDCWD, src+"/sub/"+name, 0))
		must(t, unix.Linkat(unix.AT_FDCWD, src+"/"+name, unix.AT_FDCWD, src+"/z"+name, 0))
	}
	r := restoreRepo(t, tier.NewMemory())
	s := saved(t, r, src)
	want := describe(t, src)
	target := t.TempDir()
	for _, opt := range []RestoreOptions{{DryRun: true}, {}, {}, {Overwrite: OverwriteAlways}} {
		opt.Target = target
		before := uint64(0)
		if opt.Overwrite == "" && !opt.DryRun {
			if _, err := os.Lstat(below(target, s) + "/zfifo"); err == nil {
				before = inodeOf(t, below(target, s)+"/zfifo")
			}
		}
		progress := &Progress{}
		opt.Progress = progress
		res := restoring(t, r, s, opt)
		if k := int64(len(names)); res.HardLinks != 2*k || res.Links != 1 || res.Other != k-1 || progress.Other.Load() != 3*k {
			t.Errorf("%+v, progress %d", res, progress.Other.Load())
		}
		if opt.DryRun {
			continue
		}
		same(t, want, describe(t, below(target, s)))
		if before != 0 && inodeOf(t, below(target, s)+"/zfifo") != before {
			t.Error("what was as it should be was made again")
		}
	}
	// Over other things, and over names that something outside has too.
	target = t.TempDir()
	put(t, below(target, s)+"/fifo", []byte("a file"))
	must(t, os.MkdirAll(below(target, s)+"/sub/link", 0o755))
	must(t, unix.Mkfifo(target+"/outside", 0o600))
	must(t, os.Link(target+"/outside", below(target, s)+"/zfifo"))
	outside := describe(t, target)["outside"]
	restoring(t, r, s, RestoreOptions{Target: target})
	same(t, want, describe(t, below(target, s)))
	if got := describe(t, target)["outside"]; !strings.HasPrefix(outside, got) { // but for its other name
		t.Errorf("outside is %s, was %s", got, outside)
	}
	// What is left alone is no first name for others.
	target = t.TempDir()
	must(t, os.MkdirAll(below(target, s), 0o755))
	must(t, unix.Mkfifo(below(target, s)+"/fifo", 0o600))
	res := restoring(t, r, s, RestoreOptions{Target: target, Overwrite: OverwriteNever})
	if res.Kept != 1 || inodeOf(t, below(target, s)+"/fifo") == inodeOf(t, below(target, s)+"/zfifo") {
		t.Errorf("%+v", res)
	}
}

// Nodes that claim to be names of one inode, but are of different types, stay apart.
func TestRestoreLinksNoDifferentTypes(t *testing.T) {
	r := restoreRepo(t, tier.NewMemory())
	nodes := []forged{fileNode("a", "content"), linkNode("b", "x"), linkNode("c", "y"), {Node: Node{Name: []byte("d"), Type: FIFO, Mode: 0o600}}}
	for i := range nodes {
		nodes[i].Links, nodes[i].Inode, nodes[i].Device = 5, 9, 9
	}
	target := t.TempDir()
	res := restoring(t, r, forge(t, r, nodes...), RestoreOptions{Target: target})
	got := describe(t, target)
	if res.HardLinks != 0 || !strings.HasPrefix(got["a"], "file") || !strings.HasSuffix(got["b"], "to x") ||
		!strings.HasSuffix(got["c"], "to y") || !strings.HasPrefix(got["d"], "fifo") {
		t.Errorf("%+v %v", res, got)
	}
}
