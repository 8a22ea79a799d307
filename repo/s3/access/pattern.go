package access

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Places in a compiled pattern that are no characters.
const (
	anyRun rune = -1 - iota // *
	anyOne                  // ?
	// variable and below: the n-th variable of the pattern
	variable
)

// pattern is a text with wildcards and policy variables such as ${aws:username}.
type pattern struct {
	runes     []rune
	variables []policyVariable
	exact     string // the text, when there are neither wildcards nor variables
	isExact   bool
}

type policyVariable struct {
	key        string
	fallback   string
	hasDefault bool
}

// compile compiles a pattern. Without wild, * and ? are characters as any other; without
// vars, so is ${.
func compile(s string, wild, vars bool) *pattern {
	p := &pattern{}
	for rest := s; rest != ""; {
		if vars && strings.HasPrefix(rest, "${") {
			if end := strings.IndexByte(rest, '}'); end > 0 {
				p.addVariable(rest[2:end])
				rest = rest[end+1:]
				continue
			}
		}
		r, n := utf8.DecodeRuneInString(rest)
		rest = rest[n:]
		switch {
		case wild && r == '*':
			if len(p.runes) > 0 && p.runes[len(p.runes)-1] == anyRun {
				continue // a run of stars is one
			}
			r = anyRun
		case wild && r == '?':
			r = anyOne
		}
		p.runes = append(p.runes, r)
	}
	p.isExact = !slices.ContainsFunc(p.runes, func(r rune) bool { return r < 0 })
	if p.isExact {
		p.exact = string(p.runes)
	}
	return p
}

// addVariable adds what stands in ${}; of *, ? and $ it is the character.
func (p *pattern) addVariable(s string) {
	if s == "*" || s == "?" || s == "$" {
		p.runes = append(p.runes, rune(s[0]))
		return
	}
	key, def, has := strings.Cut(s, ",")
	v := policyVariable{key: contextKey(strings.TrimSpace(key)), hasDefault: has}
	if has {
		v.fallback = strings.Trim(strings.TrimSpace(def), "'")
	}
	p.runes = append(p.runes, variable-rune(len(p.variables)))
	p.variables = append(p.variables, v)
}

// fixed reports whether the pattern means one text, whoever asks.
func (p *pattern) fixed() bool { return p.isExact }

// fill returns the pattern with its variables replaced, or false when one has no value.
func (p *pattern) fill(q *Query) ([]rune, bool) {
	if len(p.variables) == 0 {
		return p.runes, true
	}
	out := make([]rune, 0, len(p.runes)+64)
	for _, r := range p.runes {
		if r > variable {
			out = append(out, r)
			continue
		}
		v := p.variables[variable-r]
		values := q.values(v.key)
		switch {
		case len(values) == 1:
			out = append(out, []rune(values[0])...)
		case v.hasDefault:
			out = append(out, []rune(v.fallback)...)
		default:
			return nil, false
		}
	}
	return out, true
}

// matches reports whether the whole of s fits. A pattern with a variable that has no value
// fits nothing.
func (p *pattern) matches(q *Query, s string) bool {
	if p.isExact {
		return p.exact == s
	}
	runes, ok := p.fill(q)
	return ok && matchRunes(runes, s)
}

// matchesFold is matches without regard to case.
func (p *pattern) matchesFold(q *Query, s string) bool {
	if p.isExact {
		return strings.EqualFold(p.exact, s)
	}
	runes, ok := p.fill(q)
	return ok && strings.EqualFold(string(runes), s)
}

// matchRunes goes back to the last star only, so its cost is at most len(p)·len(s).
func matchRunes(p []rune, s string) bool {
	at, star, mark := 0, -1, 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case at < len(p) && p[at] == anyRun:
			star, mark = at, i
			at++
		case at < len(p) && (p[at] == anyOne || p[at] == r):
			at++
			i += n
		case star >= 0:
			_, m := utf8.DecodeRuneInString(s[mark:])
			mark += m
			at, i = star+1, mark
		default:
			return false
		}
	}
	for at < len(p) && p[at] == anyRun {
		at++
	}
	return at == len(p)
}

// matchARN compares the six parts of an ARN one by one, so that a star does not reach over
// a colon. A pattern that is no ARN is compared as a whole.
func (p *pattern) matchARN(q *Query, s string) bool {
	runes, ok := p.fill(q)
	if !ok {
		return false
	}
	parts := strings.SplitN(s, ":", 6)
	for i := 0; len(parts) == 6 && i < 5; i++ {
		end := slices.Index(runes, ':')
		if end < 0 {
			return i == 0 && matchRunes(runes, s)
		}
		if !matchRunes(runes[:end], parts[i]) {
			return false
		}
		runes = runes[end+1:]
	}
	if len(parts) < 6 {
		return matchRunes(runes, s)
	}
	return matchRunes(runes, parts[5])
}

// contextKey is the form in which condition keys are compared: without regard to case, but
// for what follows a slash, which is the key of a tag.
func contextKey(s string) string {
	name, tag, has := strings.Cut(s, "/")
	if !has {
		return strings.ToLower(s)
	}
	return strings.ToLower(name) + "/" + tag
}
