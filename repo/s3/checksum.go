package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"net/http"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/crc64nvme"
	"github.com/zeebo/xxh3"
)

// Values of metaSumType.
const (
	fullObject = "FULL_OBJECT"
	composite  = "COMPOSITE"
)

// defaultChecksum is what an object gets for which the client sent none.
const defaultChecksum = "CRC64NVME"

// checksumHeader begins the names of headers with checksums: x-amz-checksum-crc32, ….
const checksumHeader = "X-Amz-Checksum-"

// polynomials of the checksums that can be put together from those of pieces.
var polynomials = map[string]polynomial{"CRC32": polyCRC32, "CRC32C": polyCRC32C, "CRC64NVME": polyCRC64NVME}

// newChecksum returns a hash for an algorithm of listedChecksums, or nil.
func newChecksum(algo string) hash.Hash {
	switch algo {
	case "CRC32":
		return crc32.NewIEEE()
	case "CRC32C":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "CRC64NVME":
		return crc64nvme.New()
	case "SHA1":
		return sha1.New()
	case "SHA256":
		return sha256.New()
	case "SHA512":
		return sha512.New()
	case "MD5":
		return md5.New()
	case "XXHASH64":
		return xxhash.New()
	case "XXHASH3":
		return xxh3.New()
	case "XXHASH128":
		return xxh3.New128()
	}
	return nil
}

// unsupportedChecksum is the answer to x-amz-checksum-algorithm with another algorithm.
func unsupportedChecksum() error {
	return errorf("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "+
		"[CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512, XXHASH128, XXHASH3, XXHASH64]")
}

// wantedSum is the checksum that a client says a body has.
type wantedSum struct {
	algo    string // CRC32, …; "" when it says none
	value   []byte // nil when it follows in the trailer
	trailer bool
}

// parseWantedSum reads the headers that tell the checksum of the body.
func parseWantedSum(head http.Header) (want wantedSum, err error) {
	for name, values := range head {
		algo, ok := strings.CutPrefix(name, checksumHeader)
		if !ok || algo == "Mode" || algo == "Type" || algo == "Algorithm" {
			continue
		}
		algo = strings.ToUpper(algo)
		h := newChecksum(algo)
		if h == nil {
			return want, errorf("NotImplemented", "").with("Header", strings.ToLower(name))
		}
		if want.algo != "" || len(values) != 1 {
			return want, errorf("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		want.algo = algo
		if want.value, err = base64.StdEncoding.Strict().DecodeString(values[0]); err != nil {
			return want, wrongSum(algo) // no body has it
		}
		if len(want.value) != h.Size() {
			return want, invalidSum(algo)
		}
	}
	return want, want.announced(head)
}

// announced reads the headers that say which checksum there is, and where.
func (want *wantedSum) announced(head http.Header) error {
	for _, name := range strings.Split(strings.Join(head["X-Amz-Trailer"], ","), ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if name == "" {
			continue
		}
		algo, ok := strings.CutPrefix(name, checksumHeader)
		algo = strings.ToUpper(algo)
		if !ok || newChecksum(algo) == nil {
			return errorf("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
		}
		if want.algo != "" {
			return errorf("InvalidRequest", "Expecting a single x-amz-checksum- header")
		}
		want.algo, want.trailer = algo, true
	}
	sdk := strings.ToUpper(head.Get("x-amz-sdk-checksum-algorithm"))
	switch {
	case sdk == "":
	case newChecksum(sdk) == nil:
		return errorf("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
	case want.algo == "":
		return errorf("InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case want.algo != sdk:
		return errorf("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return nil
}

func invalidSum(algo string) *apiError {
	return errorf("InvalidRequest", "Value for x-amz-checksum-%s header is invalid.", strings.ToLower(algo))
}

func wrongSum(algo string) *apiError {
	return errorf("BadDigest", "The %s you specified did not match the calculated checksum.", algo)
}

// check compares the sum of a body that was read to its end with the one wanted. trailer
// may be nil when none was announced.
func (want *wantedSum) check(sum []byte, trailer http.Header) error {
	value := want.value
	if want.trailer {
		var err error
		value, err = base64.StdEncoding.Strict().DecodeString(trailer.Get(checksumHeader + want.algo))
		if err != nil || len(value) != len(sum) {
			return invalidSum(want.algo)
		}
	}
	if !bytes.Equal(sum, value) {
		return wrongSum(want.algo)
	}
	return nil
}

// trailer returns the headers that followed the body, which was read to its end.
func (q *request) trailer() http.Header {
	if q.auth == nil {
		return nil
	}
	return q.auth.Trailer
}

// verifyChecksums checks a whole body against the x-amz-checksum headers or trailers.
func (q *request) verifyChecksums(data []byte) error {
	want, err := parseWantedSum(q.r.Header)
	if err != nil || want.algo == "" {
		return err
	}
	h := newChecksum(want.algo)
	h.Write(data)
	return want.check(h.Sum(nil), q.trailer())
}

// sumHeaders adds the checksum that is stored of a version to an answer.
func sumHeaders(head http.Header, system map[string]string) {
	for i := range listedChecksums {
		if value := system[listedChecksums[i].meta]; value != "" {
			head.Set("x-amz-"+listedChecksums[i].meta, value)
			head.Set("x-amz-checksum-type", sumType(system))
			return
		}
	}
}

// sumType of a version that has a checksum.
func sumType(system map[string]string) string {
	if t := system[metaSumType]; t != "" {
		return t
	}
	return fullObject
}
