package s3

import (
	"strconv"
	"strings"

	"github.com/firnstore/firn/index"
)

// parseRange reads a header Range for an object of size bytes. ok is false when it asks for
// nothing that could be understood, or for several ranges: then the whole object is meant.
func parseRange(header string, size int64) (off, n int64, ok bool, err error) {
	unit, spec, _ := strings.Cut(strings.TrimSpace(header), "=")
	first, last, dash := strings.Cut(spec, "-")
	first, last = strings.TrimSpace(first), strings.TrimSpace(last)
	if !strings.EqualFold(strings.TrimSpace(unit), "bytes") || !dash || !digits(first) || !digits(last) || first+last == "" {
		return 0, size, false, nil
	}
	unsatisfiable := errorf("InvalidRange", "").with("RangeRequested", header).with("ActualObjectSize", itoa(size)).header("Content-Range", "bytes */"+itoa(size))
	if first == "" {
		n = min(saturated(last), size)
		if n == 0 {
			return 0, 0, false, unsatisfiable
		}
		return size - n, n, true, nil
	}
	off, end := saturated(first), size-1
	if last != "" {
		end = min(end, saturated(last))
		if off > saturated(last) {
			return 0, size, false, nil
		}
	}
	if off >= size {
		return 0, 0, false, unsatisfiable
	}
	return off, end - off + 1, true, nil
}

func digits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// saturated reads digits; what is too large for a size is the largest one.
func saturated(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1
	}
	return n
}

// isMultipart reports whether a version was uploaded in parts.
func isMultipart(v *index.Version) bool { return strings.Contains(etagOf(v), "-") }

// parsePartNumber reads the parameter partNumber.
func parsePartNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 10_000 {
		return 0, errorf("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive").
			with("ArgumentName", "partNumber").with("ArgumentValue", s)
	}
	return n, nil
}

// partRange returns where part number of a version lies. A version that was not uploaded in
// parts is its own part 1.
func partRange(v *index.Version, number int) (off, n int64, err error) {
	parts := []uint64{uint64(objectSize(v))}
	if isMultipart(v) {
		parts = v.Parts
	}
	if number > len(parts) {
		return 0, 0, errorf("InvalidPartNumber", "").with("ActualPartCount", itoa(len(parts))).with("PartNumberRequested", itoa(number))
	}
	return sumParts(parts[:number-1]), int64(parts[number-1]), nil
}
