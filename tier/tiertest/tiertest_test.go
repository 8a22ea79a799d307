package tiertest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"testing"

	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

var errFault = errors.New("fault")

// The wrappers keep the contract while they do nothing.
func TestWrappersKeepContract(t *testing.T) {
	stores := map[string]func() tier.Store{
		"faulty":   func() tier.Store { return &tiertest.Faulty{Store: tier.NewMemory()} },
		"counting": func() tier.Store { return &tiertest.Counting{Store: tier.NewMemory()} },
		"crash":    func() tier.Store { return tiertest.NewCrash() },
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tiertest.Run(t, func(*testing.T) tier.Store { return open() })
		})
	}
}

// work makes one call of each kind and returns the first error.
func work(t *testing.T, s tier.Store) error {
	ctx := t.Context()
	if err := tier.Put(ctx, s, "file", []byte("data")); err != nil {
		return err
	}
	if _, err := tier.Read(ctx, s, "file", 4); err != nil {
		return err
	}
	if err := s.List(ctx, "", "", func(tier.Info) error { return nil }); err != nil {
		return err
	}
	w, err := s.Create(ctx, "other")
	if err != nil {
		return err
	}
	if err := w.Abort(); err != nil {
		return err
	}
	return s.Delete(ctx, "file")
}

// worked are the calls of work, in order.
var worked = []tiertest.Op{tiertest.OpCreate, tiertest.OpWrite, tiertest.OpCommit, tiertest.OpStat, tiertest.OpRead,
	tiertest.OpList, tiertest.OpCreate, tiertest.OpAbort, tiertest.OpDelete}

func exists(t *testing.T, s tier.Store, name string) bool {
	t.Helper()
	_, err := s.Stat(t.Context(), name)
	if err != nil && !errors.Is(err, tier.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestFaultyFailsEachCall(t *testing.T) {
	for i, op := range worked {
		memory := tier.NewMemory()
		before := tiertest.FailNth(int64(i+1), errFault)
		err := work(t, &tiertest.Faulty{Store: memory, Before: func(got tiertest.Op, name string) error {
			err := before(got, name)
			if err != nil && got != op {
				t.Errorf("call %d is %s, want %s", i+1, got, op)
			}
			return err
		}})
		if !errors.Is(err, errFault) {
			t.Errorf("work failing before call %d (%s): %v", i+1, op, err)
		}
		if got, want := exists(t, memory, "file"), i >= 3; got != want {
			t.Errorf("failing before call %d (%s): file exists: %t, want %t", i+1, op, got, want)
		}

		memory = tier.NewMemory()
		err = work(t, &tiertest.Faulty{Store: memory, After: tiertest.FailNth(int64(i+1), errFault)})
		if !errors.Is(err, errFault) {
			t.Errorf("work failing after call %d (%s): %v", i+1, op, err)
		}
		if got, want := exists(t, memory, "file"), i >= 2 && op != tiertest.OpDelete; got != want {
			t.Errorf("failing after call %d (%s): file exists: %t, want %t", i+1, op, got, want)
		}
	}
	if err := work(t, &tiertest.Faulty{Store: tier.NewMemory(), Before: tiertest.FailNth(10, errFault)}); err != nil {
		t.Errorf("work with a fault after its last call: %v", err)
	}
}

func TestFaultyChoosesOperations(t *testing.T) {
	s := &tiertest.Faulty{Store: tier.NewMemory(), Before: tiertest.FailFrom(2, errFault, tiertest.OpCommit)}
	for i, want := range []error{nil, errFault, errFault} {
		if err := tier.Put(t.Context(), s, fmt.Sprint("file", i), nil); !errors.Is(err, want) {
			t.Errorf("Put %d: %v, want %v", i, err, want)
		}
	}
}

// Invariant 7 holds for faults, too.
func TestFaultyWriterStaysFailed(t *testing.T) {
	memory := tier.NewMemory()
	s := &tiertest.Faulty{Store: memory, Before: tiertest.FailNth(1, errFault, tiertest.OpWrite)}
	w, err := s.Create(t.Context(), "file")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.Write([]byte("data")); !errors.Is(err, errFault) {
			t.Errorf("Write: %v", err)
		}
	}
	for range 2 {
		if err := w.Commit(); !errors.Is(err, errFault) {
			t.Errorf("Commit: %v", err)
		}
	}
	if exists(t, memory, "file") {
		t.Error("a failed writer made a file")
	}
}

func TestCountingCounts(t *testing.T) {
	s := &tiertest.Counting{Store: tier.NewMemory()}
	if err := work(t, s); err != nil {
		t.Fatal(err)
	}
	want := make(map[tiertest.Op]int64)
	for _, op := range worked {
		want[op]++
	}
	if got := s.Calls(); !maps.Equal(got, want) {
		t.Errorf("Calls = %v, want %v", got, want)
	}
	if r, w := s.Bytes(tiertest.OpRead), s.Bytes(tiertest.OpWrite); r != 4 || w != 4 {
		t.Errorf("read %d and wrote %d bytes, want 4 and 4", r, w)
	}
	s.Reset()
	if got := s.Calls(); len(got) != 0 {
		t.Errorf("Calls after Reset = %v", got)
	}
}

func TestCrashKeepsWhatWasCommitted(t *testing.T) {
	disk := tiertest.NewCrash()
	if err := tier.Put(t.Context(), disk, "old", []byte("data")); err != nil {
		t.Fatal(err)
	}
	w, err := disk.Create(t.Context(), "new")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("da")); err != nil {
		t.Fatal(err)
	}
	disk.Cut()
	if _, err := tier.Read(t.Context(), disk, "old", 4); !errors.Is(err, tiertest.ErrPower) {
		t.Errorf("Read without power: %v", err)
	}
	disk.Restart()
	if _, err := w.Write([]byte("ta")); !errors.Is(err, tiertest.ErrPower) {
		t.Errorf("Write of a dead writer: %v", err)
	}
	if err := w.Commit(); !errors.Is(err, tiertest.ErrPower) {
		t.Errorf("Commit of a dead writer: %v", err)
	}
	if exists(t, disk, "new") || !exists(t, disk, "old") {
		t.Error("Restart keeps the wrong files")
	}
	disk.Close()
	if _, err := disk.Stat(t.Context(), "old"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Stat after Close: %v", err)
	}
	disk.Restart()
	if got, err := tier.Read(t.Context(), disk, "old", 4); string(got) != "data" {
		t.Errorf("Read after Restart = %q, %v", got, err)
	}
}

// The composition that the package comment shows.
func TestPowerLossBeforeEachCall(t *testing.T) {
	for k := range int64(len(worked)) {
		disk := tiertest.NewCrash()
		nth := tiertest.FailNth(k+1, tiertest.ErrPower)
		err := work(t, &tiertest.Faulty{Store: disk, Before: func(op tiertest.Op, name string) error {
			if err := nth(op, name); err != nil {
				disk.Cut()
			}
			return nil
		}})
		// Abort touches nothing that survives, so the next call notices.
		if !errors.Is(err, tiertest.ErrPower) {
			t.Errorf("work losing power before call %d: %v", k+1, err)
		}
		disk.Restart()
		if got, want := exists(t, disk, "file"), k >= 3; got != want {
			t.Errorf("losing power before call %d: file exists: %t, want %t", k+1, got, want)
		}
	}
}
