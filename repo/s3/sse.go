package s3

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/firnstore/firn/index"
)

const (
	headKMSKey     = "x-amz-server-side-encryption-aws-kms-key-id"
	headKMSContext = "x-amz-server-side-encryption-context"
	headBucketKey  = "x-amz-server-side-encryption-bucket-key-enabled"
)

// sealing says how a new version is encrypted, beyond what the repository does with all.
type sealing struct {
	sse       string // AES256, aws:kms, aws:kms:dsse
	kmsKey    string // name
	context   string
	bucketKey bool
	customer  *customerKey
	asked     bool // the request says so, and not a default

	key []byte // that the content is sealed with; nil: it is not
}

// parseSealing reads the headers of encryption. def is the default of the bucket.
func parseSealing(head http.Header, def sealing) (*sealing, error) {
	customer, err := parseCustomerKey(head, customerHeader)
	values := head.Values(headSSE)
	if len(values) > 0 && hasPrefixed(head, customerHeader) {
		return nil, errorf("InvalidArgument", "Server Side Encryption with Customer provided key is incompatible with the encryption method specified").
			with("ArgumentName", headSSE).with("ArgumentValue", values[0])
	}
	if err != nil {
		return nil, err
	}
	keyID, context := head.Values(headKMSKey), head.Values(headKMSContext)
	s := &sealing{customer: customer, asked: true}
	switch {
	case customer != nil:
		s.key = customer.key
	case len(values) == 0:
		*s = def
	case values[0] == "AES256" || isKMS(values[0]):
		s.sse = values[0]
	default:
		return nil, errorf("InvalidArgument", "The encryption method specified is not supported").
			with("ArgumentName", headSSE).with("ArgumentValue", values[0])
	}
	if len(keyID)+len(context) > 0 && (len(values) == 0 || !isKMS(s.sse)) {
		name, value := headKMSKey, keyID
		if len(keyID) == 0 {
			name, value = headKMSContext, context
		}
		return nil, errorf("InvalidArgument", "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms").
			with("ArgumentName", name).with("ArgumentValue", value[0])
	}
	if !isKMS(s.sse) {
		return s, nil
	}
	return s, s.parseKMS(head, keyID, context, def)
}

// parseKMS reads what belongs to a key of KMS.
func (s *sealing) parseKMS(head http.Header, keyID, context []string, def sealing) error {
	if len(keyID) > 0 {
		s.kmsKey = keyID[0]
	}
	if s.kmsKey == "" {
		s.kmsKey = defaultKMSKey
	}
	if len(context) > 0 {
		if !isStringMap(context[0]) {
			return errorf("InvalidArgument", "The header '"+headKMSContext+"' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map").
				with("ArgumentName", headKMSContext).with("ArgumentValue", context[0])
		}
		s.context = context[0]
	}
	s.bucketKey = def.bucketKey
	switch v := head.Get(headBucketKey); strings.ToLower(v) {
	case "":
	case "true":
		s.bucketKey = true
	case "false":
		s.bucketKey = false
	default:
		return errorf("InvalidArgument", "").with("ArgumentName", headBucketKey).with("ArgumentValue", v)
	}
	s.bucketKey = s.bucketKey && s.sse == "aws:kms"
	return checkKMSName(s.kmsKey)
}

func hasPrefixed(head http.Header, prefix string) bool {
	for name := range head {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func isStringMap(encoded string) bool {
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !utf8.Valid(b) {
		return false
	}
	var m map[string]string
	return json.Unmarshal(b, &m) == nil && m != nil
}

// newSealing says how a new version in the bucket of the request is encrypted that is
// described by head: the headers of the request, or the fields of a form. It makes the key
// of KMS when it is not there yet.
func (q *request) newSealing(head http.Header) (*sealing, error) {
	s, err := parseSealing(head, q.set.defaultSealing())
	if err != nil {
		return nil, err
	}
	if s.customer != nil && q.set.blocksCustomerKeys() {
		return nil, errorf("AccessDenied", "This bucket has blocked upload requests that specify Server Side Encryption with "+
			"Customer provided keys (SSE-C). Please specify a different server-side encryption type")
	}
	if isKMS(s.sse) {
		s.key, err = q.h.makeKMSKey(q.ctx(), q.b, s.kmsKey)
	}
	return s, err
}

// note keeps in the system metadata of a version how it is encrypted.
func (s *sealing) note(system map[string]string) error {
	maps.DeleteFunc(system, func(k, _ string) bool {
		switch k {
		case metaSSE, metaKMSKey, metaKMSCtx, metaBucketKey, metaSSEC, metaCheck:
			return true
		}
		return false
	})
	switch {
	case s.customer != nil:
		proof, err := s.customer.proof()
		if err != nil {
			return err
		}
		system[metaSSEC], system[metaCheck] = s.customer.md5, proof
	case isKMS(s.sse):
		system[metaSSE], system[metaKMSKey] = s.sse, s.kmsKey
		if s.context != "" {
			system[metaKMSCtx] = s.context
		}
		if s.bucketKey {
			system[metaBucketKey] = "true"
		}
	}
	return nil
}

// sseHeaders tells how a version, or the upload of one, is encrypted.
func sseHeaders(head http.Header, v *index.Version) {
	switch {
	case v.System[metaSSEC] != "":
		head.Set(customerHeader+"Algorithm", "AES256")
		head.Set(customerHeader+"Key-MD5", v.System[metaSSEC])
	case isKMS(v.System[metaSSE]):
		head.Set(headSSE, v.System[metaSSE])
		head.Set(headKMSKey, v.System[metaKMSKey])
		if v.System[metaBucketKey] != "" {
			head.Set(headBucketKey, "true")
		}
	default:
		head.Set(headSSE, "AES256")
	}
}

// defaultSealing is how new versions are encrypted that say nothing themselves.
func (s *settings) defaultSealing() sealing {
	if s.encryption == nil {
		return sealing{sse: "AES256"}
	}
	return sealing{sse: s.encryption.algorithm, kmsKey: s.encryption.kmsKey, bucketKey: s.encryption.bucketKey}
}

// blocksCustomerKeys reports whether the bucket refuses new versions under SSE-C.
func (s *settings) blocksCustomerKeys() bool { return s.encryption != nil && s.encryption.blockSSEC }
