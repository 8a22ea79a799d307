package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"testing"
)

// customer makes the headers of SSE-C for a key.
func customer(prefix string, key []byte) []string {
	sum := md5.Sum(key)
	return []string{prefix + "Algorithm", "AES256", prefix + "Key", base64.StdEncoding.EncodeToString(key),
		prefix + "Key-MD5", base64.StdEncoding.EncodeToString(sum[:])}
}

func TestParseCustomerKey(t *testing.T) {
	without := func(name string) http.Header {
		head := headers(customer(customerHeader, testKey(1))...)
		head.Del(customerHeader + name)
		return head
	}
	with := func(name, value string) http.Header {
		head := without(name)
		head.Set(customerHeader+name, value)
		return head
	}
	const must = "Requests specifying Server Side Encryption with Customer provided keys must provide "
	for _, c := range []struct {
		name, code, message string
		head                http.Header
	}{
		{"no algorithm", "InvalidArgument", must + "a valid encryption algorithm.", without("Algorithm")},
		{"no key", "InvalidArgument", must + "an appropriate secret key.", without("Key")},
		{"no digest", "InvalidArgument", must + "the client calculated MD5 of the secret key.", without("Key-MD5")},
		{"other algorithm", "InvalidEncryptionAlgorithmError", "The Encryption request you specified is not valid. Supported value: AES256.", with("Algorithm", "AES192")},
		{"other digest", "InvalidArgument", "The calculated MD5 hash of the key did not match the hash that was provided.", with("Key-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")},
		{"not base64", "InvalidArgument", "The secret key was invalid for the specified algorithm.", with("Key", "%%%")},
		{"too short", "InvalidArgument", "The secret key was invalid for the specified algorithm.", headers(customer(customerHeader, testKey(1)[:24])...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := parseCustomerKey(c.head, customerHeader)
			if k != nil {
				t.Error("a key came with the error")
			}
			wantMessage(t, err, c.code, c.message)
		})
	}
	if k, err := parseCustomerKey(headers(), customerHeader); k != nil || err != nil {
		t.Errorf("without headers: %v, %v", k, err)
	}
	for _, prefix := range []string{customerHeader, copyCustomerHeader} {
		k, err := parseCustomerKey(headers(customer(prefix, testKey(1))...), prefix)
		if err != nil || !bytes.Equal(k.key, testKey(1)) {
			t.Errorf("%s: %v, %v", prefix, k, err)
		}
	}
}

func TestProofOfKey(t *testing.T) {
	right, wrong := &customerKey{key: testKey(1)}, &customerKey{key: testKey(2)}
	proof, err := right.proof()
	if err != nil {
		t.Fatal(err)
	}
	if !right.proves(proof) || wrong.proves(proof) {
		t.Error("the proof does not tell the keys apart")
	}
	if again, _ := right.proof(); again == proof {
		t.Error("a proof has no salt")
	}
	raw, _ := base64.StdEncoding.DecodeString(proof)
	for _, bad := range []string{"", "x", proof[:8], base64.StdEncoding.EncodeToString(raw[:nonceSize]), base64.StdEncoding.EncodeToString(make([]byte, nonceSize+keySize))} {
		if right.proves(bad) {
			t.Errorf("%q is taken for a proof", bad)
		}
	}
}
