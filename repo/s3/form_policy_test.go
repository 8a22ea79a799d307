package s3

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPostPolicies sends one form with many policies.
func TestPostPolicies(t *testing.T) {
	s := formServer(t)
	const violated = "Invalid according to Policy: "
	fields := []string{"key", "foo.txt"}
	runPolicies(t, s, []policyTest{
		{"as it should be", basics(), fields, 204, "", ""},
		{"a field more", basics(), append(fields, "acl", "private"), 403, "AccessDenied", violated + "Extra input fields: acl"},
		{"spelt as sent", basics(), append(fields, "StorageClass", "x"), 403, "AccessDenied", violated + "Extra input fields: StorageClass"},
		{"no bucket", []any{cond{"starts-with", "$key", "foo"}}, fields, 403, "AccessDenied", violated + "Extra input fields: bucket"},
		{"another bucket", []any{doc{"bucket": "other"}, cond{"starts-with", "$key", ""}}, append(fields, "bucket", "other"), 403, "AccessDenied",
			violated + `Policy Condition failed: ["eq", "$bucket", "other"]`},
		{"ignored fields", basics(), append(fields, "x-ignore-a", "b", "X-Ignore-B", "c"), 204, "", ""},
		{"prefix", []any{doc{"bucket": "bucket"}, cond{"starts-with", "$key", "Foo"}}, fields, 403, "AccessDenied",
			violated + `Policy Condition failed: ["starts-with", "$key", "Foo"]`},
		{"any value", basics(cond{"starts-with", "$x-amz-meta-a", ""}), append(fields, "x-amz-meta-a", "b"), 204, "", ""},
		{"equal", basics(cond{"eq", "$x-amz-meta-a", "b"}), append(fields, "x-amz-meta-a", "b"), 204, "", ""},
		{"not equal", basics(cond{"eq", "$x-amz-meta-a", ""}), append(fields, "x-amz-meta-a", `b"`), 403, "AccessDenied",
			violated + `Policy Condition failed: ["eq", "$x-amz-meta-a", ""]`},
		{"quotes are shown", basics(doc{"x-amz-meta-a": `a"<&`}), append(fields, "x-amz-meta-a", "b"), 403, "AccessDenied",
			violated + `Policy Condition failed: ["eq", "$x-amz-meta-a", "a\"<&"]`},
		{"field missing", basics(cond{"starts-with", "$x-amz-meta-a", "b"}), fields, 403, "AccessDenied",
			violated + `Policy Condition failed: ["starts-with", "$x-amz-meta-a", "b"]`},
		{"field missing, not needed", basics(cond{"starts-with", "$x-amz-server-side-encryption", ""}), fields, 204, "", ""},
		{"no dollar", basics(cond{"eq", "key", "foo.txt"}), fields, 403, "AccessDenied", violated + `Policy Condition failed: ["eq", "key", "foo.txt"]`},
		{"case of names and operators", []any{doc{"bUcKeT": "bucket"}, cond{"StArTs-WiTh", "$KeY", "foo"}, doc{"AcL": "private"}},
			[]string{"kEy", "foo.txt", "aCl", "private"}, 204, "", ""},
		{"case of values", basics(doc{"acl": "Private"}), append(fields, "acl", "private"), 403, "AccessDenied",
			violated + `Policy Condition failed: ["eq", "$acl", "Private"]`},
		{"list of types", basics(cond{"starts-with", "$Content-Type", "image/"}), append(fields, "Content-Type", "image/jpg,image/png"), 204, "", ""},
		{"list with another type", basics(cond{"starts-with", "$Content-Type", "image/"}), append(fields, "Content-Type", "image/jpg,text/plain"), 403, "AccessDenied",
			violated + `Policy Condition failed: ["starts-with", "$Content-Type", "image/"]`},
		{"fields of one name", basics(doc{"x-amz-meta-tag": "Ninja,Stallman"}), append(fields, "x-amz-meta-tag", "Ninja", "x-amz-meta-tag", "Stallman"), 204, "", ""},
		{"size", basics(cond{"content-length-range", 3, 4}), fields, 204, "", ""},
		{"size in strings", basics(cond{"content-length-range", "0", "10"}), fields, 204, "", ""},
		{"too large", basics(cond{"content-length-range", 0, 2}), fields, 400, "EntityTooLarge", "<ProposedSize>3</ProposedSize><MaxSizeAllowed>2</MaxSizeAllowed>"},
		{"too small", basics(cond{"content-length-range", 4, 9}), fields, 400, "EntityTooSmall", "<ProposedSize>3</ProposedSize><MinSizeAllowed>4</MinSizeAllowed>"},
		{"several ranges", basics(cond{"content-length-range", 0, 9}, cond{"content-length-range", 0, 2}, cond{"content-length-range", 0, 9}), fields, 400, "EntityTooLarge", ""},
		{"negative size", basics(cond{"content-length-range", -1, 0}), fields, 400, "EntityTooLarge", ""},
		{"no size at all", basics(cond{"content-length-range", "a", "10"}), fields, 403, "AccessDenied", violated + `Policy Condition failed: ["content-length-range", "a", "10"]`},
		{"no key", []any{doc{"bucket": "bucket"}}, nil, 400, "InvalidArgument", "Bucket POST must contain a field named &#39;key&#39;.  If it is specified, please check the order of the fields."},
	})
}

