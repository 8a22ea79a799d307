package auth

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	maxChunkLine   = 256      // bytes of the line before a chunk
	maxTrailer     = 8 << 10  // bytes of all trailing headers
	maxSignedChunk = 16 << 20 // so that a signature that does not hold is found soon
	minChunk       = 8 << 10  // S3's own limit for all chunks but the last
)

// chunkKey is what chunk signatures are made with. Each covers the one before it.
type chunkKey struct {
	key          signingKey
	stamp, scope string
	accessKey    string
	previous     string // hexadecimal
}

// check compares the signature of a chunk or of the trailers.
func (k *chunkKey) check(kind string, rest []byte, provided string) error {
	b := make([]byte, 0, 384)
	for _, s := range []string{kind, k.stamp, k.scope, k.previous} {
		b = append(append(b, s...), '\n')
	}
	if !sameSignature(k.key, append(b, rest...), provided) {
		return errMismatch(k.accessKey, provided)
	}
	k.previous = provided
	return nil
}

// chunkReader reads a payload in the framing of aws-chunked:
//
//	SIZE[;chunk-signature=SIGNATURE] CRLF DATA CRLF … 0[;chunk-signature=SIGNATURE] CRLF
//	[NAME:VALUE LF] [x-amz-trailer-signature:SIGNATURE CRLF] CRLF
//
// Data of a chunk is handed on before the signature of the chunk is checked, because
// nobody may believe it before io.EOF anyhow; so no chunk is ever kept in memory.
type chunkReader struct {
	br       *bufio.Reader
	expected int64     // bytes of payload that are still to be announced by chunks
	key      *chunkKey // nil: not signed
	sum      hash.Hash // of the chunk, when signed
	trailer  bool      // trailing headers may follow
	declared []string
	res      *Result

	chunks    int    // that began
	size      int64  // of the chunk
	left      int64  // of the chunk, not read yet
	signature string // of the chunk
	err       error
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 || c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		if c.err = c.next(); c.err != nil {
			return 0, c.err
		}
	}
	n, err := c.br.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.key != nil {
		c.sum.Write(p[:n])
	}
	if err != nil {
		c.err = readError(err)
	}
	return n, c.err
}

// next ends a chunk and begins the one after it. It returns io.EOF behind the last.
func (c *chunkReader) next() error {
	if c.chunks > 0 {
		var crlf [2]byte
		if _, err := io.ReadFull(c.br, crlf[:]); err != nil {
			return readError(err)
		}
		if string(crlf[:]) != "\r\n" {
			return errIncomplete()
		}
		if err := c.checkChunk(); err != nil {
			return err
		}
	}
	previous := c.size
	if err := c.begin(); err != nil {
		return err
	}
	if c.size > 0 {
		if c.chunks > 1 && previous < minChunk {
			return fail("InvalidChunkSizeError", "Only the last chunk is allowed to have a size less than 8192 bytes",
				"Chunk", strconv.Itoa(c.chunks), "BadChunkSize", strconv.FormatInt(previous, 10))
		}
		return nil
	}
	if c.expected > 0 {
		return errIncomplete()
	}
	if err := c.checkChunk(); err != nil {
		return err
	}
	return c.finish()
}

// begin reads the line before a chunk.
func (c *chunkReader) begin() error {
	line, err := c.br.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return readError(err)
	}
	size, ext, signed := strings.Cut(strings.TrimSuffix(string(line[:min(len(line), maxChunkLine)]), "\r\n"), ";")
	n, err := strconv.ParseUint(size, 16, 63)
	if err != nil || len(line) > maxChunkLine || !bytes.HasSuffix(line, []byte("\r\n")) || signed != (c.key != nil) {
		return errIncomplete()
	}
	if signed {
		var ok bool
		if c.signature, ok = strings.CutPrefix(ext, "chunk-signature="); !ok {
			return errIncomplete()
		}
		if n > maxSignedChunk {
			return fail("InvalidRequest", "A signed chunk must not be larger than 16777216 bytes.")
		}
		c.sum.Reset()
	}
	if int64(n) > c.expected {
		return errIncomplete()
	}
	c.chunks++
	c.size, c.left = int64(n), int64(n)
	c.expected -= int64(n)
	return nil
}

// checkChunk checks the signature of a chunk that was read to its end.
func (c *chunkReader) checkChunk() error {
	if c.key == nil {
		return nil
	}
	rest := append(make([]byte, 0, 160), emptySum+"\n"...)
	rest = hex.AppendEncode(rest, c.sum.Sum(make([]byte, 0, sha256.Size)))
	return c.key.check("AWS4-HMAC-SHA256-PAYLOAD", rest, c.signature)
}

// finish reads what follows the last chunk, to the end of the body: a connection is of no
// use again before.
func (c *chunkReader) finish() error {
	rest, err := io.ReadAll(io.LimitReader(c.br, maxTrailer+1))
	if err != nil {
		return readError(err)
	}
	if !c.trailer {
		if len(rest) > 0 && string(rest) != "\r\n" {
			return errIncomplete()
		}
		return io.EOF
	}
	fields, signature, ok := parseTrailer(rest)
	if !ok || (c.key != nil) != (signature != "") {
		return errIncomplete()
	}
	if c.key != nil {
		sum := sha256.Sum256(canonicalTrailer(fields))
		if err := c.key.check("AWS4-HMAC-SHA256-TRAILER", hex.AppendEncode(nil, sum[:]), signature); err != nil {
			return err
		}
	}
	if len(fields) != len(c.declared) {
		return errTrailer()
	}
	h := http.Header{}
	for _, f := range fields {
		if !slices.Contains(c.declared, f.name) {
			return errTrailer()
		}
		h.Set(f.name, f.value)
	}
	c.res.Trailer = h
	return io.EOF
}

// parseTrailer parses trailing headers. Lines end with LF or CRLF, and empty ones may stand before and
// behind the signature, as in S3's own description. Names are in lower case and unique.
func parseTrailer(b []byte) (fields []param, signature string, ok bool) {
	if len(b) > maxTrailer || len(b) > 0 && b[len(b)-1] != '\n' {
		return nil, "", false
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		if !found || name == "" || strings.ContainsAny(name, " \t\r") || !validValue(value) || seen[name] || signature != "" {
			return nil, "", false
		}
		seen[name] = true
		if name == "x-amz-trailer-signature" {
			if signature = value; value == "" {
				return nil, "", false
			}
			continue
		}
		fields = append(fields, param{name, value})
	}
	return fields, signature, true
}

// canonicalTrailer is what the signature of the trailing headers covers.
func canonicalTrailer(fields []param) []byte {
	sorted := slices.Clone(fields)
	slices.SortFunc(sorted, func(a, b param) int { return strings.Compare(a.name, b.name) })
	var b []byte
	for _, f := range sorted {
		b = append(append(append(append(b, f.name...), ':'), f.value...), '\n')
	}
	return b
}
