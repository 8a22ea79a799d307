package damage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/firnstore/firn/tier"
)

// files are the files of a store. Their bytes are shared and never changed.
type files map[string][]byte

func copyOf(ctx context.Context, s tier.Store) (files, error) {
	f := files{}
	err := s.List(ctx, "", "", func(fi tier.Info) error {
		b, err := tier.Read(ctx, s, fi.Name, 1<<30)
		f[fi.Name] = b
		return err
	})
	return f, err
}

// memory returns a store that can be written to.
func (f files) memory(ctx context.Context) *tier.Memory {
	m := tier.NewMemory()
	for name, b := range f {
		if err := tier.Put(ctx, m, name, b); err != nil {
			panic("damage: copy a store in memory: " + err.Error())
		}
	}
	return m
}

func (f files) names() []string { return slices.Sorted(maps.Keys(f)) }

// frozen is a store that gives files and takes none: reading a damaged repository must not
// change it.
type frozen struct{ files files }

var errFrozen = errors.New("the store is read-only")

func (s frozen) String() string { return "the damaged store" }
func (s frozen) Close() error   { return nil }

func (s frozen) Create(context.Context, string) (tier.Writer, error) { return nil, errFrozen }
func (s frozen) Delete(context.Context, string) error                { return errFrozen }

func (s frozen) get(name string) ([]byte, error) {
	b, ok := s.files[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, tier.ErrNotExist)
	}
	return b, nil
}

func (s frozen) ReadAt(_ context.Context, name string, p []byte, off int64) (int, error) {
	b, err := s.get(name)
	if err != nil {
		return 0, err
	}
	n := copy(p, b[min(off, int64(len(b))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s frozen) Stat(_ context.Context, name string) (tier.Info, error) {
	b, err := s.get(name)
	return tier.Info{Name: name, Size: int64(len(b)), ModTime: time.Unix(1, 0)}, err
}

func (s frozen) List(_ context.Context, prefix, after string, yield func(tier.Info) error) error {
	for _, name := range s.files.names() {
		if strings.HasPrefix(name, prefix) && name > after {
			if err := yield(tier.Info{Name: name, Size: int64(len(s.files[name])), ModTime: time.Unix(1, 0)}); err != nil {
				return err
			}
		}
	}
	return nil
}
