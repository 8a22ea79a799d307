package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

const (
	maxParts      = 10_000
	minPart       = 5 << 20 // of all parts but the last
	maxCompletion = 4 << 20 // bytes of the list of parts
)

// completeUpload makes an object out of parts.
func (q *request) completeUpload() error {
	data, err := q.readBody(maxCompletion) // checksums in headers are those of the object
	if err != nil {
		return err
	}
	id := q.query.Get("uploadId")
	parts, err := parseCompletion(data)
	if err != nil {
		return err
	}
	want, err := wantedWhole(q.r.Header)
	if err != nil {
		return err
	}
	check, err := q.writeCondition()
	if err != nil {
		return err
	}
	u, err := q.h.e.Upload(q.bucket, q.key, id)
	if err != nil && !errors.Is(err, object.ErrNoUpload) {
		return err
	}
	// When the upload is not there, it may have been completed by the same request before.
	if err == nil {
		if err := checkCompletion(u, parts, want); err != nil {
			return err
		}
		if err := q.sameCustomerKey(u); err != nil {
			return err
		}
	}
	v, err := q.h.e.Complete(q.ctx(), &object.CompleteRequest{
		Bucket: q.bucket, Key: q.key, ID: id, Parts: parts, MinPart: minPart, Check: check, Tell: q.tell(completeEvents),
		Finish: func(v *index.Version, parts []*object.Part) error { return finishWhole(v, parts, want) },
	})
	if err != nil {
		return completionError(err, id, parts)
	}
	return q.completed(v)
}

// completionError tells which part is at fault.
func completionError(err error, id string, parts []object.CompletePart) error {
	var bad *object.PartError
	if !errors.As(err, &bad) {
		return err
	}
	etag := bad.ETag
	for _, p := range parts {
		if p.Number == bad.Number {
			etag = p.System[metaETag]
		}
	}
	if bad.Reason == object.PartTooSmall {
		return errorf("EntityTooSmall", "").with("ProposedSize", itoa(bad.Size)).with("MinSizeAllowed", itoa(minPart)).
			with("PartNumber", itoa(bad.Number)).with("ETag", etag)
	}
	return errorf("InvalidPart", "").with("UploadId", id).with("PartNumber", itoa(bad.Number)).with("ETag", etag)
}

// completed answers with the version that was made.
func (q *request) completed(v *index.Version) error {
	w := &xmlWriter{}
	w.begin("CompleteMultipartUploadResult")
	w.text("Location", q.location())
	w.text("Bucket", q.bucket)
	w.text("Key", q.key)
	w.etag(v.System[metaETag])
	for _, c := range listedChecksums {
		w.some("Checksum"+c.name, v.System[c.meta])
	}
	w.some("ChecksumType", v.System[metaSumType])
	q.versionHeaders(v)
	return q.writeList(w, "CompleteMultipartUploadResult")
}

// wholeChecks are what a client says of the object that it completes.
type wholeChecks struct {
	algo string // of sum: CRC32, …; "" when none was given
	sum  string // base64, with or without the number of parts behind it
	typ  string
	size int64 // -1: not given
}

