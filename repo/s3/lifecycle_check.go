package s3

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/firnstore/firn/repo/lifecycle"
)

const (
	maxLifecycleRules = 1000
	maxRuleID         = 255
	maxNewerVersions  = 100

	// leastWarm is how many days an object is in one of the classes for infrequent access
	// at least: before it gets there, and after.
	leastWarm = 30
)

// check applies the rules for rules, in an order that finds what is malformed first.
func (c *lifecycleConfig) check() error {
	if len(c.Rule) == 0 || len(c.Rule) > maxLifecycleRules {
		return errorf("MalformedXML", "")
	}
	ids := map[string]bool{}
	var filters, prefixes bool
	for i := range c.Rule {
		r := &c.Rule[i]
		if r.Status != "Enabled" && r.Status != "Disabled" || (r.Filter == nil) == (r.Prefix == nil) {
			return errorf("MalformedXML", "")
		}
		filters, prefixes = filters || r.Filter != nil, prefixes || r.Prefix != nil
		if len(r.ID) > maxRuleID {
			return badArgument("ID length should not exceed allowed limit of 255", "ID", r.ID)
		}
		if r.ID != "" && ids[r.ID] {
			return badArgument("Rule ID must be unique. Found same ID for more than one rule", "ID", r.ID)
		}
		ids[r.ID] = true
	}
	if filters && prefixes {
		return errorf("InvalidRequest", "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.")
	}
	for i := range c.Rule {
		r := &c.Rule[i]
		for _, check := range []func() error{r.checkFilter, r.checkExpiration, r.checkTransitions, r.checkNoncurrent, r.checkAbort} {
			if err := check(); err != nil {
				return err
			}
		}
		if r.Expiration == nil && r.Transition == nil && r.NoncurrentTransition == nil && r.NoncurrentExpiration == nil && r.AbortIncompleteUpload == nil {
			return errorf("InvalidRequest", "At least one action needs to be specified in a rule")
		}
	}
	return nil
}

// forFilter names the rule in messages.
func (r *lifecycleRule) forFilter() string { return "filter '(prefix=" + r.prefix() + ")'" }

func (r *lifecycleRule) checkFilter() error {
	f := r.Filter
	if f == nil {
		return nil
	}
	given := 0
	for _, is := range []bool{f.Prefix != nil, f.Tag != nil, f.GreaterThan != nil, f.LessThan != nil, f.And != nil} {
		if is {
			given++
		}
	}
	and := r.filter()
	empty := and.Prefix == nil && and.Tag == nil && and.GreaterThan == nil && and.LessThan == nil
	if given > 1 || f.And != nil && empty {
		return errorf("MalformedXML", "")
	}
	keys := map[string]bool{}
	for _, t := range and.Tag {
		if _, err := checkTags([]tag{t}, maxObjectTags); err != nil {
			return err
		}
		if keys[*t.Key] {
			return errorf("InvalidRequest", "Duplicate Tag Keys are not allowed.")
		}
		keys[*t.Key] = true
	}
	if and.GreaterThan != nil && *and.GreaterThan < 0 {
		return badArgument("'ObjectSizeGreaterThan' should be greater than or equal to 0", "ObjectSizeGreaterThan", itoa(*and.GreaterThan))
	}
	if and.LessThan != nil && *and.LessThan < 1 {
		return badArgument("'ObjectSizeLessThan' should be greater than 0", "ObjectSizeLessThan", itoa(*and.LessThan))
	}
	if and.GreaterThan != nil && and.LessThan != nil && *and.LessThan <= *and.GreaterThan {
		return errorf("InvalidRequest", "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
	}
	return nil
}

// objectsOnly refuses an action on what has neither tags nor size, when the filter asks
// for them.
func (r *lifecycleRule) objectsOnly(action string) error {
	f := r.filter()
	if f.Tag != nil {
		return errorf("InvalidRequest", action+" cannot be specified with Tags.")
	}
	if f.GreaterThan != nil || f.LessThan != nil {
		return errorf("InvalidRequest", action+" cannot be specified with Object Size.")
	}
	return nil
}

func (r *lifecycleRule) checkExpiration() error {
	e := r.Expiration
	if e == nil {
		return nil
	}
	given := 0
	for _, is := range []bool{e.Date != nil, e.Days != nil, e.DeleteMarker != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		return errorf("MalformedXML", "")
	}
	if e.DeleteMarker != nil && *e.DeleteMarker {
		return r.objectsOnly("ExpiredObjectDeleteMarker")
	}
	if e.Days != nil && *e.Days <= 0 {
		return badArgument("'Days' for Expiration action must be a positive integer", "Days", number(e.Days))
	}
	return e.Date.check()
}

func (d *ruleDate) check() error {
	if d != nil && (d.Hour() != 0 || d.Minute() != 0 || d.Second() != 0 || d.Nanosecond() != 0) {
		return badArgument("'Date' must be at midnight GMT", "Date", isoTime(d.Time))
	}
	return nil
}

func number(n *int32) string { return strconv.Itoa(int(*n)) }

func infrequent(class string) bool {
	return class == lifecycle.StandardIA || class == lifecycle.OneZoneIA
}

// step is a transition to a class at a time, in days: since creation, or since 1970.
type step struct {
	class string
	at    int64
}

func (r *lifecycleRule) checkTransitions() error {
	var steps []step
	var byDate, byDays bool
	for _, t := range r.Transition {
		if lifecycle.Depth(t.StorageClass) < 0 || (t.Date == nil) == (t.Days == nil) {
			return errorf("MalformedXML", "")
		}
		if err := t.Date.check(); err != nil {
			return err
		}
		if t.Date != nil {
			byDate = true
			steps = append(steps, step{t.StorageClass, t.Date.Unix() / 86400})
			continue
		}
		byDays = true
		if *t.Days < 0 {
			return badArgument("'Days' in Transition action must be nonnegative", "Days", number(t.Days))
		}
		if infrequent(t.StorageClass) && *t.Days < leastWarm {
			return badArgument("'Days' in Transition action must be greater than or equal to 30 for storageClass '"+t.StorageClass+"'", "Days", number(t.Days))
		}
		steps = append(steps, step{t.StorageClass, int64(*t.Days)})
	}
	if byDate && byDays {
		return errorf("InvalidRequest", "Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for "+r.forFilter())
	}
	unit := "Days"
	if byDate {
		unit = "Date"
	}
	last, err := r.checkSteps(steps, "Transition", unit)
	e := r.Expiration
	if err != nil || e == nil || len(steps) == 0 || e.Days == nil && e.Date == nil {
		return err
	}
	if byDate != (e.Date != nil) {
		return errorf("InvalidRequest", "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for "+r.forFilter())
	}
	if byDays && int64(*e.Days) <= last || byDate && e.Date.Unix()/86400 <= last {
		return errorf("InvalidArgument", "'"+unit+"' in the Expiration action for "+r.forFilter()+" must be greater than '"+unit+"' in the Transition action")
	}
	return nil
}

// checkSteps looks at the order of the transitions of a rule. It returns when the last is.
func (r *lifecycleRule) checkSteps(steps []step, action, unit string) (last int64, err error) {
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(lifecycle.Depth(a.class), lifecycle.Depth(b.class)) })
	for i, s := range steps {
		last = max(last, s.at)
		if i == 0 {
			continue
		}
		warm := steps[i-1]
		if warm.class == s.class {
			return 0, errorf("InvalidRequest", "'StorageClass' must be different for '"+action+"' actions in same 'Rule' with "+r.forFilter())
		}
		what := "'" + unit + "' in the '" + action + "' action for StorageClass '" + s.class + "' for " + r.forFilter()
		than := "'" + unit + "' in the '" + action + "' action for StorageClass '" + warm.class + "' for " + r.forFilter()
		if !lifecycle.MayMove(warm.class, s.class) || s.at <= warm.at {
			return 0, errorf("InvalidArgument", what+" must be greater than "+than)
		}
		if infrequent(warm.class) && s.at < warm.at+leastWarm {
			return 0, errorf("InvalidArgument", what+" must be 30 days more than "+than)
		}
	}
	return last, nil
}

