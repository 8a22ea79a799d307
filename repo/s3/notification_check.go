package s3

import (
	"strings"
)

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

// shareEvent reports whether two types, each perhaps with *, have an event in common.
func shareEvent(a, b string) bool {
	if a == b {
		return true
	}
	all, one := a, b
	if !strings.HasSuffix(all, ":*") {
		all, one = b, a
	}
	family, ok := strings.CutSuffix(all, "*")
	return ok && strings.HasPrefix(one, family)
}

// Limits of a configuration.
const (
	maxNotifications = 100
	maxNotifyID      = 255
	maxFilterValue   = 1024
)

// check refuses what S3 refuses without asking anybody, and completes what is left open:
// IDs, and the names of filters.
func (c *notificationConfig) check() error {
	ids := map[string]bool{}
	err := c.each(func(k *destinationKind, d *destination, arn string) error {
		if arn == "" || arn != d.Topic+d.Queue+d.Function {
			return errorf("MalformedXML", "")
		}
		if err := d.check(arn, k); err != nil {
			return err
		}
		if ids[d.ID] {
			return errorf("InvalidArgument", "Same ID used for multiple configurations. IDs must be unique.").with("ArgumentName", "Id").with("ArgumentValue", d.ID)
		}
		ids[d.ID] = true
		return nil
	})
	if err != nil {
		return err
	}
	if len(ids) > maxNotifications {
		return badArgument("A bucket can have at most 100 notification configurations.", "NotificationConfiguration", itoa(len(ids)))
	}
	return c.checkOverlap()
}

func (d *destination) check(arn string, k *destinationKind) error {
	if len(d.Event) == 0 {
		return errorf("MalformedXML", "")
	}
	for _, e := range d.Event {
		if !knownEvent(e) {
			return badArgument("The event is not supported for notifications", "Event", e)
		}
	}
	if err := d.checkFilter(); err != nil {
		return err
	}
	if parts := strings.SplitN(arn, ":", 6); len(parts) < 6 || parts[0] != "arn" {
		name := map[string]string{"sns": "TopicArn", "sqs": "QueueArn", "lambda": "LambdaFunctionArn"}[k.service]
		return badArgument("The ARN could not be parsed", name, arn)
	}
	if len(d.ID) > maxNotifyID {
		return badArgument("ID length should not exceed allowed limit of 255", "Id", d.ID)
	}
	if d.ID == "" {
		d.ID = newID(16)
	}
	return nil
}

func (d *destination) checkFilter() error {
	if d.Filter == nil || d.Filter.S3Key == nil {
		return nil
	}
	rules := d.Filter.S3Key.FilterRule
	seen := map[string]bool{}
	for i, r := range rules {
		kind := strings.ToLower(r.Name)
		if kind != "prefix" && kind != "suffix" {
			return badArgument("filter rule name must be either prefix or suffix", r.Name, r.Value)
		}
		if seen[kind] {
			return badArgument("Cannot specify more than one "+kind+" rule in a filter.", r.Name, r.Value)
		}
		if len(r.Value) > maxFilterValue {
			return badArgument("Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation", r.Name, r.Value)
		}
		seen[kind] = true
		rules[i].Name = strings.ToUpper(kind[:1]) + kind[1:] // as S3 answers it
	}
	return nil
}

// checkOverlap refuses two rules that one event of one key could fit.
func (c *notificationConfig) checkOverlap() error {
	var seen []*destination
	return c.each(func(_ *destinationKind, d *destination, _ string) error {
		for _, other := range seen {
			if err := overlap(other, d); err != nil {
				return err
			}
		}
		seen = append(seen, d)
		return nil
	})
}

func overlap(a, b *destination) error {
	shared := ""
	for _, x := range a.Event {
		for _, y := range b.Event {
			if shareEvent(x, y) {
				shared = x + ", " + y
			}
		}
	}
	ap, as := a.filter()
	bp, bs := b.filter()
	switch {
	case shared == "",
		!strings.HasPrefix(ap, bp) && !strings.HasPrefix(bp, ap),
		!strings.HasSuffix(as, bs) && !strings.HasSuffix(bs, as):
		return nil
	case ap+as+bp+bs == "":
		return badArgument("Configurations overlap. Configurations on the same bucket cannot share a common event type.", "Event", shared)
	}
	return badArgument("Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.",
		"Event", shared)
}
