package tree

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
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

func (s *blocks) put(b []byte) (id chunk.ID, err error) {
	id = chunk.ID(sha256.Sum256(b))
	s.m[id] = bytes.Clone(b)
	return id, nil
}

// store makes a directory of files by name and inode.
func (s *blocks) store(t testing.TB, files map[string]uint64) *Handle {
	t.Helper()
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	w := Writer{Put: s.put}
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

// TestUpdate changes random directories, and compares what it makes with what a writer makes
// of the result; few blocks are read and written for few changes.
func TestUpdate(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for round := range 16 {
		s := &blocks{m: map[chunk.ID][]byte{}}
		a := map[string]uint64{}
		for range []int{0, 3, 4000, 60_000}[round%4] {
			a[fmt.Sprintf("name-%06d", rnd.IntN(1e6))] = rnd.Uint64N(3)
		}
		was := s.store(t, a)
		changes := map[string]*Node{}
		for range round * round / 4 {
			name := fmt.Sprintf("name-%06d", rnd.IntN(1e6))
			if rnd.IntN(2) == 0 {
				for some := range a {
					name = some
					break
				}
			}
			changes[name] = nil
			if rnd.IntN(2) == 0 {
				changes[name] = &Node{Name: []byte(name), Type: FIFO, Inode: 8}
			}
		}
		if round == 4+3 { // all in the middle goes
			for name := range a {
				if name > "name-2" && name < "name-8" {
					changes[name] = nil
				}
			}
		}
		var names []string
		for name, n := range changes {
			names = append(names, name)
			if delete(a, name); n != nil {
				a[name] = n.Inode
			}
		}
		slices.Sort(names)
		i := 0
		next := func() ([]byte, *Node, bool, error) {
			if i == len(names) {
				return nil, nil, false, nil
			}
			i++
			return []byte(names[i-1]), changes[names[i-1]], true, nil
		}
		written := 0
		put := s.put
		u := &updater{next: next, s: side{read: s.get}, w: Writer{Put: func(b []byte) (chunk.ID, error) { written++; return put(b) }}}
		s.read = 0
		is, err := u.run(was)
		if err != nil {
			t.Fatal(err)
		}
		if most := 4*len(names) + 4; round != 7 && (s.read > most || written > most) {
			t.Errorf("round %d: %d changes, %d blocks read, %d written", round, len(names), s.read, written)
		}
		got := map[string]uint64{}
		err = diff(s.get, nil, &is, func(_, n *Node) error { got[string(n.Name)] = n.Inode; return nil })
		if err != nil || !maps.Equal(got, a) {
			t.Fatalf("round %d: %d entries, want %d, %v", round, len(got), len(a), err)
		}
	}
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
