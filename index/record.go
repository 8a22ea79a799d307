package index

import (
	"crypto/ed25519"
	"encoding/hex"

	"github.com/fxamacker/cbor/v2"

	"github.com/firnstore/firn/pack"
)

// Hash is the hash of a commit: BLAKE3-256 of its preamble, header and signature.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// WriterKey is the Ed25519 public key of a writer.
type WriterKey [ed25519.PublicKeySize]byte

func (k WriterKey) String() string { return hex.EncodeToString(k[:]) }

// Role says what the holder of a key slot may do; docs/format.md, section 5.
type Role uint8

// The roles, with their numbers in certificates.
const (
	Full  Role = 1
	Meta  Role = 2
	Write Role = 3
)

func (r Role) String() string {
	switch r {
	case Full:
		return "full"
	case Meta:
		return "meta"
	case Write:
		return "write"
	}
	return "unknown role"
}

// Certificate admits a writer; see NewCertificate.
type Certificate struct {
	Writer WriterKey `cbor:"0,keyasint"`
	Role   Role      `cbor:"1,keyasint"`
	Issuer WriterKey `cbor:"2,keyasint"`
	Sig    [64]byte  `cbor:"3,keyasint"`
}

// Step says whether a commit begins or ends its session.
type Step uint8

// The steps; Begin|End is a session of one commit.
const (
	Begin Step = 1
	End   Step = 2
)

// Header is the part of a commit that is readable without the metadata identity.
type Header struct {
	Seq      uint64         `cbor:"0,keyasint"`
	Prev     Hash           `cbor:"1,keyasint"`
	Nonce    [16]byte       `cbor:"2,keyasint"`
	Writer   WriterKey      `cbor:"3,keyasint"`
	Session  pack.Session   `cbor:"4,keyasint"`
	Time     int64          `cbor:"5,keyasint"` // ns since 1970, by the writer's clock; informative
	Step     Step           `cbor:"6,keyasint,omitempty"`
	Seals    []pack.Session `cbor:"7,keyasint,omitempty"`
	Added    []pack.ID      `cbor:"8,keyasint,omitempty"`
	Dropped  []pack.ID      `cbor:"9,keyasint,omitempty"`
	Body     Section        `cbor:"10,keyasint"`
	Embedded []Embedded     `cbor:"11,keyasint,omitempty"`
	Admitted []Certificate  `cbor:"12,keyasint,omitempty"`
	Revoked  []WriterKey    `cbor:"13,keyasint,omitempty"`
}

// Section is a part of a file that a digest covers.
type Section struct {
	_      struct{} `cbor:",toarray"`
	Size   uint64
	Digest [32]byte
}

// Embedded is a pack that lies in the commit file instead of a file of its own.
type Embedded struct {
	_      struct{} `cbor:",toarray"`
	Pack   pack.ID
	Size   uint64
	Digest [32]byte
}

// Body is the sealed part of a commit.
type Body struct {
	Packs          []PackRecord `cbor:"0,keyasint,omitempty"`
	Buckets        []string     `cbor:"1,keyasint,omitempty"`
	Versions       []Version    `cbor:"2,keyasint,omitempty"`
	Removals       []Removal    `cbor:"3,keyasint,omitempty"`
	BucketsRemoved []string     `cbor:"4,keyasint,omitempty"`
	Rows           []Row        `cbor:"5,keyasint,omitempty"`
	Edits          []Edit       `cbor:"6,keyasint,omitempty"`
}

// PackRecord announces a pack: everything that is known of it without reading it.
type PackRecord struct {
	ID        pack.ID   `cbor:"0,keyasint"`
	Kind      pack.Kind `cbor:"1,keyasint"`
	Stream    string    `cbor:"2,keyasint"` // source or bucket that filled it
	Tier      uint64    `cbor:"3,keyasint"` // 0: the repository's own store
	Size      int64     `cbor:"4,keyasint"` // sealed bytes
	Digest    [32]byte  `cbor:"5,keyasint"` // BLAKE3-256 of the sealed bytes
	AgeHeader []byte    `cbor:"6,keyasint"`
	Directory []byte    `cbor:"7,keyasint"`
	Days      uint64    `cbor:"8,keyasint,omitempty"` // expected lifetime
}

