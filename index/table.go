package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"
)

// table is a bbolt bucket of checked rows. A row is: CRC-32C of table, key and the
// rest of the row (u32), CRC-32C of the key of the next row (u32, 0 in the last), value.
//
// bbolt checks neither pages nor rows. The first CRC vouches for what a row says, the
// second for what is missing: a key is absent only if it would lie between two rows
// that are neighbours, and a scan is complete only if each row is followed by the one
// that it names. The first row of every table has the key {0}, which no other row has.
type table struct {
	b    *bolt.Bucket
	name []byte
}

const rowHead = 8

// maxEmptied bounds the pages that one transaction can have emptied side by side: there is
// always a row before, but in a damaged file.
const maxEmptied = 1 << 20

var firstKey = []byte{0}

func in(tx *bolt.Tx, name []byte) table { return table{tx.Bucket(name), name} }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// link is what a row says of the key of its successor.
func link(key []byte) uint32 { return crc32.Checksum(key, castagnoli) }

func (t table) crc(key, rest []byte) uint32 {
	c := crc32.Update(0, castagnoli, t.name)
	c = crc32.Update(c, castagnoli, key)
	return crc32.Update(c, castagnoli, rest)
}

func (t table) damaged(key []byte, what string) error {
	return fmt.Errorf("%w: table %s at key %x: %s", ErrDamaged, t.name, key, what)
}

// check returns the value of a row, valid during the transaction, and its link.
func (t table) check(key, row []byte) (value []byte, next uint32, err error) {
	if len(row) < rowHead || binary.BigEndian.Uint32(row) != t.crc(key, row[4:]) {
		return nil, 0, t.damaged(key, "the row fails its check")
	}
	return row[rowHead:], binary.BigEndian.Uint32(row[4:]), nil
}

func (t table) write(key []byte, next uint32, value []byte) error {
	row := make([]byte, rowHead, rowHead+len(value))
	binary.BigEndian.PutUint32(row[4:], next)
	row = append(row, value...)
	binary.BigEndian.PutUint32(row, t.crc(key, row[4:]))
	return t.b.Put(key, row)
}

// before returns the row before key, having checked that next follows it. The cursor
// stands at next, the first row behind key, or at key itself.
func (t table) before(c *bolt.Cursor, key, next []byte) (prev, value []byte, err error) {
	var row []byte
	if next == nil {
		prev, row = c.Last()
	} else {
		// A page that this transaction has emptied stays until the commit, and Prev stops
		// at it.
		for range maxEmptied {
			if prev, row = c.Prev(); prev != nil {
				break
			}
		}
	}
	if prev == nil || bytes.Compare(prev, key) >= 0 || next != nil && bytes.Compare(key, next) > 0 {
		return nil, nil, t.damaged(key, "rows are out of order")
	}
	value, l, err := t.check(prev, row)
	if err != nil {
		return nil, nil, err
	}
	if l != link(next) {
		return nil, nil, t.damaged(prev, "the next row is not the one it names")
	}
	return prev, value, nil
}

// create writes the first row of an empty table.
func (t table) create() error { return t.write(firstKey, 0, nil) }

// get returns nil for a missing row. The value is valid during the transaction.
func (t table) get(key []byte) ([]byte, error) {
	if bytes.Compare(key, firstKey) <= 0 {
		return nil, nil // no row has such a key
	}
	c := t.b.Cursor()
	k, row := c.Seek(key)
	if !bytes.Equal(k, key) {
		_, _, err := t.before(c, key, k)
		return nil, err
	}
	v, _, err := t.check(k, row)
	return v, err
}

func (t table) put(key, value []byte) error {
	if bytes.Compare(key, firstKey) <= 0 {
		return fmt.Errorf("table %s: a row cannot have the key %q", t.name, key)
	}
	c := t.b.Cursor()
	k, row := c.Seek(key)
	if bytes.Equal(k, key) {
		_, next, err := t.check(k, row)
		if err != nil {
			return err
		}
		return t.write(key, next, value)
	}
	next := link(k)
	prev, v, err := t.before(c, key, k)
	if err != nil {
		return err
	}
	if err := t.write(prev, link(key), v); err != nil {
		return err
	}
	return t.write(key, next, value)
}

// delete removes a row, if it is there.
func (t table) delete(key []byte) error {
	c := t.b.Cursor()
	k, row := c.Seek(key)
	if !bytes.Equal(k, key) {
		_, _, err := t.before(c, key, k)
		return err
	}
	_, next, err := t.check(k, row)
	if err != nil {
		return err
	}
	prev, v, err := t.before(c, key, k)
	if err != nil {
		return err
	}
	if err := t.write(prev, next, v); err != nil {
		return err
	}
	return t.b.Delete(key)
}

// scan calls f for the rows from the first key ≥ from on that begin with prefix. Key
// and value are valid during the transaction.
func (t table) scan(prefix, from []byte, f func(key, value []byte) error) error {
	start := from
	if bytes.Compare(start, prefix) < 0 {
		start = prefix
	}
	if len(start) == 0 {
		start = firstKey
	}
	c := t.b.Cursor()
	k, row := c.Seek(start)
	if !bytes.Equal(k, start) {
		if _, _, err := t.before(c, start, k); err != nil {
			return err
		}
		k, row = c.Seek(start)
	}
	for k != nil && bytes.HasPrefix(k, prefix) {
		v, l, err := t.check(k, row)
		if err != nil {
			return err
		}
		if !bytes.Equal(k, firstKey) {
			if err := f(k, v); err != nil {
				return err
			}
		}
		next, nextRow := c.Next()
		if l != link(next) || next != nil && bytes.Compare(k, next) >= 0 {
			return t.damaged(k, "the next row is not the one it names")
		}
		k, row = next, nextRow
	}
	return nil
}

// has reports whether a key begins with prefix.
func (t table) has(prefix []byte) (found bool, err error) {
	err = t.scan(prefix, nil, func(_, _ []byte) error {
		found = true
		return errStop
	})
	if found {
		err = nil
	}
	return found, err
}
