package s3

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

// codeOf returns the S3 code of an error, "" of nil.
func codeOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var own *apiError
	if !errors.As(err, &own) {
		t.Fatalf("not an error of S3: %v", err)
	}
	return own.code
}

func TestCopyRange(t *testing.T) {
	for _, c := range []struct {
		header string
		size   int64
		off, n int64
		code   string
	}{
		{"", 10, 0, 10, ""},
		{"", 0, 0, 0, ""},
		{"bytes=0-0", 10, 0, 1, ""},
		{"bytes=3-9", 10, 3, 7, ""},
		{"bytes=0-10", 10, 0, 0, "InvalidArgument"},
		{"bytes=0-21", 10, 0, 0, "InvalidArgument"},
		{"bytes=0-0", 0, 0, 0, "InvalidArgument"},
		{"bytes=5-4", 10, 0, 0, "InvalidArgument"},
		{"0-2", 10, 0, 0, "InvalidArgument"},
		{"bytes=0", 10, 0, 0, "InvalidArgument"},
		{"bytes=-5", 10, 0, 0, "InvalidArgument"},
		{"bytes=5-", 10, 0, 0, "InvalidArgument"},
		{"bytes=hello-world", 10, 0, 0, "InvalidArgument"},
		{"bytes=0-bar", 10, 0, 0, "InvalidArgument"},
		{"bytes=0-2,3-5", 10, 0, 0, "InvalidArgument"},
		{"bytes=+0-+2", 10, 0, 0, "InvalidArgument"},
		{"bytes=0-9223372036854775808", 10, 0, 0, "InvalidArgument"},
	} {
		off, n, err := copyRange(c.header, c.size)
		if code := codeOf(t, err); off != c.off || n != c.n || code != c.code {
			t.Errorf("%q of %d: got %d+%d %q, want %d+%d %q", c.header, c.size, off, n, code, c.off, c.n, c.code)
		}
	}
}

func FuzzCopyRange(f *testing.F) {
	f.Add("bytes=0-5", int64(10))
	f.Add("bytes=-5", int64(10))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			t.Skip()
		}
		off, n, err := copyRange(header, size)
		if err == nil && (off < 0 || n < 0 || off+n < 0 || off+n > size || header != "" && n == 0) {
			t.Errorf("%q of %d bytes: %d+%d", header, size, off, n)
		}
	})
}

// completeList is a CompleteMultipartUpload.
func completeList(parts ...string) string {
	return "<CompleteMultipartUpload>" + strings.Join(parts, "") + "</CompleteMultipartUpload>"
}

func completePart(number any, etag string, more ...string) string {
	return fmt.Sprintf("<Part><PartNumber>%v</PartNumber><ETag>%s</ETag>%s</Part>", number, etag, strings.Join(more, ""))
}

