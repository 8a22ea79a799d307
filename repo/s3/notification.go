package s3

import (
	"net/http"
	"strings"
)

var notificationOps = []operation{
	{name: "GetBucketNotificationConfiguration", level: bucketLevel, method: http.MethodGet, sub: "notification",
		action: "s3:GetBucketNotification", run: answerConfigOr(confNotification, document(notificationRoot, &notificationConfig{}))},
	{name: "PutBucketNotificationConfiguration", level: bucketLevel, method: http.MethodPut, sub: "notification",
		action: "s3:PutBucketNotification", run: (*request).putNotification},
}

const notificationRoot = "NotificationConfiguration"

// notificationConfig says who is told of changes. There is nobody who could be told, so
// what names somebody is checked and then refused as S3 refuses a destination that it does
// not find.
type notificationConfig struct {
	Topic       []destination `xml:"TopicConfiguration,omitempty"`
	Queue       []destination `xml:"QueueConfiguration,omitempty"`
	Function    []destination `xml:"CloudFunctionConfiguration,omitempty"`
	EventBridge *struct{}     `xml:"EventBridgeConfiguration,omitempty"`
}

type destination struct {
	ID       string   `xml:"Id,omitempty"`
	Topic    string   `xml:",omitempty"`
	Queue    string   `xml:",omitempty"`
	Function string   `xml:"CloudFunction,omitempty"`
	Event    []string `xml:",omitempty"`
	Filter   *struct {
		S3Key *struct {
			FilterRule []filterRule
		}
	} `xml:",omitempty"`
}

type filterRule struct{ Name, Value string }

// events that S3 knows, by what stands behind s3: and before the next colon.
var events = map[string]string{
	"ReducedRedundancyLostObject": "",
	"ObjectCreated":               "* Put Post Copy CompleteMultipartUpload",
	"ObjectRemoved":               "* Delete DeleteMarkerCreated",
	"ObjectRestore":               "* Post Completed Delete",
	"Replication":                 "* OperationFailedReplication OperationNotTracked OperationMissedThreshold OperationReplicatedAfterThreshold",
	"LifecycleTransition":         "",
	"IntelligentTiering":          "",
	"ObjectAcl":                   "Put",
	"LifecycleExpiration":         "* Delete DeleteMarkerCreated",
	"ObjectTagging":               "* Put Delete",
}

func knownEvent(name string) bool {
	rest, ok := strings.CutPrefix(name, "s3:")
	kind, detail, has := strings.Cut(rest, ":")
	details, known := events[kind]
	if !ok || !known {
		return false
	}
	if details == "" || !has {
		return details == "" && !has
	}
	for d := range strings.FieldsSeq(details) {
		if d == detail {
			return true
		}
	}
	return false
}

func (q *request) putNotification() error {
	var c notificationConfig
	if err := q.readConfig(maxConfig, notificationRoot, &c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	return q.storeConfig(confNotification, "")
}

// check returns nil for the configuration without destinations only.
func (c *notificationConfig) check() error {
	arn, reason := "", ""
	for _, kind := range []struct {
		list       []destination
		name, noun string
		arn        func(*destination) string
	}{
		{c.Topic, "TopicArn", "topic", func(d *destination) string { return d.Topic }},
		{c.Queue, "QueueArn", "queue", func(d *destination) string { return d.Queue }},
		{c.Function, "LambdaFunctionArn", "function", func(d *destination) string { return d.Function }},
	} {
		for i := range kind.list {
			d := &kind.list[i]
			a := kind.arn(d)
			if a == "" || a != d.Topic+d.Queue+d.Function {
				return errorf("MalformedXML", "")
			}
			if err := d.check(a, kind.name); err != nil {
				return err
			}
			arn, reason = a, "The destination "+kind.noun+" does not exist"
		}
	}
	if arn == "" && c.EventBridge != nil {
		arn, reason = "EventBridge", "There is no event bus"
	}
	if arn == "" {
		return nil
	}
	return badArgument("Unable to validate the following destination configurations", arn, reason)
}

func (d *destination) check(arn, name string) error {
	if len(d.Event) == 0 {
		return errorf("MalformedXML", "")
	}
	for _, e := range d.Event {
		if !knownEvent(e) {
			return badArgument("The event is not supported for notifications", "Event", e)
		}
	}
	if d.Filter != nil && d.Filter.S3Key != nil {
		seen := map[string]bool{}
		for _, r := range d.Filter.S3Key.FilterRule {
			kind := strings.ToLower(r.Name)
			if kind != "prefix" && kind != "suffix" {
				return badArgument("filter rule name must be either prefix or suffix", r.Name, r.Value)
			}
			if seen[kind] {
				return badArgument("Cannot specify more than one "+kind+" rule in a filter.", r.Name, r.Value)
			}
			seen[kind] = true
		}
	}
	if parts := strings.SplitN(arn, ":", 6); len(parts) < 6 || parts[0] != "arn" {
		return badArgument("The ARN could not be parsed", name, arn)
	}
	return nil
}
