package s3

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

// partSum says which checksums a part needs.
type partSum struct {
	want   wantedSum // what the client says
	stored string    // algorithm of the one that is kept, from which that of the object follows
	listed string    // algorithm of the one that clients are told; "" is none
}

// newPartSum compares what a client says of a part with what the upload asks for.
func newPartSum(u *object.Upload, want wantedSum) (partSum, error) {
	algo, typ := u.Version.System[metaSumAlgo], u.Version.System[metaSumType]
	if algo == "" {
		return partSum{want: want, stored: defaultChecksum, listed: want.algo}, nil
	}
	given := strings.ToLower(want.algo)
	if given == "" {
		given = "null"
	}
	if want.algo != algo && (want.algo != "" || typ == composite) {
		return partSum{}, errorf("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", strings.ToLower(algo), given)
	}
	return partSum{want: want, stored: algo, listed: algo}, nil
}

// uploadPart stores a part from the body of the request.
func (q *request) uploadPart() error {
	number, err := parsePartNumber(q.query.Get("partNumber"))
	if err != nil {
		return err
	}
	size, err := q.bodySize()
	if err != nil {
		return err
	}
	if size > maxPut {
		return tooLarge(size)
	}
	want, err := parseWantedSum(q.r.Header)
	if err != nil {
		return err
	}
	digest, err := parseContentMD5(q.r.Header)
	if err != nil {
		return err
	}
	u, err := q.upload()
	if err != nil {
		return err
	}
	sum, err := newPartSum(u, want)
	if err != nil {
		return err
	}
	key, err := q.partKey(u)
	if err != nil {
		return err
	}
	p, shown, err := q.putPart(u, number, key, sum, digest, &boundedReader{r: q.body(), left: maxPut, size: size})
	if err != nil {
		return err
	}
	head := q.w.Header()
	head.Set("ETag", quoted(p.System[metaETag]))
	if sum.listed != "" {
		head.Set(checksumHeader+sum.listed, shown)
	}
	sseHeaders(head, &u.Version)
	return q.none(http.StatusOK)
}

// putPart stores a part and returns it with the checksum, in base64, that sum lists. digest
// is the MD5 that the client says it has, or nil.
func (q *request) putPart(u *object.Upload, number int, key []byte, sum partSum, digest []byte, src io.Reader) (*object.Part, string, error) {
	algo := sum.stored
	var beside hash.Hash // when the client sent another checksum than is stored
	if sum.want.algo != "" && sum.want.algo != algo {
		algo, beside = sum.want.algo, newChecksum(algo)
		src = &tappedReader{Reader: src, hash: beside}
	}
	b, err := newBody(key, algo, digest != nil || key != nil, src)
	if err != nil {
		return nil, "", err
	}
	defer b.stop()
	var shown string
	p, err := q.h.e.PutPart(q.ctx(), u, number, b, func(p *object.Part) error {
		sums, err := b.finish()
		if err != nil {
			return err
		}
		if err := checkBody(sums, &sum.want, digest, q); err != nil {
			return err
		}
		shown = base64.StdEncoding.EncodeToString(sums.sum)
		stored := shown
		if beside != nil {
			stored = base64.StdEncoding.EncodeToString(beside.Sum(nil))
		}
		if sums.sealed {
			if sums.etag, err = sealedPartETag(key, u.ID, number, sums.md5); err != nil {
				return err
			}
		}
		p.Size = sums.size
		p.System = map[string]string{metaETag: sums.etag, metaSum + strings.ToLower(sum.stored): stored}
		return nil
	})
	return p, shown, err
}

// partETagInfo separates the keys of ETags from the others that are derived of a key.
const partETagInfo = "firn s3 part etag"

// sealedPartETag returns the ETag of a part that key seals. Who sends a part again, since
// no answer came, has the ETag of any of the tries to complete the upload with, so they
// all have the same; beyond the part, equal contents must not show. digest is the MD5 of
// the content.
func sealedPartETag(key []byte, uploadID string, number int, digest []byte) (string, error) {
	derived, err := hkdf.Key(sha256.New, key, []byte(uploadID), partETagInfo, keySize)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, derived)
	_, _ = fmt.Fprintf(h, "%d %x", number, digest) // it never fails
	return hex.EncodeToString(h.Sum(nil)[:md5.Size]), nil
}

// checkBody compares what was learned of a body with what the client says of it.
func checkBody(sums *bodySums, want *wantedSum, digest []byte, q *request) error {
	if want.algo != "" {
		if err := want.check(sums.sum, q.trailer()); err != nil {
			return err
		}
	}
	if digest != nil && !bytes.Equal(digest, sums.md5) {
		return errorf("BadDigest", "").with("ExpectedDigest", hex.EncodeToString(digest)).
			with("CalculatedDigest", base64.StdEncoding.EncodeToString(sums.md5))
	}
	return nil
}

// tappedReader hashes what is read, in the way of the reader: it is for fast hashes.
type tappedReader struct {
	io.Reader
	hash hash.Hash
}

// Read implements io.Reader.
func (t *tappedReader) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.hash.Write(p[:n])
	return n, err
}

// Len is how much is left to read, -1 when that is not known.
func (t *tappedReader) Len() int64 { return remaining(t.Reader) }
