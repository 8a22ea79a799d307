package s3

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rules wraps the insides of rules; each is for keys under p/ unless it says otherwise.
func lifecycleXML(rules ...string) string {
	var b strings.Builder
	for _, r := range rules {
		if !strings.Contains(r, "<Filter") && !strings.Contains(r, "<Prefix") {
			r += "<Filter><Prefix>p/</Prefix></Filter>"
		}
		if !strings.Contains(r, "<Status") {
			r += "<Status>Enabled</Status>"
		}
		b.WriteString("<Rule>" + r + "</Rule>")
	}
	return "<LifecycleConfiguration>" + b.String() + "</LifecycleConfiguration>"
}

func readLifecycle(in string) (*lifecycleConfig, error) {
	c := &lifecycleConfig{}
	if err := parseDocument([]byte(in), lifecycleRoot, c); err != nil {
		return nil, err
	}
	return c, c.check()
}

const expireTomorrow = "<Expiration><Days>1</Days></Expiration>"

func to(class string, days int) string {
	return fmt.Sprintf("<Transition><Days>%d</Days><StorageClass>%s</StorageClass></Transition>", days, class)
}

func noncurrentTo(class string, days int) string {
	return fmt.Sprintf("<NoncurrentVersionTransition><NoncurrentDays>%d</NoncurrentDays><StorageClass>%s</StorageClass></NoncurrentVersionTransition>", days, class)
}

const dup = "<Tag><Key>k</Key><Value>v</Value></Tag>"

