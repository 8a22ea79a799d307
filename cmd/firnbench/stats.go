package main

import (
	"math"
	"slices"
)

// median returns the middle of values, or the mean of the two in the middle; NaN if
// there are none. It does not change values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// ratio returns how many times less ours is than the least of the others: 2 means that
// ours needs half of the best of them. It is NaN if it says nothing: without ours,
// without others, or when ours is not positive. Others that are NaN do not count.
func ratio(ours float64, others []float64) float64 {
	best := math.NaN()
	for _, other := range others {
		if !math.IsNaN(other) && (math.IsNaN(best) || other < best) {
			best = other
		}
	}
	if math.IsNaN(ours) || ours <= 0 {
		return math.NaN()
	}
	return best / ours
}

// rng is splitmix64: fast, tiny, and the same for ever, which the generators of the
// standard library do not promise.
type rng uint64

// newRNG returns a generator for a place in a corpus; different keys give unrelated
// sequences.
func newRNG(seed uint64, keys ...uint64) rng {
	r := rng(seed)
	for _, key := range keys {
		r = rng(r.next() ^ key)
	}
	return r
}

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n), for n far below 2^32; the bias does not matter here.
func (r *rng) below(n int) int {
	return int(r.next() >> 32 * uint64(n) >> 32)
}

// shuffle returns the numbers 0 to n-1 in random order.
func (r *rng) shuffle(n int) []int {
	order := make([]int, n)
	for i := range order {
		j := r.below(i + 1)
		order[i] = order[j]
		order[j] = i
	}
	return order
}
