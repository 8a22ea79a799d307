package access

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// operator is how a condition compares.
type operator struct {
	test   func(c *condition, q *Query, i int, value string) bool // with the i-th value of the condition
	read   func(c *condition, text string) bool                   // of a value of the policy; nil: a pattern
	negate bool
	wild   bool // * and ? are wildcards
}

// operators of conditions, without ForAllValues:, ForAnyValue: and IfExists.
var operators = map[string]operator{
	"StringEquals":              {test: testString},
	"StringNotEquals":           {test: testString, negate: true},
	"StringEqualsIgnoreCase":    {test: testFold},
	"StringNotEqualsIgnoreCase": {test: testFold, negate: true},
	"StringLike":                {test: testString, wild: true},
	"StringNotLike":             {test: testString, wild: true, negate: true},
	"NumericEquals":             {test: testNumber(func(c int) bool { return c == 0 }), read: readNumber},
	"NumericNotEquals":          {test: testNumber(func(c int) bool { return c == 0 }), read: readNumber, negate: true},
	"NumericLessThan":           {test: testNumber(func(c int) bool { return c < 0 }), read: readNumber},
	"NumericLessThanEquals":     {test: testNumber(func(c int) bool { return c <= 0 }), read: readNumber},
	"NumericGreaterThan":        {test: testNumber(func(c int) bool { return c > 0 }), read: readNumber},
	"NumericGreaterThanEquals":  {test: testNumber(func(c int) bool { return c >= 0 }), read: readNumber},
	"DateEquals":                {test: testDate(func(c int) bool { return c == 0 }), read: readDate},
	"DateNotEquals":             {test: testDate(func(c int) bool { return c == 0 }), read: readDate, negate: true},
	"DateLessThan":              {test: testDate(func(c int) bool { return c < 0 }), read: readDate},
	"DateLessThanEquals":        {test: testDate(func(c int) bool { return c <= 0 }), read: readDate},
	"DateGreaterThan":           {test: testDate(func(c int) bool { return c > 0 }), read: readDate},
	"DateGreaterThanEquals":     {test: testDate(func(c int) bool { return c >= 0 }), read: readDate},
	"Bool":                      {test: testFold, read: readBool},
	"BinaryEquals":              {test: testBinary, read: readBinary},
	"IpAddress":                 {test: testIP, read: readIP},
	"NotIpAddress":              {test: testIP, read: readIP, negate: true},
	"ArnEquals":                 {test: testARN, wild: true},
	"ArnLike":                   {test: testARN, wild: true},
	"ArnNotEquals":              {test: testARN, wild: true, negate: true},
	"ArnNotLike":                {test: testARN, wild: true, negate: true},
	"Null":                      {read: readBool}, // about the key, not its values
}

// condition is one key of one operator in a statement.
type condition struct {
	operator
	name     string // of the operator
	key      string
	all, any bool // ForAllValues, ForAnyValue
	ifExists bool

	patterns []*pattern // as written
	numbers  []float64  // of Numeric operators
	times    []time.Time
	networks []netip.Prefix
	binaries []string
}

