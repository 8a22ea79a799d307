package main

import (
	"math"
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"none", nil, math.NaN()},
		{"one", []float64{7}, 7},
		{"odd, unsorted", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 3, 2}, 2.5},
		{"an outlier", []float64{1, 1000, 2}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			before := slices.Clone(tc.values)
			if got := median(tc.values); !sameNumber(got, tc.want) {
				t.Errorf("median(%v) = %v, want %v", tc.values, got, tc.want)
			}
			if !slices.Equal(before, tc.values) {
				t.Errorf("median changed %v to %v", before, tc.values)
			}
		})
	}
}

func TestRatio(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, tc := range []struct {
		name   string
		ours   float64
		others []float64
		want   float64
	}{
		{"twice as fast as the better one", 2, []float64{4, 9}, 2},
		{"slower than one of them", 4, []float64{8, 2}, 0.5},
		{"one of them failed", 4, []float64{nan, 8}, 2},
		{"all of them failed", 4, []float64{nan, nan}, nan},
		{"no others", 4, nil, nan},
		{"ours failed", nan, []float64{1}, nan},
		{"ours took nothing", 0, []float64{1}, nan},
		{"ours shrank", -3, []float64{1}, nan},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := ratio(tc.ours, tc.others); !sameNumber(got, tc.want) {
				t.Errorf("ratio(%v, %v) = %v, want %v", tc.ours, tc.others, got, tc.want)
			}
		})
	}
}

// sameNumber is ==, but NaN equals itself.
func sameNumber(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

// The numbers are those of the reference implementation of splitmix64.
func TestRNGIsSplitmix64(t *testing.T) {
	t.Parallel()
	r := rng(1234567)
	want := []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821}
	for i, w := range want {
		if got := r.next(); got != w {
			t.Errorf("number %d is %d, want %d", i, got, w)
		}
	}
}

func TestRNGKeysGiveOtherSequences(t *testing.T) {
	t.Parallel()
	seen := map[uint64][]uint64{}
	for _, keys := range [][]uint64{nil, {0}, {1}, {0, 1}, {1, 0}, {1, 1}} {
		r := newRNG(1, keys...)
		first := r.next()
		if other, twice := seen[first]; twice {
			t.Errorf("keys %v and %v give the same first number", keys, other)
		}
		seen[first] = keys
	}
}

func TestShuffleIsAPermutation(t *testing.T) {
	t.Parallel()
	r := rng(3)
	order := r.shuffle(1000)
	sorted := slices.Sorted(slices.Values(order))
	for i, n := range sorted {
		if n != i {
			t.Fatalf("shuffle(1000) holds %d at place %d of its order", n, i)
		}
	}
	if slices.Equal(order, sorted) {
		t.Error("shuffle(1000) left the order")
	}
}
