package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

var loggingOps = []operation{
	{name: "GetBucketLogging", level: bucketLevel, method: http.MethodGet, sub: "logging", action: "s3:GetBucketLogging",
		run: answerConfigOr(confLogging, document("BucketLoggingStatus", &loggingConfig{}))},
	{name: "PutBucketLogging", level: bucketLevel, method: http.MethodPut, sub: "logging", action: "s3:PutBucketLogging", run: (*request).putLogging},
}

type loggingConfig struct {
	LoggingEnabled *loggingEnabled `xml:",omitempty"`
}

type loggingEnabled struct {
	TargetBucket string
	TargetPrefix string
	TargetGrants *targetGrants    `xml:",omitempty"`
	KeyFormat    *targetKeyFormat `xml:"TargetObjectKeyFormat,omitempty"`
}

type targetGrants struct {
	Grant []targetGrant
}

type targetGrant struct {
	Grantee    *targetGrantee
	Permission string
}

type targetGrantee struct {
	Attrs        []xml.Attr `xml:",any,attr"`
	ID           string     `xml:",omitempty"`
	DisplayName  string     `xml:",omitempty"`
	EmailAddress string     `xml:",omitempty"`
	URI          string     `xml:",omitempty"`
}

type targetKeyFormat struct {
	SimplePrefix      *struct{}          `xml:",omitempty"`
	PartitionedPrefix *partitionedPrefix `xml:",omitempty"`
}

type partitionedPrefix struct {
	PartitionDateSource string `xml:",omitempty"`
}

func (q *request) putLogging() error {
	var c loggingConfig
	if err := q.readConfig(maxConfig, "BucketLoggingStatus", &c); err != nil {
		return err
	}
	l := c.LoggingEnabled
	if l == nil {
		return q.storeConfig(confLogging, "")
	}
	if err := l.check(); err != nil {
		return err
	}
	if err := q.checkLogGrantees(l); err != nil {
		return err
	}
	if err := q.checkLogTarget(l); err != nil {
		return err
	}
	return q.storeConfig(confLogging, document("BucketLoggingStatus", &c))
}

// check validates the form of a configuration.
func (l *loggingEnabled) check() error {
	malformed := errorf("MalformedXML", "")
	if l.TargetBucket == "" {
		return malformed
	}
	if f := l.KeyFormat; f != nil {
		if (f.SimplePrefix == nil) == (f.PartitionedPrefix == nil) {
			return malformed
		}
		if p := f.PartitionedPrefix; p != nil {
			switch p.PartitionDateSource {
			case "":
				p.PartitionDateSource = "EventTime"
			case "EventTime", "DeliveryTime":
			default:
				return malformed
			}
		}
	}
	if l.TargetGrants == nil {
		return nil
	}
	for _, g := range l.TargetGrants.Grant {
		switch access.Permission(g.Permission) {
		case access.Full, access.Read, access.Write:
		default:
			return malformed
		}
		if g.Grantee == nil || g.Grantee.kind() == "" {
			return malformed
		}
	}
	return nil
}

const xmlnsXSI = "http://www.w3.org/2001/XMLSchema-instance"

// kind returns the xsi:type of a grantee, "" when it is not what its elements say.
func (g *targetGrantee) kind() string {
	for _, a := range g.Attrs {
		if a.Name.Local != "type" || a.Name.Space != xmlnsXSI && a.Name.Space != "xsi" {
			continue
		}
		switch id := map[string]string{"CanonicalUser": g.ID, "AmazonCustomerByEmail": g.EmailAddress, "Group": g.URI}[a.Value]; id {
		case "":
			return ""
		default:
			return a.Value
		}
	}
	return ""
}

// write gives a grantee the attributes and elements of an answer.
func (g *targetGrantee) write(kind string) {
	g.Attrs = []xml.Attr{{Name: xml.Name{Local: "xmlns:xsi"}, Value: xmlnsXSI}, {Name: xml.Name{Local: "xsi:type"}, Value: kind}}
}