// parseCondition parses the element Condition.
func parseCondition(n node, vars, bucketPolicy bool) ([]condition, error) {
	if n.kind != '{' {
		return nil, malformed("Invalid policy syntax.")
	}
	var out []condition
	for i, name := range n.members {
		c, ok := operatorOf(name)
		if !ok {
			return nil, malformed("Invalid Condition type : " + name)
		}
		keys := n.items[i]
		if keys.kind != '{' {
			return nil, malformed("Invalid policy syntax.")
		}
		for j, key := range keys.members {
			c := c
			c.key = contextKey(key)
			if !knownKey(c.key, bucketPolicy) {
				return nil, malformed("Policy has an invalid condition key")
			}
			texts, ok := keys.items[j].scalars(true)
			if !ok {
				return nil, malformed("Invalid policy syntax.")
			}
			if err := c.setValues(texts, vars); err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// operatorOf reads the name of an operator with its prefix and suffix.
func operatorOf(name string) (c condition, ok bool) {
	base := name
	if rest, ok := strings.CutPrefix(base, "ForAllValues:"); ok {
		base, c.all = rest, true
	} else if rest, ok := strings.CutPrefix(base, "ForAnyValue:"); ok {
		base, c.any = rest, true
	}
	if rest, ok := strings.CutSuffix(base, "IfExists"); ok {
		base, c.ifExists = rest, true
	}
	c.operator, ok = operators[base]
	c.name = base
	return c, ok && !(base == "Null" && (c.ifExists || c.all || c.any))
}

func (c *condition) setValues(texts []string, vars bool) error {
	for _, t := range texts {
		if c.read != nil && !c.read(c, t) {
			if strings.HasSuffix(c.name, "IpAddress") {
				return malformed("Invalid IP address in Conditions")
			}
			return malformed("Invalid value in Conditions for operator " + c.name)
		}
		c.patterns = append(c.patterns, compile(t, c.wild, vars && c.read == nil))
	}
	return nil
}

// holds reports whether the condition is met. Of several values of the condition one
// suffices, or with a negated operator all have to differ.
func (c *condition) holds(q *Query) bool {
	values := q.values(c.key)
	switch {
	case c.test == nil: // Null
		for _, p := range c.patterns {
			if (p.exact == "true") == (len(values) == 0) {
				return true
			}
		}
		return false
	case len(values) == 0:
		return c.ifExists || c.all || c.negate && !c.any
	case c.any || !c.all && !c.negate:
		for _, v := range values {
			if c.fits(q, v) {
				return true
			}
		}
		return false
	}
	for _, v := range values {
		if !c.fits(q, v) {
			return false
		}
	}
	return true
}

// fits compares one value of the request with those of the condition.
func (c *condition) fits(q *Query, value string) bool {
	for i := range c.patterns {
		if c.test(c, q, i, value) {
			return !c.negate
		}
	}
	return c.negate
}

func testString(c *condition, q *Query, i int, v string) bool { return c.patterns[i].matches(q, v) }

func testFold(c *condition, q *Query, i int, v string) bool { return c.patterns[i].matchesFold(q, v) }

func testARN(c *condition, q *Query, i int, v string) bool { return c.patterns[i].matchARN(q, v) }

func readNumber(c *condition, s string) bool {
	f, err := strconv.ParseFloat(s, 64)
	c.numbers = append(c.numbers, f)
	return err == nil
}

func testNumber(is func(int) bool) func(*condition, *Query, int, string) bool {
	return func(c *condition, _ *Query, i int, v string) bool {
		f, err := strconv.ParseFloat(v, 64)
		switch {
		case err != nil || f != f || c.numbers[i] != c.numbers[i]:
			return false
		case f < c.numbers[i]:
			return is(-1)
		case f > c.numbers[i]:
			return is(1)
		}
		return is(0)
	}
}

// dateLayouts are those of ISO 8601 that policies use. A date may also be given as
// seconds since 1970.
var dateLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02", "2006-01", "20060102T150405Z", "20060102"}

func parseDate(s string) (time.Time, bool) {
	if f, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) != len("20060102") {
		return time.Unix(f, 0), len(s) <= 11
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func readDate(c *condition, s string) bool {
	t, ok := parseDate(s)
	c.times = append(c.times, t)
	return ok
}

func testDate(is func(int) bool) func(*condition, *Query, int, string) bool {
	return func(c *condition, _ *Query, i int, v string) bool {
		t, ok := parseDate(v)
		return ok && is(t.Compare(c.times[i]))
	}
}

func readBool(_ *condition, s string) bool { return s == "true" || s == "false" }

func readBinary(c *condition, s string) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	c.binaries = append(c.binaries, string(b))
	return err == nil
}

func testBinary(c *condition, _ *Query, i int, v string) bool { return c.binaries[i] == v }

// parseNetwork reads an address or a range of addresses.
func parseNetwork(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

func readIP(c *condition, s string) bool {
	p, ok := parseNetwork(s)
	c.networks = append(c.networks, p)
	return ok
}

func testIP(c *condition, _ *Query, i int, v string) bool {
	a, err := netip.ParseAddr(v)
	return err == nil && c.networks[i].Contains(a.Unmap().WithZone(""))
}
