package s3

import (
	"strconv"
	"strings"
)

// copyRange reads x-amz-copy-source-range, "bytes=first-last", against a source of size
// bytes. "" is the whole source. Both ends have to be given, and to lie within.
func copyRange(header string, size int64) (off, n int64, err error) {
	const name = "x-amz-copy-source-range"
	if header == "" {
		return 0, size, nil
	}
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, both := strings.Cut(spec, "-")
	a, aok := parseOffset(first)
	b, bok := parseOffset(last)
	if !ok || !both || !aok || !bok || a > b {
		return 0, 0, badParameter(name, header, "The x-amz-copy-source-range value must be of the form bytes=first-last "+
			"where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	if b >= size {
		return 0, 0, badParameter(name, header, "Range specified is not valid for source object of size: "+itoa(size))
	}
	return a, b - a + 1, nil
}

// parseOffset reads digits only: strconv takes signs, too.
func parseOffset(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
