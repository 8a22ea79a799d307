package index

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// A row of table versions has the key bucket u32, key with 0x00 escaped as 0x00 0xff,
// 0x00 0x01, ^commit u64, ^position u32: buckets together, keys in byte order, newest
// version first. Its value is the version ID and the CBOR of the version.
// A row of table snapshots has the version ID as key and leads to that key.

// bucketNum returns the number of a bucket, from 1, or 0.
func bucketNum(tx *bolt.Tx, name string) (uint32, error) {
	v, err := in(tx, tableBuckets).get([]byte(name))
	if err != nil || v == nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(v), nil
}

func appendKey(b, key []byte) []byte {
	for _, c := range key {
		b = append(b, c)
		if c == 0 {
			b = append(b, 0xff)
		}
	}
	return b
}

func versionPrefix(bucket uint32, key []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, len(key)+18), bucket)
	return append(appendKey(b, key), 0, 1)
}

func versionKey(bucket uint32, key []byte, seq uint64, pos uint32) []byte {
	b := binary.BigEndian.AppendUint64(versionPrefix(bucket, key), ^seq)
	return binary.BigEndian.AppendUint32(b, ^pos)
}

// position reads back commit and position from the end of a row's key.
func position(k []byte) (seq uint64, pos uint32) {
	k = k[len(k)-12:]
	return ^binary.BigEndian.Uint64(k), ^binary.BigEndian.Uint32(k[8:])
}

// putVersion puts a version, which commit seq has at position pos. It returns false, and
// notes why, if that has no effect.
func (f *fold) putVersion(v *Version, seq uint64, pos uint32) (bool, error) {
	num, err := bucketNum(f.tx, v.Bucket)
	if err != nil {
		return false, err
	}
	if num == 0 {
		return false, f.note("no effect: version %s is put into bucket %s, which does not exist", v.ID, v.Bucket)
	}
	key := versionKey(num, v.Key, seq, pos)
	if v.Kind == TreePayload {
		snapshots := in(f.tx, tableSnapshots)
		old, err := snapshots.get(v.ID[:])
		if err != nil {
			return false, err
		}
		if old != nil {
			return false, f.note("no effect: snapshot %s is there already", v.ID)
		}
		if err := snapshots.put(v.ID[:], key); err != nil {
			return false, err
		}
		f.snapshots = true
	}
	enc, err := Marshal(v)
	if err != nil {
		return false, err
	}
	return true, in(f.tx, tableVersions).put(key, append(v.ID[:], enc...))
}

// find returns key and value of the row of a version, or nil.
func find(tx *bolt.Tx, bucket string, key []byte, id VersionID) (rowKey, row []byte, err error) {
	num, err := bucketNum(tx, bucket)
	if err != nil || num == 0 {
		return nil, nil, err
	}
	err = in(tx, tableVersions).scan(versionPrefix(num, key), nil, func(k, v []byte) error {
		if !bytes.HasPrefix(v, id[:]) {
			return nil
		}
		rowKey, row = append([]byte(nil), k...), v
		return errStop
	})
	if err == errStop {
		err = nil
	}
	return rowKey, row, err
}

func (f *fold) remove(r Removal) error {
	if ok, err := f.may(Meta, "remove versions"); !ok {
		return err
	}
	found, _, err := find(f.tx, r.Bucket, r.Key, r.ID)
	if err != nil {
		return err
	}
	if found == nil {
		return f.note("no effect: there is no version %s of %q in bucket %s to remove", r.ID, r.Key, r.Bucket)
	}
	if err := in(f.tx, tableVersions).delete(found); err != nil {
		return err
	}
	snapshots := in(f.tx, tableSnapshots)
	key, err := snapshots.get(r.ID[:])
	if err != nil || !bytes.Equal(key, found) {
		return err
	}
	f.snapshots = true
	return snapshots.delete(r.ID[:])
}

