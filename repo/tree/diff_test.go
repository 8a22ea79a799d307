package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
)

// blocks is a store of blocks in memory.
type blocks struct {
	m    map[chunk.ID][]byte
	read int
}

func (s *blocks) get(id chunk.ID, level int) ([]byte, error) {
	s.read++
	b, ok := s.m[id]
	if !ok || int(b[2]) != level {
		return nil, fmt.Errorf("no block %s of level %d", id, level)
	}
	return b[blockHeader:], nil
}

// store makes a directory of files by name and inode.
func (s *blocks) store(t testing.TB, files map[string]uint64) *Handle {
	t.Helper()
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	w := Writer{Put: func(b []byte) (chunk.ID, error) {
		id := chunk.ID{}
		copy(id[:], fmt.Sprintf("%032d", len(s.m)))
		for have, other := range s.m {
			if bytes.Equal(other, b) {
				id = have
			}
		}
		s.m[id] = bytes.Clone(b)
		return id, nil
	}}
	for _, name := range names {
		raw, err := index.Marshal(&Node{Name: []byte(name), Type: FIFO, Inode: files[name]})
		if err == nil {
			err = w.Add([]byte(name), raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return &h
}

// TestDiff compares random directories of many blocks with maps, and reads few of the blocks
// when little differs.
func TestDiff(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for round := range 12 {
		s := &blocks{m: map[chunk.ID][]byte{}}
		a := map[string]uint64{}
		for range []int{0, 3, 4000, 60_000}[round%4] {
			a[fmt.Sprintf("name-%06d", rnd.IntN(1e6))] = rnd.Uint64N(3)
		}
		b := map[string]uint64{}
		for name, v := range a {
			b[name] = v
		}
		for range round * round {
			name := fmt.Sprintf("name-%06d", rnd.IntN(1e6))
			switch rnd.IntN(3) {
			case 0:
				b[name] = 9
			case 1:
				for some := range b {
					delete(b, some)
					break
				}
			default:
				for some := range b {
					b[some] = 7
					break
				}
			}
		}
		var want, got []string
		for name, v := range a {
			if now, ok := b[name]; !ok {
				want = append(want, "-"+name)
			} else if now != v {
				want = append(want, "M"+name)
			}
		}
		for name := range b {
			if _, ok := a[name]; !ok {
				want = append(want, "+"+name)
			}
		}
		x, y := s.store(t, a), s.store(t, b)
		err := diff(s.get, x, y, func(was, is *Node) error {
			switch {
			case was == nil:
				got = append(got, "+"+string(is.Name))
			case is == nil:
				got = append(got, "-"+string(was.Name))
			default:
				got = append(got, "M"+string(is.Name))
			}
			return nil
		})
		slices.Sort(want)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("round %d: %v\ngot  %q\nwant %q", round, err, got, want)
		}
		if most := 2*(len(want)*4+4) + 4; s.read > most {
			t.Errorf("round %d: %d differences, %d of %d blocks were read", round, len(want), s.read, len(s.m))
		}
		if len(b) > 0 {
			n := 0
			if err := diff(s.get, nil, y, func(was, is *Node) error { n++; return nil }); err != nil || n != len(b) {
				t.Errorf("round %d: against nothing: %d, %v", round, n, err)
			}
		}
	}
}
