package tiertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/firnstore/firn/tier"
)

func testOneWinner(t *testing.T, s tier.Store) {
	const writers = 16
	for round := range 4 {
		name := fmt.Sprintf("race/%d/file", round)
		var group sync.WaitGroup
		start := make(chan struct{})
		results := make([]error, writers)
		data := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1000+i) }
		for i := range writers {
			group.Go(func() {
				<-start
				results[i] = tier.Put(t.Context(), s, name, data(i))
			})
		}
		close(start)
		group.Wait()
		winner := -1
		for i, err := range results {
			switch {
			case err == nil && winner >= 0:
				t.Fatalf("writers %d and %d both won", winner, i)
			case err == nil:
				winner = i
			default:
				wantErr(t, fmt.Sprintf("writer %d", i), err, tier.ErrExist)
			}
		}
		if winner < 0 {
			t.Fatal("no writer won")
		}
		wantFile(t, s, name, data(winner))
	}
}

func testInvisible(t *testing.T, s tier.Store) {
	for _, name := range []string{"file", "new/folder/file"} {
		w := create(t, s, t.Context(), name)
		wantNothing(t, s, name)
		write(t, w, []byte("some "))
		wantNothing(t, s, name)
		write(t, w, []byte("bytes"))
		wantNothing(t, s, name)
		if names := list(t, s, "", name); len(names) != 0 {
			t.Errorf("List after %q = %q", name, names)
		}
		if err := w.Commit(); err != nil {
			t.Fatalf("Commit: %v", err)
		}
		wantFile(t, s, name, []byte("some bytes"))
	}
}

func testAbort(t *testing.T, s tier.Store) {
	for _, size := range []int{0, 10, 1 << 20} {
		w := create(t, s, t.Context(), "folder/file")
		write(t, w, content(size))
		if err := w.Abort(); err != nil {
			t.Fatalf("Abort after %d bytes: %v", size, err)
		}
		wantNothing(t, s, "folder/file")
	}
	if names := list(t, s, "", ""); len(names) != 0 {
		t.Errorf("List = %q, want nothing", names)
	}
	put(t, s, "folder/file", []byte("x"))
}