func TestParseCompletion(t *testing.T) {
	many := func(n int) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = completePart(i+1, "e")
		}
		return completeList(parts...)
	}
	for _, c := range []struct {
		name, data string
		want       string
		code       string
	}{
		{"one", completeList(completePart(1, "&quot;abc&quot;")), "1 map[etag:abc]", ""},
		{"without quotes", completeList(completePart(7, "abc")), "7 map[etag:abc]", ""},
		{"namespace and space", xml.Header + `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + "\n  " +
			"<Part>\n<ETag>\"x\"</ETag> <PartNumber> 2 </PartNumber>\n</Part>\n</CompleteMultipartUpload>\n", "2 map[etag:x]", ""},
		{"two with checksums", completeList(completePart(1, "a", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"),
			completePart(2, "b", "<ChecksumSHA1></ChecksumSHA1>")), "1 map[checksum-crc32:AAAAAA== etag:a] 2 map[etag:b]", ""},
		{"unknown algorithm", completeList(completePart(1, "a", "<ChecksumXXHASH32>AAAA</ChecksumXXHASH32>")), "1 map[checksum-xxhash32:AAAA etag:a]", ""},
		{"ten thousand", many(10_000), "", ""},
		{"too many", many(10_001), "", "MalformedXML"},
		{"empty", "", "", "MalformedXML"},
		{"no parts", completeList(), "", "MalformedXML"},
		{"other root", "<Other/>", "", "MalformedXML"},
		{"text behind", completeList(completePart(1, "a")) + "x", "", "MalformedXML"},
		{"second root", completeList(completePart(1, "a")) + completeList(completePart(1, "a")), "", "MalformedXML"},
		{"truncated", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>", "", "MalformedXML"},
		{"unknown element", completeList("<Part><PartNumber>1</PartNumber><ETag>a</ETag><X/></Part>"), "", "MalformedXML"},
		{"nested", completeList("<Part><PartNumber><X>1</X></PartNumber><ETag>a</ETag></Part>"), "", "MalformedXML"},
		{"number twice", completeList("<Part><PartNumber>1</PartNumber><PartNumber>1</PartNumber><ETag>a</ETag></Part>"), "", "MalformedXML"},
		{"no number", completeList("<Part><ETag>a</ETag></Part>"), "", "MalformedXML"},
		{"no etag", completeList("<Part><PartNumber>1</PartNumber></Part>"), "", "MalformedXML"},
		{"doctype", `<!DOCTYPE x [<!ENTITY a "b">]>` + completeList(completePart(1, "a")), "", "MalformedXML"},
		{"number is none", completeList(completePart("one", "a")), "", "MalformedXML"},
		{"number 0", completeList(completePart(0, "a")), "", "InvalidArgument"},
		{"number 10001", completeList(completePart(10_001, "a")), "", "InvalidArgument"},
		{"order", completeList(completePart(2, "a"), completePart(1, "a")), "", "InvalidPartOrder"},
		{"same twice", completeList(completePart(1, "a"), completePart(1, "a")), "", "InvalidPartOrder"},
		{"bad checksum", completeList(completePart(1, "a", "<ChecksumCRC32>AAAA</ChecksumCRC32>")), "", "InvalidArgument"},
		{"two checksums", completeList(completePart(1, "a", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>")), "", "InvalidArgument"},
	} {
		parts, err := parseCompletion([]byte(c.data))
		if code := codeOf(t, err); code != c.code {
			t.Errorf("%s: code %q, want %q", c.name, code, c.code)
		}
		var got []string
		for _, p := range parts {
			got = append(got, fmt.Sprint(p.Number, p.System))
		}
		if c.want != "" && strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzParseCompletion(f *testing.F) {
	f.Add(completeList(completePart(1, "&quot;abc&quot;"), completePart(2, "b", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>")))
	f.Add("<CompleteMultipartUpload>")
	f.Fuzz(func(t *testing.T, data string) {
		parts, err := parseCompletion([]byte(data))
		if err != nil {
			codeOf(t, err)
			return
		}
		for i, p := range parts {
			if p.Number < 1 || p.Number > maxParts || p.System[metaETag] == "" || i > 0 && parts[i-1].Number >= p.Number {
				t.Errorf("part %+v at %d", p, i)
			}
		}
	})
}

func TestUploadChecksum(t *testing.T) {
	for _, c := range []struct{ algo, typ, want, code string }{
		{"", "", " ", ""},
		{"CRC32", "", "CRC32 COMPOSITE", ""},
		{"crc32c", "full_object", "CRC32C FULL_OBJECT", ""},
		{"CRC64NVME", "", "CRC64NVME FULL_OBJECT", ""},
		{"SHA256", "", "SHA256 COMPOSITE", ""},
		{"SHA1", "COMPOSITE", "SHA1 COMPOSITE", ""},
		{"SHA1", "FULL_OBJECT", " ", "InvalidRequest"},
		{"CRC64NVME", "COMPOSITE", " ", "InvalidRequest"},
		{"SHA512", "", "SHA512 COMPOSITE", ""},
		{"md5", "", "MD5 COMPOSITE", ""},
		{"XXHASH64", "composite", "XXHASH64 COMPOSITE", ""},
		{"XXHASH3", "FULL_OBJECT", " ", "InvalidRequest"},
		{"XXHASH128", "FULL_OBJECT", " ", "InvalidRequest"},
		{"", "COMPOSITE", " ", "InvalidRequest"},
		{"CRC32", "OTHER", " ", "InvalidRequest"},
		{"CRC32,CRC32C", "", " ", "InvalidRequest"},
		{"MD4", "", " ", "InvalidRequest"},
	} {
		head := http.Header{}
		if c.algo != "" {
			head.Set("x-amz-checksum-algorithm", c.algo)
		}
		if c.typ != "" {
			head.Set("x-amz-checksum-type", c.typ)
		}
		algo, typ, err := uploadChecksum(head)
		if got, code := algo+" "+typ, codeOf(t, err); got != c.want || code != c.code {
			t.Errorf("%q %q: got %q %q, want %q %q", c.algo, c.typ, got, code, c.want, c.code)
		}
	}
}

func sum32(s string) string {
	n := crc32.ChecksumIEEE([]byte(s))
	return base64.StdEncoding.EncodeToString([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// TestFinishWhole computes ETag and checksums of a whole of two parts, "hello " and "world".
func TestFinishWhole(t *testing.T) {
	part := func(number int, data, etag string) *object.Part {
		return &object.Part{Number: number, Size: int64(len(data)), System: map[string]string{metaETag: etag, metaSum + "crc32": sum32(data),
			metaSum + "crc64nvme": map[string]string{"hello ": "4+xSx8G+UXw=", "world": "Pt6tmvRaV10="}[data]}}
	}
	parts := []*object.Part{part(1, "hello ", "f814893777bcc2295fff05f00e508da6"), part(3, "world", "7d793037a0760186574b0282f2f435e7")}
	version := func(algo, typ string) *index.Version {
		v := &index.Version{System: map[string]string{metaInitiator: "x", "content-type": "a/b"}}
		if algo != "" {
			v.System[metaSumAlgo], v.System[metaSumType] = algo, typ
		}
		return v
	}
	none := wholeChecks{size: -1}
	const etag = "6e5e2e2bb8fcb5cf4eaa1ad08bc4fc62-2"
	for _, c := range []struct {
		name, algo, typ string
		want            wholeChecks
		code            string
		sum             string // of the algorithm
	}{
		{"full CRC32", "CRC32", fullObject, none, "", sum32("hello world")},
		{"full CRC32 as said", "CRC32", fullObject, wholeChecks{algo: "CRC32", sum: sum32("hello world"), size: 11}, "", sum32("hello world")},
		{"full CRC32 not as said", "CRC32", fullObject, wholeChecks{algo: "CRC32", sum: sum32("x"), size: 11}, "BadDigest", ""},
		{"composite", "CRC32", composite, none, "", "*-2"},
		{"other size", "CRC32", composite, wholeChecks{size: 12}, "InvalidRequest", ""},
		{"nothing asked", "", "", wholeChecks{algo: "CRC32", sum: sum32("x"), size: -1}, "", "*"},
	} {
		v := version(c.algo, c.typ)
		err := finishWhole(v, parts, c.want)
		if code := codeOf(t, err); code != c.code {
			t.Errorf("%s: code %q, want %q", c.name, code, c.code)
			continue
		} else if code != "" {
			continue
		}
		if got := v.System[metaETag]; !strings.HasSuffix(got, "-2") || len(got) != len(etag) {
			t.Errorf("%s: ETag %s", c.name, got)
		}
		algo, typ := c.algo, c.typ
		if algo == "" {
			algo, typ = defaultChecksum, fullObject
		}
		got := v.System[metaSum+strings.ToLower(algo)]
		if c.sum != got && !strings.HasPrefix(c.sum, "*") || c.sum == "*-2" && !strings.HasSuffix(got, "-2") || got == "" || v.System[metaSumType] != typ {
			t.Errorf("%s: %s %s, want %s", c.name, got, v.System[metaSumType], c.sum)
		}
		keys := []string{metaSum + strings.ToLower(algo), metaSumType, "content-type", metaETag}
		if c.algo != "" {
			keys = append(keys, metaPartSums)
		}
		slices.Sort(keys)
		if have := slices.Sorted(maps.Keys(v.System)); !slices.Equal(have, keys) {
			t.Errorf("%s: system metadata %q, want %q", c.name, have, keys)
		}
	}
}

// TestCompositeAgainstKnown: the composite checksum of one part is that of its checksum.
func TestCompositeAgainstKnown(t *testing.T) {
	for algo, c := range map[string][2]string{ // of "123456789"
		"CRC32":  {"y/Q5Jg==", "7kxlUA==-1"},
		"CRC32C": {"4waSgw==", "pzJFoA==-1"},
		"SHA1":   {"98O8HYCOBHMq32eZZczDTKeuNEE=", "zGcEPHvP9e6lVmvZsfPHT9mlz10=-1"},
		"SHA256": {"FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", "KSsNAHVmgy25S/rmic1w0at3KBH9RLn0nYVQ7p6mpJQ=-1"},
	} {
		if got, err := compositeChecksum(algo, []string{c[0]}); got != c[1] || err != nil {
			t.Errorf("%s: got %s (%v), want %s", algo, got, err, c[1])
		}
	}
}

func TestWantedWhole(t *testing.T) {
	for _, c := range []struct {
		headers []string
		want    wholeChecks
		message string
	}{
		{nil, wholeChecks{size: -1}, ""},
		{[]string{"x-amz-checksum-crc32", "y/Q5Jg==", "x-amz-checksum-type", "FULL_OBJECT"}, wholeChecks{"CRC32", "y/Q5Jg==", fullObject, -1}, ""},
		{[]string{"x-amz-checksum-crc32", "y/Q5Jg==-2"}, wholeChecks{"CRC32", "y/Q5Jg==-2", "", -1}, ""},
		{[]string{"x-amz-checksum-crc32", "y/Q5Jg==-a"}, wholeChecks{}, "Value for x-amz-checksum-crc32 header is invalid."},
		{[]string{"x-amz-checksum-sha256", "AAAA"}, wholeChecks{}, "Value for x-amz-checksum-sha256 header is invalid."},
		{[]string{"x-amz-checksum-crc32", "y/Q5Jg==", "x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="}, wholeChecks{},
			"Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."},
		{[]string{"x-amz-checksum-type", "x"}, wholeChecks{}, "Value for x-amz-checksum-type header is invalid."},
		{[]string{"x-amz-mp-object-size", "17"}, wholeChecks{size: 17}, ""},
		{[]string{"x-amz-mp-object-size", "-1"}, wholeChecks{}, "Value for x-amz-mp-object-size header is less than zero: '-1'"},
		{[]string{"x-amz-mp-object-size", "x"}, wholeChecks{}, "Value for x-amz-mp-object-size header is invalid."},
	} {
		head := http.Header{}
		for i := 0; i < len(c.headers); i += 2 {
			head.Add(c.headers[i], c.headers[i+1])
		}
		got, err := wantedWhole(head)
		if err != nil {
			if code := codeOf(t, err); code != "InvalidRequest" || err.(*apiError).text() != c.message {
				t.Errorf("%q: %v, want %s", c.headers, err, c.message)
			}
			continue
		}
		if c.message != "" || got != c.want {
			t.Errorf("%q: got %+v, want %+v %q", c.headers, got, c.want, c.message)
		}
	}
	_, err := wantedWhole(headers("x-amz-checksum-sha256", "bad"))
	wantMessage(t, err, "BadDigest", "The sha256 you specified did not match the calculated checksum.")
}

func TestCheckCompletion(t *testing.T) {
	for _, c := range []struct {
		name, algo, typ, given string
		want                   wholeChecks
		code, message          string
	}{
		{"nothing", "", "", "", wholeChecks{}, "", ""},
		{"sum without algorithm", "", "", "crc32", wholeChecks{}, "InvalidPart", "One or more"},
		{"as asked", "SHA256", composite, "sha256", wholeChecks{}, "", ""},
		{"missing", "SHA256", composite, "", wholeChecks{}, "InvalidRequest", "The upload was created using a sha256 checksum. The complete request must include the checksum for each part. It was missing for part 5 in the request."},
		{"missing of full object", "CRC32", fullObject, "", wholeChecks{}, "", ""},
		{"another", "SHA256", composite, "crc32", wholeChecks{}, "BadDigest", "The crc32 you specified for part 5 did not match what we received."},
		{"another type", "CRC32", fullObject, "", wholeChecks{typ: composite}, "InvalidRequest", "The upload was created using the FULL_OBJECT checksum mode. The complete request must use the same checksum mode."},
		{"another of the whole", "CRC32", fullObject, "", wholeChecks{algo: "SHA1"}, "InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: sha1"},
	} {
		u := &object.Upload{Version: index.Version{System: map[string]string{}}}
		if c.algo != "" {
			u.Version.System[metaSumAlgo], u.Version.System[metaSumType] = c.algo, c.typ
		}
		p := object.CompletePart{Number: 5, System: map[string]string{metaETag: "a"}}
		if c.given != "" {
			p.System[metaSum+c.given] = "x"
		}
		err := checkCompletion(u, []object.CompletePart{p}, c.want)
		if code := codeOf(t, err); code != c.code {
			t.Errorf("%s: code %q, want %q", c.name, code, c.code)
		} else if code != "" && !strings.HasPrefix(err.(*apiError).text(), c.message) {
			t.Errorf("%s: %s, want %s", c.name, err.(*apiError).text(), c.message)
		}
	}
}

// TestPageOfUploads pages through uploads with and without a delimiter.
func TestPageOfUploads(t *testing.T) {
	keys := []string{"a", "a", "b/1", "b/2", "b/2", "c", "ü/1"}
	reads := 0
	source := func(prefix, after, afterID string, f func(*object.Upload) bool) error {
		for i, k := range keys {
			id := fmt.Sprint("id", i)
			if !strings.HasPrefix(k, prefix) || k < after || after != "" && k == after && (afterID == "" || id <= afterID) {
				continue
			}
			reads++
			if !f(&object.Upload{ID: id, Version: index.Version{Key: []byte(k)}}) {
				return nil
			}
		}
		return nil
	}
	for _, c := range []struct {
		l     listParams
		after string
		pages []string
		reads int
	}{
		{listParams{max: 10}, "", []string{"id0 id1 id2 id3 id4 id5 id6"}, 7},
		{listParams{max: 1}, "", []string{"id0 ...", "id1 ...", "id2 ...", "id3 ...", "id4 ...", "id5 ...", "id6"}, 13},
		{listParams{max: 10, delimiter: "/"}, "", []string{"id0 id1 b/ id5 ü/"}, 5},
		{listParams{max: 1, delimiter: "/"}, "", []string{"id0 ...", "id1 ...", "b/ ...", "id5 ...", "ü/"}, 9},
		{listParams{max: 3, delimiter: "/"}, "", []string{"id0 id1 b/ ...", "id5 ü/"}, 6},
		{listParams{max: 3, delimiter: "/"}, "b/1", []string{"id5 ü/"}, 2},
		{listParams{max: 3, delimiter: "/", prefix: "b/"}, "", []string{"id2 id3 id4"}, 3},
		{listParams{max: 0}, "", []string{""}, 1},
	} {
		reads = 0
		after, afterID := c.after, ""
		var pages []string
		for {
			page, err := pageOfUploads(&c.l, after, afterID, source)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			order := map[string]string{}
			for _, u := range page.uploads {
				order[string(u.Version.Key)+u.ID] = u.ID
			}
			for _, p := range page.prefixes {
				order[p] = p
			}
			for _, k := range slices.Sorted(maps.Keys(order)) {
				got = append(got, order[k])
			}
			if page.truncated {
				got = append(got, "...")
			}
			pages = append(pages, strings.Join(got, " "))
			if !page.truncated || len(pages) > 20 {
				break
			}
			after, afterID = page.nextKey(), page.lastID
		}
		if !slices.Equal(pages, c.pages) || reads != c.reads {
			t.Errorf("%+v: pages %q after %d reads, want %q after %d", c.l, pages, reads, c.pages, c.reads)
		}
	}
}
