package index

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/firnstore/firn/pack"
)

// packRow is a row of table packs: number u32 -> CBOR.
type packRow struct {
	Record PackRecord `cbor:"0,keyasint"` // without the directory, which is in table blobs
	Seq    uint64     `cbor:"1,keyasint,omitempty"`
	Offset int64      `cbor:"2,keyasint,omitempty"`
}

func packKey(num PackNum) []byte { return binary.BigEndian.AppendUint32(nil, uint32(num)) }

// Pack is what the index knows of a pack.
type Pack struct {
	Num    PackNum
	Record PackRecord // Directory is nil; see Index.Directory

	// Of an embedded pack: the commit that holds it, and where in its file. Seq is 0
	// for a pack with a file of its own.
	Seq    uint64
	Offset int64
}

// Name of the file in the store that holds the pack, and where it begins in it.
func (p *Pack) Name() (name string, off int64) {
	if p.Seq != 0 {
		return CommitName(p.Seq), p.Offset
	}
	return p.Record.ID.Name(), 0
}

func (f *fold) addPacks(c *Commit) error {
	offsets := map[pack.ID]int64{}
	off := c.BlobOffset
	for _, e := range c.Header.Embedded {
		offsets[e.Pack] = off
		off += int64(e.Size)
	}
	for i := range c.Body.Packs {
		p := &c.Body.Packs[i]
		row := packRow{Record: *p}
		if off, ok := offsets[p.ID]; ok {
			row.Seq, row.Offset = c.Header.Seq, off
		}
		if err := f.addPack(&row); err != nil {
			return err
		}
	}
	return nil
}

// addPack gives the pack a number and takes in its directory.
func (f *fold) addPack(row *packRow) error {
	id := row.Record.ID
	d, err := pack.ParseDirectory(row.Record.Directory)
	if err != nil {
		return fmt.Errorf("directory of pack %s: %w: %v", id, ErrCorrupt, err)
	}
	ids := in(f.tx, tablePackIDs)
	old, err := ids.get(id[:])
	if err != nil {
		return err
	}
	if old != nil {
		return f.note("no effect: pack %s is there already", id)
	}
	num := PackNum(f.counters.Pack)
	f.counters.Pack++
	row.Record.Directory = nil
	v, err := Marshal(row)
	if err != nil {
		return err
	}
	if err := in(f.tx, tablePacks).put(packKey(num), v); err != nil {
		return err
	}
	if err := ids.put(id[:], packKey(num)); err != nil {
		return err
	}
	size := blobHeader + len(d.Entries)*entrySize + len(d.Frames)*frameSize
	if err := f.tx.Bucket(tableBlobs).Put(packKey(num), appendBlob(make([]byte, 0, size), num, d)); err != nil {
		return err
	}
	for i := range d.Entries {
		f.entries = append(f.entries, newRunEntry(d.Entries[i].ID, num, i))
	}
	return nil
}

// drop forgets a pack; its entries in runs lead nowhere from then on.
func (f *fold) drop(id pack.ID) error {
	if ok, err := f.may(Meta, "drop packs"); !ok {
		return err
	}
	v, err := in(f.tx, tablePackIDs).get(id[:])
	if err != nil {
		return err
	}
	if v == nil {
		return f.note("no effect: there is no pack %s to drop", id)
	}
	num := PackNum(binary.BigEndian.Uint32(v))
	f.counters.Drops++
	if err := in(f.tx, tablePackIDs).delete(id[:]); err != nil {
		return err
	}
	if err := in(f.tx, tablePacks).delete(packKey(num)); err != nil {
		return err
	}
	return f.tx.Bucket(tableBlobs).Put(packKey(num), appendBlob(nil, num, &pack.Directory{}))
}

func decodePack(k, v []byte) (*Pack, error) {
	var row packRow
	if err := decMode.Unmarshal(v, &row); err != nil || len(k) != 4 {
		return nil, fmt.Errorf("%w: row of table packs: %v", ErrDamaged, err)
	}
	return &Pack{Num: PackNum(binary.BigEndian.Uint32(k)), Record: row.Record, Seq: row.Seq, Offset: row.Offset}, nil
}

// Pack returns the pack with a number from a Location. ErrNotFound when it was dropped.
func (x *Index) Pack(num PackNum) (p *Pack, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		v, err := in(tx, tablePacks).get(packKey(num))
		if err != nil {
			return err
		}
		if v == nil {
			return fmt.Errorf("pack number %d: %w", num, ErrNotFound)
		}
		p, err = decodePack(packKey(num), v)
		return err
	})
	return p, err
}

// PackByID returns the pack called id, or ErrNotFound.
func (x *Index) PackByID(id pack.ID) (*Pack, error) {
	var num PackNum
	err := x.view(func(tx *bolt.Tx) error {
		v, err := in(tx, tablePackIDs).get(id[:])
		if err != nil {
			return err
		}
		if v == nil {
			return fmt.Errorf("pack %s: %w", id, ErrNotFound)
		}
		num = PackNum(binary.BigEndian.Uint32(v))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return x.Pack(num)
}

// Packs calls f for every pack, in the order of their numbers.
func (x *Index) Packs(f func(*Pack) error) error {
	return x.view(func(tx *bolt.Tx) error {
		return in(tx, tablePacks).scan(nil, nil, func(k, v []byte) error {
			p, err := decodePack(k, v)
			if err != nil {
				return err
			}
			return f(p)
		})
	})
}

// Directory returns the directory of a pack.
func (x *Index) Directory(num PackNum) (d *pack.Directory, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		row, err := in(tx, tablePacks).get(packKey(num))
		if err != nil {
			return err
		}
		if row == nil {
			return fmt.Errorf("pack number %d: %w", num, ErrNotFound)
		}
		b, err := openBlob(tx, num)
		if err != nil {
			return err
		}
		d, err = b.directory()
		return err
	})
	return d, err
}
