package parity

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

// BenchmarkHealedShare damages a pack of 32 MiB with 10 % of parity in several ways, and
// reports which share of the runs healed, parity file included in the damage.
func BenchmarkHealedShare(b *testing.B) {
	file := random(32 << 20)
	parity := encode(b, [][]byte{file}, DefaultPercent)
	flips := func(n int) func(*rand.Rand, []byte, []byte) {
		return func(r *rand.Rand, data, parity []byte) {
			for range n {
				if at := r.IntN(len(data) + len(parity)); at < len(data) {
					data[at] ^= 1 << r.IntN(8)
				} else {
					parity[at-len(data)] ^= 1 << r.IntN(8)
				}
			}
		}
	}
	burst := func(share float64) func(*rand.Rand, []byte, []byte) {
		return func(r *rand.Rand, data, _ []byte) {
			n := int(share * float64(len(data)))
			clear(data[r.IntN(len(data)-n):][:n])
		}
	}
	blocks := func(share float64) func(*rand.Rand, []byte, []byte) {
		return func(r *rand.Rand, data, _ []byte) {
			all := r.Perm(len(data) / maxBlock)
			for _, i := range all[:int(share*float64(len(all)))] {
				clear(data[i*maxBlock : (i+1)*maxBlock])
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(r *rand.Rand, data, parity []byte)
	}{
		{"1-flip", flips(1)}, {"100-flips", flips(100)}, {"300-flips", flips(300)}, {"400-flips", flips(400)}, {"500-flips", flips(500)},
		{"stretch-5%", burst(0.05)}, {"stretch-10%", burst(0.1)}, {"stretch-10.3%", burst(0.103)},
		{"blocks-3%", blocks(0.03)}, {"blocks-5%", blocks(0.05)}, {"blocks-6%", blocks(0.06)}, {"blocks-8%", blocks(0.08)},
	} {
		b.Run(c.name, func(b *testing.B) {
			healed := 0
			runs := 0
			for b.Loop() {
				r := rand.New(rand.NewPCG(uint64(runs), 3))
				data, par := bytes.Clone(file), bytes.Clone(parity)
				c.damage(r, data, par)
				runs++
				s, err := Open(bytes.NewReader(par), int64(len(par)))
				if err != nil {
					continue
				}
				h, err := s.Heal([]io.ReaderAt{bytes.NewReader(data)})
				if err != nil {
					b.Fatal(err)
				}
				var buf bytes.Buffer
				if err := h.Write(0, &buf); err != nil {
					continue
				}
				if !bytes.Equal(buf.Bytes(), file) {
					b.Fatalf("run %d: other bytes (invariant 2)", runs)
				}
				healed++
			}
			b.ReportMetric(100*float64(healed)/float64(runs), "%healed")
		})
	}
}
