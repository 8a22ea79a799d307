package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/tiertest"
)

var errInjected = errors.New("injected")

// backup stores data in one session and returns its handle; errors are the caller's.
func backup(ctx context.Context, r *Repository, data []byte) (c Content, err error) {
	s, err := r.Begin(ctx)
	if err != nil {
		return c, err
	}
	defer func() {
		if err != nil {
			_ = s.Abandon(ctx)
		}
	}()
	in, err := s.Ingest(ctx, IngestOptions{Stream: "test", Workers: 2, PackSize: 150_000})
	if err != nil {
		return c, err
	}
	c, err = in.Stream(bytes.NewReader(data), nil, nil)
	if cerr := in.Close(); cerr != nil {
		err = cerr
	}
	if err != nil {
		return c, err
	}
	v := index.Version{Bucket: "b", Key: []byte("k"), Content: c[:], Class: "STANDARD"}
	copy(v.ID[:], data)
	return c, s.End(ctx, Ops{Buckets: []string{"b"}, Versions: []index.Version{v}})
}

// versions returns the handles of all versions in bucket b.
func versions(t *testing.T, r *Repository) (handles []Content) {
	t.Helper()
	err := r.Index().Versions("b", nil, nil, func(v *index.Version) error {
		handles = append(handles, Content(v.Content))
		return nil
	})
	if err != nil && !errors.Is(err, index.ErrNotFound) {
		t.Fatal(err)
	}
	return handles
}

// Invariants 1 and 6: whichever call of the store fails, before or after it took
// effect, an acknowledged version is whole, and the next run succeeds.
func TestEveryCallMayFail(t *testing.T) {
	data := random(30, 600_000)
	for _, kind := range []string{"before", "after"} {
		failures := 0
		for n := 1; ; n++ {
			mem, id, opt := tier.NewMemory(), testIdentity(t), testOptions(t)
			opt.Warn = nil
			if _, err := Init(t.Context(), mem, id.Recipient(), opt, InitOptions{}); err != nil {
				t.Fatal(err)
			}
			f := &tiertest.Faulty{Store: mem}
			var calls atomic.Int64
			hook := func(tiertest.Op, string) error {
				if calls.Add(1) == int64(n) {
					return errInjected
				}
				return nil
			}
			r, err := Open(t.Context(), f, []age.Identity{id}, opt)
			if err != nil {
				t.Fatal(err)
			}
			if kind == "before" {
				f.Before = hook
			} else {
				f.After = hook
			}
			c, err := backup(t.Context(), r, data)
			reached := calls.Load() >= int64(n)
			f.Before, f.After = nil, nil
			if err == nil && !bytes.Equal(readAll(t, r, c), data) {
				t.Fatalf("fail %s call %d: acknowledged, but the content differs", kind, n)
			}
			if err != nil {
				failures++
				if !errors.Is(err, errInjected) {
					t.Fatalf("fail %s call %d: error is %v", kind, n, err)
				}
			}
			_ = r.Close()
			checkAfterFault(t, mem, id, data, err == nil, fmt.Sprintf("fail %s call %d", kind, n))
			if !reached {
				break
			}
		}
		if failures < 5 {
			t.Errorf("only %d failures %s a call were noticed: the faults do not reach the code", failures, kind)
		}
	}
}

// checkAfterFault opens the store on another machine.
func checkAfterFault(t *testing.T, mem tier.Store, id age.Identity, data []byte, acknowledged bool, what string) {
	t.Helper()
	opt := testOptions(t)
	r, err := Open(t.Context(), mem, []age.Identity{id}, opt)
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	defer func() { _ = r.Close() }()
	have := versions(t, r)
	if acknowledged && len(have) != 1 {
		t.Fatalf("%s: acknowledged, but there are %d versions", what, len(have))
	}
	for _, c := range have {
		if !bytes.Equal(readAll(t, r, c), data) {
			t.Fatalf("%s: a version is there, but not whole", what)
		}
	}
	if _, err := backup(t.Context(), r, data); err != nil {
		t.Fatalf("%s: the next run: %v", what, err)
	}
	if _, err := r.VerifyLog(t.Context(), func(file string, err error) { t.Errorf("%s: %s: %v", what, file, err) }); err != nil {
		t.Fatal(err)
	}
}

