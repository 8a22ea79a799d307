package object

import (
	"fmt"
	"strings"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// A frozen bucket is a snapshot of its objects: one directory with a node for each, made by
// package snapshot. It lies in bucket Frozen under the name of the bucket, and shows each
// object as NAME/KEY with the metadata it had.
const (
	Frozen = "firn-snapshots"

	frozenOf    = "frozen-bucket"       // in Version.System of such a snapshot: the bucket
	frozenSince = "frozen-commit"       // likewise: the last commit that it surely has, decimal
	frozenAttr  = "user.firn.s3-object" // extended attribute with the metadata of an object
)

// FrozenBucket returns which bucket a snapshot is of, and the last commit that it has for
// sure; "" when it is another kind of snapshot.
func FrozenBucket(v *index.Version) (bucket string, commit uint64) {
	_, _ = fmt.Sscan(v.System[frozenSince], &commit) // 0 is before all commits
	return v.System[frozenOf], commit
}

// MarkFrozen makes a version of a tree one of a bucket.
func MarkFrozen(v *index.Version, bucket string, commit uint64) {
	v.System = map[string]string{frozenOf: bucket, frozenSince: fmt.Sprint(commit)}
}

// frozenObject is what is kept of an object beside its content.
type frozenObject struct {
	Class  string            `cbor:"0,keyasint"`
	User   map[string]string `cbor:"1,keyasint,omitempty"`
	System map[string]string `cbor:"2,keyasint,omitempty"`
	Tags   map[string]string `cbor:"3,keyasint,omitempty"`
	Parts  []uint64          `cbor:"4,keyasint,omitempty"`
	ID     index.VersionID   `cbor:"5,keyasint"`
	Null   bool              `cbor:"6,keyasint,omitempty"`
}

// Freeze makes the node of an object.
func Freeze(v *index.Version) (*tree.Node, error) {
	raw, err := index.Marshal(&frozenObject{v.Class, v.User, v.System, v.Tags, v.Parts, v.ID, v.Null})
	if err != nil {
		return nil, err
	}
	n := &tree.Node{Name: FrozenName(string(v.Key)), Mode: 0o644, ModTime: v.Time, Content: v.Content,
		Xattrs: []tree.Xattr{{Name: []byte(frozenAttr), Value: raw}}}
	if len(n.Content) == 0 {
		n.Content = make([]byte, len(repo.Content{}))
	}
	c, err := repo.ParseContent(n.Content)
	n.Size = c.Size()
	return n, err
}

// Thaw returns what a node of a frozen bucket was made of, but for its bucket: Key, ID, Time,
// Content and metadata.
func Thaw(n *tree.Node) (*index.Version, error) {
	for i := range n.Xattrs {
		if string(n.Xattrs[i].Name) != frozenAttr {
			continue
		}
		var o frozenObject
		if err := index.Unmarshal(n.Xattrs[i].Value, &o); err != nil {
			return nil, fmt.Errorf("object %q: %w: %v", n.Name, repo.ErrDamaged, err)
		}
		return &index.Version{Key: []byte(FrozenKey(n.Name)), ID: o.ID, Time: n.ModTime, Kind: index.ContentPayload, Content: n.Content,
			Class: o.Class, User: o.User, System: o.System, Tags: o.Tags, Parts: o.Parts, Null: o.Null}, nil
	}
	return nil, fmt.Errorf("object %q: %w: it has no metadata", n.Name, repo.ErrDamaged)
}

// FrozenName is the name of a key in a frozen bucket. Names are in the order of keys: a slash
// is written as a dot and 0xff, which no UTF-8 has; NUL as 0x01 0x01, and 0x01 as 0x01 0x02;
// and "." and "..", which are no names, have 0x01 at their end.
func FrozenName(key string) []byte {
	if key == "." || key == ".." {
		return []byte(key + "\x01")
	}
	return []byte(frozenNames.Replace(key))
}

// FrozenKey is the inverse of FrozenName.
func FrozenKey(name []byte) string {
	key := strings.TrimSuffix(string(name), "\x01")
	if len(key) < len(name) && key != "." && key != ".." {
		key = string(name)
	}
	return frozenKeys.Replace(key)
}

var (
	frozenNames = strings.NewReplacer("/", ".\xff", "\x00", "\x01\x01", "\x01", "\x01\x02")
	frozenKeys  = strings.NewReplacer(".\xff", "/", "\x01\x01", "\x00", "\x01\x02", "\x01")
)
