package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// postPolicy is the policy of a form: until when, and for which fields, it was signed.
type postPolicy struct {
	expiration time.Time
	conditions []postCondition
}

// postCondition is eq, starts-with or content-length-range.
type postCondition struct {
	op          string // in lower case
	field       string // in lower case; "" when the name lacks its dollar sign
	value       string
	first, last string // of a range
	text        string // as S3 shows it when it fails
}

func badPolicy(why string) *apiError {
	return errorf("InvalidPolicyDocument", "Invalid Policy: %s", why)
}

const badJSON = "Invalid JSON."

// parsePostPolicy parses a policy as it came, in base64.
func parsePostPolicy(encoded string) (*postPolicy, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, badPolicy("invalid Base64 encoding.")
	}
	members := map[string]json.RawMessage{}
	if err := decodeStrict(plainJSON(data), &members); err != nil || members == nil {
		return nil, badPolicy(badJSON)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name != "expiration" && name != "conditions" {
			return nil, badPolicy("Unexpected: '" + strings.ToLower(name) + "'")
		}
	}
	p := &postPolicy{}
	if p.expiration, err = parseExpiration(members["expiration"]); err != nil {
		return nil, err
	}
	if members["conditions"] == nil {
		return nil, badPolicy("Policy missing conditions.")
	}
	var list []json.RawMessage
	if json.Unmarshal(members["conditions"], &list) != nil || list == nil {
		return nil, badPolicy("Invalid 'conditions' value: must be a List.")
	}
	if len(list) == 0 {
		return nil, badPolicy("Policy missing conditions.")
	}
	for _, raw := range list {
		c, err := parseCondition(raw)
		if err != nil {
			return nil, err
		}
		p.conditions = append(p.conditions, *c)
	}
	return p, nil
}

// plainJSON makes JSON of what S3 takes for it: \$ and \v are escapes there, too.
func plainJSON(data []byte) []byte {
	if !bytes.Contains(data, []byte(`\$`)) && !bytes.Contains(data, []byte(`\v`)) {
		return data
	}
	out := make([]byte, 0, len(data)+16)
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' || i+1 == len(data) {
			out = append(out, data[i])
			continue
		}
		i++
		switch data[i] {
		case '$':
			out = append(out, '$')
		case 'v':
			out = append(out, `\u000b`...)
		default:
			out = append(out, '\\', data[i])
		}
	}
	return out
}

// decodeStrict decodes one value and nothing behind it.
func decodeStrict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("trailing data")
	}
	return nil
}

