package kill

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
)

const (
	clients   = 4
	keysEach  = 12 // of a client; no two clients write the same key
	bucket    = "torture"
	largeBody = 400_000
	smallBody = 20_000
)

// objects are the keys of a bucket and what firn said about them. An object is known by its
// generation: 0 is absent, n the n-th body that was sent, which can be made again.
type objects struct {
	seed uint64
	keys [clients][]*key
}

type key struct {
	name  string
	sure  int   // the generation that was acknowledged last, or seen last
	maybe []int // those that were sent without an answer, and may still come to be
	last  int
}

func newObjects(seed uint64) *objects {
	o := &objects{seed: seed}
	for c := range o.keys {
		for i := range keysEach {
			o.keys[c] = append(o.keys[c], &key{name: fmt.Sprintf("c%d/k%d", c, i)})
		}
	}
	return o
}

// body is the n-th body of a key.
func (o *objects) body(k *key, n int) []byte {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", k.name, n)
	rng := rand.New(rand.NewPCG(o.seed, h.Sum64()))
	size := rng.IntN(smallBody)
	if rng.IntN(16) == 0 {
		size = rng.IntN(largeBody)
	}
	return append(randomBytes(rng, size), fmt.Sprintf("%s %d", k.name, n)...)
}

// saw compares what a GET gave, nil for absent, with what may be there. What was seen is
// durable. settled says that the server that got the requests without an answer is gone; then
// nothing else can come to be any more.
func (o *objects) saw(k *key, got []byte, settled bool) error {
	match := func(n int) bool {
		if got == nil {
			return n == 0
		}
		return n > 0 && bytes.Equal(got, o.body(k, n))
	}
	for _, n := range slices.Backward(append([]int{k.sure}, k.maybe...)) {
		if !match(n) {
			continue
		}
		k.is(n)
		if settled {
			k.maybe = nil
		}
		return nil
	}
	for n := range k.last + 1 {
		if match(n) {
			return breaks(lost, "object %s: generation %d was acknowledged, but there is %d", k.name, k.sure, n)
		}
	}
	return breaks(wrong, "object %s: %d bytes that were never put", k.name, len(got))
}

// is notes that generation n is there.
func (k *key) is(n int) {
	k.sure = n
	k.maybe = slices.DeleteFunc(k.maybe, func(m int) bool { return m == n })
}
