package s3

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/firnstore/firn/index"
)

// Headers of SSE-C end with -Algorithm, -Key and -Key-Md5; those that are about the source
// of a copy have a prefix of their own.
const (
	customerHeader     = "X-Amz-Server-Side-Encryption-Customer-"
	copyCustomerHeader = "X-Amz-Copy-Source-Server-Side-Encryption-Customer-"
)

const headSSE = "x-amz-server-side-encryption"

// customerKey is a key that came with the request and is gone with it.
type customerKey struct {
	key []byte
	md5 string // of key, base64
}

// parseCustomerKey reads the headers of SSE-C whose names begin with prefix; nil when there
// are none.
func parseCustomerKey(head http.Header, prefix string) (*customerKey, error) {
	algorithm, key, sum := head[prefix+"Algorithm"], head[prefix+"Key"], head[prefix+"Key-Md5"]
	if len(algorithm)+len(key)+len(sum) == 0 {
		return nil, nil
	}
	refuse := func(message string) (*customerKey, error) {
		return nil, errorf("InvalidArgument", message).with("ArgumentName", headSSE).with("ArgumentValue", "null")
	}
	const specifying = "Requests specifying Server Side Encryption with Customer provided keys must provide "
	if len(algorithm) == 0 {
		return refuse(specifying + "a valid encryption algorithm.")
	}
	if algorithm[0] != "AES256" {
		return nil, errorf("InvalidEncryptionAlgorithmError", "").with("ArgumentName", headSSE).with("ArgumentValue", algorithm[0])
	}
	if len(key) == 0 {
		return refuse(specifying + "an appropriate secret key.")
	}
	if len(sum) == 0 {
		return refuse(specifying + "the client calculated MD5 of the secret key.")
	}
	raw, err := base64.StdEncoding.DecodeString(key[0])
	if err != nil {
		return refuse("The secret key was invalid for the specified algorithm.")
	}
	calculated := md5.Sum(raw)
	given, err := base64.StdEncoding.DecodeString(sum[0])
	if err != nil || !hmac.Equal(calculated[:], given) {
		return refuse("The calculated MD5 hash of the key did not match the hash that was provided.")
	}
	if len(raw) != keySize {
		return refuse("The secret key was invalid for the specified algorithm.")
	}
	return &customerKey{key: raw, md5: base64.StdEncoding.EncodeToString(calculated[:])}, nil
}

// checkInfo separates the proof of a key from the keys that are derived of it.
const checkInfo = "firn s3 key check"

// proof returns what tells the key from others without telling the key: a salt, and a value
// derived of both.
func (k *customerKey) proof() (string, error) {
	salt := make([]byte, nonceSize)
	_, _ = rand.Read(salt) // it never fails
	value, err := hkdf.Key(sha256.New, k.key, salt, checkInfo, keySize)
	return base64.StdEncoding.EncodeToString(append(salt, value...)), err
}

// proves reports whether this is the key that a proof was made of.
func (k *customerKey) proves(proof string) bool {
	b, err := base64.StdEncoding.DecodeString(proof)
	if err != nil || len(b) != nonceSize+keySize {
		return false
	}
	value, err := hkdf.Key(sha256.New, k.key, b[:nonceSize], checkInfo, keySize)
	return err == nil && hmac.Equal(value, b[nonceSize:])
}

// readKey returns the key that a version of the request's bucket is sealed with, nil for
// one that is not sealed, after checking the headers of SSE-C that belong to a read.
func (q *request) readKey(v *index.Version) ([]byte, error) {
	for _, name := range []string{headSSE, headKMSKey, headKMSContext} {
		if values := q.r.Header.Values(name); len(values) > 0 {
			return nil, errorf("InvalidArgument", "%s header is not supported for this operation.", name).
				with("ArgumentName", name).with("ArgumentValue", values[0])
		}
	}
	k, err := parseCustomerKey(q.r.Header, customerHeader)
	if err != nil {
		return nil, err
	}
	return q.keyOf(v, k)
}

// keyOf returns the key that a version is sealed with, nil for one that is not sealed. given
// is the customer's key that the request carries for it, or nil.
func (q *request) keyOf(v *index.Version, given *customerKey) ([]byte, error) {
	switch {
	case v.System[metaSSEC] == "" && given != nil:
		return nil, errorf("InvalidRequest", "The encryption parameters are not applicable to this object.")
	case v.System[metaSSEC] != "" && given == nil:
		return nil, errorf("InvalidRequest", "The object was stored using a form of Server Side Encryption. "+
			"The correct parameters must be provided to retrieve the object.")
	case given != nil && !given.proves(v.System[metaCheck]):
		return nil, errorf("AccessDenied", "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.")
	case given != nil:
		return given.key, nil
	case isKMS(v.System[metaSSE]):
		return q.h.kmsKey(v.Bucket, v.System[metaKMSKey])
	}
	return nil, nil
}
