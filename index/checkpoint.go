package index

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
	bolt "go.etcd.io/bbolt"

	"github.com/firnstore/firn/pack"
)

const (
	checkpointMagic = "firn-ckp"

	sectionTarget = 4 << 20                   // bytes of rows at which a section is closed
	sectionLimit  = maxBody + 2*sectionTarget // bytes of a section; one row may be as large as a body
	maxWindow     = 16 << 20                  // bytes that a zstd frame may ask a reader to keep
	maxChain      = 64                        // certificates between a writer and the founder
)

// checkpointHeader and tableSection are as in docs/format.md, section 11.
type checkpointHeader struct {
	Seq    uint64        `cbor:"0,keyasint"`
	Hash   Hash          `cbor:"1,keyasint"`
	Writer WriterKey     `cbor:"2,keyasint"`
	Chain  []Certificate `cbor:"3,keyasint"`
	Body   Section       `cbor:"4,keyasint"`
}

type tableSection struct {
	Writers  []Certificate    `cbor:"0,keyasint,omitempty"`
	Revoked  []WriterKey      `cbor:"1,keyasint,omitempty"`
	Sessions []sessionRecord  `cbor:"2,keyasint,omitempty"`
	Packs    []placedPack     `cbor:"3,keyasint,omitempty"`
	Buckets  []string         `cbor:"4,keyasint,omitempty"`
	Versions []orderedVersion `cbor:"5,keyasint,omitempty"`
	Rows     []Row            `cbor:"6,keyasint,omitempty"`
	Notes    []string         `cbor:"7,keyasint,omitempty"`
}

type sessionRecord struct {
	_       struct{} `cbor:",toarray"`
	Session pack.Session
	State   SessionState
	Writer  WriterKey
}

type placedPack struct {
	_      struct{} `cbor:",toarray"`
	Pack   PackRecord
	Seq    uint64 // commit that embeds it, or 0
	Offset uint64 // in the file of that commit
}

type orderedVersion struct {
	_       struct{} `cbor:",toarray"`
	Version Version
	Seq     uint64 // commit that put it
	Pos     uint32 // among the versions of that commit
}

// CheckpointName is the name in a store of a checkpoint after commit seq; random tells
// it from others after the same commit.
func CheckpointName(seq, random uint64) string {
	return fmt.Sprintf("checkpoints/%016x-%016x", seq, random)
}

// ParseCheckpointName returns what CheckpointName was given.
func ParseCheckpointName(name string) (seq, random uint64, ok bool) {
	if n, err := fmt.Sscanf(name, "checkpoints/%x-%x", &seq, &random); n != 2 || err != nil {
		return 0, 0, false
	}
	return seq, random, CheckpointName(seq, random) == name
}

// WriteCheckpoint writes the body of a checkpoint after commit seq, the one applied
// last, to body. The file of the checkpoint is head, then the body. The signer
// must be an admitted writer with role full or meta who is not revoked, or the error
// wraps ErrForged.
//
// It takes the memory of a few sections of 4 MiB. It sees one state of the index
// throughout; an Apply meanwhile may have to wait for it. Before it is sealed, the body
// follows from the log alone.
func (x *Index) WriteCheckpoint(body io.Writer, signer ed25519.PrivateKey, meta age.Recipient) (
	seq uint64, head []byte, err error) {
	h := checkpointHeader{Writer: WriterKey(signer.Public().(ed25519.PublicKey))}
	err = x.view(func(tx *bolt.Tx) error {
		if h.Seq, h.Hash, err = applied(tx); err != nil {
			return err
		}
		if h.Seq == 0 {
			return fmt.Errorf("no commit is applied")
		}
		if h.Chain, err = chainOf(tx, h.Writer); err != nil {
			return err
		}
		h.Body, err = sealCheckpoint(tx, body, meta)
		return err
	})
	if err == nil {
		head, err = appendSigned(checkpointMagic, &h, signer)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("write checkpoint: %w", err)
	}
	return h.Seq, head, nil
}

