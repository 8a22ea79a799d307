package s3

import (
	"net/http"
	"slices"
)

var encryptionOps = []operation{
	{name: "GetBucketEncryption", level: bucketLevel, method: http.MethodGet, sub: "encryption", action: "s3:GetEncryptionConfiguration",
		run: answerConfigOr(confEncryption, document(encryptionRoot, &encryptionConfig{Rule: []encryptionRule{
			{Default: &encryptionApplied{SSEAlgorithm: "AES256"}, BucketKeyEnabled: new(bool)}}}))},
	{name: "PutBucketEncryption", level: bucketLevel, method: http.MethodPut, sub: "encryption", action: "s3:PutEncryptionConfiguration", run: (*request).putEncryption},
	{name: "DeleteBucketEncryption", level: bucketLevel, method: http.MethodDelete, sub: "encryption", action: "s3:PutEncryptionConfiguration", run: dropConfig(confEncryption)},
}

const encryptionRoot = "ServerSideEncryptionConfiguration"

type encryptionConfig struct {
	Rule []encryptionRule
}

type encryptionRule struct {
	Default          *encryptionApplied `xml:"ApplyServerSideEncryptionByDefault,omitempty"`
	BucketKeyEnabled *bool              `xml:",omitempty"`
	Blocked          *blockedTypes      `xml:"BlockedEncryptionTypes,omitempty"`
}

type encryptionApplied struct {
	SSEAlgorithm   string
	KMSMasterKeyID string `xml:",omitempty"`
}

type blockedTypes struct {
	EncryptionType []string
}

// encryptionDefault is what a bucket asks for new objects that say nothing themselves.
type encryptionDefault struct {
	algorithm string // AES256, aws:kms or aws:kms:dsse
	kmsKey    string // ID as the client gave it; "" is the key of the account
	bucketKey bool
	blockSSEC bool // objects with keys of the customer are refused
}

// parseEncryptionDefault reads a configuration that is stored.
func parseEncryptionDefault(doc string) (*encryptionDefault, error) {
	var c encryptionConfig
	if err := parseDocument([]byte(doc), encryptionRoot, &c); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	r := c.Rule[0]
	d := &encryptionDefault{algorithm: "AES256", bucketKey: *r.BucketKeyEnabled}
	if r.Default != nil {
		d.algorithm, d.kmsKey = r.Default.SSEAlgorithm, r.Default.KMSMasterKeyID
	}
	d.blockSSEC = r.Blocked != nil && slices.Contains(r.Blocked.EncryptionType, "SSE-C")
	return d, nil
}

func (q *request) putEncryption() error {
	var c encryptionConfig
	if err := q.readConfig(maxConfig, encryptionRoot, &c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	return q.storeConfig(confEncryption, document(encryptionRoot, &c))
}

// check validates a configuration and fills in what it leaves out.
func (c *encryptionConfig) check() error {
	malformed := errorf("MalformedXML", "")
	if len(c.Rule) != 1 {
		return malformed
	}
	r := &c.Rule[0]
	if r.Default == nil && r.Blocked == nil {
		return malformed
	}
	if r.BucketKeyEnabled == nil {
		r.BucketKeyEnabled = new(bool)
	}
	if r.Blocked != nil {
		for _, t := range r.Blocked.EncryptionType {
			if t != "SSE-C" && t != "NONE" {
				return malformed
			}
		}
	}
	if r.Default == nil {
		return nil
	}
	switch r.Default.SSEAlgorithm {
	case "AES256":
		if r.Default.KMSMasterKeyID != "" {
			return errorf("InvalidArgument", "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse").
				with("ArgumentName", "ApplyServerSideEncryptionByDefault")
		}
	case "aws:kms", "aws:kms:dsse":
	default:
		return malformed
	}
	return nil
}
