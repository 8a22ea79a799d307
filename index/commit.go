package index

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
)

const (
	commitMagic   = "firn-log"
	formatVersion = 1
	preambleSize  = 16
	sigSize       = ed25519.SignatureSize
)

// Commit is one atomic step of the repository.
//
// Embedded packs are in Blobs, in the order of Header.Embedded; ParseCommit leaves
// Blobs empty and gives their place in the file by BlobOffset.
type Commit struct {
	Header Header
	Body   Body
	Blobs  [][]byte

	// Hash and Size of the file, and the offset of its first embedded pack. Set by
	// Seal and ParseCommit.
	Hash       Hash
	Size       int64
	BlobOffset int64

	// Opaque: the body was left sealed, for want of the metadata identity.
	Opaque bool
}

// CommitName is the name in a store of commit seq.
func CommitName(seq uint64) string {
	return fmt.Sprintf("log/%06x/%016x", seq/4096, seq)
}

// ParseCommitName is the inverse of CommitName.
func ParseCommitName(name string) (seq uint64, ok bool) {
	var dir uint64
	if n, err := fmt.Sscanf(name, "log/%x/%x", &dir, &seq); n != 2 || err != nil {
		return 0, false
	}
	return seq, CommitName(seq) == name
}

// NewCertificate admits writer with role, on the word of issuer.
func NewCertificate(writer WriterKey, role Role, issuer ed25519.PrivateKey) Certificate {
	c := Certificate{Writer: writer, Role: role, Issuer: WriterKey(issuer.Public().(ed25519.PublicKey))}
	copy(c.Sig[:], ed25519.Sign(issuer, c.message()))
	return c
}

func (c *Certificate) message() []byte {
	m := append([]byte("firn writer v1\n"), byte(c.Role))
	return append(m, c.Writer[:]...)
}

// Verify reports whether the issuer signed the certificate and its role exists.
func (c *Certificate) Verify() bool {
	return c.Role >= Full && c.Role <= Write && ed25519.Verify(c.Issuer[:], c.message(), c.Sig[:])
}

// founds reports whether the certificate is that of the founder k.
func (c *Certificate) founds(k WriterKey) bool {
	return c.Writer == k && c.Issuer == k && c.Role == Full && c.Verify()
}

// Seal fills in what follows from the other fields (writer, added packs, sizes and
// digests), signs, and returns the bytes of the commit file. It sets Hash, Size and
// BlobOffset. What ParseCommit would refuse is an error that wraps ErrCorrupt.
func (c *Commit) Seal(signer ed25519.PrivateKey, meta age.Recipient) ([]byte, error) {
	h := &c.Header
	h.Writer = WriterKey(signer.Public().(ed25519.PublicKey))
	h.Added = nil
	for _, p := range c.Body.Packs {
		h.Added = append(h.Added, p.ID)
	}
	body, err := sealBody(&c.Body, meta)
	if err != nil {
		return nil, err
	}
	h.Body = Section{Size: uint64(len(body)), Digest: blake3.Sum256(body)}
	if len(c.Blobs) != len(h.Embedded) {
		panic("index: commit has other embedded packs than its header says")
	}
	for i, b := range c.Blobs {
		h.Embedded[i].Size, h.Embedded[i].Digest = uint64(len(b)), blake3.Sum256(b)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	b, err := appendSigned(commitMagic, h, signer)
	if err != nil {
		return nil, fmt.Errorf("commit %d: %w", h.Seq, err)
	}
	c.Hash = blake3.Sum256(b)
	b = append(b, body...)
	c.BlobOffset = int64(len(b))
	for _, blob := range c.Blobs {
		b = append(b, blob...)
	}
	c.Size = int64(len(b))
	return b, nil
}

// appendSigned returns preamble, header and signature of a commit or checkpoint.
func appendSigned(magic string, header any, signer ed25519.PrivateKey) ([]byte, error) {
	hdr, err := Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("encode header: %w", err)
	}
	if len(hdr) > maxHeader {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrCorrupt, len(hdr))
	}
	b := binary.BigEndian.AppendUint16([]byte(magic), formatVersion)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(hdr)))
	b = append(b, hdr...)
	return append(b, ed25519.Sign(signer, b)...), nil
}