func (r *lifecycleRule) checkNoncurrent() error {
	var steps []step
	for _, t := range r.NoncurrentTransition {
		if lifecycle.Depth(t.StorageClass) < 0 || t.Days == nil {
			return errorf("MalformedXML", "")
		}
		if *t.Days < 0 {
			return badArgument("'NoncurrentDays' in NoncurrentVersionTransition action must be nonnegative", "NoncurrentDays", number(t.Days))
		}
		if infrequent(t.StorageClass) && *t.Days < leastWarm {
			return badArgument("'NoncurrentDays' in NoncurrentVersionTransition action must be greater than or equal to 30 for storageClass '"+
				t.StorageClass+"'", "NoncurrentDays", number(t.Days))
		}
		if err := r.checkNewer(t.NewerVersions, "NoncurrentVersionTransition"); err != nil {
			return err
		}
		steps = append(steps, step{t.StorageClass, int64(*t.Days)})
	}
	last, err := r.checkSteps(steps, "NoncurrentVersionTransition", "NoncurrentDays")
	e := r.NoncurrentExpiration
	if err != nil || e == nil {
		return err
	}
	if e.Days == nil && e.NewerVersions == nil {
		return errorf("MalformedXML", "")
	}
	if e.Days != nil && *e.Days <= 0 {
		return badArgument("'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer", "NoncurrentDays", number(e.Days))
	}
	if e.Days != nil && len(steps) > 0 && int64(*e.Days) <= last {
		return errorf("InvalidArgument", "'NoncurrentDays' in the NoncurrentVersionExpiration action for "+r.forFilter()+
			" must be greater than 'NoncurrentDays' in the NoncurrentVersionTransition action")
	}
	return r.checkNewer(e.NewerVersions, "NoncurrentVersionExpiration")
}

// checkNewer looks at how many noncurrent versions are to be kept.
func (r *lifecycleRule) checkNewer(n *int32, action string) error {
	switch {
	case n == nil:
		return nil
	case *n < 1 || *n > maxNewerVersions:
		return badArgument("'NewerNoncurrentVersions' for "+action+" action must be a positive integer between 1 and 100", "NewerNoncurrentVersions", number(n))
	case r.Filter == nil:
		return errorf("InvalidRequest", "NewerNoncurrentVersions can only be used in rules with a Filter.")
	}
	return nil
}

func (r *lifecycleRule) checkAbort() error {
	a := r.AbortIncompleteUpload
	if a == nil {
		return nil
	}
	if a.DaysAfterInitiation == nil {
		return errorf("MalformedXML", "")
	}
	if *a.DaysAfterInitiation <= 0 {
		return badArgument("'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer", "DaysAfterInitiation", number(a.DaysAfterInitiation))
	}
	return r.objectsOnly("AbortIncompleteMultipartUpload")
}