func parseExpiration(raw json.RawMessage) (time.Time, error) {
	if raw == nil {
		return time.Time{}, badPolicy("Policy missing expiration.")
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return time.Time{}, badPolicy("Invalid 'expiration' value: '" + string(raw) + "'")
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	if err != nil {
		return time.Time{}, badPolicy("Invalid 'expiration' value: '" + s + "'")
	}
	return t, nil
}

func parseCondition(raw json.RawMessage) (*postCondition, error) {
	switch {
	case bytes.HasPrefix(raw, []byte("{")):
		return parseSimple(raw)
	case bytes.HasPrefix(raw, []byte("[")):
	default:
		return nil, badPolicy("Invalid condition test: must be a List or Object.")
	}
	var list []any
	if decodeStrict(raw, &list) != nil {
		return nil, badPolicy(badJSON)
	}
	if len(list) == 0 {
		return nil, badPolicy("Invalid Condition: missing operation identifier.")
	}
	op, ok := list[0].(string)
	if !ok {
		return nil, badPolicy("Invalid Condition: missing operation identifier.")
	}
	c := &postCondition{op: strings.ToLower(op)}
	shown, known := map[string]string{"eq": "Eq", "starts-with": "starts-with", "content-length-range": "content-length-range"}[c.op]
	if !known {
		return nil, badPolicy("Invalid Condition: unknown operation '" + op + "'.")
	}
	if len(list) != 3 {
		return nil, badPolicy("Invalid " + shown + ": wrong number of arguments.")
	}
	c.text = "[" + quoteJSON(op) + ", " + showJSON(list[1]) + ", " + showJSON(list[2]) + "]"
	if c.op == "content-length-range" {
		return c, c.parseRange(list[1], list[2])
	}
	name, named := list[1].(string)
	value, valued := list[2].(string)
	if !named || !valued {
		return nil, badPolicy(badJSON)
	}
	if field, ok := strings.CutPrefix(name, "$"); ok {
		c.field = strings.ToLower(field)
	}
	c.value = value
	return c, nil
}

// parseSimple parses an object with one property, which is short for eq.
func parseSimple(raw json.RawMessage) (*postCondition, error) {
	m := map[string]any{}
	if decodeStrict(raw, &m) != nil {
		return nil, badPolicy(badJSON)
	}
	if len(m) != 1 {
		return nil, badPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
	}
	c := &postCondition{op: "eq"}
	for name, v := range m {
		if v == nil {
			return nil, badPolicy(badJSON)
		}
		value, ok := v.(string)
		if !ok {
			return nil, badPolicy("Invalid Simple-Condition: value must be a string.")
		}
		c.field, c.value = strings.ToLower(name), value
		c.text = "[\"eq\", " + quoteJSON("$"+name) + ", " + quoteJSON(value) + "]"
	}
	return c, nil
}

// parseRange takes numbers, and strings of which only check sees whether they are some.
func (c *postCondition) parseRange(first, last any) error {
	for i, v := range []any{first, last} {
		to := []*string{&c.first, &c.last}[i]
		switch v := v.(type) {
		case json.Number:
			if _, err := strconv.ParseInt(v.String(), 10, 64); err != nil {
				return badPolicy(badJSON)
			}
			*to = v.String()
		case string:
			*to = v
		default:
			return badPolicy(badJSON)
		}
	}
	return nil
}

func quoteJSON(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("s3: " + err.Error()) // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// showJSON shows a string or a number.
func showJSON(v any) string {
	switch v := v.(type) {
	case string:
		return quoteJSON(v)
	case json.Number:
		return v.String()
	}
	return "null"
}

// check holds a form against the policy, and returns which sizes its file may have.
func (p *postPolicy) check(f *form, bucket string, now time.Time) (sizeLimits, error) {
	limits := sizeLimits{max: -1}
	if !now.Before(p.expiration) {
		return limits, errorf("AccessDenied", "Invalid according to Policy: Policy expired.")
	}
	covered := map[string]bool{}
	for _, c := range p.conditions {
		covered[c.field] = true
		ok := false
		if c.op == "content-length-range" {
			ok = limits.narrow(c.first, c.last)
		} else {
			ok = c.holds(f, bucket)
		}
		if !ok {
			return limits, errorf("AccessDenied", "Invalid according to Policy: Policy Condition failed: %s", c.text)
		}
	}
	var extra []string
	if !covered["bucket"] {
		extra = append(extra, "bucket") // every form has one, in its URL
	}
	for _, field := range f.fields {
		if !covered[field.name] && !exempt(field.name) && field.name != "bucket" {
			extra = append(extra, field.sent)
		}
	}
	if len(extra) > 0 {
		return limits, errorf("AccessDenied", "Invalid according to Policy: Extra input fields: %s", strings.Join(extra, ", "))
	}
	return limits, nil
}

// exempt reports whether a field needs no condition. A checksum can only make an upload
// fail that would not have, so that whoever fills in the form may add one.
func exempt(name string) bool {
	switch name {
	case "policy", "signature", "awsaccesskeyid", "x-amz-signature":
		return true
	}
	return strings.HasPrefix(name, "x-ignore-") || strings.HasPrefix(name, "x-amz-checksum-")
}

// narrow takes the bounds of a content-length-range in, unless they are no numbers. All
// that a policy has count.
func (l *sizeLimits) narrow(first, last string) bool {
	a, errA := strconv.ParseInt(first, 10, 64)
	b, errB := strconv.ParseInt(last, 10, 64)
	if errA != nil || errB != nil {
		return false
	}
	l.min = max(l.min, a)
	if b = max(b, 0); l.max < 0 || b < l.max {
		l.max = b
	}
	return true
}

// holds reports whether the form meets a condition on a field. The bucket is that of the
// URL, whatever a field says.
func (c *postCondition) holds(f *form, bucket string) bool {
	value, there := bucket, true
	if c.field != "bucket" {
		value, there = f.get(c.field), f.has(c.field)
	}
	switch {
	case c.field == "":
		return false
	case c.op == "eq":
		return there && value == c.value
	case c.field == "content-type" && strings.Contains(value, ","):
		for one := range strings.SplitSeq(value, ",") {
			if !strings.HasPrefix(strings.TrimSpace(one), c.value) {
				return false
			}
		}
		return true
	}
	return strings.HasPrefix(value, c.value)
}