// wantedWhole reads the headers that say what the object is to be.
func wantedWhole(head http.Header) (want wholeChecks, err error) {
	want.size = -1
	for _, c := range listedChecksums {
		name := "x-amz-" + c.meta
		values := head.Values(name)
		if len(values) == 0 {
			continue
		}
		if want.algo != "" || len(values) > 1 {
			return want, errorf("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		want.algo, want.sum = c.name, values[0]
		value, count, composite := strings.Cut(want.sum, "-")
		_, badCount := strconv.ParseUint(count, 10, 16)
		if _, err := base64.StdEncoding.Strict().DecodeString(value); err != nil {
			return want, wrongSum(strings.ToLower(c.name)) // no object has it
		}
		if !isChecksum(c.name, value) || composite && badCount != nil {
			return want, errorf("InvalidRequest", "Value for %s header is invalid.", name)
		}
	}
	switch want.typ = strings.ToUpper(head.Get("x-amz-checksum-type")); want.typ {
	case "", composite, fullObject:
	default:
		return want, errorf("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
	}
	if v := head.Get("x-amz-mp-object-size"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil:
			return want, errorf("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.")
		case n < 0:
			return want, errorf("InvalidRequest", "Value for x-amz-mp-object-size header is less than zero: '%d'", n)
		}
		want.size = n
	}
	return want, nil
}

// checkCompletion checks what can be known before the parts are looked at.
func checkCompletion(u *object.Upload, parts []object.CompletePart, want wholeChecks) error {
	algo, typ := u.Version.System[metaSumAlgo], u.Version.System[metaSumType]
	for _, p := range parts {
		given := givenChecksum(p.System)
		switch {
		case algo == "" && given != "":
			return errorf("InvalidPart", "").with("UploadId", u.ID).with("PartNumber", itoa(p.Number)).with("ETag", p.System[metaETag])
		case algo == "" || given == strings.ToLower(algo):
		case given != "":
			return errorf("BadDigest", "The %s you specified for part %d did not match what we received.", given, p.Number)
		case typ == composite:
			return errorf("InvalidRequest", "The upload was created using a %s checksum. The complete request must include the "+
				"checksum for each part. It was missing for part %d in the request.", strings.ToLower(algo), p.Number)
		}
	}
	if typ == "" {
		typ = fullObject
	}
	if want.typ != "" && want.typ != typ {
		return errorf("InvalidRequest", "The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", typ)
	}
	if algo != "" && want.algo != "" && want.algo != algo {
		return errorf("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
			strings.ToLower(algo), strings.ToLower(want.algo))
	}
	return nil
}

// givenChecksum returns the algorithm, in lower case, of the checksum that a client gave
// of a part, or "".
func givenChecksum(system map[string]string) string {
	for k := range system {
		if algo, ok := strings.CutPrefix(k, metaSum); ok {
			return algo
		}
	}
	return ""
}

// finishWhole sets what the version that is made of parts has of its own: ETag and
// checksums.
func finishWhole(v *index.Version, parts []*object.Part, want wholeChecks) error {
	var size int64
	etags := md5.New()
	for _, p := range parts {
		size += p.Size
		b, err := hex.DecodeString(p.System[metaETag])
		if err != nil {
			return err
		}
		etags.Write(b)
	}
	if want.size >= 0 && want.size != size {
		return errorf("InvalidRequest", "The provided 'x-amz-mp-object-size' header value %d does not match what was computed: %d", want.size, size)
	}
	if size > maxObject {
		return errorf("EntityTooLarge", "").with("ProposedSize", itoa(size)).with("MaxSizeAllowed", itoa(int64(maxObject)))
	}
	delete(v.System, metaInitiator)
	v.System[metaETag] = hex.EncodeToString(etags.Sum(nil)) + "-" + itoa(len(parts))
	algo, typ := v.System[metaSumAlgo], v.System[metaSumType]
	delete(v.System, metaSumAlgo)
	asked := algo != ""
	if !asked {
		algo, typ = defaultChecksum, fullObject
	}
	sum, list, err := joinChecksums(algo, typ, parts)
	if err != nil {
		return err
	}
	if asked && want.sum != "" && want.sum != sum && (typ != composite || want.sum+"-"+itoa(len(parts)) != sum) {
		return wrongSum(strings.ToLower(algo))
	}
	v.System[metaSum+strings.ToLower(algo)], v.System[metaSumType] = sum, typ
	if asked {
		v.System[metaPartSums] = list
	}
	return nil
}

// joinChecksums returns the checksum of the whole, and those of the parts with commas
// between.
func joinChecksums(algo, typ string, parts []*object.Part) (sum, list string, err error) {
	key := metaSum + strings.ToLower(algo)
	sums := make([]string, len(parts))
	for i, p := range parts {
		sums[i] = p.System[key]
	}
	if typ == composite {
		sum, err = compositeChecksum(algo, sums)
	} else {
		sum, err = wholeChecksum(algo, sums, parts)
	}
	return sum, strings.Join(sums, ","), err
}

func compositeChecksum(algo string, sums []string) (string, error) {
	h := newChecksum(algo)
	for _, s := range sums {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) != h.Size() {
			return "", errorf("InternalError", "")
		}
		h.Write(b)
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + itoa(len(sums)), nil
}

// wholeChecksum puts the CRC of the whole together from those of the parts.
func wholeChecksum(algo string, sums []string, parts []*object.Part) (string, error) {
	j := crcJoiner{polynomial: polynomials[algo]}
	for i, s := range sums {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || uint(len(b))*8 != j.bits {
			return "", errorf("InternalError", "")
		}
		var n uint64
		for _, c := range b {
			n = n<<8 | uint64(c)
		}
		j.add(n, parts[i].Size)
	}
	b := make([]byte, j.bits/8)
	for i := range b {
		b[i] = byte(j.sum >> (j.bits - 8 - 8*uint(i)))
	}
	return base64.StdEncoding.EncodeToString(b), nil
}
