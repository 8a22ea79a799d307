package auth

import (
	"time"
)

// VerifyForm verifies the signature over the policy of a POST form. fields are those of the form, their names in
// lower case. Without policy and signature the result is anonymous. What the policy says is
// for the caller to look at, and Body is nil.
func (v *Verifier) VerifyForm(fields map[string]string) (*Result, error) {
	has := func(names ...string) bool {
		for _, name := range names {
			if _, ok := fields[name]; ok {
				return true
			}
		}
		return false
	}
	switch {
	case has("x-amz-signature", "x-amz-credential", "x-amz-algorithm", "x-amz-date"):
		return v.verifyFormV4(fields)
	case has("signature", "awsaccesskeyid"):
		return v.verifyFormV2(fields)
	}
	return &Result{Size: -1}, nil
}

// required returns an error that names the first field that a form lacks, spelt as S3
// does. names are in pairs: the field, and how it is spelt.
func required(fields map[string]string, names ...string) error {
	for i := 0; i < len(names); i += 2 {
		if fields[names[i]] == "" {
			return fail("InvalidArgument", "Bucket POST must contain a field named '"+names[i+1]+
				"'.  If it is specified, please check the order of the fields.", "ArgumentName", names[i+1], "ArgumentValue", "")
		}
	}
	return nil
}

func badField(message, name, value string) *Error {
	return fail("InvalidArgument", message, "ArgumentName", name, "ArgumentValue", value)
}

func (v *Verifier) verifyFormV4(fields map[string]string) (*Result, error) {
	if err := required(fields, "x-amz-algorithm", "X-Amz-Algorithm", "x-amz-credential", "X-Amz-Credential",
		"x-amz-date", "X-Amz-Date", "x-amz-signature", "X-Amz-Signature", "policy", "Policy"); err != nil {
		return nil, err
	}
	if s := fields["x-amz-algorithm"]; s != algorithm {
		return nil, badField(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`, "X-Amz-Algorithm", s)
	}
	c, wrong := parseCredential(fields["x-amz-credential"])
	if wrong != "" {
		return nil, badField(wrong, "X-Amz-Credential", fields["x-amz-credential"])
	}
	stamp := fields["x-amz-date"]
	at, err := time.Parse(amzTime, stamp)
	if err != nil {
		return nil, badField("X-Amz-Date must be formated via ISO8601 Long format", "X-Amz-Date", stamp)
	}
	if stamp[:len(amzDay)] != c.day {
		return nil, badField(`Invalid credential date "`+c.day+`". This date is not the same as X-Amz-Date: "`+stamp[:len(amzDay)]+`".`,
			"X-Amz-Credential", fields["x-amz-credential"])
	}
	secret, err := v.opt.Secret(c.accessKey)
	if err != nil {
		return nil, err
	}
	key, known := v.keys.get(c, secret)
	if !known {
		key = deriveKey(c, secret)
	}
	if provided := fields["x-amz-signature"]; !sameSignature(key, []byte(fields["policy"]), provided) {
		return nil, errMismatch(c.accessKey, provided)
	}
	if !known {
		v.keys.put(c, secret, key, v.opt.Now())
	}
	if _, ok := fields["x-amz-security-token"]; ok {
		return nil, errToken()
	}
	return &Result{AccessKey: c.accessKey, Scheme: SigV4, Type: PostForm, Region: c.region, Date: at, Size: -1}, nil
}

func (v *Verifier) verifyFormV2(fields map[string]string) (*Result, error) {
	if err := required(fields, "awsaccesskeyid", "AWSAccessKeyId", "signature", "Signature", "policy", "Policy"); err != nil {
		return nil, err
	}
	if v.opt.NoV2 {
		return nil, errNotSupported()
	}
	accessKey, provided := fields["awsaccesskeyid"], fields["signature"]
	secret, err := v.opt.Secret(accessKey)
	if err != nil {
		return nil, err
	}
	if !sameSignatureV2(secret, fields["policy"], provided) {
		return nil, errMismatch(accessKey, provided)
	}
	if _, ok := fields["x-amz-security-token"]; ok {
		return nil, errToken()
	}
	return &Result{AccessKey: accessKey, Scheme: SigV2, Type: PostForm, Size: -1}, nil
}
