package s3

import (
	"context"
	"crypto/sha1"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/s3/access"
)

// Limits of torrents.
const (
	maxTorrent  = 5 << 30   // of the object, in bytes
	minPiece    = 256 << 10 // of a piece
	maxPiece    = 16 << 20
	manyPieces  = 1500 // beyond so many, pieces become larger
	keptPieces  = 64   // objects whose hashes are kept
	torrentType = "application/x-bittorrent"
	torrentWait = 20 * time.Second // for the turn to read an object
)

// torrents keeps the hashes of pieces that were calculated, and calculates one at a time.
type torrents struct {
	turn chan struct{}

	mu    sync.Mutex
	order []index.VersionID // the one used last at the end
	kept  map[index.VersionID][]byte
}

func newTorrents() *torrents {
	return &torrents{turn: make(chan struct{}, 1), kept: map[index.VersionID][]byte{}}
}

func (t *torrents) get(id index.VersionID) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.order, id); i >= 0 {
		t.order = append(slices.Delete(t.order, i, i+1), id)
	}
	return t.kept[id]
}

func (t *torrents) put(id index.VersionID, pieces []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept[id] == nil {
		t.order = append(t.order, id)
	}
	t.kept[id] = pieces
	if len(t.order) > keptPieces {
		delete(t.kept, t.order[0])
		t.order = t.order[1:]
	}
}

// getTorrent answers with a torrent (BEP 3) of an object that everybody may read, which
// comes from this server as a web seed (BEP 19). There is no tracker.
func (q *request) getTorrent() error {
	v, err := q.target()
	if err != nil {
		return err
	}
	size := objectSize(v)
	switch {
	case size == 0 || size > maxTorrent:
		return errorf("InvalidRequest", "Torrents are for objects of 1 byte up to 5 GiB.")
	case v.System[metaSSEC] != "":
		return errorf("InvalidRequest", "There are no torrents of objects that are encrypted with a customer-provided key.")
	case q.archived(v):
		return errorf("InvalidObjectState", "").with("StorageClass", v.Class)
	}
	seed, err := q.seedURL(v)
	if err != nil {
		return err
	}
	pieces, err := q.pieces(v, size)
	if err != nil {
		return err
	}
	name := path.Base("/" + q.key)
	if strings.Trim(name, "/.") == "" {
		name = "object"
	}
	body := metainfo(seed, name, size, pieceSize(size), pieces, modified(v).Unix())
	head := q.w.Header()
	head.Set("Content-Type", torrentType)
	head.Set("Content-Disposition", "attachment; filename=\""+strings.Map(safeInQuotes, name)+".torrent\"")
	head.Set("Content-Length", itoa(len(body)))
	q.w.WriteHeader(http.StatusOK)
	_, _ = q.w.Write(body)
	return nil
}

func safeInQuotes(r rune) rune {
	if r < ' ' || r == '"' || r == '\\' || r > '~' {
		return '_'
	}
	return r
}

// seedURL is where everybody gets the version. It names the version if everybody may ask
// for it so: then the torrent stays good when the key gets another.
func (q *request) seedURL(v *index.Version) (string, error) {
	u := url.URL{Scheme: "http", Host: q.r.Host, Path: q.r.URL.Path, RawPath: q.r.URL.RawPath}
	if q.r.TLS != nil {
		u.Scheme = "https"
	}
	public := func(action string) bool {
		other := *q
		other.user, other.who = nil, access.Anonymous()
		return other.allowedIn(q.set, action, q.key, v)
	}
	switch {
	case !v.Null && public("s3:GetObjectVersion"):
		u.RawQuery = "versionId=" + versionID(v)
	case !q.latest || !public("s3:GetObject"):
		return "", errorf("AccessDenied", "A torrent is for an object that everybody may read.")
	}
	return u.String(), nil
}

// pieceSize is a power of two.
func pieceSize(size int64) int64 {
	n := int64(minPiece)
	for n < maxPiece && size > n*manyPieces {
		n *= 2
	}
	return n
}

// pieces returns the SHA-1 of each piece.
func (q *request) pieces(v *index.Version, size int64) ([]byte, error) {
	t := q.h.torrents
	if known := t.get(v.ID); known != nil {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(q.ctx(), torrentWait)
	defer cancel()
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return nil, errorf("SlowDown", "")
	}
	if known := t.get(v.ID); known != nil { // by who was before
		return known, nil
	}
	key, err := q.readKey(v)
	if err != nil {
		return nil, err
	}
	o, err := openSealed(q.h.e, v, key)
	if err != nil {
		return nil, err
	}
	w := &pieceHasher{size: pieceSize(size), h: sha1.New()}
	if _, err := o.copy(q.ctx(), w, 0, size); err != nil {
		return nil, err
	}
	w.end()
	t.put(v.ID, w.sums)
	return w.sums, nil
}

// pieceHasher hashes what is written piece by piece.
type pieceHasher struct {
	size, n int64
	h       hash.Hash
	sums    []byte
}

// Write implements io.Writer.
func (w *pieceHasher) Write(p []byte) (int, error) {
	done := len(p)
	for len(p) > 0 {
		k := min(int64(len(p)), w.size-w.n)
		w.h.Write(p[:k])
		w.n += k
		p = p[k:]
		if w.n == w.size {
			w.end()
		}
	}
	return done, nil
}

func (w *pieceHasher) end() {
	if w.n > 0 {
		w.sums = w.h.Sum(w.sums)
		w.h.Reset()
		w.n = 0
	}
}

// metainfo is the file, in the encoding of BEP 3: names of a dictionary are in order.
func metainfo(seed, name string, size, piece int64, pieces []byte, made int64) []byte {
	text := func(s string) string { return strconv.Itoa(len(s)) + ":" + s }
	info := fmt.Sprintf("d6:lengthi%de4:name%s12:piece lengthi%de6:pieces%se", size, text(name), piece, text(string(pieces)))
	return []byte(fmt.Sprintf("d10:created by4:firn13:creation datei%de4:info%s8:url-list%se", made, info, text(seed)))
}
