package index

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"filippo.io/age"
	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
	bolt "go.etcd.io/bbolt"
)

// loading is the value of row open while a checkpoint is being loaded: an index in
// which that did not end is stale.
const loading = "loading"

// readSize is how many bytes of a checkpoint are asked for at a time: r may be far away.
const readSize = 4 << 20

// LoadCheckpoint fills an empty index from the file of a checkpoint, which r reads and
// which has size bytes. Applied then returns the commit after which it was written, and
// whether that is a commit of the log is for the caller to say.
//
// The checkpoint must be signed by a writer with role full or meta whose certificates
// lead to the founder, and who is not revoked in it. It is believed on that
// writer's word: what it says is not proven by the log. Its body is read twice, 4 MiB at a
// time, first for its digest. Errors wrap ErrCorrupt, ErrVersion, ErrForged or ErrDamaged, or come from r;
// after one the index is empty again.
func (x *Index) LoadCheckpoint(r io.ReaderAt, size int64, founder WriterKey, meta age.Identity) error {
	x.apply.Lock()
	defer x.apply.Unlock()
	if err := x.loadCheckpoint(r, size, founder, meta); err != nil {
		return fmt.Errorf("load checkpoint: %w", err)
	}
	x.snapshots.Add(1)
	return nil
}

// VerifyCheckpoint checks a checkpoint of size bytes as LoadCheckpoint does, without the
// metadata identity and without what its body says: signature, certificates and the digest of
// the body. It returns the commit that it stands for.
func VerifyCheckpoint(r io.ReaderAt, size int64, founder WriterKey) (seq uint64, commit Hash, err error) {
	h, at, err := openCheckpoint(r, size, founder)
	if err != nil {
		return 0, commit, err
	}
	hash := blake3.New()
	if _, err := io.Copy(hash, bufio.NewReaderSize(io.NewSectionReader(r, at, size-at), int(min(readSize, size)))); err != nil {
		return 0, commit, err
	}
	if [32]byte(hash.Sum(nil)) != h.Body.Digest {
		return 0, commit, fmt.Errorf("body: %w: digest differs", ErrCorrupt)
	}
	return h.Seq, h.Hash, nil
}

func (x *Index) loadCheckpoint(r io.ReaderAt, size int64, founder WriterKey, meta age.Identity) error {
	h, at, err := openCheckpoint(r, size, founder)
	if err != nil {
		return err
	}
	body := func() io.Reader {
		return bufio.NewReaderSize(io.NewSectionReader(r, at, size-at), int(min(readSize, size)))
	}
	hash := blake3.New()
	if _, err := io.Copy(hash, body()); err != nil {
		return err
	}
	if [32]byte(hash.Sum(nil)) != h.Body.Digest {
		return fmt.Errorf("body: %w: digest differs", ErrCorrupt)
	}
	seq, _, err := x.Applied()
	if err != nil {
		return err
	}
	if seq != 0 {
		return fmt.Errorf("commit %d is applied already", seq)
	}
	if err := x.markLoading(); err != nil {
		return err
	}
	// The bytes are hashed again, since r may give others the second time.
	hash.Reset()
	l := &loader{x: x, header: h}
	if err := l.sections(io.TeeReader(body(), hash), meta); err != nil {
		return errors.Join(err, x.empty())
	}
	if [32]byte(hash.Sum(nil)) != h.Body.Digest {
		return errors.Join(fmt.Errorf("body: %w: it changed while it was read", ErrCorrupt), x.empty())
	}
	if err := l.finish(founder); err != nil {
		return errors.Join(err, x.empty())
	}
	return nil
}

func (x *Index) markLoading() error {
	return x.update(func(tx *bolt.Tx) error { return in(tx, tableState).put(keyOpen, []byte(loading)) })
}

// empty makes the index as it was when it was new, but for the counters: numbers of runs
// are not used twice. x.apply is held.
func (x *Index) empty() error {
	x.forgetFilter()
	return x.update(func(tx *bolt.Tx) error {
		repo, err := in(tx, tableState).get(keyRepo)
		if err != nil {
			return err
		}
		repo = bytes.Clone(repo)
		c, err := loadCounters(tx)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if err := tx.DeleteBucket(t); err != nil {
				return err
			}
		}
		if err := createTables(tx, repo, []byte(x.boot)); err != nil {
			return err
		}
		return c.store(tx)
	})
}