// One encoder and one decoder serve all commits: they are made for use by several
// goroutines, and making one costs more than a small commit.
var (
	encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	})
	decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBody))
	})
)

func sealBody(body *Body, meta age.Recipient) ([]byte, error) {
	plain, err := Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode commit body: %w", err)
	}
	if len(plain) > maxBody {
		return nil, fmt.Errorf("%w: commit body of %d bytes", ErrCorrupt, len(plain))
	}
	enc, err := encoder()
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, meta)
	if err != nil {
		return nil, fmt.Errorf("seal commit body: %w", err)
	}
	if _, err := w.Write(enc.EncodeAll(plain, nil)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// splitSigned checks magic, version, reserved bytes and signature of a commit or
// checkpoint, and returns its header bytes and the length of the signed part with
// the signature.
func splitSigned(b []byte, magic string) (header []byte, n int, err error) {
	if len(b) < preambleSize || string(b[:8]) != magic {
		return nil, 0, fmt.Errorf("%w: no %s magic at its start", ErrCorrupt, magic)
	}
	if v := binary.BigEndian.Uint16(b[8:]); v != formatVersion {
		return nil, 0, fmt.Errorf("%w: version %d", ErrVersion, v)
	}
	if binary.BigEndian.Uint16(b[10:]) != 0 {
		return nil, 0, fmt.Errorf("%w: reserved bits are set", ErrVersion)
	}
	size := int64(binary.BigEndian.Uint32(b[12:]))
	if size > maxHeader || preambleSize+size+sigSize > int64(len(b)) {
		return nil, 0, fmt.Errorf("%w: header of %d bytes in %d", ErrCorrupt, size, len(b))
	}
	end := preambleSize + int(size)
	return b[preambleSize:end], end + sigSize, nil
}

// ParseCommit checks and decodes the bytes of a commit file. Without meta the body is
// left sealed and the commit is Opaque. It proves that the commit is whole and signed
// by Header.Writer; whether that writer may is for Apply to say. Errors wrap
// ErrCorrupt, ErrVersion or ErrForged.
func ParseCommit(b []byte, meta age.Identity) (*Commit, error) {
	h, n, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	c := &Commit{Header: *h, Hash: blake3.Sum256(b[:n]), Size: int64(len(b))}
	rest, body, err := cutSection(b[n:], h.Body.Size, h.Body.Digest)
	if err != nil {
		return nil, fmt.Errorf("commit %d: body: %w", h.Seq, err)
	}
	c.BlobOffset = int64(len(b) - len(rest))
	for _, e := range h.Embedded {
		if rest, _, err = cutSection(rest, e.Size, e.Digest); err != nil {
			return nil, fmt.Errorf("commit %d: embedded pack %s: %w", h.Seq, e.Pack, err)
		}
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("commit %d: %w: %d bytes behind its end", h.Seq, ErrCorrupt, len(rest))
	}
	if meta == nil {
		c.Opaque = true
		return c, nil
	}
	if err := openBody(body, meta, &c.Body); err != nil {
		return nil, fmt.Errorf("commit %d: body: %w", h.Seq, err)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

func cutSection(b []byte, size uint64, digest [32]byte) (rest, section []byte, err error) {
	if size > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: cut short, %d of %d bytes", ErrCorrupt, len(b), size)
	}
	if blake3.Sum256(b[:size]) != digest {
		return nil, nil, fmt.Errorf("%w: digest differs", ErrCorrupt)
	}
	return b[size:], b[:size], nil
}

func openBody(sealed []byte, meta age.Identity, body *Body) error {
	r, err := age.Decrypt(bytes.NewReader(sealed), meta)
	if err != nil {
		return fmt.Errorf("%w: decrypt: %v", ErrCorrupt, err)
	}
	packed, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("%w: decrypt: %v", ErrCorrupt, err)
	}
	dec, err := decoder()
	if err != nil {
		return err
	}
	plain, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return fmt.Errorf("%w: decompress: %v", ErrCorrupt, err)
	}
	return Unmarshal(plain, body)
}
