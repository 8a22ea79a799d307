package access

import "strings"

// Public reports whether the policy lets anyone in, as S3 means it: a statement allows
// something to everybody and no condition of it restricts that to fixed callers.
func (p *Policy) Public() bool { return p != nil && p.public }

func (s *statement) public() bool {
	if s.deny || !s.principals.everyone {
		return false
	}
	for i := range s.conditions {
		if s.conditions[i].fixesCaller() {
			return false
		}
	}
	return true
}

// callerKeys are the condition keys whose fixed values tell who or where a caller is.
var callerKeys = map[string]bool{
	"aws:sourcearn": true, "aws:sourcevpc": true, "aws:sourcevpce": true, "aws:sourceowner": true, "aws:sourceaccount": true,
	"aws:userid": true, "aws:principalorgid": true, "aws:principalorgpaths": true, "aws:principalarn": true,
	"aws:principalaccount": true, "s3:dataaccesspointarn": true, "s3:dataaccesspointaccount": true,
}

// fixesCaller reports whether only callers with fixed values of a key about them meet the
// condition. One that is met without the key, or by negation, fixes nothing.
func (c *condition) fixesCaller() bool {
	if c.negate || c.ifExists || c.all || len(c.patterns) == 0 {
		return false
	}
	if c.key == "aws:sourceip" && c.name == "IpAddress" {
		for _, n := range c.networks {
			if least := 8; n.Addr().Is4() && n.Bits() < least || n.Addr().Is6() && n.Bits() < 32 {
				return false
			}
		}
		return true
	}
	if !callerKeys[c.key] || !strings.HasPrefix(c.name, "String") && !strings.HasPrefix(c.name, "Arn") {
		return false
	}
	for _, p := range c.patterns {
		if !p.fixed() && !(c.key == "s3:dataaccesspointarn" && p.fixedAccount()) {
			return false
		}
	}
	return true
}

// fixedAccount reports whether at least the account in a pattern of an ARN is fixed.
func (p *pattern) fixedAccount() bool {
	part, digits := 0, 0
	for _, r := range p.runes {
		switch {
		case r == ':':
			part++
		case part == 4 && r < 0:
			return false
		case part == 4:
			digits++
		case part < 4 && r == anyRun:
			return false // it may reach over the colon
		}
	}
	return part >= 5 && digits > 0
}
