package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

// putInput is an object that is about to be put whole.
type putInput struct {
	version *index.Version
	sealing *sealing
	size    int64  // of the body; -1 when it is not known
	md5     []byte // Content-MD5; nil when none was sent
	sum     wantedSum
	check   writeCheck
	events  EventNames
}

// newPut reads the headers of a request, or the fields of a form, that tell of an object
// and its body. size is that of the body; -1 when it is not known.
func (q *request) newPut(head http.Header, size int64) (p *putInput, err error) {
	p = &putInput{size: size, events: putEvents}
	if size > maxPut {
		return nil, tooLarge(size)
	}
	if p.check, err = q.writeCondition(); err != nil { // of a form, too, it is in the headers of the request
		return nil, err
	}
	if p.version, err = q.newVersion(head); err != nil {
		return nil, err
	}
	if p.md5, err = parseContentMD5(head); err != nil {
		return nil, err
	}
	if p.sum, err = parseWantedSum(head); err != nil {
		return nil, err
	}
	if p.sealing, err = q.newSealing(head); err != nil {
		return nil, err
	}
	return p, p.sealing.note(p.version.System)
}

func tooLarge(size int64) *apiError {
	return errorf("EntityTooLarge", "").with("ProposedSize", itoa(size)).with("MaxSizeAllowed", itoa(int64(maxPut)))
}

// parseContentMD5 returns the digest of the header, nil when there is none.
func parseContentMD5(head http.Header) ([]byte, error) {
	values := head["Content-Md5"]
	if len(values) == 0 {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(values[0])
	if err != nil || len(sum) != md5.Size {
		return nil, errorf("InvalidDigest", "").with("Content-MD5", values[0])
	}
	return sum, nil
}

// put stores body as the newest version of the key of the request. Digests, length and
// conditions hold when it returns.
func (q *request) put(p *putInput, body io.Reader) (*index.Version, error) {
	return q.store(p, &boundedReader{r: body, left: maxPut, size: p.size}, func(sums *bodySums) error {
		return checkBody(sums, &p.sum, p.md5, q)
	})
}

// store is put without its checks; check is called with what was learned of the body before
// the version is made.
func (q *request) store(p *putInput, src io.Reader, check func(*bodySums) error) (*index.Version, error) {
	b, err := newBody(p.sealing.key, p.sum.algo, p.md5 != nil, src)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	req := &object.PutRequest{Bucket: q.bucket, Key: q.key, Version: *p.version, Check: p.check, Tell: q.tell(p.events)}
	return q.h.e.Put(q.ctx(), req, b, func(v *index.Version) error {
		sums, err := b.finish()
		if err != nil {
			return err
		}
		if err := check(sums); err != nil {
			return err
		}
		sums.note(v)
		return nil
	})
}

// boundedReader refuses more than what one put may bring.
type boundedReader struct {
	r    io.Reader
	left int64
	size int64 // of the whole; -1 when it is not known
	n    int64
}

// Len is how much is left to read, -1 when that is not known.
func (b *boundedReader) Len() int64 {
	if b.size < 0 {
		return -1
	}
	return max(b.size-b.n, 0)
}

// Read implements io.Reader.
func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > b.left {
		return 0, tooLarge(b.n)
	}
	return n, err
}

// body is what the engine reads when a part, or an object that is put whole, is stored: it
// hashes what comes, and seals it when it has a key.
type body struct {
	io.Reader
	algo   string // of the checksum
	plain  *digester
	outer  *digester // of what is stored; plain when nothing is sealed
	sealer *sealer   // nil when nothing is sealed
	sum    hash.Hash
	inner  hash.Hash // MD5 of what came, when it is not that of what is stored
	etag   hash.Hash // MD5 of what is stored
}

// bodySums are what was learned of a body on the way.
type bodySums struct {
	size   int64 // plain
	sealed bool
	algo   string
	sum    []byte
	md5    []byte // of what came; nil when it is sealed and was not asked for
	etag   string
}

