package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// backUp stores a snapshot of the directory /home/u with files in it, and returns its ID.
func (s *server) backUp(bucket string, files map[string]string) string {
	s.t.Helper()
	fatal := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	r := s.e.Repository()
	sess, err := r.Begin(s.t.Context())
	fatal(err)
	in, err := sess.Ingest(s.t.Context(), repo.IngestOptions{Stream: "test"})
	fatal(err)
	dir := func(nodes ...tree.Node) []byte {
		slices.SortFunc(nodes, func(a, b tree.Node) int { return bytes.Compare(a.Name, b.Name) })
		w := tree.Writer{Put: func(b []byte) (chunk.ID, error) { return in.Meta(b) }}
		for _, n := range nodes {
			raw, err := index.Marshal(&n)
			fatal(err)
			fatal(w.Add(n.Name, raw))
		}
		h, err := w.Finish()
		fatal(err)
		return h[:]
	}
	var nodes []tree.Node
	for name, data := range files {
		c, err := in.Stream(strings.NewReader(data), nil, nil)
		fatal(err)
		nodes = append(nodes, tree.Node{Name: []byte(name), Mode: 0o640, UID: 7, Size: c.Size(), Content: bytes.Clone(c[:]), ModTime: 1_700_000_000e9 + int64(len(data))})
	}
	nodes = append(nodes, tree.Node{Name: []byte("link"), Type: tree.Symlink, Target: []byte("a.txt")},
		tree.Node{Name: []byte("a"), Type: tree.Dir, Tree: dir(tree.Node{Name: []byte("deep"), Content: make([]byte, len(repo.Content{}))})})
	u := dir(tree.Node{Name: []byte("u"), Type: tree.Dir, Tree: dir(nodes...)})
	root, err := index.Marshal(&tree.Node{Name: []byte("/"), Type: tree.Dir, Tree: dir(tree.Node{Name: []byte("home"), Type: tree.Dir, Tree: u})})
	fatal(err)
	fatal(in.Close())
	s.clock.add(time.Hour)
	now := s.clock.Now().UnixNano()
	v := index.Version{Bucket: bucket, Key: []byte("home/u"), Time: now, Kind: index.TreePayload, Root: root, Class: "STANDARD",
		Snapshot: &index.Snapshot{Start: now, End: now, Paths: [][]byte{[]byte("/home/u")}}}
	_, _ = rand.Read(v.ID[:])
	ops := repo.Ops{Versions: []index.Version{v}}
	if _, err := s.e.Bucket(bucket); err != nil {
		ops.Buckets = []string{bucket}
	}
	fatal(sess.End(s.t.Context(), ops))
	return v.ID.String()
}