// loader takes in the sections of a checkpoint.
type loader struct {
	x      *Index
	header *checkpointHeader
	kind   int // of the last row
}

func (l *loader) sections(r io.Reader, meta age.Identity) error {
	plain, err := age.Decrypt(r, meta)
	if err != nil {
		return fmt.Errorf("%w: decrypt: %w", ErrCorrupt, err)
	}
	z, err := zstd.NewReader(plain, zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return err
	}
	defer z.Close()
	limit := &io.LimitedReader{R: z}
	dec := decMode.NewDecoder(fullReader{limit})
	for {
		var raw cbor.RawMessage
		limit.N = sectionLimit
		if err := dec.Decode(&raw); err == io.EOF && limit.N > 0 {
			break
		} else if err != nil {
			return fmt.Errorf("%w: section: %w", ErrCorrupt, err)
		}
		var s tableSection
		if err := Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("section: %w", err)
		}
		if err := l.section(&s); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	return nil
}

// fullReader fills the buffer: the decoder starts over with every read.
type fullReader struct{ r io.Reader }

func (f fullReader) Read(p []byte) (int, error) {
	n, err := io.ReadFull(f.r, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// section takes in one section in one transaction.
func (l *loader) section(s *tableSection) error {
	return l.x.fold(func(f *fold) error {
		f.header = &Header{Seq: l.header.Seq}
		steps := []struct {
			rows int
			load func(*fold, *tableSection) error
		}{
			{len(s.Writers), loadWriters}, {len(s.Revoked), l.loadRevoked}, {len(s.Sessions), loadSessions},
			{len(s.Packs), l.loadPacks}, {len(s.Buckets), loadBuckets}, {len(s.Versions), l.loadVersions},
			{len(s.Rows), loadRows}, {len(s.Notes), loadNotes},
		}
		for kind, step := range steps {
			if step.rows == 0 {
				continue
			}
			if kind < l.kind {
				return fmt.Errorf("%w: sections out of order", ErrCorrupt)
			}
			l.kind = kind
			if err := step.load(f, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// addRow puts a row that must be new.
func addRow(t table, key, value []byte) error {
	old, err := t.get(key)
	if err != nil {
		return err
	}
	if old != nil {
		return fmt.Errorf("%w: two rows for %x in table %s", ErrCorrupt, key, t.name)
	}
	return t.put(key, value)
}

func loadWriters(f *fold, s *tableSection) error {
	for i := range s.Writers {
		c := &s.Writers[i]
		if !c.Verify() {
			return fmt.Errorf("certificate of writer %s: %w", c.Writer, ErrForged)
		}
		v, err := Marshal(&writerRow{Certificate: *c})
		if err != nil {
			return err
		}
		if err := addRow(in(f.tx, tableWriters), c.Writer[:], v); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) loadRevoked(f *fold, s *tableSection) error {
	for _, k := range s.Revoked {
		w, err := writerOf(f.tx, k)
		if err != nil {
			return err
		}
		if w == nil || w.Revoked {
			return fmt.Errorf("%w: writer %s is revoked twice or unknown", ErrCorrupt, k)
		}
		if k == l.header.Writer {
			return fmt.Errorf("its writer %s was revoked: %w", k, ErrForged)
		}
		w.Revoked = true
		if err := putWriter(f.tx, w); err != nil {
			return err
		}
	}
	return nil
}

func loadSessions(f *fold, s *tableSection) error {
	for _, r := range s.Sessions {
		if r.State < SessionOpen || r.State > SessionSealed {
			return fmt.Errorf("%w: session %s has state %d", ErrCorrupt, r.Session, r.State)
		}
		if err := addRow(in(f.tx, tableSessions), r.Session[:], sessionRow(r.State, r.Writer)); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) loadPacks(f *fold, s *tableSection) error {
	for i := range s.Packs {
		p := &s.Packs[i]
		if err := p.Pack.validate(); err != nil {
			return fmt.Errorf("pack %s: %w: %v", p.Pack.ID, ErrCorrupt, err)
		}
		if p.Seq > l.header.Seq || p.Offset > math.MaxInt64 || p.Seq == 0 && p.Offset != 0 {
			return fmt.Errorf("pack %s: %w: place %d in commit %d", p.Pack.ID, ErrCorrupt, p.Offset, p.Seq)
		}
		before := f.counters.Pack
		if err := f.addPack(&packRow{Record: p.Pack, Seq: p.Seq, Offset: int64(p.Offset)}); err != nil {
			return err
		}
		if f.counters.Pack == before {
			return fmt.Errorf("%w: pack %s comes twice", ErrCorrupt, p.Pack.ID)
		}
	}
	return nil
}

func loadBuckets(f *fold, s *tableSection) error {
	for _, name := range s.Buckets {
		if !validName(name) {
			return fmt.Errorf("%w: bucket %q", ErrCorrupt, name)
		}
		num := binary.BigEndian.AppendUint32(nil, f.counters.Bucket)
		if err := addRow(in(f.tx, tableBuckets), []byte(name), num); err != nil {
			return err
		}
		f.counters.Bucket++
	}
	return nil
}

func (l *loader) loadVersions(f *fold, s *tableSection) error {
	for i := range s.Versions {
		v := &s.Versions[i]
		if err := v.Version.validate(); err != nil {
			return fmt.Errorf("version %s: %w: %v", v.Version.ID, ErrCorrupt, err)
		}
		if v.Seq == 0 || v.Seq > l.header.Seq {
			return fmt.Errorf("version %s: %w: put by commit %d", v.Version.ID, ErrCorrupt, v.Seq)
		}
		if ok, err := f.putVersion(&v.Version, v.Seq, v.Pos); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("%w: version %s comes twice or has no bucket", ErrCorrupt, v.Version.ID)
		}
	}
	return nil
}

func loadRows(f *fold, s *tableSection) error {
	for i := range s.Rows {
		r := &s.Rows[i]
		if err := r.validate(); err != nil || r.Value == nil {
			return fmt.Errorf("row: %w: %v", ErrCorrupt, err)
		}
		if err := addRow(in(f.tx, tableRows), rowKey(r.Table, r.Key), r.Value); err != nil {
			return err
		}
	}
	return nil
}

func loadNotes(f *fold, s *tableSection) error {
	for _, text := range s.Notes {
		if err := f.addNote(text); err != nil {
			return err
		}
	}
	return nil
}

// finish checks what only the whole can show, and makes the index believed: its last
// transaction sets the commit applied and the mark that it is not loading.
func (l *loader) finish(founder WriterKey) error {
	return l.x.update(func(tx *bolt.Tx) error {
		w, err := writerOf(tx, l.header.Writer)
		if err != nil {
			return err
		}
		if w == nil || w.Certificate != l.header.Chain[0] {
			return fmt.Errorf("its writer %s is not among the writers: %w", l.header.Writer, ErrForged)
		}
		if err := checkWriters(tx, founder); err != nil {
			return err
		}
		st := in(tx, tableState)
		if err := st.put(keyOpen, []byte(l.x.boot)); err != nil {
			return err
		}
		return setApplied(tx, l.header.Seq, l.header.Hash)
	})
}

// checkWriters checks that every writer was admitted by one with role full, up to the founder.
func checkWriters(tx *bolt.Tx, founder WriterKey) error {
	return in(tx, tableWriters).scan(nil, nil, func(_, v []byte) error {
		w, err := decodeWriter(v)
		if err != nil {
			return err
		}
		if w.Issuer == w.Writer && w.Writer == founder && w.Role == Full {
			return nil
		}
		issuer, err := writerOf(tx, w.Issuer)
		if err != nil {
			return err
		}
		if issuer == nil || issuer.Role != Full || issuer.Writer == w.Writer {
			return fmt.Errorf("writer %s is admitted by %s, who may not: %w", w.Writer, w.Issuer, ErrForged)
		}
		return nil
	})
}