// TestPostConditions has conditions that are none.
func TestPostConditions(t *testing.T) {
	s, fields := formServer(t), []string{"key", "foo.txt"}
	runPolicies(t, s, []policyTest{
		{"broken size", basics(cond{"content-length-range", 0, 1.5}), fields, 400, "InvalidPolicyDocument", "Invalid Policy: Invalid JSON."},
		{"one argument", basics(cond{"content-length-range", 0}), fields, 400, "InvalidPolicyDocument", "Invalid Policy: Invalid content-length-range: wrong number of arguments."},
		{"two arguments", basics(cond{"eq", "$key"}), fields, 400, "InvalidPolicyDocument", "Invalid Policy: Invalid Eq: wrong number of arguments."},
		{"four arguments", basics(cond{"starts-with", "$key", "f", "o"}), fields, 400, "InvalidPolicyDocument", "Invalid Policy: Invalid starts-with: wrong number of arguments."},
		{"unknown operation", basics(cond{"ends-with", "$key", "txt"}), fields, 400, "InvalidPolicyDocument", "Invalid Policy: Invalid Condition: unknown operation &#39;ends-with&#39;."},
		{"no operation", basics(cond{}), fields, 400, "InvalidPolicyDocument", "Invalid Policy: Invalid Condition: missing operation identifier."},
		{"scalar", basics("key"), fields, 400, "InvalidPolicyDocument", "Invalid Policy: Invalid condition test: must be a List or Object."},
		{"empty object", []any{doc{}}, fields, 400, "InvalidPolicyDocument", "Invalid Policy: Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."},
		{"two properties", []any{doc{"bucket": "bucket", "key": "foo.txt"}}, fields, 400, "InvalidPolicyDocument", "must have exactly one property specified."},
		{"number", basics(doc{"content-length": 3}), fields, 400, "InvalidPolicyDocument", "Invalid Policy: Invalid Simple-Condition: value must be a string."},
	})
}

type policyTest struct {
	name       string
	conditions []any
	fields     []string
	status     int
	code, text string
}

// runPolicies sends a form for each test, signed with either version.
func runPolicies(t *testing.T, s *server, tests []policyTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			forms := map[string][]string{"v2": signV2(mainUser, s.policy(tt.conditions...), tt.fields...)}
			if len(tt.conditions) > 1 {
				forms["v4"] = s.signV4(mainUser, slices.Clone(tt.conditions), tt.fields...)
			}
			for name, fields := range forms {
				r := s.post("/bucket", (&formUpload{fields: fields, file: "bar"}).encode())
				text := strings.NewReplacer("&#34;", `"`, "&lt;", "<", "&amp;", "&").Replace(r.body)
				if r.StatusCode != tt.status || tt.code != "" && !strings.Contains(text, "<Code>"+tt.code+"</Code>") || !strings.Contains(text, tt.text) {
					t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
				}
			}
		})
	}
}