// checkLogTarget refuses a target that logs cannot go to.
func (q *request) checkLogTarget(l *loggingEnabled) error {
	target, err := q.h.e.Bucket(l.TargetBucket)
	if errors.Is(err, object.ErrNoBucket) {
		return errorf("InvalidTargetBucketForLogging", "The target bucket for logging does not exist").with("TargetBucket", l.TargetBucket)
	}
	if err != nil {
		return err
	}
	if target.Owner != q.b.Owner {
		return errorf("InvalidTargetBucketForLogging", "The owner for the bucket to be logged and the target bucket must be the same.").
			with("TargetBucket", l.TargetBucket)
	}
	if from, to := q.h.region(q.b), q.h.region(target); from != to {
		return errorf("CrossLocationLoggingProhibitted", "Cross S3 location logging not allowed. ").
			with("SourceBucketLocation", from).with("TargetBucketLocation", to)
	}
	if strings.Contains(target.Config[confPayment], "<Payer>Requester</Payer>") {
		return errorf("InvalidTargetBucketForLogging", "The target bucket for logging must not have Requester Pays enabled.").
			with("TargetBucket", l.TargetBucket)
	}
	if l.TargetGrants != nil && len(l.TargetGrants.Grant) > 0 && target.Config[confOwnership] == string(access.OwnerEnforced) {
		return errorf("AccessControlListNotSupported", "")
	}
	set, err := q.h.settingsOf(target)
	if err != nil {
		return err
	}
	if !mayDeliverLogs(set, q.set, l.TargetPrefix, q.now) {
		return errorf("InvalidTargetBucketForLogging", "You must either provide the necessary permissions to the logging service using a bucket policy "+
			"or give the log-delivery group WRITE and READ_ACP permissions to the target bucket").with("TargetBucket", l.TargetBucket)
	}
	return nil
}

// mayDeliverLogs reports whether a bucket lets the log service store logs of another: by its policy, which may name the prefix alone or what begins with it, or with
// both permissions in its ACL.
func mayDeliverLogs(target, source *settings, prefix string, now time.Time) bool {
	ask := func(action, key string, p access.Permission) bool {
		return access.Allowed(&access.Query{
			Who: &access.Principal{Service: access.LogService}, Action: action, Permission: p,
			Bucket: target.b.Name, Key: key, BucketOwner: target.owner, BucketACL: target.acl,
			Policy: target.policy, Block: target.block, Ownership: target.ownership,
			Context: func(name string) []string {
				switch name {
				case "aws:sourcearn":
					return []string{"arn:aws:s3:::" + source.b.Name}
				case "aws:sourceaccount":
					return []string{source.owner}
				case "aws:securetransport":
					return []string{"true"}
				}
				return nil
			},
		})
	}
	some := prefix + now.UTC().Format("2006-01-02-15-04-05-") + "0123456789ABCDEF" // as delivery names them
	if ask("s3:PutObject", some, access.None) || prefix != "" && ask("s3:PutObject", prefix, access.None) {
		return true
	}
	return ask("s3:PutObject", some, access.Write) && ask("s3:GetBucketAcl", "", access.ReadACP)
}

// checkLogGrantees finds the grantees, and names them as answers do.
func (q *request) checkLogGrantees(l *loggingEnabled) error {
	if l.TargetGrants == nil {
		return nil
	}
	for _, grant := range l.TargetGrants.Grant {
		g := grant.Grantee
		kind := g.kind()
		switch kind {
		case "CanonicalUser", "AmazonCustomerByEmail":
			u, err := q.h.e.UserByID(g.ID)
			if kind == "AmazonCustomerByEmail" {
				u, err = q.h.e.UserByEmail(g.EmailAddress)
			}
			if errors.Is(err, object.ErrNoUser) && kind == "CanonicalUser" {
				return badArgument("Invalid id", "CanonicalUser/ID", g.ID)
			}
			if errors.Is(err, object.ErrNoUser) {
				return errorf("UnresolvableGrantByEmailAddress", "")
			}
			if err != nil {
				return err
			}
			*g = targetGrantee{ID: u.ID, DisplayName: u.Display}
			kind = "CanonicalUser"
		case "Group":
			switch g.URI {
			case access.AllUsers, access.AuthenticatedUsers, access.LogDelivery:
			default:
				return badArgument("Invalid group uri", "Group/URI", g.URI)
			}
			*g = targetGrantee{URI: g.URI}
		}
		g.write(kind)
	}
	return nil
}
