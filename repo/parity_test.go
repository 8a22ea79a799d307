package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

// newParityRepo makes a repository with parity in memory and stores data in it, in packs of
// about 150 KB.
func newParityRepo(t testing.TB, store tier.Store, percent int, data ...[]byte) (*Repository, *age.X25519Identity, Options) {
	t.Helper()
	id, opt := testIdentity(t), testOptions(t)
	if _, err := Init(t.Context(), store, id.Recipient(), opt, InitOptions{Parity: percent}); err != nil {
		t.Fatal(err)
	}
	r := openRepo(t, store, id, opt)
	for _, d := range data {
		if _, err := backup(t.Context(), r, d); err != nil {
			t.Fatal(err)
		}
	}
	return r, id, opt
}

func filesOf(t testing.TB, store tier.Store, prefix string) (names []string) {
	t.Helper()
	names, err := listNames(t.Context(), store, prefix)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func content(t testing.TB, store tier.Store, name string) []byte {
	t.Helper()
	b, err := tier.Read(t.Context(), store, name, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put gives a file other bytes, or with nil removes it.
func put(t testing.TB, store tier.Store, name string, b []byte) {
	t.Helper()
	if err := store.Delete(t.Context(), name); err != nil && !errors.Is(err, tier.ErrNotExist) {
		t.Fatal(err)
	}
	if b != nil {
		if err := tier.Put(t.Context(), store, name, b); err != nil {
			t.Fatal(err)
		}
	}
}

// everything is the content of every file.
func everything(t testing.TB, store tier.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range filesOf(t, store, "") {
		all[name] = string(content(t, store, name))
	}
	return all
}

func scrub(t testing.TB, r *Repository, opt ScrubOptions) (*ScrubResult, []string) {
	t.Helper()
	var told []string
	opt.Report = func(m Mended) { told = append(told, fmt.Sprintf("%s healed=%v: %v", m.File, m.Healed, m.Err)) }
	res, err := r.Scrub(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return res, told
}

func TestUncovered(t *testing.T) {
	group := func(first, last uint64) logGroup { return logGroup{stretch: stretch{first, last}} }
	for _, c := range []struct {
		groups []logGroup
		head   uint64
		want   []stretch
		old    int
	}{
		{nil, 0, nil, 0},
		{nil, 5, []stretch{{1, 5}}, 0},
		{[]logGroup{group(1, 5)}, 5, nil, 0},
		{[]logGroup{group(1, 5)}, 9, []stretch{{6, 9}}, 0},
		{[]logGroup{group(3, 5)}, 5, []stretch{{1, 2}}, 0},
		{[]logGroup{group(1, 2), group(1, 4), group(6, 7)}, 9, []stretch{{5, 5}, {8, 9}}, 1},
		{[]logGroup{group(1, 9), group(2, 3), group(4, 10)}, 12, []stretch{{11, 12}}, 1},
		{[]logGroup{group(6, 20)}, 7, []stretch{{1, 5}}, 0},
		{[]logGroup{group(6, 20)}, 3, []stretch{{1, 3}}, 0},
	} {
		if got := uncovered(c.groups, c.head); !slices.Equal(got, c.want) {
			t.Errorf("uncovered(%v, %d) = %v, want %v", c.groups, c.head, got, c.want)
		}
		if got := superseded(c.groups); len(got) != c.old {
			t.Errorf("superseded(%v) = %v, want %d", c.groups, got, c.old)
		}
	}
}

func TestPlanScrub(t *testing.T) {
	units := []scrubUnit{{last: "a", size: 10}, {last: "c", size: 20}, {last: "e", size: 30}}
	for _, c := range []struct {
		after  string
		budget int64
		want   string
	}{
		{"", 0, "ace"}, {"", 1, "a"}, {"", 10, "a"}, {"", 11, "ac"}, {"a", 20, "c"}, {"b", 25, "ce"},
		{"c", 35, "ea"}, {"c", 1000, "eac"}, {"e", 5, "a"}, {"z", 5, "a"}, {"e", 0, "ace"},
	} {
		got := ""
		for _, u := range planScrub(slices.Clone(units), c.after, c.budget) {
			got += u.last
		}
		if got != c.want {
			t.Errorf("after %q with %d: %s, want %s", c.after, c.budget, got, c.want)
		}
	}
	if got := planScrub(nil, "a", 5); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// Every file of a repository with parity has it when the session has ended, and scrub finds
// nothing to do.
func TestEveryFileIsProtected(t *testing.T) {
	store := tier.NewMemory()
	r, _, _ := newParityRepo(t, store, 10, random(1, 500_000), random(2, 300_000), random(3, 1000))
	s, err := r.ParityStatus(t.Context())
	if err != nil || s.Percent != 10 || s.Packs != s.Protected || s.Packs.Packs < 3 || s.LogCovered != s.Commits {
		t.Errorf("status: %+v, %v", s, err)
	}
	if n := len(filesOf(t, store, "parity/log/")); n != 1 {
		t.Errorf("%d parity files for a short log", n)
	}
	for _, name := range []string{"parity/config", "parity/keys/full/default.age"} {
		if len(filesOf(t, store, name)) != 1 {
			t.Errorf("%s is missing", name)
		}
	}
	before := everything(t, store)
	res, told := scrub(t, r, ScrubOptions{})
	if res.Added+res.Renewed+res.Healed+res.Damaged != 0 || !res.Complete || res.Packs.Packs != s.Packs.Packs || len(told) > 0 {
		t.Errorf("scrub of a whole repository: %+v %q", res, told)
	}
	for name, b := range before {
		if !strings.HasPrefix(name, "parity/log/") && string(content(t, store, name)) != b {
			t.Errorf("%s was changed", name)
		}
	}
}

// What is damaged, one file at a time, comes back, and so does parity itself.
func TestScrubHealsEveryFile(t *testing.T) {
	store := tier.NewMemory()
	r, _, _ := newParityRepo(t, store, 10, random(1, 500_000), random(2, 3000))
	before := everything(t, store)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, name := range slices.Sorted(maps.Keys(before)) {
		was := before[name]
		if strings.HasPrefix(name, "checkpoints/") || strings.HasPrefix(name, "parity/log/") {
			continue // the parity of the log changes with each run
		}
		small := len(was) <= 64<<10 && !strings.HasPrefix(name, "parity/")
		for _, damage := range []string{"flip", "burst", "cut", "gone"} {
			b := []byte(was)
			switch damage {
			case "flip":
				b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			case "burst":
				n := max(1, len(b)/20)
				at := rng.IntN(len(b) - n + 1)
				for i := range n {
					b[at+i] ^= 0xff
				}
			case "cut":
				b = b[:len(b)-max(1, len(b)/20)]
			case "gone":
				if b = nil; !small && !strings.HasPrefix(name, "parity/") {
					continue
				}
			}
			put(t, store, name, b)
			res, told := scrub(t, r, ScrubOptions{})
			if res.Damaged > 0 || len(told) == 0 && damage != "gone" {
				t.Fatalf("%s, %s: %+v %q", name, damage, res, told)
			}
			if got := string(content(t, store, name)); got != was {
				t.Fatalf("%s, %s: it is not as it was: %q", name, damage, told)
			}
		}
	}
	if res, told := scrub(t, r, ScrubOptions{}); res.Healed+res.Added+res.Renewed > 0 {
		t.Errorf("at the end: %+v %q", res, told)
	}
	for range 100 { // until there is a parity file that does not grow any more
		if err := r.once(t.Context(), Ops{}); err != nil {
			t.Fatal(err)
		}
	}
	name := filesOf(t, store, "parity/log/")[0]
	was := content(t, store, name)
	for _, at := range []int{3, len(was) / 2, len(was) - 3} {
		b := bytes.Clone(was)
		b[at] ^= 1
		put(t, store, name, b)
		if res, told := scrub(t, r, ScrubOptions{}); res.Renewed != 1 || !bytes.Equal(content(t, store, name), was) {
			t.Errorf("%s with a flip at %d: %+v %q", name, at, res, told)
		}
	}
}

func TestScrubAddsParityToAnOldRepository(t *testing.T) {
	store := tier.NewMemory()
	r, _, _ := newParityRepo(t, store, 0, random(1, 500_000))
	if n := len(filesOf(t, store, "parity/")); n != 0 {
		t.Fatalf("%d parity files without parity", n)
	}
	if err := r.SetParity(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	res, _ := scrub(t, r, ScrubOptions{})
	s, err := r.ParityStatus(t.Context())
	if err != nil || s.Percent != 20 || s.Protected != s.Packs || res.Added < s.Packs.Packs {
		t.Errorf("status %+v, %v after %+v", s, err, res)
	}
	if err := r.SetParity(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if res, told := scrub(t, r, ScrubOptions{}); res.Renewed < s.Packs.Packs || len(told) > 0 {
		t.Errorf("another percentage: %+v %q", res, told)
	}
	if err := r.SetParity(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RemoveParity(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res, _ := scrub(t, r, ScrubOptions{}); res.Added > 0 || len(filesOf(t, store, "parity/")) > 0 {
		t.Errorf("parity was added to a repository without it: %+v", res)
	}
}

// With a budget, runs go on where the one before ended, on any machine, until everything
// was read.
func TestScrubWithinABudget(t *testing.T) {
	store := tier.NewMemory()
	r, id, _ := newParityRepo(t, store, 10, random(1, 900_000))
	packs := len(filesOf(t, store, "packs/"))
	read, rounds := int64(0), 0
	for run := 0; rounds < 2; run++ {
		if run > 40 {
			t.Fatal("it never comes around")
		}
		res, _ := scrub(t, r, ScrubOptions{Bytes: 200_000})
		if res.Packs.Packs == int64(packs) {
			t.Fatalf("one run read everything: %+v", res)
		}
		read += res.Packs.Packs
		if res.Complete {
			rounds++
		}
		if res.Complete != !res.Since.IsZero() && rounds == 0 {
			t.Errorf("since %v, complete %v", res.Since, res.Complete)
		}
		r = openRepo(t, store, id, testOptions(t))
	}
	if read < int64(packs) {
		t.Errorf("%d of %d packs were read in two rounds", read, packs)
	}
	if res, _ := scrub(t, r, ScrubOptions{Share: 1}); res.Packs.Packs != int64(packs) {
		t.Errorf("a share of 100%%: %+v", res)
	}
}

// Mend needs no key. Commits, config and key slots come back before the repository can be
// opened.
func TestMendOpensTheDoor(t *testing.T) {
	store := tier.NewMemory()
	_, id, _ := newParityRepo(t, store, 10, random(1, 300_000), random(2, 2000))
	before := everything(t, store)
	for _, name := range []string{"config", "keys/full/default.age", index.CommitName(3)} {
		put(t, store, name, []byte("garbage"))
	}
	flipped := content(t, store, index.CommitName(5))
	flipped[200] ^= 8
	put(t, store, index.CommitName(5), flipped)
	for _, dry := range []bool{true, false} {
		healed := 0
		if err := Mend(t.Context(), store, dry, func(m Mended) {
			if !m.Healed {
				t.Errorf("%s: %v", m.File, m.Err)
			}
			healed++
		}); err != nil || healed != 4 {
			t.Fatalf("dry %v: %d healed, %v", dry, healed, err)
		}
		if _, err := Open(t.Context(), store, []age.Identity{id}, testOptions(t)); (err == nil) == dry {
			t.Fatalf("dry %v: open: %v", dry, err)
		}
	}
	for name, b := range before {
		if string(content(t, store, name)) != b {
			t.Errorf("%s is not as it was", name)
		}
	}
}

// A key slot that was removed stays so, and one that takes its name is not undone.
func TestParityBringsNoRemovedKeyBack(t *testing.T) {
	store := tier.NewMemory()
	r, _, _ := newParityRepo(t, store, 10)
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	name := slotPath("meta", "guest")
	for range 2 {
		if err := AddKey(t.Context(), r, index.Meta, "guest", other.Recipient()); err != nil {
			t.Fatal(err)
		}
		if len(filesOf(t, store, parityName(name))) != 1 {
			t.Fatal("the slot has no parity")
		}
		was := content(t, store, name)
		if res, told := scrub(t, r, ScrubOptions{}); res.Healed+res.Damaged > 0 || !bytes.Equal(content(t, store, name), was) {
			t.Fatalf("scrub touched a slot: %q", told)
		}
		if err := r.RemoveKey(t.Context(), "meta", "guest"); err != nil {
			t.Fatal(err)
		}
		scrub(t, r, ScrubOptions{})
		if n := filesOf(t, store, "keys/"); len(n) != 1 {
			t.Fatalf("key slots: %q", n)
		}
	}
}

// A disk that fails while parity is written, or healing goes on, makes nothing worse.
func TestParityOfAWholePackOnly(t *testing.T) {
	store := tier.NewMemory()
	r, _, _ := newParityRepo(t, store, 0, random(1, 300_000))
	name := filesOf(t, store, "packs/")[0]
	b := content(t, store, name)
	b[1000] ^= 1
	put(t, store, name, b)
	if err := r.SetParity(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	res, told := scrub(t, r, ScrubOptions{})
	if res.Damaged != 1 || len(filesOf(t, store, parityName(name))) != 0 {
		t.Errorf("parity was made of a damaged pack: %+v %q", res, told)
	}
	if err := replaceFile(context.Background(), store, name, func(io.Writer) error { return errInjected }); !errors.Is(err, errInjected) ||
		!bytes.Equal(content(t, store, name), b) {
		t.Errorf("a replacement that failed: %v", err)
	}
}

// A session that lasts for long does not leave the log to its end.
func TestALongSessionProtectsTheLog(t *testing.T) {
	store := tier.NewMemory()
	r, _, _ := newParityRepo(t, store, 10)
	s, err := r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range guardCommits {
		if err := s.Commit(t.Context(), Ops{}); err != nil {
			t.Fatal(err)
		}
	}
	s.guard.work.Wait()
	if st, err := r.ParityStatus(t.Context()); err != nil || st.LogCovered < guardCommits {
		t.Errorf("%+v, %v", st, err)
	}
	if err := s.End(t.Context(), Ops{}); err != nil {
		t.Fatal(err)
	}
	if n := len(filesOf(t, store, "parity/log/")); n > guardCommits/groupCommits+2 {
		t.Errorf("%d parity files of the log", n)
	}
}

// A log that lost its newest commits is refused where their parity shows that they were
// there: another commit in their place would lose them for good. Repair makes them anew.
func TestLostTailIsNoticedByParity(t *testing.T) {
	r, store, id, opt := newRepo(t)
	if err := r.SetParity(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	data := random(7, 400_000)
	c := save(t, r, nil, data)[0]
	if _, err := r.Scrub(t.Context(), ScrubOptions{}); err != nil {
		t.Fatal(err)
	}
	last, _, err := r.Index().Applied()
	if err != nil {
		t.Fatal(err)
	}
	status, err := r.ParityStatus(t.Context())
	if err != nil || status.LogCovered == 0 {
		t.Fatalf("%+v, %v", status, err)
	}
	for seq := status.LogCovered; seq <= last; seq++ { // what is not covered was never promised
		if err := store.Delete(t.Context(), index.CommitName(seq)); err != nil {
			t.Fatal(err)
		}
	}
	opt.CacheDir = t.TempDir()
	_, err = Open(t.Context(), store, []age.Identity{id}, opt)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "firn repair") {
		t.Fatalf("opened without its newest commit: %v", err)
	}
	if err := Mend(t.Context(), store, false, func(Mended) {}); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, openRepo(t, store, id, opt), c); !bytes.Equal(got, data) {
		t.Error("the content changed")
	}
}