func (f *fold) edit(e Edit) error {
	if ok, err := f.may(Meta, "edit versions"); !ok {
		return err
	}
	found, row, err := find(f.tx, e.Bucket, e.Key, e.ID)
	if err != nil {
		return err
	}
	if found == nil {
		return f.note("no effect: there is no version %s of %q in bucket %s to edit", e.ID, e.Key, e.Bucket)
	}
	v, err := decodeVersion(row)
	if err != nil {
		return err
	}
	v.Class, v.User, v.System, v.Lock, v.Tags = e.Class, e.User, e.System, e.Lock, e.Tags
	enc, err := Marshal(v)
	if err != nil {
		return err
	}
	return in(f.tx, tableVersions).put(found, append(v.ID[:], enc...))
}

func decodeVersion(row []byte) (*Version, error) {
	v := &Version{}
	if len(row) < 16 {
		return nil, fmt.Errorf("%w: row of table versions", ErrDamaged)
	}
	if err := decMode.Unmarshal(row[16:], v); err != nil {
		return nil, fmt.Errorf("%w: row of table versions: %v", ErrDamaged, err)
	}
	return v, nil
}

// Buckets returns the names of all buckets in byte order.
func (x *Index) Buckets() (names []string, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		return in(tx, tableBuckets).scan(nil, nil, func(k, _ []byte) error {
			names = append(names, string(k))
			return nil
		})
	})
	return names, err
}

// Versions calls f for the versions of keys that begin with prefix, from key from on,
// keys in byte order, newest version first. ErrNotFound without such a bucket.
func (x *Index) Versions(bucket string, prefix, from []byte, f func(*Version) error) error {
	return x.view(func(tx *bolt.Tx) error {
		num, err := bucketNum(tx, bucket)
		if err != nil {
			return err
		}
		if num == 0 {
			return fmt.Errorf("bucket %s: %w", bucket, ErrNotFound)
		}
		head := binary.BigEndian.AppendUint32(nil, num)
		p := appendKey(append([]byte(nil), head...), prefix)
		return in(tx, tableVersions).scan(p, appendKey(head, from), func(_, row []byte) error {
			v, err := decodeVersion(row)
			if err != nil {
				return err
			}
			return f(v)
		})
	})
}

// SnapshotChanges is a number that grows when snapshots come or go. What is read after it
// is at least as new.
func (x *Index) SnapshotChanges() uint64 { return x.snapshots.Load() }

// Snapshots calls f for the snapshots whose ID begins with the hexadecimal digits
// given, in the order of their IDs.
func (x *Index) Snapshots(hexPrefix string, f func(*Version) error) error {
	low, err := hex.DecodeString(hexPrefix[:len(hexPrefix)/2*2])
	if err != nil || len(hexPrefix) > 2*len(VersionID{}) {
		return fmt.Errorf("snapshot %q: %w", hexPrefix, ErrNotFound)
	}
	return x.view(func(tx *bolt.Tx) error {
		versions := in(tx, tableVersions)
		return in(tx, tableSnapshots).scan(low, nil, func(id, key []byte) error {
			if hex.EncodeToString(id)[:len(hexPrefix)] != hexPrefix {
				return nil
			}
			row, err := versions.get(key)
			if err != nil {
				return err
			}
			v, err := decodeVersion(row)
			if err != nil {
				return err
			}
			return f(v)
		})
	})
}

// Row returns a row of another table, or ErrNotFound.
func (x *Index) Row(tableName string, key []byte) (value []byte, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		v, err := in(tx, tableRows).get(rowKey(tableName, key))
		if err == nil && v == nil {
			err = fmt.Errorf("%s %q: %w", tableName, key, ErrNotFound)
		}
		value = append([]byte{}, v...)
		return err
	})
	return value, err
}

// Rows calls f for the rows of another table whose keys begin with prefix, from key from
// on, in byte order. Key and value are valid until f returns.
func (x *Index) Rows(tableName string, prefix, from []byte, f func(key, value []byte) error) error {
	head := len(tableName) + 1
	return x.view(func(tx *bolt.Tx) error {
		return in(tx, tableRows).scan(rowKey(tableName, prefix), rowKey(tableName, from), func(k, v []byte) error {
			return f(k[head:], v)
		})
	})
}
