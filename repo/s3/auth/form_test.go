package auth

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestDocumentedForm is the example of the documentation of S3.
func TestDocumentedForm(t *testing.T) {
	lines := []string{`{ "expiration": "2015-12-30T12:00:00.000Z",`, `  "conditions": [`, `    {"bucket": "sigv4examplebucket"},`,
		`    ["starts-with", "$key", "user/user1/"],`, `    {"acl": "public-read"},`,
		`    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},`,
		`    ["starts-with", "$Content-Type", "image/"],`, `    {"x-amz-meta-uuid": "14365123651274"},`,
		`    {"x-amz-server-side-encryption": "AES256"},`, `    ["starts-with", "$x-amz-meta-tag", ""],`, ``,
		`    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},`,
		`    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},`, `    {"x-amz-date": "20151229T000000Z" }`, `  ]`, `}`}
	fields := map[string]string{
		"policy":           base64.StdEncoding.EncodeToString([]byte(strings.Join(lines, "\r\n"))),
		"x-amz-algorithm":  "AWS4-HMAC-SHA256",
		"x-amz-credential": testKey + "/20151229/us-east-1/s3/aws4_request",
		"x-amz-date":       "20151229T000000Z",
		"x-amz-signature":  "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
	}
	res, err := newVerifier(testTime).VerifyForm(fields)
	if err != nil {
		t.Fatal(err)
	}
	if res.AccessKey != testKey || res.Scheme != SigV4 || res.Type != PostForm || res.Region != "us-east-1" ||
		!res.Date.Equal(time.Date(2015, 12, 29, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("result %+v", res)
	}
}

// v4Form and v2Form are signed forms.
func v4Form() map[string]string {
	s := newSigner("POST", "/b", "", nil)
	return map[string]string{"policy": "cG9saWN5", "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": testKey + "/" + s.scope(),
		"x-amz-date": s.stamp(), "x-amz-signature": hex.EncodeToString(mac(s.key(), "cG9saWN5"))}
}

func v2Form() map[string]string {
	return map[string]string{"policy": "cG9saWN5", "awsaccesskeyid": testKey, "signature": "eL3OlIgXlaEdW8YOBw30RYKlweI="}
}

func TestForms(t *testing.T) {
	tests := []struct {
		name, field, value string // "" removes the field
		v2                 bool
		code, argument     string
	}{
		{"version 4", "x-ignore", "1", false, "", ""},
		{"no algorithm", "x-amz-algorithm", "", false, "InvalidArgument", "X-Amz-Algorithm"},
		{"no credential", "x-amz-credential", "", false, "InvalidArgument", "X-Amz-Credential"},
		{"no date", "x-amz-date", "", false, "InvalidArgument", "X-Amz-Date"},
		{"no signature", "x-amz-signature", "", false, "InvalidArgument", "X-Amz-Signature"},
		{"no policy", "policy", "", false, "InvalidArgument", "Policy"},
		{"algorithm", "x-amz-algorithm", "AWS4-ECDSA-P256-SHA256", false, "InvalidArgument", "X-Amz-Algorithm"},
		{"credential", "x-amz-credential", "AKID", false, "InvalidArgument", "X-Amz-Credential"},
		{"service", "x-amz-credential", testKey + "/20130524/firn-1/ec2/aws4_request", false, "InvalidArgument", "X-Amz-Credential"},
		{"date", "x-amz-date", "today", false, "InvalidArgument", "X-Amz-Date"},
		{"other day", "x-amz-date", "20130525T000000Z", false, "InvalidArgument", "X-Amz-Credential"},
		{"region", "x-amz-credential", testKey + "/20130524/firn-2/s3/aws4_request", false, "SignatureDoesNotMatch", ""},
		{"policy changed", "policy", "cG9saWN6", false, "SignatureDoesNotMatch", ""},
		{"signature", "x-amz-signature", strings.Repeat("0", 64), false, "SignatureDoesNotMatch", ""},
		{"token", "x-amz-security-token", "t", false, "InvalidToken", ""},
		{"version 2", "x-ignore", "1", true, "", ""},
		{"no signature, version 2", "signature", "", true, "InvalidArgument", "Signature"},
		{"no access key, version 2", "awsaccesskeyid", "", true, "InvalidArgument", "AWSAccessKeyId"},
		{"no policy, version 2", "policy", "", true, "InvalidArgument", "Policy"},
		{"policy changed, version 2", "policy", "cG9saWN6", true, "SignatureDoesNotMatch", ""},
		{"signature, version 2", "signature", "=Iewlk7YR03wBO8YWdEalXgIlO3Le", true, "SignatureDoesNotMatch", ""},
		{"token, version 2", "x-amz-security-token", "t", true, "InvalidToken", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fields := v4Form()
			if tt.v2 {
				fields = v2Form()
			}
			if fields[tt.field] = tt.value; tt.value == "" {
				delete(fields, tt.field)
			}
			res, err := newVerifier(testTime).VerifyForm(fields)
			if tt.code == "" {
				if err != nil || res.AccessKey != testKey {
					t.Fatalf("%+v, %v", res, err)
				}
				return
			}
			e := wantCode(t, err, tt.code)
			if element(e, "ArgumentName") != tt.argument {
				t.Errorf("elements %v", e.Fields)
			}
			if want := "Bucket POST must contain a field named '" + tt.argument + "'.  If it is specified, please check the order of the fields."; tt.value == "" && e.Message != want {
				t.Errorf("message %q, want %q", e.Message, want)
			}
		})
	}
}

func TestFormsWithoutSignature(t *testing.T) {
	for _, fields := range []map[string]string{{"key": "k"}, {"key": "k", "policy": "cG9saWN5"}} {
		res, err := newVerifier(testTime).VerifyForm(fields)
		if err != nil || res.AccessKey != "" || res.Type != "" {
			t.Errorf("%v: %+v, %v", fields, res, err)
		}
	}
}

func TestFormsOfStrangers(t *testing.T) {
	fields := v4Form()
	fields["x-amz-credential"] = strings.Replace(fields["x-amz-credential"], testKey, "NOBODY", 1)
	if _, err := newVerifier(testTime).VerifyForm(fields); !errors.Is(err, errNoKey) {
		t.Errorf("got %v", err)
	}
	fields = v2Form()
	fields["awsaccesskeyid"] = "NOBODY"
	if _, err := newVerifier(testTime).VerifyForm(maps.Clone(fields)); !errors.Is(err, errNoKey) {
		t.Errorf("got %v", err)
	}
	v := newVerifier(testTime)
	v.opt.NoV2 = true
	_, err := v.VerifyForm(v2Form())
	wantCode(t, err, "InvalidRequest")
}