// chainOf returns the certificates from that of writer k, who may sign a checkpoint, up to
// one that the founder issued.
func chainOf(tx *bolt.Tx, k WriterKey) (chain []Certificate, err error) {
	for {
		w, err := writerOf(tx, k)
		if err != nil {
			return nil, err
		}
		if len(chain) == 0 && (w == nil || w.Revoked || w.Role > Meta) {
			return nil, fmt.Errorf("writer %s may not: %w", k, ErrForged)
		}
		if w == nil || len(chain) == maxChain {
			return nil, fmt.Errorf("%w: no way from writer %s to the founder", ErrDamaged, k)
		}
		chain = append(chain, w.Certificate)
		if w.Issuer == w.Writer {
			return dropFounder(chain), nil
		}
		k = w.Issuer
	}
}

// dropFounder leaves out the founder's own certificate, unless it is the only one.
func dropFounder(chain []Certificate) []Certificate {
	if len(chain) > 1 {
		return chain[:len(chain)-1]
	}
	return chain
}

// sealCheckpoint writes the folded state that tx sees.
func sealCheckpoint(tx *bolt.Tx, dst io.Writer, meta age.Recipient) (body Section, err error) {
	count := &counter{hash: blake3.New()}
	sealed, err := age.Encrypt(io.MultiWriter(dst, count), meta)
	if err != nil {
		return body, err
	}
	enc, err := zstd.NewWriter(sealed, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return body, err
	}
	w := &sectionWriter{dst: enc}
	for _, dump := range []func(*bolt.Tx, *sectionWriter) error{
		dumpWriters, dumpSessions, dumpPacks, dumpBuckets, dumpVersions, dumpRows, dumpNotes,
	} {
		if err := dump(tx, w); err != nil {
			_ = enc.Close() // ends its goroutines
			return body, err
		}
		if err := w.flush(); err != nil {
			_ = enc.Close()
			return body, err
		}
	}
	if err := enc.Close(); err != nil {
		return body, err
	}
	if err := sealed.Close(); err != nil {
		return body, err
	}
	return Section{Size: uint64(count.n), Digest: [32]byte(count.hash.Sum(nil))}, nil
}

// counter counts and hashes what is written to it.
type counter struct {
	hash *blake3.Hasher
	n    int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.hash.Write(p)
}

// sectionWriter cuts rows into sections.
type sectionWriter struct {
	dst  io.Writer
	sec  tableSection
	size int // about, of the rows in sec
}

// added ends a section that has grown to its target by a row of n bytes.
func (w *sectionWriter) added(n int) error {
	if w.size += n; w.size < sectionTarget {
		return nil
	}
	return w.flush()
}

func (w *sectionWriter) flush() error {
	if w.size == 0 {
		return nil
	}
	b, err := Marshal(&w.sec)
	if err != nil {
		return err
	}
	w.sec, w.size = tableSection{}, 0
	_, err = w.dst.Write(b)
	return err
}