// TestSnapshotFiles reads a backup as a client does: lists, ranges, conditions, versions,
// copies.
func TestSnapshotFiles(t *testing.T) {
	s := newServer(t, Options{})
	old := s.backUp("host", map[string]string{"a.txt": "first", "same": "same", "gone": "gone"})
	last := s.backUp("host", map[string]string{"a.txt": "second", "same": "same"})

	if got := s.list(rootUser, "/host?list-type=2&delimiter=/&prefix=home/u/").names(); !slices.Equal(got, []string{"home/u/a.txt", "home/u/same", "|home/u/a/"}) {
		t.Errorf("names: %q", got)
	}
	if got := s.list(rootUser, "/host?max-keys=2").names(); !slices.Equal(got, []string{"home/u/a.txt", "home/u/a/deep"}) {
		t.Errorf("a.txt comes before what is in a: %q", got)
	}
	r := s.must(200, rootUser, "GET", "/host/home/u/a.txt", "")
	etag := r.Header.Get("ETag")
	if r.body != "second" || !strings.HasPrefix(etag, `"firn-`) || r.Header.Get("x-amz-version-id") != last ||
		r.Header.Get("Last-Modified") != "Tue, 14 Nov 2023 22:13:20 GMT" || r.Header.Get("x-amz-meta-mode") != "33184" || r.Header.Get("x-amz-meta-uid") != "7" {
		t.Errorf("%q, headers %v", r.body, r.Header)
	}
	if r := s.must(206, rootUser, "GET", "/host/home/u/a.txt", "", "Range", "bytes=1-3"); r.body != "eco" {
		t.Errorf("range: %q", r.body)
	}
	s.must(304, rootUser, "GET", "/host/home/u/a.txt", "", "If-None-Match", etag)
	s.must(412, rootUser, "HEAD", "/host/home/u/a.txt", "", "If-Match", `"other"`)
	if r := s.must(200, rootUser, "GET", "/host/home/u/a.txt?versionId="+old, ""); r.body != "first" {
		t.Errorf("version: %q", r.body)
	}
	s.refused(404, "NoSuchKey", rootUser, "GET", "/host/home/u/gone", "")
	s.refused(404, "NoSuchKey", rootUser, "GET", "/host/home/u/link", "")
	s.refused(405, "MethodNotAllowed", rootUser, "GET", "/host/home/u/gone?versionId="+last, "")

	var lines []string
	for _, e := range s.list(rootUser, "/host?versions&prefix=home/u/").Entries {
		lines = append(lines, e.XMLName.Local+" "+e.Key+" "+map[string]string{old: "old", last: "last"}[e.VersionID]+map[bool]string{true: " latest"}[e.IsLatest])
	}
	want := []string{"Version home/u/a.txt last latest", "Version home/u/a.txt old", "Version home/u/a/deep old latest",
		"DeleteMarker home/u/gone last latest", "Version home/u/gone old", "Version home/u/same old latest"}
	if !slices.Equal(lines, want) {
		t.Errorf("versions: %q", lines)
	}

	s.must(200, rootUser, "PUT", "/mine", "")
	s.must(200, rootUser, "PUT", "/mine/back", "", "x-amz-copy-source", "/host/home/u/gone?versionId="+old)
	if r := s.must(200, rootUser, "GET", "/mine/back", ""); r.body != "gone" {
		t.Errorf("copy: %q", r.body)
	}
}

// TestSnapshotRefusals writes where a backup is, and reads as a stranger.
func TestSnapshotRefusals(t *testing.T) {
	s := newServer(t, Options{})
	id := s.backUp("host", map[string]string{"f": "data"})
	for _, key := range []string{"/host/home/u", "/host/home/u/f", "/host/home/u/new"} {
		s.refused(405, "MethodNotAllowed", rootUser, "PUT", key, "x")
		s.refused(405, "MethodNotAllowed", rootUser, "DELETE", key, "")
		s.refused(405, "MethodNotAllowed", rootUser, "POST", key+"?uploads", "")
		s.refused(405, "MethodNotAllowed", rootUser, "PUT", key, "", "x-amz-copy-source", "/host/home/u/f", "x-amz-metadata-directive", "REPLACE")
		list := "<Delete><Object><Key>" + key[6:] + "</Key></Object></Delete>"
		sum := md5.Sum([]byte(list))
		if r := s.must(200, rootUser, "POST", "/host?delete", list, "Content-MD5", base64.StdEncoding.EncodeToString(sum[:])); !strings.Contains(r.body, "firn backup") {
			t.Errorf("bulk delete: %s", r.body)
		}
	}
	s.refused(405, "MethodNotAllowed", rootUser, "DELETE", "/host/home/u/f?versionId="+id, "")
	tags := "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
	sum := md5.Sum([]byte(tags))
	s.refused(405, "MethodNotAllowed", rootUser, "PUT", "/host/home/u/f?tagging", tags, "Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	for _, who := range []*account{mainUser, anonymous} {
		s.refused(403, "AccessDenied", who, "GET", "/host/home/u/f", "")
		s.refused(403, "AccessDenied", who, "GET", "/host", "")
	}
	s.must(http.StatusNoContent, rootUser, "PUT", "/host?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"main"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::host/home/*"}]}`)
	if r := s.must(200, mainUser, "GET", "/host/home/u/f", ""); r.body != "data" {
		t.Errorf("by policy: %q", r.body)
	}
}
