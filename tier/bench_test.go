package tier_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/firnstore/firn/tier"
)

func BenchmarkCreateCommit(b *testing.B) {
	for _, bm := range []struct {
		name string
		size int
		opt  tier.DirOptions
	}{
		{"4KiB", 4 << 10, tier.DirOptions{}},
		{"4KiB/nosync", 4 << 10, tier.DirOptions{NoSync: true}},
		{"32MiB", 32 << 20, tier.DirOptions{}},
		{"32MiB/nosync", 32 << 20, tier.DirOptions{NoSync: true}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			d, err := tier.CreateDir(b.TempDir(), bm.opt)
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			piece := bytes.Repeat([]byte("firn"), 16<<10)
			b.SetBytes(int64(bm.size))
			for i := 0; b.Loop(); i++ {
				name := fmt.Sprintf("packs/%02x/%d", i%16, i)
				if err := writePieces(b.Context(), d, name, piece, bm.size); err != nil {
					b.Fatal(err)
				}
				if err := d.Delete(context.Background(), name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func writePieces(ctx context.Context, s tier.Store, name string, piece []byte, size int) error {
	w, err := s.Create(ctx, name)
	if err != nil {
		return err
	}
	for ; size > 0; size -= len(piece) {
		if _, err := w.Write(piece[:min(size, len(piece))]); err != nil {
			return errors.Join(err, w.Abort())
		}
	}
	return w.Commit()
}

func BenchmarkReadAt(b *testing.B) {
	d, err := tier.CreateDir(b.TempDir(), tier.DirOptions{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	const size, files = 4 << 20, 8
	data := make([]byte, size)
	var names []string
	for i := range files {
		names = append(names, fmt.Sprintf("packs/%02x/file", i))
		if err := tier.Put(b.Context(), d, names[i], data); err != nil {
			b.Fatal(err)
		}
	}
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := d.ReadAt(b.Context(), names[i%files], p, int64(i)*64<<10%size); err != nil {
			b.Fatal(err)
		}
	}
}