func dumpWriters(tx *bolt.Tx, w *sectionWriter) error {
	var revoked []WriterKey
	err := in(tx, tableWriters).scan(nil, nil, func(_, v []byte) error {
		row, err := decodeWriter(v)
		if err != nil {
			return err
		}
		if row.Revoked {
			revoked = append(revoked, row.Writer)
		}
		w.sec.Writers = append(w.sec.Writers, row.Certificate)
		return w.added(len(v))
	})
	if err != nil || len(revoked) == 0 {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.sec.Revoked = revoked
	return w.added(len(revoked) * len(WriterKey{}))
}

func dumpSessions(tx *bolt.Tx, w *sectionWriter) error {
	return in(tx, tableSessions).scan(nil, nil, func(k, v []byte) error {
		w.sec.Sessions = append(w.sec.Sessions, sessionRecord{
			Session: pack.Session(k), State: SessionState(v[0]), Writer: WriterKey(v[1:])})
		return w.added(len(k) + len(v))
	})
}

func dumpPacks(tx *bolt.Tx, w *sectionWriter) error {
	return in(tx, tablePacks).scan(nil, nil, func(k, v []byte) error {
		p, err := decodePack(k, v)
		if err != nil {
			return err
		}
		b, err := openBlob(tx, p.Num)
		if err != nil {
			return err
		}
		d, err := b.directory()
		if err != nil {
			return err
		}
		p.Record.Directory = d.Append(nil)
		w.sec.Packs = append(w.sec.Packs, placedPack{Pack: p.Record, Seq: p.Seq, Offset: uint64(p.Offset)})
		return w.added(len(v) + len(p.Record.Directory))
	})
}

func dumpBuckets(tx *bolt.Tx, w *sectionWriter) error {
	return in(tx, tableBuckets).scan(nil, nil, func(k, v []byte) error {
		w.sec.Buckets = append(w.sec.Buckets, string(k))
		return w.added(len(k))
	})
}

// dumpVersions goes by the names of buckets: their numbers are local.
func dumpVersions(tx *bolt.Tx, w *sectionWriter) error {
	return in(tx, tableBuckets).scan(nil, nil, func(_, num []byte) error {
		return in(tx, tableVersions).scan(num, nil, func(k, row []byte) error {
			v, err := decodeVersion(row)
			if err != nil {
				return err
			}
			seq, pos := position(k)
			w.sec.Versions = append(w.sec.Versions, orderedVersion{Version: *v, Seq: seq, Pos: pos})
			return w.added(len(row))
		})
	})
}

func dumpRows(tx *bolt.Tx, w *sectionWriter) error {
	return in(tx, tableRows).scan(nil, nil, func(k, v []byte) error {
		name, key, _ := strings.Cut(string(k), "\x00")
		w.sec.Rows = append(w.sec.Rows, Row{Table: name, Key: []byte(key), Value: append([]byte{}, v...)})
		return w.added(len(k) + len(v))
	})
}

func dumpNotes(tx *bolt.Tx, w *sectionWriter) error {
	return in(tx, tableNotes).scan(nil, nil, func(_, v []byte) error {
		w.sec.Notes = append(w.sec.Notes, string(v))
		return w.added(len(v))
	})
}

// splitHead reads preamble, header and signature from the start of a checkpoint.
func splitHead(r io.ReaderAt, size int64) ([]byte, error) {
	b := make([]byte, preambleSize)
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	n := preambleSize + int64(binary.BigEndian.Uint32(b[12:])) + sigSize
	if n > preambleSize+maxHeader+sigSize || n > size {
		return b, nil // splitSigned says what is wrong with it
	}
	b = make([]byte, n)
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}

// openCheckpoint checks all of a checkpoint but its body, and returns where that begins.
func openCheckpoint(r io.ReaderAt, size int64, founder WriterKey) (h *checkpointHeader, body int64, err error) {
	b, err := splitHead(r, size)
	if err != nil {
		return nil, 0, err
	}
	hdr, n, err := splitSigned(b, checkpointMagic)
	if err != nil {
		return nil, 0, err
	}
	h = &checkpointHeader{}
	if err := Unmarshal(hdr, h); err != nil {
		return nil, 0, err
	}
	if !ed25519.Verify(h.Writer[:], b[:n-sigSize], b[n-sigSize:n]) {
		return nil, 0, fmt.Errorf("signature: %w", ErrForged)
	}
	if !verifyChain(h.Chain, h.Writer, founder) {
		return nil, 0, fmt.Errorf("certificates of writer %s: %w", h.Writer, ErrForged)
	}
	if h.Seq == 0 || size < int64(n) || uint64(size-int64(n)) != h.Body.Size {
		return nil, 0, fmt.Errorf("%w: body of %d bytes in a file of %d", ErrCorrupt, h.Body.Size, size)
	}
	return h, int64(n), nil
}

// verifyChain reports whether the certificates allow writer k to sign a checkpoint, on
// the founder's word.
func verifyChain(chain []Certificate, k, founder WriterKey) bool {
	for i := range chain {
		c := &chain[i]
		least := Full
		if i == 0 {
			least = Meta
		}
		if i == maxChain || c.Writer != k || c.Role > least || !c.Verify() {
			return false
		}
		k = c.Issuer
	}
	return len(chain) > 0 && k == founder
}
