package tiertest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/firnstore/firn/tier"
)

// Run tests that stores keep the contract of tier.Store. open returns an empty
// store and cleans up after itself; it is called once for each test. The names
// of the tests end with the number of the invariant in the package comment of
// tier that they cover.
func Run(t *testing.T, open func(t *testing.T) tier.Store) {
	tests := []struct {
		name string
		test func(t *testing.T, s tier.Store)
	}{
		{"one of many writers wins/1", testOneWinner},
		{"invisible before Commit/2", testInvisible},
		{"Abort leaves nothing/4", testAbort},
		{"a Writer ends once/7", testEnds},
		{"Write keeps no slices/2", testNotRetained},
		{"empty file/2", testEmpty},
		{"large file/2", testLarge},
		{"ReadAt ranges/2", testRanges},
		{"absent files/2", testAbsent},
		{"Put and Read/2", testPutRead},
		{"readers at the same time/2", testReaders},
		{"List order/5", testListOrder},
		{"List ends with yield/5", testListEnds},
		{"List while creating/5", testListCreating},
		{"yield uses the store/5", testListNested},
		{"Delete frees the name/3", testDelete},
		{"Replace/2", testReplace},
		{"Settle/3", testSettle},
		{"bad names/6", testNames},
		{"context/7", testContext},
		{"use after Close/7", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			tt.test(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// content returns n reproducible bytes that differ from place to place.
func content(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(p)
	return p
}

func put(t *testing.T, s tier.Store, name string, data []byte) {
	t.Helper()
	if err := tier.Put(t.Context(), s, name, data); err != nil {
		t.Fatalf("Put(%q, %d bytes): %v", name, len(data), err)
	}
}

func create(t *testing.T, s tier.Store, ctx context.Context, name string) tier.Writer {
	t.Helper()
	w, err := s.Create(ctx, name)
	if err != nil {
		t.Fatalf("Create(%q): %v", name, err)
	}
	return w
}

func write(t *testing.T, w tier.Writer, p []byte) {
	t.Helper()
	if n, err := w.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write(%d bytes) = %d, %v", len(p), n, err)
	}
}

// wantFile checks all ways to see a file.
func wantFile(t *testing.T, s tier.Store, name string, want []byte) {
	t.Helper()
	info, err := s.Stat(t.Context(), name)
	if err != nil || info.Name != name || info.Size != int64(len(want)) {
		t.Errorf("Stat(%q) = %+v, %v; want %d bytes", name, info, err, len(want))
	}
	if info.ModTime.IsZero() {
		t.Errorf("Stat(%q): ModTime is zero", name)
	}
	got, err := tier.Read(t.Context(), s, name, int64(len(want)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Read(%q) = %d bytes, %v; want %d bytes, same: %t", name, len(got), err, len(want), bytes.Equal(got, want))
	}
	if names := list(t, s, name, ""); !slices.Contains(names, name) {
		t.Errorf("List(%q) = %q", name, names)
	}
}

// wantNothing checks that a name cannot be seen in any way.
func wantNothing(t *testing.T, s tier.Store, name string) {
	t.Helper()
	wantErr(t, "Stat "+name, stat(t.Context(), s, name), tier.ErrNotExist)
	_, err := s.ReadAt(t.Context(), name, make([]byte, 1), 0)
	wantErr(t, "ReadAt "+name, err, tier.ErrNotExist)
	if names := list(t, s, name, ""); slices.Contains(names, name) {
		t.Errorf("List(%q) = %q", name, names)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func stat(ctx context.Context, s tier.Store, name string) error {
	_, err := s.Stat(ctx, name)
	return err
}

func list(t *testing.T, s tier.Store, prefix, after string) []string {
	t.Helper()
	var names []string
	err := s.List(t.Context(), prefix, after, func(info tier.Info) error {
		names = append(names, info.Name)
		return nil
	})
	if err != nil {
		t.Fatalf("List(%q, %q): %v", prefix, after, err)
	}
	return names
}

func testAbsent(t *testing.T, s tier.Store) {
	put(t, s, "folder/file", []byte("x"))
	for _, name := range []string{"file", "folder", "folder/other", "other/file", "folder/file/below", "fold"} {
		wantNothing(t, s, name)
		err := s.Delete(t.Context(), name)
		wantErr(t, "Delete "+name, err, tier.ErrNotExist)
		wantErr(t, "Delete "+name, err, fs.ErrNotExist)
		_, err = tier.Read(t.Context(), s, name, 10)
		wantErr(t, "Read "+name, err, tier.ErrNotExist)
	}
	wantFile(t, s, "folder/file", []byte("x"))

	// A folder without files is no file either.
	if err := s.Delete(t.Context(), "folder/file"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	wantNothing(t, s, "folder")
	wantErr(t, "Delete folder", s.Delete(t.Context(), "folder"), tier.ErrNotExist)
}

func testPutRead(t *testing.T, s tier.Store) {
	data := content(1000)
	put(t, s, "file", data)
	for limit, ok := range map[int64]bool{-1: false, 0: false, 999: false, 1000: true, 1 << 62: true} {
		got, err := tier.Read(t.Context(), s, "file", limit)
		if ok != (err == nil) || ok && !bytes.Equal(got, data) {
			t.Errorf("Read with limit %d = %d bytes, %v", limit, len(got), err)
		}
	}
	err := tier.Put(t.Context(), s, "file", []byte("other"))
	wantErr(t, "second Put", err, tier.ErrExist)
	wantErr(t, "second Put", err, fs.ErrExist)
	wantFile(t, s, "file", data)
}

func testDelete(t *testing.T, s tier.Store) {
	put(t, s, "a/b", []byte("first"))
	put(t, s, "a/c", []byte("stays"))
	wantFile(t, s, "a/b", []byte("first"))
	if err := s.Delete(t.Context(), "a/b"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	wantNothing(t, s, "a/b")
	wantErr(t, "second Delete", s.Delete(t.Context(), "a/b"), tier.ErrNotExist)
	wantFile(t, s, "a/c", []byte("stays"))
	put(t, s, "a/b", []byte("the second"))
	wantFile(t, s, "a/b", []byte("the second"))
}

func testNames(t *testing.T, s tier.Store) {
	long := string(bytes.Repeat([]byte("n"), 256))
	put(t, s, long[:255], nil)
	wantFile(t, s, long[:255], nil)
	bad := []string{"", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/../b", "a/..", ".hidden", "a/.hidden",
		"A", "a b", "a\\b", "a:b", "ä", "a\x00b", "a\nb", "*", long}
	for _, name := range bad {
		_, err := s.Create(t.Context(), name)
		wantErr(t, "Create "+name, err, tier.ErrName)
		_, err = s.ReadAt(t.Context(), name, make([]byte, 1), 0)
		wantErr(t, "ReadAt "+name, err, tier.ErrName)
		wantErr(t, "Stat "+name, stat(t.Context(), s, name), tier.ErrName)
		wantErr(t, "Delete "+name, s.Delete(t.Context(), name), tier.ErrName)
	}
}

func testContext(t *testing.T, s tier.Store) {
	put(t, s, "file", []byte("data"))
	ctx, cancel := context.WithCancel(t.Context())
	early, late := create(t, s, ctx, "early"), create(t, s, ctx, "late")
	write(t, late, []byte("data"))
	cancel()
	_, err := early.Write([]byte("data"))
	wantErr(t, "Write", err, context.Canceled)
	wantErr(t, "Commit after failed Write", early.Commit(), context.Canceled)
	wantErr(t, "second Commit", early.Commit(), context.Canceled)
	wantErr(t, "Commit", late.Commit(), context.Canceled)
	wantNothing(t, s, "early")
	wantNothing(t, s, "late")

	_, err = s.Create(ctx, "new")
	wantErr(t, "Create", err, context.Canceled)
	_, err = s.ReadAt(ctx, "file", make([]byte, 1), 0)
	wantErr(t, "ReadAt", err, context.Canceled)
	wantErr(t, "Stat", stat(ctx, s, "file"), context.Canceled)
	wantErr(t, "Delete", s.Delete(ctx, "file"), context.Canceled)
	none := func(info tier.Info) error { t.Errorf("listed %q", info.Name); return nil }
	wantErr(t, "List", s.List(ctx, "", "", none), context.Canceled)
	wantFile(t, s, "file", []byte("data"))
}

func testClosed(t *testing.T, s tier.Store) {
	put(t, s, "file", []byte("data"))
	wantFile(t, s, "file", []byte("data"))
	written, aborted := create(t, s, t.Context(), "written"), create(t, s, t.Context(), "aborted")
	write(t, written, []byte("data"))
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	_, err := aborted.Write([]byte("data"))
	wantErr(t, "Write", err, fs.ErrClosed)
	if err := aborted.Abort(); err != nil {
		t.Errorf("Abort: %v", err)
	}
	wantErr(t, "Commit", written.Commit(), fs.ErrClosed)
	_, err = s.Create(t.Context(), "new")
	wantErr(t, "Create", err, fs.ErrClosed)
	_, err = s.ReadAt(t.Context(), "file", make([]byte, 1), 0)
	wantErr(t, "ReadAt", err, fs.ErrClosed)
	wantErr(t, "Stat", stat(t.Context(), s, "file"), fs.ErrClosed)
	wantErr(t, "Delete", s.Delete(t.Context(), "file"), fs.ErrClosed)
	wantErr(t, "List", s.List(t.Context(), "", "", func(tier.Info) error { return nil }), fs.ErrClosed)
	if s.String() == "" {
		t.Error("String is empty")
	}
}
