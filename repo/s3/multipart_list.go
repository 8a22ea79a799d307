package s3

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

// uploadPage is a page of uploads and common prefixes.
type uploadPage struct {
	uploads   []*object.Upload
	prefixes  []string
	truncated bool
	last      string // upload or common prefix that the page ends with
	lastID    string // of the upload; "" after a common prefix
}

// source of uploads, as object.Engine.Uploads is for a bucket.
type uploadSource func(prefix, afterKey, afterID string, f func(*object.Upload) bool) error

// behindKeys sorts behind every key that begins with what stands before it: keys are UTF-8.
const behindKeys = "\xff"

// pageOfUploads reads a page that begins behind (after, afterID). Of each common prefix it
// reads one upload.
func pageOfUploads(l *listParams, after, afterID string, source uploadSource) (*uploadPage, error) {
	page := &uploadPage{}
	if cp := l.commonPrefix(after); cp != "" {
		after, afterID = cp+behindKeys, ""
	}
	for jumped := true; jumped; {
		jumped = false
		err := source(l.prefix, after, afterID, func(u *object.Upload) bool {
			if len(page.uploads)+len(page.prefixes) >= l.max {
				page.truncated = l.max > 0
				return false
			}
			key := string(u.Version.Key)
			if cp := l.commonPrefix(key); cp != "" {
				page.prefixes = append(page.prefixes, cp)
				page.last, page.lastID = cp, ""
				after, afterID, jumped = cp+behindKeys, "", true
				return false
			}
			page.uploads = append(page.uploads, u)
			page.last, page.lastID = key, u.ID
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return page, nil
}

// commonPrefix under which a key is rolled up, or "".
func (l *listParams) commonPrefix(key string) string {
	rest, ok := strings.CutPrefix(key, l.prefix)
	if !ok || l.delimiter == "" {
		return ""
	}
	i := strings.Index(rest, l.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(l.prefix)+i+len(l.delimiter)]
}

// listUploads answers the uploads to a bucket that are under way.
func (q *request) listUploads() error {
	l, err := q.listParams("max-uploads")
	if err != nil {
		return err
	}
	keyMarker, idMarker := q.query.Get("key-marker"), q.query.Get("upload-id-marker")
	if keyMarker == "" {
		idMarker = "" // it means nothing alone
	}
	if idMarker != "" {
		if err := q.checkMarker(keyMarker, idMarker); err != nil {
			return err
		}
	}
	page, err := pageOfUploads(&l, keyMarker, idMarker, func(prefix, after, afterID string, f func(*object.Upload) bool) error {
		return q.h.e.Uploads(q.bucket, prefix, after, afterID, f)
	})
	if err != nil {
		return err
	}
	w := &xmlWriter{encoded: l.encoded}
	w.begin("ListMultipartUploadsResult")
	w.text("Bucket", q.bucket)
	w.key("KeyMarker", keyMarker)
	w.text("UploadIdMarker", idMarker)
	w.key("NextKeyMarker", page.nextKey())
	w.text("NextUploadIdMarker", page.lastID)
	w.someKey("Prefix", l.prefix)
	w.number("MaxUploads", int64(l.max))
	w.listed(&l, page.truncated)
	names := ownerNames{h: q.h}
	for _, u := range page.uploads {
		w.open("Upload")
		w.key("Key", string(u.Version.Key))
		w.text("UploadId", u.ID)
		w.people(q, &names, u)
		w.text("StorageClass", u.Version.Class)
		w.time("Initiated", u.Version.Time)
		w.some("ChecksumAlgorithm", u.Version.System[metaSumAlgo])
		w.some("ChecksumType", u.Version.System[metaSumType])
		w.close("Upload")
	}
	w.prefixes(page.prefixes)
	return q.writeList(w, "ListMultipartUploadsResult")
}

// markerScan bounds the search for the upload that a wrong marker names.
const markerScan = 1000

// checkMarker refuses the ID of an upload of another key. An upload that has ended since it
// was listed is a good marker: clients abort what a page names before they ask for the next.
func (q *request) checkMarker(key, id string) error {
	if _, err := q.h.e.Upload(q.bucket, key, id); !errors.Is(err, object.ErrNoUpload) {
		return err
	}
	raw, err := hex.DecodeString(id)
	wrong := err != nil || len(raw) != 16
	seen := 0
	if !wrong {
		err = q.h.e.Uploads(q.bucket, "", "", "", func(u *object.Upload) bool {
			wrong = u.ID == id
			seen++
			return !wrong && seen < markerScan
		})
	}
	if wrong {
		return badParameter("upload-id-marker", id, "Invalid uploadId marker")
	}
	return err
}

// nextKey is given of complete pages, too, but not of those that end with a common prefix.
func (p *uploadPage) nextKey() string {
	if p.lastID == "" && !p.truncated {
		return ""
	}
	return p.last
}

// people writes who began an upload and who will own its object.
func (w *xmlWriter) people(q *request, names *ownerNames, u *object.Upload) {
	w.owner("Initiator", names.of(u.Version.System[metaInitiator]))
	w.owner("Owner", names.of(q.ownerOf(u.Version.System[metaOwner])))
}

// listParts answers the parts of an upload.
func (q *request) listParts() error {
	u, err := q.uploadFor("s3:ListMultipartUploadParts")
	if err != nil {
		return err
	}
	if err := q.sameCustomerKey(u); err != nil {
		return err
	}
	encoded, err := q.encodingType()
	if err != nil {
		return err
	}
	limit, err := q.pageSize("max-parts")
	if err != nil {
		return err
	}
	marker, err := q.partMarker()
	if err != nil {
		return err
	}
	var parts []*object.Part
	truncated := false
	err = q.h.e.Parts(u, min(marker, maxParts), func(p *object.Part) bool {
		if len(parts) >= limit {
			truncated = limit > 0
			return false
		}
		parts = append(parts, p)
		return true
	})
	if err != nil {
		return err
	}
	abortHeaders(q.w.Header(), q.set.lifecycle, u)
	w := &xmlWriter{encoded: encoded}
	w.begin("ListPartsResult")
	w.text("Bucket", q.bucket)
	w.key("Key", q.key)
	w.text("UploadId", u.ID)
	w.people(q, &ownerNames{h: q.h}, u)
	w.text("StorageClass", u.Version.Class)
	w.number("PartNumberMarker", int64(marker))
	next := 0
	if len(parts) > 0 {
		next = parts[len(parts)-1].Number
	}
	w.number("NextPartNumberMarker", int64(next))
	w.number("MaxParts", int64(limit))
	if encoded {
		w.text("EncodingType", "url")
	}
	w.bool("IsTruncated", truncated)
	algo := u.Version.System[metaSumAlgo]
	w.some("ChecksumAlgorithm", algo)
	w.some("ChecksumType", u.Version.System[metaSumType])
	for _, p := range parts {
		w.part(p, algo)
	}
	return q.writeList(w, "ListPartsResult")
}

// partMarker reads part-number-marker; "" is 0.
func (q *request) partMarker() (int, error) {
	const name = "part-number-marker"
	v := q.query.Get(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	switch {
	case err != nil:
		return 0, badParameter(name, v, "Provided "+name+" not an integer or within integer range")
	case n < 0:
		return 0, badParameter(name, v, "Argument "+name+" must be an integer between 0 and 2147483647")
	}
	return int(n), nil
}

// part writes a part, with its checksum if the upload asked for one.
func (w *xmlWriter) part(p *object.Part, algo string) {
	w.open("Part")
	w.number("PartNumber", int64(p.Number))
	w.time("LastModified", p.Time)
	w.etag(p.System[metaETag])
	w.number("Size", p.Size)
	if algo != "" {
		w.some("Checksum"+algo, p.System[metaSum+strings.ToLower(algo)])
	}
	w.close("Part")
}
