package s3

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

var notificationOps = []operation{
	{name: "GetBucketNotificationConfiguration", level: bucketLevel, method: http.MethodGet, sub: "notification",
		action: "s3:GetBucketNotification", run: answerConfigOr(confNotification, document(notificationRoot, &notificationConfig{}))},
	{name: "PutBucketNotificationConfiguration", level: bucketLevel, method: http.MethodPut, sub: "notification",
		action: "s3:PutBucketNotification", run: (*request).putNotification},
}

const notificationRoot = "NotificationConfiguration"

// notificationConfig says who is told of changes.
type notificationConfig struct {
	Topic       []destination `xml:"TopicConfiguration,omitempty"`
	Queue       []destination `xml:"QueueConfiguration,omitempty"`
	Function    []destination `xml:"CloudFunctionConfiguration,omitempty"`
	EventBridge *struct{}     `xml:"EventBridgeConfiguration,omitempty"`
}

type destination struct {
	ID       string             `xml:"Id,omitempty"`
	Topic    string             `xml:",omitempty"`
	Queue    string             `xml:",omitempty"`
	Function string             `xml:"CloudFunction,omitempty"`
	Event    []string           `xml:",omitempty"`
	Filter   *destinationFilter `xml:",omitempty"`
}

type destinationFilter struct {
	S3Key *struct {
		FilterRule []filterRule
	} `xml:",omitempty"`
}

type filterRule struct{ Name, Value string }

// destinationKind is one of the three lists of a configuration. Here all lead to the same
// targets; they differ in the service that an ARN names, and in that functions get no
// test event.
type destinationKind struct {
	service, noun string
	list          func(*notificationConfig) []destination
	arn           func(*destination) string
}

var destinationKinds = []destinationKind{
	{"sns", "topic", func(c *notificationConfig) []destination { return c.Topic }, func(d *destination) string { return d.Topic }},
	{"sqs", "queue", func(c *notificationConfig) []destination { return c.Queue }, func(d *destination) string { return d.Queue }},
	{"lambda", "function", func(c *notificationConfig) []destination { return c.Function }, func(d *destination) string { return d.Function }},
}

// each calls f for every destination with its kind and ARN, until f returns an error.
func (c *notificationConfig) each(f func(k *destinationKind, d *destination, arn string) error) error {
	for i := range destinationKinds {
		k := &destinationKinds[i]
		list := k.list(c)
		for j := range list {
			if err := f(k, &list[j], k.arn(&list[j])); err != nil {
				return err
			}
		}
	}
	return nil
}

// TargetARN is the ARN of a target of events. service is sqs, sns or lambda, as the element
// of a configuration wants it.
func TargetARN(service, region, name, kind string) string {
	return "arn:firn:" + service + ":" + region + ":" + name + ":" + kind
}

// parsedARN is one in the form of TargetARN.
type parsedARN struct{ service, region, name, kind string }

func parseTargetARN(arn string) (p parsedARN, ok bool) {
	f := strings.Split(arn, ":")
	if len(f) != 6 || f[0] != "arn" || f[1] != "firn" || !validTarget(f[4]) || f[5] == "" {
		return p, false
	}
	return parsedARN{service: f[2], region: f[3], name: f[4], kind: f[5]}, true
}

