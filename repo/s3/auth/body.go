package auth

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
)

// openBody sets Body and Size of a result. key is that of the chunk signatures, nil
// when the request is not signed with version 4.
func openBody(r *http.Request, res *Result, key *chunkKey) error {
	body := r.Body
	if body == nil {
		body = http.NoBody
	}
	chunked, signed, trailer := false, false, false
	var digest []byte
	switch res.SHA256 {
	case "", unsignedSum:
		chunked = isChunked(r.Header)
		trailer = chunked
	case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		chunked, trailer = true, true
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
		chunked, signed = true, true
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		chunked, signed, trailer = true, true, true
	case "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER":
		return fail("NotImplemented", "", "Header", "x-amz-content-sha256")
	default:
		var err error
		if digest, err = hex.DecodeString(res.SHA256); err != nil || len(digest) != sha256.Size {
			return fail("InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "+
				"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, "+
				"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
				"ArgumentName", "x-amz-content-sha256", "ArgumentValue", res.SHA256)
		}
	}
	if signed && key == nil {
		return fail("AccessDenied", "") // nobody's key could have signed the chunks
	}
	declared, err := declaredTrailers(r.Header)
	if err != nil {
		return err
	}
	if !trailer && len(declared) > 0 {
		return errTrailer()
	}
	res.Size = bodyLength(r)
	switch {
	case chunked:
		if res.Size, err = decodedLength(r.Header); err != nil {
			return err
		}
		c := &chunkReader{br: bufio.NewReaderSize(body, maxTrailer), expected: res.Size, trailer: trailer, declared: declared, res: res}
		if signed {
			c.key, c.sum = key, sha256.New()
		}
		res.Body = c
	case digest != nil:
		res.Body = &digestReader{r: body, sum: sha256.New(), want: digest}
	default:
		res.Body = &plainReader{r: body}
	}
	return nil
}

// bodyLength returns the length that a request announces, or -1. net/http takes a body of HTTP/1 without
// a length for an empty one, but whoever forgot the length may have sent more.
func bodyLength(r *http.Request) int64 {
	if r.ContentLength == 0 && r.ProtoMajor == 1 && len(r.Header["Content-Length"]) == 0 {
		return -1
	}
	return r.ContentLength
}

// isChunked tells whether a body is framed although its payload hash does not say so, as
// that of clients without credentials.
func isChunked(h http.Header) bool {
	if h.Get("X-Amz-Decoded-Content-Length") == "" {
		return false
	}
	return slices.ContainsFunc(h["Content-Encoding"], func(v string) bool {
		return slices.ContainsFunc(strings.Split(v, ","), func(e string) bool {
			return strings.EqualFold(strings.TrimSpace(e), "aws-chunked")
		})
	})
}

func decodedLength(h http.Header) (int64, error) {
	s := h.Get("X-Amz-Decoded-Content-Length")
	if s == "" {
		return 0, fail("MissingContentLength", "")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fail("InvalidArgument", "The x-amz-decoded-content-length header must be a non-negative integer.",
			"ArgumentName", "x-amz-decoded-content-length", "ArgumentValue", s)
	}
	return n, nil
}

// declaredTrailers returns the names that x-amz-trailer announces, in lower case.
func declaredTrailers(h http.Header) ([]string, error) {
	var names []string
	for _, v := range h["X-Amz-Trailer"] {
		for name := range strings.SplitSeq(v, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if !strings.HasPrefix(name, "x-amz-checksum-") {
				return nil, fail("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func errIncomplete() *Error {
	return fail("IncompleteBody", "The request body terminated unexpectedly")
}

func errTrailer() *Error {
	return fail("MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
}

// readError translates an error of reading a body, other than a good io.EOF. Whatever is
// wrong while a body arrives is the client's doing, but for limits that the server set.
func readError(err error) error {
	var tooLarge *http.MaxBytesError
	var own *Error
	switch {
	case errors.As(err, &tooLarge), errors.As(err, &own), errors.Is(err, http.ErrBodyReadAfterClose), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail("RequestTimeout", "")
	}
	return errIncomplete()
}

// plainReader is a payload that nothing but its length is known of; net/http keeps to
// that.
type plainReader struct{ r io.Reader }

func (p *plainReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if err != nil && err != io.EOF {
		err = readError(err)
	}
	return n, err
}

// digestReader is a payload with its digest in the signature.
type digestReader struct {
	r    io.Reader
	sum  hash.Hash
	want []byte
	err  error
}

func (d *digestReader) Read(b []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.r.Read(b)
	d.sum.Write(b[:n])
	switch {
	case err == io.EOF:
		d.err = io.EOF
		if got := d.sum.Sum(nil); !bytes.Equal(got, d.want) {
			d.err = fail("XAmzContentSHA256Mismatch", "", "ClientComputedContentSHA256", hex.EncodeToString(d.want),
				"S3ComputedContentSHA256", hex.EncodeToString(got))
		}
	case err != nil:
		d.err = readError(err)
	}
	return n, d.err
}
