package auth

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	signedChunks  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	plainTrailer  = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// framer frames a payload as a client does.
type framer struct {
	*signer
	chunks  []string // the last is empty
	trailer []string // lines name:value
}

func newFramer(sum string, chunks ...string) *framer {
	f := &framer{signer: newSigner("PUT", "/b/k", "", nil), chunks: append(chunks, "")}
	f.sum = sum
	f.headers["content-encoding"] = "aws-chunked"
	f.headers["x-amz-decoded-content-length"] = strconv.Itoa(len(strings.Join(chunks, "")))
	if strings.HasSuffix(sum, "-TRAILER") {
		f.trailer = []string{"x-amz-checksum-crc32:AAAAAA=="}
		f.headers["x-amz-trailer"] = "x-amz-checksum-crc32"
	}
	return f
}

// frame returns the body behind the seed signature.
func (f *framer) frame(previous string) []byte {
	signed := f.sum != plainTrailer
	var b bytes.Buffer
	next := func(kind, rest string) string {
		previous = hex.EncodeToString(mac(f.key(), strings.Join([]string{kind, f.stamp(), f.scope(), previous, rest}, "\n")))
		return previous
	}
	for _, c := range f.chunks {
		fmt.Fprintf(&b, "%x", len(c))
		if signed {
			b.WriteString(";chunk-signature=" + next("AWS4-HMAC-SHA256-PAYLOAD", emptySum+"\n"+sumHex([]byte(c))))
		}
		b.WriteString("\r\n" + c)
		if c != "" {
			b.WriteString("\r\n")
		}
	}
	if f.sum != signedChunks {
		canonical := slices.Clone(f.trailer)
		slices.Sort(canonical)
		for _, line := range f.trailer {
			b.WriteString(line + "\r\n")
		}
		if signed {
			lines := strings.Join(canonical, "\n") + "\n"
			b.WriteString("x-amz-trailer-signature:" + next("AWS4-HMAC-SHA256-TRAILER", sumHex([]byte(lines))) + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// send verifies a request whose framed body was changed, and reads it to the end.
func (f *framer) send(t *testing.T, change func([]byte) []byte) (*Result, []byte, error) {
	t.Helper()
	r, seed := f.header()
	wire := f.frame(seed)
	if change != nil {
		wire = change(wire)
	}
	return read(t, r, wire)
}

func read(t *testing.T, r *http.Request, wire []byte) (*Result, []byte, error) {
	t.Helper()
	body := bytes.NewReader(wire)
	r.Body, r.ContentLength = io.NopCloser(body), int64(len(wire))
	res, err := newVerifier(testTime).Verify(r)
	if err != nil {
		return nil, nil, err
	}
	got, err := io.ReadAll(res.Body)
	if err == nil && body.Len() > 0 {
		t.Errorf("%d bytes of the body were not read", body.Len())
	}
	if err != nil {
		if _, again := res.Body.Read(make([]byte, 1)); again != err {
			t.Errorf("after %v came %v", err, again)
		}
	}
	return res, got, err
}

var threeChunks = []string{strings.Repeat("a", 8192), strings.Repeat("b", 20000), "tail"}

func TestChunked(t *testing.T) {
	for _, sum := range []string{signedChunks, signedTrailer, plainTrailer} {
		for _, chunks := range [][]string{nil, {"x"}, {strings.Repeat("x", 100000)}, threeChunks} {
			t.Run(fmt.Sprintf("%s %d", sum, len(chunks)), func(t *testing.T) {
				want := strings.Join(chunks, "")
				res, got, err := newFramer(sum, chunks...).send(t, nil)
				if err != nil || string(got) != want || res.Size != int64(len(want)) {
					t.Fatalf("%d bytes, size %d, %v", len(got), res.Size, err)
				}
				trailer := ""
				if sum != signedChunks {
					trailer = "AAAAAA=="
				}
				if got := res.Trailer.Get("x-amz-checksum-crc32"); got != trailer {
					t.Errorf("trailer %q, want %q", got, trailer)
				}
			})
		}
	}
}

// TestChunkedReaders reads through buffers and connections of all sorts.
func TestChunkedReaders(t *testing.T) {
	f := newFramer(signedTrailer, threeChunks...)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"one byte": iotest.OneByteReader, "half": iotest.HalfReader, "error with data": iotest.DataErrReader,
	} {
		r, seed := f.header()
		r.Body = io.NopCloser(wrap(bytes.NewReader(f.frame(seed))))
		res, err := newVerifier(testTime).Verify(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(res.Body, []byte(strings.Join(threeChunks, ""))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestChunkedFlips changes every byte of a framed body in turn.
func TestChunkedFlips(t *testing.T) {
	for _, sum := range []string{signedChunks, signedTrailer} {
		f := newFramer(sum, "some data")
		r, seed := f.header()
		wire := f.frame(seed)
		for i := range wire {
			bad := slices.Clone(wire)
			bad[i] ^= 1
			if _, got, err := read(t, r, bad); err == nil {
				t.Errorf("%s: byte %d %q: %q was accepted", sum, i, wire[i], got)
			}
		}
	}
}

// TestChunkedTruncated cuts a body at each place.
func TestChunkedTruncated(t *testing.T) {
	for _, sum := range []string{signedChunks, signedTrailer, plainTrailer} {
		f := newFramer(sum, "some data")
		r, seed := f.header()
		wire := f.frame(seed)
		for n := range len(wire) - 2 { // the last line end is for show
			if _, _, err := read(t, r, wire[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes were accepted: %q", sum, n, len(wire), wire[:n])
			}
		}
	}
}

func TestChunkedRefused(t *testing.T) {
	replace := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	}
	behind := func(s string) func([]byte) []byte { return func(b []byte) []byte { return append(b, s...) } }
	tests := []struct {
		name, sum string
		chunks    []string
		change    func([]byte) []byte
		headers   map[string]string
		code      string
	}{
		{"no signature", signedChunks, []string{"data"}, func([]byte) []byte { return []byte("4\r\ndata\r\n0\r\n\r\n") }, nil, "IncompleteBody"},
		{"signature where none is", plainTrailer, []string{"data"}, replace("4\r\n", "4;chunk-signature=0\r\n"), nil, "IncompleteBody"},
		{"not hexadecimal", plainTrailer, []string{"data"}, replace("4\r\n", "zz\r\n"), nil, "IncompleteBody"},
		{"negative", plainTrailer, []string{"data"}, replace("4\r\n", "-4\r\n"), nil, "IncompleteBody"},
		{"huge", plainTrailer, []string{"data"}, replace("4\r\n", "ffffffffffffffff\r\n"), nil, "IncompleteBody"},
		{"no size", plainTrailer, []string{"data"}, replace("4\r\n", "\r\n"), nil, "IncompleteBody"},
		{"LF alone", plainTrailer, []string{"data"}, replace("4\r\n", "4\n"), nil, "IncompleteBody"},
		{"long line", plainTrailer, []string{"data"}, replace("4\r\n", strings.Repeat("0", 300)+"4\r\n"), nil, "IncompleteBody"},
		{"endless line", plainTrailer, []string{"data"}, replace("4\r\n", strings.Repeat("0", 1<<20)), nil, "IncompleteBody"},
		{"no line end behind data", plainTrailer, []string{"data"}, replace("data\r\n", "data\r\r"), nil, "IncompleteBody"},
		{"other signature", signedChunks, []string{"data"}, replace("signature=", "signature=0"), nil, "SignatureDoesNotMatch"},
		{"chunks swapped", signedChunks, threeChunks, func(b []byte) []byte {
			i, j := bytes.Index(b, []byte("4e20;")), bytes.Index(b, []byte("4;"))
			k := bytes.LastIndex(b, []byte("0;"))
			return slices.Concat(b[:i], b[j:k], b[i:j], b[k:])
		}, nil, "SignatureDoesNotMatch"},
		{"chunk left out", signedChunks, threeChunks, func(b []byte) []byte {
			i, j := bytes.Index(b, []byte("4e20;")), bytes.Index(b, []byte("4;"))
			return slices.Concat(b[:i], b[j:])
		}, nil, "SignatureDoesNotMatch"},
		{"no last chunk", plainTrailer, []string{"data"}, replace("0\r\nx-amz-checksum-crc32:AAAAAA==\r\n", ""), nil, "IncompleteBody"},
		{"longer than announced", plainTrailer, []string{"data"}, nil, map[string]string{"x-amz-decoded-content-length": "3"}, "IncompleteBody"},
		{"shorter than announced", plainTrailer, []string{"data"}, nil, map[string]string{"x-amz-decoded-content-length": "5"}, "IncompleteBody"},
		{"no length", plainTrailer, []string{"data"}, nil, map[string]string{"x-amz-decoded-content-length": ""}, "MissingContentLength"},
		{"bad length", plainTrailer, []string{"data"}, nil, map[string]string{"x-amz-decoded-content-length": "-1"}, "InvalidArgument"},
		{"trailing bytes", signedChunks, []string{"data"}, behind("x"), nil, "IncompleteBody"},
		{"trailers where none may be", signedChunks, []string{"data"}, behind("x-amz-checksum-crc32:AAAA\r\n\r\n"), nil, "IncompleteBody"},
		{"trailer without colon", plainTrailer, []string{"data"}, replace("crc32:", "crc32="), nil, "IncompleteBody"},
		{"trailer not announced", plainTrailer, []string{"data"}, nil, map[string]string{"x-amz-trailer": ""}, "MalformedTrailerError"},
		{"another trailer", plainTrailer, []string{"data"}, nil, map[string]string{"x-amz-trailer": "x-amz-checksum-sha256"}, "MalformedTrailerError"},
		{"trailer missing", plainTrailer, []string{"data"}, replace("x-amz-checksum-crc32:AAAAAA==\r\n", ""), nil, "MalformedTrailerError"},
		{"trailer twice", plainTrailer, []string{"data"}, replace("x-amz-checksum-crc32:AAAAAA==\r\n", "x-amz-checksum-crc32:A\r\nX-Amz-Checksum-Crc32:A\r\n"), nil, "IncompleteBody"},
		{"unknown trailer", plainTrailer, []string{"data"}, nil, map[string]string{"x-amz-trailer": "content-md5"}, "InvalidRequest"},
		{"trailer without framing", emptySum, nil, func([]byte) []byte { return nil }, map[string]string{"x-amz-trailer": "x-amz-checksum-crc32"}, "MalformedTrailerError"},
		{"trailer signature missing", signedTrailer, []string{"data"}, func(b []byte) []byte { return b[:bytes.Index(b, []byte("x-amz-trailer-signature"))] }, nil, "IncompleteBody"},
		{"trailer signature", signedTrailer, []string{"data"}, replace("trailer-signature:", "trailer-signature:0"), nil, "SignatureDoesNotMatch"},
		{"trailer changed", signedTrailer, []string{"data"}, replace("AAAAAA==", "BAAAAA=="), nil, "SignatureDoesNotMatch"},
		{"trailer behind its signature", signedTrailer, []string{"data"}, behind("x-amz-checksum-sha1:A\r\n"), nil, "IncompleteBody"},
		{"too many trailers", plainTrailer, []string{"data"}, replace("x-amz-checksum-crc32:", "x-amz-checksum-crc32:"+strings.Repeat("A", maxTrailer)), nil, "IncompleteBody"},
		{"small chunk", signedChunks, []string{"small", "another"}, nil, nil, "InvalidChunkSizeError"},
		{"large signed chunk", signedChunks, []string{strings.Repeat("x", maxSignedChunk+1)}, nil, nil, "InvalidRequest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFramer(tt.sum, tt.chunks...)
			for k, v := range tt.headers {
				if f.headers[k] = v; v == "" {
					delete(f.headers, k)
				}
			}
			_, _, err := f.send(t, tt.change)
			e := wantCode(t, err, tt.code)
			if tt.code == "InvalidChunkSizeError" && (element(e, "Chunk") != "2" || element(e, "BadChunkSize") != "5") {
				t.Errorf("elements %v", e.Fields)
			}
		})
	}
}

// TestTrailerForms has the ways in which clients write the same trailers.
func TestTrailerForms(t *testing.T) {
	for _, s := range []string{
		"a:1\nb:2\n\r\nx-amz-trailer-signature:s\r\n\r\n",
		"a:1\r\nb: 2 \r\nx-amz-trailer-signature:s\r\n\r\n",
		"A:1\nB:2\nX-Amz-Trailer-Signature:s\n",
	} {
		fields, signature, ok := parseTrailer([]byte(s))
		if !ok || signature != "s" || !slices.Equal(fields, []param{{"a", "1"}, {"b", "2"}}) {
			t.Errorf("%q: %v %q %t", s, fields, signature, ok)
		}
	}
}

// TestUnsignedChunks has the framing of clients without credentials.
func TestUnsignedChunks(t *testing.T) {
	const wire = "4\r\ndata\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
	headers := []string{"Content-Encoding", "gzip, aws-chunked", "X-Amz-Decoded-Content-Length", "4", "X-Amz-Trailer", "x-amz-checksum-crc32"}
	for _, extra := range [][]string{nil, {"X-Amz-Content-Sha256", plainTrailer}} {
		r := newRequest("PUT", "/b/k", nil, append(headers, extra...)...)
		res, got, err := read(t, r, []byte(wire))
		if err != nil || string(got) != "data" || res.Trailer.Get("x-amz-checksum-crc32") != "AAAAAA==" {
			t.Errorf("%v: %q, %v", extra, got, err)
		}
	}
	r := newRequest("PUT", "/b/k", nil, append(headers, "X-Amz-Content-Sha256", signedChunks)...)
	_, _, err := read(t, r, []byte(wire))
	wantCode(t, err, "AccessDenied")
	r = newRequest("PUT", "/b/k", nil, "Content-Encoding", "aws-chunked")
	if _, got, err := read(t, r, []byte("data")); err != nil || string(got) != "data" {
		t.Errorf("not framed: %q, %v", got, err)
	}
}

func TestDigest(t *testing.T) {
	s := newSigner("PUT", "/b/k", "", []byte("body"))
	r, _ := s.header()
	if _, got, err := read(t, r, []byte("body")); err != nil || string(got) != "body" {
		t.Errorf("%q, %v", got, err)
	}
	for _, wire := range []string{"", "bod", "bodz", "body and more"} {
		_, _, err := read(t, r, []byte(wire))
		e := wantCode(t, err, "XAmzContentSHA256Mismatch")
		if element(e, "ClientComputedContentSHA256") != s.sum || element(e, "S3ComputedContentSHA256") != sumHex([]byte(wire)) {
			t.Errorf("elements %v", e.Fields)
		}
	}
	s.sum = strings.ToUpper(s.sum)
	r, _ = s.header()
	if _, _, err := read(t, r, []byte("body")); err != nil {
		t.Errorf("in upper case: %v", err)
	}
	s.sum = "UNSIGNED-PAYLOAD"
	r, _ = s.header()
	if _, got, err := read(t, r, []byte("anything")); err != nil || string(got) != "anything" {
		t.Errorf("unsigned: %q, %v", got, err)
	}
	r, _ = s.header()
	r.Body, r.ContentLength = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)), -1
	res, err := newVerifier(testTime).Verify(r)
	if err != nil || res.Size != -1 {
		t.Fatalf("size %d, %v", res.Size, err)
	}
	_, err = io.ReadAll(res.Body)
	wantCode(t, err, "IncompleteBody")
}
