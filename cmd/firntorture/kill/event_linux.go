package kill

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// atEvent is the moment of the n-th change of a directory below root: a name that appears or
// goes. Temporary files, that have a name, count, too.
func atEvent(root string, n int) (m moment, ok bool) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return m, false
	}
	f := os.NewFile(uintptr(fd), "inotify")
	dirs := map[int32]string{}
	watch := func(dir string) {
		const mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_ONLYDIR
		if wd, err := unix.InotifyAddWatch(fd, dir, mask); err == nil {
			dirs[int32(wd)] = dir
		}
	}
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			watch(p)
		}
		return nil
	})
	c := make(chan time.Time, 1)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			got, err := f.Read(buf)
			if err != nil {
				return // closed: the process ended before
			}
			for b := buf[:got]; len(b) >= unix.SizeofInotifyEvent; {
				e := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
				name := b[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+int(e.Len)]
				b = b[len(name)+unix.SizeofInotifyEvent:]
				if e.Mask&unix.IN_ISDIR != 0 && e.Mask&unix.IN_CREATE != 0 {
					watch(filepath.Join(dirs[e.Wd], unix.ByteSliceToString(name)))
				}
				if n--; n == 0 {
					c <- time.Now()
				}
			}
		}
	}()
	return moment{c, func() { _ = f.Close() }}, true
}
