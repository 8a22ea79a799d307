package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/firnstore/firn/chunk"
)

// TestUncleanIndexIsTrustedUntilRestart covers invariant 6.
func TestUncleanIndexIsTrustedUntilRestart(t *testing.T) {
	const repo = "test"
	commits := worldLog(11, 30)
	for _, c := range []struct {
		name  string
		stop  func(x *Index) error // after commits
		again string               // boot ID when opened again
		want  error
	}{
		{"closed, same boot", (*Index).Close, "boot", nil},
		{"closed, other boot", (*Index).Close, "other", nil},
		{"closed, no boot ID", (*Index).Close, "", nil},
		{"killed, same boot", killed, "boot", nil},
		{"killed, other boot", killed, "other", ErrStale},
		{"killed, no boot ID", killed, "", ErrStale},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "index")
			x, err := Open(path, Options{Repository: repo, BootID: "boot"})
			if err != nil {
				t.Fatal(err)
			}
			apply(t, x, commits[:20]...)
			want := dump(t, x)
			if err := c.stop(x); err != nil {
				t.Fatal(err)
			}
			x, err = Open(path, Options{Repository: repo, BootID: c.again})
			if !errors.Is(err, c.want) {
				t.Fatalf("open: %v, want %v", err, c.want)
			}
			if err != nil {
				return
			}
			compareDumps(t, "opened again", dump(t, x), want)
			// Opened clean and not changed, it stays clean even if it is killed.
			if c.name == "closed, same boot" {
				if err := killed(x); err != nil {
					t.Fatal(err)
				}
				if x, err = Open(path, Options{Repository: repo, BootID: "third"}); err != nil {
					t.Fatal(err)
				}
			}
			// The first change unmarks it, before anything else of it can be on disk.
			apply(t, x, commits[20:]...)
			if err := killed(x); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, Options{Repository: repo, BootID: "yet another"}); !errors.Is(err, ErrStale) {
				t.Errorf("open after changes: %v, want ErrStale", err)
			}
		})
	}
}