// PayloadKind says what a version holds.
type PayloadKind uint8

// The kinds of payload.
const (
	ContentPayload PayloadKind = 0
	TreePayload    PayloadKind = 1
	DeleteMarker   PayloadKind = 2
)

// VersionID names a version; of a snapshot it is the snapshot ID.
type VersionID [16]byte

func (id VersionID) String() string { return hex.EncodeToString(id[:]) }

// Version is one state of a key in a bucket.
type Version struct {
	Bucket   string            `cbor:"0,keyasint"`
	Key      []byte            `cbor:"1,keyasint"`
	ID       VersionID         `cbor:"2,keyasint"`
	Time     int64             `cbor:"3,keyasint"` // ns since 1970
	Kind     PayloadKind       `cbor:"4,keyasint"`
	Content  []byte            `cbor:"5,keyasint,omitempty"` // handle, 41 bytes
	Root     cbor.RawMessage   `cbor:"6,keyasint,omitempty"` // node, encoded by package snapshot
	Snapshot *Snapshot         `cbor:"7,keyasint,omitempty"`
	Class    string            `cbor:"8,keyasint"`
	User     map[string]string `cbor:"9,keyasint,omitempty"`
	System   map[string]string `cbor:"10,keyasint,omitempty"`
	Lock     *Lock             `cbor:"11,keyasint,omitempty"`
	Tags     map[string]string `cbor:"12,keyasint,omitempty"`
	Parts    []uint64          `cbor:"13,keyasint,omitempty"`
	Null     bool              `cbor:"14,keyasint,omitempty"`
}

// Snapshot is what is recorded of a backup beside its tree.
type Snapshot struct {
	Host       string     `cbor:"0,keyasint"`
	User       string     `cbor:"1,keyasint,omitempty"`
	Paths      [][]byte   `cbor:"2,keyasint"`
	Tags       []string   `cbor:"3,keyasint,omitempty"`
	Parent     *VersionID `cbor:"4,keyasint,omitempty"`
	Start      int64      `cbor:"5,keyasint"`
	End        int64      `cbor:"6,keyasint"`
	Files      uint64     `cbor:"7,keyasint"`
	Bytes      uint64     `cbor:"8,keyasint"`
	BytesNew   uint64     `cbor:"9,keyasint"`  // new chunks before compression
	BytesAdded uint64     `cbor:"10,keyasint"` // growth of the repository
	Unreadable uint64     `cbor:"11,keyasint,omitempty"`
	Program    string     `cbor:"12,keyasint,omitempty"`
}

// Lock protects a version from removal.
type Lock struct {
	Mode      uint8  `cbor:"0,keyasint,omitempty"` // 1 governance, 2 compliance
	Until     int64  `cbor:"1,keyasint,omitempty"`
	Hold      bool   `cbor:"2,keyasint,omitempty"`
	EventHold bool   `cbor:"3,keyasint,omitempty"`
	EventDays uint64 `cbor:"4,keyasint,omitempty"`
}

// Removal names a version to remove.
type Removal struct {
	_      struct{} `cbor:",toarray"`
	Bucket string
	Key    []byte
	ID     VersionID
}

// Edit replaces what may change of a version that is there. The version keeps its place,
// its time and its payload.
type Edit struct {
	Bucket string            `cbor:"0,keyasint"`
	Key    []byte            `cbor:"1,keyasint"`
	ID     VersionID         `cbor:"2,keyasint"`
	Class  string            `cbor:"8,keyasint"`
	User   map[string]string `cbor:"9,keyasint,omitempty"`
	System map[string]string `cbor:"10,keyasint,omitempty"`
	Lock   *Lock             `cbor:"11,keyasint,omitempty"`
	Tags   map[string]string `cbor:"12,keyasint,omitempty"`
}

// Row sets one row of another table, or removes it when Value is nil.
type Row struct {
	_     struct{} `cbor:",toarray"`
	Table string
	Key   []byte
	Value []byte
}

// MarshalCBOR encodes the row; a nil Value becomes null, an empty one does not.
func (r Row) MarshalCBOR() ([]byte, error) {
	fields := []any{r.Table, r.Key, nil}
	if r.Value != nil {
		fields[2] = r.Value
	}
	return encMode.Marshal(fields)
}
