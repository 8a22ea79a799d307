package s3

import (
	"encoding/hex"

	"github.com/firnstore/firn/index"
)

// listVersions answers all versions and delete markers, those of a key newest first.
func (q *request) listVersions() error {
	l, err := q.listParams("max-keys")
	if err != nil {
		return err
	}
	keyMarker, versionMarker := q.query.Get("key-marker"), q.query.Get("version-id-marker")
	query := index.ListQuery{Versions: true, After: keyMarker}
	if err := continueVersions(&query, versionMarker); err != nil {
		return err
	}
	page, err := q.page(&l, query)
	if err != nil {
		return err
	}
	w := &xmlWriter{encoded: l.encoded, b: make([]byte, 0, sizeOf(page))}
	w.begin("ListVersionsResult")
	w.text("Name", q.bucket)
	w.key("Prefix", l.prefix)
	w.key("KeyMarker", keyMarker)
	w.text("VersionIdMarker", versionMarker)
	if page.Truncated {
		w.key("NextKeyMarker", page.NextAfter)
		if page.NextVersion != nil {
			w.text("NextVersionIdMarker", versionID(page.NextVersion))
		}
	}
	w.number("MaxKeys", int64(l.max))
	w.listed(&l, page.Truncated)
	q.versions(w, &l, page)
	return q.writeList(w, "ListVersionsResult")
}

// continueVersions takes the parameter version-id-marker into a query.
func continueVersions(query *index.ListQuery, marker string) error {
	switch {
	case marker == "":
		return nil
	case query.After == "":
		return badParameter("version-id-marker", marker, "A version-id marker cannot be specified without a key marker.")
	case marker == "null":
		query.AfterNull = true
		return nil
	}
	b, err := hex.DecodeString(marker)
	if err != nil || len(b) != len(index.VersionID{}) {
		return badParameter("version-id-marker", marker, "Invalid version id specified")
	}
	id := index.VersionID(b)
	query.AfterVersion = &id
	return nil
}

// versions writes the versions of a page in their order, delete markers among them.
func (q *request) versions(w *xmlWriter, l *listParams, page *index.Listing) {
	names := ownerNames{h: q.h}
	for _, e := range page.Entries {
		v := e.Version
		name := "Version"
		if v.Kind == index.DeleteMarker {
			name = "DeleteMarker"
		}
		w.open(name)
		w.key("Key", string(v.Key))
		w.text("VersionId", versionID(v))
		w.bool("IsLatest", e.Latest)
		w.time("LastModified", v.Time)
		if v.Kind != index.DeleteMarker {
			w.describe(v)
		}
		w.owner("Owner", names.of(q.ownerOf(v.System[metaOwner])))
		if v.Kind != index.DeleteMarker {
			w.text("StorageClass", v.Class)
			w.restore(l, v, q.now)
		}
		w.close(name)
	}
	w.prefixes(page.Prefixes)
}
