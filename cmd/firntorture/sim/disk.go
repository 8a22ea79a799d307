package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/firnstore/firn/tier"
)

// disk is the medium below a store: names that can be seen, and which of the changes to
// them are not durable yet. Files are immutable, so a copy of a disk is cheap. It belongs
// to one goroutine at a time.
type disk struct {
	files   map[string]*file
	pending []change // visible, not durable, in the order in which they were made
	edits   int      // counts changes of what a crash could leave
	weak    Weakness
}

// file is what lies under a name.
type file struct {
	data   []byte
	synced bool // its bytes are durable; always so in a store that keeps the contract
	time   time.Time
}

// change of a name: what was there before, nil for nothing, and what came.
type change struct {
	name     string
	old, new *file
}

func newDisk() *disk { return &disk{files: map[string]*file{}} }

func (d *disk) clone() *disk {
	return &disk{files: maps.Clone(d.files), pending: slices.Clone(d.pending), edits: d.edits, weak: d.weak}
}

// link gives a file its name, visibly but not durably.
func (d *disk) link(name string, f *file) error {
	if d.files[name] != nil && d.weak != NotExclusive {
		return fmt.Errorf("commit %s: %w", name, tier.ErrExist)
	}
	d.set(name, f)
	return nil
}

// unlink takes a name away, visibly but not durably.
func (d *disk) unlink(name string) error {
	if d.files[name] == nil {
		return fmt.Errorf("delete %s: %w", name, tier.ErrNotExist)
	}
	d.set(name, nil)
	return nil
}

func (d *disk) set(name string, f *file) {
	d.pending = append(d.pending, change{name, d.files[name], f})
	d.edits++
	if f == nil {
		delete(d.files, name)
	} else {
		d.files[name] = f
	}
}

// syncFolder makes all changes in the folder of a name durable.
func (d *disk) syncFolder(name string) {
	if d.weak == NoFolderSync {
		return
	}
	folder := path.Dir(name)
	n := len(d.pending)
	d.pending = slices.DeleteFunc(d.pending, func(c change) bool { return path.Dir(c.name) == folder })
	if len(d.pending) != n {
		d.edits++
	}
}

// crash returns a disk as a power cut may leave it: of the changes that are not durable
// each folder keeps all, none, those before some moment, or any of them. Bytes that were
// not synced are torn.
func (d *disk) crash(rng *rand.Rand) *disk {
	n := &disk{files: maps.Clone(d.files), weak: d.weak}
	modes := map[string]int{}
	var undo []change
	for i, c := range d.pending {
		folder := path.Dir(c.name)
		mode, ok := modes[folder]
		if !ok {
			if mode = rng.IntN(4); mode == 2 {
				mode = 4 + i + rng.IntN(len(d.pending)-i+1)
			}
			modes[folder] = mode
		}
		if keep := mode == 1 || mode == 3 && rng.IntN(2) == 0 || mode >= 4 && i < mode-4; !keep {
			undo = append(undo, c)
		}
	}
	for _, c := range slices.Backward(undo) {
		if c.old == nil {
			delete(n.files, c.name)
		} else {
			n.files[c.name] = c.old
		}
	}
	for _, name := range n.names() {
		if f := n.files[name]; !f.synced {
			n.files[name] = f.tear(rng)
		}
	}
	return n
}

// tear returns what may be left of a file whose bytes were not synced.
func (f *file) tear(rng *rand.Rand) *file {
	t := &file{data: f.data, synced: true, time: f.time}
	switch rng.IntN(3) {
	case 0:
		t.data = f.data[:rng.IntN(len(f.data)+1)]
	case 1:
		t.data = slices.Clone(f.data)
		clear(t.data[rng.IntN(len(f.data)+1):])
	}
	return t
}

func (d *disk) names() []string { return slices.Sorted(maps.Keys(d.files)) }

// list returns what a listing yields.
func (d *disk) list(prefix, after string) (infos []tier.Info) {
	for name, f := range d.files {
		if strings.HasPrefix(name, prefix) && name > after {
			infos = append(infos, f.info(name))
		}
	}
	sortInfos(infos)
	return infos
}

func sortInfos(infos []tier.Info) {
	slices.SortFunc(infos, func(a, b tier.Info) int { return strings.Compare(a.Name, b.Name) })
}

func (f *file) info(name string) tier.Info {
	return tier.Info{Name: name, Size: int64(len(f.data)), ModTime: f.time}
}
