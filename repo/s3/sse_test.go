package s3

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/firnstore/firn/index"
)

func TestParseSealing(t *testing.T) {
	context := base64.StdEncoding.EncodeToString([]byte(`{"a":"b"}`))
	plain := sealing{sse: "AES256"}
	kms := sealing{sse: "aws:kms", kmsKey: "k1", bucketKey: true}
	withCustomer := func(more ...string) http.Header {
		return headers(append(customer(customerHeader, testKey(1)), more...)...)
	}
	for _, c := range []struct {
		name          string
		def           sealing
		head          http.Header
		code          string
		message       string
		sse, kmsKey   string
		bucketKey     bool
		customer, ask bool
	}{
		{name: "nothing", def: plain, head: headers(), sse: "AES256"},
		{name: "default with a key", def: kms, head: headers(), sse: "aws:kms", kmsKey: "k1", bucketKey: true},
		{name: "AES256", def: kms, head: headers(headSSE, "AES256"), sse: "AES256", ask: true},
		{name: "own key of the account", def: plain, head: headers(headSSE, "aws:kms"), sse: "aws:kms", kmsKey: defaultKMSKey, ask: true},
		{name: "named key", def: plain, head: headers(headSSE, "aws:kms", headKMSKey, "k2", headKMSContext, context), sse: "aws:kms", kmsKey: "k2", ask: true},
		{name: "bucket key of the default", def: kms, head: headers(headSSE, "aws:kms"), sse: "aws:kms", kmsKey: defaultKMSKey, bucketKey: true, ask: true},
		{name: "no bucket key", def: kms, head: headers(headSSE, "aws:kms", headBucketKey, "false"), sse: "aws:kms", kmsKey: defaultKMSKey, ask: true},
		{name: "two layers", def: kms, head: headers(headSSE, "aws:kms:dsse", headKMSKey, "k3"), sse: "aws:kms:dsse", kmsKey: "k3", ask: true},
		{name: "customer", def: kms, head: withCustomer(), customer: true, ask: true},

		{name: "customer and AES256", def: plain, head: withCustomer(headSSE, "AES256"), code: "InvalidArgument",
			message: "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"},
		{name: "customer and KMS", def: plain, head: withCustomer(headSSE, "aws:kms"), code: "InvalidArgument",
			message: "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"},
		{name: "AES256 and a key", def: plain, head: headers(headSSE, "AES256", headKMSKey, "k"), code: "InvalidArgument",
			message: "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"},
		{name: "key alone", def: kms, head: headers(headKMSKey, "k"), code: "InvalidArgument",
			message: "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"},
		{name: "unknown method", def: plain, head: headers(headSSE, "aes:kms"), code: "InvalidArgument", message: "The encryption method specified is not supported"},
		{name: "empty method", def: plain, head: headers(headSSE, ""), code: "InvalidArgument", message: "The encryption method specified is not supported"},
		{name: "context that is none", def: plain, head: headers(headSSE, "aws:kms", headKMSContext, "e30"), code: "InvalidArgument",
			message: "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map"},
		{name: "key that is none", def: plain, head: headers(headSSE, "aws:kms", headKMSKey, "a b"), code: "KMS.NotFoundException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseSealing(c.head, c.def)
			if c.code != "" {
				wantCode(t, err, c.code)
				if c.message != "" {
					wantMessage(t, err, c.code, c.message)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.sse != c.sse || s.kmsKey != c.kmsKey || s.bucketKey != c.bucketKey || (s.customer != nil) != c.customer || s.asked != c.ask {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestNotedEncryptionIsTold(t *testing.T) {
	k := &customerKey{key: testKey(1), md5: "sum"}
	for _, c := range []struct {
		name string
		s    sealing
		want http.Header
	}{
		{"repository", sealing{sse: "AES256"}, headers(headSSE, "AES256")},
		{"KMS", sealing{sse: "aws:kms", kmsKey: "k", bucketKey: true, context: "c"}, headers(headSSE, "aws:kms", headKMSKey, "k", headBucketKey, "true")},
		{"customer", sealing{customer: k}, headers(customerHeader+"Algorithm", "AES256", customerHeader+"Key-MD5", "sum")},
	} {
		v := &index.Version{System: map[string]string{metaSSE: "aws:kms", metaKMSKey: "of the source", metaCheck: "x", metaSSEC: "y"}}
		if err := c.s.note(v.System); err != nil {
			t.Fatal(err)
		}
		head := http.Header{}
		sseHeaders(head, v)
		if len(head) != len(c.want) {
			t.Errorf("%s: got %v", c.name, head)
		}
		for name := range c.want {
			if head.Get(name) != c.want.Get(name) {
				t.Errorf("%s: %s is %q", c.name, name, head.Get(name))
			}
		}
	}
}