// killed leaves the file as a killed process does.
func killed(x *Index) error { return x.db.Close() }

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "index")
	x, err := Open(path, Options{Repository: "one", BootID: "boot"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{Repository: "one", BootID: "boot"}); !errors.Is(err, ErrBusy) {
		t.Errorf("open twice: %v, want ErrBusy", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{Repository: "two", BootID: "boot"}); !errors.Is(err, ErrForeign) {
		t.Errorf("another repository: %v, want ErrForeign", err)
	}
	for name, content := range map[string]string{
		"text": "not an index at all, but long enough to be read", "one byte": "x", "zeros": string(make([]byte, 1<<16)),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{Repository: "one", BootID: "boot"}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
	foreign := filepath.Join(t.TempDir(), "bolt")
	other, err := bolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = other.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket(tableState)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(foreign, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("other tables: %v, want ErrDamaged", err)
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a directory: %v, want an error of the file system", err)
	}
}

func TestMissingThingsAreNotFound(t *testing.T) {
	x, _ := ruled(t)
	var locs []Location
	for name, ask := range map[string]func() error{
		"writer":    func() error { _, _, err := x.Writer(WriterKey{1}); return err },
		"session":   func() error { _, err := x.SessionState([12]byte{200}); return err },
		"pack":      func() error { _, err := x.Pack(77); return err },
		"pack ID":   func() error { _, err := x.PackByID([16]byte{200}); return err },
		"directory": func() error { _, err := x.Directory(77); return err },
		"bucket":    func() error { return x.Versions("x", nil, nil, nil) },
		"row":       func() error { _, err := x.Row("job", []byte("zz")); return err },
		"snapshot":  func() error { return x.Snapshots("0g", nil) },
		"long ID":   func() error { return x.Snapshots(fmt.Sprintf("01%031d", 0), nil) },
	} {
		if err := ask(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", name, err)
		}
	}
	locs, err := x.Locations(chunk.ID{1})
	if len(locs) != 0 || err != nil {
		t.Errorf("Locations: %v, %v", locs, err)
	}
}

func TestListsBeginWhereAsked(t *testing.T) {
	x, l := ruled(t)
	apply(t, x, l.next(founderKey, 1, 0, func(c *Commit) {
		for i, key := range []string{"a", "a\x00", "a\x00\xff", "a\x01", "ab", "b"} {
			c.Body.Versions = append(c.Body.Versions,
				Version{Bucket: "empty", Key: []byte(key), ID: VersionID{byte(i)}, Kind: DeleteMarker, Class: "S"})
			c.Body.Rows = append(c.Body.Rows, Row{Table: "part", Key: []byte(key), Value: []byte{}})
		}
	}))
	for _, c := range []struct{ prefix, from, want string }{
		{"", "", `["a" "a\x00" "a\x00\xff" "a\x01" "ab" "b"]`},
		{"a\x00", "", `["a\x00" "a\x00\xff"]`},
		{"a", "a\x00a", `["a\x00\xff" "a\x01" "ab"]`},
		{"a", "b", `[]`},
		{"b", "a", `["b"]`},
		{"c", "", `[]`},
	} {
		var versions, rows []string
		err := x.Versions("empty", []byte(c.prefix), []byte(c.from), func(v *Version) error {
			versions = append(versions, string(v.Key))
			return nil
		})
		if got := fmt.Sprintf("%q", versions); got != c.want || err != nil {
			t.Errorf("versions %q from %q: %s, %v, want %s", c.prefix, c.from, got, err, c.want)
		}
		err = x.Rows("part", []byte(c.prefix), []byte(c.from), func(k, _ []byte) error {
			rows = append(rows, string(k))
			return nil
		})
		if got := fmt.Sprintf("%q", rows); got != c.want || err != nil {
			t.Errorf("rows %q from %q: %s, %v, want %s", c.prefix, c.from, got, err, c.want)
		}
	}
}

// TestLocateDuringApply is for the race detector. What was there before an Apply is found throughout it.
func TestLocateDuringApply(t *testing.T) {
	x := openTest(t)
	l, first := newBenchLog()
	apply(t, x, first, l.next(2))
	ids := make([]chunk.ID, 2*benchPackChunks)
	for i := range ids {
		ids[i] = benchID(uint64(i))
	}
	stop := make(chan bool)
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			out, misses := make([]Location, len(ids)), make([]Location, 64)
			unknown := make([]chunk.ID, 64)
			for n := uint64(0); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := x.Locate(ids, out); err != nil {
					t.Error(err)
					return
				}
				for i := range out {
					if out[i].Pack == 0 {
						t.Errorf("chunk %d is lost", i)
						return
					}
				}
				for i := range unknown {
					unknown[i] = benchID(1<<50 + n*64 + uint64(i))
				}
				if err := x.Locate(unknown, misses); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 40 {
		apply(t, x, l.next(1))
	}
	close(stop)
	readers.Wait()
}

// TestFilterIsNeverWrong covers invariants 3 and 4: chunks are found whether the filter is made before or
// after they are added, and it takes at most two bytes for each.
func TestFilterIsNeverWrong(t *testing.T) {
	x := openTest(t)
	l, first := newBenchLog()
	apply(t, x, first)
	out := make([]Location, benchPackChunks)
	ids := make([]chunk.ID, benchPackChunks)
	made := 0
	for n := range uint64(60) {
		for i := range ids {
			ids[i] = benchID(n*benchPackChunks + uint64(i))
		}
		if err := x.Locate(ids, out); err != nil {
			t.Fatal(err)
		}
		if out[5].Pack != 0 {
			t.Fatalf("chunk of pack %d is there before it is added", n)
		}
		apply(t, x, l.next(1))
		if err := x.Locate(ids, out); err != nil {
			t.Fatal(err)
		}
		for i := range out {
			if out[i].Pack == 0 {
				t.Fatalf("chunk %d of pack %d is not found", i, n)
			}
		}
		if f := x.chunks.filter.Load(); f != nil {
			made++
			if f.keys > 1<<14 && len(f.lines)*64 > 2*f.keys {
				t.Errorf("filter of %d bytes for %d chunks", len(f.lines)*64, f.keys)
			}
		}
	}
	if made < 30 {
		t.Errorf("the filter was there for %d of 60 commits: this tests too little", made)
	}
}