// TestPostPolicyDocuments has policies that are none.
func TestPostPolicyDocuments(t *testing.T) {
	s := formServer(t)
	later := s.clock.Now().Add(time.Hour).Format(time.RFC3339)
	conditions := basics()
	tests := []struct {
		name, policy string
		status       int
		text         string
	}{
		{"not base64", "{}", 400, "Invalid Policy: invalid Base64 encoding."},
		{"not JSON", base64.StdEncoding.EncodeToString([]byte("expiration")), 400, "Invalid Policy: Invalid JSON."},
		{"more than JSON", base64.StdEncoding.EncodeToString([]byte("{} {}")), 400, "Invalid Policy: Invalid JSON."},
		{"null", base64.StdEncoding.EncodeToString([]byte("null")), 400, "Invalid Policy: Invalid JSON."},
		{"list", encodePolicy(cond{}), 400, "Invalid Policy: Invalid JSON."},
		{"another kind of policy", encodePolicy(doc{"Statement": cond{}}), 400, "Invalid Policy: Unexpected: &#39;statement&#39;"},
		{"no expiration", encodePolicy(doc{"conditions": conditions}), 400, "Invalid Policy: Policy missing expiration."},
		{"EXPIRATION", encodePolicy(doc{"EXPIRATION": later, "conditions": conditions}), 400, "InvalidPolicyDocument"},
		{"no conditions", encodePolicy(doc{"expiration": later}), 400, "Invalid Policy: Policy missing conditions."},
		{"empty conditions", encodePolicy(doc{"expiration": later, "conditions": cond{}}), 400, "Invalid Policy: Policy missing conditions."},
		{"CONDITIONS", encodePolicy(doc{"expiration": later, "CONDITIONS": conditions}), 400, "InvalidPolicyDocument"},
		{"conditions are no list", encodePolicy(doc{"expiration": later, "conditions": doc{}}), 400, "must be a List."},
		{"with an offset", encodePolicy(doc{"expiration": "2030-01-01T00:00:00+00:00", "conditions": conditions}), 400,
			"Invalid &#39;expiration&#39; value: &#39;2030-01-01T00:00:00+00:00&#39;"},
		{"with a space", encodePolicy(doc{"expiration": "2030-01-01 00:00:00", "conditions": conditions}), 400, "Invalid &#39;expiration&#39; value"},
		{"a number", encodePolicy(doc{"expiration": 1, "conditions": conditions}), 400, "Invalid &#39;expiration&#39; value"},
		{"expired", encodePolicy(doc{"expiration": "2020-01-01T00:00:00Z", "conditions": conditions}), 403, "Invalid according to Policy: Policy expired."},
		{"milliseconds", encodePolicy(doc{"expiration": "2030-01-01T00:00:00.000Z", "conditions": conditions}), 204, ""},
		{"expires now", encodePolicy(doc{"expiration": s.clock.Now().Format(time.RFC3339), "conditions": conditions}), 403, "Policy expired."},
		{"escapes", base64.StdEncoding.EncodeToString([]byte(`{"expiration": "` + later + `", "conditions": [{"bucket":"bucket"}, ["eq", "\$key", "foo.txt"]]}`)), 204, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.post("/bucket", (&formUpload{fields: signV2(mainUser, tt.policy, "key", "foo.txt"), file: "bar"}).encode())
			if r.StatusCode != tt.status || !strings.Contains(r.body, tt.text) {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		})
	}
}

func FuzzPostPolicy(f *testing.F) {
	for _, v := range []any{doc{"expiration": "2030-01-01T00:00:00Z", "conditions": basics(cond{"content-length-range", 0, "9"})}, doc{}, cond{}} {
		b, _ := json.Marshal(v)
		f.Add(b, "key", "foo")
	}
	f.Add([]byte(`{"expiration":"2030-01-01T00:00:00Z","conditions":[["eq","\$key","\v"]]}`), "acl", "x")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, doc []byte, name, value string) {
		p, err := parsePostPolicy(base64.StdEncoding.EncodeToString(doc))
		if err != nil {
			return
		}
		form := &form{}
		form.add(name, value)
		limits, err := p.check(form, "bucket", now)
		if err != nil {
			return
		}
		if len(p.conditions) == 0 || limits.max < -1 {
			t.Errorf("%s: limits %+v", doc, limits)
		}
		if !exempt(strings.ToLower(name)) && !strings.Contains(strings.ToLower(string(doc)), strings.ToLower(name)) && !strings.Contains(string(doc), `\`) {
			t.Errorf("%s: field %q passed", doc, name)
		}
	})
}
