package s3

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// configured is a server with a bucket of main's.
func configured(t *testing.T) *server {
	s := newServer(t, Options{})
	s.must(200, mainUser, "PUT", "/bkt", "")
	return s
}

// putConfig puts a configuration with its digest.
func (s *server) putConfig(status int, sub, body string, headers ...string) *reply {
	s.t.Helper()
	return s.must(status, mainUser, "PUT", "/bkt?"+sub, body, append(headers, "Content-MD5", contentMD5(body))...)
}

var configurations = []struct {
	sub     string
	unset   string // code of the error, or a part of the document
	body    string
	put     int
	stored  []string // parts of the document
	remove  int      // status of DELETE, 0 when there is none
	removed string   // as unset
}{
	{"cors", "NoSuchCORSConfiguration", "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
		200, []string{"<AllowedOrigin>*</AllowedOrigin>"}, 204, "NoSuchCORSConfiguration"},
	{"tagging", "NoSuchTagSet", tagXML("b", "2", "a", "1"), 204, []string{"<Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value>2</Value></Tag>"}, 204, "NoSuchTagSet"},
	{"encryption", "<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled>",
		"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
		200, []string{"<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>", "<BucketKeyEnabled>false</BucketKeyEnabled>"}, 204, "<SSEAlgorithm>AES256<"},
	{"lifecycle", "NoSuchLifecycleConfiguration", lifecycleXML("<ID>one</ID>" + expireTomorrow), 200, []string{"<ID>one</ID>", "<Expiration><Days>1</Days></Expiration>"}, 204, "NoSuchLifecycleConfiguration"},
	{"website", "NoSuchWebsiteConfiguration", "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>",
		200, []string{"<Suffix>index.html</Suffix>"}, 204, "NoSuchWebsiteConfiguration"},
	{"notification", "<NotificationConfiguration", "<NotificationConfiguration/>", 200, []string{"<NotificationConfiguration"}, 0, ""},
	{"accelerate", "<AccelerateConfiguration", "<AccelerateConfiguration><Status>Suspended</Status></AccelerateConfiguration>", 200, []string{"<Status>Suspended</Status>"}, 0, ""},
	{"requestPayment", "<Payer>BucketOwner</Payer>", "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>", 200, []string{"<Payer>Requester</Payer>"}, 0, ""},
	{"abac", "<Status>Disabled</Status>", "<AbacStatus><Status>Disabled</Status></AbacStatus>", 200, []string{"<Status>Disabled</Status>"}, 0, ""},
	{"versioning", "<VersioningConfiguration", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>", 200, []string{"<Status>Suspended</Status>"}, 0, ""},
	{"metrics&id=m", "NoSuchConfiguration", "<MetricsConfiguration><Id>m</Id><Filter><Prefix>a</Prefix></Filter></MetricsConfiguration>", 204,
		[]string{"<Id>m</Id><Filter><Prefix>a</Prefix></Filter>"}, 204, "NoSuchConfiguration"},
	{"analytics&id=m", "NoSuchConfiguration", "<AnalyticsConfiguration><Id>m</Id><StorageClassAnalysis/></AnalyticsConfiguration>", 204,
		[]string{"<Id>m</Id><StorageClassAnalysis></StorageClassAnalysis>"}, 204, "NoSuchConfiguration"},
	{"intelligent-tiering&id=m", "NoSuchConfiguration", "<IntelligentTieringConfiguration><Id>m</Id><Status>Enabled</Status><Tiering><AccessTier>ARCHIVE_ACCESS</AccessTier><Days>90</Days></Tiering></IntelligentTieringConfiguration>",
		200, []string{"<AccessTier>ARCHIVE_ACCESS</AccessTier>"}, 204, "NoSuchConfiguration"},
	{"inventory&id=m", "NoSuchConfiguration", "<InventoryConfiguration><Id>m</Id><IsEnabled>true</IsEnabled><Destination><S3BucketDestination><Bucket>arn:aws:s3:::dest</Bucket><Format>CSV</Format></S3BucketDestination></Destination>" +
		"<Schedule><Frequency>Daily</Frequency></Schedule><IncludedObjectVersions>All</IncludedObjectVersions></InventoryConfiguration>",
		204, []string{"<Format>CSV</Format>", "<IsEnabled>true</IsEnabled>"}, 204, "NoSuchConfiguration"},
}

// TestConfigurations takes each configuration through its life: unset, set, read, refused
// to others, removed.
func TestConfigurations(t *testing.T) {
	for _, c := range configurations {
		t.Run(c.sub, func(t *testing.T) {
			s := configured(t)
			s.t = t
			path := "/bkt?" + c.sub
			unset := func(want string) {
				t.Helper()
				if strings.HasPrefix(want, "<") {
					contains(t, s.must(200, mainUser, "GET", path, ""), want)
				} else {
					s.refused(404, want, mainUser, "GET", path, "")
				}
			}
			unset(c.unset)
			s.refused(403, "AccessDenied", altUser, "GET", path, "")
			s.refused(403, "AccessDenied", altUser, "PUT", path, c.body, "Content-MD5", contentMD5(c.body))
			s.refused(404, "NoSuchBucket", mainUser, "GET", "/none?"+c.sub, "")
			if r := s.putConfig(400, c.sub, ""); !strings.Contains(r.body, "<Code>MissingRequestBodyError</Code>") {
				t.Errorf("empty body: %s", r.body)
			}
			if r := s.putConfig(400, c.sub, "<Nonsense/>"); !strings.Contains(r.body, "<Code>MalformedXML</Code>") {
				t.Errorf("nonsense: %s", r.body)
			}
			s.refused(400, "BadDigest", mainUser, "PUT", path, c.body, "Content-MD5", contentMD5("other"))
			limit := maxConfig
			switch c.sub {
			case "tagging":
				limit = maxTagging
			case "lifecycle", "website":
				limit = maxBigConfig
			}
			long := strings.Repeat(" ", limit+1)
			s.refused(400, "MaxMessageLengthExceeded", mainUser, "PUT", path, long, "Content-MD5", contentMD5(long))
			unset(c.unset)

			s.putConfig(c.put, c.sub, c.body)
			r := s.must(200, mainUser, "GET", path, "")
			contains(t, r, append(c.stored, `xmlns="`+xmlns+`"`)...)
			if !strings.HasPrefix(r.body, "<?xml ") || r.Header.Get("Content-Type") != "application/xml" {
				t.Errorf("no document: %s %s", r.Header.Get("Content-Type"), r.body)
			}
			_, doc, _ := strings.Cut(r.body, "?>")
			s.putConfig(c.put, c.sub, doc)
			if again := s.must(200, mainUser, "GET", path, ""); again.body != r.body {
				t.Errorf("stored again:\n got %s\nwant %s", again.body, r.body)
			}
			if c.remove == 0 {
				s.refused(405, "MethodNotAllowed", mainUser, "DELETE", path, "")
				return
			}
			s.refused(403, "AccessDenied", altUser, "DELETE", path, "")
			s.must(c.remove, mainUser, "DELETE", path, "")
			unset(c.removed)
		})
	}
}

func TestDigestsAreDemanded(t *testing.T) {
	s := configured(t)
	s.must(200, mainUser, "PUT", "/bkt?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	for _, sub := range []string{"cors", "tagging", "lifecycle", "object-lock", "replication"} {
		contains(t, s.refused(400, "InvalidRequest", mainUser, "PUT", "/bkt?"+sub, "<a/>"), "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
}

func TestVersioningOfLockedBucket(t *testing.T) {
	s := configured(t)
	const lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
	const suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
	enabled := strings.Replace(suspended, "Suspended", "Enabled", 1)
	refused := func(sub, body, message string) {
		t.Helper()
		contains(t, s.putConfig(409, sub, body), "<Code>InvalidBucketState</Code>", message)
	}
	s.refused(404, "ObjectLockConfigurationNotFoundError", mainUser, "GET", "/bkt?object-lock", "")
	refused("object-lock", lock, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	s.putConfig(200, "versioning", suspended)
	refused("object-lock", lock, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	s.putConfig(200, "versioning", enabled)
	s.putConfig(200, "object-lock", lock)
	contains(t, s.must(200, mainUser, "GET", "/bkt?object-lock", ""), "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>")
	refused("versioning", suspended, "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
	s.putConfig(200, "versioning", enabled)
	s.putConfig(200, "object-lock", strings.Replace(lock, "<Mode>GOVERNANCE</Mode><Days>1</Days>", "<Mode>COMPLIANCE</Mode><Years>2</Years>", 1))
	contains(t, s.must(200, mainUser, "GET", "/bkt?object-lock", ""), "<Mode>COMPLIANCE</Mode><Years>2</Years>")
	s.putConfig(200, "object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>")
	if r := s.must(200, mainUser, "GET", "/bkt?object-lock", ""); strings.Contains(r.body, "Rule") {
		t.Errorf("rule is still there: %s", r.body)
	}
}

func TestLifecycleHeaders(t *testing.T) {
	s := configured(t)
	body := lifecycleXML("<Filter/>"+expireTomorrow, "<Filter/><Expiration><Days>2</Days></Expiration>")
	heads(t, s.putConfig(200, "lifecycle", body), minimumHeader, minimumDefault)
	r := s.must(200, mainUser, "GET", "/bkt?lifecycle", "")
	heads(t, r, minimumHeader, minimumDefault)
	if n := strings.Count(r.body, "<ID>"); n != 2 || strings.Contains(r.body, "<ID></ID>") {
		t.Errorf("%d IDs in %s", n, r.body)
	}
	heads(t, s.putConfig(200, "lifecycle", body, minimumHeader, minimumVaries), minimumHeader, minimumVaries)
	heads(t, s.must(200, mainUser, "GET", "/bkt?lifecycle", ""), minimumHeader, minimumVaries)
	contains(t, s.putConfig(400, "lifecycle", body, minimumHeader, "value"), "Invalid TransitionDefaultMinimumObjectSize found: value")
	heads(t, s.putConfig(200, "lifecycle", body), minimumHeader, minimumDefault)
	heads(t, s.must(200, mainUser, "GET", "/bkt?lifecycle", ""), minimumHeader, minimumDefault)

	want := `expiry-date="` + httpTime(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)) + `", rule-id="`
	for _, method := range []string{"PUT", "HEAD", "GET"} {
		if got := s.must(200, mainUser, method, "/bkt/key", "").Header.Get("x-amz-expiration"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: x-amz-expiration %q, want %q…", method, got, want)
		}
	}
}

func TestLogging(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	for _, b := range []string{"bkt", "logs", "far"} {
		body := ""
		if b == "far" {
			body = "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
		}
		s.must(200, mainUser, "PUT", "/"+b, body)
	}
	s.must(200, altUser, "PUT", "/foreign", "")
	s.must(200, mainUser, "PUT", "/enforced", "", "x-amz-object-ownership", "BucketOwnerEnforced")
	at := func(bucket, more string) string {
		return "<BucketLoggingStatus><LoggingEnabled><TargetBucket>" + bucket + "</TargetBucket><TargetPrefix>log/</TargetPrefix>" + more + "</LoggingEnabled></BucketLoggingStatus>"
	}
	grant := func(kind, inner, permission string) string {
		return `<TargetGrants><Grant><Grantee xmlns:xsi="` + xmlnsXSI + `" xsi:type="` + kind + `">` + inner + "</Grantee><Permission>" + permission + "</Permission></Grant></TargetGrants>"
	}
	const unset = `<BucketLoggingStatus xmlns="` + xmlns + `"></BucketLoggingStatus>`
	contains(t, s.must(200, mainUser, "GET", "/bkt?logging", ""), unset)
	for _, c := range []struct {
		status     int
		body, code string
	}{
		{400, at("none", ""), "InvalidTargetBucketForLogging"},
		{400, at("foreign", ""), "InvalidTargetBucketForLogging"},
		{403, at("far", ""), "CrossLocationLoggingProhibitted"},
		{400, at("", ""), "MalformedXML"},
		{400, at("logs", "<TargetObjectKeyFormat/>"), "MalformedXML"},
		{400, at("logs", "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>kaboom</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>"), "MalformedXML"},
		{400, at("logs", grant("CanonicalUser", "<ID>nobody</ID>", "READ")), "InvalidArgument"},
		{400, at("logs", grant("AmazonCustomerByEmail", "<EmailAddress>nobody@example.org</EmailAddress>", "READ")), "UnresolvableGrantByEmailAddress"},
		{400, at("logs", grant("Group", "<URI>http://nowhere</URI>", "READ")), "InvalidArgument"},
		{400, at("logs", grant("CanonicalUser", "<URI>x</URI>", "READ")), "MalformedXML"},
		{400, at("logs", grant("CanonicalUser", "<ID>main-id</ID>", "READ_ACP")), "MalformedXML"},
		{400, at("enforced", grant("CanonicalUser", "<ID>main-id</ID>", "READ")), "AccessControlListNotSupported"},
	} {
		s.refused(c.status, c.code, mainUser, "PUT", "/bkt?logging", c.body)
	}
	contains(t, s.must(200, mainUser, "GET", "/bkt?logging", ""), unset)
	for _, target := range []string{"enforced", "logs"} {
		s.refused(400, "InvalidTargetBucketForLogging", mainUser, "PUT", "/bkt?logging", at(target, ""))
	}
	s.must(200, mainUser, "PUT", "/logs?acl", "", "x-amz-acl", "log-delivery-write")
	s.must(204, mainUser, "PUT", "/enforced?policy", logPolicy("enforced/*", "bkt", "main-id"))
	s.must(200, mainUser, "PUT", "/bkt?logging", at("enforced", ""))
	s.must(200, mainUser, "PUT", "/bkt?logging", at("logs", grant("AmazonCustomerByEmail", "<EmailAddress>alt@example.org</EmailAddress>", "READ")+
		"<TargetObjectKeyFormat><PartitionedPrefix/></TargetObjectKeyFormat>"))
	contains(t, s.must(200, mainUser, "GET", "/bkt?logging", ""), "<TargetBucket>logs</TargetBucket><TargetPrefix>log/</TargetPrefix>",
		`<Grantee xmlns:xsi="`+xmlnsXSI+`" xsi:type="CanonicalUser"><ID>alt-id</ID><DisplayName>ALT</DisplayName></Grantee><Permission>READ</Permission>`,
		"<PartitionDateSource>EventTime</PartitionDateSource>")
	s.must(200, mainUser, "PUT", "/bkt?logging", "<BucketLoggingStatus/>")
	contains(t, s.must(200, mainUser, "GET", "/bkt?logging", ""), unset)
}

// logPolicy lets the log service store what resource names.
func logPolicy(resource, source, account string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject",` +
		`"Resource":"arn:aws:s3:::` + resource + `","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::` + source + `"},"StringEquals":{"aws:SourceAccount":"` + account + `"}}}]}`
}

// Logs go only where the log service may write.
func TestLoggingNeedsDelivery(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(200, mainUser, "PUT", "/logs", "")
	const body = "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>log/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"
	for _, c := range []struct {
		policy string
		status int
	}{
		{logPolicy("logs/log/*", "bkt", "main-id"), 200},
		{logPolicy("logs/log/", "bkt", "main-id"), 200}, // of the prefix alone
		{logPolicy("logs/*", "b*", "main-id"), 200},
		{logPolicy("logs/other", "bkt", "main-id"), 400},
		{logPolicy("logs/*", "other", "main-id"), 400},
		{logPolicy("logs/*", "bkt", "alt-id"), 400},
		{strings.Replace(logPolicy("logs/*", "bkt", "main-id"), "PutObject", "GetObject", 1), 400},
		{strings.Replace(logPolicy("logs/*", "bkt", "main-id"), "logging.s3", "delivery.logs", 1), 400},
		{strings.Replace(logPolicy("logs/*", "bkt", "main-id"), `"Effect":"Allow"`, `"Effect":"Deny"`, 1), 400},
	} {
		s.must(204, mainUser, "PUT", "/logs?policy", c.policy)
		if r := s.do(mainUser, "PUT", "/bkt?logging", body); r.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.policy, r.StatusCode, c.status, r.body)
		}
	}
	s.must(204, mainUser, "DELETE", "/logs?policy", "")
	const group = `uri="http://acs.amazonaws.com/groups/s3/LogDelivery"`
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{[]string{"x-amz-grant-write", group}, 400},
		{[]string{"x-amz-grant-read-acp", group}, 400},
		{[]string{"x-amz-grant-write", group, "x-amz-grant-read-acp", group}, 200},
		{[]string{"x-amz-grant-full-control", group}, 200},
	} {
		s.must(200, mainUser, "PUT", "/logs?acl", "", c.headers...)
		if r := s.do(mainUser, "PUT", "/bkt?logging", body); r.StatusCode != c.status {
			t.Errorf("%q: status %d, want %d: %s", c.headers, r.StatusCode, c.status, r.body)
		}
	}
}

func TestReplicationIsRefused(t *testing.T) {
	s := configured(t)
	s.must(200, mainUser, "PUT", "/dest", "")
	const body = "<ReplicationConfiguration><Role>arn:aws:iam::1:role/r</Role><Rule><Status>Enabled</Status><Prefix></Prefix><Destination><Bucket>arn:aws:s3:::dest</Bucket></Destination></Rule></ReplicationConfiguration>"
	const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
	s.refused(404, "ReplicationConfigurationNotFoundError", mainUser, "GET", "/bkt?replication", "")
	contains(t, s.putConfig(400, "replication", body), "<Code>InvalidRequest</Code>", "Versioning must be 'Enabled' on the bucket to apply a replication configuration")
	s.putConfig(200, "versioning", enabled)
	contains(t, s.putConfig(400, "replication", body), "Destination bucket must have versioning enabled.")
	s.must(200, mainUser, "PUT", "/dest?versioning", enabled)
	contains(t, s.putConfig(400, "replication", body), "<Code>InvalidArgument</Code>", "<ArgumentName>Role</ArgumentName>")
	s.refused(404, "ReplicationConfigurationNotFoundError", mainUser, "GET", "/bkt?replication", "")
	s.must(204, mainUser, "DELETE", "/bkt?replication", "")
}

func TestAccelerationNeedsPlainNames(t *testing.T) {
	s := configured(t)
	s.must(200, mainUser, "PUT", "/with.dots", "")
	contains(t, s.refused(400, "InvalidRequest", mainUser, "PUT", "/with.dots?accelerate", "<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>"),
		"S3 Transfer Acceleration is not supported for buckets with periods (.) in their names")
	s.refused(400, "MalformedXML", mainUser, "PUT", "/bkt?accelerate", "<AccelerateConfiguration><Status>enabled</Status></AccelerateConfiguration>")
}

func TestListsOfConfigurations(t *testing.T) {
	s := configured(t)
	empty := s.must(200, mainUser, "GET", "/bkt?metrics", "")
	contains(t, empty, "<ListMetricsConfigurationsResult", "<IsTruncated>false</IsTruncated>")
	for i := range 101 {
		s.must(204, mainUser, "PUT", fmt.Sprintf("/bkt?metrics&id=m%03d", i), fmt.Sprintf("<MetricsConfiguration><Id>m%03d</Id></MetricsConfiguration>", i))
	}
	r := s.must(200, mainUser, "GET", "/bkt?metrics", "")
	contains(t, r, "<IsTruncated>true</IsTruncated>", "<MetricsConfiguration><Id>m000</Id></MetricsConfiguration>", "<Id>m099</Id>")
	_, token, _ := strings.Cut(r.body, "<NextContinuationToken>")
	token, _, _ = strings.Cut(token, "<")
	r = s.must(200, mainUser, "GET", "/bkt?metrics&continuation-token="+token, "")
	contains(t, r, "<IsTruncated>false</IsTruncated>", "<Id>m100</Id>", "<ContinuationToken>"+token+"</ContinuationToken>")
	if strings.Count(r.body, "<Id>") != 1 {
		t.Errorf("second page: %s", r.body)
	}
	s.refused(400, "InvalidArgument", mainUser, "GET", "/bkt?metrics&continuation-token=%21", "")
	s.refused(400, "InvalidConfigurationId", mainUser, "GET", "/bkt?metrics&id=a%2Fb", "")
	s.refused(400, "InvalidConfigurationId", mainUser, "PUT", "/bkt?metrics", "<MetricsConfiguration><Id>m</Id></MetricsConfiguration>")
	s.refused(404, "NoSuchConfiguration", mainUser, "DELETE", "/bkt?metrics&id=none", "")
	for _, sub := range []string{"inventory", "analytics", "intelligent-tiering"} {
		contains(t, s.must(200, mainUser, "GET", "/bkt?"+sub, ""), "<IsTruncated>false</IsTruncated>")
	}
}

func TestWhatIsNotThere(t *testing.T) {
	s := configured(t)
	s.refused(404, "MetadataConfigurationNotFound", mainUser, "GET", "/bkt?metadataTable", "")
	s.refused(404, "MetadataConfigurationNotFound", mainUser, "GET", "/bkt?metadataConfiguration", "")
	s.refused(501, "NotImplemented", mainUser, "POST", "/bkt?metadataConfiguration", "<a/>")
	s.refused(405, "MethodNotAllowed", mainUser, "GET", "/bkt?session", "")
	s.refused(501, "NotImplemented", mainUser, "PUT", "/bkt?abac", "<AbacStatus><Status>Enabled</Status></AbacStatus>")
	s.refused(400, "InvalidArgument", mainUser, "PUT", "/bkt?notification",
		"<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:us-east-1:1:q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>",
		"x-amz-skip-destination-validation", "true")
	s.refused(403, "AccessDenied", mainUser, "PUT", "/bkt?versioning", "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>", "x-amz-mfa", "1 123456")
}
