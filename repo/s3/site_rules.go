package s3

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// siteAddress is what a browser asked a website for.
type siteAddress struct {
	scheme, host, key, query string
}

// siteMove sends a browser elsewhere.
type siteMove struct {
	status   int
	location string
}

// moved returns where a website sends everybody, or nil.
func (c *websiteConfig) moved(a siteAddress) *siteMove {
	all := c.RedirectAllRequestsTo
	if all == nil {
		return nil
	}
	a.host = *all.HostName
	if all.Protocol != "" {
		a.scheme = all.Protocol
	}
	return &siteMove{http.StatusMovedPermanently, a.location()}
}

// rule returns where the first routing rule that holds sends the browser, or nil. status is
// 0 before the key was looked for, when rules for errors do not hold, and then that of the
// error.
func (c *websiteConfig) rule(a siteAddress, status int) *siteMove {
	if c.RoutingRules == nil {
		return nil
	}
	for i := range c.RoutingRules.RoutingRule {
		r := &c.RoutingRules.RoutingRule[i]
		if r.Condition.holds(a.key, status) {
			return r.move(a)
		}
	}
	return nil
}

// holds reports whether a rule with this condition is about a request. One without
// conditions is about all.
func (c *routingCondition) holds(key string, status int) bool {
	if c == nil {
		return status == 0
	}
	if want := c.HTTPErrorCodeReturnedEquals; want == nil && status != 0 || want != nil && *want != strconv.Itoa(status) {
		return false
	}
	return c.KeyPrefixEquals == nil || strings.HasPrefix(key, *c.KeyPrefixEquals)
}

func (r *routingRule) move(a siteAddress) *siteMove {
	to := r.Redirect
	if to.Protocol != "" {
		a.scheme = to.Protocol
	}
	if to.HostName != "" {
		a.host = to.HostName
	}
	switch {
	case to.ReplaceKeyWith != nil:
		a.key = *to.ReplaceKeyWith
	case to.ReplaceKeyPrefixWith != nil:
		prefix := ""
		if r.Condition != nil && r.Condition.KeyPrefixEquals != nil {
			prefix = *r.Condition.KeyPrefixEquals
		}
		a.key = *to.ReplaceKeyPrefixWith + strings.TrimPrefix(a.key, prefix)
	}
	move := &siteMove{http.StatusMovedPermanently, a.location()}
	if to.HTTPRedirectCode != "" {
		move.status, _ = strconv.Atoi(to.HTTPRedirectCode) // checked when it was stored
	}
	return move
}

// location is the address as a header has it. A fragment that a rule put into the key, as
// pages with a router of their own want it, stays one.
func (a *siteAddress) location() string {
	path, fragment, hasFragment := strings.Cut(a.key, "#")
	text := a.scheme + "://" + a.host + escapePath("/"+path)
	if a.query != "" {
		text += "?" + a.query
	}
	if hasFragment {
		text += "#" + (&url.URL{Fragment: fragment}).EscapedFragment()
	}
	return text
}

func escapePath(p string) string { return (&url.URL{Path: p}).EscapedPath() }