func testEnds(t *testing.T, s tier.Store) {
	w := create(t, s, t.Context(), "file")
	write(t, w, []byte("data"))
	if err := w.Commit(); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if err := w.Commit(); err == nil {
		t.Error("second Commit succeeded")
	}
	if n, err := w.Write([]byte("more")); n != 0 || err == nil {
		t.Errorf("Write after Commit = %d, %v", n, err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	wantFile(t, s, "file", []byte("data"))

	w = create(t, s, t.Context(), "other")
	if err := errors.Join(w.Abort(), w.Abort()); err != nil {
		t.Errorf("Abort twice: %v", err)
	}
	if err := w.Commit(); err == nil {
		t.Error("Commit after Abort succeeded")
	}
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("Write after Abort succeeded")
	}
	wantNothing(t, s, "other")

	// A lost race ends the writer and stays lost.
	w = create(t, s, t.Context(), "file")
	wantErr(t, "Commit", w.Commit(), tier.ErrExist)
	wantErr(t, "second Commit", w.Commit(), tier.ErrExist)
	if err := w.Abort(); err != nil {
		t.Errorf("Abort after lost race: %v", err)
	}
	wantFile(t, s, "file", []byte("data"))
}

func testNotRetained(t *testing.T, s tier.Store) {
	want := content(200_000)
	w := create(t, s, t.Context(), "file")
	buf := make([]byte, 10_000)
	for rest := want; len(rest) > 0; rest = rest[len(buf):] {
		copy(buf, rest)
		write(t, w, buf)
		if !bytes.Equal(buf, rest[:len(buf)]) {
			t.Fatal("Write changed its argument")
		}
		clear(buf)
	}
	if err := w.Commit(); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantFile(t, s, "file", want)
}

func testEmpty(t *testing.T, s tier.Store) {
	w := create(t, s, t.Context(), "unwritten")
	if err := w.Commit(); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	put(t, s, "nil", nil)
	for _, name := range []string{"unwritten", "nil"} {
		wantFile(t, s, name, nil)
		if n, err := s.ReadAt(t.Context(), name, make([]byte, 1), 0); n != 0 || err != io.EOF {
			t.Errorf("ReadAt(%s) = %d, %v; want 0, io.EOF", name, n, err)
		}
	}
}

func testLarge(t *testing.T, s tier.Store) {
	want := content(3<<20 + 1)
	w := create(t, s, t.Context(), "large")
	for rest := want; len(rest) > 0; {
		n := min(64<<10, len(rest))
		write(t, w, rest[:n])
		rest = rest[n:]
	}
	if err := w.Commit(); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantFile(t, s, "large", want)
}

func testRanges(t *testing.T, s tier.Store) {
	data := content(100_000)
	size := int64(len(data))
	put(t, s, "file", data)
	tests := []struct {
		off  int64
		len  int
		want int // bytes
		err  error
	}{
		{0, 100_000, 100_000, nil},
		{0, 1, 1, nil},
		{0, 0, 0, nil},
		{size - 1, 1, 1, nil},
		{65_535, 3, 3, nil},
		{0, 100_001, 100_000, io.EOF},
		{size - 1, 2, 1, io.EOF},
		{size, 1, 0, io.EOF},
		{size, 0, 0, nil},
		{size + 1, 1, 0, io.EOF},
		{size + 1, 0, 0, nil},
		{1 << 50, 1, 0, io.EOF},
	}
	for _, tt := range tests {
		p := make([]byte, tt.len)
		n, err := s.ReadAt(t.Context(), "file", p, tt.off)
		if n != tt.want || err != tt.err {
			t.Errorf("ReadAt(%d bytes at %d) = %d, %v; want %d, %v", tt.len, tt.off, n, err, tt.want, tt.err)
			continue
		}
		if n > 0 && !bytes.Equal(p[:n], data[tt.off:tt.off+int64(n)]) {
			t.Errorf("ReadAt(%d bytes at %d): wrong bytes", tt.len, tt.off)
		}
	}
	for _, p := range [][]byte{nil, make([]byte, 1)} {
		if n, err := s.ReadAt(t.Context(), "file", p, -1); n != 0 || err == nil || err == io.EOF {
			t.Errorf("ReadAt(%d bytes at -1) = %d, %v; want an error", len(p), n, err)
		}
	}
}

func testReaders(t *testing.T, s tier.Store) {
	const files, readers, reads = 12, 8, 40
	data := content(files * 10_000)
	part := func(i int) []byte { return data[i*10_000 : (i+1)*10_000] }
	for i := range files {
		put(t, s, fmt.Sprintf("dir/%d", i), part(i))
	}
	var group sync.WaitGroup
	for r := range readers {
		group.Go(func() {
			for k := range reads {
				i := (r*5 + k*7) % files
				if err := readPart(t.Context(), s, fmt.Sprintf("dir/%d", i), part(i), (k*977)%9000); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func readPart(ctx context.Context, s tier.Store, name string, data []byte, off int) error {
	p := make([]byte, 1000)
	if n, err := s.ReadAt(ctx, name, p, int64(off)); n != len(p) || err != nil {
		return fmt.Errorf("ReadAt(%s, %d bytes at %d) = %d, %w", name, len(p), off, n, err)
	}
	if !bytes.Equal(p, data[off:off+len(p)]) {
		return fmt.Errorf("ReadAt(%s, %d bytes at %d): wrong bytes", name, len(p), off)
	}
	return nil
}

// testReplace is for stores that can put one file in the place of another.
func testReplace(t *testing.T, s tier.Store) {
	replace := func(name string) tier.Writer {
		w, err := tier.Replace(t.Context(), s, name)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatalf("Replace(%q): %v", name, err)
		}
		return w
	}
	put(t, s, "folder/file", []byte("damaged"))
	wantFile(t, s, "folder/file", []byte("damaged")) // and it is open for reading now
	w := replace("folder/file")
	write(t, w, []byte("as it was"))
	wantFile(t, s, "folder/file", []byte("damaged"))
	if err := w.Commit(); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantFile(t, s, "folder/file", []byte("as it was"))
	if err := w.Abort(); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	if names := list(t, s, "", ""); len(names) != 1 {
		t.Errorf("List = %q, want one file", names)
	}

	w = replace("folder/file")
	write(t, w, []byte("never seen"))
	if err := w.Abort(); err != nil {
		t.Errorf("Abort: %v", err)
	}
	wantFile(t, s, "folder/file", []byte("as it was"))

	w = replace("new/file")
	write(t, w, []byte("was missing"))
	if err := w.Commit(); err != nil {
		t.Fatalf("Commit under a free name: %v", err)
	}
	wantFile(t, s, "new/file", []byte("was missing"))
	if err := tier.Put(t.Context(), s, "new/file", nil); !errors.Is(err, tier.ErrExist) {
		t.Errorf("Put under the name of a replaced file: %v", err)
	}
}

// testSettle settles folders with files, without, and that do not exist.
func testSettle(t *testing.T, s tier.Store) {
	put(t, s, "folder/file", []byte("bytes"))
	for _, name := range []string{"folder/file", "folder/other", "absent/folder/file", "top"} {
		if err := tier.Settle(t.Context(), s, name); err != nil {
			t.Errorf("Settle(%q): %v", name, err)
		}
	}
	wantFile(t, s, "folder/file", []byte("bytes"))
	if names := list(t, s, "", ""); len(names) != 1 {
		t.Errorf("List = %q, want one file", names)
	}
}
