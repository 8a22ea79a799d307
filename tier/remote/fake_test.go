package remote_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is as much of an S3 server as a Store asks for, in memory, with one bucket called
// bucket. It does not look at signatures.
type fake struct {
	mu      sync.Mutex
	objects map[string]fakeObject
	uploads map[string]*fakeUpload
	begun   int

	// conditions and partConditions say whether If-None-Match is honoured.
	conditions, partConditions bool
	pageSize                   int
	url                        string
}

type fakeObject struct {
	data  []byte
	nonce string
	class string
	time  time.Time
}

type fakeUpload struct {
	key, nonce, class string
	parts             map[int][]byte
	time              time.Time
}

func newFake(t *testing.T) *fake {
	f := &fake{objects: map[string]fakeObject{}, uploads: map[string]*fakeUpload{}, conditions: true, partConditions: true, pageSize: 7}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

const metaHeader = "X-Amz-Meta-Firn-Nonce"

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	if bucket != "bucket" {
		f.fail(w, r, http.StatusNotFound, "NoSuchBucket")
		return
	}
	switch {
	case r.Method == http.MethodGet && q.Has("list-type"):
		f.list(w, q.Get("prefix"), max(q.Get("start-after"), q.Get("continuation-token")))
	case r.Method == http.MethodGet && q.Has("uploads"):
		f.listUploads(w)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		f.get(w, r, key)
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		delete(f.uploads, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut && q.Has("partNumber"):
		f.part(w, r, q.Get("uploadId"), q.Get("partNumber"), body)
	case r.Method == http.MethodPut:
		f.put(w, r, key, f.conditions, fakeObject{body, r.Header.Get(metaHeader), r.Header.Get("X-Amz-Storage-Class"), time.Now()})
	case r.Method == http.MethodPost && q.Has("uploads"):
		f.begun++
		id := fmt.Sprint("upload-", f.begun)
		f.uploads[id] = &fakeUpload{key, r.Header.Get(metaHeader), r.Header.Get("X-Amz-Storage-Class"), map[int][]byte{}, time.Now()}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case r.Method == http.MethodPost && q.Has("uploadId"):
		f.complete(w, r, q.Get("uploadId"), body)
	default:
		f.fail(w, r, http.StatusNotImplemented, "NotImplemented")
	}
}

func (f *fake) fail(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>as the fake says</Message></Error>", code)
	}
}

func (f *fake) put(w http.ResponseWriter, r *http.Request, key string, conditions bool, o fakeObject) bool {
	if _, taken := f.objects[key]; taken && conditions && r.Header.Get("If-None-Match") == "*" {
		f.fail(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
		return false
	}
	f.objects[key] = o
	w.Header().Set("ETag", `"tag"`)
	return true
}

func (f *fake) part(w http.ResponseWriter, r *http.Request, id, number string, body []byte) {
	u := f.uploads[id]
	n, err := strconv.Atoi(number)
	switch {
	case u == nil:
		f.fail(w, r, http.StatusNotFound, "NoSuchUpload")
	case err != nil || r.Header.Get("X-Amz-Checksum-Crc32c") == "":
		f.fail(w, r, http.StatusBadRequest, "InvalidRequest")
	default:
		u.parts[n] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, n))
	}
}

func (f *fake) complete(w http.ResponseWriter, r *http.Request, id string, body []byte) {
	u := f.uploads[id]
	if u == nil {
		f.fail(w, r, http.StatusNotFound, "NoSuchUpload")
		return
	}
	var in struct {
		Part []struct {
			PartNumber     int
			ChecksumCRC32C string
		}
	}
	if err := xml.Unmarshal(body, &in); err != nil || len(in.Part) != len(u.parts) {
		f.fail(w, r, http.StatusBadRequest, "InvalidPart")
		return
	}
	var data []byte
	for i, p := range in.Part {
		if p.PartNumber != i+1 || p.ChecksumCRC32C == "" {
			f.fail(w, r, http.StatusBadRequest, "InvalidPartOrder")
			return
		}
		data = append(data, u.parts[p.PartNumber]...)
	}
	if f.put(w, r, u.key, f.partConditions, fakeObject{data, u.nonce, u.class, time.Now()}) {
		delete(f.uploads, id)
		fmt.Fprint(w, "<CompleteMultipartUploadResult><ETag>tag</ETag></CompleteMultipartUploadResult>")
	}
}

func (f *fake) get(w http.ResponseWriter, r *http.Request, key string) {
	o, found := f.objects[key]
	if !found {
		f.fail(w, r, http.StatusNotFound, "NoSuchKey")
		return
	}
	w.Header().Set(metaHeader, o.nonce)
	if len(o.data) == 0 && r.Header.Get("Range") != "" {
		f.fail(w, r, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", o.time, bytes.NewReader(o.data))
}

func (f *fake) list(w http.ResponseWriter, prefix, after string) {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(f.objects)) {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	more := len(keys) > f.pageSize
	if more {
		keys = keys[:f.pageSize]
	}
	fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated>", more)
	if more {
		fmt.Fprintf(w, "<NextContinuationToken>%s</NextContinuationToken>", keys[len(keys)-1])
	}
	for _, key := range keys {
		o := f.objects[key]
		fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>%s</LastModified></Contents>", key, len(o.data), o.time.UTC().Format(time.RFC3339))
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

func (f *fake) listUploads(w http.ResponseWriter) {
	fmt.Fprint(w, "<ListMultipartUploadsResult>")
	for _, id := range slices.Sorted(maps.Keys(f.uploads)) {
		u := f.uploads[id]
		fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>", u.key, id, u.time.UTC().Format(time.RFC3339))
	}
	fmt.Fprint(w, "</ListMultipartUploadsResult>")
}

// pending returns the keys of uploads that were neither completed nor aborted.
func (f *fake) pending() (keys []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.uploads {
		keys = append(keys, u.key)
	}
	return keys
}
