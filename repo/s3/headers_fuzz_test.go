package s3

import (
	"bufio"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

// FuzzHeaders gives headers to everything that reads them.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{
		"X-Amz-Object-Lock-Mode: GOVERNANCE\nX-Amz-Object-Lock-Retain-Until-Date: 2030-01-01T00:00:00Z\nX-Amz-Object-Lock-Legal-Hold: ON",
		"X-Amz-Meta-A: b\nX-Amz-Meta-C: =?UTF-8?B?w6k=?=\nX-Amz-Storage-Class: STANDARD\nX-Amz-Website-Redirect-Location: /a",
		"If-Match: \"a\"\nIf-None-Match: *\nIf-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT\nIf-Unmodified-Since: x",
		"X-Amz-Server-Side-Encryption: AES256\nX-Amz-Server-Side-Encryption-Context: e30=",
		"X-Amz-Server-Side-Encryption-Customer-Algorithm: AES256\nX-Amz-Server-Side-Encryption-Customer-Key: AAAA",
		"Content-Md5: AAAAAAAAAAAAAAAAAAAAAA==\nX-Amz-Object-Attributes: ETag,Checksum",
	} {
		f.Add(s)
	}
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, text string) {
		h, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(text + "\r\n\r\n"))).ReadMIMEHeader()
		head := http.Header(h)
		lock, err := parseLock(head, &object.Bucket{}, now)
		if err == nil && lock != nil && lock.Mode > 2 {
			t.Errorf("lock %+v", lock)
		}
		var v index.Version
		_ = parseMetadata(head, &v)
		_ = parseRedirect(head, &v)
		_, _ = parseClass(head)
		_ = parseReadConditions(head, "")
		_, _ = parseWriteCondition(head, "k")
		_ = parseDeleteConditions(head)
		_, _ = parseSealing(head, sealing{})
		if k, err := parseCustomerKey(head, customerHeader); err == nil && k == nil && head.Get(customerHeader+"Key") != "" {
			t.Error("a key was passed over")
		}
		if sum, err := parseContentMD5(head); err == nil && sum != nil && len(sum) != 16 {
			t.Errorf("digest %x", sum)
		}
		_, _ = parseAttributes(head.Values("X-Amz-Object-Attributes"))
		for _, values := range head {
			for _, s := range values {
				_ = decodeMeta(s)
				_, _ = parseAnyTime(s)
				_, _ = parseISOTime(s)
				_, _ = parseRef(s)
				_, _ = parsePartPage(s, s)
				_, _ = parsePageToken(s)
				_, _, _ = parseRetention([]byte(s), now)
			}
		}
		if q, err := url.ParseQuery(text); err == nil {
			_, _ = parseBucketPage(q)
		}
	})
}
