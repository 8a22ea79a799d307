package s3

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// bdecode reads one value in the encoding of BEP 3: an int64, a string, or a map.
func bdecode(t *testing.T, s string) (value any, rest string) {
	t.Helper()
	switch {
	case s == "":
		t.Fatal("the torrent ends early")
	case s[0] == 'i':
		digits, rest, _ := strings.Cut(s[1:], "e")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n, rest
	case s[0] == 'd':
		dict, last := map[string]any{}, ""
		for s = s[1:]; s[0] != 'e'; {
			var name, v any
			name, s = bdecode(t, s)
			v, s = bdecode(t, s)
			if name.(string) <= last {
				t.Errorf("%q stands behind %q", name, last)
			}
			last = name.(string)
			dict[last] = v
		}
		return dict, s[1:]
	}
	digits, rest, _ := strings.Cut(s, ":")
	n, err := strconv.Atoi(digits)
	if err != nil || n > len(rest) {
		t.Fatalf("no string: %.20q", s)
	}
	return rest[:n], rest[n:]
}

func publish(s *server, bucket string, actions string) {
	s.t.Helper()
	s.must(204, mainUser, "DELETE", "/"+bucket+"?publicAccessBlock", "")
	s.must(204, mainUser, "PUT", "/"+bucket+"?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":[`+actions+`],"Resource":"arn:aws:s3:::`+bucket+`/*"}]}`)
}

func TestTorrent(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("pub")
	data := string(randomBytes(2*minPiece + 1000))
	s.must(200, mainUser, "PUT", "/pub/dir/a%20%22b%22.iso", data)
	s.refused(403, "AccessDenied", anonymous, "GET", "/pub/dir/a%20%22b%22.iso?torrent", "")
	s.refused(403, "AccessDenied", mainUser, "GET", "/pub/dir/a%20%22b%22.iso?torrent", "") // nobody could fetch it
	publish(s, "pub", `"s3:GetObject","s3:GetObjectTorrent"`)
	for range 2 { // calculated, and remembered
		r := s.must(200, anonymous, "GET", "/pub/dir/a%20%22b%22.iso?torrent", "")
		r.want(t, "Content-Type", torrentType, "Content-Disposition", `attachment; filename="a _b_.iso.torrent"`)
		value, rest := bdecode(t, r.body)
		root := value.(map[string]any)
		info := root["info"].(map[string]any)
		var sums []byte
		for at := 0; at < len(data); at += minPiece {
			sum := sha1.Sum([]byte(data[at:min(at+minPiece, len(data))]))
			sums = append(sums, sum[:]...)
		}
		if rest != "" || root["url-list"] != s.URL+"/pub/dir/a%20%22b%22.iso" || info["name"] != `a "b".iso` ||
			info["length"] != int64(len(data)) || info["piece length"] != int64(minPiece) || info["pieces"] != string(sums) {
			t.Errorf("torrent %q, rest %q", fmt.Sprint(root)[:200], rest)
		}
		if got := s.must(200, anonymous, "GET", strings.TrimPrefix(root["url-list"].(string), s.URL), "").body; got != data {
			t.Error("the seed has other data")
		}
	}
	s.must(200, mainUser, "PUT", "/pub/empty", "")
	s.refused(400, "InvalidRequest", anonymous, "GET", "/pub/empty?torrent", "")
	s.must(200, mainUser, "PUT", "/pub/secret", "x", customer(customerHeader, testKey(1))...)
	s.refused(400, "InvalidRequest", anonymous, "GET", "/pub/secret?torrent", "")
}

// TestTorrentNamesTheVersion: the seed stays the same data when the key gets other data.
func TestTorrentNamesTheVersion(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("pub")
	s.must(200, mainUser, "PUT", "/pub?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	publish(s, "pub", `"s3:GetObject","s3:GetObjectVersion","s3:GetObjectTorrent"`)
	id := s.must(200, mainUser, "PUT", "/pub/k", "first").Header.Get("x-amz-version-id")
	r := s.must(200, anonymous, "GET", "/pub/k?torrent", "")
	if !strings.Contains(r.body, "/pub/k?versionId="+id) {
		t.Errorf("torrent %q", r.body)
	}
	s.must(200, mainUser, "PUT", "/pub/k", "second")
	if got := s.must(200, anonymous, "GET", "/pub/k?versionId="+id, "").body; got != "first" {
		t.Errorf("the seed has %q", got)
	}
}

func TestPieces(t *testing.T) {
	for size, want := range map[int64]int64{1: minPiece, minPiece * manyPieces: minPiece, minPiece*manyPieces + 1: 2 * minPiece, maxTorrent: 4 << 20} {
		if got := pieceSize(size); got != want {
			t.Errorf("%d: %d, want %d", size, got, want)
		}
	}
	w := &pieceHasher{size: 10, h: sha1.New()}
	for _, n := range []int{3, 7, 25, 5} { // ends with a piece
		if k, err := w.Write(bytes.Repeat([]byte("x"), n)); k != n || err != nil {
			t.Fatal(k, err)
		}
	}
	w.end()
	sum := sha1.Sum([]byte("xxxxxxxxxx"))
	if want := bytes.Repeat(sum[:], 4); !bytes.Equal(w.sums, want) {
		t.Errorf("sums %x, want %x", w.sums, want)
	}
}
