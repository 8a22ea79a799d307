package s3

import "testing"

func TestEncryptionCheck(t *testing.T) {
	rule := func(inner string) string {
		return "<ServerSideEncryptionConfiguration><Rule>" + inner + "</Rule></ServerSideEncryptionConfiguration>"
	}
	by := func(inner string) string {
		return rule("<ApplyServerSideEncryptionByDefault>" + inner + "</ApplyServerSideEncryptionByDefault>")
	}
	cases := []struct {
		name, in, code string
		want           encryptionDefault
	}{
		{"AES256", by("<SSEAlgorithm>AES256</SSEAlgorithm>"), "", encryptionDefault{algorithm: "AES256"}},
		{"key of the account", by("<SSEAlgorithm>aws:kms</SSEAlgorithm>"), "", encryptionDefault{algorithm: "aws:kms"}},
		{"named key", rule("<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled>"),
			"", encryptionDefault{algorithm: "aws:kms", kmsKey: "k", bucketKey: true}},
		{"twice", by("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>"), "", encryptionDefault{algorithm: "aws:kms:dsse"}},
		{"no keys of customers", rule("<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"), "",
			encryptionDefault{algorithm: "AES256", blockSSEC: true}},
		{"key without use", by("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>"), "InvalidArgument", encryptionDefault{}},
		{"unknown algorithm", by("<SSEAlgorithm>ROT13</SSEAlgorithm>"), "MalformedXML", encryptionDefault{}},
		{"no algorithm", by(""), "MalformedXML", encryptionDefault{}},
		{"empty rule", rule(""), "MalformedXML", encryptionDefault{}},
		{"unknown type", rule("<BlockedEncryptionTypes><EncryptionType>X</EncryptionType></BlockedEncryptionTypes>"), "MalformedXML", encryptionDefault{}},
		{"no rule", "<ServerSideEncryptionConfiguration/>", "MalformedXML", encryptionDefault{}},
		{"two rules", "<ServerSideEncryptionConfiguration><Rule/><Rule/></ServerSideEncryptionConfiguration>", "MalformedXML", encryptionDefault{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var cfg encryptionConfig
			err := parseDocument([]byte(c.in), encryptionRoot, &cfg)
			if err == nil {
				err = cfg.check()
			}
			wantCode(t, err, c.code)
			if err != nil {
				return
			}
			got, err := parseEncryptionDefault(document(encryptionRoot, &cfg))
			if err != nil || *got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}
