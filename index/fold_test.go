package index

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestFoldIsTheSameByAnyWay covers invariant 1.
func TestFoldIsTheSameByAnyWay(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			commits := worldLog(seed, 120)
			rng := rand.New(rand.NewPCG(seed, 5))
			m := newModel()
			single, batches, loaded := openTest(t), openTest(t), openTest(t)
			half := 1 + rng.IntN(len(commits)-1)
			for i, c := range commits {
				m.apply(c)
				apply(t, single, c)
				if i+1 == half {
					compareDumps(t, "half way", dump(t, single), m.dump(t))
					copyByCheckpoint(t, single, loaded)
					compareDumps(t, "checkpoint", dump(t, loaded), m.dump(t))
				}
			}
			for rest := commits; len(rest) > 0; {
				n := 1 + rng.IntN(min(20, len(rest)))
				apply(t, batches, rest[:n]...)
				rest = rest[n:]
			}
			apply(t, loaded, commits[half:]...)
			want := m.dump(t)
			notes, err := single.Notes()
			if err != nil {
				t.Fatal(err)
			}
			body := plainBody(t, checkpointOf(t, single))
			for name, x := range map[string]*Index{"one by one": single, "batches": batches, "checkpoint": loaded} {
				compareDumps(t, name, dump(t, x), want)
				_, hash, err := x.Applied()
				if err != nil || hash != commits[len(commits)-1].Hash {
					t.Errorf("%s: applied %s, %v", name, hash, err)
				}
				if !bytes.Equal(plainBody(t, checkpointOf(t, x)), body) {
					t.Errorf("%s: a checkpoint says something else", name)
				}
				if got, err := x.Notes(); err != nil || !slices.Equal(got, notes) {
					t.Errorf("%s: %d notes (%v), want the %d of single commits", name, len(got), err, len(notes))
				}
			}
			if len(notes) == 0 {
				t.Error("the log has nothing without effect: it tests too little")
			}
		})
	}
}

func copyByCheckpoint(t *testing.T, from, to *Index) {
	t.Helper()
	file := checkpointOf(t, from)
	if err := to.LoadCheckpoint(bytes.NewReader(file), int64(len(file)), publicKey(founderKey), metaIdentity(t)); err != nil {
		t.Fatal(err)
	}
}

func checkpointOf(t testing.TB, x *Index) []byte {
	t.Helper()
	var body bytes.Buffer
	_, head, err := x.WriteCheckpoint(&body, founderKey, metaIdentity(t).Recipient())
	if err != nil {
		t.Fatal(err)
	}
	return append(head, body.Bytes()...)
}
