package chunk

import "testing"

func TestIsZeroAndZeroPrefix(t *testing.T) {
	t.Parallel()
	sizes := []int{0, 1, 7, 8, 9, 63, 64, 65, 255, zeroStep - 1, zeroStep, zeroStep + 1, 3*zeroStep + 13}
	backing := make([]byte, 4*zeroStep)
	for _, size := range sizes {
		for offset := range 3 { // start at odd addresses, too
			p := backing[offset : offset+size]
			if !IsZero(p) || ZeroPrefix(p) != size {
				t.Errorf("%d zeros: IsZero %v, ZeroPrefix %d", size, IsZero(p), ZeroPrefix(p))
			}
			for at := 0; at < size; at += 1 + at/16 {
				for _, set := range [][]int{{at}, {at, size - 1}} {
					for _, i := range set {
						p[i] = 0x80
					}
					if IsZero(p) || ZeroPrefix(p) != at {
						t.Errorf("%d bytes, set at %v: IsZero %v, ZeroPrefix %d", size, set, IsZero(p), ZeroPrefix(p))
					}
					clear(p)
				}
			}
			if size > 0 {
				p[size-1] = 1
				if IsZero(p) || ZeroPrefix(p) != size-1 {
					t.Errorf("%d bytes, last set: IsZero %v, ZeroPrefix %d", size, IsZero(p), ZeroPrefix(p))
				}
				clear(p)
			}
		}
	}
	full := []byte{0xff, 0xff, 0xff}
	if IsZero(full) || ZeroPrefix(full) != 0 {
		t.Error("equal bytes that are not zero count as zero")
	}
}

func BenchmarkIsZero(b *testing.B) {
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if !IsZero(p) {
			b.Fatal("zeros are not zero")
		}
	}
}

func BenchmarkZeroPrefix(b *testing.B) {
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if ZeroPrefix(p) != len(p) {
			b.Fatal("zeros are not zero")
		}
	}
}