// newBody returns a reader of what is to be stored for src. key seals it; nil does not.
// algo is that of the checksum; "" is the default one. withMD5 asks for the MD5 of what
// came. stop has to be called in the end.
func newBody(key []byte, algo string, withMD5 bool, src io.Reader) (*body, error) {
	if algo == "" {
		algo = defaultChecksum
	}
	b := &body{algo: algo, sum: newChecksum(algo), etag: md5.New()}
	if key == nil {
		b.plain = newDigester(src, b.etag, b.sum)
		b.outer, b.Reader = b.plain, b.plain
		return b, nil
	}
	hashes := []hash.Hash{b.sum}
	if withMD5 {
		b.inner = md5.New()
		hashes = append(hashes, b.inner)
	}
	b.plain = newDigester(src, hashes...)
	var err error
	if b.sealer, err = newSealer(key, b.plain); err != nil {
		return nil, err
	}
	b.outer = newDigester(b.sealer, b.etag)
	b.Reader = b.outer
	return b, nil
}

// Len is how much is left to read, -1 when that is not known.
func (b *body) Len() int64 { return remaining(b.Reader) }

// finish returns what was learned, after all was read. A source that ended before its
// length is an error.
func (b *body) finish() (*bodySums, error) {
	if b.Len() > 0 {
		return nil, errorf("IncompleteBody", "")
	}
	b.plain.finish()
	b.outer.finish()
	s := &bodySums{size: b.plain.n, sealed: b.sealer != nil, algo: b.algo, sum: b.sum.Sum(nil), etag: hex.EncodeToString(b.etag.Sum(nil))}
	switch {
	case b.sealer == nil:
		s.md5 = b.etag.Sum(nil)
	case b.inner != nil:
		s.md5 = b.inner.Sum(nil)
	}
	return s, nil
}

// stop ends what finish would wait for. It may be called more than once.
func (b *body) stop() {
	b.plain.stop()
	b.outer.stop()
}

// note keeps what was learned with a version.
func (s *bodySums) note(v *index.Version) {
	system := make(map[string]string, len(v.System)+3)
	for name, value := range v.System {
		system[name] = value
	}
	s.noteSystem(system)
	system[metaSumType] = fullObject
	v.System = system
	if s.sealed {
		v.Parts = []uint64{uint64(s.size)}
	}
}

// noteSystem keeps ETag and checksum among the system metadata of a version or part.
func (s *bodySums) noteSystem(system map[string]string) {
	system[metaETag] = s.etag
	for i := range listedChecksums {
		if listedChecksums[i].name == s.algo {
			system[listedChecksums[i].meta] = base64.StdEncoding.EncodeToString(s.sum)
		}
	}
}

// bodySize is the length that a body has to tell beforehand. S3 takes a chunked one only when a length comes with it.
func (q *request) bodySize() (int64, error) {
	switch {
	case q.auth.Size >= 0:
		return q.auth.Size, nil
	case len(q.r.TransferEncoding) > 0:
		return 0, errorf("NotImplemented", "").with("Header", "Transfer-Encoding")
	}
	return 0, errorf("MissingContentLength", "")
}

// putObject stores an object.
func (q *request) putObject() error {
	size, err := q.bodySize()
	if err != nil {
		return err
	}
	p, err := q.newPut(q.r.Header, size)
	if err != nil {
		return err
	}
	if p.version.Lock != nil && q.user == nil {
		return badArgument("Put Object requests with Object Lock parameters require AWS Signature Version 4", "Authorization", "null")
	}
	if (p.version.Lock != nil || q.b.Retention != nil) && q.demandDigest() != nil {
		return errorf("InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters")
	}
	v, err := q.put(p, q.body())
	if err != nil {
		return err
	}
	q.putHeaders(v)
	return q.none(http.StatusOK)
}

// putHeaders tells of an object that was put whole.
func (q *request) putHeaders(v *index.Version) {
	q.made = v
	head := q.w.Header()
	head.Set("ETag", quoted(etagOf(v)))
	sumHeaders(head, v.System)
	if c := v.System[metaKMSCtx]; c != "" {
		head.Set(headKMSContext, c)
	}
	q.versionHeaders(v)
}
