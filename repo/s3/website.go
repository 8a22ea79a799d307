package s3

import (
	"net/http"
	"strings"
)

var websiteOps = []operation{
	{name: "GetBucketWebsite", level: bucketLevel, method: http.MethodGet, sub: "website", action: "s3:GetBucketWebsite", run: answerConfig(confWebsite, "NoSuchWebsiteConfiguration")},
	{name: "PutBucketWebsite", level: bucketLevel, method: http.MethodPut, sub: "website", action: "s3:PutBucketWebsite", run: (*request).putWebsite},
	{name: "DeleteBucketWebsite", level: bucketLevel, method: http.MethodDelete, sub: "website", action: "s3:DeleteBucketWebsite", run: dropConfig(confWebsite)},
}

type websiteConfig struct {
	RedirectAllRequestsTo *redirectAll   `xml:",omitempty"`
	IndexDocument         *indexDocument `xml:",omitempty"`
	ErrorDocument         *errorDocument `xml:",omitempty"`
	RoutingRules          *routingRules  `xml:",omitempty"`
}

type redirectAll struct {
	HostName *string `xml:",omitempty"`
	Protocol string  `xml:",omitempty"`
}

type indexDocument struct{ Suffix string }

type errorDocument struct{ Key string }

type routingRules struct {
	RoutingRule []routingRule
}

type routingRule struct {
	Condition *routingCondition `xml:",omitempty"`
	Redirect  *routingRedirect  `xml:",omitempty"`
}

type routingCondition struct {
	HTTPErrorCodeReturnedEquals *string `xml:"HttpErrorCodeReturnedEquals,omitempty"`
	KeyPrefixEquals             *string `xml:",omitempty"`
}

type routingRedirect struct {
	Protocol             string  `xml:",omitempty"`
	HostName             string  `xml:",omitempty"`
	ReplaceKeyPrefixWith *string `xml:",omitempty"`
	ReplaceKeyWith       *string `xml:",omitempty"`
	HTTPRedirectCode     string  `xml:"HttpRedirectCode,omitempty"`
}

const maxRoutingRules = 50

func (q *request) putWebsite() error {
	var c websiteConfig
	if err := q.readConfig(maxBigConfig, "WebsiteConfiguration", &c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	return q.storeConfig(confWebsite, document("WebsiteConfiguration", &c))
}

func (c *websiteConfig) check() error {
	if all := c.RedirectAllRequestsTo; all != nil {
		if c.IndexDocument != nil || c.ErrorDocument != nil || c.RoutingRules != nil {
			return badArgument("RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.", "RedirectAllRequestsTo", "not null")
		}
		if all.HostName == nil {
			return errorf("MalformedXML", "")
		}
		return checkProtocol(all.Protocol)
	}
	if c.IndexDocument == nil {
		return badArgument("A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty", "IndexDocument", "null")
	}
	if s := c.IndexDocument.Suffix; s == "" || strings.Contains(s, "/") {
		return badArgument("The IndexDocument Suffix is not well formed", "IndexDocument", s)
	}
	if c.ErrorDocument != nil && c.ErrorDocument.Key == "" {
		return badArgument("The ErrorDocument Key is not well formed", "ErrorDocument", "")
	}
	if c.RoutingRules == nil {
		return nil
	}
	rules := c.RoutingRules.RoutingRule
	if len(rules) == 0 {
		return errorf("MalformedXML", "")
	}
	if len(rules) > maxRoutingRules {
		return errorf("InvalidRequest", "%d routing rules provided, the number of routing rules in a website configuration is limited to %d.", len(rules), maxRoutingRules)
	}
	for i := range rules {
		if err := rules[i].check(); err != nil {
			return err
		}
	}
	return nil
}

func checkProtocol(p string) error {
	if p != "" && p != "http" && p != "https" {
		return errorf("InvalidRequest", "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.")
	}
	return nil
}

func (r *routingRule) check() error {
	if r.Redirect == nil {
		return errorf("MalformedXML", "")
	}
	if c := r.Condition; c != nil {
		if c.HTTPErrorCodeReturnedEquals == nil && c.KeyPrefixEquals == nil {
			return errorf("InvalidRequest", "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be present.")
		}
		if s := c.HTTPErrorCodeReturnedEquals; s != nil && !statusOf(*s, "45") {
			return errorf("InvalidRequest", "The provided HTTP error code ("+*s+") is not valid. Valid codes are 4XX or 5XX.")
		}
	}
	if r.Redirect.ReplaceKeyPrefixWith != nil && r.Redirect.ReplaceKeyWith != nil {
		return errorf("InvalidRequest", "You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
	}
	if s := r.Redirect.HTTPRedirectCode; s != "" && (!statusOf(s, "3") || s == "300") {
		return errorf("InvalidRequest", "The provided HTTP redirect code ("+s+") is not valid. Valid codes are 3XX except 300.")
	}
	return checkProtocol(r.Redirect.Protocol)
}

// statusOf reports whether s is an HTTP status of one of the classes given.
func statusOf(s, classes string) bool {
	return len(s) == 3 && strings.Contains(classes, s[:1]) && strings.Trim(s, "0123456789") == ""
}
