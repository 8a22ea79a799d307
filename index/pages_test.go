package index

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/firnstore/firn/pack"
)

// livePages returns the numbers of the pages in use that have flags, but for a branch page of
// the root bucket.
func (d *damageTrial) livePages(t *testing.T, flags uint16) (ids []uint64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(path, d.file, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := &pageCheck{f: f, pageSize: int(d.pageSize), roots: map[string]uint32{}, full: true}
	if err := c.file(); err != nil {
		t.Fatal(err)
	}
	root, _, err := c.meta()
	if err != nil {
		t.Fatal(err)
	}
	for id := uint64(2); id < c.high; id++ {
		p := d.page(d.file, id)
		if c.isUsed(id) && native.Uint64(p) == id && p.flags() == flags && (id != root || flags == leafFlag) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		t.Fatalf("the file has no page with flags %#x", flags)
	}
	return ids
}

func (d *damageTrial) page(file []byte, id uint64) page {
	at := int64(id) * d.pageSize
	return page(file[at : at+d.pageSize])
}

// open opens a damaged file.
func (d *damageTrial) open(t *testing.T, file []byte) (*Index, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := Open(path, Options{Repository: "test", BootID: "boot"})
	if err == nil {
		t.Cleanup(func() { x.Close() })
	}
	return x, err
}

// TestPagesAreCheckedBeforeUse covers invariant 3 where bbolt would not come back: each
// file would make it recurse for ever, lose pages, or point out of a page on the heap.
func TestPagesAreCheckedBeforeUse(t *testing.T) {
	dirty, closed := newDamageTrial(t, false), newDamageTrial(t, true)
	for _, c := range []struct {
		name   string
		trial  *damageTrial
		flags  uint16
		change func(p page, id uint64)
	}{
		{"branch that leads to itself", dirty, branchFlag, func(p page, id uint64) { native.PutUint64(p[pageHead+leafElem+8:], id) }},
		{"branch that leads nowhere", dirty, branchFlag, func(p page, id uint64) { native.PutUint64(p[pageHead+8:], 1<<40) }},
		{"branch with two ways to a page", dirty, branchFlag, func(p page, id uint64) {
			copy(p[pageHead+8:pageHead+16], p[pageHead+branchElem+8:])
		}},
		{"branch without children", dirty, branchFlag, func(p page, id uint64) { native.PutUint16(p[10:], 0) }},
		{"branch with other keys", closed, branchFlag, func(p page, id uint64) { p[pageHead+native.Uint32(p[pageHead:])+1]++ }},
		{"list that frees a page in use", dirty, freelistFlag, func(p page, id uint64) {
			native.PutUint64(p[pageHead:], dirty.livePages(t, branchFlag)[0])
		}},
		{"list that is too long", dirty, freelistFlag, func(p page, id uint64) { native.PutUint16(p[10:], 2000) }},
		{"list out of order", dirty, freelistFlag, func(p page, id uint64) {
			native.PutUint64(p[pageHead:], native.Uint64(p[pageHead+8:]))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, id := bytes.Clone(c.trial.file), c.trial.livePages(t, c.flags)[0]
			c.change(c.trial.page(file, id), id)
			if _, err := c.trial.open(t, file); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
	t.Run("inline page with too many rows", func(t *testing.T) {
		file := bytes.Clone(dirty.file)
		at := bytes.Index(file, inlineState(t, dirty))
		native.PutUint16(file[at+10:], 60)
		if _, err := dirty.open(t, file); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v, want ErrDamaged", err)
		}
	})
}

// inlineState returns the first bytes of the inline page of table state in the live root page.
func inlineState(t *testing.T, d *damageTrial) []byte {
	t.Helper()
	for _, id := range d.livePages(t, leafFlag) {
		p := d.page(d.file, id)
		for i := range p.count() {
			at := pageHead + i*leafElem
			key := at + int(native.Uint32(p[at+4:]))
			value := key + int(native.Uint32(p[at+8:]))
			if native.Uint32(p[at:]) == nestedFlag && value <= len(p) && string(p[key:value]) == string(tableState) && native.Uint64(p[value:]) == 0 {
				return p[value+16 : value+200]
			}
		}
	}
	t.Fatal("table state has a page of its own")
	return nil
}

// TestLeafPagesAreCheckedBeforeTheFirstChange covers invariant 3: a leaf page that claims
// the pages behind it is harmless until bbolt frees it.
func TestLeafPagesAreCheckedBeforeTheFirstChange(t *testing.T) {
	for _, clean := range []bool{true, false} {
		d := newDamageTrial(t, clean)
		file, ids := bytes.Clone(d.file), d.livePages(t, leafFlag)
		native.PutUint32(d.page(file, ids[len(ids)/2])[12:], 7)
		x, err := d.open(t, file)
		if errors.Is(err, ErrDamaged) {
			continue // a page that is read when the index is opened
		}
		if err != nil {
			t.Fatal(err)
		}
		if d.compare(t, x, closedAt) {
			t.Error("a query failed")
		}
		if err := x.Apply(d.log[closedAt]); !errors.Is(err, ErrDamaged) {
			t.Errorf("clean %t: apply: %v, want ErrDamaged", clean, err)
		}
	}
}

// TestFrameOfChunkIsNeverAnother covers invariant 3: frames are found by a search over
// rows whose checks it does not see.
func TestFrameOfChunkIsNeverAnother(t *testing.T) {
	p := benchPack(pack.Session{}, 1)
	d, err := pack.ParseDirectory(p.Directory)
	if err != nil {
		t.Fatal(err)
	}
	whole := appendBlob(nil, 1, d)
	frames := len(whole) - len(d.Frames)*frameSize
	refused := 0
	for i := range d.Frames {
		for bit := range 32 {
			b := bytes.Clone(whole)
			b[frames+i*frameSize+bit/8] ^= 1 << (bit % 8)
			x := blob{num: 1, entries: b[blobHeader:frames], frames: b[frames:]}
			for slot := range d.Entries {
				loc := Location{Slot: slot}
				err := x.fillFrame(&loc)
				if err != nil {
					refused++
				} else if want := d.Frames[d.Entries[slot].Frame]; loc.Frame != want {
					t.Fatalf("chunk %d is in frame %+v, want %+v", slot, loc.Frame, want)
				}
				if err != nil && !errors.Is(err, ErrDamaged) {
					t.Fatal(err)
				}
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}
