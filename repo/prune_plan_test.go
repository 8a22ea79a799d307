package repo

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/firnstore/firn/pack"
)

// use makes a pack of so many MiB, of which a share in percent is needed.
func use(id byte, mib int64, live int64, edit ...func(*packUse)) packUse {
	u := packUse{ID: pack.ID{id}, Stream: "s", Size: mib << 20, Bytes: 2 * mib << 20, Live: 2 * mib << 20 * live / 100, Chunks: 100, Used: int(live)}
	for _, e := range edit {
		e(&u)
	}
	return u
}

func TestPlanPrune(t *testing.T) {
	held := func(u *packUse) { u.Held = true }
	inside := func(u *packUse) { u.Embedded = true }
	fixed := func(u *packUse) { u.Fixed = true }
	meta := func(u *packUse) { u.Kind = pack.Meta }
	stream := func(u *packUse) { u.Stream = "r" }
	days := func(u *packUse) { u.Days = 30 }
	small := func(n int, edit ...func(*packUse)) (list []packUse) {
		for i := range n {
			list = append(list, use(byte(100+i), 3, 100, edit...))
		}
		return list
	}
	some := planOptions{MaxUnused: 0.05}
	for _, c := range []struct {
		name  string
		packs []packUse
		opt   planOptions
		want  string
	}{
		{"nothing", nil, some, "unused 0"},
		{"whole packs stay", []packUse{use(1, 32, 100), use(2, 32, 100)}, some, "unused 0"},
		{"dead packs go", []packUse{use(1, 32, 0), use(2, 32, 100), use(3, 1, 0, inside)}, some, "drop 01 03, unused 0"},
		{"not those of open sessions", []packUse{use(1, 32, 0, held), use(2, 32, 50, held)}, some, "held 01 02, unused 48"},
		{"a little may be dead", []packUse{use(1, 32, 97), use(2, 32, 96)}, some, "unused 2"},
		{"the worst is written again first", []packUse{use(1, 32, 80), use(2, 32, 10), use(3, 320, 100)}, some, "repack 02, unused 6"},
		{"until enough", []packUse{use(1, 32, 80), use(2, 32, 10), use(3, 32, 100)}, some, "repack 01 02, unused 0"},
		{"or everything", []packUse{use(1, 32, 99), use(2, 32, 100)}, planOptions{}, "repack 01, unused 0"},
		{"in commits nothing is won", []packUse{use(1, 1, 10, inside)}, planOptions{}, "inside 01, unused 0"},
		{"not what cannot be read", []packUse{use(1, 32, 10, fixed), use(2, 32, 50)}, some, "repack 02, fixed 01, unused 28"},
		{"but it can be dropped", []packUse{use(1, 32, 0, fixed)}, some, "drop 01, unused 0"},
		{"within the budget", []packUse{use(1, 30, 50), use(2, 40, 50), use(3, 20, 60)}, planOptions{MaxRewrite: 30 << 20}, "repack 01 03, later 02, unused 20"},
		{"seven small packs stay", small(7), some, "unused 0"},
		{"eight are joined", small(8), some, "repack 64 65 66 67 68 69 6a 6b, unused 0"},
		{"but not of two kinds", slices.Concat(small(4), small(4, meta)), some, "unused 0"},
		{"nor of two streams", slices.Concat(small(4), small(4, stream)), some, "unused 0"},
		{"nor of two lifetimes", slices.Concat(small(4), small(4, days)), some, "unused 0"},
		{"nor within commits", small(9, inside), some, "unused 0"},
		{"nor what cannot be read", small(9, fixed), some, "unused 0"},
		{"nor beyond the budget", small(9), planOptions{MaxUnused: 0.05, MaxRewrite: 23 << 20}, "later 64 65 66 67 68 69 6a 6b 6c, unused 0"},
		{"as many as it allows", small(10), planOptions{MaxUnused: 0.05, MaxRewrite: 25 << 20}, "repack 64 65 66 67 68 69 6a 6b, later 6c 6d, unused 0"},
		{"groups stay together", []packUse{use(1, 9, 10, stream), use(2, 9, 10), use(3, 9, 10, stream), use(4, 9, 10, meta)}, some, "repack 01 03 02 04, unused 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := planPrune(c.packs, c.opt)
			if text := describePlan(got); text != c.want {
				t.Errorf("plan: %s\nwant: %s", text, c.want)
			}
			for seed := range uint64(5) { // the same plan from any order
				mixed := slices.Clone(c.packs)
				rand.New(rand.NewPCG(seed, 1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
				if again := planPrune(mixed, c.opt); !reflect.DeepEqual(got, again) {
					t.Errorf("another order, another plan: %s", describePlan(again))
				}
			}
		})
	}
}

func describePlan(p *prunePlan) string {
	var text []string
	for _, l := range []struct {
		name string
		list []packUse
	}{{"drop", p.Drop}, {"repack", p.Repack}, {"held", p.Held}, {"inside", p.Inside}, {"fixed", p.Fixed}, {"later", p.Later}} {
		if len(l.list) == 0 {
			continue
		}
		line := l.name
		for _, u := range l.list {
			line += fmt.Sprintf(" %02x", u.ID[0])
		}
		text = append(text, line)
	}
	return strings.Join(append(text, fmt.Sprintf("unused %d", p.Unused>>20)), ", ")
}
