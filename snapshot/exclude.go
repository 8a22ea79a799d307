package snapshot

import (
	"fmt"
	"path"
	"strings"
)

// Matcher matches paths against patterns. A pattern is a list of components in the
// syntax of path.Match; "**" stands for any number of components. It is anchored at
// the root when it begins with a slash, and else may begin anywhere: "*.o" fits in
// every directory, "build/*.o" below every build. A trailing slash fits directories
// only. What is below a path that fits, fits too. "!" before a pattern takes back
// what earlier ones chose; the last pattern that fits decides.
type Matcher struct {
	rules []rule
}

type rule struct {
	parts   []string
	dirOnly bool
	negate  bool
	plain   string // of an unanchored rule of one component without wildcards
}

const anyDepth = "**"

// NewMatcher parses patterns. Empty ones, and those that begin with "#", are passed
// over. An error names the pattern.
func NewMatcher(patterns []string) (*Matcher, error) {
	m := &Matcher{}
	for _, p := range patterns {
		if p == "" || strings.HasPrefix(p, "#") {
			continue
		}
		r, err := parseRule(p)
		if err != nil {
			return nil, err
		}
		m.rules = append(m.rules, r)
	}
	return m, nil
}

func parseRule(p string) (r rule, err error) {
	text := p
	text, r.negate = strings.CutPrefix(text, "!")
	text, r.dirOnly = strings.CutSuffix(text, "/")
	text, anchored := strings.CutPrefix(text, "/")
	if text == "" {
		if anchored {
			return r, fmt.Errorf("pattern %q: it fits everything", p)
		}
		return r, fmt.Errorf("pattern %q: it is empty", p)
	}
	for _, part := range strings.Split(text, "/") {
		switch part {
		case "", ".":
			continue
		case "..":
			return r, fmt.Errorf("pattern %q: paths hold no \"..\"", p)
		}
		if _, err := path.Match(part, ""); err != nil {
			return r, fmt.Errorf("pattern %q: %w", p, err)
		}
		r.parts = append(r.parts, part)
	}
	if len(r.parts) == 0 {
		return r, fmt.Errorf("pattern %q: it is empty", p)
	}
	if !anchored {
		if len(r.parts) == 1 && !strings.ContainsAny(r.parts[0], `*?[\`) {
			r.plain = r.parts[0]
		}
		r.parts = append([]string{anyDepth}, r.parts...)
	}
	return r, nil
}

// Match reports whether p, slash-separated and with a leading slash, is chosen, and,
// for a directory that is not, whether something below it may be.
func (m *Matcher) Match(p string, isDir bool) (match, childMayMatch bool) {
	if m == nil {
		return false, false
	}
	parts := strings.Split(strings.Trim(p, "/"), "/")
	if len(parts) == 1 && parts[0] == "" {
		parts = nil
	}
	for i := range m.rules {
		r := &m.rules[i]
		if r.fits(parts, isDir) {
			match = !r.negate
		} else if !r.negate && isDir && leadsTo(r.parts, parts) {
			childMayMatch = true
		}
	}
	return match, childMayMatch || match
}

func (r *rule) fits(parts []string, isDir bool) bool {
	if r.plain != "" {
		for i, p := range parts {
			if p == r.plain && (!r.dirOnly || isDir || i < len(parts)-1) {
				return true
			}
		}
		return false
	}
	for n := len(parts); n > 0; n-- {
		if r.dirOnly && !isDir && n == len(parts) {
			continue
		}
		if fitsWhole(r.parts, parts[:n]) {
			return true
		}
	}
	return false
}

// fitsWhole matches all components of the pattern against all of the path.
func fitsWhole(pattern, parts []string) bool {
	for i, pat := range pattern {
		if pat == anyDepth {
			for skip := 0; skip <= len(parts)-i; skip++ {
				if fitsWhole(pattern[i+1:], parts[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(parts) {
			return false
		}
		if ok, _ := path.Match(pat, parts[i]); !ok {
			return false
		}
	}
	return len(parts) == len(pattern)
}

// leadsTo reports whether the pattern could fit something below the path.
func leadsTo(pattern, parts []string) bool {
	for i, part := range parts {
		if i >= len(pattern) {
			return false
		}
		if pattern[i] == anyDepth {
			return true
		}
		if ok, _ := path.Match(pattern[i], part); !ok {
			return false
		}
	}
	return len(pattern) > len(parts)
}
