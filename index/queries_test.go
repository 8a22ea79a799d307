package index

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/pack"
)

// query is a question to an index; its answer is lines without an order.
type query struct {
	name string
	ask  func(t testing.TB, x *Index) ([]string, error)
}

// queries ask for everything that is in a world.
var queries = []query{
	{"Applied", func(t testing.TB, x *Index) ([]string, error) {
		seq, _, err := x.Applied()
		return []string{fmt.Sprintf("applied %d", seq)}, err
	}},
	{"Writer", func(t testing.TB, x *Index) (lines []string, err error) {
		for _, k := range worldKeys {
			role, revoked, err := x.Writer(publicKey(k))
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			lines = append(lines, fmt.Sprintf("writer %s %s %t", publicKey(k), role, revoked))
		}
		return lines, nil
	}},
	{"Sessions", func(t testing.TB, x *Index) (lines []string, err error) {
		err = x.Sessions(func(s pack.Session, state SessionState, by WriterKey) error {
			lines = append(lines, fmt.Sprintf("session %s %d %s", s, state, by))
			return nil
		})
		return lines, err
	}},
	{"Packs", askPacks},
	{"Locations", askLocations},
	{"Locate", askLocate},
	{"Versions", askVersions},
	{"Snapshots", func(t testing.TB, x *Index) (lines []string, err error) {
		err = x.Snapshots("", func(v *Version) error {
			lines = append(lines, fmt.Sprintf("snapshot %s", v.ID))
			return nil
		})
		return lines, err
	}},
	{"Rows", func(t testing.TB, x *Index) (lines []string, err error) {
		for _, name := range []string{"setting", "job"} {
			err := x.Rows(name, nil, nil, func(k, v []byte) error {
				lines = append(lines, fmt.Sprintf("row %q %x", name+" "+string(k), v))
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		return lines, nil
	}},
}

func askPacks(t testing.TB, x *Index) (lines []string, err error) {
	var packs []*Pack
	err = x.Packs(func(p *Pack) error {
		packs = append(packs, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, p := range packs {
		d, err := x.Directory(p.Num)
		if err != nil {
			return nil, err
		}
		p.Record.Directory = d.Append(nil)
		lines = append(lines, packLine(t, &placedPack{Pack: p.Record, Seq: p.Seq, Offset: uint64(p.Offset)}))
		q, err := x.PackByID(p.Record.ID)
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", p.Record.ID, err)
		}
		if q.Num != p.Num {
			return nil, fmt.Errorf("pack %s has numbers %d and %d", p.Record.ID, p.Num, q.Num)
		}
	}
	return lines, nil
}

func packLine(t testing.TB, p *placedPack) string {
	t.Helper()
	b, err := Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("pack %s %x", p.Pack.ID, b)
}

func chunkLine(id chunk.ID, p pack.ID, l *Location) string {
	f := &l.Frame
	b := append([]byte("chunk "), hex.EncodeToString(id[:8])+" in "+p.String()...)
	for _, n := range []int64{int64(l.Slot), int64(l.Offset), int64(l.Length), int64(l.FrameNo), f.Offset,
		int64(f.Stored), int64(f.Plain), int64(f.Codec), int64(f.First), int64(f.Chunks)} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	return string(b)
}

func askLocations(t testing.TB, x *Index) (lines []string, err error) {
	names := map[PackNum]pack.ID{}
	for n := range worldChunks {
		locs, err := x.Locations(worldChunk(n))
		if err != nil {
			return nil, err
		}
		for i := range locs {
			num := locs[i].Pack
			if _, ok := names[num]; !ok {
				p, err := x.Pack(num)
				if err != nil {
					return nil, fmt.Errorf("location of chunk %d: %w", n, err)
				}
				names[num] = p.Record.ID
			}
			lines = append(lines, chunkLine(worldChunk(n), names[num], &locs[i]))
		}
	}
	return lines, nil
}

// askLocate says of each chunk whether it is there, and looks at what Locate found.
func askLocate(t testing.TB, x *Index) (lines []string, err error) {
	ids, out := make([]chunk.ID, worldChunks), make([]Location, worldChunks)
	for n := range ids {
		ids[n] = worldChunk(n)
	}
	if err := x.Locate(ids, out); err != nil {
		return nil, err
	}
	for n := range ids {
		lines = append(lines, fmt.Sprintf("located %d %t", n, out[n].Pack != 0))
		if out[n].Pack == 0 {
			continue
		}
		d, err := x.Directory(out[n].Pack)
		if err != nil {
			return nil, err
		}
		if got := d.Entries[out[n].Slot]; got.ID != ids[n] || got.Offset != out[n].Offset || got.Length != out[n].Length {
			return nil, fmt.Errorf("chunk %s located at %+v, where the directory has %+v", ids[n], out[n], got)
		}
	}
	return lines, nil
}

func askVersions(t testing.TB, x *Index) (lines []string, err error) {
	names, err := x.Buckets()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		lines = append(lines, "bucket "+name)
		n := 0
		err := x.Versions(name, nil, nil, func(v *Version) error {
			lines = append(lines, versionLine(t, n, v))
			n++
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// dump is what model.dump gives, from an index.
func dump(t testing.TB, x *Index) (lines []string) {
	t.Helper()
	for _, q := range queries {
		answer, err := q.ask(t, x)
		if err != nil {
			t.Fatalf("%s: %v", q.name, err)
		}
		if q.name != "Locate" {
			lines = append(lines, answer...)
		}
	}
	slices.Sort(lines)
	return lines
}

func compareDumps(t testing.TB, what string, got, want []string) {
	t.Helper()
	shown := 0
	for _, pair := range []struct {
		sign       string
		list, from []string
	}{{"unexpected", got, want}, {"missing", want, got}} {
		for _, line := range pair.list {
			if _, ok := slices.BinarySearch(pair.from, line); !ok && shown < 10 {
				t.Errorf("%s: %s: %s", what, pair.sign, line)
				shown++
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d facts, want %d", what, len(got), len(want))
	}
}

func openTest(t testing.TB) *Index {
	t.Helper()
	x, err := Open(filepath.Join(t.TempDir(), "index"), Options{Repository: "test", BootID: "boot"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return x
}

func apply(t testing.TB, x *Index, commits ...*Commit) {
	t.Helper()
	if err := x.Apply(commits...); err != nil {
		t.Fatal(err)
	}
}

// log makes n commits of a world.
func worldLog(seed uint64, n int) []*Commit {
	w, list := newWorld(seed), []*Commit(nil)
	for range n {
		list = append(list, w.next())
	}
	return list
}

func versionLine(t testing.TB, n int, v *Version) string {
	t.Helper()
	b, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("version %s %04d %x", v.Bucket, n, b)
}