// Invariant 1, by power loss before the n-th call.
func TestPowerLoss(t *testing.T) {
	data := random(31, 600_000)
	for n := 1; ; n++ {
		crash := tiertest.NewCrash()
		id, opt := testIdentity(t), testOptions(t)
		opt.Warn = nil
		if _, err := Init(t.Context(), crash, id.Recipient(), opt, InitOptions{}); err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int64
		f := &tiertest.Faulty{Store: crash}
		r, err := Open(t.Context(), f, []age.Identity{id}, opt)
		if err != nil {
			t.Fatal(err)
		}
		f.Before = func(tiertest.Op, string) error {
			if calls.Add(1) == int64(n) {
				crash.Cut()
			}
			return nil
		}
		_, err = backup(t.Context(), r, data)
		_ = r.Close()
		crash.Restart()
		checkAfterFault(t, crash, id, data, err == nil, fmt.Sprintf("power lost before call %d", n))
		if calls.Load() < int64(n) {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

// An interrupted backup does not store again what it had committed.
func TestInterruptedBackupResumes(t *testing.T) {
	r, store, _, _ := newRepo(t)
	data := random(32, 4_000_000)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := r.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.Ingest(ctx, IngestOptions{Stream: "test", Workers: 1, PackSize: 400_000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Stream(bytes.NewReader(data[:3_000_000]), nil, nil); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := in.Close(); !errors.Is(err, context.Canceled) {
		t.Fatalf("close of a cancelled ingest: %v", err)
	}
	if err := s.Abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err = r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in, err = s.Ingest(t.Context(), IngestOptions{Stream: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := in.Stream(bytes.NewReader(data), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.End(t.Context(), Ops{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readAll(t, r, c), data) {
		t.Error("content differs")
	}
	if n := in.Stats().BytesNew; n > 2_500_000 {
		t.Errorf("%d of %d bytes were stored again", n, len(data))
	}
	_ = store
}

// replace puts other bytes in the place of a file, which no store would do.
func replace(t *testing.T, store tier.Store, name string, data []byte) {
	t.Helper()
	if err := store.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if data == nil {
		return
	}
	if err := tier.Put(t.Context(), store, name, data); err != nil {
		t.Fatal(err)
	}
}

func fileOf(t *testing.T, store tier.Store, prefix string) (name string, data []byte) {
	t.Helper()
	names, err := listNames(t.Context(), store, prefix)
	if err != nil || len(names) == 0 {
		t.Fatalf("no file below %s: %v", prefix, err)
	}
	data, err = tier.Read(t.Context(), store, names[0], 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return names[0], data
}

// Each kind of damage gives one clear error that names the file, on a machine with an
// index and on one without.
func TestDamageIsNamed(t *testing.T) {
	cases := []struct {
		name   string
		damage func(t *testing.T, store tier.Store, r *Repository)
		fresh  error // without an index
		known  error // with one
		names  string
	}{
		{"flipped byte in a commit", func(t *testing.T, s tier.Store, _ *Repository) {
			n, b := index.CommitName(2), []byte(nil)
			b, _ = tier.Read(t.Context(), s, n, 1<<20)
			b[len(b)/2] ^= 1
			replace(t, s, n, b)
		}, ErrDamaged, nil, index.CommitName(2)},
		{"last commit cut short", func(t *testing.T, s tier.Store, r *Repository) {
			seq, _, _ := r.Index().Applied()
			b, _ := tier.Read(t.Context(), s, index.CommitName(seq), 1<<20)
			replace(t, s, index.CommitName(seq), b[:len(b)-3])
		}, ErrDamaged, ErrDamaged, "log/"},
		{"gap in the log", func(t *testing.T, s tier.Store, _ *Repository) {
			replace(t, s, index.CommitName(2), nil)
		}, ErrDamaged, nil, index.CommitName(2)},
		{"log rolled back", func(t *testing.T, s tier.Store, r *Repository) {
			seq, _, _ := r.Index().Applied()
			replace(t, s, index.CommitName(seq), nil)
		}, nil, ErrRolledBack, "commit"},
		{"forged commit", func(t *testing.T, s tier.Store, r *Repository) {
			forge(t, s, r)
		}, ErrDamaged, ErrDamaged, "log"},
		{"commit of a newer version", func(t *testing.T, s tier.Store, r *Repository) {
			seq, _, _ := r.Index().Applied()
			b, _ := tier.Read(t.Context(), s, index.CommitName(seq), 1<<20)
			b[9] = 2
			if err := tier.Put(t.Context(), s, index.CommitName(seq+1), b); err != nil {
				t.Fatal(err)
			}
		}, ErrVersion, ErrVersion, "log/"},
		{"config of a newer version", func(t *testing.T, s tier.Store, r *Repository) {
			replace(t, s, "config", []byte("firn repository\nversion 2\n"))
		}, ErrVersion, ErrVersion, "config"},
		{"config of another repository", func(t *testing.T, s tier.Store, r *Repository) {
			replace(t, s, "config", formatConfig(strings.Repeat("0", 32)))
		}, ErrDamaged, ErrDamaged, "key slot"},
		{"key slots gone", func(t *testing.T, s tier.Store, r *Repository) {
			n, _ := fileOf(t, s, "keys/")
			replace(t, s, n, nil)
		}, ErrDamaged, ErrDamaged, "keys/"},
		{"genesis of another repository", func(t *testing.T, s tier.Store, r *Repository) {
			_, other, _, _ := newRepo(t)
			b, _ := tier.Read(t.Context(), other, index.CommitName(1), 1<<20)
			replace(t, s, index.CommitName(1), b)
		}, ErrDamaged, nil, index.CommitName(1)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, store, id, opt := newRepo(t)
			save(t, r, nil, random(40, 200_000))
			cache := opt.CacheDir
			c.damage(t, store, r)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			for _, m := range []struct {
				name, cache string
				want        error
			}{{"with an index", cache, c.known}, {"without an index", t.TempDir(), c.fresh}} {
				opt.CacheDir = m.cache
				r, err := Open(t.Context(), store, []age.Identity{id}, opt)
				if err == nil {
					_ = r.Close()
				}
				if !errors.Is(err, m.want) || (m.want != nil && !strings.Contains(err.Error(), c.names)) {
					t.Errorf("%s: got %v, want %v naming %s", m.name, err, m.want, c.names)
				}
			}
		})
	}
}

// forge appends a commit that is right in all but its writer, who was never admitted.
func forge(t *testing.T, store tier.Store, r *Repository) {
	t.Helper()
	seq, head, err := r.Index().Applied()
	if err != nil {
		t.Fatal(err)
	}
	ring := &keyring{slot: r.ring.slot}
	ring.SigningSeed[0] ^= 1
	if err := ring.prepare(); err != nil {
		t.Fatal(err)
	}
	c := &index.Commit{Header: index.Header{Seq: seq + 1, Prev: head, Step: index.Begin | index.End}}
	b, err := c.Seal(ring.signer, ring.metaRcpt)
	if err != nil {
		t.Fatal(err)
	}
	if err := tier.Put(t.Context(), store, index.CommitName(seq+1), b); err != nil {
		t.Fatal(err)
	}
}

// Invariant 3: a damaged pack is an error that names its file, never wrong bytes.
func TestDamagedPackIsNamed(t *testing.T) {
	r, store, id, opt := newRepo(t)
	data := random(41, 300_000)
	h := save(t, r, nil, data)[0]
	name, b := fileOf(t, store, "packs/")
	for _, at := range []int{0, 100, 300, len(b) / 2, len(b) - 1, -1} {
		bad := append([]byte(nil), b...)
		if at < 0 {
			bad = bad[:len(bad)-100]
		} else {
			bad[at] ^= 0x40
		}
		replace(t, store, name, bad)
		opt.CacheDir = t.TempDir()
		r2, err := Open(t.Context(), store, []age.Identity{id}, opt)
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		_, err = r2.OpenContent(t.Context(), h).WriteTo(&buf)
		if err == nil && !bytes.Equal(buf.Bytes(), data) {
			t.Errorf("flip at %d: wrong bytes", at)
		}
		if err != nil && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name)) {
			t.Errorf("flip at %d: %v", at, err)
		}
		found := 0
		_, verr := r2.ReadPacks(t.Context(), 2, func(pack.ID) bool { return true }, new(atomic.Int64), func(file string, _ pack.ID, _ error) {
			if file == name {
				found++
			}
		})
		if verr != nil || found != 1 {
			t.Errorf("flip at %d: check found the pack %d times, %v", at, found, verr)
		}
		_ = r2.Close()
	}
}

// cancelling is a source that ends a context when it has given n bytes.
type cancelling struct {
	data   []byte
	n      int
	cancel func()
}

func (c *cancelling) Read(p []byte) (int, error) {
	k := copy(p, c.data)
	c.data = c.data[k:]
	if c.n -= k; c.n <= 0 {
		c.cancel()
	}
	if k == 0 {
		return 0, io.EOF
	}
	return k, nil
}

// A context that ends at any moment ends the work with its error, and no goroutine
// waits for ever.
func TestCancelAtAnyMoment(t *testing.T) {
	r, _, _, _ := newRepo(t)
	data := random(50, 20<<20)
	for n := 0; n < len(data)+(2<<20); n += 1_900_000 {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := r.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in, err := s.Ingest(ctx, IngestOptions{Stream: "test", PackSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		_, serr := in.Stream(&cancelling{data: data, n: n, cancel: cancel}, nil, nil)
		cerr := in.Close()
		if n < len(data) && !errors.Is(cerr, context.Canceled) {
			t.Errorf("cancelled after %d bytes: stream %v, close %v", n, serr, cerr)
		}
		if err := s.Abandon(t.Context()); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
}