// validTarget is the rule for names of targets.
func validTarget(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

func (q *request) putNotification() error {
	var c notificationConfig
	if err := q.readConfig(maxConfig, notificationRoot, &c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	skip := strings.EqualFold(q.r.Header.Get("x-amz-skip-destination-validation"), "true")
	if err := q.checkDestinations(&c, skip); err != nil {
		return err
	}
	if len(c.Topic)+len(c.Queue)+len(c.Function) == 0 {
		return q.storeConfig(confNotification, "")
	}
	return q.storeConfig(confNotification, document(notificationRoot, &c))
}

// checkDestinations refuses destinations that cannot be told: those that this server does
// not know and, if they are new, those that do not take a test event. skip leaves that out,
// but a target has to have a name still.
func (q *request) checkDestinations(c *notificationConfig, skip bool) error {
	before := map[string]bool{}
	var old notificationConfig
	if doc := q.b.Config[confNotification]; doc != "" {
		if err := parseXML([]byte(doc), &old); err != nil {
			return err
		}
	}
	note := func(_ *destinationKind, _ *destination, arn string) error { before[arn] = true; return nil }
	if err := old.each(note); err != nil {
		return err
	}
	refused := &refusals{}
	test := map[string]string{} // ARN → target
	err := c.each(func(k *destinationKind, _ *destination, arn string) error {
		p, ok := parseTargetARN(arn)
		known := ok && p.service == k.service && q.h.opt.Targets[p.name] == p.kind
		switch {
		case ok && p.region != q.h.opt.Region:
			return badArgument("The notification destination service region is not valid for the bucket location constraint", arn, p.region)
		case !ok, !known && !skip:
			refused.add(arn, "The destination "+k.noun+" does not exist")
		case !skip && !before[arn] && k.service != "lambda":
			test[arn] = p.name
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.EventBridge != nil {
		refused.add("EventBridge", "There is no event bus")
	}
	if refused.err == nil {
		q.testTargets(test, refused)
	}
	return refused.result()
}

// refusals gathers what is wrong with destinations.
type refusals struct {
	mu  sync.Mutex
	n   int
	err *apiError
}

func (r *refusals) add(arn, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = errorf("InvalidArgument", "Unable to validate the following destination configurations")
	}
	r.n++
	r.err.with("ArgumentName"+itoa(r.n), arn).with("ArgumentValue"+itoa(r.n), reason)
}

func (r *refusals) result() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// testWait bounds how long targets may take for their test events.
const testWait = 10 * time.Second

// testEvent is what a new destination is sent.
type testEvent struct {
	Service, Event, Time, Bucket, RequestId, HostId string
}

// testTargets sends each new destination a test event.
func (q *request) testTargets(targets map[string]string, refused *refusals) {
	message, err := json.Marshal(testEvent{Service: "Amazon S3", Event: "s3:TestEvent", Time: q.now.Format(eventTime),
		Bucket: q.bucket, RequestId: q.id, HostId: q.h.hostID})
	if err != nil {
		panic("s3: " + err.Error()) // strings always encode
	}
	ctx, cancel := context.WithTimeout(q.ctx(), testWait)
	defer cancel()
	var wg sync.WaitGroup
	for arn, name := range targets {
		wg.Go(func() {
			if err := q.h.opt.TestTarget(ctx, name, message); err != nil {
				refused.add(arn, "The destination did not take a test event: "+err.Error())
			}
		})
	}
	wg.Wait()
}

// notifyRule is a destination as events are matched against it.
type notifyRule struct {
	id, target     string
	events         []string // as configured
	prefix, suffix string
}

// parseNotification reads a stored configuration.
func parseNotification(doc string) (rules []notifyRule, err error) {
	var c notificationConfig
	if err := parseXML([]byte(doc), &c); err != nil {
		return nil, err
	}
	err = c.each(func(_ *destinationKind, d *destination, arn string) error {
		p, ok := parseTargetARN(arn)
		if !ok {
			return errorf("MalformedXML", "")
		}
		r := notifyRule{id: d.ID, target: p.name, events: d.Event}
		r.prefix, r.suffix = d.filter()
		rules = append(rules, r)
		return nil
	})
	return rules, err
}

// filter returns what keys have to begin and to end with.
func (d *destination) filter() (prefix, suffix string) {
	if d.Filter == nil || d.Filter.S3Key == nil {
		return "", ""
	}
	for _, r := range d.Filter.S3Key.FilterRule {
		if strings.EqualFold(r.Name, "prefix") {
			prefix = r.Value
		} else {
			suffix = r.Value
		}
	}
	return prefix, suffix
}

// matches reports whether a rule wants an event, a type without s3:, of a key.
func (r *notifyRule) matches(event, key string) bool {
	if !strings.HasPrefix(key, r.prefix) || !strings.HasSuffix(key, r.suffix) {
		return false
	}
	for _, e := range r.events {
		if shareEvent(e, "s3:"+event) {
			return true
		}
	}
	return false
}