var lifecycleCases = []struct{ name, in, code, message string }{
	{"days", lifecycleXML(expireTomorrow), "", ""},
	{"prefix of old", lifecycleXML("<Prefix>a</Prefix>" + expireTomorrow), "", ""},
	{"empty filter", lifecycleXML("<Filter/>" + expireTomorrow), "", ""},
	{"date", lifecycleXML("<Expiration><Date>2027-09-27T00:00:00Z</Date></Expiration>"), "", ""},
	{"date with milliseconds", lifecycleXML("<Expiration><Date>2027-09-27T00:00:00.000Z</Date></Expiration>"), "", ""},
	{"date elsewhere", lifecycleXML("<Expiration><Date>2027-09-27T02:00:00+02:00</Date></Expiration>"), "", ""},
	{"date alone", lifecycleXML("<Expiration><Date>2027-09-27</Date></Expiration>"), "", ""},
	{"delete marker", lifecycleXML("<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), "", ""},
	{"noncurrent", lifecycleXML("<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), "", ""},
	{"noncurrent by count", lifecycleXML("<NoncurrentVersionExpiration><NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), "", ""},
	{"uploads", lifecycleXML("<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"), "", ""},
	{"and", lifecycleXML("<Filter><And><Prefix>a</Prefix>" + dup + "<ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>" + expireTomorrow), "", ""},
	{"down the waterfall", lifecycleXML(to("GLACIER", 90) + to("STANDARD_IA", 30) + to("DEEP_ARCHIVE", 180) + "<Expiration><Days>181</Days></Expiration>"), "", ""},
	{"at once", lifecycleXML(to("GLACIER", 0)), "", ""},
	{"noncurrent waterfall", lifecycleXML(noncurrentTo("GLACIER", 2) + noncurrentTo("DEEP_ARCHIVE", 4) + "<NoncurrentVersionExpiration><NoncurrentDays>6</NoncurrentDays></NoncurrentVersionExpiration>"), "", ""},

	{"no rules", "<LifecycleConfiguration/>", "MalformedXML", ""},
	{"too many rules", lifecycleXML(make([]string, 1001)...), "MalformedXML", ""},
	{"neither filter nor prefix", "<LifecycleConfiguration><Rule><Status>Enabled</Status>" + expireTomorrow + "</Rule></LifecycleConfiguration>", "MalformedXML", ""},
	{"filter and prefix", lifecycleXML("<Prefix>a</Prefix><Filter/>" + expireTomorrow), "MalformedXML", ""},
	{"status", lifecycleXML("<Status>enabled</Status>" + expireTomorrow), "MalformedXML", ""},
	{"two conditions", lifecycleXML("<Filter><Prefix>a</Prefix>" + dup + "</Filter>" + expireTomorrow), "MalformedXML", ""},
	{"and beside another", lifecycleXML("<Filter><Prefix>a</Prefix><And>" + dup + "</And></Filter>" + expireTomorrow), "MalformedXML", ""},
	{"and of nothing", lifecycleXML("<Filter><And/></Filter>" + expireTomorrow), "MalformedXML", ""},
	{"tag without value", lifecycleXML("<Filter><Tag><Key>k</Key></Tag></Filter>" + expireTomorrow), "MalformedXML", ""},
	{"unknown element", lifecycleXML("<Colour/>" + expireTomorrow), "MalformedXML", ""},
	{"empty expiration", lifecycleXML("<Expiration/>"), "MalformedXML", ""},
	{"days and marker", lifecycleXML("<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), "MalformedXML", ""},
	{"no date", lifecycleXML("<Expiration><Date>20200101</Date></Expiration>"), "MalformedXML", ""},
	{"days beyond any", lifecycleXML("<Expiration><Days>3000000000</Days></Expiration>"), "MalformedXML", ""},
	{"class", lifecycleXML(to("STANDARD", 40)), "MalformedXML", ""},
	{"transition at no time", lifecycleXML("<Transition><StorageClass>GLACIER</StorageClass></Transition>"), "MalformedXML", ""},
	{"noncurrent at no time", lifecycleXML("<NoncurrentVersionExpiration/>"), "MalformedXML", ""},
	{"uploads at no time", lifecycleXML("<AbortIncompleteMultipartUpload/>"), "MalformedXML", ""},

	{"long ID", lifecycleXML("<ID>" + strings.Repeat("a", 256) + "</ID>" + expireTomorrow), "InvalidArgument", "ID length should not exceed allowed limit of 255"},
	{"same ID", lifecycleXML("<ID>a</ID>"+expireTomorrow, "<ID>a</ID>"+expireTomorrow), "InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule"},
	{"both generations", lifecycleXML("<Prefix>a</Prefix>"+expireTomorrow, expireTomorrow), "InvalidRequest",
		"Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter."},
	{"no action", lifecycleXML(""), "InvalidRequest", "At least one action needs to be specified in a rule"},
	{"same tag", lifecycleXML("<Filter><And>" + dup + dup + "</And></Filter>" + expireTomorrow), "InvalidRequest", "Duplicate Tag Keys are not allowed."},
	{"no days", lifecycleXML("<Expiration><Days>0</Days></Expiration>"), "InvalidArgument", "'Days' for Expiration action must be a positive integer"},
	{"noon", lifecycleXML("<Expiration><Date>2027-09-27T12:00:00Z</Date></Expiration>"), "InvalidArgument", "'Date' must be at midnight GMT"},
	{"midnight elsewhere", lifecycleXML("<Expiration><Date>2027-09-27T00:00:00+02:00</Date></Expiration>"), "InvalidArgument", "'Date' must be at midnight GMT"},
	{"noon for a transition", lifecycleXML("<Transition><Date>2027-09-27T12:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition>"), "InvalidArgument", "'Date' must be at midnight GMT"},
	{"markers have no tags", lifecycleXML("<Filter>" + dup + "</Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
		"InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags."},
	{"uploads have no tags", lifecycleXML("<Filter>" + dup + "</Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"),
		"InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags."},
	{"uploads have no size", lifecycleXML("<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"),
		"InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Object Size."},
	{"too early", lifecycleXML(to("STANDARD_IA", 29)), "InvalidArgument", "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'"},
	{"before", lifecycleXML(to("GLACIER", -1)), "InvalidArgument", "'Days' in Transition action must be nonnegative"},
	{"same class", lifecycleXML(to("GLACIER", 1) + to("GLACIER", 2)), "InvalidRequest",
		"'StorageClass' must be different for 'Transition' actions in same 'Rule' with filter '(prefix=p/)'"},
	{"mixed", lifecycleXML(to("GLACIER", 1) + "<Transition><Date>2027-01-01</Date><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>"), "InvalidRequest",
		"Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for filter '(prefix=p/)'"},
	{"mixed with expiration", lifecycleXML(to("GLACIER", 1) + "<Expiration><Date>2027-01-01</Date></Expiration>"), "InvalidRequest",
		"Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '(prefix=p/)'"},
	{"expires before it goes", lifecycleXML(to("GLACIER", 10) + "<Expiration><Days>10</Days></Expiration>"), "InvalidArgument",
		"'Days' in the Expiration action for filter '(prefix=p/)' must be greater than 'Days' in the Transition action"},
	{"expires before it goes, by date", lifecycleXML("<Transition><Date>2027-01-02</Date><StorageClass>GLACIER</StorageClass></Transition><Expiration><Date>2027-01-01</Date></Expiration>"), "InvalidArgument",
		"'Date' in the Expiration action for filter '(prefix=p/)' must be greater than 'Date' in the Transition action"},
	{"noncurrent expires before it goes", lifecycleXML(noncurrentTo("GLACIER", 10) + "<NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays></NoncurrentVersionExpiration>"), "InvalidArgument",
		"'NoncurrentDays' in the NoncurrentVersionExpiration action for filter '(prefix=p/)' must be greater than 'NoncurrentDays' in the NoncurrentVersionTransition action"},
	{"not warm for long", lifecycleXML(to("STANDARD_IA", 30) + to("GLACIER", 59)), "InvalidArgument",
		"'Days' in the 'Transition' action for StorageClass 'GLACIER' for filter '(prefix=p/)' must be 30 days more than 'Days' in the 'Transition' action for StorageClass 'STANDARD_IA' for filter '(prefix=p/)'"},
	{"upwards", lifecycleXML(to("DEEP_ARCHIVE", 10) + to("GLACIER", 20)), "InvalidArgument",
		"'Days' in the 'Transition' action for StorageClass 'DEEP_ARCHIVE' for filter '(prefix=p/)' must be greater than 'Days' in the 'Transition' action for StorageClass 'GLACIER' for filter '(prefix=p/)'"},
	{"no such way", lifecycleXML(to("ONEZONE_IA", 30) + to("GLACIER_IR", 90)), "InvalidArgument", ""},
	{"too many newer", lifecycleXML("<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), "InvalidArgument", ""},
	{"newer with a prefix of old", lifecycleXML("<Prefix>a</Prefix><NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), "InvalidRequest", ""},
	{"sizes", lifecycleXML("<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>" + expireTomorrow), "InvalidRequest", ""},
}

func TestLifecycleCheck(t *testing.T) {
	for _, c := range lifecycleCases {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := readLifecycle(c.in)
			if c.message != "" {
				wantMessage(t, err, c.code, c.message)
			} else {
				wantCode(t, err, c.code)
			}
			if err == nil {
				mustParse(t, document(lifecycleRoot, cfg), lifecycleRoot, &lifecycleConfig{})
			}
		})
	}
}

func TestExpirationHeader(t *testing.T) {
	created := time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC)
	const rule = "<ID>%s</ID><Filter>%s</Filter><Expiration>%s</Expiration>"
	cases := []struct {
		name  string
		rules []string
		key   string
		tags  map[string]string
		size  int64
		want  string
	}{
		{"days", []string{fmt.Sprintf(rule, "r1", "", "<Days>3</Days>")}, "k", nil, 1, `expiry-date="Mon, 19 Jan 2026 00:00:00 GMT", rule-id="r1"`},
		{"date", []string{fmt.Sprintf(rule, "r1", "", "<Date>2027-01-01</Date>")}, "k", nil, 1, `expiry-date="Fri, 01 Jan 2027 00:00:00 GMT", rule-id="r1"`},
		{"earliest", []string{fmt.Sprintf(rule, "late", "", "<Days>9</Days>"), fmt.Sprintf(rule, "early", "", "<Days>1</Days>")}, "k", nil, 1,
			`expiry-date="Sat, 17 Jan 2026 00:00:00 GMT", rule-id="early"`},
		{"ID is escaped", []string{fmt.Sprintf(rule, `my rule/"1"`, "", "<Days>1</Days>")}, "k", nil, 1,
			`expiry-date="Sat, 17 Jan 2026 00:00:00 GMT", rule-id="my%20rule%2F%221%22"`},
		{"disabled", []string{fmt.Sprintf(rule, "r", "", "<Days>1</Days>") + "<Status>Disabled</Status>"}, "k", nil, 1, ""},
		{"other prefix", []string{fmt.Sprintf(rule, "r", "<Prefix>a/</Prefix>", "<Days>1</Days>")}, "b", nil, 1, ""},
		{"marker", []string{fmt.Sprintf(rule, "r", "", "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>")}, "k", nil, 1, ""},
		{"tag", []string{fmt.Sprintf(rule, "r", "<Tag><Key>a</Key><Value>b</Value></Tag>", "<Days>1</Days>")}, "k", map[string]string{"a": "b", "c": "d"}, 1,
			`expiry-date="Sat, 17 Jan 2026 00:00:00 GMT", rule-id="r"`},
		{"other tag", []string{fmt.Sprintf(rule, "r", "<Tag><Key>a</Key><Value>b</Value></Tag>", "<Days>1</Days>")}, "k", map[string]string{"a": "c"}, 1, ""},
		{"one of two tags", []string{fmt.Sprintf(rule, "r", "<And><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c</Key><Value>e</Value></Tag></And>", "<Days>1</Days>")},
			"k", map[string]string{"a": "b", "c": "d"}, 1, ""},
		{"too small", []string{fmt.Sprintf(rule, "r", "<ObjectSizeGreaterThan>1</ObjectSizeGreaterThan>", "<Days>1</Days>")}, "k", nil, 1, ""},
		{"too large", []string{fmt.Sprintf(rule, "r", "<ObjectSizeLessThan>1</ObjectSizeLessThan>", "<Days>1</Days>")}, "k", nil, 1, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := readLifecycle(lifecycleXML(c.rules...))
			if err != nil {
				t.Fatal(err)
			}
			if got := expirationHeader(cfg.rules(false), c.key, c.tags, c.size, created); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
	if got := expirationHeader(nil, "k", nil, 1, created); got != "" {
		t.Errorf("without rules: %s", got)
	}
}

func FuzzLifecycle(f *testing.F) {
	f.Add([]byte(lifecycleXML(expireTomorrow, to("GLACIER", 3))))
	f.Add([]byte(lifecycleXML("<Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>" + noncurrentTo("GLACIER", 2))))
	f.Add([]byte(lifecycleXML("<Expiration><Date>2027-09-27</Date></Expiration>")))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := readLifecycle(string(data))
		if err != nil {
			return
		}
		_ = expirationHeader(cfg.rules(false), "p/key", map[string]string{"k": "v"}, 10, time.Unix(0, 0))
		doc := document(lifecycleRoot, cfg)
		again := &lifecycleConfig{}
		if err := parseDocument([]byte(doc), lifecycleRoot, again); err != nil {
			t.Fatalf("%q is stored as %s, which does not parse: %v", data, doc, err)
		}
		if doc2 := document(lifecycleRoot, again); doc2 != doc {
			t.Fatalf("stored as\n%s\nthen as\n%s", doc, doc2)
		}
	})
}
